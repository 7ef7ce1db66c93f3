"""One grid for all dates of a glacier, and probabilities brought onto it.

Pixels lie on a lattice whose corners are whole multiples of their side in the coordinates of the
map, so that scenes of other orbits, sensors and sizes share pixels wherever they overlap, and a
later scene that reaches further moves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS, Transformer
from rasterio.enums import Resampling
from rasterio.warp import reproject

from icefront.errors import IcefrontError
from icefront.grid import Grid
from icefront.zones import N_ZONES, NO_DATA, ROCK

WHOLE = 255
"""What stands for a probability of 1 in 8 bits."""

MOST_PIXELS = 64_000_000
"""No glacier's grid is larger; at 55 m it is 440 km wide."""

_EDGE_POINTS = 32


def lattice_grid(grids: Iterable[Grid], crs: CRS, pixel_size_m: float) -> Grid:
    """Return the part of the lattice that holds some rasters.

    Parameters
    ----------
    grids : iterable of Grid
        With a CRS each.
    crs : pyproj.CRS
        Projected, in metres.
    pixel_size_m : float
        Side of a pixel of the lattice in metres.

    Returns
    -------
    Grid
        North up; its corners are multiples of the pixel size.

    Raises
    ------
    IcefrontError
        If a raster has no place on the map of the lattice.
    """
    bounds = np.array([_bounds_in(grid, crs) for grid in grids])
    if not (bounds.size and np.isfinite(bounds).all()):
        raise IcefrontError(
            f"Scenes of one glacier do not lie on one map ({crs.name}): give each place a name of "
            "its own."
        )
    left, bottom = np.floor(bounds[:, :2].min(axis=0) / pixel_size_m + 1e-6)
    right, top = np.ceil(bounds[:, 2:].max(axis=0) / pixel_size_m - 1e-6)
    if (right - left) * (top - bottom) > MOST_PIXELS:
        raise IcefrontError(
            "Scenes of one glacier lie too far apart for one grid: give each place a name of its "
            "own."
        )
    return Grid(
        height=int(top - bottom),
        width=int(right - left),
        crs=crs,
        transform=Affine(
            pixel_size_m, 0.0, left * pixel_size_m, 0.0, -pixel_size_m, top * pixel_size_m
        ),
        pixel_size_m=float(pixel_size_m),
    )


def _bounds_in(grid: Grid, crs: CRS) -> tuple[float, float, float, float]:
    outline = shapely.segmentize(grid.outline(), grid.outline().length / (4 * _EDGE_POINTS))
    if grid.crs != crs:
        move = Transformer.from_crs(grid.crs, crs, always_xy=True)
        outline = shapely.transform(outline, lambda xy: np.stack(move.transform(*xy.T), axis=1))
    return tuple(map(float, outline.bounds))  # type: ignore[return-value]


def onto(probabilities: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Bring zone probabilities of one date onto another grid, in 8 bits.

    Parameters
    ----------
    probabilities : float32 (4, h, w)
        On `source`; 1 for no data where the scene has none.
    source, target : Grid
        With a CRS each.

    Returns
    -------
    uint8 (4, H, W)
        Bilinear, or the mean over the area of a pixel where that is more than half as large again;
        no data outside of `source`. Sums to 255.
    """
    assert source.crs is not None
    assert target.crs is not None
    moved = np.zeros((N_ZONES - 1, *target.shape), np.float32)
    coarser = (target.side_m or 1.0) > 1.5 * (source.side_m or 1.0)
    reproject(
        np.ascontiguousarray(probabilities[ROCK:], dtype=np.float32),
        moved,
        src_transform=source.transform,
        src_crs=source.crs.to_wkt(),
        dst_transform=target.transform,
        dst_crs=target.crs.to_wkt(),
        resampling=Resampling.average if coarser else Resampling.bilinear,
    )
    return to_bytes(np.concatenate([1 - moved.sum(axis=0, keepdims=True), moved]))


def map_onto(values: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Bring one map of probabilities onto another grid, in 8 bits.

    Parameters
    ----------
    values : float32 (h, w)
        On `source`.
    source, target : Grid
        With a CRS each.

    Returns
    -------
    uint8 (H, W)
        Bilinear, 255 for 1; 0 outside of `source`.
    """
    assert source.crs is not None
    assert target.crs is not None
    moved = np.zeros(target.shape, np.float32)
    reproject(
        np.ascontiguousarray(values, dtype=np.float32),
        moved,
        src_transform=source.transform,
        src_crs=source.crs.to_wkt(),
        dst_transform=target.transform,
        dst_crs=target.crs.to_wkt(),
        resampling=Resampling.bilinear,
    )
    return np.rint(np.clip(moved, 0, 1) * WHOLE).astype(np.uint8)


def zones_onto(zones: np.ndarray, source: Grid, target: Grid, beyond: int = NO_DATA) -> np.ndarray:
    """Bring zone codes onto another grid.

    Parameters
    ----------
    zones : uint8 (h, w)
        On `source`.
    source, target : Grid
        With a CRS each.
    beyond : int
        What stands where `source` ends, and for this code itself.

    Returns
    -------
    uint8 (H, W)
        Those of the nearest pixel.
    """
    assert source.crs is not None
    assert target.crs is not None
    moved = np.full(target.shape, beyond, np.uint8)
    reproject(
        np.ascontiguousarray(zones, dtype=np.uint8),
        moved,
        src_transform=source.transform,
        src_crs=source.crs.to_wkt(),
        src_nodata=beyond,
        dst_transform=target.transform,
        dst_crs=target.crs.to_wkt(),
        dst_nodata=beyond,
        resampling=Resampling.nearest,
    )
    return moved


def to_bytes(probabilities: np.ndarray) -> np.ndarray:
    """Return probabilities in 8 bits, uint8 (4, H, W), that sum to 255."""
    values = np.rint(np.clip(probabilities, 0, 1) * WHOLE).astype(np.int16)
    # What rounding leaves over goes to the likeliest zone, where it counts least.
    likeliest = values.argmax(axis=0)[None]
    rest = WHOLE - values.sum(axis=0, dtype=np.int16)[None]
    taken = np.take_along_axis(values, likeliest, axis=0) + rest
    np.put_along_axis(values, likeliest, taken, axis=0)
    return values.astype(np.uint8)


def window_of(part: Grid, whole: Grid) -> tuple[slice, slice]:
    """Return the rows and columns of a grid of the lattice within a larger one.

    Raises
    ------
    IcefrontError
        If they are not of one lattice, or the part reaches beyond.
    """
    row, column = whole.rowcol(part.transform.c, part.transform.f)
    top, left = round(float(row) + 0.5), round(float(column) + 0.5)
    same = (
        part.crs == whole.crs
        and math.isclose(part.transform.a, whole.transform.a)
        and abs(top - float(row) - 0.5) < 1e-3 > abs(left - float(column) - 0.5)
    )
    inside = 0 <= top <= whole.height - part.height and 0 <= left <= whole.width - part.width
    if not (same and inside):
        raise IcefrontError("Probabilities of one glacier lie on different grids.")
    return slice(top, top + part.height), slice(left, left + part.width)


def nowhere(grid: Grid) -> np.ndarray:
    """Return probabilities in 8 bits that say no data everywhere, uint8 (4, H, W)."""
    values = np.zeros((N_ZONES, *grid.shape), np.uint8)
    values[NO_DATA] = WHOLE
    return values
