"""Cleaning of zone maps: one ocean, no holes in it (CaFFe protocol)."""

from __future__ import annotations

import numpy as np

from icefront.errors import IcefrontError
from icefront.fronts.components import components
from icefront.zones import GLACIER, N_ZONES, OCEAN


def clean_zones(zones: np.ndarray) -> np.ndarray:
    """Fill holes in the ocean, then keep only the largest ocean.

    Every 8-connected component of non-ocean but the largest becomes ocean; then every 8-connected
    component of ocean but the largest becomes glacier. Among components of equal area the first in
    reading order is the largest. Cleaning twice changes nothing more.

    Parameters
    ----------
    zones : integer (H, W)
        Class codes 0 no data, 1 rock, 2 glacier, 3 ocean.

    Returns
    -------
    uint8 (H, W)
        The cleaned zones; a copy.

    Raises
    ------
    IcefrontError
        If `zones` is not a two-dimensional array of class codes 0 to 3.

    Notes
    -----
    The evaluation protocol of CaFFe: Gourmelon et al. 2022, doi:10.5194/essd-14-4287-2022.
    """
    cleaned = checked_zones(zones).copy()
    flat = cleaned.reshape(-1)
    land = components(cleaned != OCEAN)
    flat[land.pixels(np.arange(land.count) != land.largest)] = OCEAN
    ocean = components(cleaned == OCEAN)
    flat[ocean.pixels(np.arange(ocean.count) != ocean.largest)] = GLACIER
    return cleaned


def checked_zones(zones: np.ndarray) -> np.ndarray:
    """Return zones as contiguous uint8 (H, W); refuse what is no class code.

    Raises
    ------
    IcefrontError
        If `zones` is not a two-dimensional array of class codes 0 to 3.
    """
    zones = np.asarray(zones)
    if zones.ndim != 2 or zones.dtype.kind not in "iu":
        raise IcefrontError(
            f"Zones must be a two-dimensional array of integers, not {zones.dtype} of shape "
            f"{zones.shape}; take the argmax of zone probabilities first."
        )
    if zones.size and (zones.max() >= N_ZONES or zones.min() < 0):
        raise IcefrontError(
            f"Zones must be class codes 0 to {N_ZONES - 1}, but {int(zones.min())} to "
            f"{int(zones.max())} occur; translate grey values with icefront.zones.GREY_TO_ZONE."
        )
    return np.ascontiguousarray(zones, dtype=np.uint8)
