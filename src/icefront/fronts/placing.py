"""Where pixels of a scene lie on the map (or in the file, for a scene without CRS)."""

from __future__ import annotations

import numpy as np
import shapely
from affine import Affine

from icefront.scenes.scene import Scene


def on_map(transform: Affine, xy: np.ndarray) -> np.ndarray:
    """Apply a transform to points (N, 2) of column and row, counted from the upper left corner."""
    a, b, c, d, e, f = transform[:6]
    column, row = xy[:, 0], xy[:, 1]
    return np.stack([a * column + b * row + c, d * column + e * row + f], axis=1)


def outline(scene: Scene) -> shapely.Polygon:
    """The border of a scene's grid, in its CRS (in pixels of the file where it has none)."""
    rows, columns = scene.shape
    corners = np.array([(0, 0), (columns, 0), (columns, rows), (0, rows)], dtype=np.float64)
    return shapely.Polygon(on_map(scene.transform, corners))


def side_on_map(scene: Scene) -> float:
    """Side of a pixel in the unit of the map, or in pixels of the file."""
    return float(np.sqrt(abs(scene.transform.determinant)))
