"""Ten thousand fronts measured by all methods; trend, season and events of long series."""

from __future__ import annotations

import resource
import sys
import time

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from icefront.measures import measure, reference_lines
from icefront.timeseries import make_series

FRONTS = 10_000
VERTICES = 300
GLACIERS = 20


def made_fronts(count: int, glaciers: int = GLACIERS, seed: int = 0) -> gpd.GeoDataFrame:
    """Rough fronts of 5 km, 300 vertices each; every tenth is in two pieces."""
    rng = np.random.default_rng(seed)
    across = np.linspace(-2_800, 2_800, VERTICES)
    days = rng.integers(0, 6 * 365, count)
    rough = np.cumsum(rng.normal(0, 12, (count, VERTICES)), axis=1)
    rough -= rough.mean(axis=1, keepdims=True)
    along = -0.3 * days + 150 * np.cos(days / 58.1)
    x = along[:, None] + rough - 190_000
    y = across[None] - 2_275_000 + 20_000 * (np.arange(count) % glaciers)[:, None]
    points = np.stack([x, y + rng.normal(0, 5, x.shape)], axis=2)
    lines = shapely.linestrings(points)
    for number in range(0, count, 10):
        lines[number] = shapely.MultiLineString([points[number, :120], points[number, 125:]])
    return gpd.GeoDataFrame(
        {
            "glacier": [f"made {i % glaciers}" for i in range(count)],
            "date": np.datetime64("2015-01-01") + days.astype("timedelta64[D]"),
            "source": np.where(rng.random(count) < 0.5, "one", "two"),
            "uncertainty_m": 20.0,
        },
        geometry=lines,
        crs=3413,
    )


def run() -> list[dict]:
    fronts = made_fronts(FRONTS)
    begin = time.perf_counter(), time.process_time()
    lines = reference_lines(fronts, inland=(-300_000.0, -2_275_000.0))
    proposed = time.process_time()
    measured = measure(fronts, lines)
    wall, spent = time.perf_counter() - begin[0], time.process_time() - begin[1]
    note = f"{FRONTS} fronts of {VERTICES} vertices, {GLACIERS} glaciers, one core; the bar is 30 s"
    rows = [
        dict(name="propose and measure, all methods", value=spent, unit="s CPU", note=note),
        dict(name="the same by the clock", value=wall, unit="s", note=""),
        dict(name="of it proposing", value=proposed - begin[1], unit="s CPU", note=""),
    ]
    chosen = measured[measured["method"] == "curvilinear_box"]
    for count in (200, 2_000):
        one = pd.concat([chosen[chosen["glacier"] == f"made {i}"] for i in range(GLACIERS)])
        one = one.head(count).assign(glacier="one")
        before = time.process_time()
        make_series(one)
        rows.append(
            dict(
                name="series with trend, season, events",
                value=time.process_time() - before,
                unit="s CPU",
                note=f"{count} fronts",
            )
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    rows.append(dict(name="peak memory", value=peak * unit / 1e9, unit="GB", note=""))
    return rows
