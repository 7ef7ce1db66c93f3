"""Areas of interest: polygons that a front is clipped to."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import geopandas as gpd
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from icefront.errors import IcefrontError
from icefront.fronts.date_line import continuous
from icefront.fronts.vector_files import misplaced, read_vectors
from icefront.scenes.scene import Scene

AreaOfInterest: TypeAlias = BaseGeometry | gpd.GeoDataFrame | gpd.GeoSeries
"""A polygon in the scene's coordinates, or a table of polygons in any CRS."""

_TOUCH = 1e-6
"""Fraction of an area by which mending may change it."""


def read_area(path: Path, name: str = "area of interest") -> gpd.GeoDataFrame:
    """Read an area of interest: one polygon or several, in any vector format and any CRS.

    `name` says what the polygons are, for the messages.

    Raises
    ------
    IcefrontError
        If the file is missing, is no vector file, has no polygon, or a polygon crosses itself or
        has vertices that are no places.
    """
    area = read_vectors(path, "polygons", crs_needed=False)
    polygons = area.geom_type.isin(["Polygon", "MultiPolygon"])
    if not polygons.any():
        raise IcefrontError(f"The {name} {path} has no polygon: draw one.")
    area = area[polygons]
    for row, whose in enumerate(area["glacier"] if "glacier" in area else [None] * len(area)):
        of = "" if whose is None else f" of {whose}"
        _whole(area.geometry.iloc[[row]], f"The {name}{of} in {path}")
    return area


def area_in_scene(
    aoi: AreaOfInterest, scene: Scene, name: str = "area of interest"
) -> BaseGeometry:
    """Bring an area of interest to the coordinates of a scene.

    Parameters
    ----------
    aoi : shapely polygon, GeoDataFrame or GeoSeries
        The area. A geometry or a table without CRS is taken in the scene's coordinates; a table in
        another CRS is reprojected.
    scene : Scene
        The scene.
    name : str
        What the polygons are, for the messages.

    Returns
    -------
    shapely Polygon or MultiPolygon
        The part of the area that lies in the scene, in the scene's coordinates.

    Raises
    ------
    IcefrontError
        If the area holds no polygon, crosses itself or has vertices that are no places, has a CRS
        while the scene has none, or does not touch the scene.
    """
    if isinstance(aoi, BaseGeometry):
        area = _whole(gpd.GeoSeries([aoi]), f"The {name}")
    else:
        series = aoi.geometry
        if series.crs is not None and scene.crs is None:
            raise IcefrontError(
                f"The {name} is in {series.crs.name}, but {scene.name} has no CRS: give "
                "it in pixels (x = column, y = row) and without a CRS."
            )
        series = gpd.GeoSeries([_whole(series, f"The {name}")], crs=series.crs)
        if series.crs is not None and series.crs != scene.crs:
            series = series.explode(ignore_index=True)
            # Straight edges bend in another projection: follow them by more vertices.
            bounds = series.bounds
            extent = np.maximum(bounds.maxx - bounds.minx, bounds.maxy - bounds.miny)
            series = series.segmentize(extent / 64).to_crs(scene.crs)
        area = shapely.union_all(series.to_numpy())
    coordinates = shapely.get_coordinates(area)
    if np.isfinite(coordinates).all():
        area = shapely.intersection(area, scene.grid.outline())
        polygons = [g for g in shapely.get_parts(area) if shapely.area(g) > 0]
        if polygons:
            return shapely.unary_union(polygons)
    raise IcefrontError(
        f"The {name} does not touch the scene {scene.name}: check its position and CRS."
    )


def _whole(series: gpd.GeoSeries, name: str) -> BaseGeometry:
    """Return the union of all polygons, without a jump at the date line.

    Raises
    ------
    IcefrontError
        If there is none, or one of them leaves open what is inside.
    """
    series = series[shapely.get_dimensions(series.to_numpy()) == 2]
    if series.is_empty.all():
        raise IcefrontError(f"{name} holds no polygon: draw one around the front.")
    wrong = misplaced(series)
    if (wrong != "").any():
        raise IcefrontError(f"{name} has {wrong[wrong != ''][0]}: draw it anew, or state its CRS.")
    parts = shapely.get_parts(continuous(series).to_numpy())
    invalid = ~shapely.is_valid(parts)
    mended = shapely.make_valid(parts[invalid])
    # Sides that only touch leave nothing open; of those that cross, each may be meant as the edge.
    change = np.abs(shapely.area(mended) - shapely.area(parts[invalid]))
    if (change > _TOUCH * shapely.area(mended)).any():
        why = shapely.is_valid_reason(parts[invalid][np.argmax(change)])
        place = ", ".join(why.partition("[")[2].rstrip("]").split())
        raise IcefrontError(
            f"{name} crosses itself{place and f' near ({place})'}, so that what is inside is open: "
            "draw it without crossing sides."
        )
    parts[invalid] = mended
    return shapely.union_all(parts)
