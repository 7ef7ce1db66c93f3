"""Tiles of Sentinel-2 with known reflectance, and the items that describe them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine

from icefront.datasets.ssl4sar import CHANNELS

REFLECTANCE = {name: 0.05 + 0.06 * number for number, name in enumerate(CHANNELS[:12])}
REFLECTANCE |= {"B11": 0.04, "B12": 0.03}
SNOW, CLOUD = 11, 9


def write_tile(
    folder: Path,
    name: str,
    added: float,
    *,
    corner: tuple[float, float] = (499_000.0, 7_401_000.0),
    epsg: int = 32624,
    width: int = 120,
    height: int = 150,
    cloudy: tuple[int, int] = (0, 50),
) -> dict[str, Path]:
    """Write the bands of a tile at their own pixel sizes: snow, and bare ground on the right.

    Parameters
    ----------
    folder, name
    added : float
        What is added to the numbers of the bands.
    corner : tuple
        West and north of the tile.
    epsg : int
    width, height : int
        In pixels of 20 m.
    cloudy : tuple of int
        First row, and the one after the last, under cloud, in pixels of 20 m.

    Returns
    -------
    dict
        Files by channel.
    """
    folder.mkdir(exist_ok=True)
    files = {}
    for channel in CHANNELS:
        pixel = 60 if channel in ("B1", "B9") else 20 if channel in ("SCL", "B11", "B12") else 10
        shape = height * 20 // pixel, width * 20 // pixel
        if channel == "SCL":
            values = np.full(shape, SNOW)
            values[cloudy[0] : cloudy[1]] = CLOUD
        elif channel == "WVP":
            values = np.full(shape, 350)
        else:
            values = np.full(shape, 1e4 * REFLECTANCE[channel] + added)
            values[:, -shape[1] // 4 :] = 1e4 * 0.3 + added
        files[channel] = folder / f"{name}_{channel}.tif"
        with rasterio.open(
            files[channel], "w", driver="GTiff", height=shape[0], width=shape[1], count=1,
            dtype="uint16", crs=f"EPSG:{epsg}", nodata=0, tiled=True, blockxsize=128,
            blockysize=128, transform=Affine(pixel, 0, corner[0], 0, -pixel, corner[1]),
        ) as target:  # fmt: skip
            target.write(np.rint(values).astype(np.uint16), 1)
    return files


def optical_item(
    name: str,
    time: str,
    outline: shapely.Polygon,
    hrefs: Mapping[str, str],
    *,
    cloud: float = 5.0,
    **more: Any,
) -> dict[str, Any]:
    """Return a Sentinel-2 L2A item in the form of the Planetary Computer.

    Parameters
    ----------
    name, time : str
    outline : Polygon
        In degrees.
    hrefs : mapping of str to str
        Addresses by channel.
    cloud : float
        Percent that the catalogue states.
    **more
        Further properties.
    """
    keys = {c: f"B{int(c[1:]):02d}" if c[1:].isdigit() else c for c in CHANNELS}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": shapely.geometry.mapping(outline),
        "bbox": list(outline.bounds),
        "links": [],
        "properties": {
            "datetime": time,
            "platform": f"Sentinel-{name[1:3]}",
            "eo:cloud_cover": cloud,
            "s2:product_type": "S2MSI2A",
            **more,
        },
        "assets": {keys[channel]: {"href": href} for channel, href in hrefs.items()},
    }
