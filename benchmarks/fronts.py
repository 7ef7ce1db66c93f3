"""Cleaning, front pixels, distances and lines on a scene of 3000 x 3000 pixels."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from icefront.fronts import clean_zones, distance_errors, extract_front, front_pixels
from icefront.scenes.scene import Scene
from icefront.zones import GLACIER, NO_DATA, OCEAN, ROCK

SIDE = 3000


def procedural_zones(seed: int, side: int = SIDE) -> np.ndarray:
    """A wavy front between two rock walls, bergs in the ocean, lakes on the ice, a no-data edge."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:side, :side].astype(np.float32)
    rough = ndimage.zoom(rng.normal(size=(side // 50 + 1,) * 2).astype(np.float32), 51, order=1)
    rough = rough[:side, :side]
    front = side / 2 + 0.06 * side * np.sin(row / side * 9) + 12 * rough
    zones = np.where(column < front, GLACIER, OCEAN).astype(np.uint8)
    zones[(rough > 2.2) & (zones == OCEAN)] = GLACIER
    zones[(rough < -2.6) & (zones == GLACIER)] = OCEAN
    zones[(row < 0.15 * side + 20 * rough) | (row > 0.85 * side + 20 * rough)] = ROCK
    zones[:, -side // 20 :] = NO_DATA
    return zones


def seconds(job: Callable[[], object], repeats: int = 5) -> float:
    """Median time of a job."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        job()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def run() -> list[dict]:
    predicted, true = procedural_zones(0), procedural_zones(1)
    fronts = front_pixels(predicted, 10.0), front_pixels(true, 10.0)
    n = sum(int(f.sum()) for f in fronts)
    rng = np.random.default_rng(2)
    noisy = np.where(rng.random(predicted.shape) < 0.3, rng.integers(0, 4, predicted.shape), true)
    noisy = noisy.astype(np.uint8)
    note = f"{SIDE} x {SIDE} pixels"
    cleaning = seconds(lambda: clean_zones(predicted))
    pixels = seconds(lambda: front_pixels(predicted, 10.0))
    distances = seconds(lambda: distance_errors(*fronts, 10.0))
    codes = np.arange(4, dtype=np.uint8)
    soft = np.stack([ndimage.uniform_filter((true == k).astype(np.float32), 5) for k in codes])
    scene = Scene(image=np.zeros(true.shape, np.float32), pixel_size_m=10.0)
    lines = seconds(lambda: extract_front(soft, scene), 3)
    return [
        dict(name="clean_zones", value=cleaning, unit="s", note=note),
        dict(name="front_pixels (cleans)", value=pixels, unit="s", note=note),
        dict(name="distance_errors", value=distances, unit="s", note=f"{n} front pixels"),
        dict(
            name="front_pixels + distance_errors",
            value=pixels + distances,
            unit="s",
            note="one image of an evaluation; the bar is 1 s",
        ),
        dict(
            name="front_pixels of noise",
            value=seconds(lambda: front_pixels(noisy, 10.0), 3),
            unit="s",
            note="30 % of the pixels of a random class: the worst case",
        ),
        dict(name="extract_front", value=lines, unit="s", note=note),
    ]
