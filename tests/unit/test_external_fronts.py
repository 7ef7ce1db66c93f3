"""Fronts from elsewhere: columns of the data sets of the field, dates in columns and names."""

from __future__ import annotations

import warnings
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from icefront.errors import IcefrontError
from icefront.fronts import read_fronts
from icefront.fronts.external_fronts import COLUMNS, read_lines, write_fronts
from icefront.measures import reference_lines

LINE = shapely.LineString([(-190_000, -2_275_000), (-190_000, -2_270_000)])


def written(
    path: Path,
    columns: dict[str, object],
    crs: object = 3413,
    line: shapely.LineString = LINE,
) -> Path:
    count = len(next(iter(columns.values()))) if columns else 1  # type: ignore[arg-type]
    table = gpd.GeoDataFrame(columns, geometry=[line] * count, crs=crs)
    table.to_file(path)
    return path


CALFIN = {
    "GlacierID": [1],
    "Center_X": [-190_000.0],
    "QualFlag": [0],
    "Satellite": ["Landsat8"],
    "Date": ["2018-06-02"],
    "ImageID": ["LC08_L1TP_123"],
    "GrnlndcN": ["Sermeq"],
    "OfficialN": ["Helheim"],
    "RefName": ["Helheim Gletsjer"],
    "Author": ["Cheng_D"],
}
TERMPICKS = {
    "GlacierID": [3, 3],
    "Date": ["2018-06-02", "2018-06-14"],
    "QualFlag": ["00", "10"],
    "Satellite": ["Sentinel-1A", "Envisat"],
    "ImageID": ["a", "b"],
    "Author": ["Moon", "Black"],
}
MEASURES = {"GlacierID": [7], "DATE": ["2018-06-02"], "ImgSource": ["RADARSAT-2"], "QualFlag": [0]}
GEEDIT = {
    "Name": ["Helheim"],
    "Date": ["2018-06-02"],
    "Satellite": ["Sentinel-1"],
    "ImagePath": ["COPERNICUS/S1_GRD/x"],
    "Unclear": [0],
    "Notes": [""],
}
CCI = {"NAME": ["Helheim"], "ACQ_TIME": ["20180602T080910"], "SENSOR": ["ERS-2"], "TRACK": [99]}


@pytest.mark.parametrize(
    ("columns", "source", "glacier", "sensor"),
    [
        (CALFIN, "CALFIN", "Helheim", "Landsat8"),
        (TERMPICKS, "TermPicks", "3", "S1"),
        (MEASURES, "MEaSUREs", "7", "RSAT"),
        (GEEDIT, "GEEDiT", "Helheim", "S1"),
        (CCI, "ESA CCI", "Helheim", "ERS"),
    ],
)
@pytest.mark.parametrize("suffix", [".shp", ".gpkg", ".geojson"])
def test_known_data_sets_are_read(
    tmp_path: Path, columns: dict, source: str, glacier: str, sensor: str, suffix: str
) -> None:
    path = tmp_path / f"data{suffix}"
    degrees = suffix == ".geojson"
    line = shapely.LineString([(-38, 66), (-38, 66.1)]) if degrees else LINE
    written(path, columns, 4326 if degrees else 3413, line)
    fronts = read_fronts(path)
    assert list(fronts.columns) == [*COLUMNS, "geometry"]
    row = fronts.iloc[0]
    assert (row["date"], row["source"], row["glacier"], row["sensor"]) == (
        "2018-06-02",
        source,
        glacier,
        sensor,
    )
    assert row["length_m"] == pytest.approx(11_155 if degrees else 5_000, rel=0.02)


def test_own_fronts_come_back_whole(tmp_path: Path) -> None:
    columns = {
        "scene": ["x"],
        "glacier": ["A"],
        "date": ["2018-06-02"],
        "sensor": ["TSX"],
        "uncertainty_m": [12.5],
        "flag": ["check"],
        "reason": ["short"],
        "model": ["tyrion-mini"],
        "model_sha256": ["ab"],
    }
    row = read_fronts(written(tmp_path / "fronts.gpkg", columns)).iloc[0]
    assert row["source"] == "icefront"
    assert (row["uncertainty_m"], row["flag"], row["model"]) == (12.5, "check", "tyrion-mini")


@pytest.mark.parametrize(
    ("columns", "day"),
    [
        ({"when": ["x"], "date": [20180602]}, "2018-06-02"),
        ({"date": pd.to_datetime(["2018-06-02 11:00"])}, "2018-06-02"),
        ({"Year": [2018], "Month": [6], "Day": [2]}, "2018-06-02"),
        ({"ImageID": ["S1A_IW_GRDH_1SSH_20180602T080910_20180602T080935_022178_026640_ABCD"]},
         "2018-06-02"),
        ({"id": [1]}, "2019-01-05"),
    ],
)  # fmt: skip
def test_dates_are_found_in_any_known_column(tmp_path: Path, columns: dict, day: str) -> None:
    path = written(tmp_path / "helheim_20190105.gpkg", columns)
    assert read_fronts(path)["date"].tolist() == [day]


def test_a_folder_with_a_front_per_file_is_one_table(tmp_path: Path) -> None:
    for day in ("20190312", "20190228"):
        folder = tmp_path / day
        folder.mkdir()
        written(folder / f"calving_front_{day}_3413.shp", {"id": [1]})
    fronts = read_fronts(tmp_path, source="Loebel", glacier="Harald Moltke")
    assert fronts["date"].tolist() == ["2019-02-28", "2019-03-12"]
    assert fronts["source"].unique().tolist() == ["Loebel"]
    assert fronts["glacier"].unique().tolist() == ["Harald Moltke"]
    assert fronts.crs == 3413


def test_what_cannot_be_imported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IcefrontError, match="does not exist"):
        read_fronts(tmp_path / "no.gpkg")
    with pytest.raises(IcefrontError, match="holds no file of lines"):
        read_fronts(tmp_path)
    nothing = tmp_path / "text.geojson"
    nothing.write_text("no")
    with pytest.raises(IcefrontError, match=r"text\.geojson cannot be read"):
        read_fronts(nothing)
    nothing.unlink()
    points = gpd.GeoDataFrame({"date": ["2018-06-02"]}, geometry=[LINE.centroid], crs=3413)
    points.to_file(tmp_path / "points.gpkg")
    with pytest.raises(IcefrontError, match="holds no lines"):
        read_fronts(tmp_path / "points.gpkg")
    dateless = written(tmp_path / "fronts.gpkg", {"id": [1]})
    with pytest.raises(IcefrontError, match="has no date"):
        read_fronts(dateless)
    with pytest.raises(IcefrontError, match="no column 'day'"):
        read_fronts(dateless, date_column="day")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")
        bare = written(tmp_path / "bare.shp", {"date": ["2018-06-02"]}, crs=None)
    with pytest.raises(IcefrontError, match="--crs"):
        read_fronts(bare)
    assert read_fronts(bare, crs="EPSG:3413").crs == 3413
    with pytest.raises(IcefrontError, match="is no CRS"):
        read_fronts(bare, crs="here")
    with pytest.raises(IcefrontError, match=r"no \.gpkg or \.geojson"):
        write_fronts(read_fronts(bare, crs="EPSG:3413"), tmp_path / "out.xlsx")


def test_lines_take_their_layer_and_glacier(tmp_path: Path) -> None:
    path = tmp_path / "truth.gpkg"
    for layer in ("fronts", "centreline"):
        table = gpd.GeoDataFrame({"Name": [layer]}, geometry=[LINE], crs=3413)
        table.to_file(path, layer=layer)
    assert read_lines(path, "centreline")["glacier"].tolist() == ["centreline"]


def test_an_order_of_dates_is_proved_by_the_column_or_stated(tmp_path: Path) -> None:
    dates = ["02/06/2018", "14/06/2018"]
    path = written(tmp_path / "fronts.gpkg", {"Date": dates})
    fronts = read_fronts(path)
    assert fronts["date"].tolist() == ["2018-06-02", "2018-06-14"]
    assert fronts.attrs["notes"] == [
        "the column 'Date' of fronts.gpkg was read as day, month, year"
    ]
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, date in enumerate(dates):
        written(folder / f"{number}.shp", {"Date": [date]})
    fronts = read_fronts(folder)
    assert fronts["date"].tolist() == ["2018-06-02", "2018-06-14"]
    assert fronts.attrs["notes"] == [
        "the column 'Date' of 0.shp and 1 other files was read as day, month, year"
    ]
    alone = folder / "0.shp"
    with pytest.raises(IcefrontError, match=r"'Date' of 0\.shp .* --day-first or --month-first"):
        read_fronts(alone)
    assert read_fronts(alone, day_first=False)["date"].tolist() == ["2018-02-06"]
    image = written(tmp_path / "image.gpkg", {"Date": ["02/06/2018"], "ImageID": ["S1_20180602"]})
    assert read_fronts(image)["date"].tolist() == ["2018-06-02"]


def test_null_dates_are_left_out_and_never_take_the_date_of_the_file(tmp_path: Path) -> None:
    columns = {"Date": ["2018-06-02", "1899-12-30", None, "2018-06-14"], "id": [0, 1, 2, 3]}
    fronts = read_fronts(written(tmp_path / "export_20240101.gpkg", columns))
    assert fronts["date"].tolist() == ["2018-06-02", "2018-06-14"]
    assert fronts.attrs["notes"] == [
        "export_20240101.gpkg: 2 of 4 fronts without a date left out, the first in row 1 "
        "(column 'Date': '1899-12-30')"
    ]
    parts = {"Year": [2018, 2018, 0], "DOY": [153, 165, 0]}
    assert read_fronts(written(tmp_path / "doy.gpkg", parts))["date"].tolist() == [
        "2018-06-02",
        "2018-06-14",
    ]


def test_a_column_that_mostly_holds_no_dates_is_refused(tmp_path: Path) -> None:
    columns = {"Date": ["2018-06-02", "summer", "autumn"]}
    with pytest.raises(IcefrontError, match=r"Row 1 .* 'summer'"):
        read_fronts(written(tmp_path / "fronts.gpkg", columns))


def test_geojson_dates_are_not_guessed_at(tmp_path: Path) -> None:
    line = shapely.LineString([(-38, 66), (-38, 66.1)])
    path = written(tmp_path / "fronts.geojson", {"date": ["02/06/14", "18/06/14"]}, 4326, line)
    with pytest.raises(IcefrontError, match="two digits"):
        read_fronts(path)
    assert read_fronts(path, day_first=True)["date"].tolist() == ["2014-06-02", "2014-06-18"]


BAD = [
    ((float("nan"), 66.0), "no finite place"),
    ((float("inf"), 66.0), "no finite place"),
    ((1e300, 1e300), "no longitude and latitude"),
    ((-190_000.0, -2_275_000.0), "no longitude and latitude"),
]


@pytest.mark.parametrize(("vertex", "why"), BAD)
@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_vertices_that_are_no_places_are_left_out_and_counted(
    tmp_path: Path, vertex: tuple[float, float], why: str
) -> None:
    good = shapely.LineString([(-38, 66), (-38, 66.1)])
    bad = shapely.LineString([(-38, 66), vertex])
    table = gpd.GeoDataFrame({"date": ["2018-06-02"] * 3}, geometry=[good, bad, good], crs=4326)
    table.to_file(tmp_path / "fronts.gpkg")
    fronts = read_fronts(tmp_path / "fronts.gpkg")
    assert len(fronts) == 2
    (note,) = fronts.attrs["notes"]
    assert note.startswith("fronts.gpkg: 1 of 3 fronts left out: row 1 has the vertex (")
    assert why in note
    with pytest.raises(IcefrontError, match=why):
        reference_lines(table)
    table[1:2].to_file(tmp_path / "box.gpkg")
    with pytest.raises(IcefrontError, match=r"no finite place|which are metres|no longit"):
        read_lines(tmp_path / "box.gpkg", "box")


def test_metres_stated_as_degrees_need_their_crs(tmp_path: Path) -> None:
    path = written(tmp_path / "fronts.gpkg", {"date": ["2018-06-02"]}, 4326)
    with pytest.raises(IcefrontError, match=r"EPSG:4326.* numbers such as .* metres .*--crs"):
        read_fronts(path)
    assert read_fronts(path, crs="EPSG:3413").crs == 3413
    degrees = shapely.LineString([(-38, 66), (-38, 66.1)])
    path = written(tmp_path / "degrees.gpkg", {"date": ["2018-06-02"]}, 3413, degrees)
    with pytest.raises(IcefrontError, match=r"EPSG:3413.* degrees such as .*--crs"):
        read_fronts(path)
    assert read_fronts(path, crs="EPSG:4326")["length_m"].iloc[0] == pytest.approx(11_155, rel=0.01)


def test_a_bad_file_of_a_folder_costs_that_file(tmp_path: Path) -> None:
    written(tmp_path / "good.gpkg", {"date": ["2018-06-02"]})
    (tmp_path / "bad.geojson").write_text("no")
    written(tmp_path / "undated.gpkg", {"id": [1]})
    fronts = read_fronts(tmp_path)
    assert len(fronts) == 1
    assert [("bad.geojson" in note, "undated.gpkg" in note) for note in fronts.attrs["notes"]] == [
        (True, False),
        (False, True),
    ]


def test_a_crs_that_is_no_map_is_refused_and_other_units_become_degrees(tmp_path: Path) -> None:
    geocentric = written(tmp_path / "centre.gpkg", {"date": ["2018-06-02"]}, 4978)
    with pytest.raises(IcefrontError, match="no CRS of maps"):
        read_fronts(geocentric)
    degrees = shapely.LineString([(-38, 66), (-38, 66.1)])
    grads = gpd.GeoSeries([degrees], crs=4326).to_crs(4807)
    found = read_fronts(written(tmp_path / "grads.gpkg", {"date": ["2018-06-02"]}, 4807, grads[0]))
    assert found.crs == 4326
    assert found.geometry[0].hausdorff_distance(degrees) < 1e-3
    half = 20_037_508.34
    mercator = shapely.LineString([(half - 1_000, -1.1e7), (1_000 - half, -1.1e7)])
    found = read_fronts(written(tmp_path / "web.gpkg", {"date": ["2018-06-02"]}, 3857, mercator))
    assert found["length_m"].iloc[0] == pytest.approx(2_000 * 0.34, rel=0.05)
    assert found.total_bounds[2] - found.total_bounds[0] < 1
