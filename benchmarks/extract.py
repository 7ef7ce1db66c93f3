"""``icefront extract`` from start to finish, as a user waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


def run() -> list[dict]:
    if packaged_weights(DEFAULT) is None:
        raise SystemExit("The default model comes without weights: nothing to measure.")
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        (name,) = simulate_scenes(scratch, "Kronebreen", count=1, pixel_m=14.0, progress=False)
        rows += extract(Path(scratch) / f"{name}.tif", "made scene, 1000 x 1000")
    if HELHEIM.exists():
        rows += extract(HELHEIM, "Helheim, Sentinel-1")
    return rows
