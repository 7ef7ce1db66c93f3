"""The rectilinear box: a fixed polygon at the terminus, and the area of glacier in it."""

from __future__ import annotations

from typing import TypeAlias

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS

from icefront.errors import IcefrontError
from icefront.measures.front_tables import (
    Area,
    Line,
    Plane,
    check_fronts,
    dates_of,
    flags_of,
    lines_in,
    measuring_crs,
    one_line,
    one_polygon,
    reproject,
)
from icefront.measures.terminus_boxes import (
    TerminusBox,
    glacier_areas,
    glacier_polygon,
    terminus_box,
)

Inland: TypeAlias = Line | shapely.Point | tuple[float, float]
"""Where the flow comes from: a centreline from inland to the sea, or a place inland of the box."""


def rectilinear_box(
    fronts: gpd.GeoDataFrame, box: Area, inland: Inland, *, plane: Plane = "geodesic"
) -> pd.DataFrame:
    """Measure fronts by the box method: area over width (Moon & Joughin 2008).

    Areas are on the ellipsoid: everything is brought to a Lambert azimuthal equal-area projection
    about the box first (straight sides stay straight on the map they were drawn on). The width is
    the area of the box over the distance between the places where the flow enters and leaves it;
    for a rectangle it is its width.

    Parameters
    ----------
    fronts : GeoDataFrame
        Lines with a column ``date``, in any CRS.
    box : Polygon, GeoSeries or GeoDataFrame
        One polygon of any shape, such that fronts run through it from side to side.
    inland : LineString, Point, (x, y), GeoSeries or GeoDataFrame
        A centreline from inland to the sea, or a place inland of the box (in the CRS of the fronts
        if it has none). A box alone does not tell which of its ends is glacier.
    plane : "geodesic" or "projected"
        See `icefront.measures.front_tables.Plane`.

    Returns
    -------
    DataFrame
        With the index and order of the fronts:

        date
            datetime64.
        position_m
            Area over width: mean distance of the front from the inland end; NaN where the front
            does not part the box.
        area_m2
            Area of glacier in the box.
        area_change_km2
            Since the first date with a position; advance is positive.
        flag
            As for `icefront.measures.curvilinear_box`.

    Raises
    ------
    IcefrontError
        If the table cannot be measured, or the centreline passes the box by.

    References
    ----------
    Moon, T. & Joughin, I. (2008), J. Geophys. Res. 113, F02022, doi:10.1029/2007JF000927.
    """
    check_fronts(fronts)
    terminus, crs = _box_and_crs(fronts, box, inland, plane)
    areas = glacier_areas(lines_in(fronts, crs), terminus)
    ends = terminus.place(np.array([0.0, terminus.seaward_at]))
    width = terminus.area / float(np.hypot(*(ends[1] - ends[0])))
    position = areas.area_m2 / width
    dates = dates_of(fronts)
    order = np.argsort(dates.to_numpy(), kind="stable")
    measured = areas.area_m2[order][~np.isnan(areas.area_m2[order])]
    first = measured[0] if measured.size else np.nan
    return pd.DataFrame(
        {
            "date": dates,
            "position_m": position,
            "area_m2": areas.area_m2,
            "area_change_km2": (areas.area_m2 - first) / 1e6,
            "flag": flags_of(position, areas.reasons),
        },
        index=fronts.index,
    )


def area_change(
    fronts: gpd.GeoDataFrame,
    box: Area,
    inland: Inland,
    first: object,
    second: object,
    *,
    plane: Plane = "geodesic",
) -> pd.Series:
    """Return the total area gained and lost in a box between two dates.

    Parameters
    ----------
    fronts, box, inland, plane
        As for `rectilinear_box`.
    first, second : date
        Days of two fronts; of several fronts on a day the first that parts the box counts.

    Returns
    -------
    Series
        ``first``, ``second`` (datetime64), ``gained_km2``, ``lost_km2`` (both positive) and
        ``net_km2``, advance from the first to the second date being positive.

    Raises
    ------
    IcefrontError
        If there is no front on a day, or none that parts the box.
    """
    check_fronts(fronts)
    terminus, crs = _box_and_crs(fronts, box, inland, plane)
    dates = dates_of(fronts)
    grounds = []
    for day in (first, second):
        wanted = pd.Timestamp(day).normalize()  # type: ignore[arg-type]
        chosen = fronts[(dates == wanted).to_numpy()]
        if chosen.empty:
            raise IcefrontError(f"There is no front of {wanted:%Y-%m-%d} in the table.")
        found = [glacier_polygon(line, terminus) for line in lines_in(chosen, crs)]
        ground = next((one for one in found if one is not None), None)
        if ground is None:
            raise IcefrontError(f"No front of {wanted:%Y-%m-%d} parts the box from side to side.")
        grounds.append((wanted, ground))
    (day_one, before), (day_two, after) = grounds
    gained, lost = after.difference(before).area / 1e6, before.difference(after).area / 1e6
    return pd.Series(
        {
            "first": day_one,
            "second": day_two,
            "gained_km2": gained,
            "lost_km2": lost,
            "net_km2": gained - lost,
        }
    )


def _box_and_crs(
    fronts: gpd.GeoDataFrame, box: Area, inland: Inland, plane: Plane
) -> tuple[TerminusBox, CRS]:
    polygon = one_polygon(box, fronts.crs)
    crs = measuring_crs(fronts, polygon, plane)
    flow: shapely.LineString | shapely.Point
    if isinstance(inland, tuple):
        flow = shapely.Point(inland)
    elif isinstance(inland, shapely.Point):
        flow = inland
    else:
        flow = one_line(inland, fronts.crs)
    placed = reproject(gpd.GeoSeries([polygon, flow], crs=fronts.crs), crs)
    return terminus_box(placed.iloc[0], placed.iloc[1]), crs
