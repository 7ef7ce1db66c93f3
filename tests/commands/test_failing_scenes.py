"""Any failure of one scene costs that scene: one sentence with its name, and the rest goes on."""

from __future__ import annotations

import os
from pathlib import Path

import geopandas as gpd
import pytest
from rasterio._err import CPLE_AppDefinedError

from icefront.errors import FullDiskError
from icefront.extraction import pipeline
from icefront.extraction.pipeline import extract_scenes
from icefront.files import atomic
from icefront.projects.catalogue import DONE, FAILED, SCENES, Catalogue
from icefront.projects.run import run_monitoring
from tests.helpers.scenes import GreyLevels, write_tif
from tests.helpers.simulated_projects import Inline, config, write_series

GOOD = "Crane_20180105_S1"
LONG_NAME = "Crane_20180129_S1_" + "æ" * 114 + ".tif"
UNDECODABLE = os.fsdecode(b"Crane_20180129_S1_\xf8.tif")


def extract(paths, out, **more):
    return extract_scenes(
        paths, out, model=GreyLevels(), device="cpu", radiometry="grey", progress=False, **more
    )


def run(source, project, **more):
    options = {"loader": GreyLevels, "progress": False, "device": "cpu", "workers": 1}
    return run_monitoring(source, project, start_workers=Inline, **options | more)


def rows(project: Path) -> gpd.GeoDataFrame:
    with Catalogue(project) as catalogue:
        return catalogue.table([DONE, FAILED]).set_index("path")


def two_scenes(folder: Path, name: str | None = None, **tags: str) -> list[Path]:
    """Write a good scene and another one, which may get a name or tags."""
    import rasterio

    good, other = write_series(folder, 2)
    with rasterio.open(other, "r+") as raster:
        raster.update_tags(**tags)
    if name is not None:
        other = other.rename(folder / name)
    return [good, other]


FAILURES = [
    CPLE_AppDefinedError(3, 1, "PROJ: proj_create_from_database"),
    ZeroDivisionError("division by zero"),
    MemoryError(),
    RecursionError("maximum recursion depth exceeded"),
    UnicodeEncodeError("utf-8", "\udcf8", 0, 1, "surrogates not allowed"),
]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_whatever_fails_in_a_scene_costs_that_scene(tmp_path, monkeypatch, error):
    paths = two_scenes(tmp_path / "scenes")
    predict = pipeline.predict

    def failing(models, scene, *others, **more):
        if scene.path == paths[0]:
            raise error
        return predict(models, scene, *others, **more)

    monkeypatch.setattr(pipeline, "predict", failing)
    report = extract(paths, tmp_path / "out")
    assert [scene.front is None for scene in report.scenes] == [True, False]
    assert GOOD in report.scenes[0].error
    assert len(report.scenes[0].error.splitlines()) == 1
    assert len(gpd.read_file(tmp_path / "out" / "fronts.gpkg")) == 1
    assert not (tmp_path / "out" / f"{GOOD}_zones.tif").exists()

    found = run(config(tmp_path), tmp_path / "project")
    assert (found.done, found.failed) == (1, 1)
    assert GOOD in rows(tmp_path / "project").loc[str(paths[0]), "error"]


def test_a_scene_whose_files_cannot_be_written_costs_that_scene(tmp_path, monkeypatch):
    paths = two_scenes(tmp_path / "scenes")
    draw = pipeline.draw_quicklook

    def failing(path, *others):
        if path.name.startswith(GOOD):
            raise OSError(36, "File name too long")
        draw(path, *others)

    monkeypatch.setattr(pipeline, "draw_quicklook", failing)
    report = extract(paths, tmp_path / "out")
    assert len(report.failed) == 1
    assert GOOD in report.failed[0].error
    assert not list((tmp_path / "out").glob(f"{GOOD}*"))

    move = atomic.move_into_place

    def refusing(part, path):
        if path.name.startswith(GOOD):
            raise OSError(36, "File name too long")
        move(part, path)

    monkeypatch.setattr(atomic, "move_into_place", refusing)
    found = run(config(tmp_path), tmp_path / "project")
    assert (found.done, found.failed) == (1, 1)


def test_a_row_that_fits_into_no_table_costs_that_scene(tmp_path, monkeypatch):
    paths = two_scenes(tmp_path / "scenes")
    draw = pipeline.draw_front

    def odd(probabilities, scene, **more):
        front = draw(probabilities, scene, **more)
        return front.assign(reason="\udcf8") if scene.path == paths[0] else front

    monkeypatch.setattr(pipeline, "draw_front", odd)
    report = extract(paths, tmp_path / "out")
    assert [Path(scene.path) for scene in report.failed] == paths[:1]
    assert len(gpd.read_file(tmp_path / "out" / "fronts.geojson")) == 1


def test_a_full_disk_ends_an_extraction(tmp_path, monkeypatch):
    paths = two_scenes(tmp_path / "scenes")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pipeline, "draw_quicklook", full)
    with pytest.raises(FullDiskError, match="is full"):
        extract(paths, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "tags"), [(LONG_NAME, {}), (None, {"GLACIER": "G" * 300}), (None, {"GLACIER": "a/\n"})]
)
def test_names_of_any_length_become_fronts(tmp_path, name, tags):
    paths = two_scenes(tmp_path / "scenes", name, **tags)
    report = extract(paths, tmp_path / "out")
    assert not report.failed
    found = run(config(tmp_path), tmp_path / "project")
    assert (found.done, found.failed) == (2, 0)
    zones = list((tmp_path / "project" / SCENES).glob("*/*_zones.tif"))
    assert len(zones) == 2
    assert run(config(tmp_path), tmp_path / "project").already == 2


def test_a_name_that_is_not_utf_8_costs_that_scene(tmp_path):
    try:
        paths = two_scenes(tmp_path / "scenes", UNDECODABLE)
    except OSError:
        pytest.skip("the file system takes no such name")
    report = extract(paths, tmp_path / "out")
    assert [scene.front is None for scene in report.scenes] == [False, True]
    assert r"S1_\xf8.tif is not UTF-8: rename" in report.scenes[1].error

    told = []
    found = run(config(tmp_path), tmp_path / "project", on_scene=told.append)
    assert (found.done, found.failed, found.exit_code) == (1, 1, 1)
    (error,) = [scene.error for scene in told if scene.error]
    assert r"S1_\xf8.tif is not UTF-8: rename" in error
    for again in ({}, {"retry": True}):
        found = run(config(tmp_path), tmp_path / "project", **again)
        assert (found.already, found.done) == (2, 0)


def test_a_line_that_has_no_place_on_the_map_of_the_project_costs_its_scene(tmp_path):
    paths = write_series(tmp_path / "scenes", 2)
    write_tif(tmp_path / "scenes" / "far.tif", _pixels(paths[0]), crs="EPSG:32701")
    found = run(config(tmp_path), tmp_path / "project")
    assert found.done + found.failed == 3
    assert found.done >= 2


def _pixels(path: Path):
    import rasterio

    with rasterio.open(path) as raster:
        return raster.read(1)
