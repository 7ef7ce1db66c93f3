"""A project of 1,000 dates of one glacier: the pass through time, and one scene more.

The network has no part in it: its probabilities are made, a front with seasons and calving in a
fjord, seen with errors that are smooth in space and differ from date to date. They are kept in the
project's own files and rows, as a run leaves them.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS
from scipy import ndimage

from icefront.grid import Grid
from icefront.projects.catalogue import DONE, Catalogue, blob_of, create, scene_folder
from icefront.projects.config import Areas
from icefront.projects.probabilities import SUFFIX, write_probabilities
from icefront.projects.smoothing import configuration_of, smooth_project
from icefront.series.lattice import to_bytes

DATES, SIDE = 1000, 256
PIXEL_M = 55.0
DAYS = 4
GLACIER = "Made"
FAR_PX = 20.0
"""Errors of the network's front, correlated over this many pixels."""


def made_probabilities(number: float, side: int = SIDE) -> np.ndarray:
    """Return what a network might say on a date, uint8 (4, side, side)."""
    rng = np.random.default_rng((0, int(4 * number) + 4000))
    year = number * DAYS / 365.25
    rows, columns = np.indices((side, side), np.float32)
    stand = side * 0.6 - 3 * year + 6 * np.cos(2 * np.pi * year)
    stand -= 15 * np.exp(-((year * 1.3) % 2)) * np.exp(-(((rows - side / 2) / (side / 8)) ** 2))
    noise = ndimage.gaussian_filter(rng.normal(size=(2, side // 4, side // 4)), (0, 5, 5))
    noise = ndimage.zoom(noise / noise.std(), (1, 4, 4), order=1).astype(np.float32)
    ocean = (columns - stand + 6 * noise[0]) / 3
    wall = (np.abs(rows - side / 2) - side * 0.4) / 3 + noise[1]
    log_odds = np.stack([np.full_like(ocean, -12), wall, -np.minimum(wall, 3), ocean - 3])
    log_odds[2] += np.where(ocean < 0, 3, -ocean)
    found = np.exp(log_odds - log_odds.max(axis=0))
    return to_bytes(found / found.sum(axis=0))


def add(catalogue: Catalogue, number: float, grid: Grid) -> None:
    """Put a scene down as a run has that finished it; inside of `Catalogue.writing`."""
    date = np.datetime64("2012-01-01") + int(DAYS * number)
    name = f"scene_{number:07.2f}"
    folder = scene_folder(catalogue.folder, GLACIER)
    folder.mkdir(parents=True, exist_ok=True)
    write_probabilities(folder / f"{name}{SUFFIX}", made_probabilities(number), grid, {})
    middle = grid.xy(np.array([40, SIDE - 40]), np.full(2, SIDE * 0.6))
    catalogue.insert(
        {
            "path": f"{name}.tif",
            "name": name,
            "scene": name,
            "glacier": GLACIER,
            "date": str(date),
            "state": DONE,
            "flag": "good",
            "settings": "s",
            "sha256": name,
            "geom": blob_of(shapely.LineString(np.stack(middle, axis=1)), catalogue.srs),
        }
    )


def run() -> list[dict]:
    grid = Grid(SIDE, SIDE, CRS.from_epsg(3413), Affine(PIXEL_M, 0, 0, 0, -PIXEL_M, 0), PIXEL_M)
    rows = []
    with tempfile.TemporaryDirectory() as name, create(Path(name), grid.crs) as catalogue:
        with catalogue.writing():
            for number in range(DATES):
                add(catalogue, number, grid)
        areas = Areas(*configuration_of(catalogue.folder))
        for what, number in (
            (f"pass over {DATES} dates", None),
            ("the newest scene added", float(DATES)),
            ("a scene of two years before added", DATES * 0.8 + 0.5),
        ):
            if number is not None:
                with catalogue.writing():
                    add(catalogue, number, grid)
            begun = time.process_time(), time.perf_counter()
            report = smooth_project(catalogue, areas)
            spent, clock = time.process_time() - begun[0], time.perf_counter() - begun[1]
            assert not report.notes, report.notes
            note = (
                f"{SIDE} x {SIDE} pixels, {report.redrawn} fronts drawn, {clock:.0f} s by the clock"
            )
            rows.append(dict(name=what, value=spent, unit="s CPU", note=note))
    return rows
