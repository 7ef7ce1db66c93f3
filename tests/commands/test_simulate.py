"""`icefront simulate`: layouts that the readers accept, resuming, wrong values."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from PIL import Image
from typer.testing import CliRunner

import icefront
from icefront.cli import app
from icefront.datasets.caffe import CaffeDataset
from icefront.files import atomic
from icefront.simulation.archives import simulate_caffe
from icefront.simulation.gallery import draw_gallery


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["simulate", *map(str, arguments)])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def caffe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "caffe"
    code, text = run("caffe", "--out", out, "--share", 0.01, "--coarser", 8, "--seed", 2)
    assert code == 0, text
    return out


def test_a_made_caffe_is_read_as_the_real_one(caffe: Path) -> None:
    train, test = CaffeDataset(caffe), CaffeDataset(caffe, "test")
    assert {s.glacier for s in train.samples} == {"Crane", "DBE", "Jorum", "SI", "JAC"}
    assert {s.glacier for s in test.samples} == {"Mapple", "COL"}
    for index in range(len(test)):
        zones, front, box = test.zones(index), test.front(index), test.box(index)
        assert zones.shape == test.image(index).shape
        assert box is not None
        rows, columns = np.nonzero(front)
        assert rows.size > 3
        assert (rows >= box[0]).all()
        assert (columns <= box[3]).all()
        # The front runs along ocean.
        near = np.zeros(zones.shape, bool)
        near[:-1] |= zones[1:] == 3
        near[1:] |= zones[:-1] == 3
        near[:, :-1] |= zones[:, 1:] == 3
        near[:, 1:] |= zones[:, :-1] == 3
        assert (near | (zones == 3))[front].mean() > 0.95


def test_a_second_run_keeps_what_is_there_and_workers_change_nothing(
    caffe: Path, tmp_path: Path
) -> None:
    kept = {p: p.stat().st_mtime_ns for p in caffe.rglob("*.png")}
    simulate_caffe(caffe, fraction=0.01, coarser=8, seed=2, progress=False)
    assert {p: p.stat().st_mtime_ns for p in caffe.rglob("*.png")} == kept
    again = tmp_path / "again"
    simulate_caffe(
        again, glaciers=["Mapple"], fraction=0.01, coarser=8, seed=2, workers=2, progress=False
    )
    made = sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    assert len(made) >= 4 * 5
    assert all((again / p).read_bytes() == (caffe / p).read_bytes() for p in made)


def test_images_of_another_seed_are_not_mixed_in(caffe: Path) -> None:
    before = sorted(caffe.rglob("*"))
    code, text = run("caffe", "--out", caffe, "--share", 0.01, "--coarser", 8, "--seed", 3)
    assert code == 2
    assert "simulated with seed 2, not 3: name another folder" in " ".join(text.split())
    assert sorted(caffe.rglob("*")) == before


def test_an_interrupted_image_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was reported done stays, what was being written leaves nothing."""
    move, count = atomic.move_into_place, 0

    def breaks(part: Path, path: Path) -> None:
        nonlocal count
        count += 1
        if count == 7:  # the stamp of the folder, four files of an image, two of the next
            raise KeyboardInterrupt
        move(part, path)

    options = {"glaciers": ["Mapple"], "fraction": 0.01, "coarser": 8, "progress": False}
    monkeypatch.setattr(atomic, "move_into_place", breaks)
    with pytest.raises(KeyboardInterrupt):
        simulate_caffe(tmp_path, **options)
    assert len(list((tmp_path / "sar_images" / "test").glob("*.png"))) == 1
    assert not list(tmp_path.rglob(".icefront*"))
    monkeypatch.setattr(atomic, "move_into_place", move)
    names = simulate_caffe(tmp_path, **options)
    found = {p.stem for p in (tmp_path / "sar_images" / "test").glob("*.png")}
    assert found == set(names)


def test_a_made_archive_has_one_optical_image_on_the_grid_of_each_series(tmp_path: Path) -> None:
    out = tmp_path / "archive"
    code, text = run(
        "ssl4sar", "--out", out, "--glacier", "Kronebreen", "--images", 11, "--coarser", 8
    )
    assert code == 0, text
    train = sorted((out / "unlabeled_data_raw_train").glob("*.tif"))
    validation = sorted((out / "unlabeled_data_raw_val").glob("*.tif"))
    (optical,) = (out / "data_optical").glob("*.tif")
    assert (len(train), len(validation)) == (10, 1)
    assert {p.name.split("_")[1] for p in train} == {optical.name.split("_")[0]} == {"Kronebreen"}
    with rasterio.open(optical) as image:
        assert (image.count, image.dtypes[0]) == (14, "uint8")
        assert image.descriptions[-1] == "SCL"
        grid = image.transform, image.shape, image.crs
    for path in train + validation:
        with rasterio.open(path) as image:
            assert (image.transform, image.shape, image.crs) == grid
            assert (image.count, image.dtypes[0]) == (1, "uint8")


def test_a_made_series_is_georeferenced_and_has_its_truth(tmp_path: Path) -> None:
    out = tmp_path / "series"
    code, text = run(
        "scenes", "--out", out, "--glacier", "Kronebreen", "--count", 3, "--pixel-size", 60
    )
    assert code == 0, text
    fronts = gpd.read_file(out / "truth.gpkg", layer="fronts")
    assert fronts["date"].tolist() == ["2017-01-01", "2018-07-02", "2019-12-31"]
    assert fronts.crs.to_epsg() == 32633
    line = gpd.read_file(out / "truth.gpkg", layer="centreline").geometry[0]
    box = gpd.read_file(out / "truth.gpkg", layer="box").geometry[0]
    assert line.intersects(box)
    for name, front in zip(fronts["scene"], fronts.geometry, strict=True):
        scene = icefront.open_scene(out / f"{name}.tif")
        assert scene.glacier == "Kronebreen"
        assert scene.sensor is not None
        assert scene.crs is not None
        assert scene.crs.to_epsg() == 32633
        assert scene.pixel_size_m == 60
        left, bottom, right, top = rasterio.open(out / f"{name}.tif").bounds
        assert shapely.box(left, bottom, right, top).buffer(1).contains(front)
        assert front.intersects(line)
        truth = json.loads((out / "truth" / f"{name}.json").read_text())
        assert shapely.geometry.shape(truth).equals_exact(front, 1e-6)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["caffe", "--share", 0], "fraction of 0"),
        (["caffe", "--coarser", 0.5], "0.5 times as large"),
        (["caffe", "--glacier", "Helheim"], "no glacier named 'Helheim' here"),
        (["caffe", "--workers", 0], "0 workers"),
        (["ssl4sar", "--images", 0], "0 images"),
        (["scenes", "--sensor", "ALOS9"], "no sensor named 'ALOS9'"),
        (["scenes", "--glacier", "Nowhere"], "no glacier named 'Nowhere'"),
        (["scenes", "--pixel-size", -3], "pixel of -3 m"),
        (["scenes", "--count", 0], "0 scenes"),
        (["scenes", "--start", "2031-01-01", "--end", "2031-12-31"], "goes beyond"),
        (["scenes", "--start", "yesterday"], "'yesterday' is not understood"),
    ],
)
def test_wrong_values_get_one_sentence_and_leave_nothing(
    arguments: list[object], says: str, tmp_path: Path
) -> None:
    code, text = run(*arguments, "--out", tmp_path / "out")
    assert code == 2
    assert says in " ".join(text.split())
    assert len(text.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_file_where_the_folder_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    code, text = run("scenes", "--out", tmp_path / "out", "--count", 1)
    assert code == 2
    assert "out" in text


def test_a_full_disk_is_reported_with_what_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move, moved = atomic.move_into_place, []

    def full(part: Path, path: Path) -> None:
        if len(moved) == 4:  # the stamp, both files of a scene, the truth of the next
            raise OSError(28, "No space left on device")
        moved.append(path.name)
        move(part, path)

    monkeypatch.setattr(atomic, "move_into_place", full)
    arguments = ("scenes", "--glacier", "Kronebreen", "--count", 2, "--pixel-size", 200)
    code, text = run(*arguments, "--out", tmp_path)
    said = " ".join(text.split())
    assert code == 2
    assert "is full and Kronebreen_20191231_S1_001.tif was not written" in said
    assert "images that are finished stay" in said
    assert "nothing was written" not in said
    assert [path.name for path in tmp_path.glob("*.tif")] == ["Kronebreen_20170101_S1_000.tif"]
    monkeypatch.setattr(atomic, "move_into_place", move)
    kept = (tmp_path / "Kronebreen_20170101_S1_000.tif").stat().st_mtime_ns
    assert run(*arguments, "--out", tmp_path)[0] == 0
    assert (tmp_path / "Kronebreen_20170101_S1_000.tif").stat().st_mtime_ns == kept


@pytest.mark.slow
def test_the_gallery_shows_every_sensor(tmp_path: Path) -> None:
    path = draw_gallery(tmp_path / "docs" / "gallery.png", pixels=64, progress=False)
    picture = np.asarray(Image.open(path).convert("L"))
    assert picture.shape[0] > 900
    rows = np.array_split(picture, 6)
    assert all(row.std() > 30 for row in rows)
    assert [p.name for p in path.parent.iterdir()] == ["gallery.png"]
