"""A torch data set of made scenes, drawn on the fly: nothing is read from or written to a disk."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from icefront.simulation.samples import random_image


class SimulatedScenes(Dataset[tuple[Tensor, Tensor]]):
    """An endless supply of made scenes with their zones, squeezed to one size.

    Parameters
    ----------
    length : int
        How many the data set says it has; number `n` is always the same scene.
    window : int
        Side of what is given out, in pixels.
    seed : int
    per_glacier : int
        So many scenes in a row show one glacier; making a new one costs as much as some scenes.

    Examples
    --------
    >>> from icefront.simulation.stream import SimulatedScenes
    >>> image, zones = SimulatedScenes(10, window=64)[0]
    >>> image.shape, zones.shape
    (torch.Size([1, 64, 64]), torch.Size([64, 64]))
    """

    def __init__(
        self, length: int, *, window: int = 256, seed: int = 0, per_glacier: int = 8
    ) -> None:
        self.length, self.window, self.seed, self.per_glacier = length, window, seed, per_glacier

    def __len__(self) -> int:
        return self.length

    def arrays(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Grey values and zone codes of a scene, uint8 (S, S) each."""
        image, zones = self[number]
        return (image[0] * 255).round().byte().numpy(), zones.byte().numpy()

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Return image float32 (1, S, S) in 0..1 (0: no data) and zones int64 (S, S)."""
        if not 0 <= number < self.length:
            raise IndexError(number)
        made = random_image(number, self.seed, pixels=2 * self.window, per_glacier=self.per_glacier)
        size = (self.window, self.window)
        grey = torch.from_numpy(made.grey).float()[None, None] / 255
        # Half of the pixels, at least, must have data for a pixel to have it.
        seen = F.interpolate((grey > 0).float(), size, mode="area")
        image = F.interpolate(grey, size, mode="area") / seen.clamp(min=0.5)
        zones = F.interpolate(torch.from_numpy(made.zones)[None, None], size, mode="nearest-exact")
        gap = seen < 0.5
        image[gap], zones[gap] = 0, 0
        return image[0].clamp(max=1), zones[0, 0].long()
