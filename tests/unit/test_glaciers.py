"""Glaciers that the program knows by name: spelling, place, and the areas that people name."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pytest
import shapely
from pyproj import CRS

from icefront.acquisition.areas import Area, area_of, area_of_glacier
from icefront.errors import IcefrontError
from icefront.glaciers import glacier_named, known_glaciers, name_key
from icefront.grid import working_crs
from icefront.simulation.presets import arctic_presets, caffe_presets


def test_every_glacier_is_found_by_its_name_and_all_aliases() -> None:
    keys: dict[str, str] = {}
    for glacier in known_glaciers():
        for name in (glacier.name, *glacier.aliases):
            assert glacier_named(name.upper()) == glacier
            assert keys.setdefault(name_key(name), glacier.name) == glacier.name


def test_presets_of_the_simulator_and_all_of_caffe_are_known() -> None:
    for name in arctic_presets():
        assert glacier_named(name).caffe is None
    for name, preset in caffe_presets().items():
        assert glacier_named(name).caffe == preset.split


def test_polygons_of_the_real_file_are_in_the_table(real_data: Path) -> None:
    table = gpd.read_file(real_data / "front_polygons" / "front_polygons.gpkg")
    for name, polygon in zip(table["glacier"], table.geometry, strict=True):
        glacier = glacier_named(name.replace("_region", ""))
        ours = gpd.GeoSeries([shapely.Polygon(glacier.outline)], crs=4326).to_crs(table.crs)[0]
        assert ours.symmetric_difference(polygon).area < 1e-3 * polygon.area


@pytest.mark.parametrize("glacier", known_glaciers(), ids=lambda glacier: glacier.name)
def test_the_area_of_each_glacier_lies_about_its_place(glacier) -> None:
    area = area_of_glacier(glacier)
    assert area.crs == working_crs(glacier.longitude, glacier.latitude)
    left, bottom, right, top = area.bounds
    assert 10e3 < right - left < 110e3
    assert 10e3 < top - bottom < 110e3
    assert area.outline.contains(shapely.Point(glacier.longitude, glacier.latitude))
    assert area.covered_by([area.outline]) == pytest.approx(1, abs=1e-3)


def test_a_place_a_box_and_text_give_areas() -> None:
    place = area_of("-38.2,66.4", name="Helheim", margin_m=8_000)
    assert place.name == "Helheim"
    assert place.grid(20).shape in ((800, 800), (801, 801))
    box = area_of("-39,66,-37,67")
    text = area_of("POLYGON ((-39 66, -37 66, -37 67, -39 67, -39 66))", margin_m=0)
    assert box.bounds == pytest.approx(text.bounds)
    assert box.outline.buffer(1e-3).contains(shapely.box(-39, 66, -37, 67))


def test_pixels_of_overlapping_grids_are_the_same() -> None:
    one, two = (area_of(f"-38.{n},66.4").grid(15) for n in (2, 3))
    row, column = one.rowcol(two.transform.c, two.transform.f)
    assert float(row) % 1 == pytest.approx(0.5)
    assert float(column) % 1 == pytest.approx(0.5)


@pytest.mark.parametrize("box", ["179,70,-179,71", "179,70,181,71", "-181,70,-179,71"])
def test_a_box_across_the_date_line_is_one_box(box: str) -> None:
    area = area_of(box)
    left, bottom, right, top = area.bounds
    assert max(right - left, top - bottom) < 150e3
    assert area.outline.geom_type == "MultiPolygon"
    west, _, east, _ = area.outline.bounds
    assert (west, east) == (-180, 180)
    plain = shapely.Polygon([(179, 70), (-179, 70), (-179, 71), (179, 71)])
    assert area.covered_by([plain]) == pytest.approx(
        area.covered_by([shapely.box(179, 70, 181, 71)])
    )
    assert area.covered_by([shapely.box(170, 60, 180, 80)]) == pytest.approx(0.5, abs=0.01)


def test_an_area_about_a_pole_is_all_beyond_a_parallel() -> None:
    area = area_of("0,90", margin_m=50_000)
    assert area.crs == CRS.from_epsg(3413)
    assert area.outline.bounds[0::2] == (-180, 180)
    assert area.outline.bounds[3] == 90
    assert area.covered_by([shapely.box(-180, 80, 180, 90)]) == pytest.approx(1)
    assert area_of("120,-90").crs == CRS.from_epsg(3031)


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".shp", ".kml", ".wkt"])
def test_polygons_of_a_file_give_the_same_area_in_every_format(tmp_path: Path, suffix: str) -> None:
    polygon = shapely.box(-38.5, 66.2, -38.0, 66.5)
    path = tmp_path / f"Helheim{suffix}"
    if suffix == ".wkt":
        path.write_text(polygon.wkt)
    else:
        gpd.GeoDataFrame({"Name": ["a"]}, geometry=[polygon], crs=4326).to_file(
            path, driver="KML" if suffix == ".kml" else None
        )
    area = area_of(path)
    assert area.name == "Helheim"
    assert area.bounds == pytest.approx(area_of(polygon.wkt).bounds, abs=1)


def test_of_a_file_with_several_glaciers_one_is_chosen(tmp_path: Path) -> None:
    table = gpd.GeoDataFrame(
        {"glacier": ["Helheim", "Rink"]},
        geometry=[shapely.box(-38.5, 66.2, -38, 66.5), shapely.box(-52, 71.6, -51, 71.8)],
        crs=4326,
    )
    table.to_file(tmp_path / "both.gpkg")
    with pytest.raises(IcefrontError, match=r"several glaciers .Helheim, Rink.: say with --name"):
        area_of(tmp_path / "both.gpkg")
    assert area_of(tmp_path / "both.gpkg", name="rink").outline.bounds[1] > 71
    with pytest.raises(IcefrontError, match="has no glacier 'Store' but Helheim, Rink"):
        area_of(tmp_path / "both.gpkg", name="Store")


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("Helhiem", r"near it: Helheim"),
        ("Xyzzy", r"No glacier named 'Xyzzy' is known: `icefront glaciers` lists them"),
        ("1,2,3", r"no place and no box"),
        ("10,95", r"no place and no box"),
        ("5,60,6,60", r"no place and no box"),
        ("POLYGON ((1 2", r"no well-known text"),
        ("POINT (200000 3000000)", r"holds no longitude and latitude"),
        ("-180,60,180,80", r"more than a glacier does"),
        ("nowhere.gpkg", r"does not exist"),
        (" ", r"No area was named"),
    ],
)
def test_what_is_no_area_is_refused_in_a_sentence(where: str, said: str) -> None:
    with pytest.raises(IcefrontError, match=said):
        area_of(where)


def test_other_wrong_areas_are_refused() -> None:
    with pytest.raises(IcefrontError, match="no map in metres"):
        area_of("Helheim", crs="EPSG:4326")
    with pytest.raises(IcefrontError, match=r"pixels of 0\.1 m: name a smaller one"):
        area_of("Helheim").grid(0.1)
    with pytest.raises(IcefrontError, match="A margin must be zero or more"):
        area_of("Helheim", margin_m=-1)
    for known in (None, {"name": "a"}, {"name": "a", "bounds": [0, 0, 0, 1], "crs": "EPSG:3413"}):
        with pytest.raises(IcefrontError, match="search again"):
            Area.from_json(known)


def test_an_area_comes_back_from_a_recipe() -> None:
    area = area_of("Crane")
    assert Area.from_json(area.to_json()) == area
