"""Where to look: a glacier's name, a place, a box or polygons become a box on the working map."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from pyproj import CRS, Transformer
from shapely.errors import GEOSException
from shapely.geometry.base import BaseGeometry

from icefront.errors import IcefrontError
from icefront.fronts.area_of_interest import read_area
from icefront.fronts.date_line import continuous, cut_at_date_line
from icefront.fronts.vector_files import crs_of
from icefront.glaciers import KnownGlacier, glacier_named, name_key
from icefront.grid import WGS84, Grid, crs_name, working_crs

MARGIN_M = 5_000.0
"""Ground beside a polygon that comes along: networks look at what surrounds a front."""

PLACE_SIDE_M = 20_000.0
"""Side of the square about a place of which nothing else is known."""

MOST_PIXELS = 1 << 28
"""Larger grids are refused: float32, they take a gigabyte."""

_LARGEST_M = 1_000_000.0
"""Longest side of a box; one of more holds no single glacier."""

_NUMBERS = re.compile(r"\s*[-+]?[\d.]+([eE][-+]?\d+)?(\s*,\s*[-+]?[\d.]+([eE][-+]?\d+)?)+\s*")
_WKT = re.compile(r"\s*(SRID=\d+;)?\s*(MULTI)?(POINT|POLYGON|GEOMETRYCOLLECTION)\b", re.IGNORECASE)
_VERTEX_M = 500.0
# Degrees between vertices that follow a parallel closely enough.
_VERTEX_DEGREES = 0.25


@dataclass(frozen=True)
class Area:
    """A box on a map in metres.

    Attributes
    ----------
    name : str
        Of the glacier, or of the area as files and tags call it.
    crs : pyproj.CRS
        Projected, in metres.
    bounds : (float, float, float, float)
        Left, bottom, right, top in the CRS.
    """

    name: str
    crs: CRS
    bounds: tuple[float, float, float, float]

    @property
    def box(self) -> shapely.Polygon:
        """The box in its CRS, with vertices close enough to be reprojected."""
        return shapely.segmentize(shapely.box(*self.bounds), _VERTEX_M)

    @property
    def outline(self) -> BaseGeometry:
        """The box in degrees, cut at the date line; about a pole, all beyond a parallel."""
        to_degrees = Transformer.from_crs(self.crs, WGS84, always_xy=True)
        ring = shapely.get_coordinates(self.box)
        east, north = to_degrees.transform(ring[:, 0], ring[:, 1])
        for pole in (90.0, -90.0):
            x, y = Transformer.from_crs(WGS84, self.crs, always_xy=True).transform(0.0, pole)
            if np.isfinite([x, y]).all() and self.box.contains(shapely.Point(x, y)):
                low, high = (north.min(), 90.0) if pole > 0 else (-90.0, north.max())
                return shapely.box(-180.0, low, 180.0, high)
        places = gpd.GeoSeries([shapely.Polygon(np.stack([east, north], axis=1))], crs=4326)
        return cut_at_date_line(continuous(places).iloc[0])

    def covered_by(self, outlines: list[BaseGeometry]) -> float:
        """Return the fraction of the box that lies in polygons in degrees.

        Those may cross the date line in any of the forms in use.
        """
        if not outlines:
            return 0.0
        places = gpd.GeoSeries(outlines, crs=4326).explode(ignore_index=True)
        places = continuous(places).segmentize(_VERTEX_DEGREES).to_crs(self.crs)
        shapes = shapely.make_valid(places.to_numpy())
        shapes = shapes[np.isfinite(shapely.bounds(shapes)).all(axis=1)]
        box = shapely.box(*self.bounds)
        return float(shapely.area(shapely.intersection(shapely.union_all(shapes), box)) / box.area)

    def grid(self, pixel_size_m: float) -> Grid:
        """Return the grid of square pixels that holds the box.

        Corners of pixels are whole multiples of their side, so that grids of one pixel size that
        overlap share their pixels.

        Raises
        ------
        IcefrontError
            If the pixel size is not positive, or there would be too many pixels.
        """
        if not (math.isfinite(pixel_size_m) and pixel_size_m > 0):
            raise IcefrontError(f"A pixel size must be positive, not {pixel_size_m:g} m.")
        left, bottom, right, top = (side / pixel_size_m for side in self.bounds)
        # A side that is whole but for rounding adds no row.
        left, bottom = math.floor(left + 1e-6), math.floor(bottom + 1e-6)
        right, top = math.ceil(right - 1e-6), math.ceil(top - 1e-6)
        height, width = max(1, top - bottom), max(1, right - left)
        if height * width > MOST_PIXELS:
            raise IcefrontError(
                f"The area of {self.name} has {height} × {width} pixels of {pixel_size_m:g} m: "
                "name a smaller one, or give larger pixels with --pixel-size."
            )
        origin = left * pixel_size_m, top * pixel_size_m
        transform = Affine(pixel_size_m, 0.0, origin[0], 0.0, -pixel_size_m, origin[1])
        return Grid(height, width, self.crs, transform, float(pixel_size_m))

    def to_json(self) -> dict[str, Any]:
        """Return the area as a recipe holds it."""
        code = self.crs.to_epsg()
        crs = f"EPSG:{code}" if code else self.crs.to_wkt()
        return {"name": self.name, "crs": crs, "bounds": list(self.bounds)}

    @classmethod
    def from_json(cls, known: object) -> Area:
        """Read what `to_json` gave.

        Raises
        ------
        IcefrontError
            If something is missing or is no area.
        """
        if not isinstance(known, dict):
            raise IcefrontError("the area is missing; search again")
        name, bounds = known.get("name"), known.get("bounds")
        whole = (
            isinstance(bounds, list)
            and len(bounds) == 4
            and all(isinstance(side, int | float) and math.isfinite(side) for side in bounds)
            and bounds[0] < bounds[2]
            and bounds[1] < bounds[3]
        )
        if not isinstance(name, str) or not name.strip() or not whole:
            raise IcefrontError(
                "the area has no name or no bounds of left, bottom, right and top; search again"
            )
        assert isinstance(bounds, list)
        left, bottom, right, top = (float(side) for side in bounds)
        return cls(name, _in_metres(crs_of(str(known.get("crs")))), (left, bottom, right, top))


def area_of(
    where: str | os.PathLike[str],
    *,
    name: str | None = None,
    margin_m: float | None = None,
    crs: str | None = None,
) -> Area:
    """Return the box that a name, a place, a box, well-known text or a file of polygons means.

    Parameters
    ----------
    where : str or path
        ``Helheim``; ``-38.2,66.4`` (longitude, latitude); ``-39,66,-37,67`` (west, south, east,
        north; west may be larger than east, across the date line); ``POLYGON ((…))`` in degrees; or
        a file of polygons in any vector format, with a CRS.
    name : str, optional
        What the area is called; by default the glacier's name, or that of the file. Of a file with
        a column ``glacier`` and several glaciers it chooses the one.
    margin_m : float, optional
        Ground on each side beside a polygon or box (by default 5 km for polygons, none for boxes),
        or half the side of the square about a place.
    crs : str, optional
        CRS in metres of the box; by default polar stereographic or UTM.

    Raises
    ------
    IcefrontError
        If it is none of these.
    """
    if margin_m is not None and not (math.isfinite(margin_m) and margin_m >= 0):
        raise IcefrontError(f"A margin must be zero or more metres, not {margin_m:g}.")
    text = os.fspath(where).strip()
    chosen = None if crs is None else _in_metres(crs_of(crs))
    if not text:
        raise IcefrontError("No area was named: give a glacier, a place, a box or a file.")
    if os.path.isfile(text):
        table, called = _of_file(Path(text), name)
        return _about(table, name or called, chosen, MARGIN_M if margin_m is None else margin_m)
    if _NUMBERS.fullmatch(text):
        return _of_numbers(text, name, chosen, margin_m)
    if _WKT.match(text):
        return _of_wkt(text, name, chosen, margin_m)
    if os.sep in text or re.search(r"\.(geojson|json|shp|gpkg|kml|wkt|zip)$", text, re.IGNORECASE):
        raise IcefrontError(f"{text} does not exist: check the path.")
    area = area_of_glacier(glacier_named(text), margin_m=margin_m, crs=chosen)
    return area if name is None else replace(area, name=name)


def area_of_glacier(
    glacier: KnownGlacier, *, margin_m: float | None = None, crs: CRS | None = None
) -> Area:
    """Return the box about the front of a known glacier, as `area_of` does."""
    if not glacier.outline:
        half = glacier.side_m / 2 if margin_m is None else margin_m
        return _square(glacier.longitude, glacier.latitude, glacier.name, crs, half)
    series = gpd.GeoSeries([shapely.Polygon(glacier.outline)], crs=4326)
    return _about(series, glacier.name, crs, MARGIN_M if margin_m is None else margin_m)


def _of_file(path: Path, name: str | None) -> tuple[gpd.GeoSeries, str]:
    if path.suffix.lower() == ".wkt":
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise IcefrontError(f"{path} cannot be read as well-known text.") from error
        return gpd.GeoSeries([_geometry(text)], crs=4326), path.stem
    table = read_area(path)
    if table.crs is None:
        raise IcefrontError(f"{path} does not say in which CRS it is: save it with one.")
    column = next((text for text in table.columns if str(text).lower() == "glacier"), None)
    if column is None:
        return table.geometry, path.stem
    names = [str(text) for text in table[column]]
    if name is not None and len({name_key(text) for text in names}) > 1:
        rows = [name_key(text) == name_key(name) for text in names]
        if not any(rows):
            raise IcefrontError(f"{path} has no glacier {name!r} but {_few(names)}.")
        return table.geometry[rows], name
    if len({name_key(text) for text in names}) > 1:
        raise IcefrontError(
            f"{path} has polygons of several glaciers ({_few(names)}): say with --name which one."
        )
    return table.geometry, names[0]


def _few(names: list[str]) -> str:
    several = sorted(set(names))
    more = f" and {len(several) - 6} more" if len(several) > 6 else ""
    return ", ".join(several[:6]) + more


def _of_numbers(text: str, name: str | None, crs: CRS | None, margin_m: float | None) -> Area:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 2 and _on_earth(*numbers):
        half = PLACE_SIDE_M / 2 if margin_m is None else margin_m
        east, north = numbers
        return _square(east, north, name or _place_name(east, north), crs, half)
    if len(numbers) == 4:
        west, south, east, north = numbers
        if _on_earth(west, south) and _on_earth(east, north) and south < north and west != east:
            east += 360.0 if east < west else 0.0
            box = shapely.box(west, south, east, north)
            called = name or _place_name((west + east) / 2, (south + north) / 2)
            return _about(gpd.GeoSeries([box], crs=4326), called, crs, margin_m or 0.0)
    raise IcefrontError(
        f"{text!r} is no place and no box: give longitude,latitude or west,south,east,north in "
        "degrees."
    )


def _place_name(east: float, north: float) -> str:
    east = (east + 180.0) % 360.0 - 180.0
    return (
        f"{abs(north):.2f}{'N' if north >= 0 else 'S'} {abs(east):.2f}{'E' if east >= 0 else 'W'}"
    )


def _on_earth(east: float, north: float) -> bool:
    return -360.0 <= east <= 360.0 and -90.0 <= north <= 90.0


def _of_wkt(text: str, name: str | None, crs: CRS | None, margin_m: float | None) -> Area:
    shape = _geometry(text)
    if shape.geom_type == "Point":
        return _of_numbers(f"{shape.x},{shape.y}", name, crs, margin_m)
    margin = MARGIN_M if margin_m is None else margin_m
    return _about(gpd.GeoSeries([shape], crs=4326), name or "area", crs, margin)


def _geometry(text: str) -> BaseGeometry:
    try:
        shape = shapely.from_wkt(re.sub(r"^\s*SRID=4326;", "", text, flags=re.IGNORECASE))
    except (GEOSException, ValueError) as error:
        raise IcefrontError(
            f"{text.strip()[:60]!r} is no well-known text: write POLYGON ((lon lat, …))."
        ) from error
    places = shapely.get_coordinates(shape)
    if shape.is_empty or not all(_on_earth(*place) for place in places):
        raise IcefrontError(
            f"{text.strip()[:60]!r} holds no longitude and latitude in degrees: state those."
        )
    return shape


def _square(east: float, north: float, name: str, crs: CRS | None, half_m: float) -> Area:
    system = crs or working_crs(east, north)
    x, y = Transformer.from_crs(WGS84, system, always_xy=True).transform(east, north)
    if not np.isfinite([x, y]).all():
        raise IcefrontError(f"{name} lies outside of {crs_name(system)}: name another CRS.")
    if not half_m:
        raise IcefrontError(f"A margin of 0 m leaves nothing about the place {name}: give one.")
    return _checked(Area(name, system, (x - half_m, y - half_m, x + half_m, y + half_m)))


def _about(shapes: gpd.GeoSeries, name: str, crs: CRS | None, margin_m: float) -> Area:
    """Return the box about polygons on a map that has no seam there."""
    shapes = continuous(shapes)
    if crs is None:
        degrees = shapes.to_crs(4326)
        crs = working_crs(*_middle(shapely.get_coordinates(degrees.to_numpy())))
    dense = shapes.segmentize(_VERTEX_DEGREES) if shapes.crs.is_geographic else shapes
    bounds = shapely.bounds(dense.to_crs(crs).to_numpy())
    if not np.isfinite(bounds).all():
        raise IcefrontError(f"{name} lies outside of {crs_name(crs)}: name another CRS.")
    left, bottom = bounds[:, :2].min(axis=0) - margin_m
    right, top = bounds[:, 2:].max(axis=0) + margin_m
    return _checked(Area(name, crs, (float(left), float(bottom), float(right), float(top))))


def _checked(area: Area) -> Area:
    left, bottom, right, top = area.bounds
    if max(right - left, top - bottom) > _LARGEST_M:
        raise IcefrontError(
            f"{area.name} spans {(right - left) / 1e3:.0f} × {(top - bottom) / 1e3:.0f} km, more "
            "than a glacier does: name a smaller area."
        )
    if not (right > left and top > bottom):
        raise IcefrontError(f"{area.name} has no extent: give --margin in metres.")
    return area


def _middle(places: np.ndarray) -> tuple[float, float]:
    """Return the mean place of vertices in degrees, on the sphere."""
    east, north = np.radians(places).T
    x, y = (np.cos(north) * np.cos(east)).mean(), (np.cos(north) * np.sin(east)).mean()
    z = np.sin(north).mean()
    return math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y)))


def _in_metres(crs: CRS) -> CRS:
    unit = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 0.0
    if not crs.is_projected or unit != 1.0:
        raise IcefrontError(f"{crs_name(crs)} is no map in metres: give one such as EPSG:3413.")
    return crs
