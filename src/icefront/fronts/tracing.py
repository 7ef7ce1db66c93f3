"""From zone probabilities to the pieces of a front, in pixel coordinates."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import find_contours

from icefront.fronts import curves
from icefront.fronts.ends import front_and_shore, scene_centred
from icefront.fronts.minimum_length import is_long_enough
from icefront.fronts.outlines import inland
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
    start_std, end_std : float
        Standard deviation of the place of either end along the line, in pixels; NaN where nothing
        tells, as for a closed line.
    """

    line: np.ndarray
    dense: np.ndarray
    uncertainty: np.ndarray
    length: float
    start_std: float = float("nan")
    end_std: float = float("nan")


@dataclass(frozen=True)
class Evidence:
    """What tells calving front from shore, each as log odds float (H, W), or None.

    Attributes
    ----------
    front
        At the boundary of glacier and ocean, by a network.
    outline
        Of the ice beside the boundary, by outlines of glaciers.
    """

    front: np.ndarray | None = None
    outline: np.ndarray | None = None

    def along(self, lines: Sequence[np.ndarray], corner: np.ndarray) -> list[np.ndarray]:
        """Return the log odds at the vertices of lines, (row, column) from a corner."""
        found = [np.zeros(len(line)) for line in lines]
        if self.front is not None:
            values = [_at(self.front, line + corner) for line in lines]
            found = scene_centred(values)
        if self.outline is not None:
            for log_odds, line in zip(found, lines, strict=True):
                log_odds += _at(self.outline, inland(line) + corner)
        return found


def _at(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    return ndimage.map_coordinates(values, places.T, output=np.float64, order=1, mode="nearest")


@dataclass(frozen=True)
class Trace:
    """The front of a scene.

    Attributes
    ----------
    pieces : tuple of Piece
        In order along the front.
    missing : str
        Why there are no pieces; empty if there are.
    shore : tuple of float64 (N, 2)
        Lines where glacier meets ocean without calving, like `Piece.line`.
    """

    pieces: tuple[Piece, ...]
    missing: str = ""
    shore: tuple[np.ndarray, ...] = ()


def trace_front(
    probabilities: np.ndarray,
    valid: np.ndarray,
    sides: tuple[float, float],
    min_length: float,
    evidence: Evidence | None = None,
    area: np.ndarray | None = None,
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
    evidence : Evidence, optional
        For what is calving front and what is shore: the lines are divided by
        `icefront.fronts.ends.front_and_shore`.
    area : bool (H, W), optional
        Where the front is looked for. It decides which ocean it belongs to and what counts as a
        short piece; lines are not cut there.

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
    regions, drawable = front_regions(zones, nearer, valid, min_length / side, area)
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
    contours = find_contours(
        _consistent(logit, regions[box]), 0.0, mask=allowed, positive_orientation="high"
    )
    if not contours:
        return Trace((), "glacier meets ocean only at the image edge or at missing data")
    lines = curves.join(contours, MAX_GAP_PX)
    inside = None if area is None else area[box]
    lines = list(itertools.compress(lines, _long_enough(lines, sides, min_length, inside)))
    if not lines:
        return Trace((), "glacier and ocean meet only in short pieces")
    smoothed = [curves.smooth(line, SMOOTHING_PX) for line in curves.in_order(lines)]
    parts = [_Part(dense) for dense in smoothed]
    shore: list[np.ndarray] = []
    if evidence is not None:
        parts = []
        for dense, log_odds in zip(smoothed, evidence.along(smoothed, corner), strict=True):
            found, beside = _divided(dense, log_odds)
            parts += found
            shore += beside
    if not parts:
        return _trace((), shore, corner, "nowhere where glacier meets ocean is a front likely")
    kept = _long_enough([part.dense for part in parts], sides, min_length, inside)
    pieces = []
    for part, is_kept in zip(parts, kept, strict=True):
        if not is_kept:
            shore.append(part.dense)
            continue
        pieces.append(
            Piece(
                line=curves.thin_out(part.dense, TOLERANCE_PX) + corner,
                dense=part.dense + corner,
                uncertainty=uncertainty_along(logit, part.dense, sides),
                length=curves.length(part.dense, sides),
                start_std=part.start_std,
                end_std=part.end_std,
            )
        )
    missing = "" if pieces else "a front is likely only along short pieces"
    return _trace(pieces, shore, corner, missing)


def _long_enough(
    lines: Sequence[np.ndarray],
    sides: tuple[float, float],
    min_length: float,
    area: np.ndarray | None,
) -> list[bool]:
    lengths = [curves.length(line, sides) for line in lines]
    if area is None:
        return is_long_enough(lengths, min_length)
    within = []
    for line in lines:
        steps = np.hypot(*(np.diff(line, axis=0) * sides).T)
        rows, columns = np.rint((line[1:] + line[:-1]) / 2).astype(int).T
        within.append(float(steps[area[rows, columns]].sum()))
    return is_long_enough(lengths, min_length, within)


@dataclass(frozen=True)
class _Part:
    """A part of a line that is front."""

    dense: np.ndarray
    start_std: float = float("nan")
    end_std: float = float("nan")


def _divided(dense: np.ndarray, evidence: np.ndarray) -> tuple[list[_Part], list[np.ndarray]]:
    """Divide a line with a vertex every half pixel into its parts of front and of shore."""
    closed = curves.is_closed(dense)
    if closed:
        # A ring starts where it is shore most clearly, so that no front is cut there.
        first = int(np.argmin(ndimage.gaussian_filter1d(evidence[:-1], 20.0, mode="wrap")))
        dense = np.concatenate([dense[first:-1], dense[: first + 1]])
        evidence = np.concatenate([evidence[first:-1], evidence[: first + 1]])
    runs = front_and_shore(evidence, curves.length(dense) / (len(dense) - 1))
    if closed and len(runs) == 1 and runs[0].front:
        return [_Part(dense)], []
    lines = [dense[run.first : run.last + 1] for run in runs]
    return (
        [_Part(x, r.start_std, r.end_std) for r, x in zip(runs, lines, strict=True) if r.front],
        [x for r, x in zip(runs, lines, strict=True) if not r.front and len(x) > 1],
    )


def _trace(
    pieces: Sequence[Piece], shore: Sequence[np.ndarray], corner: np.ndarray, missing: str
) -> Trace:
    lines = tuple(curves.thin_out(line, TOLERANCE_PX) + corner for line in shore)
    return Trace(tuple(pieces), missing, lines)


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
