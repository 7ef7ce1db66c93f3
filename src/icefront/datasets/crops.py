"""Random crops of cached images for training, reproducible whatever the number of workers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset, Sampler

from icefront.datasets.image_cache import ZoneCache


class CropDataset(Dataset[tuple[Tensor, Tensor]]):
    """Crop number *n* of an endless sequence that depends on the seed alone.

    Parameters
    ----------
    cache : ZoneCache
    indices : sequence of int
        Images that are drawn from, all with the same chance.
    window : int
        Side of the crops that come out, in pixels.
    zoom, zoom_chance
        With this chance the side of the crop is `window` times a factor from this range
        (uniform in its logarithm), resized to `window`.
    seed : int
    made : sequence of (share, scenes)
        Other scenes beside them (mosaics, simulated ones), and the share of the crops that is
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
        zoom_chance: float = 0.0,
        seed: int = 0,
        made: Sequence[tuple[float, Sequence[tuple[np.ndarray, np.ndarray]]]] = (),
    ) -> None:
        self.made = [(share, scenes) for share, scenes in made if share > 0 and scenes]
        self.cache, self.indices, self.window = cache, list(indices), window
        self.zoom, self.zoom_chance, self.seed = zoom, zoom_chance, seed

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Choose a scene, made or real."""
        place = rng.random()
        for share, scenes in self.made:
            if place < share:
                return scenes[int(rng.integers(len(scenes)))]
            place -= share
        return self.cache.arrays(self.indices[rng.integers(len(self.indices))])

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Return image float32 (1, S, S) in 0..1 (0: no data) and zones int64 (S, S)."""
        rng = np.random.default_rng((self.seed, number))
        image, zones = self._draw(rng)
        side = self.window
        if rng.random() < self.zoom_chance:
            low, high = (math.log(z) for z in self.zoom)
            side = max(8, round(self.window * math.exp(rng.uniform(low, high))))
        corner = [_start(size, side, rng) for size in image.shape]
        x = torch.from_numpy(_cut(image, corner, side)).float()[None, None] / 255
        z = torch.from_numpy(_cut(zones, corner, side))[None, None]
        if side != self.window:
            size = (self.window, self.window)
            x = F.interpolate(
                x, size, mode="bilinear", align_corners=False, antialias=side > self.window
            )
            z = F.interpolate(z, size, mode="nearest")
        return x[0], z[0, 0].long()


def _start(size: int, side: int, rng: np.random.Generator) -> int:
    """First row or column of the crop; negative where the image is smaller than the crop."""
    return int(rng.integers(min(0, size - side), max(0, size - side) + 1))


def _cut(array: np.ndarray, corner: Sequence[int], side: int) -> np.ndarray:
    """Cut a square, with zeros (no data) where there is no image."""
    out = np.zeros((side, side), array.dtype)
    source, target = [], []
    for start, size in zip(corner, array.shape, strict=True):
        first, last = max(start, 0), min(start + side, size)
        source.append(slice(first, last))
        target.append(slice(first - start, last - start))
    out[tuple(target)] = array[tuple(source)]
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
