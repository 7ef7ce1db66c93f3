"""The real files, where they are at hand."""

import datetime as dt

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from scipy import ndimage

from icefront.scenes import equalise, open_scene, resample, resample_to
from tests.helpers.paths import DATA

HELHEIM = DATA / "sentinel1" / "helheim_20180602_S1_HH.tif"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA}")


def test_the_sentinel1_scene_is_warped_and_stretched():
    scene = open_scene(HELHEIM)
    assert scene.crs.to_epsg() == 3413
    assert scene.pixel_size_m == pytest.approx(13.7, abs=0.1)
    assert scene.radiometry == "stretched"
    assert any("narrow band" in note for note in scene.notes)
    assert (scene.glacier, scene.date, scene.sensor, scene.polarisation) == (
        "helheim", dt.date(2018, 6, 2), "S1", "HH",
    )  # fmt: skip
    with rasterio.open(HELHEIM) as src:
        values, inverse = src.read(1).astype(float), ~src.transform
    assert values.std() < 20  # narrow as it comes
    assert 0.15 < np.nanstd(scene.image) < 0.3
    # Against an interpolation of our own, on smoothed images: speckle is no landmark.
    rows, columns = np.indices(scene.shape) + 0.5
    t = scene.transform
    x, y = Transformer.from_crs(3413, 4326, always_xy=True).transform(
        t.a * columns + t.c, t.e * rows + t.f
    )
    r, c = inverse.e * y + inverse.f - 0.5, inverse.a * x + inverse.c - 0.5
    inside = (r > 8) & (r < values.shape[0] - 8) & (c > 8) & (c < values.shape[1] - 8)
    expected = ndimage.map_coordinates(values, [r, c], order=1, mode="nearest")
    ours = ndimage.gaussian_filter(np.where(scene.valid, scene.image, 0.5), 3)
    expected = ndimage.gaussian_filter(expected, 3)
    assert np.corrcoef(ours[inside], expected[inside])[0, 1] > 0.99


def test_an_image_comes_back_from_the_pixels_of_a_model():
    scene = open_scene(HELHEIM)
    coarse = resample(scene, 60.0)
    assert coarse.shape == (round(scene.shape[0] * 13.7 / 60), round(scene.shape[1] * 13.7 / 60))
    assert np.nanmean(coarse.image) == pytest.approx(np.nanmean(scene.image), abs=0.01)
    flat = equalise(coarse.image)
    assert np.nanstd(flat) == pytest.approx(1 / np.sqrt(12), abs=0.005)
    back = resample_to(np.nan_to_num(coarse.image)[None], coarse, scene)
    assert back.shape == (1, *scene.shape)
    inner = ndimage.binary_erosion(scene.valid, iterations=12)
    blurred = ndimage.gaussian_filter(np.where(scene.valid, scene.image, 0.5), 2)
    assert np.corrcoef(back[0][inner], blurred[inner])[0, 1] > 0.9


@pytest.mark.parametrize("name", ["helheim_20140404_TSX", "helheim_20040216_ENVISAT"])
def test_the_other_scenes_of_helheim_open(name):
    scene = open_scene(HELHEIM.with_name(f"{name}.tif"))
    assert scene.crs.to_epsg() == 3413
    assert scene.sensor == name.rsplit("_", 1)[1]
    assert scene.radiometry == "stretched"
    assert 0.7 < scene.valid.mean() < 1  # turned against the map, so with empty corners


def test_native_caffe_patches_stay_on_their_grid():
    paths = sorted((DATA / "caffe_native").glob("*_TSX.tif"))
    assert len(paths) == 6
    for path in paths:
        scene = open_scene(path)
        with rasterio.open(path) as src:
            values = src.read(1)
            assert scene.transform == src.transform
            assert scene.crs.to_epsg() == src.crs.to_epsg()
        with rasterio.open(path.with_name(f"{path.stem}_zones.tif")) as src:
            zones = src.read(1)
        assert scene.radiometry == "grey"
        np.testing.assert_array_equal(
            scene.image[scene.valid], values[scene.valid].astype(np.float32) / 255
        )
        # Black edges are labelled no data; what little of them is not lies along shadows.
        assert (zones[~scene.valid] != 0).mean() < 0.005 if not scene.valid.all() else True


def test_caffe_images_are_grey_by_255():
    paths = sorted((DATA / "caffe256" / "sar_images" / "train").glob("*.png"))[::40]
    assert paths
    for path in paths:
        scene = open_scene(path, pixel_size_m="pixels")
        with rasterio.open(path) as src:
            values = src.read(1)
        assert scene.radiometry == "grey"
        assert scene.pixel_size_m is None
        assert scene.orbit == path.stem.split("_")[-1]
        expected = values.astype(np.float32) / 255
        np.testing.assert_array_equal(np.nan_to_num(scene.image), expected)


def test_rtc_pairs_are_db_and_need_a_band():
    path = sorted((DATA / "s1s2_pairs" / "S1RTC").glob("*.tif"))[0]
    with rasterio.open(path) as src:
        values = src.read(1)
    scene = open_scene(path, band=1)
    assert scene.radiometry == "db"
    np.testing.assert_allclose(scene.image, np.clip((values + 25) / 30, 1 / 255, 1), atol=1e-6)
