"""``icefront extract`` from start to finish, as a user waits for it, and its peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from icefront.models.registry import DEFAULT, packaged_weights
from icefront.simulation.archives import simulate_scenes

DATA = Path(os.environ.get("ICEFRONT_DATA", Path(__file__).parents[2] / "shared" / "data"))
HELHEIM = DATA / "sentinel1" / "helheim_20180602_S1_HH.tif"

# The peak memory of a child is asked for by the child: a parent sees that of its largest one.
COMMAND = """
import resource, sys
from icefront.cli import app
try:
    app()
finally:
    print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def extract(scene: Path, name: str) -> list[dict]:
    with tempfile.TemporaryDirectory() as scratch:
        words = ["extract", str(scene), "--out", str(Path(scratch) / "out")]
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, *words], check=True, capture_output=True, text=True
        )
        taken = time.perf_counter() - begun
    found = next(line for line in done.stdout.splitlines() if line.startswith(scene.name))
    peak = int(done.stderr.rsplit("PEAK", 1)[1])
    peak *= 1 if sys.platform == "darwin" else 1024
    return [
        dict(name=f"extract, {name}", value=taken, unit="s", note=found),
        dict(name=f"extract, {name}, peak memory", value=peak / 1e9, unit="GB", note=""),
    ]


LARGE = (4000, 10_000)
"""Sides of large scenes, in pixels of 10 m: resampled to 55 m for the packaged model."""


def enlarged(source: Path, side: int, path: Path) -> Path:
    """Write a scene of `side` × `side` pixels of 10 m by repeating pixels, with speckle on them."""
    rng = np.random.default_rng(0)
    with rasterio.open(source) as raster:
        grey, profile = raster.read(1), raster.profile
    at = np.arange(side) * len(grey) // side
    profile |= {"height": side, "width": side, "transform": Affine(10, 0, 5e5, 0, -10, 8.7e6)}
    with rasterio.open(path, "w", **profile) as raster:
        for top in range(0, side, 500):
            rows = grey[at[top : top + 500]][:, at] * rng.uniform(0.8, 1.2, (500, side))
            window = ((top, top + 500), (0, side))
            raster.write(rows.clip(1, 255).astype(profile["dtype"]), 1, window=window)
    return path


def run() -> list[dict]:
    if packaged_weights(DEFAULT) is None:
        raise SystemExit("The default model comes without weights: nothing to measure.")
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        (name,) = simulate_scenes(scratch, "Kronebreen", count=1, pixel_m=14.0, progress=False)
        scene = Path(scratch) / f"{name}.tif"
        rows += extract(scene, "simulated scene, 1000 x 1000")
        for side in LARGE:
            large = enlarged(scene, side, Path(scratch) / f"large_{side}.tif")
            found, peak = extract(large, f"{side} x {side} pixels of 10 m")
            per_pixel = (peak["value"] - rows[1]["value"]) * 1e9 / side**2
            peak["note"] = f"{per_pixel:.1f} bytes a pixel more than the simulated scene"
            rows += [found, peak]
    if HELHEIM.exists():
        rows += extract(HELHEIM, "Helheim, Sentinel-1")
    return rows
