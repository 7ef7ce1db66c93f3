"""A simulated glacier through the whole path: scenes, project, pass, positions, season and events.

Kronebreen, six years, 200 scenes of three sensors, twice: as the simulator knows it, and with rarer
and larger calving events whose bays stay for long. The scenes and the project are kept in
``ICEFRONT_RESULTS`` (default: a temporary folder), so that the benchmark goes on where it was
stopped; the pass is done anew each time. ``ICEFRONT_MODEL`` names another network than the packaged
one.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import tempfile
import warnings
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from icefront.files.atomic import writing
from icefront.fronts.distances import mean_distance, points_along
from icefront.measures.by_glacier import measure, reference_lines
from icefront.projects.catalogue import LAYER, SINGLE_DATES, Catalogue
from icefront.projects.config import Areas
from icefront.projects.run import run_monitoring
from icefront.projects.smoothing import configuration_of, smooth_project
from icefront.scenes.cog import write_cog
from icefront.simulation.archives import seed_of
from icefront.simulation.glacier import Glacier
from icefront.simulation.presets import preset
from icefront.simulation.radar import sensor_named
from icefront.simulation.samples import simulate_image
from icefront.simulation.surfaces import Landscape
from icefront.timeseries.series import Series, make_series

GLACIER = "Kronebreen"
SCENES = 200
FIRST, YEARS = dt.date(2015, 1, 10), 6
SENSORS = ("S1", "TSX", "RSAT", "S1", "TSX", "S1", "RSAT", "S1", "TSX", "RSAT")
PIXEL_M = 40.0
VIEWS = (1, 8)
METHOD = "curvilinear_box"
LARGE_M = 500.0
VARIANTS = {
    "as it is": {},
    "large events": {"event_m": 1800.0, "events_per_year": 1.5, "healing_days": 200.0},
}


def run() -> list[dict]:
    kept = os.environ.get("ICEFRONT_RESULTS")
    with tempfile.TemporaryDirectory() if kept is None else nullcontext(kept) as name:
        return [
            row
            for variant in VARIANTS
            for views in VIEWS
            for row in _measured(Path(name), variant, views)
        ]


def _measured(results: Path, variant: str, views: int = 1) -> list[dict]:
    folder = results / f"kronebreen {variant}"
    scenes, project = folder / "scenes", folder / f"project {views}"
    glacier = _glacier(variant)
    truth = _simulated(scenes, glacier)
    width = glacier.parameters.width_m
    box = gpd.GeoDataFrame(
        {"glacier": [GLACIER]}, geometry=[glacier.box(2 * width, width)], crs=glacier.crs
    )
    line = gpd.GeoDataFrame(
        {"glacier": [GLACIER]}, geometry=[glacier.centreline()], crs=glacier.crs
    )
    box.to_file(folder / "box.gpkg")
    config = folder / "project.yaml"
    config.write_text("scenes: [scenes]\naoi: box.gpkg\n")
    model = os.environ.get("ICEFRONT_MODEL")
    options: dict = {"model": model, "symmetries": views, "workers": 1}
    run_monitoring(config, project, zones=False, progress=False, **options)
    with Catalogue(project) as catalogue:
        smooth_project(catalogue, Areas(*configuration_of(project)), renew=True)
    through = gpd.read_file(project / "catalogue.gpkg", layer=LAYER)
    single = gpd.read_file(project / "catalogue.gpkg", layer=SINGLE_DATES)
    truth = truth.set_geometry(truth.intersection(box.geometry.iloc[0]))
    known = truth.set_index("scene")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lines = reference_lines(truth, centreline=line, box=box)
        true = _series(truth.assign(uncertainty_m=20.0), lines)
        rows = []
        for what, table in (("single", single), ("through time", through)):
            table = table[table["scene"].isin(known.index)].to_crs(truth.crs)
            found = [
                (row.geometry, known.geometry[row.scene], row.uncertainty_m)
                for row in table.itertuples()
                if row.geometry is not None and not row.geometry.is_empty
            ]
            series = _series(table[~(table.geometry.isna() | table.geometry.is_empty)], lines)
            name = f"{variant}, {what}" + (f", over {views} views" if views > 1 else "")
            rows += _compared(found, len(table), series, true, name)
    return rows


def _glacier(variant: str) -> Glacier:
    known = preset(GLACIER)
    front = replace(known.glacier.front, **VARIANTS[variant])
    parameters = replace(known.glacier, front=front)
    return Glacier(parameters, seed_of(0, GLACIER, "0"), known.first, known.last)


def _simulated(folder: Path, glacier: Glacier) -> gpd.GeoDataFrame:
    """Write the scenes that are not there yet and return their true fronts."""
    folder.mkdir(parents=True, exist_ok=True)
    landscape: Landscape | None = None
    rows, fronts = [], []
    for number in range(SCENES):
        date = FIRST + dt.timedelta(days=int(number * YEARS * 365.25 / (SCENES - 1)))
        sensor = sensor_named(SENSORS[number % len(SENSORS)])
        name = f"{GLACIER}_{date:%Y%m%d}_{sensor.name}_{number:03d}"
        path, drawn = folder / f"{name}.tif", folder.parent / "truth" / f"{name}.json"
        if not path.exists():
            landscape = landscape or Landscape(glacier)
            orbit = "descending" if number % 2 else "ascending"
            image = simulate_image(landscape, date, sensor, PIXEL_M, number, orbit)
            drawn.parent.mkdir(exist_ok=True)
            with writing(drawn) as part:
                part.write_text(json.dumps(shapely.geometry.mapping(image.front)))
            tags = {"glacier": GLACIER, "date": str(date), "sensor": sensor.name, "orbit": orbit}
            grid = replace(image.grid, crs=CRS.from_epsg(glacier.parameters.epsg))
            with writing(path) as part:
                write_cog(part, image.decibel, grid, tags, [f"{sensor.polarisation} sigma0 dB"])
        rows.append({"glacier": GLACIER, "date": str(date), "scene": name, "sensor": sensor.name})
        fronts.append(shapely.geometry.shape(json.loads(drawn.read_text())))
    # By this `icefront.measures` knows that they run with the ice on their left.
    table = pd.DataFrame(rows).assign(source="icefront simulate")
    return gpd.GeoDataFrame(table, geometry=fronts, crs=glacier.crs)


def _series(table: gpd.GeoDataFrame, lines: object) -> Series:
    measured = measure(table, lines)
    return make_series(measured[measured["method"] == METHOD])


def _compared(
    found: list[tuple[BaseGeometry, BaseGeometry, float]],
    count: int,
    series: Series,
    true: Series,
    name: str,
) -> list[dict]:
    distances = np.array([mean_distance(line, front, 20.0) for line, front, _ in found])
    held = [
        shapely.distance(shapely.points(points_along(front, PIXEL_M)), line) <= 1.645 * sigma
        for line, front, sigma in found
    ]
    positions = [
        one.table[~one.table["outlier"]].groupby("date")["position_m"].mean()
        for one in (series, true)
    ]
    off = (positions[0] - positions[1]).abs().dropna()
    days = np.unique(true.table["date"].to_numpy())
    note = f"{len(found)} of {count} dates with a front"
    large = true.events[true.events["drop_m"] >= LARGE_M]
    drawn_large = series.events[series.events["drop_m"] >= LARGE_M]
    hit = sum(_met(event, series.events, days) for event in large.itertuples())
    false = sum(not _met(event, true.events, days) for event in drawn_large.itertuples())
    interval = 100 * float(np.concatenate(held).mean())
    events = f"of {len(large)}, to within one scene; {false} invented"
    rows = [
        ("median distance", float(np.median(distances)), "m", note),
        ("90 % of distances within", float(np.quantile(distances, 0.9)), "m", note),
        ("median position error", float(off.median()), "m", METHOD),
        ("90 % interval holds", interval, "%", "of the true fronts"),
        ("events of 500 m found", hit, "", events),
    ]
    for what, fit in (("", series.fit), ("true ", true.fit)):
        rows += [
            (f"{what}trend", fit.rate, "m/yr", f"{fit.rate_low:.0f} to {fit.rate_high:.0f}"),
            (f"{what}season, half its range", fit.amplitude, "m", ""),
        ]
    return [dict(name=f"{name}, {n}", value=v, unit=u, note=t) for n, v, u, t in rows]


def _met(event: object, others: pd.DataFrame, days: np.ndarray) -> bool:
    """Tell whether another event lies within one scene of this one."""
    first = days[max(np.searchsorted(days, np.datetime64(event.before)) - 1, 0)]  # type: ignore[attr-defined]
    last = days[min(np.searchsorted(days, np.datetime64(event.after)) + 1, len(days) - 1)]  # type: ignore[attr-defined]
    return bool(((others["before"] >= first) & (others["after"] <= last)).any())
