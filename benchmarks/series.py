"""The pass through time: cost of a long series, and what it gains on CaFFe's glaciers.

The gains need networks that never saw a glacier: see ``benchmarks/_left_out.py``.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from benchmarks._left_out import VIEWS, LeftOutGlacier, networks
from icefront.extraction.series_fronts import DatedZones, smooth_dates
from icefront.grid import Grid
from icefront.projects.probabilities import read_probabilities, write_probabilities
from icefront.series.agreement import smooth_series
from icefront.series.byte_series import ByteSeries
from icefront.series.estimation import estimate_rates, usual_power
from icefront.series.lattice import to_bytes
from icefront.series.smoothing import through_time

DATES, SIDE = 1000, 512
CORRECTED = (5, 10)
PIXEL_M = 62.5
"""Side given to pixels of the squeezed images: the least front is then 12 pixels long."""
NINETY = 1.645
"""Half the width of a 90 % interval, in standard deviations."""


def run() -> list[dict]:
    return [*_speed(), *_gains()]


def _speed() -> list[dict]:
    rng = np.random.default_rng(0)
    grid = Grid(SIDE, SIDE, CRS.from_epsg(3413), Affine(55, 0, 0, 0, -55, 0), 55.0)
    column = np.arange(SIDE)
    dates = np.datetime64("2015-01-01") + 4 * np.arange(DATES)
    note = f"{DATES} dates of {SIDE} x {SIDE} pixels, CPU time"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index in range(DATES):
            ice = 1 / (1 + np.exp((column - 300 + index / 10 + rng.normal(0, 8)) / 4))
            found = np.stack([0 * ice, 0.05 + 0 * ice, 0.95 * ice, 0.95 * (1 - ice)])
            noisy = np.repeat(found[:, None], SIDE, axis=1) + rng.uniform(0, 0.1, (4, SIDE, SIDE))
            noisy[0] = 0
            values = to_bytes(noisy / noisy.sum(axis=0))
            write_probabilities(folder / f"{index}.tif", values, grid, {})
        begin = time.process_time()
        with (
            ByteSeries(DATES, grid.shape, folder) as single,
            ByteSeries(DATES, grid.shape, folder) as smoothed,
        ):
            for index in range(DATES):
                single[index, :, slice(0, SIDE)] = read_probabilities(folder / f"{index}.tif")
            rates = estimate_rates(single, dates)
            smooth_series(single, dates, rates=rates, fill=True, out=smoothed)
            without_writing = time.process_time() - begin
            for index in range(DATES):
                path = folder / f"{index}_smoothed.tif"
                write_probabilities(path, smoothed.date(index), grid, {})
        seconds = time.process_time() - begin
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return [
        dict(name="read, rates, smooth", value=without_writing, unit="s", note=note),
        dict(name="and write all dates", value=seconds, unit="s", note=note),
        dict(name="peak memory", value=memory, unit="GB", note=note),
    ]


def _gains() -> list[dict]:
    rows: list[dict] = []
    found: dict[str, list[float]] = {}
    for path in networks():
        glacier = LeftOutGlacier(path)
        note = f"{len(glacier.dates)} images, left out of training"
        for views in (1, VIEWS):
            for what, value in _errors(glacier, views):
                what = what if views == 1 else f"{what}, over {views} views"
                found.setdefault(what, []).append(value)
                rows.append(dict(name=f"{glacier.name}, {what}", value=value, unit="px", note=note))
        for what, value in _held(glacier):
            name = f"{glacier.name}, 90 % interval holds, {what}"
            rows.append(dict(name=name, value=100 * value, unit="%", note=note))
    for what, values in found.items():
        note = f"of {len(values)} glaciers"
        rows.append(dict(name=f"mean, {what}", value=float(np.mean(values)), unit="px", note=note))
    return rows


def _errors(glacier: LeftOutGlacier, views: int) -> Iterator[tuple[str, float]]:
    """Yield the errors of single dates, through time, of the past only, and with corrections."""
    raw = glacier.over(views)
    yield "single", glacier.error(raw.argmax(axis=1))
    series, dates = glacier.with_gaps(raw), glacier.dates
    rates = estimate_rates(series, dates)
    smoothed = smooth_series(series, dates, rates=rates, fill=True)
    yield "through time", glacier.error(glacier.zones(smoothed))
    power = usual_power(len(dates), rates)
    past = through_time(series, dates, rates=rates, power=power, filtered=True, fill=True)
    yield "past only", glacier.error(glacier.zones(past))
    for count in CORRECTED:
        drawn = glacier.drawn(count)
        taught = smooth_series(series, dates, corrections=drawn, rates=rates, fill=True)
        others = sorted(set(range(len(dates))) - set(drawn))
        yield f"{count} corrected", glacier.error(glacier.zones(taught), others)


def _held(glacier: LeftOutGlacier) -> Iterator[tuple[str, float]]:
    """Yield the fractions of the true fronts within 90 % of the fronts that the program draws.

    Of all true fronts, and of those that a drawn front faces: whose nearest place on it is not an
    end. What it has left out, such as shore, is no matter of its width.
    """
    series = [to_bytes(found) for found in glacier.with_gaps(glacier.over(1))]
    height, width = glacier.gaps.shape[1:]
    grid = Grid(height, width, CRS.from_epsg(3413), Affine(PIXEL_M, 0, 0, 0, -PIXEL_M, 0), PIXEL_M)
    members = [
        DatedZones(str(index), date, grid, partial(series.__getitem__, index), glacier.name)
        for index, date in enumerate(glacier.dates)
    ]
    within, facing = [], []
    for done in smooth_dates(members):
        row = done.front.iloc[0]
        true = np.stack(grid.xy(*np.nonzero(glacier.dataset.front(done.index))), axis=1)
        parts = shapely.get_parts(row.geometry)
        if row.geometry.is_empty or not len(true):
            continue
        points = shapely.points(true)
        nearest = np.array([shapely.distance(points, part) for part in parts])
        along = np.array([shapely.line_locate_point(part, points) for part in parts])
        lengths = shapely.length(parts)[:, None]
        inner = (along > PIXEL_M) & (along < lengths - PIXEL_M)
        chosen = nearest.argmin(axis=0)[None]
        within.append(nearest.min(axis=0) <= NINETY * row.uncertainty_m)
        facing.append(np.take_along_axis(inner, chosen, axis=0)[0])
    held, faced = np.concatenate(within), np.concatenate(facing)
    yield "all true fronts", float(held.mean())
    yield "where a front faces them", float(held[faced].mean())
