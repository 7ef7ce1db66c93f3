"""Positions along a centreline, and along several that run parallel to it."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from icefront.errors import IcefrontError
from icefront.measures.front_tables import (
    Line,
    Plane,
    check_fronts,
    dates_of,
    flags_of,
    lines_in,
    measuring_crs,
    one_line,
    reproject,
)


def centreline_position(
    fronts: gpd.GeoDataFrame, centreline: Line, *, plane: Plane = "projected"
) -> pd.DataFrame:
    """Measure where fronts cross a centreline.

    Where a front crosses it several times, the crossing nearest to the start counts (as in MaQiT).
    Where it passes through a gap between two pieces of a front, the pieces are joined by a straight
    line. Both are flagged.

    Parameters
    ----------
    fronts : GeoDataFrame
        Lines with a column ``date``, in any CRS.
    centreline : LineString, GeoSeries or GeoDataFrame
        From inland to the sea: advance is then positive.
    plane : "projected" or "geodesic"
        See `icefront.measures.front_tables.Plane`.

    Returns
    -------
    DataFrame
        With the index and order of the fronts: ``date`` (datetime64), ``position_m`` (distance of
        the front along the centreline from its start, NaN where they do not meet) and ``flag``.

    Raises
    ------
    IcefrontError
        If the table or the centreline cannot be used.
    """
    check_fronts(fronts)
    line = one_line(centreline, fronts.crs)
    crs = measuring_crs(fronts, line, plane)
    axis = reproject(gpd.GeoSeries([line], crs=fronts.crs), crs).iloc[0]
    lines = lines_in(fronts, crs)
    position, count = _first_crossing(lines, axis, axis)
    reasons: list[list[str]] = [[] for _ in range(lines.size)]
    for number in np.flatnonzero(count > 1):
        reasons[number].append(f"crosses the centreline {count[number]} times")
    for number in np.flatnonzero(count == 0):
        if lines[number].is_empty:
            reasons[number].append("no front")
            continue
        gaps = _bridges(lines[number])
        found, _ = _first_crossing(np.array([gaps], dtype=object), axis, axis)
        position[number] = found[0]
        reasons[number].append(
            "does not reach the centreline" if np.isnan(found[0]) else "bridged at the centreline"
        )
    return pd.DataFrame(
        {
            "date": dates_of(fronts),
            "position_m": position,
            "flag": flags_of(position, reasons),
        },
        index=fronts.index,
    )


def parallel_centrelines(
    fronts: gpd.GeoDataFrame,
    centreline: Line,
    width_m: float,
    count: int = 9,
    *,
    plane: Plane = "projected",
) -> pd.DataFrame:
    """Measure fronts along several lines at equal distances from a centreline.

    Each position is that of the crossing's nearest place on the centreline itself, so that all
    lines share its metres and their mean is that of the front (the multi-centreline method of MaQiT
    counts along each line instead, which lengthens the outer lines in a bend).

    Parameters
    ----------
    fronts, centreline, plane
        As for `centreline_position`.
    width_m : float
        Distance between the outermost lines in metres.
    count : int
        Number of lines, evenly spaced.

    Returns
    -------
    DataFrame
        ``count`` rows for each front, in the fronts' order, with their index repeated: ``date``,
        ``offset_m`` (distance from the centreline, positive on the left of the flow) and
        ``position_m`` (NaN where the front does not meet that line).

    Raises
    ------
    IcefrontError
        If the table or the centreline cannot be used, the width is not positive, or fewer than two
        lines are asked for.
    """
    check_fronts(fronts)
    if not width_m > 0 or count < 2:
        raise IcefrontError(
            f"{count} lines over {width_m:g} m cannot be drawn: give two or more, and a positive "
            "width."
        )
    line = one_line(centreline, fronts.crs)
    crs = measuring_crs(fronts, line, plane)
    axis = reproject(gpd.GeoSeries([line], crs=fronts.crs), crs).iloc[0]
    lines = lines_in(fronts, crs)
    offsets = np.linspace(-width_m / 2, width_m / 2, count)
    found = np.stack(
        [_first_crossing(lines, _beside(axis, offset), axis)[0] for offset in offsets], axis=1
    )
    return pd.DataFrame(
        {
            "date": np.repeat(dates_of(fronts).to_numpy(), count),
            "offset_m": np.tile(offsets, len(fronts)),
            "position_m": found.ravel(),
        },
        index=np.repeat(fronts.index, count),
    )


def _beside(axis: shapely.LineString, offset: float) -> shapely.LineString:
    if offset == 0:
        return axis
    return shapely.offset_curve(axis, offset, quad_segs=32)


def _first_crossing(
    lines: np.ndarray, across: shapely.LineString, axis: shapely.LineString
) -> tuple[np.ndarray, np.ndarray]:
    """Smallest position on the axis at which lines meet another line, and how often they do."""
    position = np.full(lines.size, np.nan)
    count = np.zeros(lines.size, int)
    shapely.prepare(across)
    meeting = np.flatnonzero(shapely.intersects(across, lines))
    if meeting.size:
        points = shapely.intersection(lines[meeting], across)
        coordinates, owner = shapely.get_coordinates(points, return_index=True)
        at = shapely.line_locate_point(axis, shapely.points(coordinates))
        best = np.full(meeting.size, np.inf)
        np.minimum.at(best, owner, at)
        position[meeting] = best
        count[meeting] = shapely.get_num_geometries(points)
    return position, count


def _bridges(line: shapely.LineString | shapely.MultiLineString) -> shapely.MultiLineString:
    """Straight lines over the gaps between the pieces of a front, each to its nearest neighbour."""
    pieces = [shapely.get_coordinates(part)[[0, -1]] for part in shapely.get_parts(line)]
    joined = {0}
    bridges = []
    while len(joined) < len(pieces):
        _, one, two, other = min(
            (float(np.hypot(*(a - b))), tuple(a), tuple(b), j)
            for i in joined
            for j in range(len(pieces))
            if j not in joined
            for a in pieces[i]
            for b in pieces[j]
        )
        joined.add(other)
        bridges.append([one, two])
    return shapely.MultiLineString(bridges)
