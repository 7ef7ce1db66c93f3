"""Products of glaciers and scenes with odd names, missing values, and failures of single ones."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from icefront.errors import IcefrontError
from icefront.measures import measure_each
from icefront.products import folder
from icefront.products.netcdf import write_netcdf
from icefront.projects.results import METHOD, ProjectResults, compute_results
from icefront.projects.review import list_for_review
from icefront.reporting.style import new_figure
from tests.helpers.simulated_projects import made_fronts

ODD = "$x_{$ <b>" + 300 * "y"
FRONTS = made_fronts(years=1, per_year=3)


@pytest.fixture(scope="module")
def found() -> ProjectResults:
    odd = made_fronts(years=1, per_year=3, glacier=ODD, seed=2)
    odd = odd.assign(sensor=[None, float("nan"), "S1"], scene=None, uncertainty_m=None)
    bare = made_fronts(years=1, per_year=1, glacier="Unmeasured", seed=3)
    bare = bare.set_geometry([shapely.LineString()], crs=bare.crs)
    tables = pd.concat([odd, bare], ignore_index=True)
    scenes = pd.DataFrame(
        {
            "name": ["a", "b", "c"],
            "glacier": ["Bare", "Bare", ODD],
            "state": ["no front", "failed", "done"],
        }
    ).assign(date=None, error=None, reason=None, verdict=None, path=None)
    return compute_results(gpd.GeoDataFrame(tables, crs=FRONTS.crs), scenes=scenes)


@pytest.fixture(scope="module")
def written(found: ProjectResults, tmp_path_factory: pytest.TempPathFactory) -> folder.Products:
    out = tmp_path_factory.mktemp("products")
    return folder.write_products(found, out, animation=False, progress=False)


@pytest.mark.filterwarnings("error")
def test_all_is_written_whatever_the_names(written: folder.Products) -> None:
    assert written.results.notes == (
        "Unmeasured is not measured: No front of the table has a line: nothing can be proposed "
        "from it.",
    )
    assert sum(file.name.endswith("_map.png") for file in written.files) == 1
    assert all(file.exists() and len(file.name.encode()) < 255 for file in written.files)


def test_nothing_stands_for_a_missing_value(written: folder.Products) -> None:
    for file in written.files:
        if file.suffix in (".html", ".csv", ".geojson"):
            text = re.sub('base64,[^"]*', "", file.read_text("utf-8"))
            assert re.findall(r"\b(?:nan|NaN|NaT|None|inf)\b", text) == [], file.name


def test_glaciers_without_a_series_are_listed(written: folder.Products) -> None:
    table = written.results.without_series()
    assert table.to_dict("list") == {
        "glacier": ["Bare", "Unmeasured"],
        "scenes": [2, 0],
        "fronts": [0, 1],
        "states": ["1 failed, 1 no front", ""],
    }
    page = html.unescape((written.folder / "report.html").read_text("utf-8"))
    assert "Glaciers without a series" in page
    assert "1 failed, 1 no front" in page
    assert list_for_review(written.results)["why"].iloc[-2:].tolist() == ["no front", "failed"]


@settings(max_examples=8, deadline=None)
@given(st.text(st.characters(blacklist_categories=("Cs",)), max_size=20))
def test_netcdf_keeps_any_name(
    found: ProjectResults, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    renamed = replace(
        found,
        fronts=found.fronts.assign(model=name),
        lines=found.lines.assign(glacier=name),
        measured=found.measured.assign(glacier=name, scene=name, sensor=name),
        series={name: found.series[ODD]},
    )
    path = tmp_path_factory.mktemp("nc") / "series.nc"
    write_netcdf(renamed, path)
    with xarray.open_dataset(path, engine="scipy") as data:
        for variable in ("glacier_name", "scene", "sensor"):
            kept = {value.decode("utf-8") for value in data[variable].values}
            assert kept == {name.rstrip("\0")}


def test_a_glacier_that_cannot_be_drawn_costs_its_figures_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = pd.concat([FRONTS, FRONTS.assign(glacier="Other")], ignore_index=True)
    two = compute_results(gpd.GeoDataFrame(both, crs=FRONTS.crs))

    def draw(results: ProjectResults, glacier: str, background: object) -> dict[str, Figure]:
        if glacier == "Crane":
            raise ArithmeticError("no axis")
        return {"map": new_figure(1, 1)}

    monkeypatch.setattr(folder, "figures_of", draw)
    written = folder.write_products(two, tmp_path, animation=False, progress=False)
    assert written.results.notes == ("Drawing Crane failed: ArithmeticError (no axis).",)
    names = {file.name for file in written.files}
    assert {"Other_map.png", "report.html", "series.nc", "fronts.gpkg"} <= names
    assert "Crane_map.png" not in names


def test_a_glacier_whose_series_fails_costs_itself_only(monkeypatch: pytest.MonkeyPatch) -> None:
    from icefront.projects import results

    fit = results.make_series

    def fail(measured: pd.DataFrame) -> object:
        if (measured["glacier"] == "Other").any():
            raise ValueError("no fit")
        return fit(measured)

    monkeypatch.setattr(results, "make_series", fail)
    both = pd.concat([FRONTS, FRONTS.assign(glacier="Other")], ignore_index=True)
    kept = compute_results(gpd.GeoDataFrame(both, crs=FRONTS.crs))
    assert kept.notes == ("The series of Other failed: ValueError (no fit).",)
    assert list(kept.series) == ["Crane"]
    assert set(kept.measured["glacier"]) == {"Crane"}
    assert METHOD in kept.series["Crane"]


def test_lines_that_nobody_drew_are_not_blamed() -> None:
    away = gpd.GeoSeries([shapely.LineString([(0, 8e6), (5_000, 8e6)])], crs=FRONTS.crs)
    with pytest.raises(IcefrontError, match="The centreline lies beside the fronts"):
        measure_each(FRONTS, centreline=away)
    with pytest.raises(IcefrontError, match="The box lies beside the fronts"):
        measure_each(FRONTS, box=away.buffer(1_000))
    there, back = 8.75e6, 8.7506e6
    places = [(450_000, there), (457_000, there), (457_000, back), (452_000, back)]
    flow = shapely.LineString(places)
    tight = gpd.GeoSeries([flow], crs=FRONTS.crs)
    with pytest.raises(IcefrontError, match=r"^The width proposed from its fronts cannot be used"):
        measure_each(FRONTS, centreline=tight)
    with pytest.raises(IcefrontError, match=r"^A box 9000 m wide about this centreline"):
        measure_each(FRONTS, centreline=tight, width_m=9_000.0)


def test_imported_fronts_are_measured_alike_whichever_way_they_were_drawn() -> None:
    others = FRONTS.assign(source="Others", icefront_version=None, date=FRONTS["date"].shift(-1))
    others = others.iloc[:-1].set_geometry(FRONTS.geometry.iloc[1:].to_numpy(), crs=FRONTS.crs)
    turned = others.set_geometry(others.geometry.reverse())
    found = [
        compute_results(
            gpd.GeoDataFrame(pd.concat([FRONTS, table], ignore_index=True), crs=FRONTS.crs)
        )
        for table in (others, turned)
    ]
    positions = [results.measured["position_m"].to_numpy() for results in found]
    assert positions[0] == pytest.approx(positions[1], abs=1e-3)
    assert found[1].sources["bias_m"].abs().max() < 1e-3
    assert found[1].lines["ice_side"][0].startswith("west, by the zones")
    alone = turned.set_geometry(turned.translate(0.0, -2e6))
    with pytest.raises(IcefrontError, match="--inland X,Y"):
        compute_results(alone)
    inland = (440_000.0, 6_750_000.0)
    assert compute_results(alone, inland=inland).lines["ice_side"][0].startswith("west, by the pl")
