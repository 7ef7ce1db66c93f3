"""Which part of a scene is needed where the area of the front is known.

That is the area of interest and around it what the network looks at: the margin between its window
and its target, and at least one window. Most of a large scene is neither warped nor predicted.
"""

from __future__ import annotations

import math

import numpy as np
import shapely

from icefront.fronts.area_of_interest import AreaOfInterest, area_in_scene
from icefront.grid import Grid
from icefront.models.card import ModelCard
from icefront.scenes.scene import Scene

SPARED_AT_LEAST = 0.1
"""Fraction of the pixels of a scene; where less would be spared, the whole scene is taken."""


def needed_part(
    area: AreaOfInterest, grid: Grid, card: ModelCard, name: str
) -> tuple[slice, slice] | None:
    """Return the rows and columns of a scene that the front in an area needs.

    Parameters
    ----------
    area : polygons
        As for `icefront.fronts.area_of_interest.area_in_scene`.
    grid : Grid
        Of the scene.
    card : ModelCard
        Of the network; its margin and window count in the pixels that it sees.
    name : str
        Of the scene, for messages.

    Returns
    -------
    (slice, slice) or None
        The part begins on the lattice of the network's windows over the whole scene, but for
        rounding to pixels of the scene. None where it is about the whole.

    Raises
    ------
    IcefrontError
        If the area does not touch the scene.
    """
    nothing = np.broadcast_to(np.float32(0), grid.shape)
    inside = area_in_scene(
        area, Scene(nothing, grid.transform, grid.crs, grid.pixel_size_m, name=name)
    )
    corners = shapely.get_coordinates(inside)
    places = np.stack(grid.rowcol(corners[:, 0], corners[:, 1]), axis=1) + 0.5
    sides = grid.sides_m
    parts = []
    for axis, length in enumerate(grid.shape):
        scale = 1.0
        if card.pixel_size_m is not None and sides is not None:
            scale = card.pixel_size_m / sides[axis]
        first, last = places[:, axis].min() / scale, places[:, axis].max() / scale
        parts.append(_span(first, last, length, scale, card))
    rows, columns = parts
    pixels = (rows.stop - rows.start) * (columns.stop - columns.start)
    if pixels > (1 - SPARED_AT_LEAST) * grid.height * grid.width:
        return None
    return rows, columns


def _span(first: float, last: float, length: int, scale: float, card: ModelCard) -> slice:
    """Return what an axis of `length` pixels needs around pixels of the network, in its pixels."""
    margin = (card.window - card.target) // 2
    end = length / scale
    low, high = first - margin, last + margin
    # At the edge of the scene there is nothing more: then the window reaches further inside.
    lacking = max(0.0, card.window - (high - low)) / 2
    low, high = low - lacking, high + lacking
    low = max(0.0, min(low, end - card.window))
    low = math.floor(low / card.stride) * card.stride
    high = min(end, max(high, low + card.window))
    return slice(round(low * scale), min(length, math.ceil(high * scale - 1e-6)))
