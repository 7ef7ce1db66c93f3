"""Square tiles of pictures and zones, as a map in a browser asks for them."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from icefront.errors import IcefrontError
from icefront.projects.pictures import BLOCK, READING, open_picture
from icefront.series.lattice import WHOLE
from icefront.zones import NO_DATA, ROCK, ZONE_COLOURS, likeliest

MOST_LEVELS = 24

Bounds = tuple[float, float, float, float]
"""Left, bottom, right and top on the map."""

_NOT_SEEN = 0
"""Grey of pixels without data, which are transparent."""

_ALPHA = bytes([0, *[255] * (len(ZONE_COLOURS) - 1)])


@dataclass(frozen=True)
class TileGrid:
    """The tiles of a glacier: of the same number of pixels, their side doubled from level to level.

    They are counted from the origin of the CRS, to the right and downwards, so that a scene that
    reaches further moves none of them.

    Attributes
    ----------
    side_m : float
        Of a pixel of the finest level.
    levels : int
    """

    side_m: float
    levels: int

    @property
    def resolutions(self) -> list[float]:
        """Sides of the pixels, the coarsest first."""
        return [self.side_m * 2.0**level for level in reversed(range(self.levels))]

    def bounds(self, z: int, x: int, y: int) -> Bounds:
        """Return where a tile lies.

        Raises
        ------
        IcefrontError
            If there is no such tile.
        """
        if not 0 <= z < self.levels or max(abs(x), abs(y)) > 1 << 32:
            raise IcefrontError(f"There is no tile {z}/{x}/{y}.")
        side = BLOCK * self.resolutions[z]
        return x * side, -(y + 1) * side, (x + 1) * side, -y * side

    def over(self, bounds: Bounds, z: int) -> Iterator[tuple[int, int]]:
        """Yield the columns and rows of the tiles of a level that touch an area."""
        side = BLOCK * self.resolutions[z]
        left, bottom, right, top = (value / side for value in bounds)
        for y in range(math.floor(-top + 1e-9), math.ceil(-bottom - 1e-9)):
            for x in range(math.floor(left + 1e-9), math.ceil(right - 1e-9)):
                yield x, y


def tile_grid(bounds: Bounds, side_m: float) -> TileGrid:
    """Return the tiles of a glacier: on the coarsest level one or a few show all of it."""
    longest = max(bounds[2] - bounds[0], bounds[3] - bounds[1], side_m)
    levels = 1 + max(0, math.ceil(math.log2(longest / (BLOCK * side_m))))
    return TileGrid(side_m, min(levels, MOST_LEVELS))


def picture_tile(path: Path, bounds: Bounds) -> np.ndarray:
    """Read a tile of the picture of a scene.

    Parameters
    ----------
    path : Path
        From `icefront.projects.pictures.make_picture`.
    bounds : tuple
        In the CRS of the picture.

    Returns
    -------
    uint8 (256, 256)
        0 where there is no data.

    Raises
    ------
    IcefrontError
        If the file is damaged.
    """
    with _reading(path), open_picture(path) as raster:
        return _part(raster, bounds, [1], Resampling.bilinear)[0]


def zones_tile(path: Path, bounds: Bounds, crs: CRS) -> np.ndarray:
    """Read a tile of the zones of a scene.

    Parameters
    ----------
    path : Path
        Zone probabilities on the lattice of the glacier (three bands), or zone codes (one).
    bounds : tuple
    crs : pyproj.CRS
        Of the bounds.

    Returns
    -------
    uint8 (256, 256)
        Zone codes; 0 where there is no data.

    Raises
    ------
    IcefrontError
        If the file is damaged.
    """
    with _reading(path), open_picture(path) as raster:
        if raster.crs is None:
            raise IcefrontError(f"{path} has no place on the map: delete it.")
        if CRS.from_user_input(raster.crs) != crs:
            with WarpedVRT(raster, crs=crs.to_wkt(), resampling=Resampling.nearest) as moved:
                return _codes(moved, bounds)
        return _codes(raster, bounds)


def _codes(raster: rasterio.DatasetReader, bounds: Bounds) -> np.ndarray:
    if raster.count < len(ZONE_COLOURS) - 1:
        codes = _part(raster, bounds, [1], Resampling.nearest)[0]
        return np.where(codes < len(ZONE_COLOURS), codes, NO_DATA).astype(np.uint8)
    zones = _part(raster, bounds, [1, 2, 3], Resampling.nearest)
    values = np.empty((len(zones) + 1, *zones.shape[1:]), np.uint8)
    values[ROCK:] = zones
    values[NO_DATA] = WHOLE - zones.sum(axis=0)
    return likeliest(values)


def _part(
    raster: rasterio.DatasetReader, bounds: Bounds, bands: list[int], resampling: Resampling
) -> np.ndarray:
    """Read a tile, uint8 (bands, 256, 256), with 0 where it reaches beyond the raster."""
    tile = np.zeros((len(bands), BLOCK, BLOCK), np.uint8)
    resolution = (bounds[2] - bounds[0]) / BLOCK
    left, bottom, right, top = raster.bounds
    # Pixels of the tile that the raster covers.
    first = max(0, round((left - bounds[0]) / resolution))
    last = min(BLOCK, round((right - bounds[0]) / resolution))
    upper = max(0, round((bounds[3] - top) / resolution))
    lower = min(BLOCK, round((bounds[3] - bottom) / resolution))
    if first >= last or upper >= lower:
        return tile
    side_x, side_y = raster.transform.a, -raster.transform.e
    column = max(0.0, (bounds[0] + first * resolution - left) / side_x)
    row = max(0.0, (top - bounds[3] + upper * resolution) / side_y)
    window = Window(
        column,
        row,
        min(raster.width - column, (last - first) * resolution / side_x),
        min(raster.height - row, (lower - upper) * resolution / side_y),
    )
    if window.width <= 0 or window.height <= 0:
        return tile
    tile[:, upper:lower, first:last] = raster.read(
        bands,
        window=window,
        out_shape=(len(bands), lower - upper, last - first),
        resampling=resampling,
    )
    return tile


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        with rasterio.Env(**READING):
            yield
    except RasterioError as error:
        raise IcefrontError(f"{path} is damaged: delete it.") from error


def grey_png(tile: np.ndarray) -> bytes:
    """Return grey values as a PNG whose pixels without data are transparent.

    It is not compressed: speckle hardly can be, and the browser is on the same machine.
    """
    return _saved(Image.fromarray(tile), "PNG", compress_level=0, transparency=_NOT_SEEN)


def grey_webp(tile: np.ndarray) -> bytes:
    """Return the same as a WebP with loss, a fifth as large."""
    alpha = np.where(tile == _NOT_SEEN, 0, 255).astype(np.uint8)
    layers = np.stack([tile, tile, tile, alpha], axis=-1)
    return _saved(Image.fromarray(layers), "WEBP", quality=70, method=2)


def zones_png(tile: np.ndarray) -> bytes:
    """Return zone codes as a PNG in their colours; no data is transparent."""
    image = Image.fromarray(tile)
    image.putpalette([value for colour in ZONE_COLOURS for value in colour])
    return _saved(image, "PNG", compress_level=1, transparency=_ALPHA)


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


EMPTY_PNG = grey_png(np.zeros((BLOCK, BLOCK), np.uint8))
"""A tile without anything."""
