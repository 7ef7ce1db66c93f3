"""The walls of a fjord: where what is usually rock meets ice and water."""

from __future__ import annotations

from functools import partial

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry
from skimage.measure import find_contours

from icefront.grid import Grid
from icefront.zones import GLACIER, NO_DATA, OCEAN, ROCK

_SHORT_PX = 12
"""Pieces that are shorter are left out, in pixels."""


def walls_of(usual: np.ndarray, grid: Grid) -> list[BaseGeometry]:
    """Return the boundary of what is usually rock against ice and water, in pieces.

    Parameters
    ----------
    usual : float (4, H, W)
        Mean zone probabilities of the dates.
    grid : Grid
        On which they are.

    Returns
    -------
    list of LineString
        In the CRS of the grid.
    """
    excess = usual[ROCK] - np.maximum(usual[GLACIER], usual[OCEAN])
    seen = usual[NO_DATA] < 0.5
    lines = []
    for piece in find_contours(excess, 0.0, mask=seen):
        if len(piece) < _SHORT_PX:
            continue
        x, y = grid.xy(piece[:, 0], piece[:, 1])
        line = shapely.LineString(np.stack([x, y], axis=1)).simplify(grid.side_on_map / 4)
        lines.append(shapely.transform(line, partial(np.round, decimals=1)))
    return lines
