"""Lines and polygons in degrees across the date line.

Such a line comes in three forms: with longitudes that jump from 180 to -180 (plain), cut there into
two pieces (split, as GeoJSON wants it: RFC 7946, section 3.1.9), or with longitudes from 0 to 360.
Here all become one: longitudes without a jump, that may exceed 180.
"""

from __future__ import annotations

from typing import TypeVar

import geopandas as gpd
import numpy as np
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

Table = TypeVar("Table", gpd.GeoDataFrame, gpd.GeoSeries)

_TURN = 360.0


def in_crs(table: Table, crs: object) -> Table:
    """Reproject a table or series; in degrees its geometries have no jump at the date line."""
    return continuous(table.to_crs(crs))


def continuous(table: Table) -> Table:
    """Take the jumps at the date line out of a table or series in degrees.

    Parameters
    ----------
    table : GeoDataFrame or GeoSeries
        Returned as it is where its CRS is not in degrees.

    Returns
    -------
    GeoDataFrame or GeoSeries
        The middle of each geometry lies between -180 and 180. Pieces that meet at the date line
        are one. Geometries that neither cross it nor exceed 180 are untouched.
    """
    if not in_degrees(table.crs):
        return table
    geometries = table.geometry.to_numpy()
    bounds = shapely.bounds(geometries)
    west, east = bounds[:, 0], bounds[:, 2]
    crossing = (east - west > _TURN / 2) | (west < -_TURN / 2) | (east > _TURN / 2)
    if not crossing.any():
        return table
    mended = geometries.copy()
    mended[crossing] = [_continuous(geometry) for geometry in geometries[crossing]]
    series = gpd.GeoSeries(mended, index=table.index, crs=table.crs)
    return series if isinstance(table, gpd.GeoSeries) else table.set_geometry(series)


def in_degrees(crs: object) -> bool:
    """Tell whether coordinates of a CRS are longitude and latitude in degrees."""
    if crs is None:
        return False
    system = CRS.from_user_input(crs)
    unit = system.axis_info[0].unit_conversion_factor if system.axis_info else 0.0
    return system.is_geographic and abs(np.degrees(unit) - 1) < 1e-6


def box_about(series: gpd.GeoSeries) -> shapely.Polygon:
    """Return the box about all geometries of a series; in degrees about the date line if need be.

    A geometry at 179.9 and one at -179.9 are neighbours.
    """
    bounds = shapely.bounds(series.to_numpy())
    bounds = bounds[np.isfinite(bounds).all(axis=1)]
    if in_degrees(series.crs) and len(bounds):
        bounds[:, [0, 2]] -= _turns(bounds[:, [0, 2]].mean(axis=1), bounds[0, [0, 2]].mean())[
            :, None
        ]
    return shapely.box(*bounds[:, :2].min(axis=0), *bounds[:, 2:].max(axis=0))


def cut_at_date_line(geometry: BaseGeometry) -> BaseGeometry:
    """Cut a geometry in degrees without a jump into parts between -180 and 180 (RFC 7946)."""
    west, _, east, _ = geometry.bounds
    parts = []
    for turn in range(int((west + 180.0) // _TURN), int(-((180.0 - east) // _TURN)) + 1):
        strip = shapely.box(turn * _TURN - 180.0, -90.0, turn * _TURN + 180.0, 90.0)
        part = _shifted(shapely.intersection(geometry, strip), turn * _TURN)
        if shapely.get_dimensions(part) == shapely.get_dimensions(geometry):
            parts.append(part)
    return shapely.union_all(parts) if len(parts) > 1 else geometry if not parts else parts[0]


def _turns(longitudes: np.ndarray, reference: float) -> np.ndarray:
    """Return the whole turns, in degrees, by which longitudes are off a reference."""
    return _TURN * np.round((longitudes - reference) / _TURN)


def _continuous(geometry: BaseGeometry) -> BaseGeometry:
    parts = [_unwrapped(part) for part in shapely.get_parts(geometry)]
    if not parts:
        return geometry
    size = shapely.area(parts) if shapely.get_dimensions(geometry) == 2 else shapely.length(parts)
    bounds = shapely.bounds(parts)
    middles = bounds[:, [0, 2]].mean(axis=1)
    largest = int(np.argmax(size))
    shifts = _turns(middles, middles[largest])
    shifts += _turns(np.atleast_1d(middles[largest]), 0.0)
    parts = [_shifted(part, shift) for part, shift in zip(parts, shifts, strict=True)]
    if len(parts) == 1:
        return parts[0]
    if shapely.get_dimensions(geometry) == 2:
        return shapely.union_all(parts)
    return shapely.line_merge(shapely.multilinestrings(parts), directed=True)


def _unwrapped(part: BaseGeometry) -> BaseGeometry:
    def unwrap(places: np.ndarray) -> np.ndarray:
        # Whole turns, so that the ends of a ring stay equal to the last digit.
        turns = np.cumsum(_turns(np.diff(places[:, 0]), 0.0))
        return places - np.stack([np.append(0.0, turns), np.zeros(len(places))], axis=1)

    if part.geom_type != "Polygon":
        return shapely.transform(part, unwrap)
    ring = unwrap(shapely.get_coordinates(part.exterior))
    # A ring about the pole does not close, and one along all parallels vanishes: left as drawn.
    around = abs(ring[0, 0] - ring[-1, 0]) > 1 or np.ptp(ring[:, 0]) == 0
    return part if around else shapely.transform(part, unwrap)


def _shifted(part: BaseGeometry, turns: float) -> BaseGeometry:
    return shapely.transform(part, lambda places: places - [turns, 0.0]) if turns else part
