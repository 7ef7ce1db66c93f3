"""Small projects: tiny scenes of a front that moves, a network that knows them, and workers."""

from __future__ import annotations

import datetime as dt
import os
import signal
import time

import geopandas as gpd
import numpy as np
import pandas as pd
from shapely.geometry import LineString

from icefront.projects import workers
from tests.helpers.scenes import GREYS, GreyLevels, landscape, write_tif

DEADLY = 250


class Deadly(GreyLevels):
    """A network whose process is killed by scenes that hold a certain grey."""

    def forward(self, x):
        if (x * 255 > DEADLY - 3).any():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)


class Inline:
    """Work in this very process: for runs that are killed as a whole."""

    def __init__(self, job, count, pause=0.0):
        self.job, self.network, self.tasks, self.pause = job, job.load(), [], pause

    def free(self):
        return not self.tasks

    def busy(self):
        return bool(self.tasks)

    def submit(self, task):
        self.tasks.append(task)

    def next(self):
        time.sleep(self.pause)
        return workers.work(self.tasks.pop(), self.network, self.job)

    def close(self, *, now=False):
        pass


def write_series(folder, count, glacier="Crane", start=dt.date(2018, 1, 5), step=24):
    """Write scenes whose front retreats by a pixel each; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        image = landscape()
        front = 120 - number
        image[30:-30, :front] = GREYS[2]
        image[30:-30, front:] = GREYS[3]
        date = start + dt.timedelta(step * number)
        paths.append(write_tif(folder / f"{glacier}_{date:%Y%m%d}_S1.tif", image))
    return paths


def write_deadly(path):
    """Write a scene that kills the process of the network `Deadly`."""
    image = landscape()
    image[:5, :5] = DEADLY
    return write_tif(path, image)


def config(folder, **more):
    """Write a configuration for the scenes of a folder; return its path."""
    import yaml

    path = folder / "project.yaml"
    path.write_text(yaml.safe_dump({"scenes": ["scenes"], "radiometry": "grey", **more}))
    return path


def made_fronts(years=3, per_year=12, glacier="Crane", source="icefront", seed=0, noise=20.0):
    """Fronts of a straight fjord of 4 km, retreating by 200 m a year, season ± 150 m."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(years * per_year):
        date = dt.date(2016, 1, 10) + dt.timedelta(round(number * 365.25 / per_year))
        t = number / per_year
        x = 5000 - 200 * t + 150 * np.sin(2 * np.pi * t) + rng.normal(0, noise)
        y = np.linspace(-2000, 2000, 41)
        # The glacier, west of it, on the left of the line: from north to south it would be right.
        line = LineString(np.stack([x + 60 * np.cos(y / 700), y], 1)[::1])
        rows.append(
            {
                "glacier": glacier,
                "date": pd.Timestamp(date),
                "sensor": "S1",
                "source": source,
                "scene": f"{glacier}_{date:%Y%m%d}",
                "name": f"{glacier}_{date:%Y%m%d}",
                "length_m": line.length,
                "uncertainty_m": 25.0,
                "pixel_size_m": 20.0,
                "model_pixel_size_m": 20.0,
                "flag": "good",
                "reason": None,
                "model": "made",
                "model_sha256": "abc",
                "icefront_version": "0",
                "geometry": line,
            }
        )
    table = gpd.GeoDataFrame(rows, crs=32633)
    table["geometry"] = table.translate(450_000, 8_750_000)
    return table
