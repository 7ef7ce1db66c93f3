"""One simulated image with its truth: the unit of every layout and data set."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from icefront.errors import IcefrontError
from icefront.grid import Grid
from icefront.simulation.glacier import Glacier, GlacierParameters
from icefront.simulation.presets import random_glacier
from icefront.simulation.radar import (
    SENSORS,
    Pass,
    Sensor,
    display,
    observe,
    view_of,
)
from icefront.simulation.surfaces import Landscape, grid_of, surfaces
from icefront.zones import NO_DATA


@dataclass(frozen=True)
class SimulatedImage:
    """A simulated SAR image and what is true about it.

    Attributes
    ----------
    decibel : float32 (H, W)
        σ⁰ in dB, NaN outside of the swath.
    grey : uint8 (H, W)
        The same as the benchmarks store it, 0 outside of the swath.
    zones : uint8 (H, W)
        Class codes; no data outside of the swath.
    front : MultiLineString
        The true calving front in map coordinates, within the swath and the area. Where upland ice
        comes down to the water is not part of it (`Landscape.contact` has it).
    grid : Grid
    """

    decibel: np.ndarray
    grey: np.ndarray
    zones: np.ndarray
    front: BaseGeometry
    grid: Grid


def simulate_image(
    landscape: Landscape,
    date: dt.date,
    sensor: Sensor,
    pixel_m: float,
    seed: int,
    orbit: Pass = "ascending",
) -> SimulatedImage:
    """Simulate one acquisition.

    Parameters
    ----------
    landscape : Landscape
    date : datetime.date
    sensor : Sensor
    pixel_m : float
    seed : int
        Of view, speckle and swath; the ground follows from the glacier and the date.
    orbit : "ascending" or "descending"
    """
    rng = np.random.default_rng((landscape.glacier.seed, 8, date.toordinal(), seed))
    grid = grid_of(landscape.glacier, pixel_m)
    ground = surfaces(landscape, date, grid)
    decibel = observe(landscape, ground, sensor, view_of(sensor, orbit, rng), rng)
    seen = np.isfinite(decibel)
    zones = np.where(seen, ground.zones, NO_DATA).astype(np.uint8)
    front: BaseGeometry = landscape.glacier.calving_front(date)
    if not seen.all():
        front = _within(front, seen, grid)
    return SimulatedImage(decibel, display(decibel, rng), zones, front, grid)


def _within(front: BaseGeometry, seen: np.ndarray, grid: Grid) -> BaseGeometry:
    """Keep the parts of a line whose pixels were seen, cut at half a pixel."""
    kept = []
    for piece in shapely.get_parts(front):
        points = shapely.get_coordinates(shapely.segmentize(piece, grid.side_on_map / 2))
        columns, rows = ~grid.transform * points.T
        height, width = seen.shape
        inside = seen[rows.astype(int).clip(0, height - 1), columns.astype(int).clip(0, width - 1)]
        for run in np.split(np.arange(len(points)), np.flatnonzero(np.diff(inside)) + 1):
            if len(run) > 1 and inside[run[0]]:
                kept.append(shapely.LineString(points[run]))
    return shapely.MultiLineString(kept)


START, END = dt.date(2015, 1, 1), dt.date(2019, 1, 1)
"""Time in which glaciers drawn at random are seen."""


@lru_cache(maxsize=8)
def random_landscape(seed: int) -> Landscape:
    """Make the landscape of the glacier with this number; the next one that can be, if it cannot.

    The last eight are kept.
    """
    for attempt in range(20):
        parameters: GlacierParameters = random_glacier(np.random.default_rng((seed, 9, attempt)))
        try:
            return Landscape(Glacier(parameters, seed, START, END), cells=384)
        except IcefrontError:
            continue  # its front left its area
    raise IcefrontError(f"No glacier could be made from the seed {seed}; take another.")


def random_image(
    number: int, seed: int = 0, *, pixels: int = 512, per_glacier: int = 8
) -> SimulatedImage:
    """Simulate image `number` of an endless supply, about `pixels` along its longer side.

    Parameters
    ----------
    number, seed : int
        The same image follows from the same numbers everywhere.
    pixels : int
    per_glacier : int
        Number of images in a row that show the same glacier at different times.
    """
    landscape = random_landscape(seed * 1_000_003 + number // per_glacier)
    rng = np.random.default_rng((seed, 10, number))
    date = START + dt.timedelta(int(rng.integers((END - START).days)))
    sensor = SENSORS[str(rng.choice(list(SENSORS)))]
    pixel_m = max(max(landscape.glacier.parameters.extent_m) / pixels, sensor.pixel_m)
    orbit: Pass = "ascending" if rng.random() < 0.5 else "descending"
    return simulate_image(landscape, date, sensor, pixel_m, number, orbit)
