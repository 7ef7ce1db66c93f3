"""Tables of fronts as input of the measures: validation, dates, CRS and flags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from icefront.errors import IcefrontError
from icefront.fronts.date_columns import read_dates
from icefront.fronts.date_line import continuous, in_crs
from icefront.fronts.vector_files import misplaced

Plane = Literal["geodesic", "projected", "ground", "map"]
"""Where metres are taken. ``projected`` is the CRS of the fronts as it is (the UTM zone of the
glacier for degrees or feet); ``geodesic`` is a Lambert azimuthal equal-area projection about the
glacier, in which areas are those on the ellipsoid and lengths within 25 km of its middle are true
to 2 in a million. ``map`` and ``ground`` are the older names of the two.

Far from its true latitude the scale of a projection is not 1: lengths in EPSG:3413 are 1.7 % short
at 76.5° N and 4 % long at 60° N.
"""
_GEODESIC, _PROJECTED = ("geodesic", "ground"), ("projected", "map")

Line: TypeAlias = shapely.LineString | gpd.GeoSeries | gpd.GeoDataFrame
"""A line as users have it: a geometry in the CRS of the fronts, or a table of one row."""

Area: TypeAlias = shapely.Polygon | gpd.GeoSeries | gpd.GeoDataFrame
"""The same of a polygon."""

GOOD, CHECK, NO_POSITION = "good", "check", "no position"
"""What a flag begins with; after a colon it says why."""

_STEP_M = 250.0
"""Straight pieces are cut to this length before they are brought to another projection."""


def check_fronts(fronts: gpd.GeoDataFrame) -> None:
    """Refuse a table of fronts that cannot be measured.

    Raises
    ------
    IcefrontError
        If it is no GeoDataFrame, is empty, or has no CRS, no column ``date``, a date that is none,
        geometry other than lines, or a vertex that is no place.
    """
    if not isinstance(fronts, gpd.GeoDataFrame):
        raise IcefrontError(
            f"Fronts come as a GeoDataFrame, not as {type(fronts).__name__}: read the file with "
            "icefront.fronts.read_fronts."
        )
    if fronts.empty:
        raise IcefrontError("The table of fronts is empty: give one with at least one front.")
    if fronts.crs is None:
        raise IcefrontError(
            "The table of fronts has no CRS, so its metres are unknown: set it with set_crs, or "
            "give --crs."
        )
    if "date" not in fronts:
        raise IcefrontError(
            f"The table of fronts has no column 'date' (but {', '.join(map(str, fronts.columns))}):"
            " import it with icefront.fronts.read_fronts, or icefront monitor import."
        )
    dates_of(fronts)
    kinds = shapely.get_type_id(fronts.geometry.values)
    wrong = ~np.isin(kinds, (1, 5, -1)) & ~fronts.geometry.is_empty.to_numpy()
    if wrong.any():
        kind = fronts.geometry.iloc[int(np.argmax(wrong))].geom_type
        raise IcefrontError(
            f"Row {int(np.argmax(wrong))} of the table of fronts is a {kind}: fronts are lines."
        )
    places = misplaced(fronts.geometry)
    if (places != "").any():
        row = int(np.argmax(places != ""))
        raise IcefrontError(
            f"Row {row} of the table of fronts has {places[row]}: leave it out, or set "
            "the CRS that its coordinates are in."
        )


def dates_of(fronts: pd.DataFrame) -> pd.Series:
    """Return the dates of a table as datetime64, days, without time zone.

    Raises
    ------
    IcefrontError
        If one of them is none, or the column may be read in several ways.
    """
    dates = fronts["date"]
    if pd.api.types.is_datetime64_dtype(dates) and dates.between("1972", "2099").all():
        return dates.dt.normalize()  # Days already, and none that stands for no date.
    read = read_dates(dates, column="The column 'date' of the table of fronts")
    if None in read.days:
        row = read.days.index(None)
        raise IcefrontError(
            f"Row {row} of the table of fronts has the date {str(dates.iloc[row])!r}: give a "
            "day such as 2018-06-02."
        )
    return pd.Series(pd.to_datetime(read.days), fronts.index, name="date")


def one_line(line: Line, crs: CRS, what: str = "centreline") -> shapely.LineString:
    """Return a line given in any way as one LineString in a CRS.

    Raises
    ------
    IcefrontError
        If it is not one line, is shorter than nothing, or crosses itself.
    """
    found = shapely.line_merge(_geometry(line, crs))
    if found.geom_type != "LineString" or found.is_empty or found.length == 0:
        raise IcefrontError(
            f"The {what} is a {found.geom_type} of length {found.length:.0f}: give one line, from "
            "inland to the sea."
        )
    if not found.is_simple:
        raise IcefrontError(f"The {what} crosses itself: draw it without loops.")
    return shapely.force_2d(found)


def one_polygon(area: Area, crs: CRS, what: str = "box") -> shapely.Polygon:
    """Return a polygon given in any way as one valid Polygon in a CRS."""
    found = _geometry(area, crs)
    if found.geom_type == "MultiPolygon" and len(found.geoms) == 1:
        found = found.geoms[0]
    if found.geom_type != "Polygon" or found.is_empty or not found.is_valid or found.interiors:
        raise IcefrontError(
            f"The {what} is not one polygon without holes and crossing sides: draw it anew."
        )
    return shapely.force_2d(found)


def _geometry(given: Line | Area, crs: CRS) -> BaseGeometry:
    if isinstance(given, gpd.GeoDataFrame):
        given = given.geometry
    if isinstance(given, gpd.GeoSeries):
        if given.crs is None:
            raise IcefrontError(
                "The file of the centreline or box has no CRS: set it, so that it can be laid over "
                "the fronts."
            )
        return shapely.union_all(reproject(given, crs).values)
    return continuous(gpd.GeoSeries([given], crs=crs)).iloc[0]


def plane_named(name: str) -> Literal["geodesic", "projected"]:
    """Return the plane that a name or an older name means.

    Raises
    ------
    IcefrontError
        If there is no such plane.
    """
    if name not in (*_GEODESIC, *_PROJECTED):
        raise IcefrontError(
            f"There is no plane {name!r} to measure in: give geodesic or projected (or their "
            "older names, map or ground)."
        )
    return "geodesic" if name in _GEODESIC else "projected"


def measuring_crs(fronts: gpd.GeoDataFrame, about: BaseGeometry, plane: Plane) -> CRS:
    """Return the CRS in which a glacier is measured.

    Parameters
    ----------
    fronts : GeoDataFrame
    about : geometry
        The centreline or box, in the CRS of the fronts.
    plane : "geodesic" or "projected"
        See `Plane`.

    Raises
    ------
    IcefrontError
        If there is no such plane.
    """
    plane = plane_named(plane)
    crs = CRS.from_user_input(fronts.crs)
    in_metres = crs.is_projected and crs.axis_info[0].unit_conversion_factor == 1.0
    if plane == "projected" and in_metres:
        return crs
    if plane == "projected":
        # The tool MaQiT takes the zone of the start of the centreline.
        place = shapely.get_coordinates(about)[0]
        return gpd.GeoSeries.from_xy([place[0]], [place[1]], crs=crs).estimate_utm_crs()
    about = continuous(gpd.GeoSeries([about], crs=crs)).iloc[0]
    west, south, east, north = shapely.bounds(about)
    middle = gpd.GeoSeries.from_xy([(west + east) / 2], [(south + north) / 2], crs=crs).to_crs(4326)
    lon, lat = float(middle.x.iloc[0]), float(middle.y.iloc[0])
    ellipsoid = crs.ellipsoid
    shape = (
        "+ellps=WGS84"
        if ellipsoid is None
        else f"+a={ellipsoid.semi_major_metre} +b={ellipsoid.semi_minor_metre}"
    )
    return CRS.from_proj4(f"+proj=laea +lat_0={lat} +lon_0={lon} {shape} +units=m +type=crs")


def reproject(series: gpd.GeoSeries, crs: CRS) -> gpd.GeoSeries:
    """Bring geometries to a CRS; straight pieces stay straight on the map they were drawn on."""
    source = CRS.from_user_input(series.crs)
    series = _of_some_length(continuous(series))
    if source == crs:
        return series
    if source.is_projected:
        series = series.segmentize(_STEP_M / source.axis_info[0].unit_conversion_factor)
    return in_crs(series, crs)


def _of_some_length(series: gpd.GeoSeries) -> gpd.GeoSeries:
    """Leave out pieces of lines that have no length: GEOS cannot cut them."""
    geometries = series.to_numpy()
    parts, owner = shapely.get_parts(geometries, return_index=True)
    points = (shapely.get_dimensions(parts) == 1) & (shapely.length(parts) == 0)
    if not points.any():
        return series
    geometries = geometries.copy()
    for row in np.unique(owner[points]):
        geometries[row] = shapely.multilinestrings(parts[(owner == row) & ~points])
    return gpd.GeoSeries(geometries, index=series.index, crs=series.crs)


def lines_in(fronts: gpd.GeoDataFrame, crs: CRS) -> np.ndarray:
    """Return the fronts as an object array (N,) of 2-D lines in a CRS; missing ones are empty."""
    lines = reproject(fronts.geometry, crs).to_numpy()
    lines = np.where(shapely.is_missing(lines), shapely.LineString(), lines)
    return shapely.force_2d(lines)


def flags_of(position: np.ndarray, reasons: Sequence[Sequence[str]]) -> list[str]:
    """Return flags: ``good``, ``check: why`` or ``no position: why``."""
    flags = []
    for value, why in zip(position, reasons, strict=True):
        word = NO_POSITION if np.isnan(value) else CHECK if why else GOOD
        flags.append(f"{word}: {'; '.join(why)}" if why else word)
    return flags
