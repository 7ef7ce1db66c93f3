"""Fronts and times of several layouts of windows, against those of ``--exact``.

``--exact`` runs the network itself, the layouts run what the commands run (`FoldedNetwork`).

Scenes are simulated glaciers in winter and summer on grids of 2000 × 2000 pixels, which the
packaged model takes as they are, and a real scene on finer pixels than the model's, so that it
goes by windows (``ICEFRONT_SCENE`` names its file). ``ICEFRONT_GLACIERS`` names other presets,
``ICEFRONT_PIXELS`` another side. Times are those of the processor, on one thread, so that other
programs disturb them little. Memory of an ensemble is measured in processes of its own.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import torch

from icefront import open_scene
from icefront.fronts.distances import mean_distance
from icefront.fronts.lines import extract_front
from icefront.inference import Layout, blend_windows, default_layout, exact_layout, predict_ensemble
from icefront.inference.network import FoldedNetwork, prepared
from icefront.models.registry import build, load_model
from icefront.scenes.scene import Scene
from icefront.simulation.glacier import Glacier
from icefront.simulation.presets import preset
from icefront.simulation.radar import sensor_named
from icefront.simulation.samples import simulate_image
from icefront.simulation.surfaces import Landscape

SIDE = 2000
PIXEL_M = 10.0
FINE_M = 20.0
"""Pixels of the real scene, so that it is several windows wide."""


def simulated_scenes(names: list[str], side: int) -> list[tuple[str, Scene]]:
    """Simulate a summer and a winter scene of each glacier in its middle year."""
    scenes = []
    for name in names:
        known = preset(name)
        extent = side * PIXEL_M
        parameters = replace(known.glacier, extent_m=(extent, extent))
        landscape = Landscape(Glacier(parameters, 0, known.first, known.last))
        year = (known.first.year + known.last.year) // 2
        for month in (1, 7):
            date = dt.date(year, month, 15)
            image = simulate_image(landscape, date, sensor_named("S1"), PIXEL_M, month)
            grey = image.grey.astype(np.float32) / 255
            grey[image.grey == 0] = np.nan
            scene = Scene(grey, image.grid.transform, pixel_size_m=PIXEL_M)
            scenes.append((f"{name} {date:%Y-%m}", scene))
    return scenes


class Counted:
    """A network that counts the windows it sees."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.network = network
        self.windows = 0

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        self.windows += len(windows)
        return self.network(windows)


class CountedFolded(Counted):
    """The same for a network that decodes the centre of a window alone."""

    network: FoldedNetwork

    def centre(self, windows: torch.Tensor, margin: int) -> torch.Tensor:
        self.windows += len(windows)
        return self.network.centre(windows, margin)


def layouts_of(model: torch.nn.Module) -> list[tuple[str, Layout]]:
    exact, usual = exact_layout(model.card), default_layout(model.card)
    window, target, stride = exact.window, exact.target, exact.stride
    layouts = [
        ("double step", replace(exact, stride=2 * stride)),
        ("3/4 of the window, step 3/4", Layout(window, 3 * window // 4, 3 * window // 4)),
        ("every third, all at fronts", replace(exact, coarse=3)),
        ("every fourth, all at fronts", replace(exact, coarse=4)),
    ]
    assert target <= 3 * window // 4
    return [(f"{n}{' (default)' if one == usual else ''}", one) for n, one in layouts]


def layout_rows() -> list[dict]:
    torch.set_num_threads(1)
    model = load_model().eval()
    itself, quick = Counted(model), CountedFolded(FoldedNetwork(model))
    names = os.environ.get("ICEFRONT_GLACIERS", "Helheim COL Crane").split()
    scenes = simulated_scenes(names, int(os.environ.get("ICEFRONT_PIXELS", SIDE)))
    if "ICEFRONT_SCENE" in os.environ:
        real = open_scene(os.environ["ICEFRONT_SCENE"], pixel_size_m=FINE_M)
        scenes.append((f"{real.name} at {FINE_M:g} m", real))
    rows = []
    for name, scene in scenes:
        image = prepared(scene, model.card)
        found = []
        for said, layout in [("exact", exact_layout(model.card)), *layouts_of(model)]:
            network = quick if found else itself
            network.windows = 0
            begun = time.process_time()
            zones = blend_windows(
                image,
                network,
                window=layout.window,
                target=layout.target,
                stride=layout.stride,
                coarse=layout.coarse,
            )
            taken = time.process_time() - begun
            front = extract_front(zones, scene).geometry.iloc[0]
            if not found:
                exact = zones.argmax(0), front, taken
            found.append((said, network.windows, taken))
            away = mean_distance(front, exact[1], scene.pixel_size_m / 2)
            differ = 100 * np.mean(zones.argmax(0) != exact[0])
            rows.append(
                dict(
                    name=f"{name}: {said}",
                    value=away,
                    unit="m",
                    note=f"mean distance to the exact front ({exact[1].length / 1e3:.1f} km); "
                    f"{network.windows} windows, {taken:.1f} s, {taken / exact[2]:.3f} of exact; "
                    f"{differ:.3f} % of zones differ",
                )
            )
            print(rows[-1]["name"], f"{away:.2f} m;", rows[-1]["note"], file=sys.stderr, flush=True)
    return rows


def ensemble_memory(member: str, members: int, symmetries: int, side: int) -> None:
    """Predict by an ensemble and print its peak memory; run in a process of its own.

    Only a corner of the scene holds data: the sums are of the whole scene all the same, and the
    windows without data, which are predicted once, cost no time.
    """
    models = [load_model() if member == "tyrion-mini" else build(member) for _ in range(members)]
    image = np.full((side, side), np.nan, np.float32)
    image[:150, :150] = np.random.default_rng(0).random((150, 150), np.float32)
    found = predict_ensemble(models, Scene(image), symmetries=symmetries, progress=False)
    assert abs(float(found.mean[:, ::97, ::97].sum(0).mean()) - 1) < 1e-4
    assert found.views == members * symmetries
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kilobytes, macOS bytes.
    print(json.dumps({"bytes": peak * (1 if sys.platform == "darwin" else 1024)}))


def memory_rows() -> list[dict]:
    rows = []
    for member, symmetries in (("tyrion-mini", 8), ("tyrion", 8)):
        call = f"({member!r}, 5, {symmetries}, 2000)"
        code = f"from benchmarks.prediction import ensemble_memory as f; f{call}"
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )
        rows.append(
            dict(
                name=f"ensemble of 5 {member} × {symmetries}, peak memory",
                value=json.loads(done.stdout)["bytes"] / 1e9,
                unit="GB",
                note="2000 × 2000 pixels; the bar is 3 GB",
            )
        )
    return rows


def run() -> list[dict]:
    return [*layout_rows(), *memory_rows()]
