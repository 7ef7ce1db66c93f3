"""Front pixels of a zone map and the distances between two fronts (CaFFe protocol)."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from icefront.errors import IcefrontError
from icefront.fronts.cleaning import clean_zones
from icefront.fronts.minimum_length import MIN_LENGTH_M, drop_short_pieces
from icefront.grid import mean_side, pixel_sides
from icefront.zones import GLACIER, OCEAN


def front_pixels(
    zones: np.ndarray,
    pixel_size_m: float | tuple[float, float],
    min_length_m: float = MIN_LENGTH_M,
) -> np.ndarray:
    """Find the front: ocean pixels beside the glacier, without short pieces.

    The zones are cleaned first (`clean_zones`, which leaves clean zones as they are). Front is an
    ocean pixel with a glacier pixel above, below, left or right of it. 8-connected pieces of no
    more than ``min_length_m / pixel_size_m`` pixels are dropped.

    Parameters
    ----------
    zones : integer (H, W)
        Class codes 0 to 3.
    pixel_size_m : float or (float, float)
        Side of a pixel in metres, or (rows, columns); for a pixel that is not square its length
        is that of the square of the same area. Give 1 to measure in pixels.
    min_length_m : float
        Length up to which a piece is dropped, in metres (in pixels where a pixel has size 1; 12
        is usual there).

    Returns
    -------
    bool (H, W)
        The front.

    Raises
    ------
    IcefrontError
        If `zones` are not class codes or the pixel size is not positive.

    Notes
    -----
    The evaluation protocol of CaFFe: Gourmelon et al. 2022, doi:10.5194/essd-14-4287-2022.
    """
    side = mean_side(pixel_size_m)
    cleaned = clean_zones(zones)
    glacier, ocean = cleaned == GLACIER, cleaned == OCEAN
    front = np.zeros(cleaned.shape, dtype=bool)
    front[1:] |= glacier[:-1]
    front[:-1] |= glacier[1:]
    front[:, 1:] |= glacier[:, :-1]
    front[:, :-1] |= glacier[:, 1:]
    front &= ocean
    return drop_short_pieces(front, min_length_m / side)


def blank_outside(front: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """Blank the front outside of a bounding box.

    Parameters
    ----------
    front : bool (H, W)
        The front.
    rows, columns : slice
        The box, half open.

    Returns
    -------
    bool (H, W)
        A copy.
    """
    inside = np.zeros(front.shape, dtype=bool)
    inside[rows, columns] = front[rows, columns]
    return inside


def distance_errors(
    predicted: np.ndarray, true: np.ndarray, pixel_size_m: float | tuple[float, float]
) -> np.ndarray:
    """Measure all distances between two fronts, both ways.

    Parameters
    ----------
    predicted, true : bool or integer (H, W)
        Two fronts on the same grid; pixels that are not 0 are front.
    pixel_size_m : float or (float, float)
        Side of a pixel in metres, or (rows, columns).

    Returns
    -------
    float64 (P + T,)
        In metres: from every predicted pixel to the nearest true one, then from every true pixel to
        the nearest predicted one. Empty if either front is.

    Raises
    ------
    IcefrontError
        If the fronts differ in shape or the pixel size is not positive.

    Notes
    -----
    Exact, by a k-d tree on the front pixels: a front is a curve, so that time and memory follow the
    length of the fronts and not the area of the scene, as they would with a distance transform.
    """
    sides = pixel_sides(pixel_size_m)
    predicted, true = np.asarray(predicted), np.asarray(true)
    if predicted.shape != true.shape or predicted.ndim != 2:
        raise IcefrontError(
            f"Fronts must be masks of the same grid, but the predicted one is {predicted.shape} "
            f"and the true one {true.shape}."
        )
    a, b = _coordinates(predicted, sides), _coordinates(true, sides)
    if len(a) == 0 or len(b) == 0:
        return np.empty(0, dtype=np.float64)
    # Points on a grid share coordinates: splitting cells at the middle is faster than at medians.
    to_true = KDTree(b, balanced_tree=False, compact_nodes=False).query(a)[0]
    to_predicted = KDTree(a, balanced_tree=False, compact_nodes=False).query(b)[0]
    return np.concatenate([to_true, to_predicted])


def _coordinates(front: np.ndarray, sides: tuple[float, float]) -> np.ndarray:
    rows, columns = np.divmod(np.flatnonzero(front), front.shape[1])
    return np.stack([rows * sides[0], columns * sides[1]], axis=1)
