"""The pass through time in projects and in extract, and corrections by hand."""

import datetime as dt
import shutil

import geopandas as gpd
import numpy as np
import pytest
import shapely
from pyproj import CRS
from typer.testing import CliRunner

import icefront
from icefront.cli import app
from icefront.extraction.pipeline import extract_scenes
from icefront.fronts.distances import mean_distance
from icefront.products.folder import make_products
from icefront.projects.catalogue import CATALOGUE, LAYER, SHORE, SINGLE_DATES, Catalogue, create
from icefront.projects.judgements import JUDGEMENTS, restore_judgements
from icefront.projects.probabilities import read_lattice, read_probabilities
from icefront.projects.results import load_results
from icefront.projects.review import judge, list_for_review
from icefront.projects.run import run_monitoring
from icefront.projects.smoothing import correct_project
from icefront.zones import GLACIER, OCEAN
from tests.helpers.scenes import GREYS, ORIGIN, SIZE_M, GreyLevels, landscape, write_tif
from tests.helpers.simulated_projects import Inline, write_series

COUNT = 7


def write_scenes(folder, bad=None):
    """Write a series of a receding front; in one scene a bay of ocean reaches into the trunk."""
    paths = write_series(folder, COUNT, glacier="Crane", step=12)
    if bad is not None:
        image = landscape()
        image[30:-30, : 120 - bad] = GREYS[GLACIER]
        image[30:-30, 120 - bad :] = GREYS[OCEAN]
        image[50:90, 60:] = GREYS[OCEAN]
        write_tif(paths[bad], image)
    return paths


def run(folder, project, **more):
    options = {
        "loader": GreyLevels,
        "start_workers": Inline,
        "workers": 1,
        "device": "cpu",
        "radiometry": "grey",
        "progress": False,
    }
    return run_monitoring(folder, project, **options | more)


def fronts(project, layer=LAYER):
    return gpd.read_file(project / CATALOGUE, layer=layer)


def drawn(date, column=100, rows=(28, 122), **more):
    """Return a hand-drawn front along a column of the scenes."""
    x = ORIGIN[0] + column * SIZE_M
    y = ORIGIN[1] - np.array(rows) * SIZE_M
    line = shapely.LineString([(x, y[0]), (x, y[1])])
    return gpd.GeoDataFrame(
        {"glacier": ["Crane"], "date": [date], **more}, geometry=[line], crs=3413
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a project with one bad image, the fourth."""
    folder = tmp_path_factory.mktemp("through time")
    write_scenes(folder / "scenes", bad=3)
    report = run(folder / "scenes", folder / "project")
    assert (report.done, report.redrawn, report.notes) == (COUNT, COUNT, [])
    return folder / "project"


def test_a_bad_image_is_outvoted_and_its_own_front_is_kept_beside(project):
    table, single = fronts(project), fronts(project, SINGLE_DATES)
    assert table["through_time"].tolist() == ["smoothed"] * (COUNT - 1) + ["provisional"]
    assert single["scene"].tolist() == table["scene"].tolist()
    assert single.length.iloc[3] > 1.5 * table.length.iloc[3]
    assert table["moved_m"].iloc[3] > 100 > table["moved_m"].drop(3).max()
    neighbour = mean_distance(table.geometry.iloc[3], table.geometry.iloc[2], SIZE_M)
    assert neighbour < 2 * SIZE_M
    assert (table["interpolated"] == 0).all()


def test_review_puts_first_what_the_pass_disagrees_with_most(project):
    table = list_for_review(load_results(project))
    assert table["name"].iloc[0] == fronts(project)["name"].iloc[3]
    assert "from the front of its date alone" in table["why"].iloc[0]


def test_products_hold_both_fronts(project, tmp_path):
    make_products(project, out=tmp_path / "products", animation=False, progress=False)
    package = tmp_path / "products" / "fronts.gpkg"
    table = gpd.read_file(package, layer="fronts")
    assert table["through_time"].tolist() == fronts(project)["through_time"].tolist()
    assert (tmp_path / "products" / "Crane_through_time.png").exists()
    report = (tmp_path / "products" / "report.html").read_text("utf-8")
    assert "where they lie farthest apart" in report
    single = gpd.read_file(package, layer="single_dates")
    assert single.geometry.geom_equals(fronts(project, SINGLE_DATES).geometry).all()


def test_probabilities_of_all_scenes_share_a_lattice(project):
    files = sorted((project / "scenes" / "Crane").glob("*_probabilities.tif"))
    assert len(files) == COUNT
    grids = [read_lattice(file) for file in files]
    assert all(grid == grids[0] for grid in grids)
    values = read_probabilities(files[0])
    assert values.dtype == np.uint8
    assert (values.sum(axis=0, dtype=int) == 255).all()


def test_a_second_run_changes_nothing_and_a_new_scene_revises_the_newest(tmp_path):
    paths = write_scenes(tmp_path / "scenes")
    later = paths[-1].rename(tmp_path / paths[-1].name)
    run(tmp_path / "scenes", tmp_path / "project")
    before = fronts(tmp_path / "project")
    assert run(tmp_path / "scenes", tmp_path / "project").redrawn == 0
    assert fronts(tmp_path / "project").equals(before)
    later.rename(paths[-1])
    report = run(tmp_path / "scenes", tmp_path / "project")
    assert report.done == 1
    assert 1 <= report.redrawn <= COUNT
    table = fronts(tmp_path / "project")
    assert table["through_time"].tolist() == ["smoothed"] * (COUNT - 1) + ["provisional"]
    run(tmp_path / "scenes", tmp_path / "at once")
    at_once = fronts(tmp_path / "at once")
    assert table.geometry.geom_equals_exact(at_once.geometry, 0).all()
    assert table["uncertainty_m"].equals(at_once["uncertainty_m"])


def test_what_fronts_leave_out_is_a_layer_of_the_catalogue(tmp_path):
    write_series(tmp_path / "scenes", 2, glacier="Crane", step=12)
    run(tmp_path / "scenes", tmp_path / "whole")
    whole = fronts(tmp_path / "whole")
    middle = ORIGIN[1] - 75 * SIZE_M
    ice = shapely.box(ORIGIN[0] - 1e4, middle, ORIGIN[0] + 1e5, middle + 1e5)
    outline = tmp_path / "outline.gpkg"
    gpd.GeoDataFrame(geometry=[ice], crs=3413).to_file(outline)
    run(tmp_path / "scenes", tmp_path / "project", outline=str(outline))
    table, shore = fronts(tmp_path / "project"), fronts(tmp_path / "project", SHORE)
    assert shore["scene"].tolist() == table["scene"].tolist()
    assert (shore["length_m"] > 0.3 * whole["length_m"]).all()
    both = table["length_m"] + shore["length_m"]
    assert both.to_numpy() == pytest.approx(whole["length_m"].to_numpy(), rel=0.05)
    run(tmp_path / "scenes", tmp_path / "project", renew=True)
    assert fronts(tmp_path / "project", SHORE).empty


def test_a_pass_that_was_cut_off_is_done_again(tmp_path, monkeypatch):
    write_scenes(tmp_path / "scenes", bad=3)
    from icefront.projects import smoothing

    put_down, calls = smoothing._put_down, []

    def cut_off(*args):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        put_down(*args)

    monkeypatch.setattr(smoothing, "_put_down", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "scenes", tmp_path / "project")
    assert len(fronts(tmp_path / "project")) == COUNT
    monkeypatch.undo()
    run(tmp_path / "scenes", tmp_path / "project")
    table = fronts(tmp_path / "project")
    assert table["through_time"].notna().all()
    assert len(fronts(tmp_path / "project", SINGLE_DATES)) == COUNT


def test_without_the_pass_each_date_stands_alone(tmp_path):
    write_scenes(tmp_path / "scenes", bad=3)
    run(tmp_path / "scenes", tmp_path / "alone", through_time=False)
    alone = fronts(tmp_path / "alone")
    assert alone["through_time"].isna().all()
    assert not list((tmp_path / "alone").rglob("*_probabilities.tif"))
    run(tmp_path / "scenes", tmp_path / "both")
    run(tmp_path / "scenes", tmp_path / "both", through_time=False)
    back = fronts(tmp_path / "both")
    assert back["through_time"].isna().all()
    assert back.geometry.equals(alone.geometry)
    assert back["length_m"].tolist() == alone["length_m"].tolist()


def test_a_single_date_is_as_before(tmp_path):
    (path, *_) = write_scenes(tmp_path / "scenes")
    for other in (tmp_path / "scenes").glob("*.tif"):
        if other != path:
            other.unlink()
    run(tmp_path / "scenes", tmp_path / "project")
    assert fronts(tmp_path / "project")["through_time"].isna().all()


# --- corrections ----------------------------------------------------------------------------


def test_a_correction_wins_on_its_date_moves_its_neighbours_and_can_be_taken_back(
    project, tmp_path
):
    before = fronts(project)
    date = str(before["date"].iloc[3])[:10]
    drawn(date, column=80).to_file(tmp_path / "drawn.geojson", driver="GeoJSON")
    runner = CliRunner()
    arguments = ["monitor", "correct", str(project)]
    said = runner.invoke(
        app, [*arguments, "--fronts", str(tmp_path / "drawn.geojson"), "--by", "anna"]
    )
    assert said.exit_code == 0, said.output
    after = fronts(project)
    assert after["through_time"].iloc[3] == "corrected"
    assert after["reason"].iloc[3] == "drawn by anna"
    expected = drawn(date, column=80).geometry.iloc[0]
    assert mean_distance(after.geometry.iloc[3], expected, SIZE_M) < 1
    assert before.geometry.iloc[3].distance(after.geometry.iloc[3]) > 5 * SIZE_M
    assert "anna" in runner.invoke(app, [*arguments, "--list"]).output
    layer = gpd.read_file(project / CATALOGUE, layer="corrections")
    assert layer["person"].tolist() == ["anna"]
    assert runner.invoke(app, [*arguments, "--undo", "1"]).exit_code == 0
    assert "0 corrections" in runner.invoke(app, [*arguments, "--list"]).output
    back = fronts(project)
    assert back.geometry.equals(before.geometry)
    assert back["through_time"].tolist() == before["through_time"].tolist()


def test_verdicts_and_corrections_outlive_the_catalogue(project, tmp_path):
    own = tmp_path / "project"
    shutil.copytree(project, own)
    before = fronts(own)
    date = str(before["date"].iloc[3])[:10]
    correct_project(own, drawn(date, column=80), person="anna")
    correct_project(own, drawn(date, column=85), person="bo")  # takes anna's back
    judge(own, [before["name"].iloc[1], before["name"].iloc[2]], "rejected")
    judge(own, [before["name"].iloc[2]], None)
    corrected = fronts(own)
    people = gpd.read_file(own / CATALOGUE, layer="corrections")
    (own / CATALOGUE).unlink()
    report = run(project.parent / "scenes", own)
    assert f"1 verdicts and {len(people)} corrections are back." in report.notes
    assert report.done == 0
    rebuilt = fronts(own)
    assert rebuilt["verdict"].tolist() == corrected["verdict"].tolist()
    assert rebuilt["through_time"].tolist() == corrected["through_time"].tolist()
    assert rebuilt["reason"].iloc[3] == "drawn by bo"
    assert rebuilt.geometry.equals(corrected.geometry)
    assert gpd.read_file(own / CATALOGUE, layer="corrections").equals(people)


@pytest.mark.parametrize("damage", ["", "[]", '{"crs": "EPSG:3413", "verdicts": {"a": [1]}}',
    '{"crs": "x", "verdicts": {}, "corrections": []}',
    '{"crs": "EPSG:3413", "verdicts": {}, "corrections": [1, {"number": 1, "date": "never"}]}',
])  # fmt: skip
def test_damaged_judgements_do_not_stop_a_run(tmp_path, damage):
    catalogue = create(tmp_path, CRS.from_epsg(3413))
    (tmp_path / JUDGEMENTS).write_text(damage)
    with catalogue:
        assert restore_judgements(catalogue) == (0, 0)


def test_a_correction_that_does_not_fit_is_one_sentence(project, tmp_path):
    date = str(fronts(project)["date"].iloc[3])[:10]
    wrong = {
        "there is no scene of that date": drawn("2001-01-01"),
        "does not cross the fjord": drawn(date, column=5000),
        "no series of dates": drawn(date).assign(glacier="Jorum"),
    }
    for text, table in wrong.items():
        table.to_file(tmp_path / "wrong.gpkg")
        said = CliRunner().invoke(
            app, ["monitor", "correct", str(project), "--fronts", str(tmp_path / "wrong.gpkg")]
        )
        assert said.exit_code == 2
        assert text in said.output
        assert "Traceback" not in said.output
    with Catalogue(project) as catalogue:
        from icefront.projects.corrections import list_corrections

        assert list_corrections(catalogue) == []


def test_a_project_without_probabilities_says_what_to_do(tmp_path):
    write_scenes(tmp_path / "scenes")
    run(tmp_path / "scenes", tmp_path / "project", through_time=False)
    with pytest.raises(icefront.IcefrontError, match="--renew"):
        correct_project(tmp_path / "project", drawn("2018-01-05"))


# --- extract --------------------------------------------------------------------------------


def test_extract_of_several_dates_gives_the_same_in_python_and_on_disk(tmp_path):
    paths = write_scenes(tmp_path / "scenes", bad=3)
    network = GreyLevels()
    table = icefront.extract(paths, network, radiometry="grey", device="cpu")
    assert table["through_time"].tolist() == ["smoothed"] * (COUNT - 1) + ["provisional"]
    extract_scenes(
        paths, tmp_path / "out", model=network, radiometry="grey", device="cpu", progress=False
    )
    written = gpd.read_file(tmp_path / "out" / "fronts.gpkg", layer="fronts")
    assert written.geometry.equals(table.geometry.reset_index(drop=True))
    single = gpd.read_file(tmp_path / "out" / "fronts.gpkg", layer="single_dates")
    alone = icefront.extract(paths, network, radiometry="grey", device="cpu", through_time=False)
    assert single.geometry.equals(alone.geometry.reset_index(drop=True))
    assert "through_time" not in alone
    assert single.length.iloc[3] > 1.5 * written.length.iloc[3]


def test_a_scene_of_other_pixels_takes_no_part_and_stops_nothing(tmp_path):
    paths = write_scenes(tmp_path / "scenes")
    image = landscape()
    write_tif(paths[2], image, size=2 * SIZE_M)
    table = icefront.extract(paths, GreyLevels(), radiometry="grey", device="cpu")
    assert table["through_time"].notna().tolist() == [True, True, False, True, True, True, True]


def test_scenes_too_far_apart_for_one_grid_stay_as_they_are(tmp_path):
    first, second, *_ = write_scenes(tmp_path / "scenes")
    write_tif(second, landscape(), origin=(ORIGIN[0] + 400_000, ORIGIN[1] + 900_000))
    table = icefront.extract([first, second], GreyLevels(), radiometry="grey", device="cpu")
    assert len(table) == 2
    assert "through_time" not in table


def test_scenes_of_one_date_are_no_series(tmp_path):
    paths = write_scenes(tmp_path / "scenes")[:2]
    table = icefront.extract(
        paths, GreyLevels(), radiometry="grey", device="cpu", date=dt.date(2018, 1, 1)
    )
    assert "through_time" not in table
