"""Pairs of radar and optical images for pretraining: a decoded copy on disk, and crops from it.

Each image is decoded once into a file of its own, which a crop maps for as long as it takes to copy
its pixels. What a process holds is therefore one crop, whatever the number of images and workers;
the operating system keeps the pages that are in use.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from torch.utils.data import Dataset

from icefront.datasets.image_cache import default_cache_folder
from icefront.datasets.ssl4sar import CHANNELS, Ssl4SarArchive, read_optical, read_radar
from icefront.errors import IcefrontError
from icefront.progress import steps

log = logging.getLogger("icefront.datasets")

_VERSION = 1
_SPARE = 50_000_000
"""Bytes that are left free on the disk of the cache."""


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

    def mapped(self) -> np.memmap:
        """Map the file, uint8 (C, H, W), read-only; drop it soon."""
        return np.memmap(self.path, np.uint8, mode="r", shape=self.shape)


@dataclass(frozen=True)
class PairCache:
    """Decoded images of an archive.

    Attributes
    ----------
    radar : tuple of Block
        As in the archive's list of images.
    optical : dict of Block
        By glacier.
    glaciers : tuple of str
        Of each radar image.
    fingerprint : str
        Of the content: SHA-256 over the names and hashes of all blocks.
    """

    radar: tuple[Block, ...]
    optical: dict[str, Block]
    glaciers: tuple[str, ...]
    fingerprint: str

    def shape(self, index: int) -> tuple[int, int]:
        """Rows and columns of a radar image."""
        return self.radar[index].shape[1:]


@dataclass(frozen=True)
class _Source:
    path: Path
    shape: tuple[int, int, int]
    read: Callable[[Path], np.ndarray]

    @property
    def file(self) -> str:
        """Name of the block: another one as soon as the source changes."""
        stat = self.path.stat()
        facts = [_VERSION, self.path.parent.name, self.path.name, stat.st_size, stat.st_mtime_ns]
        return f"{self.path.stem}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}.bin"

    @property
    def bytes(self) -> int:
        channels, height, width = self.shape
        return channels * height * width


def build_pair_cache(
    archive: Ssl4SarArchive, folder: Path | None = None, *, progress: bool = True
) -> PairCache:
    """Open the cache of an archive; what is missing or damaged in it is decoded first.

    Each block appears whole and is recorded with its SHA-256, so that an interrupted run goes on
    where it was, and only new images are decoded where an archive grew. Blocks that were touched
    since they were written are checked against their hash. Other processes wait meanwhile.

    Parameters
    ----------
    archive : Ssl4SarArchive
    folder : Path, optional
        Parent of all caches; `default_cache_folder()` otherwise.
    progress : bool
        Show a bar while decoding.

    Raises
    ------
    IcefrontError
        If an image is damaged, an optical channel is empty, or the disk is full.
    """
    key = hashlib.sha256(str(archive.root.resolve()).encode()).hexdigest()[:16]
    home = (folder or default_cache_folder()) / f"ssl4sar-{key}"
    radar = [_Source(i.path, (1, *i.shape), _read_radar) for i in archive.images]
    shapes = {i.glacier: (len(CHANNELS), *i.shape) for i in archive.images}
    optical = {g: _Source(p, shapes[g], read_optical) for g, p in archive.optical.items()}
    sources = [*optical.values(), *radar]
    files = {source.path: source.file for source in sources}
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / "lock"):  # goes with the process, however it ends
            hashes = _complete(home, sources, files, progress)
    except OSError as error:
        raise IcefrontError(
            f"The cache {home} could not be written ({error.strerror}); free some space or set "
            "ICEFRONT_CACHE to another folder, and run it again: it goes on where it was."
        ) from error
    facts = sorted((path.name, hashes[file]) for path, file in files.items())
    return PairCache(
        tuple(Block(home / files[s.path], s.shape) for s in radar),
        {g: Block(home / files[s.path], s.shape) for g, s in optical.items()},
        tuple(i.glacier for i in archive.images),
        hashlib.sha256(json.dumps(facts).encode()).hexdigest(),
    )


def _read_radar(path: Path) -> np.ndarray:
    return read_radar(path)[None]


def _complete(
    home: Path, sources: Sequence[_Source], files: dict[Path, str], progress: bool
) -> dict[str, str]:
    """Write the blocks that are missing or damaged; returns the hash of each."""
    for part in home.glob("*.part"):  # of a process that was killed: nobody else holds the lock
        part.unlink()
    index = home / "index.jsonl"
    known = _read_index(index)
    wanted = [s for s in sources if not _is_whole(home / files[s.path], s, known)]
    need = sum(source.bytes for source in wanted)
    free = shutil.disk_usage(home).free
    if need > free - _SPARE:
        raise IcefrontError(
            f"The disk of the cache {home} is too full: {need / 1e9:.2g} GB are needed and "
            f"{free / 1e9:.2g} GB are free; make room or set ICEFRONT_CACHE to another folder."
        )
    with steps("Decoding", len(wanted), show=progress) as advance:
        for source in wanted:
            values = source.read(source.path)
            if values.shape != source.shape:
                raise IcefrontError(f"{source.path} changed while it was read; start again.")
            _write_block(home / files[source.path], values, index, known)
            advance(1)
    return {file: known[file]["sha256"] for file in files.values()}


def _write_block(path: Path, values: np.ndarray, index: Path, known: dict[str, Any]) -> None:
    part = path.with_name(path.name + ".part")
    try:
        data = np.ascontiguousarray(values)
        with part.open("wb") as file:
            file.write(data.data)
            file.flush()
            os.fsync(file.fileno())
        stat = part.stat()
        entry = {
            "file": path.name,
            "sha256": hashlib.sha256(data.data).hexdigest(),
            "mtime_ns": stat.st_mtime_ns,
        }
        os.replace(part, path)
        _record(index, entry, known)
    finally:
        part.unlink(missing_ok=True)


def _record(index: Path, entry: dict[str, Any], known: dict[str, Any]) -> None:
    known[entry["file"]] = entry
    with index.open("a") as file:
        file.write(json.dumps(entry) + "\n")


def _read_index(index: Path) -> dict[str, Any]:
    """Entries by file; a line that a kill cut off is passed over, and its block made again."""
    known: dict[str, Any] = {}
    if index.exists():
        text = index.read_text(errors="replace")
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                known[str(entry["file"])] = {k: entry[k] for k in ("file", "sha256", "mtime_ns")}
            except (ValueError, KeyError, TypeError):
                continue
        if text and not text.endswith("\n"):
            with index.open("a") as file:
                file.write("\n")
    return known


def _is_whole(path: Path, source: _Source, known: dict[str, Any]) -> bool:
    """Check a block: its size always, its hash where the file is not the one that was written."""
    entry = known.get(path.name)
    if entry is None or not path.exists():
        return False
    stat = path.stat()
    if stat.st_size != source.bytes:
        return False
    if stat.st_mtime_ns == entry["mtime_ns"]:
        return True
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != entry["sha256"]:
            log.warning("%s is damaged and is made again", path)
            return False
    os.utime(path, ns=(stat.st_atime_ns, entry["mtime_ns"]))
    return True


# crops --------------------------------------------------------------------------------------------

Sample = dict[str, Tensor]
"""One crop, or a batch of them: see `PairCrops` and `PairWindows`."""


class PairCrops(Dataset[Sample]):
    """Crop number *n* of an endless sequence that depends on the seed alone.

    A square of `window` pixels is drawn from an image and in it a square of `zoom` times that side
    (SSL4SAR, design section 6). Resizing to `window` and flipping are left to the device
    (`icefront.pretraining.samples`): bicubic enlargement of 15 channels would take most of a
    loader's time.

    Parameters
    ----------
    cache : PairCache
    indices : sequence of int
        Radar images that are drawn from; each comes once before any comes again.
    window : int
        In pixels.
    zoom : (float, float)
    flip : float
        Chance of a flip, for each axis by itself.
    seed : int
    other_day : bool
        Add the same place on another day (the same where a glacier has one image only).

    Notes
    -----
    A sample has ``radar`` uint8 (1, S, S), ``optical`` uint8 (14, S, S), ``side`` int64 (): how
    many rows and columns of them, from the upper left, are filled; ``flip`` bool (2,): rows,
    columns; ``number`` int64 (); ``other`` uint8 (1, S, S) if asked for. An image smaller than the
    window is surrounded by zeros.
    """

    def __init__(
        self,
        cache: PairCache,
        indices: Sequence[int],
        window: int = 512,
        *,
        zoom: tuple[float, float] = (0.7, 1.0),
        flip: float = 0.5,
        seed: int = 0,
        other_day: bool = False,
    ) -> None:
        self.cache, self.indices, self.window = cache, np.asarray(indices), window
        self.zoom, self.flip, self.seed, self.other_day = zoom, flip, seed, other_day
        self.series = _series(cache, indices)

    def image_of(self, number: int) -> int:
        """Which radar image crop `number` comes from."""
        turn, place = divmod(number, len(self.indices))
        return int(self.indices[_shuffled(self.seed, turn, len(self.indices))[place]])

    def __getitem__(self, number: int) -> Sample:
        """Return a sample as in the notes."""
        rng = np.random.default_rng((self.seed, 1, number))
        index = self.image_of(number)
        low, high = self.zoom
        outer = [_start(size, self.window, rng) for size in self.cache.shape(index)]
        side = min(self.window, round(self.window * float(rng.uniform(low, high))))
        corner = [first + int(rng.integers(self.window - side + 1)) for first in outer]
        flips = rng.random(2) < self.flip
        glacier = self.cache.glaciers[index]
        sample = {
            "radar": _cut(self.cache.radar[index], corner, side, self.window),
            "optical": _cut(self.cache.optical[glacier], corner, side, self.window),
            "side": torch.tensor(side),
            "flip": torch.from_numpy(flips),
            "number": torch.tensor(number),
        }
        if self.other_day:
            other = _other(self.series[glacier], index, rng)
            sample["other"] = _cut(self.cache.radar[other], corner, side, self.window)
        return sample


class PairWindows(Dataset[Sample]):
    """All windows of some images at a stride, in order, as they are: for validation.

    Parameters
    ----------
    cache : PairCache
    indices : sequence of int
    window, stride : int
        In pixels; 512 and 256 as published. An image smaller than the window gives one.
    most : int, optional
        Keep so many of them only, evenly spread.
    other_day : bool
        As for `PairCrops`; which day depends on the number of the window alone.

    Notes
    -----
    Samples are as those of `PairCrops`, and windows fill their squares.
    """

    def __init__(
        self,
        cache: PairCache,
        indices: Sequence[int],
        window: int = 512,
        stride: int = 256,
        *,
        most: int | None = None,
        other_day: bool = False,
    ) -> None:
        self.cache, self.window, self.other_day = cache, window, other_day
        self.series = _series(cache, indices)
        places = []
        for index in indices:
            height, width = cache.shape(index)
            for row in range(0, max(height - window, 0) + 1, stride):
                for column in range(0, max(width - window, 0) + 1, stride):
                    places.append((int(index), row, column))
        if most is not None and len(places) > most:
            places = [places[i * len(places) // most] for i in range(most)]
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, number: int) -> Sample:
        """Return a sample."""
        index, *corner = self.places[number]
        glacier, side = self.cache.glaciers[index], self.window
        sample = {
            "radar": _cut(self.cache.radar[index], corner, side, side),
            "optical": _cut(self.cache.optical[glacier], corner, side, side),
            "side": torch.tensor(side),
            "flip": torch.zeros(2, dtype=torch.bool),
            "number": torch.tensor(number),
        }
        if self.other_day:
            other = _other(self.series[glacier], index, np.random.default_rng((3, number)))
            sample["other"] = _cut(self.cache.radar[other], corner, side, side)
        return sample


def _series(cache: PairCache, indices: Sequence[int]) -> dict[str, np.ndarray]:
    """Numbers of the images of each glacier."""
    found: dict[str, list[int]] = {}
    for index in indices:
        found.setdefault(cache.glaciers[index], []).append(int(index))
    return {glacier: np.asarray(numbers) for glacier, numbers in found.items()}


def _other(series: np.ndarray, index: int, rng: np.random.Generator) -> int:
    """Another image of a series; the same where there is no other."""
    others = series[series != index] if len(series) > 1 else series
    return int(others[rng.integers(len(others))])


@lru_cache(maxsize=2)
def _shuffled(seed: int, turn: int, count: int) -> np.ndarray:
    """Order of the images in one turn; an epoch needs a few, and workers stay within one."""
    return np.random.default_rng((seed, 0, turn)).permutation(count)


def _start(size: int, window: int, rng: np.random.Generator) -> int:
    """First row or column of the window; negative where the image is smaller."""
    return int(rng.integers(min(0, size - window), max(0, size - window) + 1))


def _cut(block: Block, corner: Sequence[int], side: int, window: int) -> Tensor:
    """Copy a square of `side` pixels into the upper left of one of `window`, uint8 (C, S, S)."""
    channels, *sizes = block.shape
    out = torch.zeros((channels, window, window), dtype=torch.uint8)
    source, target = [slice(None)], [slice(None)]
    for start, size in zip(corner, sizes, strict=True):
        first, last = max(start, 0), min(start + side, size)
        if first >= last:
            return out
        source.append(slice(first, last))
        target.append(slice(first - start, last - start))
    out.numpy()[tuple(target)] = block.mapped()[tuple(source)]
    return out
