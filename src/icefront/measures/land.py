"""Where there is land, coarsely: enough to tell inland from the sea at a glacier's front.

``land.tif`` holds the land of GLOBE 1.0 poleward of 40° on a grid of 1/60° by 1/30°, by way of
the package global-land-mask (MIT). Its coasts are one to three kilometres off and decades old.

References
----------
Hastings, D. A. & Dunbar, P. K. (1999), Global Land One-kilometer Base Elevation (GLOBE), NOAA.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from pyproj import CRS, Transformer

_MAP = Path(__file__).with_name("land.tif")
_DISTANCES_M = np.array([3.0, 6.0, 10.0, 15.0, 22.0, 30.0, 40.0, 50.0]) * 1e3
"""Beyond what coasts are off by, and to where fjords of any length end."""
_ANGLES = np.radians([-45.0, -30.0, -15.0, 0.0, 15.0, 30.0, 45.0])


def land_difference(place: np.ndarray, direction: np.ndarray, crs: CRS) -> float:
    """Return how much more land there is in a direction than in the opposite one.

    Parameters
    ----------
    place, direction : float (2,)
        A place and a unit vector, in metres.
    crs : CRS
        Of both; its metres must be true to some per cent within 50 km.

    Returns
    -------
    float
        -1 to 1: the difference of the fractions of land of 56 places in a sector of 90° on either
        side, 3 to 50 km away.
    """
    cos, sin = np.cos(_ANGLES), np.sin(_ANGLES)
    turned = np.stack(
        [cos * direction[0] - sin * direction[1], sin * direction[0] + cos * direction[1]], axis=1
    )
    offsets = (_DISTANCES_M[:, None, None] * turned).reshape(-1, 2)
    places = np.concatenate([place + offsets, place - offsets])
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    with rasterio.open(_MAP) as raster:
        land = list(raster.sample(zip(*to_degrees.transform(*places.T), strict=True)))
    towards, away = np.array(land, float).reshape(2, -1).mean(axis=1)
    return float(towards - away)
