"""People who trace the same fronts: known offsets are found again, files of all kinds are read."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from PIL import Image
from shapely.geometry import LineString, MultiLineString
from typer.testing import CliRunner

from icefront.annotators.consensus import (
    biweight,
    crossings,
    draw_consensus,
    make_transects,
    medoid,
    oriented,
    seaward_by_compass,
)
from icefront.annotators.study import (
    SeawardSources,
    read_flow,
    split_variances,
    study_annotators,
)
from icefront.annotators.traces import TracedFront, mask_to_line, read_traces
from icefront.cli import app
from icefront.errors import IcefrontError
from icefront.fronts import distance_errors
from icefront.fronts.distances import line_distances, mean_distance, points_along
from icefront.reporting.style import BLUE, VERMILION
from tests.helpers.simulated_annotators import PEOPLE, write_study

NAME = "JAC_2010-02-07_TSX_6_1_005"
"""CaFFe's way to name an image with pixels of 6 m."""


def as_trace(line: shapely.Geometry, spacing: float = 5.0) -> TracedFront:
    return TracedFront(line, points_along(line, spacing), points_along(line, spacing / 8))


def test_distances_of_lines_do_not_depend_on_where_their_points_fall():
    line = LineString([(0, 0), (1000, 0)])
    shifted = LineString([(-3.3, 40), (1003.7, 40)])
    assert line_distances(line, shifted, 10).mean() == pytest.approx(40, rel=1e-3)
    same = MultiLineString([[(0, 0), (333, 0)], [(333, 0), (1000, 0)]])
    assert mean_distance(line, same, 10) < 0.6
    assert np.isnan(mean_distance(line, LineString(), 10))
    assert len(points_along(line, 10)) == 101


def test_biweight_is_the_mean_of_those_who_agree():
    values = np.array([[1.0, 5.0, 7.0], [2.0, np.nan, 7.0], [3.0, np.nan, 7.0], [900.0, 7.0, 9.0]])
    assert biweight(values) == pytest.approx([2.0, 6.0, 7.0], abs=0.05)
    rng = np.random.default_rng(0)
    many = rng.normal(10, 3, (11, 4000))
    # Nearly as good as the mean where all agree, and better than the median.
    assert biweight(many).std() < 1.12 * many.mean(axis=0).std()
    assert biweight(many).std() < 0.95 * np.median(many, axis=0).std()


def test_transects_cross_lines_where_they_should():
    line = LineString([(0, 0), (1000, 0)])
    transects = make_transects(line, 100, 50)
    assert transects.directions == pytest.approx(np.tile([0.0, -1.0], (11, 1)))
    found = crossings(transects, LineString([(-10, 30), (505, 30)]), 100)
    assert found[:6] == pytest.approx([-30] * 6)
    assert np.isnan(found[6:]).all()
    twice = MultiLineString([[(-10, 30), (2000, 30)], [(-10, -20), (2000, -20)]])
    assert crossings(transects, twice, 100) == pytest.approx([20] * 11)
    assert np.isnan(crossings(transects, twice, 10)).all()


def test_one_who_is_far_off_does_not_move_the_consensus():
    def drawn(shift: float) -> TracedFront:
        x = np.linspace(0, 5000, 400)
        return as_trace(LineString(np.stack([x, 300 * np.sin(x / 900) + shift], axis=1)))

    people = {"a": drawn(-10), "b": drawn(0), "c": drawn(10), "far": drawn(900)}
    distances = {
        (a, b): float(people[a].distances_to(people[b]).mean())
        for a in people
        for b in people
        if a < b
    }
    start = medoid(distances)
    assert start in ("b", "c")
    consensus = draw_consensus(people, start)
    off = line_distances(consensus.line, people["b"].line, 20)
    assert off.mean() < 5
    turned = oriented(consensus, seaward_by_compass(consensus, 0.0))
    assert turned.signed.all()
    middle = slice(20, -20)
    assert np.nanmean(turned.offsets["c"][middle]) == pytest.approx(10, abs=2)
    assert np.nanmean(turned.offsets["a"][middle]) == pytest.approx(-10, abs=2)
    south = oriented(consensus, seaward_by_compass(consensus, 180.0))
    assert np.nanmean(south.offsets["c"][middle]) == pytest.approx(-10, abs=2)
    # The glacier is on the left: with the sea in the north the line runs west.
    first, last = (shapely.get_coordinates(turned.line)[i] for i in (0, -1))
    assert first[0] > last[0]
    flat = {name: as_trace(LineString([(0, y), (5000, y)])) for name, y in (("a", 0), ("b", 9))}
    consensus = draw_consensus(flat, "a")
    assert not oriented(consensus, seaward_by_compass(consensus, 90.0)).signed.any()
    assert oriented(consensus, seaward_by_compass(consensus, 45.0)).signed.all()


def test_variances_are_split_as_grubbs_does():
    own = {"a": 4.0, "b": 9.0, "c": 25.0, "d": 1.0}
    pairs = {(x, y): own[x] + own[y] for x in own for y in own if x < y}
    assert split_variances(list(own), pairs) == pytest.approx(own)
    del pairs["a", "b"]
    assert split_variances(list(own), pairs) == pytest.approx(own)
    two = split_variances(["a", "b"], {("a", "b"): 13.0})
    assert all(np.isnan(value) for value in two.values())


def test_ten_annotators_are_recovered_to_a_tenth(tmp_path: Path):
    """Bias and scatter of each, from simulated fronts, in another CRS than theirs."""
    write_study(tmp_path, 16, crs="EPSG:4326")
    images, problems = read_traces(tmp_path, ignore=[tmp_path / "flow.gpkg"])
    assert problems == []
    study = study_annotators(
        images, sides=SeawardSources(flow=read_flow(tmp_path / "flow.gpkg")), progress=False
    )
    assert {person.name for person in study.people} == set(PEOPLE)
    for person in study.people:
        bias, scatter = PEOPLE[person.name]
        assert person.bias == pytest.approx(bias, rel=0.1), person
        assert person.scatter == pytest.approx(scatter, rel=0.1), person
        assert person.bias_low < person.bias < person.bias_high
        assert person.images == 16
    # Every two are apart by about the mean distance of their offsets.
    assert study.matrix.loc["Ada", "Jon"] == pytest.approx(60, rel=0.1)
    assert study.agreement == pytest.approx(np.mean([p.to_people for p in study.people]))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people, three images, and a model that has no front in one of them."""
    folder = tmp_path_factory.mktemp("study")
    people = {"Ada": (20.0, 8.0), "Bo": (-20.0, 8.0), "Cem": (0.0, 8.0)}
    truth = write_study(folder / "data", 3, people)
    lines = [
        shapely.transform(line, lambda xy: xy + np.array([80, 0])) for line in truth.geometry[:2]
    ]
    model = gpd.GeoDataFrame(
        {"scene": truth["image"]}, geometry=[*lines, LineString()], crs=truth.crs
    )
    model.to_crs(4326).to_file(folder / "fronts.gpkg", layer="fronts")
    return folder


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["annotators", *map(str, arguments)])
    return result.exit_code, result.output


def test_the_command_writes_everything_and_ends_with_the_sentence(small: Path, tmp_path: Path):
    out = tmp_path / "out"
    flow = small / "data" / "flow.gpkg"
    model = f"ensemble={small / 'fronts.gpkg'}"
    options = ("--data", small / "data", "--flow", flow, "--fronts", model, "--pictures", 1)
    code, text = run(*options, "--out", out)
    assert code == 0, text
    record = json.loads((out / "annotators.json").read_text())
    last = text.strip().splitlines()[-1]
    assert last == record["sentence"]
    agreement, off = record["agreement"], record["models"][0]["to_people"]
    assert last.startswith(f"3 people agree to {agreement:.0f} m on 3 images")
    assert f"ensemble lies {off:.0f} m off them" in last
    assert "with no front in 1 image" in last
    assert 20 < agreement < 40
    assert record["models"][0]["bias"] > 40
    matrix = pd.read_csv(out / "distances.csv", index_col=0)
    assert list(matrix) == ["Ada", "Bo", "Cem", "ensemble", "consensus"]
    upper = [matrix.loc[a, b] for a, b in (("Ada", "Bo"), ("Ada", "Cem"), ("Bo", "Cem"))]
    assert np.mean(upper) == pytest.approx(agreement)
    pairs = pd.read_csv(out / "pairs.csv")
    chosen = pairs[(pairs["first"] == "Ada") & (pairs["second"] == "Bo")]
    pooled = chosen["distance_sum"].sum() / chosen["distance_count"].sum()
    assert pooled == pytest.approx(matrix.loc["Ada", "Bo"])
    consensus = gpd.read_file(out / "consensus.gpkg")
    assert len(consensus) == 3
    assert consensus.crs.to_epsg() == 32624
    assert (consensus.length > 6000).all()
    assert set(consensus["seaward_side_from"]) == {"flow"}
    people = np.asarray(Image.open(out / "people.png").convert("RGB"))
    for colour in (BLUE, VERMILION):  # people and the model, the larger marks being people's
        assert (people == np.round(255 * np.array(to_rgb(colour)))).all(axis=2).sum() > 100
    cells = np.asarray(Image.open(out / "matrix.png").convert("RGB")).astype(int)
    farthest = np.round(255 * np.array(colormaps["cividis"](1.0)[:3]))
    assert (np.abs(cells - farthest) <= 1).all(axis=2).sum() > 1000
    assert len(list(out.glob("traces_*.png"))) == 1
    assert "3 people agree" in (out / "annotators.md").read_text()
    code, text = run(*options, "--out", out)
    assert code == 2
    assert "not empty" in text


def test_without_a_seaward_side_there_is_scatter_but_no_bias(small: Path, tmp_path: Path):
    flow = small / "data" / "flow.gpkg"
    images, _ = read_traces(small / "data", ignore=[flow])
    study = study_annotators(images, progress=False)
    assert all(np.isnan(person.bias) for person in study.people)
    for person in study.people:
        assert person.scatter == pytest.approx(8, rel=0.35)
    code, text = run("--data", small / "data", "--out", tmp_path / "out", "--pictures", 0)
    assert code == 0, text
    assert "give --zones, --flow or --seaward" in text
    assert "flow.gpkg names nobody" in text


def masks(folder: Path, columns: dict[str, int]) -> dict[str, np.ndarray]:
    """Upright fronts as masks of a person each, with a kink; the sea is on the right."""
    drawn = {}
    for person, column in columns.items():
        mask = np.zeros((300, 200), bool)
        mask[20:150, column] = True
        mask[149:280, column + 1] = True
        (folder / person).mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / person / f"{NAME}_front.png")
        drawn[person] = mask
    return drawn


def test_masks_follow_the_protocol_and_zones_tell_the_sea(tmp_path: Path):
    drawn = masks(tmp_path, {"Ada": 90, "Bo": 100, "Cem": 105})
    zones = np.full((300, 200), 127, np.uint8)
    zones[:, 100:] = 254
    (tmp_path / "zones").mkdir()
    Image.fromarray(zones).save(tmp_path / "zones" / f"{NAME}_zones.png")
    images, problems = read_traces(tmp_path)
    assert problems == []
    assert [image.name for image in images] == [NAME]
    study = study_annotators(images, sides=SeawardSources(zones=tmp_path / "zones"), progress=False)
    expected = distance_errors(drawn["Ada"], drawn["Bo"], 6.0).mean()
    assert study.matrix.loc["Ada", "Bo"] == pytest.approx(expected)
    biases = {person.name: person.bias for person in study.people}
    assert biases["Cem"] - biases["Ada"] == pytest.approx(90, abs=3)
    assert biases["Cem"] > biases["Bo"] > biases["Ada"]
    assert study.images[0].sign_from == "zones"


def test_lines_in_pixels_and_masks_agree_and_pixels_stay_pixels(tmp_path: Path):
    masks(tmp_path, {"Ada": 90})
    line = LineString([(100.5, 20.5), (100.5, 279.5)])
    table = gpd.GeoDataFrame({"image": [NAME], "annotator": ["Bo"]}, geometry=[line])
    table.to_file(tmp_path / "others.geojson", driver="GeoJSON")
    # GeoJSON always has a CRS; a GeoPackage need not.
    code, text = run("--data", tmp_path, "--out", tmp_path / "out")
    assert code == 2
    assert "(100.5, 279.5), which is no longitude and latitude" in text
    low = table.set_geometry([LineString([(100.5, 20.5), (100.5, 79.5)])])
    low.to_file(tmp_path / "others.geojson", driver="GeoJSON")
    assert "is in pixels and" in run("--data", tmp_path, "--out", tmp_path / "out")[1]
    (tmp_path / "others.geojson").unlink()
    table.to_file(tmp_path / "others.gpkg")
    images, _ = read_traces(tmp_path)
    metres = images[0].people["Ada"].distances_to(images[0].people["Bo"]).mean()
    assert metres == pytest.approx(6 * 9.5, rel=0.01)
    code, text = run(
        "--data", tmp_path, "--out", tmp_path / "out", "--pixel-size", "pixels", "--seaward", 90
    )
    assert code == 0, text
    assert "2 people agree to 9.5 px on one image" in text
    found = gpd.read_file(tmp_path / "out" / "consensus_pixels.gpkg")
    assert found.crs is None
    assert shapely.get_coordinates(found.geometry[0])[:, 0].mean() == pytest.approx(95.7, abs=0.5)


def test_a_mask_is_followed_along_its_longest_way():
    mask = np.zeros((60, 60), bool)
    rows = np.arange(5, 55)
    mask[rows, rows] = True
    mask[30, 30:36] = True  # a side branch
    line = mask_to_line(mask)
    assert line.length == pytest.approx(49 * np.sqrt(2), rel=0.05)
    ends = shapely.get_coordinates(line)[[0, -1]]
    assert np.abs(np.sort(ends[:, 0]) - [5.5, 54.5]).max() <= 1.5
    thick = np.zeros((40, 80), bool)
    thick[18:22, 5:75] = True
    assert mask_to_line(thick).length == pytest.approx(70, abs=6)


def test_what_does_not_fit_is_reported_and_the_rest_goes_on(small: Path, tmp_path: Path):
    import shutil

    data = tmp_path / "data"
    shutil.copytree(small / "data", data)
    (data / "Ada" / "broken.gpkg").write_bytes(b"no")
    Image.fromarray(np.full((50, 50), 255, np.uint8)).save(data / "Ada" / f"{NAME}.png")
    Image.fromarray(np.zeros((50, 50), np.uint8)).save(data / "alone.png")
    points = gpd.GeoDataFrame({"image": ["x"]}, geometry=[shapely.Point(0, 0)], crs=3413)
    points.to_file(data / "Bo" / "points.gpkg")
    lonely = gpd.GeoDataFrame(
        {"image": ["only_one"]}, geometry=[LineString([(0, 0), (9, 9)])], crs=3413
    )
    lonely.to_file(data / "Bo" / "more.gpkg")
    far = gpd.GeoDataFrame(
        {"image": ["far"] * 2}, geometry=[lonely.geometry[0], LineString([(0, 0), (1e300, 0)])]
    )
    far.set_crs(3413).to_file(data / "Bo" / "far.gpkg")
    images, problems = read_traces(data, ignore=[data / "flow.gpkg"])
    assert len(images) == 3
    said = " ".join(problems)
    for words in (
        "broken.gpkg cannot be read",
        "mask of the front, not of zones",
        "alone.png names nobody",
        "holds Point, not lines",
        "only_one was traced by Bo alone",
        "far.gpkg: 1 of 2 rows left out: row 1 has the vertex (1e+300, 0)",
    ):
        assert words in said
    study = study_annotators(images, problems=problems, progress=False)
    assert study.problems[: len(problems)] == tuple(problems)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--data", "gone"), "is no folder"),
        (("--data", "empty"), "holds no image that two people traced"),
        (("--data", "empty", "--fronts", "fronts.gpkg"), "have no name"),
        (("--data", "empty", "--fronts", "a=gone.gpkg"), "do not exist"),
        (("--data", "empty", "--zones", "gone"), "is no folder"),
        (("--data", "empty", "--pixel-size", "-3"), "-3"),
    ],
)
def test_mistakes_are_one_sentence(options, words, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    code, text = run(*options, "--out", "out")
    assert code == 2
    assert words in text
    assert text.strip().count("\n") == 0
    assert not Path("out").exists()


def test_flow_must_be_lines(tmp_path: Path):
    with pytest.raises(IcefrontError, match="does not exist"):
        read_flow(tmp_path / "gone.gpkg")
    (tmp_path / "bad.gpkg").write_bytes(b"x")
    with pytest.raises(IcefrontError, match="cannot be read"):
        read_flow(tmp_path / "bad.gpkg")
