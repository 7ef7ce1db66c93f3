"""The catalogue of 1,700 glaciers and 200,000 scenes: claims, status, one glacier, memory."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import shapely
from pyproj import CRS

from icefront.projects.catalogue import (
    DONE,
    FAILED,
    LAYER,
    NEW,
    NO_FRONT,
    OWN,
    Catalogue,
    blob_of,
    create,
)
from icefront.projects.results import load_results
from icefront.projects.status import status_of

GLACIERS = 1_700
SCENES = 200_000
VERTICES = 60
CLAIMS = 200


def simulate_catalogue(folder: Path, glaciers: int = GLACIERS, scenes: int = SCENES) -> None:
    """Write a catalogue in which three quarters of the scenes are done."""
    rng = np.random.default_rng(0)
    across = np.linspace(-2_500.0, 2_500.0, VERTICES)
    states = rng.choice([DONE, NO_FRONT, FAILED, NEW], scenes, p=[0.7, 0.03, 0.02, 0.25])
    days = np.datetime64("2015-01-01") + rng.integers(0, 3_650, scenes).astype("timedelta64[D]")
    with create(folder, CRS.from_epsg(3413)) as catalogue, catalogue.writing():
        for k in range(scenes):
            number = k % glaciers
            glacier, name = f"Glacier {number}", f"scene_{k:06d}"
            row = {
                "scene": name, "glacier": glacier, "date": str(days[k]), "sensor": "S1",
                "source": OWN, "state": states[k], "path": f"scenes/{name}.tif", "name": name,
                "settings": f"{number:016x}", "size_bytes": 1_000_000, "mtime_ns": k,
            }  # fmt: skip
            if states[k] == DONE:
                x = 200.0 * np.sin(k) + np.cumsum(rng.normal(0, 8, VERTICES)) - 190_000
                y = across - 2_275_000 + 6_000 * number
                line = shapely.linestrings(np.stack([x, y], axis=1))
                row |= {
                    "pixel_size_m": 40.0, "length_m": line.length, "uncertainty_m": 80.0,
                    "flag": "good", "model": "tyrion-mini", "sha256": f"{k:064x}",
                    "finished": "2026-01-01T00:00:00.000Z", "seconds": 2.0,
                    "geom": blob_of(line, 3413),
                }  # fmt: skip
            catalogue.insert(row)


def run() -> list[dict]:
    rows = []

    def add(name: str, value: float, unit: str = "ms", note: str = "") -> None:
        rows.append({"name": name, "value": value, "unit": unit, "note": note})

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        simulate_catalogue(folder)
        digests = [f"{number:016x}" for number in range(GLACIERS)]
        begin = time.perf_counter()
        catalogue = Catalogue(folder)
        add("open", 1e3 * (time.perf_counter() - begin))
        claimed, reported, spent = [], [], {"claim": 0.0, "report": 0.0}
        for _ in range(CLAIMS):
            begin, processor = time.perf_counter(), time.process_time()
            row = catalogue.claim("run", digests)
            claimed.append(time.perf_counter() - begin)
            spent["claim"] += time.process_time() - processor
            assert row is not None
            begin, processor = time.perf_counter(), time.process_time()
            assert catalogue.finish(row["fid"], "run", {"state": NO_FRONT}, None)
            reported.append(time.perf_counter() - begin)
            spent["report"] += time.process_time() - processor
        note = f"{GLACIERS} glaciers, {SCENES} scenes; the bar is 20 ms"
        add("claim, median", 1e3 * float(np.median(claimed)), note=note)
        add("claim, worst", 1e3 * max(claimed))
        add("report, median", 1e3 * float(np.median(reported)), note=note)
        add("report, worst", 1e3 * max(reported))
        for name, seconds in spent.items():
            add(
                f"{name}, processor", 1e3 * seconds / CLAIMS, note="mean, without waiting for disks"
            )
        catalogue.close()
        begin = time.perf_counter()
        status_of(folder)
        add("status", 1e3 * (time.perf_counter() - begin), note="the bar is 2 s")
        before = _peak_mb()
        begin = time.perf_counter()
        found = load_results(folder, glaciers=["Glacier 7"], inland=(-300_000.0, -2_233_000.0))
        add("one glacier for the products", 1e3 * (time.perf_counter() - begin), note="bar: 2 s")
        add("its fronts", len(found.fronts), "fronts")
        add("memory that it added at most", _peak_mb() - before, "MB")
        add("catalogue", (folder / "catalogue.gpkg").stat().st_size / 1e6, "MB", LAYER)
    return rows


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6
