"""Whole scenes by the published way of predicting, and by ours, with the same weights.

The published way, written here from its description: windows of 512 at every 128 pixels, each
through the network by itself and kept, then blended and cleaned one after the other. Ours is what
all commands do by default and with ``--exact``, front included. The network is the full Tyrion with
random weights, whose work is that of any others; its answers are replaced by zones from the grey
values, so that the default finds a front to follow. The scene is a front between two rock walls.

1200 × 1200 pixels are predicted whole in all three ways. For 3000 × 3000 the seconds of a window of
those runs are multiplied by the windows that a network which costs nothing counts, and what is done
beside the network is measured as it is. Seconds are those of the processor, on one thread. What the
default changes is measured with the packaged member on simulated scenes of 1200 × 1200 pixels
(``ICEFRONT_GLACIERS`` names presets), as it is the one with weights.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from benchmarks.fronts import procedural_zones
from benchmarks.prediction import simulated_scenes
from icefront.fronts.lines import extract_front
from icefront.inference.network import FoldedNetwork
from icefront.inference.predict import predict
from icefront.inference.settings import PredictionSettings
from icefront.models.card import ModelCard
from icefront.models.registry import build, load_model
from icefront.scenes.scene import Scene
from icefront.zones import GLACIER, N_ZONES, OCEAN

WINDOW, TARGET, STRIDE = 512, 256, 128
MARGIN = (WINDOW - TARGET) // 2
SIGMA = 32
GREYS = (0.0, 0.2, 0.8, 0.45)
PIXEL_M = 10.0
SMALL, LARGE = 1200, 3000


def grey_logits(x: Tensor) -> Tensor:
    """Zones by grey value."""
    return torch.cat([-50 * (x - grey).abs() for grey in GREYS], 1)


class Answering(nn.Module):
    """The work of a network, timed and counted, and the answers of `grey_logits`."""

    def __init__(self, card: ModelCard, work: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.card, self.work = card, work
        self.windows, self.seconds = 0, 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.windows += len(x)
        begun = time.process_time()
        if self.work is not None:
            self.work(x)
        found = grey_logits(x)
        self.seconds += time.process_time() - begun
        return found


def scene_of(side: int) -> Scene:
    zones = procedural_zones(0, side)
    noise = np.random.default_rng(0).normal(0, 0.02, zones.shape)
    grey = np.clip(np.array(GREYS)[zones] + noise, 1 / 255, 1).astype(np.float32)
    grey[zones == 0] = np.nan
    return Scene(grey, pixel_size_m=PIXEL_M)


def published(image: np.ndarray, network: Callable[[Tensor], Tensor]) -> np.ndarray:
    """Predict and clean zones the published way, uint8 (H, W)."""
    height, width = image.shape
    padded = np.pad(np.nan_to_num(image), MARGIN, mode="symmetric")
    below, right = (STRIDE - n % STRIDE for n in (height, width))
    padded = np.pad(padded, ((0, below), (0, right)), mode="symmetric")
    rows = range(0, padded.shape[0] - WINDOW + 1, STRIDE)
    columns = range(0, padded.shape[1] - WINDOW + 1, STRIDE)
    windows = [
        padded[r : r + WINDOW, c : c + WINDOW].astype(np.float32) for r in rows for c in columns
    ]
    kept = []
    for window in windows:
        with torch.inference_mode():
            logits = network(torch.from_numpy(window)[None, None])
            kept.append(torch.softmax(logits, 1)[0].numpy())
    offsets = np.arange(TARGET) - TARGET // 2
    bell = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * SIGMA**2))
    total = np.zeros((N_ZONES, *padded.shape))
    weight = np.zeros(padded.shape)
    places = [(r, c) for r in rows for c in columns]
    for (r, c), probabilities in zip(places, kept, strict=True):
        inside = np.s_[r + MARGIN : r + MARGIN + TARGET, c + MARGIN : c + MARGIN + TARGET]
        centre = probabilities[:, MARGIN : MARGIN + TARGET, MARGIN : MARGIN + TARGET]
        for zone in range(N_ZONES):
            total[zone][inside] += centre[zone] * bell
        weight[inside] += bell
    inside = np.s_[MARGIN : MARGIN + height, MARGIN : MARGIN + width]
    zones = (total[:, *inside] / weight[inside]).argmax(0).astype(np.uint8)
    return cleaned(zones)


def cleaned(zones: np.ndarray) -> np.ndarray:
    """Fill the ocean's holes and keep the largest ocean, one component after the other."""
    everywhere = np.ones((3, 3))
    for value, instead in ((False, OCEAN), (True, GLACIER)):
        labels, count = ndimage.label((zones == OCEAN) == value, everywhere)
        sizes = [np.count_nonzero(labels == number) for number in range(1, count + 1)]
        for number in range(1, count + 1):
            if number != 1 + int(np.argmax(sizes)):
                zones[labels == number] = instead
    return zones


def ours(network: nn.Module, scene: Scene, settings: PredictionSettings) -> np.ndarray:
    """Predict as all commands do, and draw the front."""
    predicted = predict([network], scene, settings)
    zones, probabilities, on = predicted.for_front(bare=settings.exact)
    extract_front(probabilities, on)
    return zones


def published_way(network: nn.Module, scene: Scene, settings: PredictionSettings) -> np.ndarray:
    """The same by the published way; `settings` are its own."""
    return published(scene.image, network)


WAYS: dict[str, tuple[Callable[..., np.ndarray], PredictionSettings]] = {
    "published": (published_way, PredictionSettings()),
    "exact": (ours, PredictionSettings(windows="card", precision="float32")),
    "default": (ours, PredictionSettings()),
}


def speed_rows() -> list[dict]:
    tyrion = build("tyrion").eval()
    works = {"published": tyrion, "exact": tyrion, "default": FoldedNetwork(tyrion)}
    rows, window_s = [], {}
    for side in (SMALL, LARGE):
        scene, total = scene_of(side), {}
        for way, (run_it, settings) in WAYS.items():
            network = Answering(tyrion.card, works[way] if side == SMALL else None)
            begun = time.process_time()
            run_it(network, scene, settings)
            taken = time.process_time() - begun
            beside = taken - network.seconds
            if side == SMALL:
                window_s[way] = network.seconds / network.windows
            total[way] = beside + network.windows * window_s[way]
            how = "measured whole" if side == SMALL else "reckoned from the windows of the smaller"
            rows.append(
                dict(
                    name=f"{side} x {side}, {way}",
                    value=total[way],
                    unit="s",
                    note=f"{how}: {network.windows} windows of {window_s[way]:.2f} s and "
                    f"{beside:.1f} s beside; the published way takes "
                    f"{total['published'] / total[way]:.2f} times as long",
                )
            )
            print(rows[-1]["name"], rows[-1]["note"], file=sys.stderr, flush=True)
    return rows


def zone_rows() -> list[dict]:
    model = load_model().eval()
    names = os.environ.get("ICEFRONT_GLACIERS", "Helheim").split()
    rows = []
    for name, scene in simulated_scenes(names, SMALL):
        zones, seconds = {}, {}
        for way in ("exact", "default"):
            begun = time.process_time()
            found = predict([model], scene, WAYS[way][1], resample=False)
            seconds[way] = time.process_time() - begun
            zones[way] = found.probabilities.argmax(0)
        differ = 100 * np.mean(zones["exact"] != zones["default"])
        rows.append(
            dict(
                name=f"{name}, packaged member: zones of the default that differ",
                value=differ,
                unit="%",
                note=f"{seconds['exact'] / seconds['default']:.1f} times as fast as exact; "
                "the bar is 1 %",
            )
        )
    return rows


def run() -> list[dict]:
    torch.set_num_threads(1)
    return [*speed_rows(), *zone_rows()]
