"""The four zones of a scene: their class codes, names, grey values on disk and colours.

Codes and grey values are those of CaFFe (Gourmelon et al. 2022, doi:10.5194/essd-14-4287-2022).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "GLACIER",
    "NO_DATA",
    "OCEAN",
    "ROCK",
    "ZONE_COLOURS",
    "ZONE_GREYS",
    "ZONE_NAMES",
    "ZoneProbabilities",
]

NO_DATA, ROCK, GLACIER, OCEAN = 0, 1, 2, 3
"""Class code of the zone."""

N_ZONES = 4

ZONE_NAMES = ("no data", "rock", "glacier", "ocean and mélange")
"""Name of each zone, by class code."""

ZONE_GREYS = (0, 64, 127, 254)
"""Grey values of the classes in CaFFe's label PNGs, by class code."""

GREY_TO_ZONE = {0: NO_DATA, 63: ROCK, 64: ROCK, 127: GLACIER, 254: OCEAN}
"""Class code of each grey value that occurs in CaFFe's label PNGs (63 and 64 both mean rock)."""

ZONE_COLOURS = ((0, 0, 0), (140, 110, 80), (200, 225, 245), (30, 90, 160))
"""RGB of each zone in maps and quicklooks, by class code."""

LOGIT_LIMIT = 6.0
"""Largest |log(P(glacier) / P(ocean))| that is told apart: beyond, a pixel is simply certain."""


class ZoneProbabilities(np.ndarray):
    """Probabilities of the zones, with the front and the pixel size at which the network worked.

    An array float32 (4, H, W) by class code like any other; slices, copies and pickles keep the
    pixel size, arrays of the same shape also the front. `numpy.asarray` gives the plain array.

    Parameters
    ----------
    values : float (4, H, W)
        The probabilities; not copied if they are float32.
    pixel_size_m : float, optional
        Side of the pixels of the grid on which the network worked, in metres.
    front : float32 (H, W), optional
        Probability that the boundary of glacier and ocean at a place is calving front.

    Attributes
    ----------
    pixel_size_m : float or None
        None if it is unknown: then the grid of the scene counts.
    front : float32 (H, W) or None
        None where the network does not tell.
    """

    pixel_size_m: float | None
    front: np.ndarray | None

    def __new__(
        cls,
        values: ArrayLike,
        pixel_size_m: float | None = None,
        front: np.ndarray | None = None,
    ) -> ZoneProbabilities:
        """Take an array for probabilities."""
        probabilities = np.asarray(values, dtype=np.float32).view(cls)
        probabilities.pixel_size_m = pixel_size_m
        probabilities.front = front
        return probabilities

    def __array_finalize__(self, source: Any) -> None:
        self.pixel_size_m = getattr(source, "pixel_size_m", None)
        same = np.shape(source) == self.shape
        self.front = getattr(source, "front", None) if same else None

    def __reduce__(self) -> tuple:
        reduced = super().__reduce__()
        assert isinstance(reduced, tuple)
        return *reduced[:2], (reduced[2], self.pixel_size_m, self.front)

    def __setstate__(self, state: Any) -> None:
        plain, self.pixel_size_m, *front = state
        self.front = front[0] if front else None
        super().__setstate__(plain)


def likeliest(probabilities: np.ndarray) -> np.ndarray:
    """Return the likeliest zone of each pixel, the first among equals.

    Parameters
    ----------
    probabilities : float (4, H, W)
        By class code.

    Returns
    -------
    uint8 (H, W)
        Zone codes; numpy's argmax would need an image of 64-bit integers.
    """
    most = np.array(probabilities[0])
    zones = np.zeros(most.shape, np.uint8)
    for code in range(1, len(probabilities)):
        zones[probabilities[code] > most] = code
        np.maximum(most, probabilities[code], out=most)
    return zones
