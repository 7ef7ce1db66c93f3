"""The pass through time: cost of a long series, and what it gains on CaFFe's glaciers.

For the gains, name a folder with a network for each glacier that never saw it, ``SI.safetensors``
and so on with their cards, in ``ICEFRONT_LEFT_OUT``; the images are those of ``caffe256`` in
``ICEFRONT_DATA`` (default ``../shared/data``).
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS

from icefront.datasets.caffe import CaffeDataset
from icefront.evaluation import pool_mde
from icefront.evaluation.protocol import protocol_front
from icefront.fronts import distance_errors
from icefront.grid import Grid
from icefront.inference.predict import predict_zones
from icefront.models.registry import load_model
from icefront.projects.probabilities import read_probabilities, write_probabilities
from icefront.series.agreement import smooth_series
from icefront.series.byte_series import ByteSeries
from icefront.series.estimation import estimate_rates, usual_power
from icefront.series.lattice import to_bytes
from icefront.series.smoothing import through_time
from icefront.zones import NO_DATA, ROCK

DATES, SIDE = 1000, 512
MIN_LENGTH_PX = 12
CORRECTED = (5, 10)


def run() -> list[dict]:
    folder = os.environ.get("ICEFRONT_LEFT_OUT")
    return [*_speed(), *(_gains(Path(folder)) if folder else [])]


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


def _gains(folder: Path) -> list[dict]:
    data = Path(os.environ.get("ICEFRONT_DATA", "../shared/data")) / "caffe256"
    rows = []
    for path in sorted(folder.glob("*.safetensors")):
        glacier = path.stem
        dataset = CaffeDataset(data, glaciers=[glacier], pixel_size_m=None)
        network = load_model(path)
        series = np.stack(
            [
                predict_zones(network, dataset.scene(i), exact=True, progress=False)
                for i in range(len(dataset))
            ]
        )
        dates = [sample.date for sample in dataset.samples]
        by_date = np.argsort(np.array(dates, "M8[D]"), kind="stable")
        # Gaps are where the image has no data, or is masked; elsewhere other dates fill in.
        gaps = np.stack(
            [
                ~dataset.scene(i).valid
                | ((dataset.image(i) == 0) & (series[i].argmax(axis=0) == NO_DATA))
                for i in range(len(dataset))
            ]
        )
        single = series.argmax(axis=1)
        series[:, NO_DATA] = np.where(gaps, 1, np.minimum(series[:, NO_DATA], 0.996))
        rest = series[:, ROCK:].sum(axis=1)
        series[:, ROCK:] *= ((1 - series[:, NO_DATA]) / np.maximum(rest, 1e-9))[:, None]
        rates = estimate_rates(series, dates)
        every = range(len(dataset))
        note = f"{len(dataset)} images, left out of training"

        def add(
            what: str,
            zones: np.ndarray,
            scored,
            dataset=dataset,
            glacier=glacier,
            rows=rows,
            note=note,
        ) -> None:
            value = _error(zones, dataset, scored)
            rows.append(dict(name=f"{glacier}, {what}", value=value, unit="px", note=note))

        def together(gaps=gaps, series=series, dates=dates, rates=rates, **more) -> np.ndarray:
            found = smooth_series(series, dates, rates=rates, fill=True, **more)
            return np.where(gaps, NO_DATA, likeliest_of(found))

        add("single", single, every)
        add("through time", together(), every)
        power = usual_power(len(dates), rates)
        past = through_time(series, dates, rates=rates, power=power, filtered=True, fill=True)
        add("past only", np.where(gaps, NO_DATA, likeliest_of(past)), every)
        for count in CORRECTED:
            chosen = by_date[np.linspace(0, len(dataset) - 1, count + 2).astype(int)[1:-1]]
            drawn = {int(i): dataset.zones(int(i)) for i in chosen}
            add(f"{count} corrected", together(corrections=drawn), sorted(set(every) - set(drawn)))
    return rows


def likeliest_of(found: np.ndarray) -> np.ndarray:
    return found[:, ROCK:].argmax(axis=1) + ROCK


def _error(zones: np.ndarray, dataset: CaffeDataset, scored) -> float:
    """Return the mean distance error in pixels of 256, pooled over images."""
    errors = []
    for i in scored:
        front = protocol_front(zones[i].astype(np.uint8), 1.0, None, MIN_LENGTH_PX)
        errors.append(distance_errors(front, dataset.front(i), 1.0))
    return float(pool_mde(errors).mde)
