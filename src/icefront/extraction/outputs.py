"""The files of a run: tables of fronts, zone rasters and the record of the run."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.shutil import copy as copy_raster

from icefront import __version__
from icefront.fronts.date_line import in_crs
from icefront.fronts.vector_files import vector_file
from icefront.grid import common_crs
from icefront.models.card import ModelCard
from icefront.scenes.scene import Scene
from icefront.zones import NO_DATA, ZONE_COLOURS, ZONE_NAMES

FRONTS_GPKG = "fronts.gpkg"
FRONTS_GEOJSON = "fronts.geojson"
FRONTS_PIXELS_GPKG = "fronts_pixels.gpkg"
RUN_JSON = "run.json"
FRONTS_LAYER = "fronts"
SINGLE_DATES_LAYER = "single_dates"
SHORE_LAYER = "shore"
"""Lines where glacier meets ocean without calving, which fronts leave out."""

BLOCK = 512
"""Side of the tiles of a raster in pixels."""

VERSIONED = ("torch", "transformers", "numpy", "scipy", "rasterio", "pyproj", "geopandas")
"""Packages whose versions a run records, since its numbers depend on them."""


def joined(
    tables: Sequence[gpd.GeoDataFrame], latitudes: Sequence[float | None]
) -> gpd.GeoDataFrame:
    """Put the rows of several scenes into one table.

    Parameters
    ----------
    tables : sequence of GeoDataFrame
        One per scene, all with a CRS or all without.
    latitudes : sequence of float
        Of the scenes' centres, in degrees; they choose the CRS, see `common_crs`.
    """
    crs = None
    if tables[0].crs is not None:
        crs = common_crs((table.crs for table in tables), latitudes)
        tables = [in_crs(table, crs) for table in tables]
    rows = [row for table in tables for row in table.to_dict("records")]
    columns = list(dict.fromkeys(name for table in tables for name in table.columns))
    return gpd.GeoDataFrame(
        pd.DataFrame(rows, columns=columns), geometry=tables[0].geometry.name, crs=crs
    )


def write_tables(
    tables: Sequence[gpd.GeoDataFrame],
    latitudes: Sequence[float | None],
    folder: Path,
    single_dates: Sequence[gpd.GeoDataFrame] = (),
    shores: Sequence[gpd.GeoDataFrame] = (),
) -> None:
    """Write the files of `table_files` into a folder."""
    for name, content in table_files(tables, latitudes, single_dates, shores).items():
        (folder / name).write_bytes(content)


def table_files(
    tables: Sequence[gpd.GeoDataFrame],
    latitudes: Sequence[float | None],
    single_dates: Sequence[gpd.GeoDataFrame] = (),
    shores: Sequence[gpd.GeoDataFrame] = (),
) -> dict[str, bytes]:
    """Return the files with the rows of all scenes: GeoPackage and GeoJSON, and one in pixels.

    Parameters
    ----------
    tables : sequence of GeoDataFrame
        One per scene; without CRS where the scene has none.
    latitudes : sequence of float or None
        Of the scenes' centres in degrees; None without CRS.
    single_dates : sequence of GeoDataFrame
        Fronts that each date's image alone gave, where others stand in `tables`: a layer of
        ``fronts.gpkg``.
    shores : sequence of GeoDataFrame
        What the fronts leave out, with or without CRS, empty ones too: the layer ``shore``.

    Returns
    -------
    dict
        Contents by name: ``fronts.gpkg`` and ``fronts.geojson`` (EPSG:4326) if any scene has a
        CRS, ``fronts_pixels.gpkg`` (x = column, y = row of the file) if any has none.
    """
    mapped = [table for table in tables if table.crs is not None]
    drawn = [table for table in tables if table.crs is None]
    files = {}
    if mapped:
        table = joined(mapped, latitudes)
        layers = {FRONTS_LAYER: table}
        if single_dates:
            alone = [single.to_crs(table.crs) for single in single_dates]
            layers[SINGLE_DATES_LAYER] = joined(alone, latitudes)
        _add_shore(layers, [shore for shore in shores if shore.crs is not None])
        files[FRONTS_GPKG] = vector_file(layers)
        files[FRONTS_GEOJSON] = vector_file({FRONTS_LAYER: table}, "GeoJSON")
    if drawn:
        table = joined(drawn, [])
        layers = {FRONTS_LAYER: table}
        _add_shore(layers, [shore for shore in shores if shore.crs is None])
        files[FRONTS_PIXELS_GPKG] = vector_file(layers)
    return files


def _add_shore(layers: dict[str, gpd.GeoDataFrame], shores: Sequence[gpd.GeoDataFrame]) -> None:
    """Add the layer of shores in the CRS of the fronts, where there is any."""
    crs = layers[FRONTS_LAYER].crs
    found = [shore if crs is None else in_crs(shore, crs) for shore in shores if len(shore)]
    if found:
        layers[SHORE_LAYER] = gpd.GeoDataFrame(pd.concat(found, ignore_index=True), crs=crs)


def write_zones(path: Path, zones: np.ndarray, scene: Scene, card: ModelCard) -> None:
    """Write zone codes as a Cloud Optimised GeoTIFF with a colour table.

    Parameters
    ----------
    path : Path
        The file to write.
    zones : uint8 (H, W)
        Zone codes on the scene's grid.
    scene : Scene
        Grid and name.
    card : ModelCard
        The model that made them, named in the tags.
    """
    height, width = scene.shape
    layout: dict[str, Any] = {
        "height": height,
        "width": width,
        "count": 1,
        "dtype": "uint8",
        "nodata": NO_DATA,
        "compress": "deflate",
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
    }
    if scene.crs is not None:
        layout |= {"crs": scene.crs.to_wkt(), "transform": scene.transform}
    colours = {code: (*rgb, 255) for code, rgb in enumerate(ZONE_COLOURS)}
    colours[NO_DATA] = (*ZONE_COLOURS[NO_DATA], 0)
    # Made in memory, where compressed zones are small, and written in one go: GDAL may lose the
    # error of a full disk.
    with MemoryFile() as plain, MemoryFile() as optimised, warnings.catch_warnings():
        # Scenes in pixels are meant to have no place on the map.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with plain.open(driver="GTiff", **layout) as raster:
            raster.write_colormap(1, colours)
            raster.set_band_description(1, "zone")
            raster.update_tags(
                SCENE=scene.path.name if scene.path else scene.name,
                ZONES=", ".join(f"{code} {name}" for code, name in enumerate(ZONE_NAMES)),
                MODEL=card.name,
                MODEL_SHA256=card.sha256,
                ICEFRONT_VERSION=__version__,
            )
            raster.write(zones, 1)
        copy_raster(
            plain.name,
            optimised.name,
            driver="COG",
            compress="deflate",
            overview_resampling="nearest",
            blocksize=BLOCK,
        )
        path.write_bytes(optimised.getbuffer())


def run_record(
    *,
    card: ModelCard,
    parameters: Mapping[str, Any],
    scenes: Sequence[Mapping[str, Any]],
    files: Sequence[str],
    started: str,
    seconds: float,
) -> dict[str, Any]:
    """Return what a run must remember to be repeated, as plain types for JSON."""
    return {
        "icefront": __version__,
        "versions": {
            "python": platform.python_version(),
            "gdal": rasterio.__gdal_version__,
            **{name: importlib.metadata.version(name) for name in VERSIONED},
        },
        "started": started,
        "seconds": round(seconds, 1),
        "model": card.as_dict(),
        "parameters": dict(parameters),
        "scenes": [dict(scene) for scene in scenes],
        "files": sorted(files),
    }


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a run as JSON."""
    path.write_text(json.dumps(record, indent=2, default=str, ensure_ascii=False) + "\n", "utf-8")
