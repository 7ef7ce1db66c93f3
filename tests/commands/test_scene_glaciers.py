"""Runs over archives of products: each scene with its glacier and day, each pass once."""

from __future__ import annotations

import shutil
import unicodedata

from icefront.projects import smoothing
from icefront.projects.catalogue import DONE, LAYER, Catalogue, kept_file
from icefront.projects.results import load_results
from icefront.projects.run import run_monitoring
from tests.helpers.scenes import GreyLevels
from tests.helpers.simulated_projects import Inline, config, write_series

SAFE = "S1A_IW_GRDH_1SDH_{0}T101112_{0}T101137_022178_026630_D4F3.SAFE"
MEASUREMENT = "s1a-iw-grd-{}-{}t101112-{}t101137-022178-026630-{:03d}.tiff"


def run(source, project, **more):
    options = {"loader": GreyLevels, "progress": False, "device": "cpu", "workers": 1}
    return run_monitoring(source, project, start_workers=Inline, **options | more)


def rows(project):
    with Catalogue(project) as catalogue:
        return catalogue.table([DONE])


def archive(folder, places):
    """Put simulated scenes to places in a folder of scenes."""
    for path, place in zip(write_series(folder / "loose", len(places)), places, strict=True):
        target = folder / "scenes" / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
    (folder / "loose").rmdir()


def products(glacier, day):
    """Return the places of both channels of a product."""
    inside = f"{glacier}/{SAFE.format(day)}/measurement"
    return [
        f"{inside}/{MEASUREMENT.format(channel, day, day, number)}"
        for number, channel in enumerate(("hh", "hv"), 1)
    ]


def test_product_folders_of_two_glaciers_become_two_series_of_one_channel(tmp_path):
    places = [*products("Helheim", "20180602"), *products("Kangerlussuaq", "20180614")]
    archive(tmp_path, [*places, "Helheim/20180626/gamma0_HH.tif"])
    project = tmp_path / "project"
    report = run(config(tmp_path), project)
    assert (report.found, report.done, report.failed) == (3, 3, 0)
    assert any("2 images of passes in other polarisations" in note for note in report.notes)
    found = rows(project)
    assert found["glacier"].tolist() == ["Helheim", "Helheim", "Kangerlussuaq"]
    assert found["date"].dt.strftime("%m%d").tolist() == ["0602", "0626", "0614"]
    assert not found["path"].str.contains("-hv-").any()
    assert run(config(tmp_path), project).already == 3


def test_one_glacier_has_one_name_in_a_project_and_numbers_tell_glaciers_apart(tmp_path):
    apart = unicodedata.normalize("NFD", "Isstrøm é 1")
    names = ["Helheim", "helheim", "HELHEIM", "Isstrøm é 1", apart, "Isstrøm_é_2"]
    archive(tmp_path, [f"{name}/{number}.tif" for number, name in enumerate(names)])
    project = tmp_path / "project"
    assert run(config(tmp_path), project).done == 6
    counts = rows(project)["glacier"].map(str.casefold).value_counts().to_dict()
    assert sorted(counts.values()) == [1, 2, 3]


def test_a_project_with_names_by_the_rule_of_release_0_1_0_keeps_its_scenes(tmp_path):
    """There, words of processors were glaciers, and each spelling was one of its own."""
    archive(tmp_path, [*products("Helheim", "20180602"), "HELHEIM_20180614.tif"])
    source, project = config(tmp_path), tmp_path / "project"
    assert run(source, project).done == 2
    with Catalogue(project) as catalogue, catalogue.writing() as db:
        db.execute(f"UPDATE {LAYER} SET glacier = 'measurement' WHERE path LIKE '%-hh-%'")
    before = rows(project)
    report = run(source, project)
    assert (report.already, report.done) == (2, 0)
    assert any("under 'measurement', which is no glacier" in note for note in report.notes)
    after = rows(project)
    assert after["glacier"].tolist() == before["glacier"].tolist() == ["HELHEIM", "measurement"]
    assert after["finished"].tolist() == before["finished"].tolist()


def test_spellings_of_a_project_are_one_series(tmp_path):
    archive(tmp_path, [f"Helheim_201801{day}.tif" for day in range(10, 22)])
    project = tmp_path / "project"
    run(config(tmp_path), project)
    with Catalogue(project) as catalogue, catalogue.writing() as db:
        db.execute(f"UPDATE {LAYER} SET glacier = 'HELHEIM' WHERE fid % 2")
    results = load_results(project, glaciers=["helheim"])
    (name,) = results.series
    assert name.casefold() == "helheim"
    assert len(results.fronts) == 12
    assert run(config(tmp_path), project).already == 12
    assert rows(project)["glacier"].nunique() == 1


def test_files_of_a_scene_are_found_after_its_glacier_got_another_name(tmp_path):
    archive(tmp_path, ["Helheim_20180602.tif", "Helheim_20180614.tif"])
    project = tmp_path / "project"
    run(config(tmp_path), project)
    glaciers = {"Helheim Gletscher": {"names": ["Helheim"]}}
    report = run(config(tmp_path, glaciers=glaciers), project)
    assert (report.already, report.done) == (2, 0)
    for row in rows(project).itertuples():
        assert row.glacier == "Helheim Gletscher"
        assert kept_file(project, row.glacier, f"{row.name}_zones.tif").exists()


def test_a_glacier_whose_pass_through_time_fails_stops_no_other(tmp_path, monkeypatch):
    archive(tmp_path, [f"{name}_201806{day}.tif" for name in "AB" for day in ("02", "14")])
    smooth_dates = smoothing.smooth_dates

    def failing(dates, **more):
        if dates[0].name.startswith("A"):
            raise ZeroDivisionError("division by zero")
        return smooth_dates(dates, **more)

    monkeypatch.setattr(smoothing, "smooth_dates", failing)
    report = run(config(tmp_path), tmp_path / "project")
    assert (report.done, report.failed) == (4, 0)
    assert any(note.startswith("A stays as its dates alone") for note in report.notes)
