"""The catalogue: a GeoPackage that other software reads and that no death of a process damages."""

import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import geopandas as gpd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from shapely.geometry import LineString, MultiLineString

from icefront.errors import IcefrontError
from icefront.projects import catalogue as catalogues
from icefront.projects.catalogue import (
    CATALOGUE,
    DONE,
    FAILED,
    LAYER,
    NEW,
    RUNNING,
    Catalogue,
    blob_of,
    create,
    line_of,
    restore,
)

LINE = LineString([(0, 0), (10, 5), (20, 40)])


def row(number, **more):
    return {
        "path": f"/scenes/{number}.tif",
        "name": f"scene_{number}",
        "scene": f"scene_{number}",
        "glacier": "Crane",
        "date": "2018-06-02",
        "source": "icefront",
        "state": NEW,
        "settings": "s",
    } | more


@pytest.fixture
def project(tmp_path):
    with create(tmp_path, CRS.from_epsg(3031)) as catalogue, catalogue.writing():
        for number in range(5):
            catalogue.insert(row(number))
    return tmp_path


def finish(catalogue, run="r"):
    taken = catalogue.claim(run, ["s"])
    catalogue.finish(taken["fid"], run, {"state": DONE, "length_m": 12.5}, LINE)
    return taken


coordinates = st.floats(-1e7, 1e7, allow_nan=False)
points = st.lists(st.tuples(coordinates, coordinates), min_size=2, max_size=6, unique=True)


@given(st.lists(points, min_size=1, max_size=3))
def test_a_line_comes_back_as_it_was(pieces):
    line = LineString(pieces[0]) if len(pieces) == 1 else MultiLineString(pieces)
    assert line_of(blob_of(line, 3031)).equals_exact(line, 0)


def test_other_software_reads_the_catalogue(project):
    with Catalogue(project) as catalogue:
        finish(catalogue)
        catalogue.note_extent()
    table = gpd.read_file(project / CATALOGUE, layer=LAYER)
    assert table.crs == CRS.from_epsg(3031)
    assert table["state"].tolist() == [DONE, *[NEW] * 4]
    assert str(table["date"][0])[:10] == "2018-06-02"
    assert table.geometry[0].equals(MultiLineString([LINE]))
    assert table.geometry[1] is None
    if shutil.which("ogrinfo"):
        said = subprocess.run(
            ["ogrinfo", "-so", "-al", str(project / CATALOGUE)], capture_output=True, text=True
        )
        assert "Warning" not in said.stderr + said.stdout
        assert "Geometry: Multi Line String" in said.stdout
        assert "Extent: (0.000000, 0.000000) - (20.000000, 40.000000)" in said.stdout
        assert "date: Date" in said.stdout


def test_each_scene_is_taken_once_and_released_when_its_run_has_died(project):
    with Catalogue(project) as first, Catalogue(project) as second:
        lock = catalogues.lock_of(project, "alive")
        (project / catalogues.RUNS).mkdir()
        with lock:
            taken = {first.claim("alive", ["s"])["fid"], second.claim("dead", ["s"])["fid"]}
            assert len(taken) == 2
            assert first.claim("alive", ["other settings"]) is None
            assert catalogues.is_alive(project, "alive")
            assert not catalogues.is_alive(project, "dead")
            assert first.release_dead() == 1
            assert first.counts() == {NEW: 4, RUNNING: 1}
        assert second.release_dead() == 1


def test_a_scene_that_another_run_has_taken_over_is_left_alone(project):
    with Catalogue(project) as catalogue:
        taken = catalogue.claim("dead", ["s"])
        catalogue.release("dead")
        catalogue.claim("heir", ["s"])
        assert not catalogue.finish(taken["fid"], "dead", {"state": FAILED, "error": "no"}, None)
        assert catalogue.counts()[RUNNING] == 1


def die_in_the_middle_of_a_write(project):
    catalogue = Catalogue(project)
    finish(catalogue)
    catalogue.db.execute("PRAGMA cache_size = 2")
    with catalogue.writing() as db:
        for number in range(100, 400):
            catalogue.insert(row(number, notes="x" * 3000))
        db.execute(f"UPDATE {LAYER} SET state = 'failed', geom = NULL")
        os.kill(os.getpid(), signal.SIGKILL)


def test_killed_in_the_middle_of_a_write_nothing_reported_is_lost(project):
    """The transaction has spilled half of itself into the file when the process dies."""
    # Not a fork of this process, whose threads may hold locks.
    spawned = multiprocessing.get_context("spawn")
    victim = spawned.Process(target=die_in_the_middle_of_a_write, args=(project,))
    victim.start()
    victim.join()
    assert victim.exitcode == -signal.SIGKILL
    assert (project / f"{CATALOGUE}-journal").exists()
    with Catalogue(project) as catalogue:
        assert catalogue.counts() == {DONE: 1, NEW: 4}
        assert catalogue.table([DONE]).geometry[0].equals(LINE)


def test_a_damaged_catalogue_is_left_alone_and_rebuilt_from_the_records(project):
    with Catalogue(project) as catalogue:
        taken = finish(catalogue)
    folder = project / "scenes" / "Crane"
    folder.mkdir(parents=True)
    record = row(0, state=DONE, length_m=12.5, crs="EPSG:3031", line=LINE.wkt)
    (folder / "scene_0.json").write_text(json.dumps(record))
    (folder / "scene_1.json").write_text('{"path": "half')
    path = project / CATALOGUE
    content = bytearray(path.read_bytes())
    content[4096 : 3 * 4096] = os.urandom(2 * 4096)
    path.write_bytes(content)
    with pytest.raises(IcefrontError, match=r"is damaged .* rebuilds it from the records"):
        Catalogue(project)
    assert path.read_bytes() == content
    path.rename(project / "damaged.gpkg")
    with create(project, CRS.from_epsg(3031)) as catalogue:
        assert restore(catalogue) == 1
        table = catalogue.table([DONE])
    assert table["name"].tolist() == [taken["name"]]
    assert table.geometry[0].equals(LINE)
    assert table["length_m"][0] == 12.5


@pytest.mark.parametrize("content", [b"", b"no database at all, but some text " * 300])
def test_a_file_that_is_no_catalogue_is_one_sentence(tmp_path, content):
    (tmp_path / CATALOGUE).write_bytes(content)
    with pytest.raises(IcefrontError, match="is damaged"):
        Catalogue(tmp_path)
    assert (tmp_path / CATALOGUE).read_bytes() == content


def test_a_full_disk_is_one_sentence_and_loses_nothing(project):
    with Catalogue(project) as catalogue:
        finish(catalogue)
        pages = catalogue.db.execute("PRAGMA page_count").fetchone()[0]
        catalogue.db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(IcefrontError, match=r"disk of .* is full"), catalogue.writing():
            catalogue.insert(row(100, notes="x" * 500_000))
    with Catalogue(project) as catalogue:
        assert catalogue.counts() == {DONE: 1, NEW: 4}


def test_a_read_only_disk_is_one_sentence(project):
    with Catalogue(project) as catalogue:
        catalogue.db.execute("PRAGMA query_only = 1")
        with pytest.raises(IcefrontError, match="may not be written"):
            catalogue.claim("r", ["s"])


def test_a_catalogue_that_another_program_holds_is_one_sentence(project):
    other = sqlite3.connect(project / CATALOGUE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with (
        Catalogue(project, wait_s=0.05) as catalogue,
        pytest.raises(IcefrontError, match=r"another program for more than 0\.05 s"),
    ):
        catalogue.claim("r", ["s"])
    other.close()


def test_names_differ_by_more_than_case(project):
    with Catalogue(project) as catalogue:
        assert catalogue.free_name("fresh") == "fresh"
        assert catalogue.free_name("SCENE_1") == "SCENE_1_2"


def test_a_run_that_has_ended_is_not_alive(project):
    (project / catalogues.RUNS).mkdir()
    with catalogues.lock_of(project, "a"):
        assert catalogues.live_runs(project) == ["a"]
    assert catalogues.live_runs(project) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("date", "yesterday"),
        ("date", "2018-02-30"),
        ("date", "0001-01-01"),
        ("date", 20180602),
        ("length_m", "long"),
        ("length_m", 9e999),
        ("glacier", b"\xff\xfe"),
        ("path", b"/scenes/0.tif"),
        ("state", "finished"),
        ("size_bytes", 1.5),
        ("geom", "POINT (0 0)"),
        ("geom", b"GP"),
        ("geom", b"GP\0\1" + bytes(4) + b"\1\1" + bytes(19)),
        ("geom", blob_of(LineString([(0, 0), (1, 1)]), 3031)[:-16] + 16 * b"\xff"),
    ],
)
def test_a_value_that_does_not_belong_into_its_column_is_one_sentence(project, column, value):
    with Catalogue(project) as catalogue:
        finish(catalogue)
        with catalogue.writing() as db:
            db.execute(f"UPDATE {LAYER} SET {column} = ? WHERE fid = 1", (value,))
    with (
        pytest.raises(IcefrontError, match=r"is damaged .* rebuilds it"),
        Catalogue(project) as catalogue,
    ):
        catalogue.table([DONE])


@pytest.mark.parametrize("srs", [None, "x", 999999])
def test_a_catalogue_without_a_known_coordinate_system_is_one_sentence(project, srs):
    other = sqlite3.connect(project / CATALOGUE)
    if srs is None:
        other.execute("DELETE FROM gpkg_geometry_columns")
    else:
        other.execute("UPDATE gpkg_geometry_columns SET srs_id = ?", (srs,))
    other.commit()
    other.close()
    with pytest.raises(IcefrontError, match="is damaged"):
        Catalogue(project)


RECORD = row(0, state=DONE, length_m=12.5, crs="EPSG:3031", line=LINE.wkt)
values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([1]),
    st.just("LINESTRING (0 0, nan inf)"), st.just("EPSG:1"),
)  # fmt: skip


@settings(max_examples=25)
@given(st.sampled_from(sorted(RECORD)), values)
def test_whatever_a_record_says_the_catalogue_that_is_rebuilt_can_be_read(name, value):
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "scenes" / "Crane").mkdir(parents=True)
        for number, record in enumerate([RECORD | {name: value}, row(1, state=DONE)]):
            path = project / "scenes" / "Crane" / f"{number}.json"
            path.write_text(json.dumps(record))
        with create(project, CRS.from_epsg(3031)) as catalogue:
            assert restore(catalogue) in (1, 2)
        with Catalogue(project) as catalogue:
            table = catalogue.table([DONE, FAILED, NEW])
        assert value == "scene_1" or "scene_1" in set(table["name"])
