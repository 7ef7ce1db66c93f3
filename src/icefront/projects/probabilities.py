"""Probabilities of each scene of a project, kept so that dates can be compared later.

One GeoTIFF a scene beside its other files, on the lattice of its glacier
(`icefront.series.lattice`): bands rock, glacier and ocean in 8 bits, 255 for 1; what is missing to
255 is no data. A fourth band, where the model gives it, is the probability that the boundary of
glacier and ocean is calving front.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import rasterio
from pyproj import CRS
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from icefront import __version__
from icefront.errors import IcefrontError
from icefront.files.atomic import writing
from icefront.grid import Grid
from icefront.series.lattice import WHOLE
from icefront.zones import N_ZONES, NO_DATA, ROCK, ZONE_NAMES

SUFFIX = "_probabilities.tif"
SMOOTHED_SUFFIX = "_through_time.tif"

_ENV = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
"""The folder of a glacier holds thousands of files; GDAL would list them for each that it opens."""


def write_probabilities(path: Path, values: np.ndarray, grid: Grid, tags: dict[str, str]) -> None:
    """Write zone probabilities on a lattice, whole or not at all.

    Parameters
    ----------
    path : Path
    values : uint8 (4, H, W) or (5, H, W)
        255 for 1; zones, then the front where it is known.
    grid : Grid
        With a CRS.
    tags : dict
        What the file says of itself beside the program's version.
    """
    assert grid.crs is not None
    # Made in memory and written in one go: GDAL may lose the error of a full disk.
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            height=grid.height,
            width=grid.width,
            count=len(values) - 1,
            dtype="uint8",
            crs=grid.crs.to_wkt(),
            transform=grid.transform,
            compress="deflate",
            zlevel=1,
            predictor=2,
            interleave="band",
        ) as raster:
            raster.write(values[ROCK:])
            names = (*ZONE_NAMES[ROCK:], "calving front")[: raster.count]
            for band, name in enumerate(names, 1):
                raster.set_band_description(band, f"probability of {name}, 255 = 1")
            raster.update_tags(ICEFRONT_VERSION=__version__, **tags)
        with writing(path) as part:
            part.write_bytes(memory.getbuffer())


def read_probabilities(path: Path) -> np.ndarray:
    """Read zone probabilities, uint8 (4, H, W).

    Raises
    ------
    IcefrontError
        If the file is missing or damaged.
    """
    try:
        with rasterio.Env(**_ENV), rasterio.open(path, driver="GTiff") as raster:
            zones = raster.read([1, 2, 3])
    except (RasterioError, IndexError) as error:
        raise _damaged(path) from error
    values = np.empty((len(zones) + 1, *zones.shape[1:]), np.uint8)
    values[ROCK:] = zones
    # Band by band: a sum over so short an axis takes numpy seventy times as long.
    values[NO_DATA] = WHOLE - zones[0] - zones[1] - zones[2]
    return values


def read_front(path: Path) -> np.ndarray | None:
    """Read the front probability, uint8 (H, W), 255 for 1; None where the file has none.

    Raises
    ------
    IcefrontError
        If the file is missing or damaged.
    """
    try:
        with rasterio.Env(**_ENV), rasterio.open(path, driver="GTiff") as raster:
            if raster.count < N_ZONES:
                return None
            return np.asarray(raster.read(N_ZONES))
    except RasterioError as error:
        raise _damaged(path) from error


def read_lattice(path: Path) -> Grid:
    """Read where probabilities lie, from the header of their file.

    Raises
    ------
    IcefrontError
        If the file is missing or damaged.
    """
    return read_header(path)[0]


def read_header(path: Path) -> tuple[Grid, bool]:
    """Read where probabilities lie, and whether the front probability is among them.

    Raises
    ------
    IcefrontError
        If the file is missing or damaged.
    """
    try:
        with rasterio.Env(**_ENV), rasterio.open(path, driver="GTiff") as raster:
            if raster.crs is None or raster.count < len(ZONE_NAMES) - 1:
                raise _damaged(path)
            crs = _crs_of(raster.crs.to_wkt())
            grid = Grid(raster.height, raster.width, crs, raster.transform, raster.transform.a)
            return grid, raster.count >= N_ZONES
    except RasterioError as error:
        raise _damaged(path) from error


@lru_cache(maxsize=32)
def _crs_of(wkt: str) -> CRS:
    """Return a CRS; the thousands of files of a glacier have the same one."""
    return CRS.from_wkt(wkt)


def _damaged(path: Path) -> IcefrontError:
    return IcefrontError(
        f"{path} is missing or damaged: extract its scene anew with 'icefront monitor run --renew'."
    )
