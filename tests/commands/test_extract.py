"""The command from a scene to files, with a stand-in network, and every mistake a user can make."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from PIL import Image
from rasterio.crs import CRS
from shapely.geometry import LineString, Polygon, box
from typer.testing import CliRunner

import icefront
from icefront.cli import app
from icefront.extraction import pipeline as extraction_run
from icefront.files.atomic import STAGING_PREFIX
from icefront.zones import GLACIER, NO_DATA, OCEAN, ROCK
from tests.helpers.paths import ROOT
from tests.helpers.scenes import (
    COLUMNS,
    FRONT_COLUMN,
    GREYS,
    NORTH,
    ORIGIN,
    ROWS,
    SIZE_M,
    GreyLevels,
    landscape,
    write_tif,
)


def true_front():
    x = ORIGIN[0] + FRONT_COLUMN * SIZE_M
    y = [ORIGIN[1] - row * SIZE_M for row in (30, ROWS - 30)]
    return LineString([(x, y[0]), (x, y[1])])


@pytest.fixture
def network(monkeypatch):
    model = GreyLevels()
    monkeypatch.setattr(extraction_run, "load_model", lambda name: model)
    return model


@pytest.fixture
def scene(tmp_path):
    return write_tif(tmp_path / "Crane_20180602_S1.tif", landscape())


@pytest.fixture
def out(tmp_path):
    return tmp_path / "new" / "out"


def command(*words):
    return CliRunner().invoke(app, ["extract", *map(str, words), "--radiometry", "grey"])


def refused(result, *said):
    """One sentence that says it, exit code 2, no traceback."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    (sentence,) = result.stderr.strip().splitlines()
    assert sentence.endswith(".")
    for words in said:
        assert str(words) in sentence
    return sentence


# --- what the command makes -------------------------------------------------------------------


def test_a_scene_becomes_a_front_on_the_map(network, scene, out):
    result = command(scene, "--out", out, "--glacier", "Crane Glacier", "--date", "2018-06-03")
    assert result.exit_code == 0, result.output
    assert sorted(file.name for file in out.iterdir()) == [
        "Crane_20180602_S1_quicklook.png",
        "Crane_20180602_S1_zones.tif",
        "fronts.geojson",
        "fronts.gpkg",
        "run.json",
    ]
    assert gpd.list_layers(out / "fronts.gpkg")["name"].tolist() == ["fronts"]
    table = gpd.read_file(out / "fronts.gpkg", layer="fronts")
    assert table.crs == NORTH
    (row,) = table.itertuples()
    assert row.scene == "Crane_20180602_S1"
    assert (row.glacier, str(row.date)[:10], row.sensor) == ("Crane Glacier", "2018-06-03", "S1")
    assert (row.model, row.model_sha256) == ("grey-levels", "abc123")
    assert row.icefront_version == icefront.__version__
    assert (row.flag, row.pixel_size_m) == ("good", SIZE_M)
    truth = true_front()
    assert row.geometry.hausdorff_distance(truth) < 5 * SIZE_M
    assert row.geometry.intersection(truth.buffer(SIZE_M)).length > 0.9 * row.geometry.length
    assert row.length_m == pytest.approx(truth.length, rel=0.15)
    assert 0 < row.uncertainty_m < 2 * SIZE_M


def test_the_geojson_is_the_same_in_degrees(network, scene, out):
    command(scene, "--out", out)
    degrees = gpd.read_file(out / "fronts.geojson")
    metres = gpd.read_file(out / "fronts.gpkg")
    assert degrees.crs.to_epsg() == 4326
    assert list(degrees.columns) == list(metres.columns)
    assert degrees.to_crs(3413).geometry.iloc[0].hausdorff_distance(metres.geometry.iloc[0]) < 1


def test_the_zones_are_a_cog_on_the_grid_of_the_scene(network, tmp_path, out):
    image = landscape().astype(np.float32)
    image[40:60, 20:50] = np.nan
    scene = write_tif(tmp_path / "scene.tif", image, nodata=np.nan)
    assert command(scene, "--out", out).exit_code == 0
    with rasterio.open(out / "scene_zones.tif") as raster:
        zones = raster.read(1)
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert raster.tags()["MODEL_SHA256"] == "abc123"
        assert raster.tags()["SCENE"] == "scene.tif"
        assert raster.colormap(1)[GLACIER][:3] == (200, 225, 245)
        assert raster.crs == NORTH
        assert raster.transform == Affine(SIZE_M, 0, ORIGIN[0], 0, -SIZE_M, ORIGIN[1])
    expected = np.full((ROWS, COLUMNS), OCEAN)
    expected[:, :FRONT_COLUMN] = GLACIER
    expected[:30] = expected[-30:] = ROCK
    expected[40:60, 20:50] = NO_DATA
    np.testing.assert_array_equal(zones, expected)


def test_the_record_says_how_to_repeat_the_run(network, scene, out):
    command(scene, "--out", out, "--tta", "--exact", "--pixel-size", "40")
    record = json.loads((out / "run.json").read_text())
    assert record["icefront"] == icefront.__version__
    assert record["versions"]["torch"] == torch.__version__
    assert record["model"]["sha256"] == "abc123"
    asked = record["parameters"]
    assert (asked["tta"], asked["exact"], asked["pixel_size_m"]) == (True, True, 40)
    assert asked["radiometry"] == "grey"
    assert record["scenes"][0]["pixel_size_m"] == 40
    assert record["scenes"][0]["path"] == str(scene)
    assert sorted(record["files"]) == sorted(file.name for file in out.iterdir())


def test_the_picture_shows_scene_and_front(network, scene, out):
    command(scene, "--out", out)
    picture = np.asarray(Image.open(out / f"{scene.stem}_quicklook.png").convert("RGB")).astype(int)
    assert min(picture.shape[:2]) > 300
    red = (picture[..., 0] > 230) & (picture[..., 1] < 90) & (picture[..., 2] < 140)
    rows, columns = np.nonzero(red)
    # The front stands upright, and spans the fjord: three fifths of the scene.
    assert columns.std() < 0.05 * picture.shape[1]
    assert np.ptp(rows) > 0.3 * picture.shape[0]


def test_the_scene_is_resampled_for_the_model_and_the_zones_come_back(monkeypatch, scene, out):
    model = GreyLevels(pixel_size_m=60.0)
    seen = []
    model.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape))
    monkeypatch.setattr(extraction_run, "load_model", lambda name: model)
    result = command(scene, "--out", out)
    assert result.exit_code == 0
    assert "resampled from 30 m to 60 m (75 x 100 pixels)" in result.stderr
    with rasterio.open(out / f"{scene.stem}_zones.tif") as raster:
        zones = raster.read(1)
    assert zones.shape == (ROWS, COLUMNS)
    assert (zones[50:100, :100] == GLACIER).all()
    assert (zones[50:100, 120:] == OCEAN).all()
    row = gpd.read_file(out / "fronts.gpkg").iloc[0]
    assert (row.pixel_size_m, row.model_pixel_size_m) == (SIZE_M, 60)
    assert row.geometry.intersection(true_front().buffer(60)).length > 0.85 * row.geometry.length


@pytest.mark.parametrize(("size", "said"), [(31.0, False), (None, False), (33.0, True)])
def test_a_scene_of_nearly_the_right_size_is_left_as_it_is(monkeypatch, scene, out, size, said):
    monkeypatch.setattr(extraction_run, "load_model", lambda name: GreyLevels(size))
    assert ("resampled" in command(scene, "--out", out).stderr) is said


def test_a_scene_without_a_front_is_a_row_and_no_error(network, tmp_path, out):
    image = landscape()
    image[:, :FRONT_COLUMN] = GREYS[ROCK]
    scene = write_tif(tmp_path / "rock.tif", image)
    result = command(scene, "--out", out)
    assert result.exit_code == 0, result.output
    (row,) = gpd.read_file(out / "fronts.gpkg").itertuples()
    assert row.flag == "no front"
    assert row.geometry is None or row.geometry.is_empty
    assert (out / "rock_quicklook.png").exists()


def test_an_image_without_crs_works_and_says_that_lines_are_in_pixels(network, tmp_path, out):
    scene = tmp_path / "plain.png"
    Image.fromarray(landscape()).save(scene)
    result = command(scene, "--out", out)
    assert result.exit_code == 0, result.output
    assert "pixels" in result.stderr
    assert not (out / "fronts.gpkg").exists()
    table = gpd.read_file(out / "fronts_pixels.gpkg")
    assert table.crs is None
    left, top, right, bottom = table.geometry.iloc[0].bounds
    assert (left, right) == pytest.approx((FRONT_COLUMN, FRONT_COLUMN), abs=1.5)
    assert (top, bottom) == pytest.approx((30, ROWS - 30), abs=6)


def test_several_scenes_with_and_without_crs(network, scene, tmp_path, out):
    plain = tmp_path / "plain.png"
    Image.fromarray(landscape()).save(plain)
    assert command(scene, plain, "--out", out).exit_code == 0
    assert len(gpd.read_file(out / "fronts.gpkg")) == 1
    assert len(gpd.read_file(out / "fronts_pixels.gpkg")) == 1


def test_scenes_of_one_name_get_products_of_their_own(network, scene, tmp_path, out):
    (tmp_path / "other").mkdir()
    twin = write_tif(tmp_path / "other" / scene.name, landscape(), origin=(0, -2_000_000))
    assert command(scene, twin, "--out", out).exit_code == 0
    names = {file.name for file in out.iterdir()}
    assert {f"{scene.stem}_zones.tif", f"{scene.stem}_2_zones.tif"} <= names
    assert gpd.read_file(out / "fronts.gpkg")["scene"].tolist() == [scene.stem, scene.stem]
    assert extraction_run.distinct_names(["a/x.tif", "b/X.png", "x_2.tif", "c/x.tif"]) == [
        "x",
        "X_3",
        "x_2",
        "x_4",
    ]


@pytest.mark.parametrize(
    ("second_epsg", "origin", "common"),
    [
        (3413, (0, -2_000_000), 3413),
        (32622, (500_000, 7_700_000), 3413),
        (32719, (500_000, 4_800_000), 4326),
    ],
)
def test_the_table_is_in_the_common_crs(network, scene, tmp_path, out, second_epsg, origin, common):
    other = write_tif(
        tmp_path / "other.tif", landscape(), crs=CRS.from_epsg(second_epsg), origin=origin
    )
    assert command(scene, other, "--out", out).exit_code == 0
    table = gpd.read_file(out / "fronts.gpkg")
    assert table.crs.to_epsg() == common
    assert len(table) == 2
    with rasterio.open(other) as raster:
        outline = gpd.GeoSeries([box(*raster.bounds)], crs=raster.crs).to_crs(common).iloc[0]
    assert outline.buffer(outline.length / 100).contains(table.geometry.iloc[1])


def test_two_antarctic_zones_share_the_antarctic_grid(network, tmp_path, out):
    scenes = [
        write_tif(
            tmp_path / f"{zone}.tif",
            landscape(),
            crs=CRS.from_epsg(zone),
            origin=(500_000, 2_700_000),
        )
        for zone in (32720, 32721)
    ]
    assert command(*scenes, "--out", out).exit_code == 0
    assert gpd.read_file(out / "fronts.gpkg").crs.to_epsg() == 3031


# --- areas of interest ------------------------------------------------------------------------


def area_file(tmp_path, shape, crs="EPSG:3413"):
    path = tmp_path / "area.gpkg"
    gpd.GeoDataFrame(geometry=[shape], crs=crs).to_file(path)
    return path


def upper_half():
    x, y = ORIGIN
    return box(x, y - ROWS / 2 * SIZE_M, x + COLUMNS * SIZE_M, y)


@pytest.mark.parametrize("crs", ["EPSG:3413", "EPSG:4326"])
def test_an_area_of_interest_in_any_crs_cuts_the_front(network, scene, tmp_path, out, crs):
    area = gpd.GeoSeries([upper_half()], crs="EPSG:3413").to_crs(crs).iloc[0]
    path = area_file(tmp_path, area, crs)
    assert command(scene, "--out", out, "--aoi", path).exit_code == 0
    front = gpd.read_file(out / "fronts.gpkg").geometry.iloc[0]
    assert upper_half().buffer(SIZE_M).contains(front)
    assert front.length == pytest.approx(true_front().length / 2, rel=0.15)


def test_an_area_beside_the_scene_is_refused(network, scene, tmp_path, out):
    path = area_file(tmp_path, box(0, 0, 1000, 1000))
    refused(command(scene, "--out", out, "--aoi", path), "area of interest", scene.stem)
    assert not out.parent.exists()


def test_an_area_that_cannot_be_used_is_refused(network, scene, tmp_path, out):
    refused(command(scene, "--out", out, "--aoi", tmp_path / "no.gpkg"), "no.gpkg", "not exist")
    text = tmp_path / "text.geojson"
    text.write_text("no area")
    refused(command(scene, "--out", out, "--aoi", text), "text.geojson")
    line = area_file(tmp_path, true_front())
    refused(command(scene, "--out", out, "--aoi", line), "polygon")
    corners = upper_half().exterior.coords
    crossing = area_file(tmp_path, Polygon([corners[i] for i in (0, 2, 1, 3)]))
    refused(command(scene, "--out", out, "--aoi", crossing), "area.gpkg", "crosses itself near (")
    assert not out.parent.exists()


# --- wrong input ------------------------------------------------------------------------------


def missing(folder):
    return folder / "missing.tif"


def a_folder(folder):
    (folder / "folder.tif").mkdir()
    return folder / "folder.tif"


def text_file(folder):
    (folder / "text.tif").write_text("This is no image.\n" * 50)
    return folder / "text.tif"


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.6)])
    return path


def truncated_tif(folder):
    rng = np.random.default_rng(0)
    return cut(write_tif(folder / "cut.tif", rng.integers(1, 255, (ROWS, COLUMNS), np.uint8)))


def truncated_png(folder):
    path = folder / "cut.png"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(1, 255, (ROWS, COLUMNS), np.uint8)).save(path)
    return cut(path)


def three_bands(folder):
    return write_tif(
        folder / "three.tif",
        np.stack([landscape(), landscape().T.reshape(ROWS, COLUMNS), landscape() + 9]),
    )


def all_no_data(folder):
    return write_tif(folder / "nothing.tif", np.full((ROWS, COLUMNS), np.nan, np.float32))


def one_value(folder):
    return write_tif(folder / "constant.tif", np.full((ROWS, COLUMNS), 77, np.uint8))


def complex_slc(folder):
    return write_tif(folder / "slc.tif", landscape().astype(np.complex64))


BAD = [
    missing,
    a_folder,
    text_file,
    truncated_tif,
    truncated_png,
    three_bands,
    all_no_data,
    one_value,
    complex_slc,
]


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_a_bad_scene_is_refused_and_nothing_is_left(network, tmp_path, out, make):
    bad = make(tmp_path)
    refused(command(bad, "--out", out), bad.stem)
    assert not out.parent.exists()


def test_one_bad_scene_of_several_is_reported_and_the_others_are_done(
    network, scene, tmp_path, out
):
    bad = text_file(tmp_path)
    result = command(bad, scene, "--out", out)
    assert result.exit_code == 1
    assert str(bad) in result.stderr
    assert gpd.read_file(out / "fronts.gpkg")["scene"].tolist() == [scene.stem]
    record = json.loads((out / "run.json").read_text())
    assert str(bad) in record["scenes"][0]["error"]
    assert "error" not in record["scenes"][1]


def test_all_bad_is_exit_code_2(network, tmp_path, out):
    result = command(text_file(tmp_path), missing(tmp_path), "--out", out)
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 2
    assert not out.parent.exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--pixel-size", "wide"),
        ("--pixel-size", "-3"),
        ("--pixel-size", "1x2x3"),
        ("--date", "2018-13-01"),
        ("--device", "abacus"),
        ("--band", "7"),
    ],
)
def test_a_wrong_value_of_an_option_is_refused(network, scene, out, option, value):
    refused(command(scene, "--out", out, option, value), value)
    assert not out.parent.exists()


def test_an_unknown_radiometry_is_refused(network, scene, out):
    words = ["extract", str(scene), "--out", str(out), "--radiometry", "loud"]
    refused(CliRunner().invoke(app, words), "loud")


class Bomb:
    """Unpickling it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_what_is_no_checkpoint_is_refused_before_anything_is_written(scene, tmp_path, out):
    text = tmp_path / "model.ckpt"
    text.write_text("no checkpoint")
    refused(command(scene, "--out", out, "--model", text), "model.ckpt")
    refused(command(scene, "--out", out, "--model", tmp_path / "absent.ckpt"), "absent.ckpt")
    damaged = tmp_path / "model.safetensors"
    damaged.write_bytes(b"\x10")
    refused(command(scene, "--out", out, "--model", damaged), "model")
    assert not out.parent.exists()


def test_a_checkpoint_that_carries_code_is_refused_and_not_run(scene, tmp_path, out):
    trap, sprung = tmp_path / "trap.ckpt", tmp_path / "sprung"
    torch.save({"state_dict": {"swin_unet.x": Bomb(sprung)}}, trap)
    refused(command(scene, "--out", out, "--model", trap), "trap.ckpt")
    assert not sprung.exists()
    assert not out.parent.exists()


# --- the output folder ------------------------------------------------------------------------


def test_a_folder_that_is_not_empty_is_refused_without_overwrite(network, scene, out):
    out.mkdir(parents=True)
    (out / "notes.txt").write_text("mine")
    refused(command(scene, "--out", out), out, "--overwrite")
    assert [file.name for file in out.iterdir()] == ["notes.txt"]


def test_overwrite_replaces_only_what_the_program_writes(network, scene, out):
    assert command(scene, "--out", out).exit_code == 0
    (out / "notes.txt").write_text("mine")
    (out / "run.json").write_text("old")
    assert command(scene, "--out", out, "--overwrite").exit_code == 0
    assert (out / "notes.txt").read_text() == "mine"
    assert json.loads((out / "run.json").read_text())["scenes"]
    assert len(list(out.iterdir())) == 6


def test_an_output_folder_that_is_a_file_is_refused(network, scene, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    refused(command(scene, "--out", file), file)
    refused(command(scene, "--out", file / "below"), file)
    assert file.read_text() == "mine"


def no_room(*args, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "writer", ["write_tables", "write_zones", "draw_quicklook", "write_record"]
)
@pytest.mark.parametrize("existing", [True, False])
def test_a_full_disk_leaves_nothing(network, scene, out, monkeypatch, writer, existing):
    if existing:
        out.mkdir(parents=True)
    monkeypatch.setattr(extraction_run, writer, no_room)
    result = command(scene, "--out", out)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    sentence = result.stderr.strip().splitlines()[-1]
    assert str(out) in sentence
    assert "full" in sentence
    assert out.exists() is existing
    assert out.parent.exists() is existing
    assert not existing or not list(out.iterdir())


LIMITED = """
import resource, sys
sys.path.insert(0, {tests!r})
from icefront.extraction import pipeline as extraction_run
from tests.helpers.scenes import GreyLevels
from icefront.cli import app
extraction_run.load_model = lambda name: GreyLevels()
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
app(["extract", {scene!r}, "--out", {out!r}, "--radiometry", "grey"])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits file sizes by the system")
@pytest.mark.parametrize("limit", [600, 20_000])
def test_writes_that_really_fail_are_one_sentence(scene, out, limit):
    code = LIMITED.format(tests=str(ROOT), scene=str(scene), out=str(out), limit=limit)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert str(out) in done.stderr
    assert not out.parent.exists()


def test_an_interruption_leaves_nothing(network, scene, out, monkeypatch):
    seen = []

    def interrupt(path, *rest):
        seen.extend(file.name for file in path.parents[2].iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(extraction_run, "draw_quicklook", interrupt)
    result = command(scene, "--out", out)
    assert result.exit_code == 130
    assert [name for name in seen if name.startswith(STAGING_PREFIX)] == seen
    assert seen
    assert not out.parent.exists()


# --- the other commands -----------------------------------------------------------------------


def test_info_says_what_is_in_a_file(scene, tmp_path):
    result = CliRunner().invoke(app, ["info", str(scene)])
    assert result.exit_code == 0, result.output
    assert "EPSG:3413" in result.stdout
    assert "2018-06-02" in result.stdout
    both = CliRunner().invoke(app, ["info", str(scene), str(missing(tmp_path))])
    assert both.exit_code == 1
    refused(CliRunner().invoke(app, ["info", str(missing(tmp_path))]), "missing.tif")


def test_models_lists_the_family():
    result = CliRunner().invoke(app, ["models"])
    assert result.exit_code == 0, result.output
    for name in ("tyrion", "tyrion-mini", "unet"):
        assert name in result.stdout


def test_a_recipe_that_is_missing_is_refused(tmp_path):
    words = ["train", "--config", str(tmp_path / "no.yaml"), "--set", "seed=1"]
    refused(CliRunner().invoke(app, words), "no.yaml")


def test_help_and_version_do_not_wait_for_torch():
    code = (
        "import sys; from typer.testing import CliRunner; from icefront.cli import app;"
        "r = CliRunner().invoke(app, ['--help']); assert r.exit_code == 0, r.output;"
        "assert 'extract' in r.output; assert 'torch' not in sys.modules;"
        "r = CliRunner().invoke(app, ['--version']); print(r.output)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert icefront.__version__ in done.stdout
