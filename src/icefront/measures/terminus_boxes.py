"""The geometry of terminus boxes: how a front divides a box into glacier and water.

The line is clipped to the box. Each part of it that runs from edge to edge is a chord. Seen from
the inland end, the ground changes from glacier to water where a chord is crossed, and back at the
next. A line that crosses the box once so leaves all ground inland of it as glacier; a bay or a
tongue that leaves the box through a side and comes back is counted as what it is. Beyond that:

- *pieces*: if no part of the line separates the inland end from the seaward end, parts with an end
  inside the box are joined by straight lines, the smallest gaps first;
- *ends inside the box*: an end that is then still free is extended to the nearest place of the side
  that the line has not reached;
- if a complete chord exists, loose parts are left out, and so are closed lines;
- of an even number of chords that part inland from seaward, the outermost is left out;
- a line that does not part the box, or lies outside of it, has no area.

All but the plain case is named in the flag. For lines that cross the sides several times this is
the polygon that MaQiT builds (Lea 2018, doi:10.5194/tc-12-551-2018): the upstream box, then the
terminus from its first to its last crossing, with what lies outside cut off. For ends inside the
box MaQiT goes to the nearest place of the whole edge, which is the same unless that place is on the
side already reached.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import shapely
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from icefront.errors import IcefrontError

_TOUCH_M = 1e-3
"""An end nearer to the edge of the box than this lies on it."""


class TerminusBox:
    """A terminus box with an inland and a seaward end, in a plane of metres.

    Parameters
    ----------
    polygon : Polygon
    inland, seaward : float (2,)
        Places on its edge that are glacier and water at all times: where the flow comes in and goes
        out. They need not lie on the edge exactly.

    Attributes
    ----------
    area : float
        In m².
    ring : LineString
        Its edge, from the inland place round to it again.
    seaward_at : float
        Distance along the ring at which the seaward place lies.
    """

    def __init__(self, polygon: Polygon, inland: np.ndarray, seaward: np.ndarray) -> None:
        self.polygon = shapely.orient_polygons(polygon)
        shapely.prepare(self.polygon)
        self.area = float(polygon.area)
        edge = self.polygon.exterior
        start = edge.project(shapely.Point(inland))
        around = shapely.get_coordinates(edge)
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(around, axis=0).T))])
        first = shapely.get_coordinates(edge.interpolate(start))[0]
        inner = (along[:-1] - start) % along[-1]
        order = np.argsort(inner, kind="stable")
        corners = around[:-1][order]
        corners = corners[inner[order] > _TOUCH_M * 1e-3]
        self.corners = np.concatenate([[first], corners, [first]])
        self.ring = LineString(self.corners)
        shapely.prepare(self.ring)
        self.along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(self.corners, axis=0).T))])
        self.seaward_at = float(self.ring.project(shapely.Point(seaward)))
        # About a near origin, so that the products below keep their digits.
        self.origin = np.asarray(inland, float)
        self._cross = np.concatenate([[0.0], np.cumsum(_cross(self.corners - self.origin))])

    def swept(self, at: np.ndarray) -> np.ndarray:
        """Twice the area swept about the origin along the ring from its start to `at`, (N,)."""
        before = np.clip(np.searchsorted(self.along, at, side="right") - 1, 0, self.along.size - 2)
        place = self.place(at) - self.origin
        corner = self.corners[before] - self.origin
        return self._cross[before] + corner[:, 0] * place[:, 1] - corner[:, 1] * place[:, 0]

    def place(self, at: np.ndarray) -> np.ndarray:
        """Coordinates (N, 2) at distances along the ring."""
        return np.stack([np.interp(at, self.along, self.corners[:, i]) for i in (0, 1)], axis=1)

    def path(self, start: float, end: float) -> np.ndarray:
        """Coordinates (K, 2) along the ring from one distance to a larger one."""
        between = self.corners[(self.along > start) & (self.along < end)]
        ends = self.place(np.array([start, end]))
        return np.concatenate([ends[:1], between, ends[1:]])

    def separates(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Whether chords between two distances on the ring part inland from seaward."""
        low, high = np.minimum(first, last), np.maximum(first, last)
        return (low < self.seaward_at) & (self.seaward_at < high)


def terminus_box(polygon: Polygon, flow: LineString | shapely.Point) -> TerminusBox:
    """Return a box whose ends are known from the flow.

    Parameters
    ----------
    polygon : Polygon
    flow : LineString or Point
        A centreline from inland to the sea, which must pass through the box; or a place inland of
        it: then the inland end is the side of the smallest rectangle about the box whose middle is
        nearest to that place, and the seaward end the opposite side.

    Raises
    ------
    IcefrontError
        If the centreline does not cross the box.
    """
    edge = polygon.exterior
    if isinstance(flow, shapely.Point):
        corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(polygon))[:4]
        middles = (corners + np.roll(corners, -1, axis=0)) / 2
        inland = int(np.argmin(np.hypot(middles[:, 0] - flow.x, middles[:, 1] - flow.y)))
        places = [middles[inland], middles[(inland + 2) % 4]]
        ends = [
            shapely.get_coordinates(edge.interpolate(edge.project(shapely.Point(p))))[0]
            for p in places
        ]
        return TerminusBox(polygon, *ends)
    within = shapely.get_parts(flow.intersection(polygon))
    within = within[shapely.length(within) > 0]
    if within.size == 0:
        raise IcefrontError(
            "The centreline does not pass through the box: check both and their CRS."
        )
    at = np.concatenate(
        [
            shapely.line_locate_point(flow, shapely.points(shapely.get_coordinates(p)[[0, -1]]))
            for p in within
        ]
    )
    ends = [shapely.get_coordinates(flow.interpolate(value))[0] for value in (at.min(), at.max())]
    # A centreline may start or end inside of the box: its ends are then drawn out to the edge.
    coordinates = shapely.get_coordinates(flow)
    for number, (end, beside) in enumerate(((0, 1), (-1, -2))):
        if np.allclose(ends[number], coordinates[end]) and polygon.contains(
            shapely.Point(ends[number])
        ):
            ends[number] = _extended_to_edge(coordinates[beside], coordinates[end], polygon)
    return TerminusBox(polygon, *ends)


def _extended_to_edge(beside: np.ndarray, end: np.ndarray, polygon: Polygon) -> np.ndarray:
    """Where a line drawn on beyond its end leaves a polygon."""
    west, south, east, north = polygon.bounds
    away = (end - beside) / np.hypot(*(end - beside)) * ((east - west) + (north - south))
    out = LineString([end, end + away]).intersection(polygon.exterior)
    crossings = shapely.get_coordinates(out)
    return crossings[np.argmin(np.hypot(*(crossings - end).T))]


@dataclass(frozen=True)
class _Chords:
    """Parts of one front that run from edge to edge of a box.

    Attributes
    ----------
    lines : list of float (K, 2)
    ends : float (C, 2)
        Distances along the ring of their first and last vertex.
    reasons : tuple of str
        Why a person should look.
    """

    lines: list[np.ndarray]
    ends: np.ndarray
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class GlacierAreas:
    """What is glacier in a box by each of N fronts.

    Attributes
    ----------
    area_m2 : float64 (N,)
        NaN where the front does not part the box.
    reasons : list of list of str
        Empty for a line that simply crosses the box.
    """

    area_m2: np.ndarray
    reasons: list[list[str]]


def glacier_areas(lines: np.ndarray, box: TerminusBox) -> GlacierAreas:
    """Return the area of glacier in a box by each front.

    Parameters
    ----------
    lines : object (N,)
        LineString or MultiLineString, in the plane of the box.
    box : TerminusBox

    Returns
    -------
    GlacierAreas
    """
    area = np.full(lines.size, np.nan)
    reasons: list[list[str]] = [[] for _ in range(lines.size)]
    touching = shapely.intersects(box.polygon, lines)
    simple = shapely.is_simple(lines)
    parts, owner = _clipped(lines, touching, simple, box)
    counts = np.bincount(owner, minlength=lines.size)
    first, last, free = _ends(parts, box)
    # The plain case, for all fronts at once: one part, from edge to edge, inland from seaward.
    plain = (counts[owner] == 1) & ~free.any(axis=1) & box.separates(first, last)
    if plain.any():
        seaward = _seaward_areas(parts[plain], first[plain], last[plain], box)
        area[owner[plain]] = box.area - seaward
    for number in np.flatnonzero(counts == 0):
        reasons[number].append(_nothing_inside(lines[number]))
    settled = np.zeros(lines.size, bool)
    settled[owner[plain]] = True
    bounds = np.searchsorted(owner, np.arange(lines.size + 1))
    for number in np.flatnonzero((counts > 0) & ~settled):
        mine = slice(bounds[number], bounds[number + 1])
        chords = _chords(parts[mine], first[mine], last[mine], free[mine], box)
        reasons[number] += chords.reasons
        if chords.lines:
            area[number] = box.area - _water_area(chords, box)
    crossing = np.flatnonzero(touching & ~simple)
    for number in crossing:
        reasons[number].append("crosses itself")
    return GlacierAreas(area, reasons)


def glacier_polygon(line: BaseGeometry, box: TerminusBox) -> BaseGeometry | None:
    """Return the glacier's part of a box as a polygon; None where the front does not part it."""
    lines = np.array([line], dtype=object)
    touching = shapely.intersects(box.polygon, lines)
    parts, _ = _clipped(lines, touching, shapely.is_simple(lines), box)
    if parts.size == 0:
        return None
    first, last, free = _ends(parts, box)
    chords = _chords(parts, first, last, free, box)
    if not chords.lines:
        return None
    ground: BaseGeometry = box.polygon
    for chord, (start, end) in zip(chords.lines, chords.ends, strict=True):
        back = box.path(min(start, end), max(start, end))
        if start < end:
            back = back[::-1]
        side = shapely.make_valid(Polygon(np.concatenate([chord, back])))
        ground = ground.symmetric_difference(side)
    parts = shapely.get_parts(ground)
    return shapely.union_all(parts[shapely.get_dimensions(parts) == 2])


def _nothing_inside(line: BaseGeometry) -> str:
    return "no front" if line.is_empty else "outside of the box"


def _clipped(
    lines: np.ndarray, touching: np.ndarray, simple: np.ndarray, box: TerminusBox
) -> tuple[np.ndarray, np.ndarray]:
    """The parts of each line inside the box, and to which line each belongs (in order)."""
    inside = np.full(lines.size, LineString(), dtype=object)
    chosen = touching & simple
    inside[chosen] = shapely.line_merge(shapely.intersection(lines[chosen], box.polygon))
    for number in np.flatnonzero(touching & ~simple):
        # Overlays break a line that crosses itself into pieces there; cut it along its course.
        inside[number] = shapely.MultiLineString(
            [part for piece in shapely.get_parts(lines[number]) for part in _cut(piece, box)]
        )
    parts, owner = shapely.get_parts(inside, return_index=True)
    lines_only = (shapely.get_dimensions(parts) == 1) & (shapely.length(parts) > _TOUCH_M)
    return parts[lines_only], owner[lines_only]


def _cut(line: LineString, box: TerminusBox) -> list[LineString]:
    """Cut a line where it crosses the edge of the box; keep what is inside."""
    points = shapely.get_coordinates(line)
    legs = shapely.linestrings(np.stack([points[:-1], points[1:]], axis=1))
    hits = shapely.intersection(legs, box.ring)
    begin = np.concatenate([[0.0], np.cumsum(shapely.length(legs))])
    crossings, leg = shapely.get_coordinates(hits, return_index=True)
    at = begin[leg] + np.hypot(*(crossings - points[leg]).T)
    stations = np.unique(np.concatenate([[0.0], at, [begin[-1]]]))
    kept = []
    for low, high in itertools.pairwise(stations):
        middle = [np.interp((low + high) / 2, begin, points[:, i]) for i in (0, 1)]
        if high - low > _TOUCH_M and shapely.contains_xy(box.polygon, *middle):
            between = points[(begin > low) & (begin < high)]
            ends = [[np.interp(v, begin, points[:, i]) for i in (0, 1)] for v in (low, high)]
            kept.append(LineString(np.concatenate([ends[:1], between, ends[1:]])))
    return kept


def _ends(parts: np.ndarray, box: TerminusBox) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances along the ring of the ends of parts, and which ends are free, bool (P, 2)."""
    starts, ends = shapely.get_point(parts, 0), shapely.get_point(parts, -1)
    free = np.stack([shapely.distance(box.ring, p) > _TOUCH_M for p in (starts, ends)], axis=1)
    first, last = (shapely.line_locate_point(box.ring, p) for p in (starts, ends))
    return first, last, free.reshape(-1, 2)


def _cross(points: np.ndarray) -> np.ndarray:
    return points[:-1, 0] * points[1:, 1] - points[1:, 0] * points[:-1, 1]


def _seaward_areas(
    parts: np.ndarray, first: np.ndarray, last: np.ndarray, box: TerminusBox
) -> np.ndarray:
    """Area between each chord and the stretch of the ring that does not hold the inland place."""
    points, owner = shapely.get_coordinates(parts, return_index=True)
    points = points - box.origin
    same = owner[:-1] == owner[1:]
    swept = np.bincount(owner[:-1][same], weights=_cross(points)[same], minlength=parts.size)
    return np.abs(swept + box.swept(first) - box.swept(last)) / 2


def _water_area(chords: _Chords, box: TerminusBox) -> float:
    """Area of the places from which the way inland crosses an odd number of chords."""
    parts = np.array([LineString(line) for line in chords.lines], dtype=object)
    seaward = _seaward_areas(parts, chords.ends[:, 0], chords.ends[:, 1], box)
    low, high = chords.ends.min(axis=1), chords.ends.max(axis=1)
    # Chords do not cross, so that their stretches of the ring lie in each other or apart.
    held = (low[None] <= low[:, None]) & (high[:, None] <= high[None])
    depth = held.sum(axis=1) - 1
    return float((np.where(depth % 2, -1.0, 1.0) * seaward).sum())


def _chords(
    parts: np.ndarray, first: np.ndarray, last: np.ndarray, free: np.ndarray, box: TerminusBox
) -> _Chords:
    """Make chords of all parts of one front, by the rule of this module."""
    reasons = []
    closed = shapely.is_closed(parts) & free.all(axis=1)
    if closed.any():
        reasons.append(f"{_count_text(int(closed.sum()), 'closed line')} left out")
        parts, first, last, free = (a[~closed] for a in (parts, first, last, free))
    whole = ~free.any(axis=1)
    lines = [shapely.get_coordinates(part) for part in parts[whole]]
    ends = np.stack([first[whole], last[whole]], axis=1)
    complete = box.separates(ends[:, 0], ends[:, 1])
    loose = [shapely.get_coordinates(part) for part in parts[~whole]]
    if loose and complete.any():
        reasons.append(f"{_count_text(len(loose), 'loose piece')} left out")
    elif loose:
        chain, found = _joined_to_edges(loose, free[~whole], box)
        reasons += found
        lines.append(chain)
        at = shapely.line_locate_point(box.ring, shapely.points(chain[[0, -1]]))
        ends = np.concatenate([ends, at[None]])
        complete = box.separates(ends[:, 0], ends[:, 1])
    if not complete.any():
        return _Chords([], ends[:0], (*reasons, "does not part the box"))
    if complete.sum() % 2 == 0:
        spans = np.where(complete, np.abs(ends[:, 1] - ends[:, 0]), np.inf)
        outer = int(np.argmin(spans))
        lines.pop(outer)
        ends = np.delete(ends, outer, axis=0)
        reasons.append("comes back through the box, its outermost crossing left out")
    if len(lines) > 1:
        reasons.append(f"crosses the edge of the box {2 * len(lines)} times")
    return _Chords(lines, ends, tuple(reasons))


def _count_text(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"


def _joined_to_edges(
    loose: list[np.ndarray], free: np.ndarray, box: TerminusBox
) -> tuple[np.ndarray, list[str]]:
    """Join pieces with free ends into one line and extend it to the sides of the box."""
    reasons = []
    pieces = [(line, list(ends)) for line, ends in zip(loose, free, strict=True)]
    bridged = 0.0
    count = len(pieces)
    while len(pieces) > 1:
        best = None
        for i, (one, one_free) in enumerate(pieces):
            for j, (two, two_free) in enumerate(pieces[:i]):
                for a in (0, 1):
                    for b in (0, 1):
                        if one_free[a] and two_free[b]:
                            gap = float(np.hypot(*(one[-a] - two[-b])))
                            if best is None or gap < best[0]:
                                best = (gap, i, j, a, b)
        if best is None:
            break
        gap, i, j, a, b = best
        (one, one_free), (two, two_free) = pieces.pop(i), pieces.pop(j)
        head, tail = (one, one_free[0]) if a else (one[::-1], one_free[1])
        more, rest = (two[::-1], two_free[0]) if b else (two, two_free[1])
        pieces.append((np.concatenate([head, more]), [tail, rest]))
        bridged += gap
    if count > 1:
        reasons.append(f"in {count} pieces, {bridged:.0f} m bridged")
    if len(pieces) > 1:
        lengths = [float(np.hypot(*np.diff(line, axis=0).T).sum()) for line, _ in pieces]
        pieces = [pieces[int(np.argmax(lengths))]]
    line, ends_free = pieces[0]
    if not any(ends_free):
        return line, reasons
    extended = line
    sides = [box.path(0.0, box.seaward_at), box.path(box.seaward_at, float(box.along[-1]))]
    near = [[_nearest(side, line[end]) for side in sides] for end in (0, -1)]
    if all(ends_free):
        straight = near[0][0][0] + near[1][1][0] <= near[0][1][0] + near[1][0][0]
        chosen = [near[0][0 if straight else 1], near[1][1 if straight else 0]]
        extended = np.concatenate([[chosen[0][1]], line, [chosen[1][1]]])
        length = chosen[0][0] + chosen[1][0]
    else:
        end = 0 if ends_free[0] else 1
        other = float(box.ring.project(shapely.Point(line[-1 + end])))
        reach, place = near[end][1 if other < box.seaward_at else 0]
        new = place[None]
        extended = np.concatenate([new, line] if end == 0 else [line, new])
        length = reach
    reasons.append(f"ends inside the box, extended by {length:.0f} m")
    return extended, reasons


def _nearest(path: np.ndarray, point: np.ndarray) -> tuple[float, np.ndarray]:
    """Distance from a point to a path, and the nearest place of it."""
    side = LineString(path)
    place = shapely.get_coordinates(side.interpolate(side.project(shapely.Point(point))))[0]
    return float(np.hypot(*(place - point))), place
