"""Simulated scenes beside real ones in numbers, all 256×256 with zones.

The real ones are those of CaFFe, found through ICEFRONT_DATA; without them there is no table.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.stats import wasserstein_distance

from icefront.datasets.caffe import CaffeDataset
from icefront.fronts import clean_zones, front_pixels
from icefront.simulation.torch_dataset import SimulatedScenes
from icefront.zones import N_ZONES, ZONE_NAMES

DATA = Path(os.environ.get("ICEFRONT_DATA", Path(__file__).parents[2] / "shared" / "data"))
CAFFE = DATA / "caffe256"
COUNT = 200

Pair = tuple[np.ndarray, np.ndarray]


def looks(image: np.ndarray, mask: np.ndarray, side: int = 7) -> list[float]:
    """Equivalent number of looks in the flattest tenth of the windows that lie in a mask."""
    inside = ndimage.minimum_filter(mask, side)[::side, ::side]
    power = image.astype(float) ** 2  # the images show amplitude
    mean = ndimage.uniform_filter(power, side)[::side, ::side]
    spread = ndimage.uniform_filter(power**2, side)[::side, ::side] - mean**2
    values = (mean**2 / np.maximum(spread, 1e-9))[inside & (mean > 25)]
    return [float(np.quantile(values, 0.9))] if values.size > 20 else []


def correlation_length(image: np.ndarray, mask: np.ndarray, reach: int = 12) -> list[float]:
    """Distance in pixels at which neighbours along a row share 1/e of their variance."""
    if mask.sum() < 2000:
        return []
    smooth = ndimage.gaussian_filter(image.astype(float), 15)
    rest = np.where(mask, image - smooth, 0)
    base = (rest[mask] ** 2).mean()
    shares = [1.0]
    for lag in range(1, reach):
        both = mask[:, lag:] & mask[:, :-lag]
        shares.append(float((rest[:, lag:] * rest[:, :-lag])[both].mean() / base))
    below = next((i for i, share in enumerate(shares) if share < np.exp(-1)), None)
    if below is None:
        return [float(reach)]
    before, after = shares[below - 1], shares[below]
    return [below - 1 + (before - np.exp(-1)) / (before - after)]


def statistics(pairs: Iterable[Pair]) -> dict[str, np.ndarray]:
    """Gather the numbers of a set of images."""
    histograms = np.zeros((N_ZONES, 256))
    found: dict[str, list[float]] = {}
    for image, zones in pairs:
        for zone in range(N_ZONES):
            mask = zones == zone
            found.setdefault(f"share {zone}", []).append(float(mask.mean()))
            histograms[zone] += np.bincount(image[mask], minlength=256)
            if zone:
                found.setdefault(f"looks {zone}", []).extend(looks(image, mask))
                found.setdefault(f"length {zone}", []).extend(correlation_length(image, mask))
        front = front_pixels(clean_zones(zones), 1.0, 12)
        labels, count = ndimage.label(front, np.ones((3, 3)))
        found.setdefault("front", []).append(float(front.sum()))
        for piece in ndimage.find_objects(labels)[: count or None]:
            height, width = (s.stop - s.start for s in piece)
            if max(height, width) >= 30:
                length = float((labels[piece] > 0).sum())
                found.setdefault("winding", []).append(length / float(np.hypot(height, width)))
    return {"histograms": histograms, **{k: np.array(v) for k, v in found.items()}}


def run() -> list[dict]:
    if not CAFFE.is_dir():
        return []
    caffe = CaffeDataset(CAFFE, pixel_size_m=None)
    step = max(1, len(caffe) // COUNT)
    real = statistics((caffe.image(i), caffe.zones(i)) for i in range(0, len(caffe), step))
    stream = SimulatedScenes(COUNT, window=256)
    made = statistics(stream.arrays(i) for i in range(COUNT))
    wanted = [(f"share of {ZONE_NAMES[zone]}", f"share {zone}", "") for zone in range(N_ZONES)]
    for zone in range(1, N_ZONES):
        wanted.append((f"looks in flat {ZONE_NAMES[zone]}", f"looks {zone}", ""))
        wanted.append((f"correlation length of {ZONE_NAMES[zone]}", f"length {zone}", "px"))
    wanted.append(("length of the front", "front", "px"))
    wanted.append(("length of a piece of front over its diagonal", "winding", ""))
    rows = []
    for name, key, unit in wanted:
        spread, mean, deviation = np.std(made[key]), np.mean(real[key]), np.std(real[key])
        note = f"± {spread:.3g}; real {mean:.3g} ± {deviation:.3g}"
        rows.append(dict(name=name, value=float(np.mean(made[key])), unit=unit, note=note))
    levels = np.arange(256)
    for zone in range(1, N_ZONES):
        weights = [s["histograms"][zone] / s["histograms"][zone].sum() for s in (made, real)]
        rows.append(
            dict(
                name=f"distance of the histograms of {ZONE_NAMES[zone]}",
                value=wasserstein_distance(levels, levels, *weights),
                unit="grey",
                note="means {:.0f}; real {:.0f}".format(*(float(w @ levels) for w in weights)),
            )
        )
    return rows
