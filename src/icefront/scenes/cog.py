"""Images of floating point or whole numbers as Cloud Optimised GeoTIFFs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rasterio.io import MemoryFile

from icefront.grid import Grid


def write_cog(
    path: Path,
    values: np.ndarray,
    grid: Grid,
    tags: Mapping[str, str],
    bands: Sequence[str] = (),
) -> None:
    """Write an image; the same image gives the same file.

    Parameters
    ----------
    path : Path
        The file to write, see `icefront.files.atomic.writing`.
    values : (H, W) or (bands, H, W)
        NaN where a floating-point image has no data.
    grid : Grid
        With a CRS.
    tags : mapping of str to str
    bands : sequence of str
        Descriptions of the bands.
    """
    assert grid.crs is not None
    stack = values if values.ndim == 3 else values[None]
    floating = np.issubdtype(stack.dtype, np.floating)
    code = grid.crs.to_epsg()
    # Made in memory and written in one go: GDAL may lose the error of a full disk.
    with MemoryFile() as memory:
        with memory.open(
            driver="COG",
            height=stack.shape[1],
            width=stack.shape[2],
            count=stack.shape[0],
            dtype=stack.dtype.name,
            nodata=float("nan") if floating else None,
            crs=f"EPSG:{code}" if code else grid.crs.to_wkt(),
            transform=grid.transform,
            compress="deflate",
            predictor="YES",
        ) as raster:
            raster.write(stack)
            for number, name in enumerate(bands, 1):
                raster.set_band_description(number, name)
            raster.update_tags(**tags)
        path.write_bytes(memory.getbuffer())
