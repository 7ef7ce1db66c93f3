"""A front that a person drew, as evidence on its date: glacier on one side, ocean on the other."""

from __future__ import annotations

import numpy as np
import shapely
from scipy.spatial import KDTree
from shapely.geometry.base import BaseGeometry

from icefront.errors import IcefrontError
from icefront.fronts.distances import points_along
from icefront.grid import Grid
from icefront.series.evidence import SILENT
from icefront.zones import GLACIER, OCEAN, ROCK

REACH = 0.5
"""How far to either side a line speaks, as a fraction of its length."""

LEAST_CONTRAST = 0.1
"""By how much the glacier must be likelier on one side of a line than on the other."""


def zones_beside(line: BaseGeometry, grid: Grid, usual: np.ndarray) -> np.ndarray:
    """Return what a hand-drawn front says about the zones on its date.

    A place speaks if the nearest part of the line is not one of its ends and lies within half the
    length of the line: the fjord beside the front, and nothing beyond the walls at which it ends.
    Places that are rock on most dates stay out of it.

    Parameters
    ----------
    line : LineString or MultiLineString
        In the CRS of `grid`, from one wall of the fjord to the other, in any direction.
    grid : Grid
        Of the series.
    usual : float (4, H, W)
        Mean zone probabilities of all dates: they tell on which side of the line the ice is, and
        where rock is.

    Returns
    -------
    uint8 (H, W)
        Zone codes 2 and 3; 255 where the line says nothing.

    Raises
    ------
    IcefrontError
        If the line does not lie on the grid, or has no ice on one side and water on the other.
    """
    zones = np.full(grid.shape, SILENT, np.uint8)
    spacing = grid.side_on_map / 2
    best = np.full(grid.shape, np.inf)
    side = np.zeros(grid.shape, np.int8)
    reach = REACH * line.length
    rows, columns = np.indices(grid.shape)
    places = np.stack(grid.xy(rows.ravel(), columns.ravel()), axis=1)
    for part in shapely.get_parts(line):
        points = points_along(part, spacing)
        if len(points) < 3:
            continue
        distance, nearest = KDTree(points).query(places, distance_upper_bound=reach)
        inner = (nearest > 0) & (nearest < len(points) - 1)
        at = np.clip(nearest, 1, len(points) - 2)
        along = points[at + 1] - points[at - 1]
        away = places - points[at]
        left = np.sign(along[:, 0] * away[:, 1] - along[:, 1] * away[:, 0]).astype(np.int8)
        closer = (distance < best.ravel()) & (distance <= reach)
        best.ravel()[closer] = distance[closer]
        side.ravel()[closer] = np.where(inner, left, 0)[closer]
    fjord = (usual[ROCK] < np.maximum(usual[GLACIER], usual[OCEAN])) & (side != 0)
    if not ((side > 0) & fjord).any() or not ((side < 0) & fjord).any():
        raise IcefrontError("it does not cross the fjord where scenes have data")
    ice = usual[GLACIER] - usual[OCEAN]
    contrast = float(ice[fjord & (side > 0)].mean() - ice[fjord & (side < 0)].mean())
    if abs(contrast) < LEAST_CONTRAST:
        raise IcefrontError("it has neither ice on one side nor water on the other")
    ice_side = 1 if contrast > 0 else -1
    zones[fjord & (side == ice_side)] = GLACIER
    zones[fjord & (side == -ice_side)] = OCEAN
    return zones
