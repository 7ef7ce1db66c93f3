"""Fronts across the date line: plain, split and from 0 to 360 they are one and the same."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from icefront.fronts import join_fronts, read_fronts
from icefront.fronts.area_of_interest import area_in_scene, read_area
from icefront.fronts.date_line import box_about, continuous, in_crs
from icefront.fronts.external_fronts import read_lines, write_fronts
from icefront.measures import measure_each
from icefront.measures.front_tables import measuring_crs
from icefront.scenes.scene import Scene

FORMS = ("plain", "split", "0 to 360")


def plane(longitude: float) -> str:
    return f"+proj=laea +lat_0=-75 +lon_0={longitude} +datum=WGS84 +units=m"


def turned(geometry: BaseGeometry, change: Callable[[np.ndarray], np.ndarray]) -> BaseGeometry:
    return shapely.transform(geometry, lambda p: np.stack([change(p[:, 0]), p[:, 1]], axis=1))


def in_form(geometry: BaseGeometry, form: str) -> BaseGeometry:
    """Write a geometry that goes on across 180 (or -180) in one of the forms in use."""
    if form == "0 to 360":
        return turned(geometry, lambda x: x % 360)
    if form == "plain":
        return turned(geometry, lambda x: (x + 180) % 360 - 180)
    sides = []
    for low in (-540, -180, 180):
        side = geometry.intersection(shapely.box(low, -90, low + 360, 90))
        if side.length:
            sides.append(turned(side, lambda x, low=low: x - low - 180))
    if geometry.area:
        return shapely.union_all(sides)
    parts = [part for side in sides for part in shapely.get_parts(side)]
    return shapely.multilinestrings(parts) if len(parts) > 1 else parts[0]


def glacier(name: str, longitude: float) -> gpd.GeoDataFrame:
    """Five fronts that advance by 100 m a year towards the north, of a glacier 4 km wide."""
    across = np.linspace(-2000, 2000, 21)
    lines = [
        # The glacier lies to the left of a line that runs west.
        shapely.LineString(np.stack([-across, 300 * np.cos(across / 900) + 100.0 * i], axis=1))
        for i in range(5)
    ]
    days = [dt.date(2010 + i, 6, 2) for i in range(5)]
    return gpd.GeoDataFrame({"date": days, "glacier": name}, geometry=lines, crs=plane(longitude))


def in_degrees(series: gpd.GeoSeries, form: str) -> gpd.GeoSeries:
    degrees = [turned(shape, lambda x: x % 360) for shape in series.to_crs(4326)]
    return gpd.GeoSeries([in_form(shape, form) for shape in degrees], crs=4326)


def width(table: gpd.GeoDataFrame) -> float:
    bounds = shapely.bounds(table.geometry.to_numpy())
    return float((bounds[:, 2] - bounds[:, 0]).max())


@pytest.mark.parametrize(
    ("form", "suffix"),
    [("plain", ".gpkg"), ("split", ".geojson"), ("0 to 360", ".shp")],
)
def test_a_glacier_on_the_date_line_is_measured_as_anywhere(
    tmp_path: Path, form: str, suffix: str
) -> None:
    ours = glacier("here", 180)
    axis = gpd.GeoSeries([shapely.LineString([(0, 6000), (0, -6000)])], crs=plane(180))
    box = gpd.GeoSeries([shapely.box(-1500, -3000, 1500, 3000)], crs=plane(180))
    _, truth, _ = measure_each(ours, centreline=axis, box=box, width_m=2000)
    there = ours.assign(geometry=in_degrees(ours.geometry, form)).set_crs(4326, allow_override=True)
    table = pd.concat([there, glacier("elsewhere", -60).to_crs(4326)], ignore_index=True)
    table["date"] = table["date"].astype(str)
    table.to_file(tmp_path / f"fronts{suffix}")
    fronts = read_fronts(tmp_path / f"fronts{suffix}")
    # Formats without both kinds write single lines as MultiLineStrings of one part.
    assert (shapely.get_num_geometries(fronts.geometry.to_numpy()) == 1).all()
    assert width(fronts) < 1
    for name, drawn in (("centreline", axis), ("box", box)):
        shapes = in_degrees(drawn.segmentize(100), form)
        gpd.GeoDataFrame({"glacier": ["here"]}, geometry=shapes).to_file(tmp_path / f"{name}.gpkg")
    _, measured, notes = measure_each(
        fronts,
        centreline=read_lines(tmp_path / "centreline.gpkg", "centreline"),
        box=read_lines(tmp_path / "box.gpkg", "box"),
        width_m=2000,
        inland=None,
    )
    found = measured[measured["glacier"] == "here"]
    assert notes == [] or "elsewhere" in notes[0]
    assert np.allclose(found["position_m"], truth["position_m"], atol=0.1, equal_nan=False)


@pytest.mark.parametrize("form", FORMS)
def test_fronts_across_the_date_line_come_back_from_files(tmp_path: Path, form: str) -> None:
    there = gpd.GeoDataFrame(
        {"date": "2018-06-02", "glacier": "here"},
        index=range(5),
        geometry=in_degrees(glacier("here", 180).geometry, form),
    )
    first = continuous(there)
    lengths = first.to_crs(plane(180)).length
    for suffix in (".gpkg", ".geojson"):
        write_fronts(first, tmp_path / f"fronts{suffix}")
        again = read_fronts(tmp_path / f"fronts{suffix}")
        assert np.allclose(again.to_crs(plane(180)).length, lengths, rtol=1e-5)
    joined = join_fronts([again, glacier("here", 180)])
    assert width(joined) < 1


@pytest.mark.parametrize("form", FORMS)
def test_an_area_across_the_date_line_is_the_same_in_every_form(tmp_path: Path, form: str) -> None:
    grid = Affine(100, 0, -5_000, 0, -100, -1_495_000)
    scene = Scene(np.zeros((100, 100), np.float32), grid, CRS.from_epsg(3031))
    drawn = gpd.GeoSeries([shapely.box(-3_000, -1_503_000, 2_000, -1_497_000)], crs=3031)
    degrees = in_degrees(drawn.segmentize(100), form)
    far = gpd.GeoSeries([shapely.box(-60, -70, -59, -69)], crs=4326)
    area = area_in_scene(pd.concat([degrees, far], ignore_index=True), scene)
    assert area.geom_type == "Polygon"
    assert area.symmetric_difference(drawn[0]).area < 1e-6 * area.area
    gpd.GeoDataFrame(geometry=degrees).to_file(tmp_path / "area.gpkg")
    again = area_in_scene(read_area(tmp_path / "area.gpkg"), scene)
    assert again.symmetric_difference(drawn[0]).area < 1e-6 * area.area


@given(
    middle=st.floats(-180, 180),
    half=st.floats(0.001, 80),
    form=st.sampled_from(FORMS),
    polygon=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_longitudes_without_jumps_are_the_same_places(
    middle: float, half: float, form: str, polygon: bool
) -> None:
    places = np.array([(middle - half, -70.0), (middle, -71.0), (middle + half, -70.5)])
    shape = shapely.Polygon(places) if polygon else shapely.LineString(places)
    series = gpd.GeoSeries([in_form(shape, form)], crs=4326)
    (found,) = continuous(series)
    assert found.geom_type == shape.geom_type
    west, _, east, _ = found.bounds
    assert east - west == pytest.approx(2 * half, abs=1e-9)
    assert -180.001 <= (west + east) / 2 <= 180.001
    assert found.length == pytest.approx(shape.length, rel=1e-6)
    assert found.area == pytest.approx(shape.area, rel=1e-6, abs=1e-12)


def test_a_plane_to_measure_in_lies_about_the_glacier() -> None:
    fronts = gpd.GeoDataFrame(geometry=in_degrees(glacier("here", 180).geometry, "plain"))
    crs = measuring_crs(fronts, fronts.geometry[0], "geodesic")
    assert np.abs(fronts.to_crs(crs).total_bounds).max() < 3_000


def test_what_does_not_cross_the_date_line_is_untouched() -> None:
    line = shapely.LineString([(-38, 66), (-38.1, 66.2)])
    cap = shapely.box(-180, 60, 180, 90)
    series = gpd.GeoSeries([line, None, cap, shapely.LineString()], crs=4326)
    assert continuous(series[:2]) is not None
    assert continuous(series).iloc[0] is line
    assert continuous(series).iloc[2].equals(cap)
    metres = gpd.GeoSeries([shapely.LineString([(-4e5, 0), (4e5, 0)])], crs=3031)
    assert continuous(metres) is metres
    beside = gpd.GeoSeries.from_xy([179.9, -179.9], [-70, -70], crs=4326)
    assert box_about(beside).bounds == pytest.approx((179.9, -70, 180.1, -70))
    assert in_crs(beside.to_crs(3031), 4326).x.tolist() == pytest.approx([179.9, -179.9])
