"""Mosaics of real textures: what is cut, what is composed, what is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from icefront.datasets.texture_mosaics import (
    FACTORS,
    Patch,
    largest_square,
    mosaic,
    mosaics,
    read_textures,
    reduce_by,
)
from icefront.errors import IcefrontError
from tests.helpers.simulated_caffe import write_patch

ICE, SEA, MOUNTAIN = 200, 60, 120


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    zones = np.full((200, 420), 2, np.uint8)
    zones[:, 210:] = 3
    image = np.where(zones == 2, ICE, SEA).astype(np.uint8)
    write_patch(tmp_path, "JAC_2012-10-03_TSX", image, zones)
    write_patch(tmp_path, "DBE_2013-04-03_TSX", image, np.zeros_like(zones))
    return tmp_path


def scene(number: int = 0) -> Patch:
    return np.full((128, 128), MOUNTAIN, np.uint8), np.ones((128, 128), np.uint8)


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_no_odd_square_of_a_mask_is_larger(mask: np.ndarray) -> None:
    found = largest_square(mask)
    side = 0 if found is None else found[0].stop - found[0].start
    if found is not None:
        assert mask[found].all()
        assert mask[found].shape == (side, side)
    larger = side + 2 if side else 1
    for row in range(mask.shape[0] - larger + 1):
        for column in range(mask.shape[1] - larger + 1):
            assert not mask[row : row + larger, column : column + larger].all()


def test_reducing_averages_blocks() -> None:
    image = np.array([[0, 2, 9], [4, 6, 9], [9, 9, 9]], np.uint8)
    np.testing.assert_array_equal(reduce_by(image, 2), [[3.0]])


def test_textures_are_squares_of_one_zone(folder: Path) -> None:
    textures = read_textures(folder)
    assert [a.shape for a in textures.ice] == [(199, 199)]
    assert (textures.ice[0] == ICE).all()
    assert (textures.sea[0] == SEA).all()
    assert len(textures.patches) == 1  # the other one has no data


def test_held_out_glaciers_leave_no_texture(folder: Path) -> None:
    with pytest.raises(IcefrontError, match="no patches"):
        read_textures(folder, exclude=["JAC"])


def test_patches_that_do_not_fit_their_zones_are_named(folder: Path) -> None:
    image = np.zeros((20, 20), np.uint8)
    write_patch(folder, "JAC_2014_TSX", image, np.zeros((10, 10), np.uint8))
    with pytest.raises(IcefrontError, match="JAC_2014_TSX"):
        read_textures(folder)
    (folder / "JAC_2014_TSX.tif").unlink()
    with pytest.raises(IcefrontError, match=r"JAC_2014_TSX\.tif or its zones cannot be read"):
        read_textures(folder)


def test_mosaics_have_a_front_between_their_textures(folder: Path) -> None:
    textures = read_textures(folder)
    walled = 0
    for seed in range(12):
        image, zones = mosaic(textures, scene, 96, np.random.default_rng(seed))
        assert image.dtype == zones.dtype == np.uint8
        assert image.shape == zones.shape == (96, 96)
        assert (image > 0).all()
        assert {2, 3} <= set(np.unique(zones))
        walled += bool((zones == 1).any())
    assert 3 <= walled <= 11


def test_where_scenes_show_nothing_but_ocean_there_are_no_walls(folder: Path) -> None:
    ocean = np.full((128, 128), 9, np.uint8), np.full((128, 128), 3, np.uint8)
    for seed in range(6):
        _, zones = mosaic(read_textures(folder), lambda: ocean, 64, np.random.default_rng(seed))
        assert set(np.unique(zones)) == {2, 3}


def test_a_seed_makes_the_same_mosaics_and_patches_are_among_them(folder: Path) -> None:
    textures = read_textures(folder)
    a, b, c = (mosaics(textures, scene, 3, 64, seed) for seed in (1, 1, 2))
    assert len(a) == 3 + len(FACTORS)
    assert all(np.array_equal(x[0], y[0]) for x, y in zip(a, b, strict=True))
    assert not np.array_equal(a[0][0], c[0][0])
    image, zones = a[3]
    assert image.shape == zones.shape == (100, 210)
    assert (image[zones == 2] == ICE).all()
    assert (image[zones == 3] == SEA).all()
