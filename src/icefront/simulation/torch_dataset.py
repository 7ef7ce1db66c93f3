"""A torch data set of simulated scenes, drawn on the fly without touching the disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from icefront.datasets.crops import ZoneCache
from icefront.datasets.image_cache import SourceImage, cached_images
from icefront.simulation.samples import random_image
from icefront.zones import NO_DATA


class SimulatedScenes(Dataset[tuple[Tensor, Tensor]]):
    """An endless supply of simulated scenes with their zones, squeezed to one size.

    Parameters
    ----------
    length : int
        How many the data set says it has; number `n` is always the same scene.
    window : int
        Side of what is given out, in pixels.
    seed : int
    per_glacier : int
        Number of scenes in a row that show one glacier; simulating another takes as long as a few
        scenes.

    Examples
    --------
    >>> from icefront.simulation.torch_dataset import SimulatedScenes
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
        every = torch.from_numpy(made.zones)[None, None]
        zones = F.interpolate(every, size, mode="nearest-exact")
        gap = seen < 0.5
        # A pixel with data has a class, even if the cell nearest to its middle has none.
        some = F.adaptive_max_pool2d(every.float(), size).to(zones.dtype)
        zones = torch.where(zones == NO_DATA, some, zones)
        image[gap], zones[gap] = 0, NO_DATA
        return image[0].clamp(max=1), zones[0, 0].long()


def _fingerprint(scenes: SimulatedScenes) -> str:
    """Tell the scenes by what they are made with: their numbers, and the simulator itself."""
    facts = hashlib.sha256(
        f"{scenes.length} {scenes.window} {scenes.seed} {scenes.per_glacier}".encode()
    )
    for module in sorted(Path(__file__).parent.glob("*.py")):
        facts.update(module.read_bytes())
    return facts.hexdigest()[:20]


def kept_scenes(scenes: SimulatedScenes, folder: Path, *, progress: bool = True) -> ZoneCache:
    """Simulate all scenes of a data set, or open the cache in which they are kept.

    Parameters
    ----------
    scenes : SimulatedScenes
    folder : Path
        Of caches; see `icefront.datasets.image_cache.cached_images`.
    progress : bool

    Returns
    -------
    ZoneCache
        Image and zones of each scene, uint8 (S, S).

    Raises
    ------
    IcefrontError
        If they cannot be written.
    """
    key, shape = _fingerprint(scenes), (2, scenes.window, scenes.window)
    sources = [
        SourceImage((), shape, lambda n=number: np.stack(scenes.arrays(n)), (key,), f"{number:06d}")  # type: ignore[misc]
        for number in range(len(scenes))
    ]
    home = folder / f"simulated-{key}"
    blocks, _ = cached_images(sources, home, progress=progress, title="Simulating")
    return ZoneCache(blocks, tuple(source.label for source in sources))
