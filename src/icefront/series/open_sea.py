"""Water that is not the sea: lakes, shadows, gaps in the ice that a pass through time fills."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from icefront.zones import GLACIER, NO_DATA, OCEAN, likeliest

LEAST_FRACTION = 0.1
"""The open sea is where at least this fraction of the dates with data shows ocean."""

_EIGHT = np.ones((3, 3), bool)


def open_sea(probabilities: Any) -> np.ndarray:
    """Find the open sea of a glacier: the largest connected region that is ocean again and again.

    Parameters
    ----------
    probabilities : float or uint8 (T, 4, H, W)
        Smoothed; sliced as ``[date, :, rows]``.

    Returns
    -------
    bool (H, W)
        False everywhere where no place is ocean often enough.
    """
    height, width = probabilities.shape[2:]
    ocean, seen = np.zeros((height, width), int), np.zeros((height, width), int)
    for index in range(probabilities.shape[0]):
        zones = likeliest(probabilities[index, :, slice(0, height)])
        ocean += zones == OCEAN
        seen += zones != NO_DATA
    regions, count = ndimage.label(ocean > LEAST_FRACTION * seen, _EIGHT)
    if not count:
        return np.zeros((height, width), bool)
    weight = ndimage.sum_labels(ocean, regions, np.arange(1, count + 1))
    return np.asarray(regions == 1 + int(np.argmax(weight)))


def without_lakes(probabilities: np.ndarray, sea: np.ndarray) -> np.ndarray | None:
    """Give the water of a date that nowhere touches the open sea to the glacier.

    A front is drawn before the largest water of a date. In a date without data in its fjord, or
    with a narrow strip of sea, a lake or a shadow may be larger.

    Parameters
    ----------
    probabilities : float or uint8 (4, H, W)
    sea : bool (H, W)
        From `open_sea`.

    Returns
    -------
    array like `probabilities`, or None
        None if there is no such water.
    """
    waters, count = ndimage.label(likeliest(probabilities) == OCEAN, _EIGHT)
    reached = np.zeros(count + 1, bool)
    reached[waters[sea]] = True
    reached[0] = True
    if reached.all() or not sea.any():
        return None
    lakes = ~reached[waters]
    changed = probabilities.copy()
    changed[GLACIER, lakes] += changed[OCEAN, lakes]
    changed[OCEAN, lakes] = 0
    return changed
