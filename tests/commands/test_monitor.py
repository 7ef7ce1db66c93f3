"""icefront monitor measure and import, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from typer.testing import CliRunner

from icefront.cli import app
from icefront.simulation.calving import FrontParameters
from tests.helpers.simulated_fronts import axis_of, dates, made_branch, made_fronts, true_mean

INLAND = "--inland=-190000,-2275000"
"""Where the axis of the fronts starts."""
TREND = FrontParameters(trend_m_per_year=-200.0, events_per_year=0.0, rough_m=10.0)


def called(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["monitor", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("monitor")
    branch = made_branch(TREND, radius_m=12_000)
    fronts = made_fronts(branch, dates(60)).assign(glacier="Simulated", uncertainty_m=5.0)
    fronts.to_file(folder / "fronts.gpkg")
    axis = gpd.GeoDataFrame({"glacier": ["Simulated"]}, geometry=[axis_of(branch)], crs=3413)
    axis.to_crs(4326).to_file(folder / "centreline.geojson")
    return folder


def test_measure_with_a_centreline(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    code, output, _ = called(
        *("measure", place / "fronts.gpkg", "--centreline", place / "centreline.geojson"),
        *("--width", 4_000, "--plane", "projected", "--out", out),
    )
    assert code == 0
    assert "Simulated, curvilinear_box: -" in output
    assert sorted(p.name for p in out.iterdir()) == [
        "events.csv",
        "lines.gpkg",
        "measures.json",
        "seasons.csv",
        "series.csv",
        "trends.csv",
    ]
    series = pd.read_csv(out / "series.csv", parse_dates=["date"])
    curved = series[series["method"] == "curvilinear_box"]
    true = true_mean(made_branch(TREND, radius_m=12_000), dates(60), 4_000, 12_000)
    assert abs(curved["position_m"].to_numpy() - true).max() < 1
    assert (series["uncertainty_m"] == 5).all()
    trends = pd.read_csv(out / "trends.csv").set_index("method")
    assert trends.loc["curvilinear_box", "rate_m_per_year"] == pytest.approx(-200, rel=0.01)
    assert trends.loc["curvilinear_box", "amplitude_m"] == pytest.approx(150, rel=0.01)
    record = json.loads((out / "measures.json").read_text())
    assert record["sign"] == "advance is positive"
    assert record["fronts"] == [str(place / "fronts.gpkg")]
    assert record["ice_side"]["Simulated"].endswith("by the direction of the given centreline")
    lines = gpd.read_file(out / "lines.gpkg", layer="box")
    assert lines["box_proposed"].tolist() == [True]


def test_measure_proposes_all_lines_and_compares_sources(place: Path, tmp_path: Path) -> None:
    table = gpd.read_file(place / "fronts.gpkg")
    table = table.assign(source=["one", "two"] * 30, date=table["date"][::2].repeat(2).to_list())
    table.to_file(tmp_path / "both.gpkg")
    code, output, _ = called("measure", tmp_path / "both.gpkg", "--out", tmp_path / "out", INLAND)
    assert code == 0
    assert "Simulated: ice to the " in output
    sources = pd.read_csv(tmp_path / "out" / "sources.csv")
    assert (sources["dates"] == 30).all()
    assert set(sources["method"]) == set(pd.read_csv(tmp_path / "out" / "trends.csv")["method"])


def test_spellings_of_a_glacier_are_one_glacier(place: Path, tmp_path: Path) -> None:
    table = gpd.read_file(place / "fronts.gpkg")
    spelled = ["Simulated", "SIMULATED", "simulated "]
    table.assign(glacier=[spelled[k % 3] for k in range(len(table))]).to_file(tmp_path / "f.gpkg")
    axis = gpd.read_file(place / "centreline.geojson").assign(glacier="sim_ulated")
    axis.to_file(tmp_path / "axis.gpkg")
    lines = ("--width", 4_000, "--centreline")
    whole = called("measure", place / "fronts.gpkg", *lines, place / "centreline.geojson",
                   "--out", tmp_path / "whole")  # fmt: skip
    folded = called("measure", tmp_path / "f.gpkg", *lines, tmp_path / "axis.gpkg",
                    "--out", tmp_path / "folded")  # fmt: skip
    assert folded[:2] == (0, whole[1].replace("whole", "folded"))
    tables = [(tmp_path / name / "series.csv").read_text() for name in ("whole", "folded")]
    assert tables[0] == tables[1]


def test_tables_as_parquet(place: Path, tmp_path: Path) -> None:
    arguments = ("measure", place / "fronts.gpkg", "--out", tmp_path / "p", "--format", "parquet")
    assert called(*arguments, INLAND)[0] == 0
    assert len(pd.read_parquet(tmp_path / "p" / "series.parquet")) == 240


@pytest.mark.parametrize(
    ("options", "output"),
    [
        (("--inland", "here"), "x,y"),
        (("--plane", "air"), "geodesic or projected"),
        (("--format", "xlsx"), "csv or parquet"),
        (("--centreline", "none.gpkg"), "none.gpkg does not exist"),
        (("--width", "-5"), "-5.0 m wide"),
        (("--date-column", "day"), "no column 'day'"),
    ],
)
def test_mistakes_are_one_sentence(
    place: Path, tmp_path: Path, options: tuple[str, ...], output: str
) -> None:
    code, _, error = called("measure", place / "fronts.gpkg", "--out", tmp_path / "out", *options)
    assert code == 2
    assert output in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_import_joins_files_and_keeps_their_sources(place: Path, tmp_path: Path) -> None:
    theirs = gpd.read_file(place / "fronts.gpkg").iloc[:3].drop(columns=["glacier"])
    theirs = theirs.rename(columns={"date": "Date"}).assign(
        GlacierID=3, Author="Moon", QualFlag=0, Satellite="Landsat"
    )
    theirs.to_crs(4326).to_file(tmp_path / "picks.geojson")
    out = tmp_path / "all.gpkg"
    arguments = ("import", place / "fronts.gpkg", tmp_path / "picks.geojson", "--out", out)
    code, output, _ = called(*arguments)
    assert code == 0
    assert "63 fronts (3 from TermPicks, 60 from unknown)" in output
    table = gpd.read_file(out)
    assert table.crs == 3413
    assert table["source"].value_counts().to_dict() == {"unknown": 60, "TermPicks": 3}
    code, _, error = called(*arguments)
    assert code == 2
    assert "--overwrite" in error
    assert called(*arguments, "--overwrite")[0] == 0


def test_what_cannot_be_measured_is_named_and_the_rest_is_measured(
    place: Path, tmp_path: Path
) -> None:
    good = gpd.read_file(place / "fronts.gpkg")
    good["date"] = pd.to_datetime(good["date"]).dt.strftime("%d/%m/%Y")
    table = pd.concat([good, good.iloc[:4]], ignore_index=True)
    table.loc[60, "date"] = "30/12/1899"
    table.loc[61, "geometry"] = shapely.LineString([(0.0, 0.0), (1e300, 1e300)])
    table.loc[62, "geometry"] = shapely.LineString([(5, 5), (5, 5)])
    table.loc[63, "glacier"] = "Stray"
    table.loc[63, "geometry"] = shapely.LineString([(0, 0), (9, 9), (0, 0)])
    table.to_file(tmp_path / "fronts.gpkg")
    lines = ("--centreline", place / "centreline.geojson", "--width", 4_000)
    code, _, error = called("measure", tmp_path / "fronts.gpkg", *lines, "--out", tmp_path / "out")
    assert code == 0
    assert "2 of 64 fronts left out: row 61 has the vertex (1e+300, 1e+300)" in error
    assert "row 62 has a line of no length" in error
    assert "1 of 62 fronts without a date left out" in error
    assert "the column 'date' of fronts.gpkg was read as day, month, year" in error
    assert "Stray is not measured: The fronts have no width" in error
    assert called("measure", place / "fronts.gpkg", *lines, "--out", tmp_path / "same")[0] == 0
    assert len(json.loads((tmp_path / "out" / "measures.json").read_text())["notes"]) == 4
    same = (tmp_path / "same" / "series.csv").read_text()
    assert (tmp_path / "out" / "series.csv").read_text() == same


def test_an_order_of_dates_is_stated_on_the_command_line(place: Path, tmp_path: Path) -> None:
    one = gpd.read_file(place / "fronts.gpkg").iloc[:1].assign(date="02/06/2018")
    one.to_file(tmp_path / "one.gpkg")
    arguments = ("import", tmp_path / "one.gpkg", "--out", tmp_path / "all.gpkg", "--overwrite")
    code, _, error = called(*arguments)
    assert code == 2
    assert "--day-first or --month-first" in error
    for option, date in (("--day-first", "2018-06-02"), ("--month-first", "2018-02-06")):
        assert called(*arguments, option)[0] == 0
        assert gpd.read_file(tmp_path / "all.gpkg")["date"].tolist() == [date]


def test_fronts_of_which_the_side_of_the_ice_is_unknown_are_refused_by_name(
    place: Path, tmp_path: Path
) -> None:
    table = gpd.read_file(place / "fronts.gpkg").assign(glacier="Nobody's", date="2019-01-01")
    at_sea = table.set_geometry(table.translate(600_000, 5_000_000)).iloc[:2]
    at_sea.to_file(tmp_path / "sea.gpkg")
    code, _, error = called("measure", tmp_path / "sea.gpkg", "--out", tmp_path / "out")
    assert code == 2
    assert "Nobody's" in error
    assert "--inland X,Y" in error
    assert not (tmp_path / "out").exists()
    arguments = ("measure", place / "fronts.gpkg", tmp_path / "sea.gpkg", "--out", tmp_path / "out")
    lines = gpd.read_file(place / "centreline.geojson")
    lines.to_file(tmp_path / "line.gpkg")
    code, output, error = called(*arguments, "--centreline", tmp_path / "line.gpkg")
    assert code == 0
    assert "Simulated, curvilinear_box: -" in output
    assert error.count("Nobody's is not measured: ") == 1
    assert "Nobody's" in (tmp_path / "out" / "measures.json").read_text()
