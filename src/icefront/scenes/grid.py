"""The grid of a scene: projected, north up, square pixels; and how to change its pixel size.

A raster that already lies on such a grid stays as it is. Any other is brought to

- NSIDC Sea Ice Polar Stereographic North, EPSG:3413, if its centre is north of 60° N;
- Antarctic Polar Stereographic, EPSG:3031, if its centre is south of 60° S;
- the UTM zone of its centre (WGS 84) elsewhere,

unless its own CRS is projected, in metres and true to scale within 10 % (then it is only turned).
The pixel size is the geometric mean of the two ground sides of a native pixel at the centre,
rounded to three digits: the new grid has about as many pixels as the old one has over the same
ground. EPSG:3413 and 3031 stretch lengths by -3 % to +4 % between the pole and 60°; pixel
sizes and lengths are those of the map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import CRSError, ProjError
from rasterio.transform import GCPTransformer
from scipy import sparse

from icefront.errors import IcefrontError
from icefront.scenes.scene import PixelSize, Scene

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

POLAR_LATITUDE = 60.0
"""Poleward of this latitude in degrees, grids are polar stereographic."""
SQUARE_TOLERANCE = 1e-3
"""Largest relative difference of the sides of a pixel that still counts as square."""
SCALE_TOLERANCE = 0.1
"""Largest relative error of a map's scale at the centre of the scene (Web Mercator fails)."""

_GEOD = Geod(ellps="WGS84")
_WGS84 = CRS.from_epsg(4326)
# A thin-plate spline goes through every control point, as the terrain in them needs; with few
# points it is not determined, with very many it is slow.
_TPS_POINTS = range(10, 1500)


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
        Empty where `transform` says it.
    notes : tuple of str
        Why there is no georeference, if so.
    """

    height: int
    width: int
    crs: CRS | None = None
    transform: Affine | None = None
    gcps: tuple = ()
    notes: tuple[str, ...] = ()

    @property
    def thin_plate(self) -> bool:
        """Whether the control points carry a thin-plate spline (otherwise a polynomial)."""
        return len(self.gcps) in _TPS_POINTS

    def to_map(self, columns: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return x, y in `crs` of pixel corners (column, row)."""
        if self.transform is not None:
            t = self.transform
            return t.a * columns + t.b * rows + t.c, t.d * columns + t.e * rows + t.f
        with GCPTransformer(list(self.gcps), tps=self.thin_plate) as transformer:
            xs, ys = transformer.xy(rows.ravel(), columns.ravel(), offset="ul")
        return (
            np.asarray(xs, dtype=np.float64).reshape(columns.shape),
            np.asarray(ys, dtype=np.float64).reshape(rows.shape),
        )


@dataclass(frozen=True)
class Grid:
    """A projected grid of square pixels, north up, or the pixels of a file without CRS."""

    height: int
    width: int
    crs: CRS | None
    transform: Affine
    pixel_size_m: PixelSize


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
        If geographic coordinates lie off the globe.
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
    result = Georeference(height, width, _flat(found), transform, points)
    if result.crs is not None and result.crs.is_geographic:
        _, latitudes = result.to_map(*_outline(result))
        if not np.abs(latitudes).max() <= 90.0 + 1e-6:
            raise IcefrontError(
                f"{path}: latitudes reach {latitudes[np.abs(latitudes).argmax()]:g}°, so its "
                "coordinate system is wrong; give the file the one its coordinates are in."
            )
    return result


def _flat(crs: CRS) -> CRS:
    """Return the horizontal part of a compound or three-dimensional CRS."""
    if crs.is_compound:
        crs = crs.sub_crs_list[0]
    return crs.to_2d() if len(crs.axis_info) > 2 else crs


def polar_or_utm(longitude: float, latitude: float) -> CRS:
    """Return the CRS of the working grid for a place in degrees (see the module)."""
    if latitude > POLAR_LATITUDE:
        return CRS.from_epsg(3413)
    if latitude < -POLAR_LATITUDE:
        return CRS.from_epsg(3031)
    zone = int((longitude + 180.0) % 360.0 // 6.0) + 1
    return CRS.from_epsg((32600 if latitude >= 0 else 32700) + zone)


def _to_wgs84(crs: CRS) -> Transformer:
    return Transformer.from_crs(crs, _WGS84, always_xy=True)


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
        crs = polar_or_utm(float(lon[0]), float(lat[0]))
        size = float(f"{math.sqrt(sides[0] * sides[1]):.3g}")
        size = size if pixel_size_m is None else float(pixel_size_m)
    try:
        transformer = Transformer.from_crs(native.crs, crs, always_xy=True)
        xs, ys = transformer.transform(*native.to_map(*_outline(native)))
    except ProjError:
        xs = ys = np.array([np.nan])
    if not (np.isfinite(xs).all() and np.isfinite(ys).all()):
        raise IcefrontError(
            f"The image cannot be brought to {_crs_name(crs)}: its coordinates lie outside; give "
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
    note = (
        f"Warped {how} {_crs_name(native.crs)} (pixels of {sides[0]:.3g} m x {sides[1]:.3g} m, "
        f"rows x columns) to {_crs_name(crs)} at {size:.4g} m."
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


def _crs_name(crs: CRS) -> str:
    epsg = crs.to_epsg()
    return f"EPSG:{epsg}" if epsg else f"'{crs.name}'"


def resample(scene: Scene, pixel_size_m: float) -> Scene:
    """Bring a scene to another pixel size, in the same CRS.

    Grey values are averaged by area where pixels become larger and interpolated bilinearly where
    they become smaller, each axis for itself, over valid pixels only; a pixel is valid if at
    least half of the part of it that lies in the image is.

    Parameters
    ----------
    scene : Scene
        With a pixel size, a number or rows x columns.
    pixel_size_m : float
        Side of the new, square pixels in metres.

    Returns
    -------
    Scene
        Its transform leads to the same coordinates as before: to the CRS, or for a scene without
        one to the pixels of the file.

    Raises
    ------
    IcefrontError
        If the pixel size of the scene is unknown, or `pixel_size_m` is not positive.
    """
    if scene.pixel_size_m is None:
        raise IcefrontError(
            f"{scene.name}: the pixel size is unknown, so it cannot be resampled to "
            f"{pixel_size_m:g} m; state it with pixel_size_m."
        )
    if not (math.isfinite(pixel_size_m) and pixel_size_m > 0):
        raise IcefrontError(f"A pixel size must be positive, not {pixel_size_m!r}.")
    rows_m, columns_m = pixel_sides(scene.pixel_size_m)
    factor_r, factor_c = pixel_size_m / rows_m, pixel_size_m / columns_m
    if abs(factor_r - 1.0) < 1e-6 and abs(factor_c - 1.0) < 1e-6:
        return scene
    height, width = scene.shape
    shape = max(1, round(height / factor_r)), max(1, round(width / factor_c))
    across_r = _axis_weights(height, shape[0], factor_r)
    across_c = _axis_weights(width, shape[1], factor_c)
    image = _weighted_mean(scene.image, across_r, across_c)
    return replace(
        scene,
        image=image,
        transform=_composed(scene.transform, Affine.scale(factor_c, factor_r)),
        pixel_size_m=float(pixel_size_m),
    )


def _composed(outer: Affine, inner: Affine) -> Affine:
    """Return outer after inner; the operator for it differs between versions of affine."""
    matrix = np.reshape(tuple(outer), (3, 3)) @ np.reshape(tuple(inner), (3, 3))
    return Affine(*(float(value) for value in matrix.ravel()[:6]))


def pixel_sides(pixel_size_m: float | tuple[float, float]) -> tuple[float, float]:
    """Return the sides of a pixel in metres as (rows, columns)."""
    if isinstance(pixel_size_m, (int, float)):
        return float(pixel_size_m), float(pixel_size_m)
    rows, columns = pixel_size_m
    return float(rows), float(columns)


def resample_to(array: np.ndarray, from_scene: Scene, to_scene: Scene) -> np.ndarray:
    """Bring maps from the grid of a resampled scene to that of the scene it was made from.

    Parameters
    ----------
    array : float (C, h, w)
        Maps on the grid of `from_scene`, for instance probabilities; no NaN.
    from_scene, to_scene : Scene
        Both in the same CRS, or both of the same file without one.

    Returns
    -------
    float32 (C, H, W)
        On the grid of `to_scene`: bilinear where that is finer, averaged by area where it is
        coarser; beyond the centres of the outermost pixels the nearest value holds. Sums over
        channels are kept.

    Raises
    ------
    IcefrontError
        If the grids are in different CRS or turned against each other.
    ValueError
        If `array` does not lie on the grid of `from_scene`.
    """
    if array.ndim != 3 or array.shape[1:] != from_scene.shape:
        raise ValueError(f"an array (C, {from_scene.shape}) is needed, not {array.shape}")
    if from_scene.crs != to_scene.crs:
        raise IcefrontError(
            f"{from_scene.name} and {to_scene.name} are in different coordinate systems; warp one."
        )
    between = _composed(~from_scene.transform, to_scene.transform)
    if abs(between.b) > 1e-9 or abs(between.d) > 1e-9 or between.a <= 0 or between.e <= 0:
        raise IcefrontError(
            f"The grids of {from_scene.name} and {to_scene.name} are turned against each other."
        )
    (height, width), (h, w) = to_scene.shape, from_scene.shape
    across_r = _axis_weights(h, height, between.e, between.f)
    across_c = _axis_weights(w, width, between.a, between.c).T.tocsc()
    result = np.empty((array.shape[0], height, width), dtype=np.float32)
    for channel, values in enumerate(array):
        tall = across_r @ np.asarray(values, dtype=np.float32)
        result[channel] = tall @ across_c
    return result


def _axis_weights(n_in: int, n_out: int, factor: float, offset: float = 0.0) -> sparse.csr_matrix:
    """Return how each new pixel along one axis is made of old ones, (n_out, n_in) float32.

    New pixel i covers the old coordinates offset + factor * [i, i + 1]; what lies outside the old
    ones does not count, and a pixel wholly outside takes the nearest. Rows sum to 1.
    """
    first = offset + factor * np.arange(n_out)
    if factor > 1.0:
        last = first + factor
        first = np.clip(first, 0.0, n_in - 1e-6)
        last = np.clip(last, first + 1e-6, n_in)
        taps = math.ceil(factor) + 1
        index = np.floor(first).astype(np.int64)[:, None] + np.arange(taps)
        weight = np.minimum(index + 1, last[:, None]) - np.maximum(index, first[:, None])
        weight = np.where(index < n_in, np.maximum(weight, 0.0), 0.0)
        weight /= weight.sum(axis=1, keepdims=True)
        index = np.minimum(index, n_in - 1)
    else:
        centre = np.clip(first + factor / 2 - 0.5, 0.0, n_in - 1.0)
        lower = np.minimum(np.floor(centre).astype(np.int64), max(n_in - 2, 0))
        index = np.stack([lower, np.minimum(lower + 1, n_in - 1)], axis=1)
        share = centre - lower
        weight = np.stack([1.0 - share, share], axis=1)
    rows = np.repeat(np.arange(n_out), index.shape[1])
    matrix = sparse.coo_matrix(
        (weight.ravel().astype(np.float32), (rows, index.ravel())), shape=(n_out, n_in)
    ).tocsr()
    matrix.eliminate_zeros()
    return matrix


def _weighted_mean(
    image: np.ndarray, across_r: sparse.csr_matrix, across_c: sparse.csr_matrix
) -> np.ndarray:
    """Apply both axes' weights to an image with NaN; NaN where less than half is valid."""
    n_out = across_r.shape[0]
    result = np.empty((n_out, across_c.shape[0]), dtype=np.float32)
    to_columns = across_c.T.tocsc()
    bounds = across_r.indptr
    # In strips, so that the copies with zeros for NaN stay small beside the image.
    rows_at_once = max(1, int((1 << 24) * n_out / max(1, image.size)))
    for top in range(0, n_out, rows_at_once):
        weights = across_r[top : top + rows_at_once]
        used = across_r.indices[bounds[top] : bounds[min(n_out, top + rows_at_once)]]
        low, high = int(used.min()), int(used.max()) + 1
        part, weights = image[low:high], weights[:, low:high]
        valid = np.isfinite(part)
        total = (weights @ np.where(valid, part, np.float32(0.0))) @ to_columns
        if not valid.all():
            share = (weights @ valid.astype(np.float32)) @ to_columns
            with np.errstate(invalid="ignore", divide="ignore"):
                total /= share
            total[share < 0.5 - 1e-4] = np.nan
        result[top : top + rows_at_once] = total
    return np.clip(result, 0.0, 1.0, out=result)
