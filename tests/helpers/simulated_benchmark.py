"""A test split in CaFFe's layout with all 122 names, and predictions that are more or less off."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from icefront.zones import ZONE_GREYS
from tests.helpers.paths import REFERENCE

GREYS = np.array(ZONE_GREYS, np.uint8)
NAMES = [
    name
    for name in (REFERENCE / "caffe_names.txt").read_text().split()
    if re.match(r"(Mapple|COL)_", name)
]


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, compress_level=1)


def zones_with_front_at(
    rng: np.random.Generator, shape: tuple[int, int], at: np.ndarray
) -> np.ndarray:
    """Glacier left of a front, ocean right of it, bergs, lakes, rock above, a swath edge."""
    height, width = shape
    column = np.arange(width)
    zones = np.where(column[None, :] > at[:, None], 3, 2).astype(np.uint8)
    for _ in range(12):
        r, c, half = rng.integers(5, height - 5), rng.integers(5, width - 5), rng.integers(1, 5)
        here = np.s_[r - half : r + half, c - half : c + half]
        zones[here] = 5 - zones[here]
    zones[: height // 9] = 1
    zones[-height // 12 :, : width // 3] = 0
    return zones


def make_split(root: Path, names: list[str], seed: int = 0) -> tuple[Path, Path]:
    """Write the test split and a folder of predictions; every 17th has no ocean in it.

    Images are 300 to 600 pixels wide and 150 to 220 high, so that a straightforward computation
    of everything takes seconds.
    """
    data, predictions = root / "caffe", root / "someone"
    (data / "bounding_boxes").mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        rng = np.random.default_rng((seed, number))
        shape = int(rng.integers(150, 220)), int(rng.integers(300, 601))
        wobble = ndimage.gaussian_filter1d(rng.normal(0, 60, shape[0]), 6, mode="nearest")
        at = shape[1] * rng.uniform(0.3, 0.7) + wobble
        off = ndimage.gaussian_filter1d(rng.normal(0, 40, shape[0]), 9) + rng.normal(0, 6)
        true = zones_with_front_at(rng, shape, at)
        predicted = zones_with_front_at(rng, shape, at + off)
        predicted[rng.random(shape) < 0.01] = 1
        if number % 17 == 5:
            predicted[predicted == 3] = 2
        front = (true == 3) & np.roll(true == 2, 1, axis=1)
        front[:, :1] = False
        save(data / f"sar_images/test/{name}.png", (GREYS[true] // 2).astype(np.uint8))
        save(data / f"zones/test/{name}_zones.png", GREYS[true])
        save(data / f"fronts/test/{name}_front.png", front.astype(np.uint8) * 255)
        save(predictions / f"{name}.png", GREYS[predicted])
        top, bottom = 4.4, shape[0] + 7
        left, right = -3.2, shape[1] * 0.8
        corners = [(left, bottom), (left, top), (right, top), (right, bottom)]
        text = "Bounding box\n" + "".join(f"{x},{y}\n" for x, y in corners)
        (data / f"bounding_boxes/{name}_bounding_box.txt").write_text(text)
    return data, predictions
