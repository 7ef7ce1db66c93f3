"""People who trace the fronts of a made glacier, each with a known bias and scatter."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from scipy.ndimage import gaussian_filter1d

from icefront.simulation.archives import seed_of
from icefront.simulation.glacier import Glacier
from icefront.simulation.presets import preset

GLACIER = "Helheim"
STEP_M = 10.0
CORRELATION_M = 120.0
"""Standard deviation of the Gaussian that makes somebody's slips smooth along the front."""

PEOPLE = {
    "Ada": (20.0, 12.0),
    "Bo": (-20.0, 18.0),
    "Cem": (25.0, 25.0),
    "Dag": (-25.0, 15.0),
    "Eir": (30.0, 30.0),
    "Fay": (-30.0, 20.0),
    "Gro": (35.0, 16.0),
    "Hal": (-35.0, 22.0),
    "Ida": (40.0, 28.0),
    "Jon": (-40.0, 14.0),
}
"""Bias (seaward is positive) and scatter of each in metres; the biases add up to nothing."""


def made_glacier(seed: int = 0) -> Glacier:
    """As in `icefront.simulation.archives.landscape_of`, without the landscape."""
    chosen = preset(GLACIER)
    return Glacier(chosen.glacier, seed_of(seed, GLACIER, "0"), chosen.first, chosen.last)


def days(count: int) -> list[dt.date]:
    start, end = dt.date(2016, 1, 15), dt.date(2019, 12, 15)
    return [start + (end - start) * k / max(count - 1, 1) for k in range(count)]


def trunk_front(glacier: Glacier, day: dt.date) -> shapely.LineString:
    """The longest piece of the true front, which is that of the trunk."""
    return max(shapely.get_parts(glacier.calving_front(day)), key=lambda part: part.length)


def traced(
    line: shapely.LineString,
    flow: shapely.LineString,
    bias: float,
    scatter: float,
    rng: np.random.Generator,
) -> shapely.LineString:
    """Move a line to the sea by a bias and smooth slips, in random direction of drawing."""
    count = round(line.length / STEP_M) + 1
    points = shapely.get_coordinates(
        shapely.line_interpolate_point(line, np.linspace(0, line.length, count))
    )
    tangent = gaussian_filter1d(np.gradient(points, axis=0), 25, axis=0, mode="nearest")
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1) / np.hypot(*tangent.T)[:, None]
    along = flow.project(shapely.Point(points[count // 2]))
    a, b = (shapely.get_coordinates(flow.interpolate(along + s))[0] for s in (-200, 200))
    if ((b - a) * normal[count // 2]).sum() < 0:
        normal = -normal
    width = CORRELATION_M / STEP_M
    noise = gaussian_filter1d(rng.normal(size=count + 200), width)[100:-100]
    noise *= np.sqrt(2 * np.sqrt(np.pi) * width)  # to a standard deviation of one
    moved = points + (bias + scatter * noise)[:, None] * normal
    return shapely.LineString(moved[:: 1 if rng.random() < 0.5 else -1])


def write_study(
    folder: Path,
    images: int,
    people: dict[str, tuple[float, float]] = PEOPLE,
    *,
    seed: int = 0,
    crs: str | None = None,
) -> gpd.GeoDataFrame:
    """Write a folder for each person, and the centreline as ``flow.gpkg``; returns the truth."""
    glacier = made_glacier()
    rng = np.random.default_rng(seed)
    flow = glacier.centreline()
    truth = {
        f"{GLACIER}_{day:%Y%m%d}_S1_{k:03d}": trunk_front(glacier, day)
        for k, day in enumerate(days(images))
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, (bias, scatter) in people.items():
        lines = [traced(line, flow, bias, scatter, rng) for line in truth.values()]
        table = gpd.GeoDataFrame({"image": list(truth)}, geometry=lines, crs=glacier.crs)
        (folder / name).mkdir(exist_ok=True)
        (table if crs is None else table.to_crs(crs)).to_file(folder / name / "fronts.gpkg")
    centreline = gpd.GeoDataFrame(geometry=[flow], crs=glacier.crs)
    centreline.to_file(folder / "flow.gpkg")
    return gpd.GeoDataFrame({"image": list(truth)}, geometry=list(truth.values()), crs=glacier.crs)
