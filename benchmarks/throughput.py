"""Seconds and bytes of a Sentinel-1 scene by step, with and without a box of the front.

Scenes of 3000 × 3000 pixels of 10 m, as `icefront acquire` writes them (``map``: backscatter,
float32, on the map of the glacier), as downloads bring them (``degrees``: 8 bit), as GRD ones are
(``control``: 16 bit, placed by control points), through what a worker of `monitor run` does, with
the packaged model. The box has a third of the side. Seconds are those of the processor on one
thread; the clock of one and of two processes is measured on the first kind of scene with its box
(``ICEFRONT_SCENES`` of them; 12 by default), which means little on a machine with other work.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from unittest import mock

import geopandas as gpd
import numpy as np
import rasterio
import shapely
import torch
from affine import Affine
from pyproj import CRS, Transformer
from rasterio.control import GroundControlPoint

from benchmarks.fronts import procedural_zones
from icefront.extraction.settings import ExtractionSettings
from icefront.grid import Grid
from icefront.models.registry import load_model
from icefront.projects import workers
from icefront.projects.catalogue import DONE
from icefront.projects.run import Loader
from icefront.scenes.cog import write_cog
from icefront.scenes.survey import read_header

SIDE = 3000
PIXEL_M = 10.0
MAP = CRS.from_epsg(3413)
CORNER = 300_000.0, -2_500_000.0
LEVELS_DB = np.array([-25.0, -9.0, -6.0, -19.0])
LOOKS = 4.4
TURN = np.radians(12)
REPEATS = 3

STEPS: dict[str, tuple[str, ...]] = {
    "hash": ("icefront.projects.workers.signature",),
    "read": ("icefront.scenes.reading.survey", "icefront.scenes.reading.survey_of_part"),
    "warp": ("icefront.scenes.reading.warp_band", "icefront.scenes.reading.warp_values"),
    "resample": ("icefront.inference.predict.for_card",),
    "network": ("icefront.inference.network.FoldedNetwork.centre",),
    "windows": ("icefront.inference.predict.blend_windows",),
    "zones to line": (
        "icefront.inference.predict.Predicted.for_front",
        "icefront.extraction.pipeline.draw_front",
    ),
    "files": (
        "icefront.extraction.outputs.write_zones",
        "icefront.projects.workers.write_probabilities",
        "icefront.extraction.pipeline.zones_on_lattice",
    ),
}
"""Functions of each step; what a step calls of another counts for the other."""


def write_scenes(folder: Path) -> dict[str, Path]:
    """Write one scene of each kind."""
    zones = procedural_zones(0, SIDE)
    rng = np.random.default_rng(0)
    speckle = rng.gamma(LOOKS, 1 / LOOKS, zones.shape)
    power = (10 ** (LEVELS_DB[zones] / 10) * speckle).astype(np.float32)
    empty = zones == 0
    power[empty] = np.nan
    transform = Affine(PIXEL_M, 0, CORNER[0], 0, -PIXEL_M, CORNER[1])
    found = {name: folder / f"{name}_20180602.tif" for name in ("map", "degrees", "control")}
    write_cog(found["map"], power, Grid(SIDE, SIDE, MAP, transform), {"UNITS": "power"})
    decibels = 10 * np.log10(np.nan_to_num(power, nan=1.0))
    to_degrees = Transformer.from_crs(MAP, 4326, always_xy=True)
    profile: dict[str, Any] = dict(driver="GTiff", count=1, height=SIDE, width=SIDE)
    west, north = to_degrees.transform(*CORNER)
    across = PIXEL_M / (111_320 * np.cos(np.radians(north)))
    with rasterio.open(
        found["degrees"], "w", **profile, dtype="uint8", crs="EPSG:4326", tiled=True,
        compress="deflate", transform=Affine(across, 0, west, 0, -PIXEL_M / 111_320, north),
    ) as raster:  # fmt: skip
        grey = np.clip(8 * (decibels + 30), 1, 255).astype(np.uint8)
        raster.write(np.where(empty, np.uint8(0), grey), 1)
    numbers = np.where(empty, 0, 500 * np.sqrt(np.nan_to_num(power))).astype(np.uint16)
    points = []
    for row in np.linspace(0, SIDE, 11):
        for column in np.linspace(0, SIDE, 21):
            x = CORNER[0] + PIXEL_M * (np.cos(TURN) * column - np.sin(TURN) * row)
            y = CORNER[1] - PIXEL_M * (np.sin(TURN) * column + np.cos(TURN) * row)
            points.append(GroundControlPoint(row, column, *to_degrees.transform(x, y), 0.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(found["control"], "w", **profile, dtype="uint16") as raster:
            raster.write(numbers, 1)
            raster.gcps = points, rasterio.crs.CRS.from_epsg(4326)
    return found


def box_of(path: Path) -> gpd.GeoDataFrame:
    """Return a box in the middle of a scene, a third of its side."""
    grid = read_header(path)[1].grid
    x, y = grid.xy(np.array([1, 2]) * grid.height / 3, np.array([1, 2]) * grid.width / 3)
    return gpd.GeoDataFrame(geometry=[shapely.box(min(x), min(y), max(x), max(y))], crs=grid.crs)


class StepTimes:
    """Processor seconds of each step, without those of steps inside."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside = [0.0]

    def timed(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(*arguments: Any, **named: Any) -> Any:
            self._inside.append(0.0)
            begun = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                taken = time.process_time() - begun
                self.seconds[step] += taken - self._inside.pop()
                self._inside[-1] += taken

        return run

    @contextmanager
    def watching(self) -> Iterator[None]:
        with ExitStack() as stack:
            for step, names in STEPS.items():
                for name in names:
                    patch = mock.patch(name)
                    original, _ = patch.get_original()
                    stack.enter_context(mock.patch(name, self.timed(step, original)))
            yield


def task_of(path: Path, area: gpd.GeoDataFrame | None, number: int = 1) -> workers.Task:
    name = f"scene_{number}"
    return workers.Task(number, str(path), name, "glacier", "2018-06-02", "S1", "s", area)


def job_of(folder: Path) -> workers.Job:
    settings = ExtractionSettings(device="cpu")
    return workers.Job(load=Loader(), settings=settings, folder=folder, crs=MAP.to_wkt())


def scene_rows(folder: Path, kind: str, path: Path, boxed: bool) -> list[dict]:
    network, job = load_model(), job_of(folder)
    task = task_of(path, box_of(path) if boxed else None)
    assert workers.work(task, network, job).values["state"] != "failed"
    best: dict[str, float] = {}
    for _ in range(REPEATS):
        times = StepTimes()
        begun = time.process_time()
        with times.watching():
            workers.work(task, network, job)
        steps = dict(times.seconds)
        steps["rest"] = time.process_time() - begun - sum(steps.values())
        if not best or sum(steps.values()) < sum(best.values()):
            best = steps
    beside = sum(seconds for step, seconds in best.items() if step != "network")
    written = sum(file.stat().st_size for file in (folder / "scenes").rglob("scene_1*"))
    where = "with a box" if boxed else "whole"
    parts = ", ".join(f"{step} {best[step]:.2f}" for step in [*STEPS, "rest"] if step in best)
    return [
        dict(
            name=f"{kind}, {where}: beside the network",
            value=beside,
            unit="s",
            note=f"{parts}; the bar is {0.5 if boxed else 1.5} s; best of {REPEATS}",
        ),
        dict(
            name=f"{kind}, {where}: written",
            value=written / 1e6,
            unit="MB",
            note=f"of {path.stat().st_size / 1e6:.0f} MB read",
        ),
    ]


def clock_rows(folder: Path, path: Path) -> list[dict]:
    """Scenes a minute by the clock of one and of two processes, after their start."""
    count = int(os.environ.get("ICEFRONT_SCENES", 12))
    area, rates, rows = box_of(path), {}, []
    for processes in (1, 2):
        pool = workers.Processes(job_of(folder), processes)
        for number in range(processes):  # each loads its model
            pool.submit(task_of(path, area, number))
        for _ in range(processes):
            pool.next()
        begun, given, done = time.perf_counter(), 0, 0
        while done < count:
            while given < count and pool.free():
                pool.submit(task_of(path, area, given))
                given += 1
            assert pool.next().values["state"] in (DONE, "no front")
            done += 1
        rates[processes] = 60 * count / (time.perf_counter() - begun)
        pool.close()
        load = os.getloadavg()[0]
        note = f"{count} scenes, load of the machine {load:.1f}"
        if processes == 2:
            note += f"; {rates[2] / rates[1]:.2f} times one, the bar is 1.8"
        rows.append(
            dict(name=f"{processes} process(es)", value=rates[processes], unit="/min", note=note)
        )
    return rows


def run() -> list[dict]:
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        paths = write_scenes(folder)
        for kind, path in paths.items():
            for boxed in (True, False):
                rows += scene_rows(folder / f"{kind}_{boxed}", kind, path, boxed)
        rows += clock_rows(folder / "clock", paths["map"])
    return rows
