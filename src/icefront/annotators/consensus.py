"""One front out of several: where most people drew it, on average.

The front is cut by transects, as in the analysis of shorelines (Himmelstoss et al. 2021,
doi:10.3133/ofr20211091). On each transect the consensus is the biweight location of where the
people crossed it (Beers, Flynn and Gebhardt 1990, doi:10.1086/115487): nearly the mean of those who
agree, while somebody far off counts for nothing, and half of the people would have to be wrong
before it leaves the front. It starts from the trace that is nearest to all others and is drawn anew
from its own transects until it stands.

Offsets from it are positive to the sea. Which side that is, nobody can know from lines alone:
zones, the direction of the flow or a compass direction must decide (`seaward_by_zones` and so on).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import shapely
from scipy.ndimage import gaussian_filter1d
from shapely.geometry.base import BaseGeometry

from icefront.annotators.traces import TracedFront
from icefront.fronts.distances import evenly
from icefront.zones import GLACIER, OCEAN

TRANSECTS = 200
"""Transects along a front of the usual length."""

_SMOOTHING_FRACTION = 0.05
"""Their direction is smoothed over this fraction of the length of the front."""

ROUNDS = 4
"""How often the consensus is drawn anew."""

Placed = Callable[[np.ndarray], np.ndarray]
"""From points in metres of the frame, (N, 2), to values at them, (N,)."""


@dataclass(frozen=True)
class Transects:
    """Straight lines across a front.

    Attributes
    ----------
    origins : float64 (T, 2)
        On the front, in metres.
    directions : float64 (T, 2)
        Of unit length, to the right of the front as one follows it.
    pieces : integer (T,)
        Which piece of the front each lies on.
    """

    origins: np.ndarray
    directions: np.ndarray
    pieces: np.ndarray


@dataclass(frozen=True)
class Consensus:
    """The front on which people agree, and how far off it each of them is.

    Attributes
    ----------
    line : MultiLineString
        In metres; the glacier on the left as one follows it, where the seaward side is known.
    transects : Transects
    offsets : dict of str to float64 (T,)
        Of each person (and model) on each transect in metres, positive to the sea; NaN where they
        have no front.
    signed : bool (T,)
        Where the seaward side is known; elsewhere the sign only distinguishes the sides.
    """

    line: BaseGeometry
    transects: Transects
    offsets: dict[str, np.ndarray]
    signed: np.ndarray


def make_transects(line: BaseGeometry, spacing: float, smoothing: float) -> Transects:
    """Lay transects across a front.

    Parameters
    ----------
    line : LineString or MultiLineString
    spacing : float
        Their distance along the front, in its unit.
    smoothing : float
        Standard deviation of the Gaussian that smooths their direction along the front.
    """
    origins, directions, pieces = [], [], []
    for number, piece in enumerate(shapely.get_parts(line)):
        count = max(round(piece.length / spacing) + 1, 3)
        points = evenly(piece, count)
        tangent = np.gradient(points, axis=0)
        tangent = gaussian_filter1d(tangent, smoothing / spacing, axis=0, mode="nearest")
        length = np.hypot(*tangent.T)
        tangent /= np.where(length > 0, length, 1)[:, None]
        origins.append(points)
        directions.append(np.stack([tangent[:, 1], -tangent[:, 0]], axis=1))
        pieces.append(np.full(count, number))
    return Transects(np.concatenate(origins), np.concatenate(directions), np.concatenate(pieces))


def crossings(transects: Transects, line: BaseGeometry, reach: float) -> np.ndarray:
    """Where a line crosses transects.

    Parameters
    ----------
    transects : Transects
    line : LineString or MultiLineString
    reach : float
        How far to look on either side.

    Returns
    -------
    float64 (T,)
        Distance from the origin along the direction; of several crossings the one nearest to the
        origin; NaN without one.
    """
    best = np.full(len(transects.pieces), np.nan)
    across = np.stack([-transects.directions[:, 1], transects.directions[:, 0]], axis=1)
    level = (across * transects.origins).sum(axis=1)
    for piece in shapely.get_parts(line):
        points = shapely.get_coordinates(piece)
        # On which side of each transect each vertex lies; a change of side is a crossing.
        side = across @ points.T - level[:, None]
        below = side < 0
        which, segment = np.nonzero(below[:, 1:] != below[:, :-1])
        before, after = side[which, segment], side[which, segment + 1]
        fraction = (before / (before - after))[:, None]
        hit = points[segment] * (1 - fraction) + points[segment + 1] * fraction
        away = ((hit - transects.origins[which]) * transects.directions[which]).sum(axis=1)
        order = np.argsort(-np.abs(away), kind="stable")  # the nearest is written last
        order = order[np.abs(away[order]) <= reach]
        found = np.full(len(best), np.nan)
        found[which[order]] = away[order]
        nearer = np.isnan(best) | (np.abs(found) < np.abs(best))
        best = np.where(nearer & np.isfinite(found), found, best)
    return best


def medoid(distances: Mapping[tuple[str, str], float]) -> str:
    """Name of the one who is nearest to all others, by the distances of all pairs."""
    total: dict[str, float] = {}
    for pair, distance in distances.items():
        for name in pair:
            total[name] = total.get(name, 0.0) + distance
    return min(total, key=lambda name: total[name])


def draw_consensus(
    people: Mapping[str, TracedFront], start: str, others: Mapping[str, TracedFront] | None = None
) -> Consensus:
    """Draw the consensus of all people and measure everybody against it.

    Parameters
    ----------
    people : mapping of str to TracedFront
        At least two.
    start : str
        The person from whose trace it starts, best the `medoid`.
    others : mapping of str to TracedFront, optional
        Models; measured, but without influence on the consensus.

    Returns
    -------
    Consensus
        The seaward side is not known yet; see `oriented`.
    """
    line = people[start].line
    usual = float(np.median([trace.line.length for trace in people.values()]))
    spacing, smoothing = usual / TRANSECTS, usual * _SMOOTHING_FRACTION
    everybody = {**people, **(others or {})}
    needed = max(2, (len(people) + 1) // 2)
    points = shapely.get_coordinates(line)
    reach = 2 * spacing + 1.25 * max(
        float(trace.tree.query(points)[0].max()) for trace in people.values()
    )
    for _ in range(ROUNDS):
        transects = make_transects(line, spacing, smoothing)
        table = np.stack([crossings(transects, t.line, reach) for t in people.values()])
        drawn = middle_line(transects, table, needed)
        if drawn.is_empty:
            break
        moved = line.hausdorff_distance(drawn)
        line = drawn
        if moved < spacing:
            break
    transects = make_transects(line, spacing, smoothing)
    far = 2 * spacing + 1.25 * max(
        float(trace.tree.query(transects.origins)[0].max()) for trace in everybody.values()
    )
    offsets = {name: crossings(transects, t.line, far) for name, t in everybody.items()}
    return Consensus(line, transects, offsets, np.zeros(len(transects.pieces), bool))


BIWEIGHT_REACH = 6.0
"""Who is farther from the middle than this many median deviations counts for nothing."""


def biweight(values: np.ndarray) -> np.ndarray:
    """Biweight location of each column, without NaN.

    Parameters
    ----------
    values : float (P, T)
        At least one number in each column.

    Returns
    -------
    float64 (T,)

    Notes
    -----
    Beers, Flynn and Gebhardt 1990, doi:10.1086/115487, equation 5, from the median and with the
    median absolute deviation; taken twice more from its own result.
    """
    middle = np.nanmedian(values, axis=0)
    deviation = np.nanmedian(np.abs(values - middle), axis=0)
    safe = np.where(deviation > 0, deviation, 1.0)
    for _ in range(3):
        scaled = (values - middle) / (BIWEIGHT_REACH * safe)
        weight = np.where(np.abs(scaled) < 1, (1 - scaled**2) ** 2, 0.0)
        total = weight.sum(axis=0)
        moved = np.nansum(weight * values, axis=0) / np.where(total > 0, total, 1.0)
        middle = np.where((deviation > 0) & (total > 0), moved, middle)
    return np.asarray(middle)


def middle_line(transects: Transects, offsets: np.ndarray, needed: int) -> shapely.MultiLineString:
    """Join the middles of all transects to a line; where too few have a front, it has a gap.

    Parameters
    ----------
    transects : Transects
    offsets : float (P, T)
        Of each person, NaN without a front.
    needed : int
        Least number of people that make a front.
    """
    enough = np.isfinite(offsets).sum(axis=0) >= needed
    middle = np.full(offsets.shape[1], np.nan)
    middle[enough] = biweight(offsets[:, enough])
    points = transects.origins + middle[:, None] * transects.directions
    lines = []
    for piece in np.unique(transects.pieces):
        here = np.flatnonzero((transects.pieces == piece) & enough)
        for run in np.split(here, np.flatnonzero(np.diff(here) > 1) + 1):
            if len(run) > 1:
                lines.append(shapely.LineString(points[run]))
    return shapely.MultiLineString(lines)


def without(consensus: Consensus, people: Mapping[str, TracedFront], left_out: str) -> BaseGeometry:
    """Consensus of all people but one, on the transects of all; to measure that one fairly."""
    rows = np.stack([consensus.offsets[name] for name in people if name != left_out])
    return middle_line(consensus.transects, rows, max(1, (len(rows) + 1) // 2))


def seaward_by_zones(consensus: Consensus, zones_at: Placed, reach: float) -> np.ndarray:
    """Tell the seaward side by a zone map.

    Parameters
    ----------
    consensus : Consensus
    zones_at : callable
        From points (N, 2) to zone codes (N,).
    reach : float
        How far to look on either side, in metres.

    Returns
    -------
    float64 (T,)
        For each transect from +1, where its direction leads to the sea, to −1, where it leads to
        the glacier; 0 if the zones do not decide it.
    """
    t = consensus.transects
    vote = np.zeros(len(t.pieces))
    for distance in np.linspace(reach / 8, reach, 8):
        for side in (1, -1):
            zones = zones_at(t.origins + side * distance * t.directions)
            vote += side * ((zones == OCEAN) * 1.0 - (zones == GLACIER) * 1.0)
    return vote / 16


def seaward_by_flow(consensus: Consensus, flow: BaseGeometry) -> np.ndarray:
    """Tell the seaward side by centrelines that are drawn along the flow; as `seaward_by_zones`."""
    t = consensus.transects
    pieces = shapely.get_parts(flow)
    points = shapely.points(t.origins)
    nearest = np.argmin([shapely.distance(points, piece) for piece in pieces], axis=0)
    vote = np.zeros(len(points))
    for number, piece in enumerate(pieces):
        here = nearest == number
        along = shapely.line_locate_point(piece, points[here])
        step = piece.length / 50
        low, high = (
            shapely.get_coordinates(
                shapely.line_interpolate_point(piece, np.clip(along + shift, 0, piece.length))
            )
            for shift in (-step, step)
        )
        vote[here] = ((high - low) / (2 * step) * t.directions[here]).sum(axis=1)
    return vote


def seaward_by_compass(consensus: Consensus, degrees: float) -> np.ndarray:
    """Tell the seaward side by a direction, clockwise from north (or up); as `seaward_by_zones`."""
    towards = np.array([np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])
    return consensus.transects.directions @ towards


LEAST_VOTE = 0.25
"""A piece whose transects vote less clearly than this on average stays without sign: along a line
that runs with the flow, or between zones that contradict each other."""


def oriented(consensus: Consensus, votes: np.ndarray) -> Consensus:
    """Turn each piece so that its transects lead to the sea and the glacier lies on its left.

    Parameters
    ----------
    consensus : Consensus
    votes : float (T,)
        Positive where a transect leads to the sea; a piece is turned as a whole, by the sum.
    """
    t = consensus.transects
    sign, signed = np.ones(len(votes)), np.zeros(len(votes), bool)
    pieces = list(shapely.get_parts(consensus.line))
    for number, piece in enumerate(pieces):
        here = t.pieces == number
        cast = votes[here][votes[here] != 0]
        if cast.size == 0 or abs(cast.mean()) < LEAST_VOTE:
            continue
        signed[here] = True
        if votes[here].sum() < 0:
            sign[here] = -1
            pieces[number] = piece.reverse()
    return replace(
        consensus,
        line=shapely.MultiLineString(pieces),
        transects=replace(t, directions=t.directions * sign[:, None]),
        offsets={name: values * sign for name, values in consensus.offsets.items()},
        signed=signed,
    )
