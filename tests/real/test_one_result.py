"""A scene gives one front, whichever way it goes through the program (ICEFRONT_DATA)."""

import json
import re
import time
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
from icefront.fronts.distances import mean_distance
from tests.helpers.paths import DATA, ROOT

SCENE = DATA / "sentinel1" / "helheim_20180602_S1_HH.tif"
SIZE_M = 20
NAME = f"Helheim_2018-06-02_S1_{SIZE_M}_2_000"

pytestmark = pytest.mark.skipif(not SCENE.exists(), reason=f"{SCENE} is not there")


def run(*words: object) -> None:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output


def vertices(table: gpd.GeoDataFrame, crs: object = None) -> np.ndarray:
    assert len(table) == 1
    table = table if crs is None else table.to_crs(crs)
    return shapely.get_coordinates(table.geometry.iloc[0])


@pytest.fixture(scope="module")
def front() -> gpd.GeoDataFrame:
    return icefront.extract(SCENE)


def test_python_and_both_commands_give_the_same_vertices(
    front: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    run("extract", SCENE, "--out", tmp_path / "extract")
    drawn = gpd.read_file(tmp_path / "extract" / "fronts.gpkg")
    np.testing.assert_array_equal(vertices(drawn), vertices(front))
    assert drawn.crs == front.crs
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    (scenes / SCENE.name).symlink_to(SCENE)
    run("monitor", "run", scenes, "--out", tmp_path / "project", "--workers", 1)
    kept = gpd.read_file(tmp_path / "project" / "catalogue.gpkg", layer="fronts")
    np.testing.assert_array_equal(vertices(kept, front.crs), vertices(front))


def test_step_by_step_it_is_the_same_front(front: gpd.GeoDataFrame) -> None:
    scene = icefront.open_scene(SCENE)
    probabilities = icefront.predict_zones(icefront.load_model(), scene, progress=False)
    assert probabilities.shape == (4, *scene.shape)
    again = icefront.extract_front(probabilities, scene)
    np.testing.assert_array_equal(vertices(again), vertices(front))


def test_the_example_of_the_readme_gives_the_front_of_the_command(
    front: gpd.GeoDataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", text, re.S))
    (tmp_path / "S1_HH.tif").symlink_to(SCENE)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(example, names)
    fronts = [value for value in names.values() if isinstance(value, gpd.GeoDataFrame)]
    assert len(fronts) == 2
    for table in fronts:
        np.testing.assert_array_equal(vertices(table), vertices(front))


def test_a_scene_and_an_array_give_what_the_file_gives(front: gpd.GeoDataFrame) -> None:
    scene = icefront.open_scene(SCENE)
    np.testing.assert_array_equal(vertices(icefront.extract(scene)), vertices(front))
    table = icefront.extract([SCENE, scene])
    assert len(table) == 2
    with pytest.raises(icefront.IcefrontError, match="radiometry"):
        icefront.extract(scene, radiometry="grey")


def test_the_default_is_the_front_of_the_cards_windows_in_less_than_half_the_time() -> None:
    # On pixels of 20 m the scene is wider than the window of the model.
    scene = icefront.open_scene(SCENE, pixel_size_m=SIZE_M)
    model, found = icefront.load_model(), {}
    for exact in (False, True):
        begun = time.thread_time()
        zones = icefront.predict_zones(model, scene, exact=exact, resample=False, progress=False)
        taken = time.thread_time() - begun
        front = icefront.extract_front(zones, scene).geometry.iloc[0]
        found[exact] = front, taken
    assert mean_distance(found[False][0], found[True][0], SIZE_M / 2) < 10
    # A third on an idle machine: ``python -m benchmarks prediction`` measures it.
    assert found[False][1] < 0.45 * found[True][1]


@pytest.mark.parametrize("exact", [[], ["--exact"]])
def test_the_benchmark_predicts_the_zones_of_extract(tmp_path: Path, exact: list[str]) -> None:
    with rasterio.open(SCENE) as raster:
        image = raster.read(1)
    image[:60, :200] = 0  # a swath edge, which the zones must not depend on either
    data = tmp_path / "caffe"
    blank = np.zeros(image.shape, np.uint8)
    for folder, name, values in (
        ("sar_images", f"{NAME}.png", image),
        ("zones", f"{NAME}_zones.png", np.where(np.arange(image.shape[1]) < 400, 127, 254)),
        ("fronts", f"{NAME}_front.png", blank),
    ):
        (data / folder / "test").mkdir(parents=True)
        values = np.broadcast_to(values, image.shape).astype(np.uint8)
        Image.fromarray(values).save(data / folder / "test" / name)
    run(
        *("benchmark", "--data", data, "--out", tmp_path / "benchmark"),
        *("--model", "tyrion-mini", "--no-scenes", *exact),
    )
    (kept,) = (tmp_path / "benchmark" / "predictions" / "tyrion-mini").glob("*.png")
    greys = np.asarray(Image.open(kept))
    run("extract", data / "sar_images" / "test" / f"{NAME}.png", "--out", tmp_path / "out", *exact)
    with rasterio.open(tmp_path / "out" / f"{NAME}_zones.tif") as raster:
        zones = raster.read(1)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["scenes"][0]["pixel_size_m"] == SIZE_M
    np.testing.assert_array_equal(np.array([0, 64, 127, 254])[zones], greys)
