"""Error against time of whole-scene prediction: windows, kept centre, stride, precision.

The error is measured with the packaged member on simulated scenes of CaFFe's two test glaciers,
the time with the full Tyrion at the same ratios of stride and centre to the window. Scenes have
40 m pixels, so that they are two to three windows of the small member wide, as the test images
are for the large one at 17 to 20 m. ``ICEFRONT_SCENES`` limits their number (122 by default),
``ICEFRONT_CURVE`` names a file for the figure.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from icefront.evaluation import pool_mde
from icefront.evaluation.protocol import Box, score_image
from icefront.inference import Layout, default_layout, exact_layout, predict_ensemble, predict_zones
from icefront.inference.precision import choose_device, has_fast_bf16
from icefront.inference.windows import axes_of_windows
from icefront.models.registry import MODELS, build, load_model
from icefront.scenes.scene import Scene
from icefront.simulation.archives import front_mask, landscape_of, seed_of, tasks_of
from icefront.simulation.presets import caffe_presets
from icefront.simulation.radar import sensor_named
from icefront.simulation.samples import MadeImage, make_image

PIXEL_M = 40.0
LARGE = (3000, 3000)
"""Scene whose windows are counted, in pixels of the large member."""

# Kept centre and longest step in 32nds of the window; evenly spread.
VARIANTS = ((16, 8), (16, 16), (20, 16), (24, 16), (24, 20), (24, 24), (28, 24), (28, 28), (32, 24),
            (32, 28))  # fmt: skip


def layout_of(window: int, target: int, stride: int) -> Layout:
    return Layout(window, window * target // 32, window * stride // 32, even=True)


def windows_of(layout: Layout, shape: tuple[int, int] = LARGE) -> int:
    rows, columns = axes_of_windows(shape, layout)
    return len(rows.starts) * len(columns.starts)


def test_scenes(count: int) -> list[MadeImage]:
    """Simulated images of the test glaciers on the dates of a made CaFFe, spread over them."""
    presets = {k: v for k, v in caffe_presets().items() if v.split == "test"}
    tasks = tasks_of(presets, 0, 1.0)
    chosen = [tasks[i] for i in np.linspace(0, len(tasks) - 1, min(count, len(tasks))).astype(int)]
    return [
        make_image(
            landscape_of(t.glacier, 0),
            t.date,
            sensor_named(t.acquisitions.sensor),
            PIXEL_M,
            seed_of(0, t.name),
            t.orbit,
        )
        for t in chosen
    ]


def window_seconds(exact: bool, repeats: int = 3) -> float:
    """Time of one window of the full Tyrion as it runs within a scene."""
    network = build("tyrion")
    side = MODELS["tyrion"].target // 2
    image = np.random.default_rng(0).random((side, side), np.float32)
    layout = Layout(512, 256, 256, even=True)  # one window
    times = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        predict_zones(network, Scene(image), layout=layout, exact=exact, progress=False)
        times.append(time.perf_counter() - begun)
    return float(np.median(times[1:]))


def box_of(front: np.ndarray) -> Box | None:
    """The box that a made CaFFe has: 1.5 km around the front."""
    rows, columns = np.nonzero(front)
    if not rows.size:
        return None
    margin = round(1_500 / PIXEL_M)
    height, width = front.shape
    return (
        max(int(rows.min()) - margin, 0),
        min(int(rows.max()) + margin, height - 1),
        max(int(columns.min()) - margin, 0),
        min(int(columns.max()) + margin, width - 1),
    )


def errors_of(
    model: torch.nn.Module, images: list[MadeImage], layout: Layout
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Distances and zones of each scene."""
    errors, zones = [], []
    for image in images:
        scene = Scene(image.grey.astype(np.float32) / 255, pixel_size_m=PIXEL_M)
        found = predict_zones(model, scene, layout=layout, exact=True, progress=False).argmax(0)
        front = front_mask(image)
        score = score_image(found.astype(np.uint8), image.zones, front, PIXEL_M, box_of(front))
        errors.append(score.errors)
        zones.append(found)
    return errors, zones


def curve_rows() -> list[dict]:
    count = int(os.environ.get("ICEFRONT_SCENES", "122"))
    images, model = test_scenes(count), load_model()
    device = choose_device("auto")
    exact_time = window_seconds(exact=True)
    fast_time = window_seconds(exact=False) if has_fast_bf16(device) else exact_time
    published = exact_layout(MODELS["tyrion"])
    whole = windows_of(published) * exact_time
    small = model.card.window
    reference, exact_zones = errors_of(model, images, exact_layout(model.card))
    truth = pool_mde(reference)
    usual = default_layout(MODELS["tyrion"])
    points = [("exact, stride 128", 1.0, truth.mde)]
    rows = [
        dict(
            name="exact, stride 128",
            value=whole / (LARGE[0] * LARGE[1] / 1e6),
            unit="s/megapixel",
            note=f"{exact_time:.2f} s a window, {windows_of(published)} windows; MDE "
            f"{truth.mde:.1f} m, {truth.images_without_front} of {truth.images} without front",
        )
    ]
    for target, stride in VARIANTS:
        large, layout = layout_of(512, target, stride), layout_of(small, target, stride)
        errors, zones = errors_of(model, images, layout)
        pooled = pool_mde(errors)
        # Fronts that one layout finds and the other does not would shift the mean: pairs too.
        both = [k for k in range(len(images)) if errors[k].size and reference[k].size]
        paired = (
            pool_mde(errors[k] for k in both).mde / pool_mde(reference[k] for k in both).mde - 1
        )
        same = np.mean([(a == b).mean() for a, b in zip(zones, exact_zones, strict=True)])
        faster = whole / (windows_of(large) * fast_time)
        named = " (default)" if large == usual else ""
        points.append((f"{large.target}/{large.stride}", faster, pooled.mde))
        rows.append(
            dict(
                name=f"centre {large.target}, stride {large.stride} of 512{named}",
                value=faster,
                unit="× exact",
                note=f"MDE {pooled.mde:.1f} m ({100 * paired:+.1f} % where both find a front), "
                f"{pooled.images_without_front} without; {100 * same:.2f} % of zones equal; "
                f"{windows_of(large)} windows, "
                f"{'bfloat16' if fast_time is not exact_time else 'float32'}",
            )
        )
    if "ICEFRONT_CURVE" in os.environ:
        draw_curve(Path(os.environ["ICEFRONT_CURVE"]), points)
    return rows


def draw_curve(path: Path, points: list[tuple[str, float, float]]) -> None:
    from icefront.reporting.style import dress_axes, new_figure

    figure = new_figure(7.5, 4.6)
    axis = figure.subplots()
    dress_axes(axis, "Whole-scene prediction: error against speed (shaded: up to 2 % worse)")
    axis.axhspan(0, 1.02 * points[0][2], color="#0072b2", alpha=0.08, linewidth=0)
    axis.axvline(8, color="#6b7683", linewidth=1, linestyle=(0, (4, 3)))
    for k, (name, faster, mde) in enumerate(points):
        axis.plot(faster, mde, marker="o", color="#d55e00" if k else "#0072b2", markersize=7)
        axis.annotate(name, (faster, mde), xytext=(6, 5), textcoords="offset points", fontsize=8)
    values = [p[2] for p in points]
    axis.set_ylim(min(values) * 0.97, max(values) * 1.03)
    axis.set_xlabel("throughput of Tyrion over exact at stride 128 (labels: centre/stride of 512)")
    axis.set_xlim(0, max(p[1] for p in points) * 1.15)
    axis.set_ylabel("MDE of the packaged member (m)")
    figure.savefig(path)


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
    return [*curve_rows(), *memory_rows()]
