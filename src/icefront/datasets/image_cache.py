"""The cache of decoded images: a memory-mapped file for each image, whole or not there.

Decoding images for every crop would starve a GPU, and holding a data set in memory does not scale.
Each image is decoded once into a file of its own, which is mapped to copy the pixels of a crop. A
mapping is dropped after each crop, so that a process holds one crop whatever the number of images
and workers, or is kept open where crops are small and opening would cost as much as they do. The
operating system keeps the pages that are in use.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from filelock import FileLock

from icefront.errors import IcefrontError
from icefront.files.atomic import explained_writing, free_space, remove_unfinished, writing
from icefront.files.cache import default_cache_folder
from icefront.progress import steps

log = logging.getLogger("icefront.datasets")

_VERSION = 1
_SPARE = 50_000_000
"""Bytes that are left free on the disk of the cache."""

_INDEX = "index.jsonl"
_REMEDY = (
    "set ICEFRONT_CACHE to another folder, and run it again: the cache is continued where it "
    "stopped"
)


@dataclass(frozen=True)
class Block:
    """A decoded image: uint8, channel by channel, without a header.

    Attributes
    ----------
    path : Path
    shape : (int, int, int)
        (C, H, W).
    """

    path: Path
    shape: tuple[int, int, int]

    def mapped(self, *, keep_open: bool = False) -> np.ndarray:
        """Map the file, uint8 (C, H, W), read-only.

        Parameters
        ----------
        keep_open : bool
            Keep the mapping for the next call, which takes a file descriptor; drop the array soon
            otherwise.

        Raises
        ------
        IcefrontError
            If the file is no longer what it was when the cache was opened.
        """
        try:
            return (_kept_mapping if keep_open else _mapping)(self.path, self.shape)
        except (OSError, ValueError) as error:
            raise IcefrontError(
                f"{self.path} was changed or removed while it was in use ({error}); go on with "
                "--resume: what is damaged in the cache is decoded again."
            ) from error


def _mapping(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    # numpy.memmap does the same in three times the time, which shows in crops a second.
    with path.open("rb", buffering=0) as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(pages, np.uint8).reshape(shape)


def _file_limit() -> int:
    """Return how many files a process may have open."""
    try:
        import resource
    except ImportError:  # not on Windows, where mappings do not count
        return 2048
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2048 if soft == resource.RLIM_INFINITY else soft


# All training images of CaFFe, unless few files may be open.
_kept_mapping = lru_cache(maxsize=min(512, _file_limit() // 2))(_mapping)


@dataclass(frozen=True)
class SourceImage:
    """An image that can be decoded into a block.

    Attributes
    ----------
    files : tuple of Path
        What it is read from. The block is decoded again when one of them changes. Empty for an
        image that is computed.
    shape : (int, int, int)
        (C, H, W), known before it is decoded.
    read : callable
        Gives the pixels, uint8 (C, H, W).
    settings : tuple of str
        What else the pixels depend on.
    name : str
        Of an image without a file.
    """

    files: tuple[Path, ...]
    shape: tuple[int, int, int]
    read: Callable[[], np.ndarray]
    settings: tuple[str, ...] = ()
    name: str = ""

    @property
    def label(self) -> str:
        """Name of the file, or of the image where there is none."""
        return self.files[0].name if self.files else self.name

    def block_name(self) -> str:
        """Return the name of the block, another one as soon as a file or a setting changes."""
        facts: list[object] = [_VERSION]
        for path in self.files:
            stat = path.stat()
            facts += [path.parent.name, path.name, stat.st_size, stat.st_mtime_ns]
        facts += self.settings
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        return f"{Path(self.label).stem}-{digest[:16]}.bin"

    @property
    def size(self) -> int:
        """Bytes of the block."""
        channels, height, width = self.shape
        return channels * height * width


def cache_home(folder: Path | None, kind: str, root: Path) -> Path:
    """Return the folder in which the blocks of a data set lie.

    Parameters
    ----------
    folder : Path or None
        Parent of all caches; `default_cache_folder()` if None.
    kind : str
        Name of the layout of the data set.
    root : Path
        Folder of the data set.
    """
    key = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    return (folder or default_cache_folder()) / f"{kind}-{key}"


def cached_images(
    sources: Sequence[SourceImage],
    home: Path,
    *,
    progress: bool = True,
    title: str = "Decoding",
) -> tuple[tuple[Block, ...], str]:
    """Open the blocks of some images; those that are missing or damaged are decoded first.

    Each block appears whole and is recorded with its SHA-256, so that an interrupted run goes on
    where it was, and only new images are decoded where a data set grew. A block whose times of
    change (of the content, which programs can set back, and of the file, which they cannot) are not
    those of its writing is checked against its hash. Other processes wait meanwhile.

    Parameters
    ----------
    sources : sequence of SourceImage
    home : Path
        Folder of the blocks, see `cache_home`; created if it does not exist.
    progress : bool
        Show a bar while decoding.
    title : str
        Of the bar.

    Returns
    -------
    tuple of Block
        As `sources`.
    str
        Fingerprint of the content: SHA-256 over the names of the files and the hashes of the
        blocks.

    Raises
    ------
    IcefrontError
        If an image cannot be decoded or the disk is full.
    """
    with explained_writing(home, remedy=_REMEDY):
        _make_way(home, folder=True)
        home.mkdir(parents=True, exist_ok=True)
        _make_way(home / "lock")
        held = FileLock(home / "lock").acquire()  # goes with the process, however it ends
    with held:
        blocks = tuple(Block(home / source.block_name(), source.shape) for source in sources)
        hashes = _complete(home, sources, blocks, progress, title)
    facts = sorted((source.label, digest) for source, digest in zip(sources, hashes, strict=True))
    return blocks, hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _make_way(path: Path, *, folder: bool = False) -> None:
    """Remove what is no file where a file of the cache belongs, or no folder."""
    if not path.exists() or (path.is_dir() if folder else path.is_file()):
        return
    log.warning("%s does not belong into the cache and is removed", path)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _complete(
    home: Path,
    sources: Sequence[SourceImage],
    blocks: Sequence[Block],
    progress: bool,
    title: str,
) -> list[str]:
    """Write the blocks that are missing or damaged; returns the hash of each."""
    remove_unfinished(home)
    index = home / _INDEX
    with explained_writing(home, remedy=_REMEDY):
        _make_way(index)
        text = index.read_text(errors="replace") if index.exists() else ""
    known = {entry.file: entry for entry in map(_Entry.read, text.splitlines()) if entry}
    wanted = []
    for source, block in zip(sources, blocks, strict=True):
        entry = known.get(block.path.name)
        if entry and (verified := entry.verified(block.path, source.size)):
            known[block.path.name] = verified
        else:
            known.pop(block.path.name, None)
            wanted.append((source, block))
    lines = "".join(entry.line() for entry in known.values())
    if lines != text:  # without what is damaged or out of date
        with writing(index, remedy=_REMEDY) as part:
            part.write_text(lines)
    # What is there of them, damaged, is replaced.
    replaced = sum(block.path.stat().st_size for _, block in wanted if block.path.is_file())
    needed, free = sum(source.size for source, _ in wanted) - replaced, free_space(home)
    if needed > free - _SPARE:
        raise IcefrontError(
            f"The disk of the cache {home} is too full: {needed / 1e9:.2g} GB are needed and "
            f"{free / 1e9:.2g} GB are free; make room or set ICEFRONT_CACHE to another folder."
        )
    with steps(title, len(wanted), show=progress) as advance:
        for source, block in wanted:
            values = source.read()
            if values.shape != source.shape:
                raise IcefrontError(f"{source.label} changed while it was read; start again.")
            known[block.path.name] = _write_block(block.path, values, index)
            advance(1)
    return [known[block.path.name].sha256 for block in blocks]


def _write_block(path: Path, values: np.ndarray, index: Path) -> _Entry:
    """Write a block and its line of the index; returns what the line says."""
    data = np.ascontiguousarray(values).data
    with explained_writing(index.parent, remedy=_REMEDY):
        _make_way(path)
    with writing(path, sync=True, remedy=_REMEDY) as part:
        part.write_bytes(data)
    _kept_mapping.cache_clear()  # one may be of the file that was replaced
    entry = _Entry(path.name, hashlib.sha256(data).hexdigest(), _times(path.stat()))
    with explained_writing(index.parent, remedy=_REMEDY), index.open("a") as file:
        file.write(entry.line())
    return entry


def _times(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_mtime_ns, stat.st_ctime_ns


@dataclass(frozen=True)
class _Entry:
    """What a line of the index says of a block: its hash, and times of change when it was right."""

    file: str
    sha256: str
    times: tuple[int, int] | None = None

    def line(self) -> str:
        """Return the line, which begins with its own checksum."""
        text = json.dumps([self.file, self.sha256, self.times])
        return f"{zlib.crc32(text.encode()):08x} {text}\n"

    @staticmethod
    def read(line: str) -> _Entry | None:
        """Return what a line says; None for one that is damaged, as by a kill."""
        check, _, text = line.partition(" ")
        try:
            if line.startswith("{"):  # of earlier versions, without checksum: compare the hash
                old = json.loads(line)
                return _Entry(str(old["file"]), str(old["sha256"]))
            if check != f"{zlib.crc32(text.encode()):08x}":
                return None
            file, sha256, times = json.loads(text)
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        return _Entry(file, sha256, tuple(times) if times else None)

    def verified(self, path: Path, size: int) -> _Entry | None:
        """Check a block: its size and times, its hash where the times differ; None if damaged."""
        try:
            stat = path.stat()
            if stat.st_size == size and self.times == _times(stat):
                return self
            if path.is_file() and stat.st_size == size:
                with path.open("rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() == self.sha256:
                        return replace(self, times=_times(stat))
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("%s cannot be read (%s)", path, error.strerror)
        log.warning("%s is damaged and is decoded again", path)
        return None
