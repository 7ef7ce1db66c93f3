"""The curvilinear box: a band about a bent centreline, filled with glacier up to the front."""

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
from icefront.measures.terminus_boxes import TerminusBox, glacier_areas

_OVERLAP = 0.1
"""A band that loses this fraction of its area at bends overlaps itself."""
_QUADRANT = 32
"""Segments per quarter circle where the band turns: its area is then true to 1 in 10,000 there."""


def curvilinear_box(
    fronts: gpd.GeoDataFrame, centreline: Line, width_m: float, *, plane: Plane = "projected"
) -> pd.DataFrame:
    """Measure fronts by the curvilinear box method.

    The box is the band of all places nearer than half its width to the centreline, cut straight
    across at the centreline's start and end; its sides so keep their distance through every bend.
    The front parts it in two. The position is the area between the start and the front, divided by
    the width: the mean position of the front along the centreline, from its start (Lea, Mair & Rea
    2014, J. Glaciol. 60(220), doi:10.3189/2014JoG13J061; as in the tool MaQiT, Lea 2018,
    doi:10.5194/tc-12-551-2018, whose column is *Terminus Position on flowline*). Draw the line from
    inland to the sea: advance is then positive. A line drawn the other way gives the distance of
    the front from its seaward start, which grows as the front retreats.

    Parameters
    ----------
    fronts : GeoDataFrame
        Lines with a column ``date``, in any CRS.
    centreline : LineString, GeoSeries or GeoDataFrame
        One line; without a CRS of its own it is in that of the fronts.
    width_m : float
        Width of the box in metres.
    plane : "projected" or "geodesic"
        Metres and areas are those of the map (as in MaQiT, and the default so that published
        tables can be compared; fronts in degrees go to the UTM zone of the centreline's start) or
        those on the ellipsoid. See `icefront.measures.front_tables.Plane`.

    Returns
    -------
    DataFrame
        With the index and order of the fronts:

        date
            datetime64.
        position_m
            Mean position along the centreline from its start in metres; NaN where the front does
            not part the box.
        area_m2
            Area between start and front.
        flag
            ``good``, ``check: why`` or ``no position: why``; the rules are those of
            `icefront.measures.terminus_boxes`.

    Raises
    ------
    IcefrontError
        If the table cannot be measured, the width is not positive, or the band overlaps itself
        because the centreline turns too tightly.
    """
    check_fronts(fronts)
    if not (np.isfinite(width_m) and width_m > 0):
        raise IcefrontError(f"A box cannot be {width_m} m wide: give a positive width.")
    line = one_line(centreline, fronts.crs)
    crs = measuring_crs(fronts, line, plane)
    axis = reproject(gpd.GeoSeries([line], crs=fronts.crs), crs).iloc[0]
    areas = glacier_areas(lines_in(fronts, crs), band(axis, width_m))
    position = areas.area_m2 / width_m
    return pd.DataFrame(
        {
            "date": dates_of(fronts),
            "position_m": position,
            "area_m2": areas.area_m2,
            "flag": flags_of(position, areas.reasons),
        },
        index=fronts.index,
    )


def band(axis: shapely.LineString, width_m: float) -> TerminusBox:
    """Return the curvilinear box about a centreline, in a plane of metres.

    Raises
    ------
    IcefrontError
        If it overlaps itself.
    """
    polygon = axis.buffer(width_m / 2, quad_segs=_QUADRANT, cap_style="flat", join_style="round")
    # A band that does not overlap has the area of its length times its width, but for its corners.
    lost = 1 - polygon.area / (width_m * axis.length)
    if polygon.geom_type != "Polygon" or polygon.interiors or lost > _OVERLAP:
        raise IcefrontError(
            f"A box {width_m:g} m wide about this centreline overlaps itself: give a smaller width "
            "or a centreline with gentler bends."
        )
    ends = shapely.get_coordinates(axis)[[0, -1]]
    for end in ends:
        if polygon.exterior.distance(shapely.Point(end)) > 1e-3 * width_m:
            raise IcefrontError(
                f"A box {width_m:g} m wide about this centreline swallows one of its ends: give a "
                "smaller width or a longer, gentler centreline."
            )
    return TerminusBox(polygon, *ends)
