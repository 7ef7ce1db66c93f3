"""Scenes out of xarray: a DataArray with rioxarray's CRS becomes a Scene as a file does."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pyproj import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile

from icefront.errors import IcefrontError
from icefront.grid import Grid
from icefront.scenes.metadata import Metadata, find_date
from icefront.scenes.reading import open_scene
from icefront.scenes.scene import RADIOMETRY, Scene
from icefront.scenes.working_grid import AskedPixelSize

if TYPE_CHECKING:
    import xarray


def scene_from_xarray(
    data: xarray.DataArray,
    *,
    pixel_size_m: AskedPixelSize = None,
    radiometry: str = "auto",
) -> Scene:
    """Turn a DataArray into a scene, by the rules for files.

    Parameters
    ----------
    data : xarray.DataArray (y, x) or (1, y, x)
        One SAR image. CRS, transform, spatial dimensions and no data are those of rioxarray
        (``data.rio``); attributes ``date``, ``sensor``, ``glacier``, ``orbit`` and
        ``polarisation`` are read like the tags of a file, the array's name like a file's name.
    pixel_size_m, radiometry
        As for `icefront.open_scene`. An array that `Scene.to_xarray` made holds grey values
        already, which ``auto`` leaves as they are.

    Returns
    -------
    Scene
        On the grid of the array if that is projected, square and north up, else warped as a file
        would be.

    Raises
    ------
    IcefrontError
        If the array is no single image of real numbers, or for what `icefront.open_scene` refuses.
    """
    name = str(data.name or "scene")
    image, grid = _image_of(data, name)
    ready = (
        radiometry == "auto"
        and RADIOMETRY in data.attrs
        and image.dtype == np.float32
        and bool(np.isfinite(image).any())
        and float(np.nanmin(image)) >= 0
        and float(np.nanmax(image)) <= 1
    )
    if ready and pixel_size_m is None and _is_scene_grid(grid):
        scene = Scene(image.copy(), grid.transform, grid.crs, grid.pixel_size_m, name)
    else:
        values = image * np.float32(255) if ready else image
        kind = "grey" if ready else radiometry
        asked = grid.pixel_size_m if pixel_size_m is None and grid.crs is None else pixel_size_m
        scene = _through_memory(values, grid, data, name, asked, kind)
    facts: dict[str, Any] = {key: str(data.attrs[key]) for key in _FACTS if data.attrs.get(key)}
    date = find_date(facts.pop("date", ""))
    if ready:
        facts["radiometry"] = str(data.attrs[RADIOMETRY])
    notes = str(data.attrs.get("notes", "")).split("\n") if ready else scene.notes
    return replace(
        scene, date=date or scene.date, notes=tuple(note for note in notes if note), **facts
    )


_FACTS = tuple(name for name in Metadata.__dataclass_fields__ if name in Scene.__dataclass_fields__)


def _image_of(data: xarray.DataArray, name: str) -> tuple[np.ndarray, Grid]:
    """Return the values (rows, columns) of an array and where they lie."""
    import rioxarray  # noqa: F401  (the accessor ``rio``; takes a second)
    from rioxarray.exceptions import RioXarrayError

    try:
        rows, columns = data.rio.y_dim, data.rio.x_dim
        others = [dim for dim in data.dims if dim not in (rows, columns)]
        if any(data.sizes[dim] != 1 for dim in others):
            sizes = " x ".join(f"{dim} {data.sizes[dim]}" for dim in others)
            raise IcefrontError(
                f"The array {name} holds several images ({sizes}); select one of them with "
                ".isel() or .sel()."
            )
        data = data.isel(dict.fromkeys(others, 0)).transpose(rows, columns)
        crs = None if data.rio.crs is None else CRS.from_user_input(data.rio.crs)
        transform = data.rio.transform()
    except RioXarrayError as error:
        raise IcefrontError(
            f"The array {name} does not say which dimensions are rows and columns or where they "
            "lie; name them y and x, or call .rio.set_spatial_dims()."
        ) from error
    values = data.values
    if values.dtype.kind not in "uifc" or values.size == 0:
        raise IcefrontError(
            f"The array {name} holds {values.dtype} of shape {values.shape}; give an image of real "
            "numbers."
        )
    size = data.attrs.get("pixel_size_m")
    if size is not None:
        sides = np.atleast_1d(size)
        size = float(sides[0]) if len(sides) == 1 else (float(sides[0]), float(sides[1]))
    height, width = values.shape
    return values, Grid(height, width, crs, transform, size)


def _is_scene_grid(grid: Grid) -> bool:
    """Tell whether a scene may lie on a grid as it is."""
    if grid.crs is None:
        return True
    t, sides = grid.transform, grid.sides_m
    return (
        grid.crs.is_projected
        and t.b == t.d == 0
        and t.a > 0 > t.e
        and sides is not None
        and abs(sides[0] / sides[1] - 1) < 1e-3
        and abs(grid.side_on_map / (grid.side_m or 0.0) - 1) < 1e-3
    )


def _through_memory(
    values: np.ndarray,
    grid: Grid,
    data: xarray.DataArray,
    name: str,
    pixel_size_m: AskedPixelSize,
    radiometry: str,
) -> Scene:
    """Read an array as the file that it would be."""
    stem = re.sub(r"[^\w.+-]+", "_", name)
    profile = {
        "driver": "GTiff",
        "height": grid.height,
        "width": grid.width,
        "count": 1,
        "dtype": values.dtype,
        "nodata": data.rio.encoded_nodata if data.rio.nodata is None else data.rio.nodata,
        "BIGTIFF": "IF_SAFER",
    }
    if grid.crs is not None:
        profile |= {"crs": grid.crs.to_wkt(), "transform": grid.transform}
    with MemoryFile(filename=f"{stem}.tif") as memory, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with memory.open(**profile) as raster:
                raster.write(values, 1)
                raster.update_tags(**{key: data.attrs[key] for key in data.attrs})
        except (RasterioError, TypeError, ValueError) as error:
            raise IcefrontError(
                f"The array {name} of {values.dtype} cannot be read as an image; convert it to "
                "float32."
            ) from error
        try:
            scene = open_scene(memory.name, pixel_size_m=pixel_size_m, radiometry=radiometry)
        except IcefrontError as error:
            sentence = str(error).replace(memory.name, f"The array {name}")
            raise IcefrontError(sentence) from error
    return replace(scene, name=name)
