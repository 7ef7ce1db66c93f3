"""Images and zones for training: their cache, and random crops from it.

Which crops are drawn depends on the seed alone, not on the number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset, Sampler

from icefront.datasets.caffe import CaffeDataset
from icefront.datasets.image_cache import Block, SourceImage, cache_home, cached_images


@dataclass(frozen=True)
class ZoneCache:
    """Decoded images and zones of a data set.

    Attributes
    ----------
    blocks : tuple of Block
        (2, H, W) each: grey values and class codes.
    names : tuple of str
    """

    blocks: tuple[Block, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return image and zones, as `arrays` does."""
        return self.arrays(index)

    def arrays(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return image and zones, uint8 (H, W) each, read-only views of the file."""
        image, zones = self.blocks[index].mapped(keep_open=True)
        return image, zones


def build_zone_cache(
    dataset: CaffeDataset, folder: Path | None = None, *, progress: bool = True
) -> ZoneCache:
    """Open the cache of a data set; see `icefront.datasets.image_cache.cached_images`.

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
    settings = ("clean_labels",) if dataset.clean_labels else ()
    sources = [
        SourceImage(
            (sample.image, sample.zones),
            (2, *sample.shape),
            lambda i=i: np.stack([dataset.image(i), dataset.zones(i)]),  # type: ignore[misc]
            settings,
        )
        for i, sample in enumerate(dataset.samples)
    ]
    home = cache_home(folder, "caffe", dataset.root)
    blocks, _ = cached_images(sources, home, progress=progress)
    return ZoneCache(blocks, tuple(dataset.names))


Scenes = Sequence[tuple[np.ndarray, np.ndarray]] | ZoneCache
"""Images and zones, uint8 (H, W) each."""


class CropDataset(Dataset[tuple[Tensor, Tensor]]):
    """Crop number *n* of an endless sequence that depends on the seed alone.

    Parameters
    ----------
    cache : ZoneCache
    indices : sequence of int
        Images that are drawn from, all with the same probability.
    window : int
        Side of the crops that come out, in pixels.
    zoom, zoom_probability
        With this probability the side of the crop is `window` times a factor from this range
        (uniform in its logarithm), resized to `window`.
    seed : int
    other_scenes : sequence of (fraction, scenes)
        Scenes beside them (mosaics, simulated ones), and the fraction of the crops that is
        drawn from each kind. Scenes are (image, zones), uint8 each, of any size.

    Notes
    -----
    Where an image is smaller than the crop, the rest is no data, and the image lies anywhere in
    it: scenes of any size and edges of swaths look like that to the network.
    """

    def __init__(
        self,
        cache: ZoneCache,
        indices: Sequence[int],
        window: int,
        *,
        zoom: tuple[float, float] = (1.0, 1.0),
        zoom_probability: float = 0.0,
        seed: int = 0,
        other_scenes: Sequence[tuple[float, Scenes]] = (),
    ) -> None:
        self.other_scenes = [(part, scenes) for part, scenes in other_scenes if part > 0 and scenes]
        self.cache, self.indices, self.window = cache, list(indices), window
        self.zoom, self.zoom_probability, self.seed = zoom, zoom_probability, seed

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Choose an image of the data set or another scene."""
        place = rng.random()
        for fraction, scenes in self.other_scenes:
            if place < fraction:
                return scenes[int(rng.integers(len(scenes)))]
            place -= fraction
        return self.cache.arrays(self.indices[rng.integers(len(self.indices))])

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Return image float32 (1, S, S) in 0..1 (0: no data) and zones int64 (S, S)."""
        rng = np.random.default_rng((self.seed, number))
        image, zones = self._draw(rng)
        side = self.window
        if rng.random() < self.zoom_probability:
            low, high = (math.log(z) for z in self.zoom)
            side = max(8, round(self.window * math.exp(rng.uniform(low, high))))
        corner = random_corner(image.shape, side, rng)
        x = torch.from_numpy(cut_square(image, corner, side)).float()[None, None] / 255
        z = torch.from_numpy(cut_square(zones, corner, side))[None, None]
        if side != self.window:
            size = (self.window, self.window)
            x = F.interpolate(
                x, size, mode="bilinear", align_corners=False, antialias=side > self.window
            )
            z = F.interpolate(z, size, mode="nearest")
        return x[0], z[0, 0].long()


def random_corner(shape: tuple[int, int], side: int, rng: np.random.Generator) -> tuple[int, int]:
    """Draw the first row and column of a square; negative where the image is smaller than it."""
    row, column = (
        int(rng.integers(min(0, size - side), max(0, size - side) + 1)) for size in shape
    )
    return row, column


def cut_square(
    image: np.ndarray, corner: Sequence[int], side: int, window: int | None = None
) -> np.ndarray:
    """Copy a square out of an image, with zeros (no data) where there is no image.

    Parameters
    ----------
    image : (..., H, W)
    corner : (int, int)
        First row and column; may lie outside.
    side : int
        Of the square, in pixels.
    window : int, optional
        Side of the array that is returned, whose upper left the square fills; `side` by default.

    Returns
    -------
    (..., window, window)
        A copy, of the image's dtype.
    """
    window = side if window is None else window
    out = np.zeros((*image.shape[:-2], window, window), image.dtype)
    source, target = [], []
    for start, size in zip(corner, image.shape[-2:], strict=True):
        first, last = max(start, 0), min(start + side, size)
        if first >= last:
            return out
        source.append(slice(first, last))
        target.append(slice(first - start, last - start))
    out[..., target[0], target[1]] = image[..., source[0], source[1]]
    return out


class EpochSampler(Sampler[int]):
    """Numbers of the crops of an epoch: each epoch goes on where the last one ended.

    Lightning calls `set_epoch`, so that a resumed run draws what an uninterrupted one would.
    Under several processes each takes every n-th number.
    """

    def __init__(self, length: int, rank: int = 0, world: int = 1) -> None:
        self.length, self.rank, self.world, self.epoch = length, rank, world, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose numbers come next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        first = self.epoch * self.length
        return iter(range(first + self.rank, first + self.length, self.world))

    def __len__(self) -> int:
        return len(range(self.rank, self.length, self.world))
