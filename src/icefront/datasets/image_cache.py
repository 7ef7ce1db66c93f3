"""A decoded copy of images and zones in two flat memory-mapped files.

Decoding PNGs for every crop would starve a GPU, and holding a data set in memory does not scale.
The cache is written once; every worker maps the same pages, and the operating system keeps those
that are in use.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from icefront.datasets.caffe import CaffeDataset
from icefront.errors import IcefrontError

_VERSION = 1


def default_cache_folder() -> Path:
    """Folder for caches: ``ICEFRONT_CACHE``, else the user's cache folder."""
    given = os.environ.get("ICEFRONT_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(given) if given else (Path(base) if base else Path.home() / ".cache") / "icefront"


@dataclass(frozen=True)
class ZoneCache:
    """Images and zones of a data set, mapped from disk.

    Attributes
    ----------
    folder : Path
        Where ``images.bin``, ``zones.bin`` (uint8, one image after the other) and
        ``index.json`` lie.
    names : tuple of str
    shapes : tuple of (int, int)
    offsets : tuple of int
        First byte of each image in both files.
    """

    folder: Path
    names: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    offsets: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.names)

    def arrays(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and zones, uint8 (H, W) each, read-only views of the files."""
        shape, offset = self.shapes[index], self.offsets[index]
        size = shape[0] * shape[1]
        return tuple(  # type: ignore[return-value]
            _mapped(self.folder / file)[offset : offset + size].reshape(shape)
            for file in ("images.bin", "zones.bin")
        )


_MAPS: dict[Path, np.memmap] = {}


def _mapped(path: Path) -> np.memmap:
    """Map a file once per process (maps do not travel to workers by pickling)."""
    if path not in _MAPS:
        _MAPS[path] = np.memmap(path, np.uint8, mode="r")
    return _MAPS[path]


def _fingerprint(dataset: CaffeDataset) -> str:
    facts: list[object] = [_VERSION, dataset.mend]
    for sample in dataset.samples:
        for path in (sample.image, sample.zones):
            stat = path.stat()
            facts.append([str(path.resolve()), stat.st_size, stat.st_mtime_ns])
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:20]


def build_cache(
    dataset: CaffeDataset, folder: Path | None = None, *, progress: bool = True
) -> ZoneCache:
    """Open the cache of a data set, writing it first where it is missing or out of date.

    Parameters
    ----------
    dataset : CaffeDataset
    folder : Path, optional
        Parent of all caches; `default_cache_folder()` otherwise.
    progress : bool
        Show a bar while decoding.

    Raises
    ------
    IcefrontError
        If an image or label is damaged, or the disk is full.
    """
    home = (folder or default_cache_folder()) / f"zones-{_fingerprint(dataset)}"
    index = home / "index.json"
    if not index.is_file():
        _write(dataset, home, progress)
    try:
        facts = json.loads(index.read_text())
        cache = ZoneCache(
            home,
            tuple(facts["names"]),
            tuple((h, w) for h, w in facts["shapes"]),
            tuple(facts["offsets"]),
        )
    except (ValueError, KeyError, OSError) as error:
        raise IcefrontError(f"The cache {home} is damaged ({error}); delete it.") from error
    return cache


def _write(dataset: CaffeDataset, home: Path, progress: bool) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        shapes: list[tuple[int, int]] = []
        offsets: list[int] = []
        end = 0
        suffix = f".{os.getpid()}.part"
        parts = {name: home / (name + suffix) for name in ("images.bin", "zones.bin")}
        with parts["images.bin"].open("wb") as images, parts["zones.bin"].open("wb") as zones:
            for i in track(range(len(dataset)), "Decoding", disable=not progress, transient=True):
                image, label = dataset.image(i), dataset.zones(i)
                if image.shape != label.shape:
                    raise IcefrontError(
                        f"{dataset.names[i]}: image {image.shape} and zones {label.shape} differ."
                    )
                images.write(image.tobytes())
                zones.write(label.tobytes())
                shapes.append((int(image.shape[0]), int(image.shape[1])))
                offsets.append(end)
                end += image.size
        for name, part in parts.items():
            os.replace(part, home / name)
        text = home / f"index.json{suffix}"
        text.write_text(json.dumps({"names": dataset.names, "shapes": shapes, "offsets": offsets}))
        os.replace(text, home / "index.json")
    except OSError as error:
        raise IcefrontError(
            f"The cache {home} could not be written ({error.strerror}); free some space or set "
            "ICEFRONT_CACHE to another folder."
        ) from error
    finally:
        for part in home.glob(f"*.{os.getpid()}.part"):
            part.unlink(missing_ok=True)
