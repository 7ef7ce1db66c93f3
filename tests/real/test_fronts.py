"""The fronts of Harald Moltke Bræ against splitting the box in another projection."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely.ops import split
from typer.testing import CliRunner

from icefront.cli import app
from icefront.errors import IcefrontError
from icefront.fronts import read_fronts
from icefront.measures import (
    area_change,
    curvilinear_box,
    measure_each,
    propose_centreline,
    rectilinear_box,
)
from tests.helpers.paths import DATA

FRONTS = DATA / "fronts" / "harald_moltke_braae_fronts.gpkg"
BOX = DATA / "fronts" / "harald_moltke_braae_box.gpkg"
INLAND = (-561_900.0, -1_346_900.0)
"""The glacier comes from the south-east of the map."""
ALBERS = "+proj=aea +lat_1=76.5 +lat_2=76.6 +lat_0=76.55 +lon_0=-67.7 +ellps=WGS84"

NETWORKS = DATA / "network_fronts" / "geojson" / "CALFIN.geo.json"

pytestmark = pytest.mark.skipif(not FRONTS.exists(), reason=f"{FRONTS} is not there")


def test_box_areas_agree_with_splitting_the_box() -> None:
    fronts, box = read_fronts(FRONTS), gpd.read_file(BOX)
    found = rectilinear_box(fronts, box, INLAND)
    assert len(found) == 159
    assert found["area_m2"].notna().all()
    once = 0
    for line, area, flag in zip(fronts.geometry, found["area_m2"], found["flag"], strict=True):
        parts = list(split(box.geometry.iloc[0], line).geoms)
        if len(parts) != 2:
            assert flag.startswith("check: crosses the edge of the box")
            continue
        once += 1
        assert flag == "good"
        inland = min(parts, key=lambda part: part.distance(shapely.Point(INLAND)))
        albers = gpd.GeoSeries([inland], crs=3413).to_crs(ALBERS).area.iloc[0]
        assert area / 1e6 == pytest.approx(albers / 1e6, abs=0.01)
    assert once == 147
    whole = gpd.GeoSeries(box.geometry, crs=3413).to_crs(ALBERS).area.iloc[0] / 1e6
    first = found["area_m2"][0] / 1e6
    assert (round(whole - first, 2), round(first, 2)) == (13.01, 18.53)


def test_lines_that_cross_more_often_fit_between_their_neighbours() -> None:
    found = rectilinear_box(read_fronts(FRONTS), gpd.read_file(BOX), INLAND)
    twice = found["flag"] == "good"
    days = found["date"].astype("int64")
    between = np.interp(days[~twice], days[twice], found["area_m2"][twice])
    assert np.abs(found["area_m2"][~twice] - between).max() / 1e6 < 0.5


def test_the_other_way_round_it_advances() -> None:
    fronts, box = read_fronts(FRONTS), gpd.read_file(BOX)
    change = area_change(fronts, box, INLAND, "2019-02-28", "2021-09-27")
    assert change["net_km2"] == pytest.approx(-9.998, abs=0.01)
    assert change["gained_km2"] < 0.01
    axis = shapely.LineString([(-561_931, -1_346_904), (-566_123, -1_342_680)])
    forth = curvilinear_box(fronts, axis, 4_000)["position_m"]
    back = curvilinear_box(fronts, axis.reverse(), 4_000)["position_m"]
    assert (forth + back).to_numpy() == pytest.approx(axis.length, abs=0.01)


def test_the_glacier_retreats_whichever_way_its_lines_were_drawn(tmp_path: Path) -> None:
    table = gpd.read_file(FRONTS)
    turn = np.random.default_rng(5).random(len(table)) < 0.5
    lines = np.where(turn, shapely.reverse(table.geometry.values), table.geometry.values)
    table.set_geometry(gpd.GeoSeries(lines, crs=table.crs)).to_file(tmp_path / "turned.gpkg")
    found = []
    for path in (FRONTS, tmp_path / "turned.gpkg"):
        out = tmp_path / path.stem
        result = CliRunner().invoke(app, ["monitor", "measure", str(path), "--out", str(out)])
        assert result.exit_code == 0
        assert "The glacier: ice to the east, by the map of land\n" in result.stdout
        assert "\ncurvilinear_box: -877 m/yr" in result.stdout
        assert "None" not in result.stdout
        record = json.loads((out / "measures.json").read_text())
        assert record["ice_side"] == {"": "east, by the map of land"}
        found.append(pd.read_csv(out / "series.csv"))
    assert (found[0]["position_m"] - found[1]["position_m"]).abs().max() < 1e-3
    assert found[0]["flag"].equals(found[1]["flag"])
    place = measure_each(read_fronts(FRONTS), inland=INLAND)[1]["position_m"]
    assert (found[0]["position_m"] - place).abs().max() < 1e-3


@pytest.mark.skipif(not NETWORKS.exists(), reason=f"{NETWORKS} is not there")
def test_the_map_of_land_tells_the_side_of_the_ice_of_known_glaciers() -> None:
    # This network draws all its lines with the ice on the right.
    table = gpd.read_file(NETWORKS)
    glaciers = table.assign(date="2018-01-01").groupby(table["src"].str.split("_").str[0])
    right = []
    for _, fronts in list(glaciers)[:16]:
        try:
            flow = propose_centreline(fronts).to_crs(3413).iloc[0]
        except IcefrontError:  # as much land on both sides
            continue
        ends = shapely.get_coordinates(shapely.get_point(fronts.to_crs(3413).geometry.values, 0))
        starts = shapely.get_coordinates(shapely.get_point(fronts.to_crs(3413).geometry.values, -1))
        along = np.diff(shapely.get_coordinates(flow)[[0, -1]], axis=0)[0]
        chord = np.median(starts - ends, axis=0)
        right.append(along[0] * chord[1] - along[1] * chord[0] < 0)
    assert len(right) >= 14
    assert all(right)


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m-%d-%Y 11:20", "%Y-%j"])
def test_dates_in_any_order_are_the_same_days(tmp_path: Path, form: str) -> None:
    fronts = read_fronts(FRONTS)
    table = fronts[["geometry"]].assign(Date=pd.to_datetime(fronts["date"]).dt.strftime(form))
    null = table.iloc[[0]].assign(Date="1899-12-30")
    shuffled = pd.concat([table.iloc[::-1], null], ignore_index=True)
    shuffled.to_file(tmp_path / "fronts.gpkg")
    found = read_fronts(tmp_path / "fronts.gpkg")
    assert found["date"].tolist() == fronts["date"].tolist()[::-1]
    assert "1 of 160 fronts without a date left out" in found.attrs["notes"][0]


@pytest.mark.parametrize("form", ["plain", "0 to 360"])
def test_on_the_date_line_the_glacier_is_as_large_as_in_greenland(
    tmp_path: Path, form: str
) -> None:
    fronts, box = read_fronts(FRONTS), gpd.read_file(BOX)
    inland = gpd.GeoSeries.from_xy([INLAND[0]], [INLAND[1]], crs=3413).to_crs(4326)[0]
    middle = fronts.to_crs(4326).union_all().centroid.x

    def turned(table: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
        """Turn the Earth about its axis until the glacier lies at 180 degrees."""

        def change(places: np.ndarray) -> np.ndarray:
            x = (places[:, 0] - middle + 180) % 360
            x = x if form == "0 to 360" else (x + 180) % 360 - 180
            return np.stack([x, places[:, 1]], axis=1)

        degrees = table.set_geometry(table.geometry.segmentize(50).to_crs(4326))
        return degrees.set_geometry(
            gpd.GeoSeries([shapely.transform(g, change) for g in degrees.geometry], crs=4326)
        )

    there = turned(fronts)
    assert there.total_bounds[2] - there.total_bounds[0] > 359 or form == "0 to 360"
    there.to_file(tmp_path / "fronts.gpkg")
    place = (inland.x - middle + 180, inland.y)
    found = rectilinear_box(read_fronts(tmp_path / "fronts.gpkg"), turned(box), place)
    here = rectilinear_box(fronts, box, INLAND)
    assert (found["position_m"] - here["position_m"]).abs().max() < 1
    assert found["flag"].tolist() == here["flag"].tolist()
