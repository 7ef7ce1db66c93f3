"""A run over scenes of 3000 x 3000 pixels: processor time beside the network, and the catalogue's.

The network is replaced by one that costs next to nothing (grey levels), so that what is measured is
all the rest: hashing, reading, resampling, windows, cleaning, line, zones and record.

And a run over 2,000 tiny scenes in one folder: what passes before the first is handed out, and how
long the command takes when nothing is left to do.
"""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from affine import Affine
from pyproj import CRS
from shapely.geometry import LineString
from torch import nn

from benchmarks.fronts import procedural_zones
from icefront.extraction.settings import ExtractionSettings
from icefront.models.card import ModelCard
from icefront.projects import workers
from icefront.projects.catalogue import DONE, NO_FRONT, create
from icefront.projects.run import run_monitoring

SIDE = 3000
PIXEL_M = 10.0
GREYS = (0, 40, 210, 120)
ROWS = 500
TINY_SCENES = 2000
TINY_SIDE = 64


class GreyLevels(nn.Module):
    """Zones by their grey value, in one look at the whole scene."""

    def __init__(self, pixel_size_m: float | None) -> None:
        super().__init__()
        self.card = ModelCard(
            "grey-levels", {}, window=512, target=256, stride=256, pixel_size_m=pixel_size_m
        )
        self.seconds = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        begun = time.process_time()
        found = torch.cat([-200 * (x - grey / 255).abs() for grey in GREYS], 1)
        self.seconds += time.process_time() - begun
        return found


def write_scene(path: Path) -> None:
    zones = procedural_zones(0, SIDE)
    noise = np.random.default_rng(0).normal(0, 4, zones.shape)
    grey = np.clip(np.array(GREYS)[zones] + noise, 1, 255).astype(np.uint8)
    grey[zones == 0] = 0
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=SIDE, width=SIDE, dtype="uint8", nodata=0,
        crs="EPSG:3413", transform=Affine(PIXEL_M, 0, 0, 0, -PIXEL_M, -2e6), tiled=True,
        compress="deflate",
    ) as raster:  # fmt: skip
        raster.write(grey, 1)


def scene_seconds(folder: Path, path: Path, pixel_size_m: float | None) -> float:
    """Processor time of one scene beside the network."""
    network = GreyLevels(pixel_size_m)
    settings = ExtractionSettings(radiometry="grey", device="cpu")
    job = workers.Job(load=lambda: network, settings=settings, folder=folder)
    task = workers.Task(1, str(path), "scene", "glacier", "2018-01-01", "S1", "s")
    workers.work(task, network, job)  # warm
    network.seconds = 0.0
    begun = time.process_time()
    outcome = workers.work(task, network, job)
    taken = time.process_time() - begun - network.seconds
    assert outcome.values["state"] == DONE, outcome.values
    return taken


def catalogue_seconds(folder: Path) -> float:
    """Wall time in the catalogue for one scene: taken, and put down with a line of 2000 points."""
    line = LineString(np.cumsum(np.random.default_rng(0).normal(size=(2000, 2)), axis=0))
    with create(folder, CRS.from_epsg(3413)) as catalogue:
        with catalogue.writing():
            for number in range(ROWS):
                name = f"scene_{number}"
                catalogue.insert({"path": name, "name": name, "state": "new", "settings": "s"})
        begun = time.perf_counter()
        for _ in range(ROWS):
            row = catalogue.claim("run", ["s"])
            assert row is not None
            catalogue.finish(row["fid"], "run", {"state": DONE, "length_m": 1.0}, line)
        return (time.perf_counter() - begun) / ROWS


class Seen:
    """Workers that look at no scene: each is without a front as soon as it is handed out."""

    first: float | None = None

    def __init__(self, job: workers.Job, count: int) -> None:
        self.tasks: list[workers.Task] = []

    def free(self) -> bool:
        return not self.tasks

    def busy(self) -> bool:
        return bool(self.tasks)

    def submit(self, task: workers.Task) -> None:
        Seen.first = Seen.first or time.perf_counter()
        self.tasks.append(task)

    def next(self) -> workers.Outcome:
        task = self.tasks.pop()
        values: dict[str, Any] = {"state": NO_FRONT, **workers.signature(Path(task.path))}
        return workers.Outcome(task, values)

    def close(self, *, now: bool = False) -> None:
        pass


def tiny_scenes_seconds(folder: Path) -> tuple[float, float]:
    """Wall time until the first of many scenes is handed out, and of a command after the last."""
    scenes, project = folder / "scenes", folder / "project"
    scenes.mkdir()
    grey = np.random.default_rng(0).integers(1, 255, (TINY_SIDE, TINY_SIDE), np.uint8)
    for number in range(TINY_SCENES):
        date = dt.date(2018, 1, 1) + dt.timedelta(number)
        with rasterio.open(
            scenes / f"Crane_{date:%Y%m%d}.tif",
            "w", driver="GTiff", count=1, height=TINY_SIDE, width=TINY_SIDE, dtype="uint8",
            crs="EPSG:3413", transform=Affine(PIXEL_M, 0, 0, 0, -PIXEL_M, -2e6),
        ) as raster:  # fmt: skip
            raster.write(grey, 1)
    begun = time.perf_counter()
    run_monitoring(scenes, project, progress=False, workers=1, start_workers=Seen)
    assert Seen.first is not None
    command = [sys.executable, "-m", "icefront", "monitor", "run", str(scenes)]
    again = time.perf_counter()
    said = subprocess.run([*command, "--out", str(project)], capture_output=True, text=True)
    taken = time.perf_counter() - again
    assert f"{TINY_SCENES} were there already" in said.stdout, said
    return Seen.first - begun, taken


def run() -> list[dict]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        path = folder / "scene.tif"
        write_scene(path)
        first, again = tiny_scenes_seconds(folder)
        note = f"{SIDE} x {SIDE} pixels, processor time without the network; the bar is 2 s"
        return [
            dict(
                name="scene, resampled to 55 m",
                value=scene_seconds(folder, path, 55.0),
                unit="s",
                note=note,
            ),
            dict(
                name="scene, as it is (windows of 512)",
                value=scene_seconds(folder, path, None),
                unit="s",
                note=note,
            ),
            dict(
                name="before the first scene",
                value=first,
                unit="s",
                note=f"wall, {TINY_SCENES} new scenes of {TINY_SIDE} x {TINY_SIDE} pixels; bar 5 s",
            ),
            dict(
                name="nothing to do",
                value=again,
                unit="s",
                note=f"wall, the command on {TINY_SCENES} finished scenes; the bar is 2 s",
            ),
            dict(
                name="catalogue",
                value=catalogue_seconds(folder) * 1e3,
                unit="ms",
                note=f"a scene, taken and put down, mean of {ROWS}; the bar is 20 ms",
            ),
        ]
