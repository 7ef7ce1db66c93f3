"""Runs: killed, crashed, run twice, on files that change, and at the end always the same."""

import functools
import json
import multiprocessing
import os
import random
import shutil
import signal
import time

import geopandas as gpd
import numpy as np
import pytest
from shapely import LineString
from typer.testing import CliRunner

from icefront.cli import app
from icefront.errors import IcefrontError
from icefront.files import atomic
from icefront.projects import catalogue as catalogues
from icefront.projects import run as runs
from icefront.projects import workers
from icefront.projects.catalogue import (
    CATALOGUE,
    DONE,
    FAILED,
    NEW,
    NO_FRONT,
    RUNS,
    SCENES,
    Catalogue,
)
from icefront.projects.run import run_monitoring
from icefront.simulation.archives import simulate_scenes
from tests.helpers.scenes import GREYS, GreyLevels, landscape, write_tif
from tests.helpers.simulated_projects import Deadly, Inline, config, write_deadly, write_series

RESULT = [
    "name",
    "state",
    "glacier",
    "date",
    "sensor",
    "length_m",
    "uncertainty_m",
    "flag",
    "sha256",
]


def run(source, out, **more):
    """Run in this very process, unless other workers are named; each date stands alone."""
    options = {
        "loader": GreyLevels,
        "progress": False,
        "device": "cpu",
        "workers": 1,
        "start_workers": Inline,
        "through_time": False,
    }
    return run_monitoring(source, out, **options | more)


# Children are forked from a clean server: a fork of the tests' own process would copy the locks
# that threads of torch and GDAL hold at that moment.
CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload([__name__])


def run_in_child(source, project, log=None, moment=None, pause=0.0, report=None):
    """Run, log which scenes are done, and die at a moment; what a child process does."""

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    def note(scene):
        if moment == "after the commit":
            die()
        if log is not None:
            with log.open("a") as file:
                file.write(scene.name + "\n")
                file.flush()
                os.fsync(file.fileno())

    if moment == "before the rename":
        move = atomic.move_into_place
        atomic.move_into_place = lambda part, path: (
            die() if path.parent.parent.name == SCENES else move(part, path)
        )
    elif moment == "before the commit":
        catalogues.blob_of = die
    paused = functools.partial(Inline, pause=pause)
    found = run(source, project, on_scene=note, start_workers=paused)
    if report is not None:
        report.write_text(str(found.done))


def child(*arguments, **options):
    """Start such a process."""
    process = CHILDREN.Process(target=run_in_child, args=arguments, kwargs=options)
    process.start()
    return process


def result(project):
    with Catalogue(project) as catalogue:
        table = catalogue.table([DONE, NO_FRONT, FAILED, NEW])
    return table


def same(first, second):
    first, second = (table.sort_values("name", ignore_index=True) for table in (first, second))
    assert first[RESULT].equals(second[RESULT])
    assert first.geometry.geom_equals_exact(second.geometry, 0).all()


def test_a_run_picks_up_what_is_new_changed_or_moved(tmp_path):
    paths = write_series(tmp_path / "scenes", 4)
    late = tmp_path / "late.tif"
    shutil.move(paths.pop(), late)
    source, project = config(tmp_path), tmp_path / "project"
    seen = []
    report = run(source, project, on_scene=seen.append)
    assert (report.done, report.failed, report.exit_code) == (3, 0, 0)
    assert [scene.state for scene in seen] == [DONE] * 3
    table = result(project)
    assert table["glacier"].tolist() == ["Crane"] * 3
    x = table.geometry.centroid.x.to_numpy()
    assert np.diff(x) == pytest.approx([-30.0, -30.0], abs=10)
    for name in table["name"]:
        assert (project / "scenes" / "Crane" / f"{name}_zones.tif").exists()

    again = run(source, project)
    assert (again.already, again.done) == (3, 0)

    shutil.move(late, tmp_path / "scenes" / "Crane_20180318_S1.tif")  # new
    changed = landscape()
    changed[30:-30, :80] = GREYS[2]
    changed[30:-30, 80:] = GREYS[3]
    write_tif(paths[0], changed)  # another content
    os.utime(paths[1])  # another time only
    moved = tmp_path / "scenes" / "deeper" / paths[2].name
    moved.parent.mkdir()
    shutil.move(paths[2], moved)  # another place
    report = run(source, project)
    assert (report.already, report.done) == (2, 2)
    assert any("1 files have changed" in note for note in report.notes)
    table = result(project)
    assert len(table) == 4
    assert str(moved) in set(table["path"])
    before = x[0]
    assert table.geometry.centroid.x[0] == pytest.approx(before - 40 * 30, abs=15)


def test_a_vanished_a_broken_and_an_empty_scene_leave_the_others_done(tmp_path, monkeypatch):
    folder = tmp_path / "scenes"
    paths = write_series(folder, 3)
    (folder / "Crane_20190101_S1.tif").write_bytes(paths[0].read_bytes()[:900])
    write_tif(
        folder / "Crane_20190202_S1.tif",
        np.random.default_rng(0).integers(GREYS[3], GREYS[3] + 3, (150, 200)).astype(np.uint8),
    )
    work = workers.work

    def vanishing(task, *others):
        if task.path == str(paths[1]):
            paths[1].unlink()
        return work(task, *others)

    monkeypatch.setattr(workers, "work", vanishing)
    project = tmp_path / "project"
    source = config(tmp_path)
    report = run(source, project)
    assert (report.done, report.no_front, report.failed, report.exit_code) == (2, 1, 2, 1)
    failed = result(project).query("state == 'failed'").set_index("name")["error"]
    assert "does not exist" in failed["Crane_20180129_S1"]
    assert all(text.endswith(".") and "Traceback" not in text for text in failed)
    # Once is enough, unless asked; and what is there again is taken up by itself.
    monkeypatch.setattr(workers, "work", work)
    write_series(folder, 3)
    report = run(source, project)
    assert (report.done, report.failed) == (1, 0)
    assert run(source, project, retry=True).failed == 1


def test_fronts_of_other_settings_are_not_mixed_in(tmp_path):
    write_series(tmp_path / "scenes", 2)
    project = tmp_path / "project"
    run(config(tmp_path), project)
    before = result(project)
    other = config(tmp_path, tta=True)
    with pytest.raises(IcefrontError, match=r"2 scenes .* other settings.*--renew"):
        run(other, project)
    same(result(project), before)
    assert run(other, project, renew=True).done == 2


def test_glaciers_come_from_table_configuration_and_folders(tmp_path):
    for glacier in ("a", "b", "c"):
        write_series(tmp_path / "scenes" / f"folder {glacier}", 1, glacier=f"2{glacier}")
    table = "path,glacier,date,sensor\nscenes/folder c/2c_20180105_S1.tif,Tabled,2018-07-01,TSX\n"
    (tmp_path / "table.csv").write_text(table)
    source = config(tmp_path, table="table.csv", glaciers={"Named": {"names": ["folder_B"]}})
    run(source, tmp_path / "project")
    found = result(tmp_path / "project").set_index("glacier")
    assert set(found.index) == {"folder a", "Named", "Tabled"}
    assert (str(found["date"]["Tabled"])[:10], found["sensor"]["Tabled"]) == ("2018-07-01", "TSX")


@pytest.mark.slow
def test_a_run_killed_at_ten_random_moments_comes_to_the_same_end(tmp_path):
    """A child is killed again and again; what it logged as done is there each time."""
    write_series(tmp_path / "scenes", 12)
    source = config(tmp_path)
    whole = tmp_path / "whole"
    begun = time.monotonic()
    run(source, whole)
    length = time.monotonic() - begun
    project, log = tmp_path / "project", tmp_path / "log"
    log.touch()
    moments = random.Random(1)
    kills = 0
    for _ in range(40):
        victim = child(source, project, log)
        time.sleep(moments.uniform(0.02, 0.35) * length)
        victim.kill()
        victim.join()
        if victim.exitcode == -signal.SIGKILL:
            kills += 1
        else:
            assert victim.exitcode == 0
        if (project / CATALOGUE).exists():
            done = set(result(project).query("state == 'done'")["name"])
            assert set(log.read_text().split()) <= done
            if kills >= 10 or len(done) == 12:
                # A new project for the kills that are left.
                if kills >= 10:
                    break
                shutil.rmtree(project)
                log.write_text("")
    assert kills >= 10
    report = run(source, project)
    assert report.done + report.already == 12
    same(result(project), result(whole))
    assert not list(project.glob("scenes/*/.*"))
    assert not list((project / RUNS).glob("*.lock"))


@pytest.mark.parametrize("moment", ["before the rename", "before the commit", "after the commit"])
def test_a_run_killed_in_the_middle_of_a_scene_goes_on(tmp_path, moment):
    write_series(tmp_path / "scenes", 3)
    source, project = config(tmp_path), tmp_path / "project"
    victim = child(source, project, moment=moment)
    victim.join()
    assert victim.exitcode == -signal.SIGKILL
    with Catalogue(project) as catalogue:
        assert catalogue.counts().get(DONE, 0) == (moment == "after the commit")
    assert run(source, project).failed == 0
    run(source, tmp_path / "whole")
    same(result(project), result(tmp_path / "whole"))


def test_two_runs_at_once_share_the_work(tmp_path):
    write_series(tmp_path / "scenes", 10)
    source, project = config(tmp_path), tmp_path / "project"
    both = [
        child(source, project, pause=0.05, report=tmp_path / f"report{number}")
        for number in range(2)
    ]
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    done = [int((tmp_path / f"report{number}").read_text()) for number in range(2)]
    assert sum(done) == 10
    run(source, tmp_path / "whole")
    same(result(project), result(tmp_path / "whole"))


@pytest.mark.slow
def test_a_scene_that_kills_its_worker_fails_and_the_others_are_done(tmp_path):
    """Real processes, one of which the system kills."""
    write_series(tmp_path / "scenes", 3)
    write_deadly(tmp_path / "scenes" / "Crane_20180110_S1.tif")
    project = tmp_path / "project"
    report = run(config(tmp_path), project, loader=Deadly, start_workers=workers.Processes)
    assert (report.done, report.failed) == (3, 1)
    (error,) = result(project).query("state == 'failed'")["error"]
    assert "Crane_20180110_S1.tif" in error
    assert "killed (signal 9)" in error
    assert "--retry" in error


def test_a_full_disk_stops_the_run_and_keeps_what_was_done(tmp_path, monkeypatch):
    write_series(tmp_path / "scenes", 4)
    source, project = config(tmp_path), tmp_path / "project"
    move, calls = atomic.move_into_place, []

    def full(part, path):
        if path.parent.parent.name == SCENES:
            calls.append(path)
        if len(calls) > 4:  # two files a scene
            raise OSError(28, "No space left on device")
        move(part, path)

    monkeypatch.setattr(atomic, "move_into_place", full)
    with pytest.raises(IcefrontError, match=r"disk of .* is full"):
        run(source, project)
    with Catalogue(project) as catalogue:
        assert catalogue.counts() == {DONE: 2, NEW: 2}
    monkeypatch.setattr(atomic, "move_into_place", move)
    assert run(source, project).done == 2


def test_the_first_scene_is_handed_out_before_all_headers_are_read(tmp_path, monkeypatch):
    write_series(tmp_path / "scenes", 12)
    monkeypatch.setattr(runs, "CRS_SAMPLE", 1)
    monkeypatch.setattr(runs, "BATCH", 2)
    read_header, read, told = runs.read_header, [], []

    def counted(item):
        read.append(item.path)
        return read_header(item)

    monkeypatch.setattr(runs, "read_header", counted)
    report = run(
        config(tmp_path),
        tmp_path / "project",
        on_scene=lambda scene: told.append(len(read)),
    )
    assert (report.found, report.done) == (12, 12)
    assert told[0] <= 5
    assert len(read) == len(set(read)) == 12


def test_a_model_that_cannot_be_loaded_ends_the_run_and_leaves_no_project(tmp_path):
    write_series(tmp_path / "scenes", 1)
    done = CliRunner().invoke(
        app,
        ["monitor", "run", str(tmp_path / "scenes"), "--out", str(tmp_path / "p"), "--model", "no"],
    )
    assert done.exit_code == 2
    assert "no model or checkpoint 'no'" in done.stderr
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scenes: [nowhere]", "do not exist"),
        ("scenes: ['*.none']", "No file fits"),
        ("scene: [x]", "scene: there is no such key"),
        ("- a", "is not a configuration: a mapping"),
        ("table: none.csv", "does not exist"),
        ("a: [", "is not a YAML configuration"),
        ("pixel_size: 3 furlongs", "project.yaml: A pixel size of '3 furlongs'"),
        ("glaciers: {Crane: {scene: [x]}}", "glaciers.Crane.scene: there is no such key"),
    ],
)
def test_mistakes_in_a_configuration_are_one_sentence(tmp_path, text, expected):
    path = tmp_path / "project.yaml"
    path.write_text(text)
    done = CliRunner().invoke(app, ["monitor", "run", str(path), "--out", str(tmp_path / "p")])
    assert done.exit_code == 2
    assert expected in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_three_commands_from_a_folder_to_the_curve(tmp_path):
    """The packaged model, processes and all, on a simulated series."""
    scenes, project = tmp_path / "scenes", tmp_path / "project"
    simulate_scenes(scenes, "Kronebreen", count=6, pixel_m=60.0, progress=False)
    box = gpd.read_file(scenes / "truth.gpkg", layer="box")
    box.to_file(tmp_path / "box.gpkg", layer="box")
    words = ["monitor", "run", str(scenes), "--out", str(project), "--workers", "1"]
    done = CliRunner().invoke(app, [*words, "--aoi", str(tmp_path / "box.gpkg")])
    assert done.exit_code == 0, done.output
    assert "6 scenes: 0 were there already" in done.stdout
    truth = ["--centreline", str(scenes / "truth.gpkg"), "--box", str(tmp_path / "box.gpkg")]
    theirs = gpd.read_file(scenes / "truth.gpkg", layer="fronts").iloc[[0, 1, 2, 2]].reset_index()
    theirs["date"] = ["02/06/2018", "14/06/2018", "30/12/1899", "02/07/2018"]
    theirs.loc[3, "geometry"] = LineString([(0, 0), (1e300, 0)])
    theirs[["date", "glacier", "geometry"]].to_file(tmp_path / "theirs.gpkg")
    words = [*truth, "--fronts", str(tmp_path / "theirs.gpkg"), "--no-animation"]
    done = CliRunner().invoke(app, ["monitor", "products", str(project), *words])
    assert done.exit_code == 0, done.output
    assert "theirs.gpkg: 1 of 4 fronts left out: row 3 has the vertex (1e+300, 0)" in done.stderr
    assert "theirs.gpkg: 1 of 3 fronts without a date left out" in done.stderr
    assert (project / "products" / "report.html").exists()
    done = CliRunner().invoke(app, ["monitor", "review", str(project), *truth, "--count", "1"])
    assert done.exit_code == 0, done.output
    assert len(list((project / "review").glob("*.png"))) == 1
    name = done.stdout.split()[3].rstrip(":")
    done = CliRunner().invoke(app, ["monitor", "review", str(project), "--reject", name])
    assert done.exit_code == 0, done.output
    record = json.loads(next((project / RUNS).glob("*.json")).read_text())
    assert record["parameters"]["model"] == "tyrion-mini"
