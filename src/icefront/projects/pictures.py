"""Pictures of the scenes of a project in 8 bits, on the map of their glacier, to look at quickly.

One cloud-optimised GeoTIFF a scene beside its other files, made when the scene is first looked at:
square pixels of the scene's own size on the lattice of the glacier (`icefront.series.lattice`),
stretched between two quantiles, with overviews. They are a cache: they may be deleted.

A catalogue may come from somebody else, and name any file of this machine. So a file is made a
picture of only if its content is the one that was extracted, by its SHA-256, and nothing is read or
written outside of the project by way of a name with ``..`` or a symbolic link.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.warp import reproject

from icefront import __version__
from icefront.errors import IcefrontError
from icefront.files.atomic import writing
from icefront.files.names import shown
from icefront.grid import Grid
from icefront.projects.catalogue import DONE, NO_FRONT, kept_file, scene_folder
from icefront.projects.config import MonitoringConfig
from icefront.scenes.reading import open_scene
from icefront.scenes.scene import Scene
from icefront.series.lattice import lattice_grid

SUFFIX = "_picture.tif"

BLOCK = 256
"""Side of a tile, and of a block of the files, in pixels."""

_QUANTILES = (0.005, 0.995)
"""Of the grey values of a scene, between which a picture is stretched."""

_SAMPLE = 1_000_000
"""Pixels from which the quantiles are taken."""

READING = {
    # Neither other files beside a picture nor a description of it is asked for.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": False,
}
"""Options of GDAL with which files of a project are read for the viewer."""


def file_in_project(project: Path, path: Path) -> Path | None:
    """Return a file with all links followed, or None if it is none or lies outside of a project."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # gone; a circle of links; a zero byte
        return None
    return real if real.is_file() and real.is_relative_to(project.resolve()) else None


def kept_in_project(project: Path, row: Mapping[str, Any], suffix: str) -> Path | None:
    """Return a file that a project keeps of a scene, or None if there is none in it.

    Parameters
    ----------
    project : Path
    row : mapping
        Of the catalogue.
    suffix : str
        What follows the name of the scene in that of the file.
    """
    if not is_plain_name(row["name"]):
        return None
    return file_in_project(project, kept_file(project, row["glacier"], f"{row['name']}{suffix}"))


def is_plain_name(name: str) -> bool:
    """Tell whether a name is one of a file, and leads into no other folder."""
    return not any(sign in name for sign in "/\\\0")


def original_scene(row: Mapping[str, Any]) -> Path:
    """Return the file that a scene was extracted from.

    Raises
    ------
    IcefrontError
        If it is gone, no file, or was extracted from another content.
    """
    name = shown(str(row["path"]))
    if row["state"] not in (DONE, NO_FRONT) or not row["sha256"]:
        raise IcefrontError(f"{name} was not extracted, so that there is no picture of it.")
    path = Path(row["path"])
    try:
        size = path.stat().st_size if path.is_file() else None
    except (OSError, ValueError):
        size = None
    if size is None:
        raise IcefrontError(
            f"The file {name} is gone: put it back, and its picture can be shown again."
        )
    if size != row["size_bytes"] or _sha256(path) != row["sha256"]:
        raise IcefrontError(
            f"The file {name} is another one than the front was extracted from: run 'icefront "
            "monitor run' again."
        )
    return path


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def make_picture(
    project: Path,
    row: Mapping[str, Any],
    crs: CRS,
    config: MonitoringConfig,
    folder: Path | None = None,
) -> Path:
    """Make the picture of a scene, and return its file.

    Parameters
    ----------
    project : Path
    row : mapping
        Of the catalogue.
    crs : pyproj.CRS
        Of the lattice of the glacier.
    config : MonitoringConfig
        How the scenes of the project are read.
    folder : Path, optional
        Where it is kept; beside the other files of the scene by default.

    Raises
    ------
    IcefrontError
        If the scene cannot be read (`original_scene`), or the picture cannot be written.
    """
    path = original_scene(row)
    asked = config.pixel_size
    scene = open_scene(
        path,
        band=config.band,
        radiometry=config.radiometry,
        pixel_size_m=None if isinstance(asked, str) else asked,
    )
    if scene.crs is None:
        raise IcefrontError(f"{path} has no place on the map: georeference it.")
    if folder is None:
        folder = scene_folder(project, row["glacier"])
        if not folder.resolve().is_relative_to(project.resolve()):
            raise IcefrontError(f"{folder} lies outside of the project: replace the link in it.")
    out = folder / f"{row['name']}{SUFFIX}"
    if not is_plain_name(row["name"]):
        raise IcefrontError(f"The scene {row['name']!r} has a name that is no name of a file.")
    grey, grid, limits = _on_lattice(scene, crs)
    tags = {"SCENE": row["scene"], "SCENE_SHA256": row["sha256"]}
    tags |= {"GREY_1": limits[0], "GREY_255": limits[1]}
    with writing(out) as part:
        part.write_bytes(_encoded(grey, grid, tags))
    return out


def _on_lattice(scene: Scene, crs: CRS) -> tuple[np.ndarray, Grid, tuple[float, float]]:
    """Return a scene in 8 bits, 0 for no data, its grid of whole blocks, and what 1 and 255 are."""
    side = float(round(scene.grid.side_m or 1.0, 3))
    grid = _of_whole_blocks(lattice_grid([scene.grid], crs, side))
    step = max(1, int(np.sqrt(scene.image.size / _SAMPLE)))
    sample = scene.image[::step, ::step]
    low, high = (float(value) for value in np.nanquantile(sample, _QUANTILES))
    if not high > low:
        low, high = 0.0, 1.0
    image = np.full(grid.shape, np.nan, np.float32)
    assert scene.crs is not None
    reproject(
        scene.image,
        image,
        src_transform=scene.transform,
        src_crs=scene.crs.to_wkt(),
        src_nodata=np.nan,
        dst_transform=grid.transform,
        dst_crs=crs.to_wkt(),
        dst_nodata=np.nan,
        resampling=Resampling.bilinear,
    )
    valid = np.isfinite(image)
    np.clip((image - low) * (254 / (high - low)), 0, 254, out=image)
    image[~valid] = -1
    return np.rint(image + 1).astype(np.uint8), grid, (low, high)


def _of_whole_blocks(grid: Grid) -> Grid:
    """Return a grid of the lattice whose edges are multiples of `BLOCK` pixels on the map."""
    side = grid.transform.a
    left, top = round(grid.transform.c / side), round(grid.transform.f / side)
    first = (left // BLOCK) * BLOCK
    last = -((-left - grid.width) // BLOCK) * BLOCK
    upper = -(-top // BLOCK) * BLOCK
    lower = ((top - grid.height) // BLOCK) * BLOCK
    assert grid.crs is not None
    whole = type(grid.transform)(side, 0.0, first * side, 0.0, -side, upper * side)
    return Grid(upper - lower, last - first, grid.crs, whole, side)


def _encoded(grey: np.ndarray, grid: Grid, tags: Mapping[str, Any]) -> bytes:
    """Return a picture as a cloud-optimised GeoTIFF."""
    assert grid.crs is not None
    with MemoryFile() as memory:
        with memory.open(
            driver="COG",
            height=grid.height,
            width=grid.width,
            count=1,
            dtype="uint8",
            nodata=0,
            crs=grid.crs.to_wkt(),
            transform=grid.transform,
            compress="deflate",
            level=1,
            blocksize=BLOCK,
            overview_resampling="average",
            sparse_ok=True,
        ) as raster:
            raster.write(grey, 1)
            raster.update_tags(ICEFRONT_VERSION=__version__, **tags)
        return bytes(memory.getbuffer())


def open_picture(path: Path) -> rasterio.DatasetReader:
    """Open a picture, or another raster that a project keeps, for reading.

    Raises
    ------
    IcefrontError
        If it is missing or damaged.
    """
    try:
        return rasterio.open(path, driver="GTiff")
    except RasterioError as error:
        raise IcefrontError(f"{path} is missing or damaged: delete it.") from error
