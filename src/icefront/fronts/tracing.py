"""From zone probabilities to the pieces of a front, in pixel coordinates."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from skimage.measure import find_contours

from icefront.fronts import curves
from icefront.fronts.minimum_length import is_long_enough
from icefront.fronts.regions import dilate, front_regions
from icefront.fronts.uncertainty import front_logit, uncertainty_along
from icefront.zones import GLACIER, OCEAN, likeliest

MAX_GAP_PX = 6.0
"""Gaps up to this length are bridged: slivers of rock or missing data along a front, in pixels."""

SMOOTHING_PX = 2.0
"""Standard deviation of the smoothing along the line, in pixels."""

TOLERANCE_PX = 0.05
"""How far thinning out its vertices may move the line, in pixels."""

_MARGIN_PX = 4


@dataclass(frozen=True)
class Piece:
    """One piece of a front.

    Attributes
    ----------
    line : float64 (N, 2)
        (row, column), pixel centres at whole numbers; the glacier on the left as one looks at the
        image.
    dense : float64 (M, 2)
        The same line with a vertex every half pixel.
    uncertainty : float64 (M,)
        Standard deviation of the place of the front at each dense vertex, in the unit of `sides`.
    length : float
        In the unit of `sides`.
    """

    line: np.ndarray
    dense: np.ndarray
    uncertainty: np.ndarray
    length: float


@dataclass(frozen=True)
class Trace:
    """The front of a scene.

    Attributes
    ----------
    pieces : tuple of Piece
        In order along the front.
    missing : str
        Why there are no pieces; empty if there are.
    """

    pieces: tuple[Piece, ...]
    missing: str = ""


def trace_front(
    probabilities: np.ndarray,
    valid: np.ndarray,
    sides: tuple[float, float],
    min_length: float,
    front: np.ndarray | None = None,
) -> Trace:
    """Trace the boundary of glacier and ocean.

    Marching squares at the zero of log(P(glacier) / P(ocean)), made consistent with the cleaned
    zones (`front_regions`) and only where glacier meets ocean; small gaps are bridged, short pieces
    dropped, pixel stairs smoothed.

    Parameters
    ----------
    probabilities : float32 (4, H, W)
        Zone probabilities.
    valid : bool (H, W)
        Where the scene holds data.
    sides : (float, float)
        Height and width of a pixel, in any unit.
    min_length : float
        Shorter pieces are dropped, in the unit of `sides`, as are those below an eighth of the
        longest one.
    front : float (H, W), optional
        Probability that the boundary at a place is calving front; the line keeps to pixels where
        it is at least 0.5.

    Returns
    -------
    Trace
        The pieces, or why there are none.
    """
    zones = likeliest(probabilities)
    if not valid.any():
        return Trace((), "the scene holds no data")
    side = float(np.sqrt(sides[0] * sides[1]))
    nearer = probabilities[GLACIER] >= probabilities[OCEAN]
    regions, drawable = front_regions(zones, nearer, valid, min_length / side)
    for zone, name in ((OCEAN, "ocean"), (GLACIER, "glacier")):
        if not (regions == zone).any():
            return Trace((), f"no {name} was found")

    meeting = (regions == GLACIER) & dilate(regions == OCEAN, 1)
    box = _box(meeting)
    if box is None:
        return Trace((), "nowhere does glacier meet ocean")
    corner = np.array([box[0].start, box[1].start], dtype=np.float64)
    logit = front_logit(probabilities[GLACIER][box], probabilities[OCEAN][box])
    allowed = drawable[box]
    if front is not None:
        allowed &= front[box] >= 0.5
        if not (allowed & meeting[box]).any():
            return Trace((), "nowhere where glacier meets ocean is a calving front likely")
    contours = find_contours(
        _consistent(logit, regions[box]), 0.0, mask=allowed, positive_orientation="high"
    )
    if not contours:
        return Trace((), "glacier meets ocean only at the image edge or at missing data")
    lines = curves.join(contours, MAX_GAP_PX)
    lengths = [curves.length(line, sides) for line in lines]
    lines = list(itertools.compress(lines, is_long_enough(lengths, min_length)))
    if not lines:
        return Trace((), "glacier and ocean meet only in short pieces")
    pieces = []
    for line in curves.in_order(lines):
        dense = curves.smooth(line, SMOOTHING_PX)
        pieces.append(
            Piece(
                line=curves.thin_out(dense, TOLERANCE_PX) + corner,
                dense=dense + corner,
                uncertainty=uncertainty_along(logit, dense, sides),
                length=curves.length(dense, sides),
            )
        )
    return Trace(tuple(pieces))


def _consistent(logit: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Return the logit, with the sign of the cleaned zones where cleaning changed the zone."""
    sign = np.where(regions == GLACIER, np.float32(1), np.float32(-1))
    agreement = logit * sign
    # A pixel that cleaning changed counts as neither certain nor undecided: the line keeps near the
    # middle between it and the other zone. A pixel on the line itself is moved off it by a little.
    agreement[(agreement < 0) & (regions >= GLACIER)] = 1
    agreement[agreement == 0] = 1e-3
    return (agreement * sign).astype(np.float64)


def _box(mask: np.ndarray) -> tuple[slice, slice] | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    (r0, r1), (c0, c1) = ((int(i[0]), int(i[-1])) for i in (rows, columns))
    return (
        slice(max(r0 - _MARGIN_PX, 0), r1 + _MARGIN_PX + 1),
        slice(max(c0 - _MARGIN_PX, 0), c1 + _MARGIN_PX + 1),
    )
