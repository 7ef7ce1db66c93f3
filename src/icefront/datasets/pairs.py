"""Pairs of radar and optical images for pretraining: their cache, and crops from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from icefront.datasets.crops import cut_square, random_corner
from icefront.datasets.image_cache import Block, SourceImage, cache_home, cached_images
from icefront.datasets.ssl4sar import CHANNELS, Ssl4SarArchive, read_optical, read_radar


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


def build_pair_cache(
    archive: Ssl4SarArchive, folder: Path | None = None, *, progress: bool = True
) -> PairCache:
    """Open the cache of an archive; see `icefront.datasets.image_cache.cached_images`.

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
    shapes = {image.glacier: image.shape for image in archive.images}
    optical = [
        SourceImage((path,), (len(CHANNELS), *shapes[glacier]), lambda p=path: read_optical(p))  # type: ignore[misc]
        for glacier, path in archive.optical.items()
    ]
    radar = [
        SourceImage((image.path,), (1, *image.shape), lambda p=image.path: read_radar(p)[None])  # type: ignore[misc]
        for image in archive.images
    ]
    home = cache_home(folder, "ssl4sar", archive.root)
    blocks, fingerprint = cached_images([*optical, *radar], home, progress=progress)
    return PairCache(
        blocks[len(optical) :],
        dict(zip(archive.optical, blocks, strict=False)),
        tuple(image.glacier for image in archive.images),
        fingerprint,
    )


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
        Probability of a flip, for each axis by itself.
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
        outer = random_corner(self.cache.shape(index), self.window, rng)
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
        Largest number of windows, evenly distributed over the images.
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


def _cut(block: Block, corner: Sequence[int], side: int, window: int) -> Tensor:
    """Copy a square of `side` pixels into the upper left of one of `window`, uint8 (C, S, S)."""
    return torch.from_numpy(cut_square(block.mapped(), corner, side, window))
