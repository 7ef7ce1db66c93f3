"""Areas of interest: polygons that a front is clipped to."""

from __future__ import annotations

from typing import TypeAlias

import geopandas as gpd
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from icefront.errors import IcefrontError
from icefront.scenes.scene import Scene

AreaOfInterest: TypeAlias = BaseGeometry | gpd.GeoDataFrame | gpd.GeoSeries
"""A polygon in the scene's coordinates, or a table of polygons in any CRS."""


def area_in_scene(aoi: AreaOfInterest, scene: Scene) -> BaseGeometry:
    """Bring an area of interest to the coordinates of a scene.

    Parameters
    ----------
    aoi : shapely polygon, GeoDataFrame or GeoSeries
        The area. A geometry or a table without CRS is taken in the scene's coordinates; a table in
        another CRS is reprojected.
    scene : Scene
        The scene.

    Returns
    -------
    shapely Polygon or MultiPolygon
        The part of the area that lies in the scene, in the scene's coordinates.

    Raises
    ------
    IcefrontError
        If the area holds no polygon, has a CRS while the scene has none, or does not touch the
        scene.
    """
    if isinstance(aoi, BaseGeometry):
        area = aoi
    else:
        series = aoi.geometry
        if series.crs is not None and scene.crs is None:
            raise IcefrontError(
                f"The area of interest is in {series.crs.name}, but {scene.name} has no CRS: give "
                "the area in pixels (x = column, y = row) and without a CRS."
            )
        if series.crs is not None and series.crs != scene.crs:
            # Straight edges bend in another projection: follow them by more vertices.
            extent = float(np.ptp(series.total_bounds.reshape(2, 2), axis=0).max())
            if np.isfinite(extent) and extent > 0:
                series = series.segmentize(extent / 64)
            series = series.to_crs(scene.crs)
        area = shapely.unary_union([g for g in series if g is not None])
    coordinates = shapely.get_coordinates(area)
    if shapely.get_dimensions(area) < 2 or len(coordinates) == 0:
        raise IcefrontError("The area of interest holds no polygon: draw one around the front.")
    if np.isfinite(coordinates).all():
        area = shapely.intersection(shapely.make_valid(area), scene.grid.outline())
        polygons = [g for g in shapely.get_parts(area) if shapely.area(g) > 0]
        if polygons:
            return shapely.unary_union(polygons)
    raise IcefrontError(
        f"The area of interest does not touch the scene {scene.name}: check its position and CRS."
    )
