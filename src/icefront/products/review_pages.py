"""The list of doubtful fronts of a project as a file, with a picture of each of the first."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import shapely
from pyproj import CRS

from icefront.errors import IcefrontError
from icefront.extraction.quicklook import draw_quicklook
from icefront.extraction.series_fronts import zones_on_scene
from icefront.files.atomic import staging
from icefront.grid import Grid
from icefront.projects.catalogue import FAILED, kept_file
from icefront.projects.probabilities import SMOOTHED_SUFFIX, read_lattice, read_probabilities
from icefront.projects.results import ProjectResults
from icefront.projects.review import list_for_review
from icefront.reporting.tables import write_csv
from icefront.scenes.reading import open_scene
from icefront.scenes.scene import Scene
from icefront.series.lattice import zones_onto

REVIEW = "review"
REVIEW_CSV = "review.csv"


def write_review(results: ProjectResults, out: Path, count: int = 20) -> pd.DataFrame:
    """Write the list and the pictures of its first rows.

    Parameters
    ----------
    results : ProjectResults
        Of a project on disk.
    out : Path
        Receives ``review.csv`` and a quicklook for each of the first `count` rows whose scene can
        still be read.
    count : int

    Returns
    -------
    DataFrame
        As `list_for_review`, with the names of the pictures.
    """
    table = list_for_review(results)
    fronts = results.fronts.set_index("name") if "name" in results.fronts else None
    paths = dict(zip(results.scenes["name"], results.scenes["path"], strict=True))
    with staging(out) as unfinished:
        pictures = []
        for row in table.head(count).itertuples():
            name = f"{row.rank:03d}_{row.name}.png"
            front = None
            if fronts is not None and row.state == "done":
                front = fronts.loc[[row.name]]
            drawn = row.state != FAILED and _draw(
                unfinished / name, paths.get(row.name), results, row.glacier, row.name, front
            )
            pictures.append(name if drawn else "")
        table["picture"] = pictures + [""] * (len(table) - len(pictures))
        # Old pictures have other ranks: they would mislead.
        write_csv(table, unfinished / REVIEW_CSV)
    kept = {*table["picture"], REVIEW_CSV}
    for old in out.glob("[0-9]*_*.png"):
        if old.name not in kept:
            old.unlink(missing_ok=True)
    return table


def _draw(
    path: Path,
    scene_path: str | None,
    results: ProjectResults,
    glacier: str,
    name: str,
    front: gpd.GeoDataFrame | None,
) -> bool:
    """Draw the quicklook of a scene; return False if its file or its zones are gone."""
    if scene_path is None or results.project is None:
        return False
    try:
        scene = open_scene(scene_path)
        zones = _zones(scene, results.project, glacier, name, front)
    except (IcefrontError, rasterio.errors.RasterioError):
        return False
    if zones is None:
        return False
    if front is None:
        front = gpd.GeoDataFrame(
            {
                "flag": ["no front"],
                "reason": [""],
                "length_m": [0.0],
                "uncertainty_m": [float("nan")],
            },
            geometry=[shapely.LineString()],
            crs=scene.crs,
        )
    else:
        front = front.to_crs(scene.crs).assign(
            flag=f"grade {front['grade'].iloc[0]}", reason=front["why"].iloc[0]
        )
    draw_quicklook(path, scene, zones, front)
    return True


def _zones(
    scene: Scene, project: Path, glacier: str, name: str, front: gpd.GeoDataFrame | None
) -> np.ndarray | None:
    """Read the zones that a front was drawn from: those of the pass through time, or of its date.

    None where the scene or the zones have no CRS any more.

    Raises
    ------
    IcefrontError, RasterioError
        If they are gone or damaged.
    """
    if scene.crs is None:
        return None
    if front is not None and "through_time" in front and front["through_time"].notna().all():
        smoothed = kept_file(project, glacier, f"{name}{SMOOTHED_SUFFIX}")
        if smoothed.exists():
            return zones_on_scene(read_probabilities(smoothed), read_lattice(smoothed), scene)
    with rasterio.open(kept_file(project, glacier, f"{name}_zones.tif")) as raster:
        if raster.crs is None:
            return None
        crs = CRS.from_wkt(raster.crs.to_wkt())
        # Only the surroundings of the area of interest may have been looked at.
        grid = Grid(raster.height, raster.width, crs, raster.transform)
        return zones_onto(raster.read(1), grid, scene.grid)
