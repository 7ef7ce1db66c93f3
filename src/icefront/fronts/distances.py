"""Distances between two fronts drawn as lines: the mean distance error without a grid."""

from __future__ import annotations

import numpy as np
import shapely
from scipy.spatial import KDTree
from shapely.geometry.base import BaseGeometry

FINER = 8
"""A line is this many times denser where distances end than where they start."""


def points_along(line: BaseGeometry, spacing: float) -> np.ndarray:
    """Evenly spaced points of all pieces of a line, their ends among them.

    Parameters
    ----------
    line : LineString or MultiLineString
        In one projected CRS.
    spacing : float
        Largest distance of neighbours along the line, in the unit of the CRS.

    Returns
    -------
    float64 (N, 2)
        Empty for an empty line.
    """
    points = []
    for piece in shapely.get_parts(line):
        if piece.length == 0:
            continue
        count = max(2, int(np.ceil(piece.length / spacing - 1e-9)) + 1)
        points.append(evenly(piece, count))
    return np.concatenate(points) if points else np.empty((0, 2))


def evenly(piece: shapely.LineString, count: int) -> np.ndarray:
    """So many points along one line, its ends among them; float64 (count, 2)."""
    # shapely walks along the whole line for each point.
    vertices = shapely.get_coordinates(piece)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(vertices, axis=0).T))])
    places = np.linspace(0, along[-1], count)
    return np.stack([np.interp(places, along, vertices[:, axis]) for axis in (0, 1)], axis=1)


def line_distances(first: BaseGeometry, second: BaseGeometry, spacing: float) -> np.ndarray:
    """Return all distances between two lines, both ways: `distance_errors` for lines.

    Parameters
    ----------
    first, second : LineString or MultiLineString
        In one projected CRS.
    spacing : float
        Distance of the points along a line from which distances are measured, in the unit of the
        CRS; the other line is `FINER` times denser.

    Returns
    -------
    float64 (F + S,)
        From every point of the first to the second, then from every point of the second to the
        first. Empty if either line is.
    """
    starts = [points_along(line, spacing) for line in (first, second)]
    if not all(map(len, starts)):
        return np.empty(0)
    ends = [points_along(line, spacing / FINER) for line in (first, second)]
    there = KDTree(ends[1]).query(starts[0])[0]
    back = KDTree(ends[0]).query(starts[1])[0]
    return np.concatenate([there, back])


def mean_distance(first: BaseGeometry, second: BaseGeometry, spacing: float) -> float:
    """Mean distance between two lines: of points along each to the other, pooled both ways.

    Parameters
    ----------
    first, second, spacing
        As for `line_distances`.

    Returns
    -------
    float
        NaN if either line is empty.
    """
    distances = line_distances(first, second, spacing)
    return float(distances.mean()) if distances.size else float("nan")
