"""One image by the CaFFe protocol, 3000 x 3000 pixels, beside a loop over components.

Times are of the processor (one thread), so that other work on the machine does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy import ndimage
from scipy.spatial.distance import cdist

from benchmarks.fronts import SIDE, procedural_zones
from icefront.evaluation.protocol import ProtocolScore, score_image
from icefront.zones import GLACIER, OCEAN

EIGHT = np.ones((3, 3), int)
PIXEL_M = 10.0
MIN_PX = 750 / PIXEL_M


def with_components(zones: np.ndarray, count: int) -> np.ndarray:
    """The zones with so many patches of glacier in the ocean and of ocean in the glacier."""
    result = zones.copy()
    rng = np.random.default_rng(5)
    places = [(r, c) for r in range(500, 2450, 24) for c in range(100, 2800, 24)]
    made = 0
    for k in rng.permutation(len(places)):
        r, c = places[k]
        around = zones[r - 3 : r + 11, c - 3 : c + 11]
        inside = around[0, 0]
        if inside in (GLACIER, OCEAN) and (around == inside).all():
            result[r : r + 8, c : c + 8] = OCEAN if inside == GLACIER else GLACIER
            made += 1
            if made == count:
                return result
    raise ValueError(f"only {made} patches fit")


def straightforward(zones: np.ndarray, true_zones: np.ndarray, true: np.ndarray) -> tuple:
    """The same numbers by a loop over components and all pairs of front pixels."""
    zones, before = zones.copy(), zones
    for inside, other in ((False, OCEAN), (True, GLACIER)):
        labels, count = ndimage.label((zones == OCEAN) == inside, EIGHT)
        areas = [int((labels == k).sum()) for k in range(1, count + 1)]
        for k in range(1, count + 1):
            if k != 1 + int(np.argmax(areas)):
                zones[labels == k] = other
    glacier, ocean = zones == GLACIER, zones == OCEAN
    front = ocean & ndimage.binary_dilation(glacier)
    labels, count = ndimage.label(front, EIGHT)
    for k in range(1, count + 1):
        piece = labels == k
        if piece.sum() <= MIN_PX:
            front[piece] = False
    pairs = cdist(np.argwhere(front) * PIXEL_M, np.argwhere(true) * PIXEL_M)
    errors = np.concatenate([pairs.min(axis=1), pairs.min(axis=0)])
    scores = []
    for k in range(4):
        a, b = before == k, true_zones == k
        scores.append((a & b).sum() / max((a | b).sum(), 1))
    return front, errors, np.array(scores)


def processor_seconds(job: Callable[[], object], repeats: int) -> float:
    """Median processor time of a job."""
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        job()
        times.append(time.process_time() - begun)
    return float(np.median(times))


def run() -> list[dict]:
    true_zones = procedural_zones(1)
    base = procedural_zones(0)
    true = score_image(true_zones, true_zones, None, PIXEL_M).predicted
    rows, ours = [], {}
    for count in (0, 1_000, 8_000):
        zones = with_components(base, count) if count else base

        def job(zones: np.ndarray = zones) -> ProtocolScore:
            return score_image(zones, true_zones, true, PIXEL_M)

        ours[count] = processor_seconds(job, 5)
        rows.append(
            dict(
                name=f"cleaning, front and scores, {count} patches",
                value=ours[count],
                unit="s",
                note=f"{SIDE} x {SIDE} pixels, 1 thread; the bar is 0.5 s",
            )
        )
    zones = with_components(base, 1_000)
    begun = time.process_time()
    front, errors, scores = straightforward(zones, true_zones, true)
    plain = time.process_time() - begun
    found = score_image(zones, true_zones, true, PIXEL_M)
    assert (front == found.predicted).all()
    np.testing.assert_allclose(errors, found.errors)
    np.testing.assert_allclose(scores, found.zones.iou)
    rows += [
        dict(
            name="loop over components and pairs, 1000 patches",
            value=plain,
            unit="s",
            note=f"{len(errors)} distances; the same numbers",
        ),
        dict(
            name="times as fast",
            value=plain / ours[1_000],
            unit="",
            note="the bar is 50",
        ),
    ]
    return rows
