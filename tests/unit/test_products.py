"""The products, read back with other people's software."""

import re
import shutil
import sqlite3
import subprocess
import xml.etree.ElementTree as ElementTree

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import netcdf_file

from icefront.products.folder import write_products
from icefront.projects.results import METHOD, compute_results
from tests.helpers.simulated_projects import made_fronts

TWO = "Two <b>& more</b>"


@pytest.fixture(scope="module")
def found():
    own, other = made_fronts(), made_fronts(glacier=TWO, seed=1)
    foreign = made_fronts(source="CALFIN", seed=2).assign(quality="03", author="A. Person")
    tables = [own, other, foreign.drop(columns=["model", "model_sha256", "name"])]
    joined = gpd.GeoDataFrame(pd.concat(tables, ignore_index=True), crs=own.crs)
    return compute_results(joined)


@pytest.fixture(scope="module")
def written(found, tmp_path_factory):
    folder = tmp_path_factory.mktemp("products")
    write_products(found, folder, animation=False, progress=False)
    return folder


def test_vectors_have_our_columns_and_those_of_the_field(found, written):
    ours = gpd.read_file(written / "fronts.gpkg", layer="fronts")
    assert ours.crs == found.fronts.crs
    assert {"glacier", "date", "grade", "why", "uncertainty_m", "model_sha256"} <= set(ours)
    theirs = {
        "GlacierID", "Date", "Year", "Month", "Day", "QualFlag", "Satellite", "ImageID", "Author",
        "Center_X", "Center_Y", "Longitude", "Latitude", "DecDate",
    }  # fmt: skip
    tables = [
        gpd.read_file(written / "fronts.gpkg", layer="exchange"),
        gpd.read_file(written / "fronts.geojson"),
        gpd.read_file(written / "fronts.shp"),
    ]
    for table in tables:
        assert theirs <= set(table)
        assert len(table) == len(found.fronts)
        assert max(len(name) for name in table.columns if name != "geometry") <= 10
        assert set(table["QualFlag"]) <= {"10", "13", "03"}
        assert (table["QualFlag"] == "03").sum() == 36
    assert tables[1].crs.to_epsg() == 4326
    first = tables[2].iloc[0]
    assert (first["Year"], first["Month"], first["Day"]) == (2016, 1, 10)
    assert first["DecDate"] == pytest.approx(2016 + 9 / 366, abs=1e-4)
    line = tables[0].geometry.iloc[0]
    assert line.interpolate(0.5, normalized=True).x == pytest.approx(tables[0]["Center_X"][0])


@pytest.mark.skipif(not shutil.which("ogrinfo"), reason="ogrinfo is not installed")
@pytest.mark.parametrize("name", ["fronts.gpkg", "fronts.geojson", "fronts.shp", "lines.gpkg"])
def test_gdal_reads_the_vectors_without_a_warning(written, name):
    done = subprocess.run(
        ["ogrinfo", "-ro", "-so", "-al", str(written / name)], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stderr == ""


def test_the_style_is_xml_with_a_class_a_year_and_comes_with_the_geopackage(written):
    text = (written / "fronts.qml").read_text()
    renderer = ElementTree.fromstring(text.split("\n", 1)[1]).find("renderer-v2")
    assert renderer.get("attr") == "decimal_date"
    classes = renderer.findall("ranges/range")
    assert [one.get("label") for one in classes] == ["2016", "2017", "2018"]
    symbols = {one.get("name") for one in renderer.findall("symbols/symbol")}
    assert symbols == {one.get("symbol") for one in classes}
    assert "decimal_date" in gpd.read_file(written / "fronts.gpkg", layer="fronts")
    with sqlite3.connect(written / "fronts.gpkg") as db:
        (stored,) = db.execute("SELECT styleQML FROM layer_styles WHERE useAsDefault").fetchone()
    assert stored == text


def test_the_netcdf_file_keeps_the_cf_conventions(found, written):
    with netcdf_file(written / "series.nc", mmap=False) as file:
        assert file.Conventions == b"CF-1.11"
        assert file.featureType == b"timeSeries"
        names = set(file.variables)
        roles = [n for n, v in file.variables.items() if getattr(v, "cf_role", None)]
        assert roles == ["glacier_name"]  # 9.5: exactly one timeseries_id
        size = file.variables["row_size"]
        assert size.sample_dimension == b"obs"  # 9.3.3
        assert size[:].sum() == file.dimensions["obs"]
        for name, variable in file.variables.items():
            assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)  # 2.3
            assert variable.long_name
            for linked in ("coordinates", "ancillary_variables"):  # 5, 3.4
                words = getattr(variable, linked, b"").decode().split()
                assert set(words) <= names
            if hasattr(variable, "flag_values"):  # 3.5
                assert variable.flag_values.dtype.itemsize == variable[:].dtype.itemsize
                assert len(variable.flag_meanings.split()) == variable.flag_values.size
            if hasattr(variable, "_FillValue"):  # 2.5.1: the variable's own type
                assert np.asarray(variable._FillValue).dtype.kind == variable[:].dtype.kind
            if variable[:].dtype.kind == "f":
                assert variable.units  # 3.1
                assert np.isfinite(variable[:]).all()
        time = file.variables["time"]
        assert (time.standard_name, time.units) == (b"time", b"days since 1970-01-01 00:00:00")
        start = 0
        for count in size[:]:  # one glacier after another, in order of date
            assert (np.diff(time[start : start + count]) >= 0).all()
            start += count
        assert (abs(file.variables["latitude"][:] - 78.8) < 1).all()


def test_xarray_opens_the_netcdf_file(found, written):
    import xarray

    with xarray.open_dataset(written / "series.nc", engine="scipy") as data:
        assert [name.decode() for name in data["glacier_name"].values] == list(found.series)
        first = int(data["row_size"][0])
        mine = found.series["Crane"][METHOD].table
        assert data[f"position_{METHOD}"].values[:first] == pytest.approx(mine["position_m"].values)
        assert data["time"].dtype.kind == "M"
        assert str(data["time"].values[0])[:10] == "2016-01-10"


def test_the_netcdf_file_passes_the_checker_of_the_conventions(written, tmp_path):
    from compliance_checker.runner import CheckSuite, ComplianceChecker

    CheckSuite.load_all_available_checkers()
    report = tmp_path / "report.txt"
    passed, crashed = ComplianceChecker.run_checker(
        str(written / "series.nc"), ["cf:1.11"], 0, "strict", output_filename=str(report)
    )
    assert passed, report.read_text()
    assert not crashed


def test_a_project_as_a_data_set_is_what_the_netcdf_file_holds(found, written):
    import xarray

    from icefront.products.netcdf import to_xarray

    data = to_xarray(found)
    assert data["glacier_name"].values.tolist() == list(found.series)
    with xarray.open_dataset(written / "series.nc", engine="scipy") as read:
        for name in data.data_vars:
            if data[name].dtype.kind == "f":
                assert read[name].values == pytest.approx(data[name].values, nan_ok=True)
        assert (read["time"].values == data["time"].values).all()


def test_series_are_the_same_in_csv_and_parquet(found, written):
    table = pd.read_csv(written / "series.csv")
    assert len(table) == len(found.measured)
    assert {"glacier", "date", "method", "position_m", "area_m2", "grade"} <= set(table)
    other = pd.read_parquet(written / "series.parquet")
    assert other["position_m"].to_numpy() == pytest.approx(table["position_m"].to_numpy(), abs=2e-3)
    summary = pd.read_csv(written / "summary.csv").set_index(["glacier", "method"])
    rate = summary.loc[("Crane", METHOD)]
    assert rate["rate_low"] < -200 < rate["rate_high"]


def test_the_report_holds_everything_itself_and_escapes_names(written):
    text = (written / "report.html").read_text()
    assert "<script" not in text
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    assert TWO not in text
    assert "Two &lt;b&gt;&amp; more&lt;/b&gt;" in text
    assert text.count("data:image/") == 8
    assert "CALFIN" in text


def test_the_report_counts_in_words_that_agree_and_lists_what_was_proposed(found, written):
    text = (written / "report.html").read_text()
    assert "Proposed from the fronts: centreline, box, width." in text
    for one in found.series.values():
        count = int(one[METHOD].table["outlier"].sum())
        assert f"{count} outlier{'' if count == 1 else 's'}, " in text
    assert not re.search(r"\b1 outliers", text)


def test_the_lines_say_what_was_proposed_in_both_layers(written):
    for layer in ("centreline", "box"):
        lines = gpd.read_file(written / "lines.gpkg", layer=layer)
        assert lines["glacier"].tolist() == ["Crane", TWO]
        assert lines[["centreline_proposed", "box_proposed", "width_proposed"]].all(axis=None)


def test_the_files_of_a_strange_name_are_plain(written):
    names = {path.name for path in written.iterdir()}
    assert {"Crane_map.png", "Two_b_more_b_map.png"} <= names
    for name in ("map", "position", "season", "area"):
        picture = np.asarray(Image.open(written / f"Crane_{name}.png").convert("RGB"))
        assert picture.shape[1] > 700
        assert picture.std() > 10


def test_the_animation_moves(found, tmp_path):
    from icefront.products.animation import write_animation

    count = write_animation(found, "Crane", tmp_path / "a.gif", frames=3)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == count == 3
        first = np.asarray(image.convert("RGB")).astype(int)
        image.seek(2)
        assert abs(np.asarray(image.convert("RGB")) - first).max() > 100


def test_products_appear_together_or_not_at_all(found, tmp_path, monkeypatch):
    from icefront.errors import IcefrontError
    from icefront.products import folder as products

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(products, "write_report", full)
    monkeypatch.setattr(products, "figures_of", lambda *_: {})
    with pytest.raises(IcefrontError, match="full"):
        write_products(found, tmp_path / "out", animation=False, progress=False)
    assert not (tmp_path / "out").exists()
