"""The grid on which a file becomes a scene: projected, north up, square pixels.

A raster that already lies on such a grid stays as it is. Of any other, what holds data is brought
to the working CRS of its centre (`icefront.grid.working_crs`: polar stereographic or UTM), unless
its own CRS is projected, in metres and true to scale within 10 % (then it is only turned).
The pixel size is the geometric mean of the two ground sides of a native pixel at the centre,
rounded to three digits: the new grid has about as many pixels as the old one has over the same
ground. EPSG:3413 and 3031 stretch lengths by -3 % to +4 % between the pole and 60°; pixel
sizes and lengths are those of the map.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from affine import Affine
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import CRSError, ProjError
from rasterio._err import CPLE_BaseError
from rasterio.control import GroundControlPoint
from rasterio.errors import RasterioError
from rasterio.transform import GCPTransformer

from icefront.errors import IcefrontError
from icefront.grid import WGS84, Grid, PixelSize, composed, crs_name, working_crs

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

AskedPixelSize = PixelSize | Literal["pixels"]
"""A pixel size as callers state it; "pixels" says that it is unknown, whatever the name says."""

Part = Callable[[Grid], tuple[slice, slice] | None]
"""Chooses rows and columns of a grid, or all of it by None."""

SQUARE_TOLERANCE = 1e-3
"""Largest relative difference of the sides of a pixel that still counts as square."""
SCALE_TOLERANCE = 0.1
"""Largest relative error of a map's scale at the centre of the scene (Web Mercator fails)."""

_GEOD = Geod(ellps="WGS84")
# A thin-plate spline goes through every control point, as the terrain in them needs; with few
# points it is not determined, with very many it is slow.
_TPS_POINTS = range(10, 1500)
# Extent of control points across the line that fits them best, relative to that along it; and how
# far they are from any plane map of the image, relative to how far apart they lie.
_ON_A_LINE, _OFF_A_PLANE = 1e-3, 0.3


@dataclass(frozen=True)
class Georeference:
    """Where the pixels of a file lie, before anything is warped.

    Attributes
    ----------
    height, width : int
        Size in pixels.
    crs : pyproj.CRS or None
        None if the file has no usable georeference.
    transform : Affine or None
        Pixel corner (column, row) to `crs`; None where control points say it.
    gcps : tuple of rasterio GroundControlPoint
        In `crs`; empty where `transform` says it.
    notes : tuple of str
        Why there is no georeference, if so.
    stated_crs : pyproj.CRS or None
        What the file states. `crs` is another one where control points were given in degrees.
    """

    height: int
    width: int
    crs: CRS | None = None
    transform: Affine | None = None
    gcps: tuple = ()
    notes: tuple[str, ...] = ()
    stated_crs: CRS | None = None

    @property
    def thin_plate(self) -> bool:
        """Whether the control points carry a thin-plate spline (otherwise a polynomial)."""
        return len(self.gcps) in _TPS_POINTS

    @cached_property
    def _transformer(self) -> GCPTransformer:
        return GCPTransformer(list(self.gcps), tps=self.thin_plate)

    def to_map(self, columns: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return x, y in `crs` of pixel corners (column, row)."""
        if self.transform is not None:
            t = self.transform
            return t.a * columns + t.b * rows + t.c, t.d * columns + t.e * rows + t.f
        try:
            xs, ys = self._transformer.xy(rows.ravel(), columns.ravel(), offset="ul")
        except (RasterioError, CPLE_BaseError) as error:
            raise IcefrontError(
                f"The {len(self.gcps)} ground control points do not determine where the image "
                "lies; give it more of them all over the image, or a transform."
            ) from error
        return (
            np.asarray(xs, dtype=np.float64).reshape(columns.shape),
            np.asarray(ys, dtype=np.float64).reshape(rows.shape),
        )

    def cropped(self, top: int, bottom: int, left: int, right: int) -> Georeference:
        """Return where the rows from top to bottom and the columns from left to right lie."""
        transform = self.transform
        if transform is not None:
            transform = composed(transform, Affine.translation(left, top))
        gcps = tuple(
            GroundControlPoint(p.row - top, p.col - left, p.x, p.y, p.z, id=p.id) for p in self.gcps
        )
        return replace(
            self, height=bottom - top, width=right - left, transform=transform, gcps=gcps
        )


@dataclass(frozen=True)
class GridChoice:
    """Where a file lies and on which grid it becomes a scene.

    Attributes
    ----------
    native : Georeference
        Of the file.
    native_pixel_m : (float, float) or None
        Ground sides of a native pixel in metres: rows, columns.
    grid : Grid
        Of the scene.
    warped : bool
        Whether that is another one than the file's.
    notes : tuple of str
        What was decided, a sentence each.
    """

    native: Georeference
    native_pixel_m: tuple[float, float] | None
    grid: Grid
    warped: bool
    notes: tuple[str, ...]


def choose_grid(
    native: Georeference, asked: AskedPixelSize, resolution_m: float | None, path: object
) -> GridChoice:
    """Choose the grid on which a file becomes a scene, with or without a CRS.

    Parameters
    ----------
    native : Georeference
        Of the file.
    asked : float, (float, float), "pixels" or None
        Pixel size that was asked for.
    resolution_m : float or None
        What the name of a file without CRS says.
    path
        What errors call the file.

    Raises
    ------
    IcefrontError
        If the pixel size asked for does not fit, or the file cannot be brought to a grid.
    """
    if native.crs is None:
        size: PixelSize = None if asked == "pixels" else asked  # type: ignore[assignment]
        notes = native.notes
        if asked is None and resolution_m is not None:
            size = resolution_m
            notes = (*notes, f"Pixel size {size:g} m from the name of the file.")
        elif size is None:
            notes = (*notes, "The pixel size is unknown: lengths are in pixels.")
        grid = Grid(native.height, native.width, None, Affine.identity(), size)
        return GridChoice(native, None, grid, False, notes)
    if isinstance(asked, (tuple, str)):
        raise IcefrontError(
            f"{path} has a coordinate system and becomes a grid of square pixels in metres; give "
            f"one number as its pixel size, not {asked!r}."
        )
    try:
        sides = ground_sides_m(native)
        grid, notes = working_grid(native, asked)
    except IcefrontError as error:
        raise IcefrontError(f"{path}: {error}") from error
    return GridChoice(native, sides, grid, bool(notes), (*native.notes, *notes))


def georeference(src: DatasetReader, path: object = None) -> Georeference:
    """Read the georeference of an open raster.

    Parameters
    ----------
    src : rasterio data set
        Control points are used where there is no transform.
    path : optional
        What errors call the file.

    Raises
    ------
    IcefrontError
        If coordinates are no numbers, geographic ones lie off the globe, or control points lie on a
        line.
    """
    height, width = src.height, src.width
    gcps, gcp_crs = src.gcps
    if src.crs and not src.transform.is_identity:
        crs, transform, points = src.crs, src.transform, ()
    elif gcps and gcp_crs:
        crs, transform, points = gcp_crs, None, tuple(gcps)
    else:
        if src.crs:
            why = "The file names a coordinate system but not where its pixels lie"
        elif not src.transform.is_identity:
            why = "The file has a world file or transform but no coordinate system"
        else:
            why = "The file has no coordinate system"
        return Georeference(height, width, notes=(f"{why}: lines are in pixels.",))
    try:
        found = CRS.from_wkt(crs.to_wkt())
        epsg = crs.to_epsg()
        if epsg is not None:
            found = CRS.from_epsg(epsg)
    except CRSError:
        found = None
    if found is None or not (_flat(found).is_projected or _flat(found).is_geographic):
        note = "The coordinate system of the file is not tied to the Earth: lines are in pixels."
        return Georeference(height, width, notes=(note,))
    flat = _flat(found)
    if transform is not None:
        numbers = np.array(transform[:6], dtype=np.float64)
        if not np.isfinite(numbers).all() or transform.determinant == 0:
            raise IcefrontError(
                f"{path}: its transform ({', '.join(f'{v:g}' for v in numbers)}) leads to no "
                "places; write the right one into the file."
            )
        result = Georeference(height, width, flat, transform, stated_crs=flat)
        if flat.is_geographic:
            _check_latitudes(result.to_map(*_outline(result))[1], path)
        return result
    crs, points = _local_points(points, flat, path)
    return Georeference(height, width, crs, None, points, stated_crs=flat)


def _check_latitudes(latitudes: np.ndarray, path: object) -> None:
    if not np.abs(latitudes).max() <= 90.0 + 1e-6:
        raise IcefrontError(
            f"{path}: latitudes reach {latitudes[np.abs(latitudes).argmax()]:g}°, so its "
            "coordinate system is wrong; give the file the one its coordinates are in."
        )


def _check_points(pixels: np.ndarray, places: np.ndarray, path: object) -> None:
    """Refuse control points, (n, 2) each, that lie on a line or follow no map at all."""
    planes = [plane - plane.mean(axis=0) for plane in (pixels, places)]
    for plane in planes:
        extents = np.linalg.svd(plane, compute_uv=False)
        if len(plane) < 3 or not extents[1] > _ON_A_LINE * extents[0]:
            raise IcefrontError(
                f"{path}: its {len(plane)} ground control points lie on a line, so they do not say "
                "where the image lies; give it points all over the image, or a transform."
            )
    affine, *_ = np.linalg.lstsq(*planes)
    off = np.linalg.norm(planes[1] - planes[0] @ affine)
    if not off < _OFF_A_PLANE * np.linalg.norm(planes[1]):
        raise IcefrontError(
            f"{path}: its ground control points contradict each other: neighbours in the image lie "
            "far apart on the ground; give it the right points, or a transform."
        )


def _local_points(points: tuple, crs: CRS, path: object) -> tuple[CRS, tuple]:
    """Bring control points in degrees to a CRS in metres; check them.

    Longitudes jump at the date line and mean little at a pole; there no curve through degrees leads
    from point to point. Those in a projected CRS stay as they are.
    """
    pixels = np.array([(p.col, p.row) for p in points], dtype=np.float64)
    places = np.array([(p.x, p.y) for p in points], dtype=np.float64)
    wrong = ~(np.isfinite(pixels) & np.isfinite(places)).all(axis=1)
    if wrong.any():
        number = int(wrong.argmax())
        raise IcefrontError(
            f"{path}: the coordinates of its ground control point {number + 1} of {len(points)} "
            f"({places[number, 0]:g}, {places[number, 1]:g}) are no numbers; remove the point."
        )
    if crs.is_geographic:
        _check_latitudes(places[:, 1], path)
        longitude, latitude = np.radians(_to_wgs84(crs).transform(*places.T))
        x, y, z = (
            (np.cos(latitude) * np.cos(longitude)).mean(),
            (np.cos(latitude) * np.sin(longitude)).mean(),
            np.sin(latitude).mean(),
        )
        local = working_crs(
            math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y)))
        )
        places = np.stack(
            Transformer.from_crs(crs, local, always_xy=True).transform(*places.T), axis=1
        )
        crs = local
    if not np.isfinite(places).all():
        raise IcefrontError(
            f"{path}: its ground control points lie outside their coordinate system; give it the "
            "right points, or a transform."
        )
    _check_points(pixels, places, path)
    moved = tuple(
        GroundControlPoint(p.row, p.col, x, y, p.z, id=p.id)
        for p, (x, y) in zip(points, places.tolist(), strict=True)
    )
    return crs, moved


def _flat(crs: CRS) -> CRS:
    """Return the horizontal part of a compound or three-dimensional CRS."""
    if crs.is_compound:
        crs = crs.sub_crs_list[0]
    return crs.to_2d() if len(crs.axis_info) > 2 else crs


def _to_wgs84(crs: CRS) -> Transformer:
    return Transformer.from_crs(crs, WGS84, always_xy=True)


def ground_sides_m(native: Georeference) -> tuple[float, float]:
    """Return the sides of a native pixel at the centre in metres on the ground: rows, columns.

    The first is how far a step of one row leads, the second a step of one column (geodesics on
    WGS 84).

    Raises
    ------
    IcefrontError
        If the file has no georeference, or one that cannot be evaluated at its centre.
    """
    if native.crs is None:
        raise IcefrontError("A file without coordinate system has no ground pixel size.")
    step_r, step_c = max(1.0, 0.01 * native.height), max(1.0, 0.01 * native.width)
    middle_r, middle_c = native.height / 2, native.width / 2
    columns = middle_c + np.array([0.0, 0.0, -0.5, 0.5]) * step_c
    rows = middle_r + np.array([-0.5, 0.5, 0.0, 0.0]) * step_r
    lon, lat = _to_wgs84(native.crs).transform(*native.to_map(columns, rows))
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise IcefrontError(
            "The coordinates of the file lie outside its coordinate system; give it the right one."
        )
    _, _, lengths = _GEOD.inv(lon[[0, 2]], lat[[0, 2]], lon[[1, 3]], lat[[1, 3]])
    if not lengths.min() > 0:
        raise IcefrontError(
            "The pixels of the file have no size on the ground; give it the right transform."
        )
    return float(lengths[0] / step_r), float(lengths[1] / step_c)


def _outline(native: Georeference, points: int = 33) -> tuple[np.ndarray, np.ndarray]:
    """Return columns and rows of corners along the border of a file."""
    t = np.linspace(0.0, 1.0, points)
    columns = np.concatenate([t, t, 0 * t, 0 * t + 1]) * native.width
    rows = np.concatenate([0 * t, 0 * t + 1, t, t]) * native.height
    return columns, rows


def working_grid(
    native: Georeference, pixel_size_m: float | None = None
) -> tuple[Grid, tuple[str, ...]]:
    """Choose the grid on which a georeferenced file becomes a scene.

    Parameters
    ----------
    native : Georeference
        With a CRS.
    pixel_size_m : float, optional
        Side of a pixel of the grid in metres; by default as the module says.

    Returns
    -------
    grid : Grid
        Equal to the native one if that is projected, square, north up and of that pixel size.
    notes : tuple of str
        What was done and why, empty if nothing was.

    Raises
    ------
    IcefrontError
        If the coordinates of the file cannot be projected.
    """
    if native.crs is None:
        raise IcefrontError("A file without coordinate system has no metric grid.")
    sides = ground_sides_m(native)
    map_sides = _metric_map_sides(native, sides)
    if map_sides is not None:
        crs = native.crs
        native_size = math.sqrt(map_sides[0] * map_sides[1])
        t = native.transform
        square = abs(map_sides[0] / map_sides[1] - 1.0) < SQUARE_TOLERANCE
        upright = t is not None and t.b == 0 and t.d == 0 and t.a > 0 and t.e < 0
        size = native_size if pixel_size_m is None else float(pixel_size_m)
        if t is not None and square and upright and abs(size / native_size - 1.0) < 1e-6:
            return Grid(native.height, native.width, crs, t, native_size), ()
    else:
        middle = native.to_map(np.array([native.width / 2]), np.array([native.height / 2]))
        lon, lat = _to_wgs84(native.crs).transform(*middle)
        crs = working_crs(float(lon[0]), float(lat[0]))
        size = float(f"{math.sqrt(sides[0] * sides[1]):.3g}")
        size = size if pixel_size_m is None else float(pixel_size_m)
    try:
        transformer = Transformer.from_crs(native.crs, crs, always_xy=True)
        xs, ys = transformer.transform(*native.to_map(*_outline(native)))
    except ProjError:
        xs = ys = np.array([np.nan])
    if not (np.isfinite(xs).all() and np.isfinite(ys).all()):
        raise IcefrontError(
            f"The image cannot be brought to {crs_name(crs)}: its coordinates lie outside; give "
            "the file the coordinate system its coordinates are in."
        )
    left, right, bottom, top = xs.min(), xs.max(), ys.min(), ys.max()
    if map_sides is None:
        # Corners on multiples of the pixel size: scenes of one place share a grid.
        left, top = math.floor(left / size) * size, math.ceil(top / size) * size
    slack = 1e-6
    width = max(1, math.ceil((right - left) / size - slack))
    height = max(1, math.ceil((top - bottom) / size - slack))
    if height * width > 2**33:
        raise IcefrontError(
            f"A grid of {size:g} m would have {height} x {width} pixels; give a larger pixel size."
        )
    how = "from ground control points in" if native.gcps else "from"
    stated = native.stated_crs or native.crs
    note = (
        f"Warped {how} {crs_name(stated)} (pixels of {sides[0]:.3g} m x {sides[1]:.3g} m, "
        f"rows x columns) to {crs_name(crs)} at {size:.4g} m."
    )
    grid = Grid(height, width, crs, Affine(size, 0.0, left, 0.0, -size, top), size)
    return grid, (note,)


def _metric_map_sides(
    native: Georeference, ground: tuple[float, float]
) -> tuple[float, float] | None:
    """Return the sides of a pixel on the map if the map is one to measure in, else None."""
    crs, t = native.crs, native.transform
    if crs is None or t is None or not crs.is_projected:
        return None
    if any(abs(axis.unit_conversion_factor - 1.0) > 1e-6 for axis in crs.axis_info):
        return None
    sides = math.hypot(t.b, t.e), math.hypot(t.a, t.d)
    true = all(
        abs(side / real - 1.0) <= SCALE_TOLERANCE for side, real in zip(sides, ground, strict=True)
    )
    orthogonal = abs(t.a * t.b + t.d * t.e) <= 1e-3 * sides[0] * sides[1]
    return sides if true and orthogonal else None
