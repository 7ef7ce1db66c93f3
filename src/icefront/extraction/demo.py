"""The whole way on a scene whose true front is known: make it, extract its front, compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from scipy.spatial import cKDTree
from shapely.geometry.base import BaseGeometry
from torch import nn

from icefront.errors import IcefrontError
from icefront.extraction.demo_scene import CRS_OF_DEMO, PIXEL_SIZE_M, DemoScene, make_scene
from icefront.extraction.folder import check_folder, explained_writing, staging
from icefront.extraction.run import ExtractionReport, extract_scenes
from icefront.models.registry import load_model

SCENE_FILE = "demo_scene.tif"
TRUTH_FILE = "demo_true_front.geojson"
SPACING_M = PIXEL_SIZE_M
"""Distance of the points along two lines that are compared."""


@dataclass(frozen=True)
class DemoReport:
    """What the demonstration gave.

    Attributes
    ----------
    run : ExtractionReport
        As for any other scene.
    distance_m : float or None
        Mean distance between the extracted and the true front, both ways; None without a front.
    quicklook : Path
        The picture to look at.
    """

    run: ExtractionReport
    distance_m: float | None
    quicklook: Path


def mean_distance(first: BaseGeometry, second: BaseGeometry, spacing: float) -> float:
    """Mean distance between two lines: of points along each to the other, pooled both ways.

    Parameters
    ----------
    first, second : LineString or MultiLineString
        In one projected CRS.
    spacing : float
        Distance of the points along the lines, in the unit of the CRS.
    """
    points = [_points_along(line, spacing) for line in (first, second)]
    there = cKDTree(points[1]).query(points[0])[0]
    back = cKDTree(points[0]).query(points[1])[0]
    return float(np.concatenate([there, back]).mean())


def _points_along(line: BaseGeometry, spacing: float) -> np.ndarray:
    """Return evenly spaced points of all pieces of a line, float64 (N, 2)."""
    points = []
    for piece in shapely.get_parts(line):
        count = max(2, round(piece.length / spacing) + 1)
        points.append(shapely.line_interpolate_point(piece, np.linspace(0, piece.length, count)))
    return shapely.get_coordinates(np.concatenate(points))


def write_demo_scene(scene: DemoScene, folder: Path) -> None:
    """Write a made scene as a GeoTIFF with the tags of a real one, and its true front."""
    height, width = scene.sigma0.shape
    with rasterio.open(
        folder / SCENE_FILE,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=1,
        dtype="float32",
        nodata=float("nan"),
        crs=CRS_OF_DEMO.to_wkt(),
        transform=scene.transform,
        compress="deflate",
        predictor=3,
        tiled=True,
    ) as raster:
        raster.write(scene.sigma0, 1)
        raster.set_band_description(1, "sigma0, linear power")
        raster.update_tags(glacier="Demo", date="2024-08-15")
    truth = gpd.GeoDataFrame({"name": ["true front"]}, geometry=[scene.front], crs=CRS_OF_DEMO)
    truth.to_crs(4326).to_file(folder / TRUTH_FILE, driver="GeoJSON", RFC7946="YES")


def make_demo(
    out: str | Path,
    *,
    model: nn.Module | str | Path | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> DemoReport:
    """Make a scene with a known front, extract the front from it, and measure how far it is off.

    Parameters
    ----------
    out : path
        Folder for the scene, the true front and everything `extract_scenes` writes.
    model : nn.Module, str, Path or None
        As for `extract_scenes`.
    overwrite : bool
        Replace files of an earlier demonstration.
    progress : bool
        Show bars on stderr, if that is a terminal.

    Returns
    -------
    DemoReport
        The run, the distance to the true front and the picture.

    Raises
    ------
    IcefrontError
        As `extract_scenes`.
    """
    folder = Path(out)
    check_folder(folder, overwrite=overwrite)
    network = model if isinstance(model, nn.Module) else load_model(model)
    scene = make_scene()
    with staging(folder) as unfinished, explained_writing(folder):
        write_demo_scene(scene, unfinished)
    # The folder holds the scene now, so its files are ours to go beside.
    run = extract_scenes(
        [folder / SCENE_FILE], folder, model=network, overwrite=True, progress=progress
    )
    report = run.scenes[0]
    if report.front is None:
        raise IcefrontError(f"The demonstration failed: {report.error}")
    front = report.front.geometry.to_crs(CRS_OF_DEMO).iloc[0]
    distance = None if front.is_empty else mean_distance(front, scene.front, SPACING_M)
    return DemoReport(run, distance, folder / report.files["quicklook"])
