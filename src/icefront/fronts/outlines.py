"""Outlines of glaciers as evidence: ice outside of them ends at a shore, not at a front."""

from __future__ import annotations

import numpy as np
from rasterio.features import rasterize
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from icefront.scenes.scene import Scene

INSIDE_LOG_ODDS = 2.0
"""What lies inside of an outline is front by these log odds, if nothing else speaks."""

METRES_PER_LOG_ODDS = 125.0
"""Outside, the log odds fall by one over this distance: to nothing after 250 m, since outlines are
of another date and a front may have advanced."""

INLAND_PX = 3.0
"""The outlines are asked this far on the side of the ice, in pixels of the scene."""

_FARTHEST = -6.0


def outline_log_odds(outline: BaseGeometry, scene: Scene) -> np.ndarray:
    """Return the log odds that ice at a place belongs to a glacier with this outline.

    Parameters
    ----------
    outline : Polygon or MultiPolygon
        In the coordinates of the scene.
    scene : Scene

    Returns
    -------
    float32 (H, W)
        `INSIDE_LOG_ODDS` inside; outside less by the distance, down to -6.
    """
    inside = rasterize(
        [(outline, 1)], out_shape=scene.shape, transform=scene.transform, dtype=np.uint8
    ).astype(bool)
    if not inside.any():
        return np.full(scene.shape, _FARTHEST, np.float32)
    distance = ndimage.distance_transform_edt(~inside, sampling=scene.grid.sides_m or (1.0, 1.0))
    if scene.grid.sides_m is None:
        distance = distance * (METRES_PER_LOG_ODDS / INLAND_PX)  # a pixel for each
    found = INSIDE_LOG_ODDS - distance / METRES_PER_LOG_ODDS
    return np.maximum(found, _FARTHEST).astype(np.float32)


def inland(line: np.ndarray) -> np.ndarray:
    """Move the vertices of a line to the side of the ice, which is on its left on the image.

    Parameters
    ----------
    line : float (N, 2)
        (row, column).

    Returns
    -------
    float (N, 2)
    """
    along = np.gradient(ndimage.gaussian_filter1d(line, 4.0, axis=0, mode="nearest"), axis=0)
    along /= np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    # On the image rows run down: left of (row, column) is (-column, row).
    return line + INLAND_PX * np.stack([-along[:, 1], along[:, 0]], axis=1)
