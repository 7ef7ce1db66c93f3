"""Polylines in pixel coordinates: joining, ordering, smoothing and thinning out.

All lines are float64 (N, 2) arrays of (row, column) in which pixel centres are whole numbers, and
have a direction; a closed line repeats its first vertex at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from scipy import ndimage
from scipy.spatial import KDTree

STEP_PX = 0.5
"""Distance of the vertices of a resampled line, in pixels."""


def length(line: np.ndarray, sides: tuple[float, float] = (1.0, 1.0)) -> float:
    """Return the length of a line in pixels, or in the unit of a pixel's sides (rows, columns)."""
    return float(np.hypot(*(np.diff(line, axis=0) * sides).T).sum())


def is_closed(line: np.ndarray) -> bool:
    """Tell whether a line ends where it starts."""
    return len(line) > 2 and bool((line[0] == line[-1]).all())


def join(lines: Sequence[np.ndarray], max_gap: float) -> list[np.ndarray]:
    """Join lines whose ends lie close to the starts of others, the smallest gaps first.

    Directions are respected: only an end is joined to a start. A line that is much longer than the
    gap between its own ends is closed.

    Parameters
    ----------
    lines : sequence of float (N_i, 2)
        The pieces.
    max_gap : float
        The largest gap to bridge, in pixels.

    Returns
    -------
    list of float (M_j, 2)
        The joined lines and those that stayed alone.
    """
    closed = [line for line in lines if is_closed(line)]
    pieces = [line for line in lines if not is_closed(line) and len(line) > 1]
    if not pieces:
        return closed
    starts = np.array([line[0] for line in pieces])
    ends = np.array([line[-1] for line in pieces])
    pairs = KDTree(ends).sparse_distance_matrix(KDTree(starts), max_gap, output_type="ndarray")
    following: dict[int, int] = {}
    taken: set[int] = set()
    for end, start, gap in sorted(pairs, key=lambda pair: tuple(pair)[::-1]):
        if end in following or start in taken:
            continue
        if end == start and length(pieces[end]) < 4 * gap + 2 * max_gap:
            continue
        following[int(end)] = int(start)
        taken.add(int(start))

    joined = []
    left = set(range(len(pieces)))
    firsts = [i for i in range(len(pieces)) if i not in taken]
    while left:  # chains first, from their first piece; what is left then are rings
        first = firsts.pop(0) if firsts else min(left)
        chain = [first]
        left.remove(first)
        while (after := following.get(chain[-1])) is not None and after in left:
            chain.append(after)
            left.remove(after)
        line = np.concatenate([pieces[i] for i in chain])
        if following.get(chain[-1]) == first:
            line = np.concatenate([line, line[:1]])
        joined.append(line)
    return closed + joined


def in_order(lines: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Put lines one after the other as they follow along the front.

    Each time the line whose start is nearest to the end of the last one follows; the first is the
    one from which the sum of the gaps is least.
    """
    if len(lines) < 2:
        return list(lines)
    starts = np.array([line[0] for line in lines])
    ends = np.array([line[-1] for line in lines])
    gaps = np.hypot(*(ends[:, None] - starts[None]).T).T
    best: tuple[float, list[int]] = (np.inf, [])
    for first in range(len(lines)):
        order, total = [first], 0.0
        left = set(range(len(lines))) - {first}
        while left:
            after = min(left, key=lambda i: gaps[order[-1], i])
            total += gaps[order[-1], after]
            order.append(after)
            left.remove(after)
        best = min(best, (total, order))
    return [lines[i] for i in best[1]]


def smooth(line: np.ndarray, sigma: float) -> np.ndarray:
    """Resample a line every half pixel and take pixel stairs out of it.

    The coordinates are smoothed along the line by a Gaussian G, applied as 2 G - G G: this keeps
    curvature to fourth order, so that bends are not cut as a plain Gaussian cuts them. The ends of
    an open line stay where they are.

    Parameters
    ----------
    line : float (N, 2)
        A line.
    sigma : float
        Standard deviation of the Gaussian, in pixels.

    Returns
    -------
    float (M, 2)
        The smooth line.
    """
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    n = max(int(np.ceil(along[-1] / STEP_PX)), 2)
    places = np.linspace(0, along[-1], n + 1)
    dense = np.stack([np.interp(places, along, line[:, k]) for k in (0, 1)], axis=1)
    width = sigma / (along[-1] / n)
    if is_closed(line):
        ring = _twice(dense[:-1], width, "wrap")
        return np.concatenate([ring, ring[:1]])
    # Mirrored through its end points a line goes on straight, and the end points stay.
    before = 2 * dense[0] - dense[:0:-1]
    after = 2 * dense[-1] - dense[-2::-1]
    long = _twice(np.concatenate([before, dense, after]), width, "nearest")
    kept = long[n : 2 * n + 1]
    kept[0], kept[-1] = dense[0], dense[-1]
    return kept


def _twice(points: np.ndarray, width: float, mode: str) -> np.ndarray:
    once = ndimage.gaussian_filter1d(points, width, axis=0, mode=mode)
    return 2 * once - ndimage.gaussian_filter1d(once, width, axis=0, mode=mode)


def thin_out(line: np.ndarray, tolerance: float) -> np.ndarray:
    """Drop vertices as long as the line moves by no more than `tolerance` pixels."""
    return shapely.get_coordinates(shapely.LineString(line).simplify(tolerance))
