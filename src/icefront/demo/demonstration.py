"""The whole way on a glacier whose true fronts are known: make a series, extract it, compare."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from pyproj import CRS
from shapely.geometry.base import BaseGeometry
from torch import nn

from icefront.errors import IcefrontError
from icefront.extraction.pipeline import SceneReport
from icefront.files.atomic import check_folder, explained_writing, writing
from icefront.fronts.distances import mean_distance
from icefront.projects.catalogue import CATALOGUE, RUNS, SCENES, Catalogue
from icefront.projects.run import RunReport, run_monitoring
from icefront.projects.workers import Job, Processes, Workers
from icefront.scenes.reading import open_scene
from icefront.simulation.archives import STAMP, simulate_scenes

GLACIER = "Kronebreen"
SEED = 0
PIXEL_SIZE_M = 20.0
COUNT = 12
FIRST, LAST = dt.date(2017, 3, 1), dt.date(2020, 2, 1)
PICTURE = "demo.png"
PROJECT = "project"
CONFIG = "project.yaml"
BOX = "box.gpkg"


@dataclass(frozen=True)
class DemoReport:
    """What the demonstration gave.

    Attributes
    ----------
    run : RunReport
        As for any other project, which it names.
    scenes : tuple of SceneReport
        What became of each, in order of date.
    distances_m : tuple of (float or None)
        For each scene the mean distance between the front through time and the true front, both
        ways; None without a front.
    single_distances_m : tuple of (float or None)
        The same of the fronts that each date's image alone gives.
    picture : Path
        All fronts over the newest scene, and their positions through time.
    """

    run: RunReport
    scenes: tuple[SceneReport, ...]
    distances_m: tuple[float | None, ...]
    single_distances_m: tuple[float | None, ...]
    picture: Path

    @property
    def median_m(self) -> float | None:
        """Median of the distances of the scenes with a front."""
        return _median(self.distances_m)

    @property
    def single_median_m(self) -> float | None:
        """The same of the fronts that each date's image alone gives."""
        return _median(self.single_distances_m)


def _median(distances: tuple[float | None, ...]) -> float | None:
    found = [distance for distance in distances if distance is not None]
    return float(np.median(found)) if found else None


def make_demo(
    out: str | Path,
    *,
    model: nn.Module | str | Path | None = None,
    scenes: int = COUNT,
    overwrite: bool = False,
    progress: bool = True,
    start_workers: Callable[[Job, int], Workers] = Processes,
) -> DemoReport:
    """Simulate three years of a glacier, extract the fronts, and measure how far they are off.

    Parameters
    ----------
    out : path
        Receives ``scenes/`` with the images and their truth, ``project.yaml`` that says what is
        extracted, ``project/`` as `icefront.projects.run_monitoring` keeps it, and a picture.
    model : nn.Module, str, Path or None
        A network, or as for `icefront.extract`.
    scenes : int
        How many.
    overwrite : bool
        Replace files of an earlier demonstration, with corrections that its project holds.
    progress : bool
        Show bars on stderr, if that is a terminal.
    start_workers : callable, optional
        As for `icefront.projects.run_monitoring`.

    Returns
    -------
    DemoReport
        The run, the distances to the true fronts and the picture.

    Raises
    ------
    IcefrontError
        As `icefront.projects.run_monitoring`, or if the folder is not empty.
    """
    folder = Path(out)
    check_folder(folder, overwrite=overwrite)
    made, project = folder / "scenes", folder / PROJECT
    with explained_writing(folder):
        # Those of an earlier demonstration, maybe of another version.
        if (made / STAMP).exists():
            shutil.rmtree(made)
        if any((project / name).exists() for name in (CATALOGUE, SCENES, RUNS)):
            shutil.rmtree(project)
    names = simulate_scenes(
        made,
        GLACIER,
        seed=SEED,
        start=FIRST,
        end=LAST,
        count=scenes,
        pixel_m=PIXEL_SIZE_M,
        progress=progress,
    )
    truth = gpd.read_file(made / "truth.gpkg", layer="fronts")
    # As one would for a real glacier: the front is looked for in its terminus box.
    box = gpd.read_file(made / "truth.gpkg", layer="box")
    with explained_writing(folder):
        with writing(folder / BOX) as part:
            box.to_file(part, driver="GPKG")
        with writing(folder / CONFIG) as part:
            part.write_text(f"scenes: [scenes]\naoi: {BOX}\n", "utf-8")
    run = run_monitoring(
        folder / CONFIG,
        project,
        model=None if model is None or isinstance(model, nn.Module) else str(model),
        loader=partial(_same, model) if isinstance(model, nn.Module) else None,
        progress=progress,
        start_workers=start_workers,
    )
    found = _scenes_of(project, names, truth.crs)
    for scene in found:
        if scene.error is not None:
            raise IcefrontError(f"The demonstration failed: {scene.error}")
    truth = truth.set_geometry(truth.intersection(box.geometry.iloc[0]))
    lines, alone = _lines(found)
    distances, single_distances = (
        tuple(
            None if line.is_empty else mean_distance(line, true, PIXEL_SIZE_M)
            for line, true in zip(some, truth.geometry, strict=True)
        )
        for some in (lines, alone)
    )
    report = DemoReport(run, found, distances, single_distances, folder / PICTURE)
    flow = gpd.read_file(made / "truth.gpkg", layer="centreline").geometry.iloc[0]
    with explained_writing(folder):
        _draw(report, made / f"{names[-1]}.tif", truth, lines, alone, flow)
    return report


def _same(network: nn.Module) -> nn.Module:
    """Return a network: what a worker calls to load one that is there already."""
    return network


def _scenes_of(project: Path, names: list[str], crs: CRS) -> tuple[SceneReport, ...]:
    """Return what a project holds of some scenes, in one CRS."""
    with Catalogue(project) as catalogue:
        fronts = catalogue.table().to_crs(crs).set_index("scene", drop=False)
        errors = {row["scene"]: row["error"] for row in catalogue.rows("error IS NOT NULL")}
        single = catalogue.single_dates()
    single = None if single is None else single.to_crs(crs).set_index("scene", drop=False)
    return tuple(
        SceneReport(
            name,
            front=fronts.loc[[name]] if name in fronts.index else None,
            single_date=single.loc[[name]] if single is not None and name in single.index else None,
            error=errors.get(name),
        )
        for name in names
    )


def _lines(scenes: tuple[SceneReport, ...]) -> tuple[list[BaseGeometry], list[BaseGeometry]]:
    """Return the fronts through time and those of each date alone."""
    found, alone = [], []
    for scene in scenes:
        if scene.front is None:
            continue
        single = scene.front if scene.single_date is None else scene.single_date
        found.append(scene.front.geometry.iloc[0])
        alone.append(single.geometry.iloc[0])
    return found, alone


def position_along(line: BaseGeometry, flow: shapely.LineString) -> float | None:
    """Where a front crosses the centreline, in metres along the flow; None if it does not."""
    crossing = line.intersection(flow)
    if crossing.is_empty:
        return None
    points = shapely.points(shapely.get_coordinates(crossing))
    return float(np.mean(shapely.line_locate_point(flow, points)))


def _draw(
    report: DemoReport,
    newest: Path,
    truth: gpd.GeoDataFrame,
    found: list[BaseGeometry],
    alone: list[BaseGeometry],
    flow: shapely.LineString,
) -> None:
    """Draw all fronts over the newest scene, and true and extracted positions through time."""
    scene = open_scene(newest)
    height, width = scene.shape
    left, top = scene.transform.c, scene.transform.f
    size = scene.transform.a
    extent = (0.0, width * size / 1e3, 0.0, height * size / 1e3)
    dates = [dt.date.fromisoformat(text) for text in truth["date"]]
    days = np.array([date.toordinal() for date in dates], float)
    figure = Figure(figsize=(13, 5.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    scenery, through_time = figure.subplots(1, 2, width_ratios=[1, 1.25])
    low, high = np.nanquantile(scene.image, [0.01, 0.99])
    scenery.imshow(scene.image, cmap="gray", vmin=low, vmax=high, extent=extent)
    norm = Normalize(days.min(), days.max())
    colours = colormaps["plasma"](norm(days))
    for line, colour in zip(found, colours, strict=True):
        for piece in shapely.get_parts(line):
            x, y = shapely.get_coordinates(piece).T
            bottom = top - height * size
            scenery.plot((x - left) / 1e3, (y - bottom) / 1e3, color=colour, linewidth=1.4)
    scenery.set(xlim=extent[:2], ylim=extent[2:], xlabel="km", ylabel="km")
    scenery.set_title(
        f"{len(found)} fronts of a simulated glacier, {dates[0]:%Y} to {dates[-1]:%Y}"
    )

    origin = position_along(truth.geometry.iloc[0], flow) or 0.0
    for lines, style, label in (
        (list(truth.geometry), {"color": "#667788", "linewidth": 3, "alpha": 0.6}, "true"),
        (
            alone,
            {"color": "#8899aa", "marker": "o", "linestyle": "none", "markerfacecolor": "none"},
            "each date alone",
        ),
        (found, {"color": "#ff2e63", "marker": "o", "linestyle": "none"}, "through time"),
    ):
        stands = [position_along(line, flow) for line in lines]
        values = [np.nan if s is None else s - origin for s in stands]
        through_time.plot(dates, values, label=label, **style)  # type: ignore[arg-type]
    through_time.set_ylabel("front along the centreline, m (advance is positive)")
    through_time.xaxis.set_major_formatter(
        ConciseDateFormatter(through_time.xaxis.get_major_locator())
    )
    if report.median_m is not None and report.single_median_m is not None:
        through_time.set_title(
            f"median distance to the truth: {report.single_median_m:.0f} m alone, "
            f"{report.median_m:.0f} m through time"
        )
    through_time.legend(frameon=False)
    through_time.grid(alpha=0.3)
    with writing(report.picture) as part:
        figure.savefig(part)
