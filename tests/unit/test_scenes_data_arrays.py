"""Scenes as xarray's DataArrays and back."""

import datetime as dt
from dataclasses import fields

import numpy as np
import pytest
import rasterio
import rioxarray
import xarray
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from icefront import IcefrontError, Scene, open_scene
from icefront.scenes import scene_from_xarray

RNG = np.random.default_rng(3)
UTM = CRS.from_epsg(32622)


def grey(height=40, width=30):
    image = RNG.random((height, width)).astype(np.float32)
    image[:3] = np.nan
    return image


TEXT = st.none() | st.text("abcXYZ0123", min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.sampled_from([3413, 3031, 32622, None]),
    st.floats(1, 200),
    st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
    st.none() | st.dates(dt.date(1990, 1, 1), dt.date(2090, 1, 1)),
    st.tuples(TEXT, TEXT, TEXT, st.sampled_from([None, "HH", "VV"])),
    st.lists(st.text("abc .", min_size=1), max_size=3),
)
def test_a_scene_comes_back_from_xarray_as_it_was(shape, epsg, size, corner, date, facts, notes):
    image = RNG.random(shape).astype(np.float32)
    image[RNG.random(shape) < 0.2] = np.nan
    image[0, 0] = 0.5
    transform = Affine(size, 0, 1e5 * corner[0], 0, -size, 1e5 * corner[1])
    scene = Scene(
        image,
        Affine.identity() if epsg is None else transform,
        None if epsg is None else CRS.from_epsg(epsg),
        size,
        "a_scene",
        date=date,
        glacier=facts[0],
        sensor=facts[1],
        orbit=facts[2],
        polarisation=facts[3],
        radiometry="db",
        notes=tuple(notes),
    )
    back = scene_from_xarray(scene.to_xarray())
    np.testing.assert_array_equal(back.image, scene.image)
    for field in fields(Scene):
        if field.name not in ("image", "transform"):
            assert getattr(back, field.name) == getattr(scene, field.name)
    assert back.transform.almost_equals(scene.transform)


def test_pixels_of_two_sides_come_back():
    scene = Scene(grey(), pixel_size_m=(20.0, 10.0))
    assert scene_from_xarray(scene.to_xarray()).pixel_size_m == (20, 10)


def test_a_data_array_knows_its_place():
    transform = Affine(10, 0, 5e5, 0, -10, 7.6e6)
    data = Scene(grey(), transform, UTM, 10.0, date=dt.date(2018, 6, 2)).to_xarray()
    assert data.rio.crs.to_epsg() == 32622
    assert data.rio.transform() == transform
    assert (float(data.x[0]), float(data.y[0])) == (500_005, 7_599_995)
    assert data.attrs["date"] == "2018-06-02"


def test_a_scene_survives_netcdf(tmp_path):
    scene = Scene(grey(), Affine(10, 0, 5e5, 0, -10, 7.6e6), UTM, 10.0, "a", notes=("One.", "Two."))
    scene.to_xarray().to_netcdf(tmp_path / "a.nc")
    with xarray.open_dataset(tmp_path / "a.nc", decode_coords="all") as dataset:
        back = scene_from_xarray(dataset["a"].load())
    np.testing.assert_array_equal(back.image, scene.image)
    assert (back.crs, back.notes) == (scene.crs, scene.notes)


@pytest.mark.parametrize("kind", ["power", "db", "uint8"])
@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32622", Affine(10, 0, 5e5, 0, -10, 7.6e6)),
        ("EPSG:4326", Affine(2e-4, 0, -38, 0, -1e-4, 66)),
        (None, Affine.identity()),
    ],
)
def test_an_array_becomes_the_scene_that_its_file_becomes(tmp_path, kind, crs, transform):
    power = RNG.gamma(4, 0.05, (90, 110)).astype(np.float32)
    image = {
        "power": power,
        "db": 10 * np.log10(power),
        "uint8": (power * 255).clip(1, 255).astype(np.uint8),
    }[kind]
    path = tmp_path / "helheim_20180602_S1_HH.tif"
    profile = {"driver": "GTiff", "height": 90, "width": 110, "count": 1, "dtype": image.dtype}
    if crs:
        profile |= {"crs": crs, "transform": transform}
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(image, 1)
    expected = open_scene(path)
    data = rioxarray.open_rasterio(path).rename(path.stem)
    scene = scene_from_xarray(data)
    np.testing.assert_array_equal(scene.image, expected.image)
    for name in ("name", "crs", "date", "sensor", "polarisation", "radiometry", "pixel_size_m"):
        assert getattr(scene, name) == getattr(expected, name)
    assert scene.transform.almost_equals(expected.transform)


def test_a_scene_on_other_pixels_is_brought_to_a_square_grid():
    scene = Scene(grey(), Affine(10, 0, 5e5, 0, -10, 7.6e6), UTM, 10.0, radiometry="db")
    turned = scene.to_xarray().rio.reproject("EPSG:4326")
    back = scene_from_xarray(turned)
    assert back.crs.to_epsg() == 3413
    assert back.radiometry == "db"
    assert np.nanmean(back.image) == pytest.approx(np.nanmean(scene.image), abs=0.02)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (xarray.DataArray(np.ones((3, 5, 5)), dims=("band", "y", "x")), "several images"),
        (xarray.DataArray(np.ones((5, 5)), dims=("u", "v")), "rows and columns"),
        (xarray.DataArray(np.full((5, 5), "a"), dims=("y", "x")), "real numbers"),
        (xarray.DataArray(np.ones((5, 5), complex), dims=("y", "x")), "complex"),
        (xarray.DataArray(np.ones((5, 5)), dims=("y", "x")), "no image"),
        (xarray.DataArray(np.full((5, 5), np.nan), dims=("y", "x")), "no data"),
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(data, message):
    with pytest.raises(IcefrontError, match=message) as raised:
        scene_from_xarray(data.rename("odd"))
    assert "vsimem" not in str(raised.value)
    assert "odd" in str(raised.value)
