"""Components, cleaning, front pixels and distances against other ways to compute them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.spatial.distance import cdist

from icefront import IcefrontError
from icefront.fronts import blank_outside, clean_zones, distance_errors, front_pixels
from icefront.fronts.components import components
from icefront.zones import GLACIER, OCEAN, ROCK

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)
MASKS = hnp.arrays(bool, SHAPES)
ZONES = hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 3))


def blocks(seed, shape=(64, 90), sigma=2.0):
    """A mask of blobs: long runs, so that runs are linked and not single pixels."""
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, sigma) > 0


def assert_equal_to_scipy(mask):
    found = components(mask)
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    assert found.count == count
    np.testing.assert_array_equal(found.areas, np.bincount(labels.ravel())[1:])
    for i in range(count):
        np.testing.assert_array_equal(found.mask(np.arange(count) == i), labels == i + 1)


@given(MASKS)
def test_components_of_speckle_equal_a_labelling(mask):
    assert_equal_to_scipy(mask)


@pytest.mark.parametrize("seed", range(3))
def test_components_of_blobs_equal_a_labelling(seed):
    assert_equal_to_scipy(blocks(seed, (40, 400), sigma=12))


@pytest.mark.parametrize("mask", [np.zeros((3, 4), bool), np.ones((3, 4), bool)])
def test_components_of_uniform_masks_equal_a_labelling(mask):
    assert_equal_to_scipy(mask)


def test_components_that_touch_a_mask_are_found():
    mask, other = blocks(1), blocks(2)
    found = components(mask)
    expected = [(found.mask(np.arange(found.count) == i) & other).any() for i in range(found.count)]
    np.testing.assert_array_equal(found.touching(other), expected)


@given(ZONES)
def test_clean_zones_have_one_ocean_and_stay_as_they_are(zones):
    cleaned = clean_zones(zones)
    ocean, land = cleaned == OCEAN, cleaned != OCEAN
    assert ndimage.label(ocean, np.ones((3, 3)))[1] <= 1
    assert ndimage.label(land, np.ones((3, 3)))[1] <= 1
    np.testing.assert_array_equal(clean_zones(cleaned), cleaned)


def test_bergs_become_ocean_and_lakes_become_glacier():
    zones = np.full((20, 30), GLACIER, np.uint8)
    zones[:, 12:] = OCEAN
    wanted = zones.copy()
    zones[5:8, 20:24] = GLACIER
    zones[15, 25] = ROCK
    zones[10:12, 3:6] = OCEAN
    before = zones.copy()
    np.testing.assert_array_equal(clean_zones(zones), wanted)
    np.testing.assert_array_equal(zones, before)


def test_front_is_the_ocean_side_of_the_boundary():
    zones = np.full((20, 30), GLACIER, np.uint8)
    zones[:, 12:] = OCEAN
    zones[0:3] = ROCK
    front = front_pixels(zones, 1, 12)
    assert front.dtype == bool
    np.testing.assert_array_equal(np.argwhere(front), [(r, 12) for r in range(3, 20)])


@pytest.mark.parametrize(("pixel_size", "kept"), [(1, False), (1.01, True), ((2, 0.5), False)])
def test_a_piece_of_just_the_least_length_is_dropped(pixel_size, kept):
    zones = np.full((12, 30), GLACIER, np.uint8)
    zones[:, 12:] = OCEAN
    assert front_pixels(zones, pixel_size, 12).any() == kept


@pytest.mark.parametrize("code", range(4))
def test_one_zone_has_no_front(code):
    assert not front_pixels(np.full((40, 40), code, np.uint8), 1, 2).any()


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.sampled_from([3.5, (2.0, 7.0)]))
def test_distances_equal_the_pairwise_matrix(seed, size):
    rng = np.random.default_rng(seed)
    a, b = (rng.random((23, 31)) < 0.03 for _ in range(2))
    sides = np.broadcast_to(size, 2)
    errors = distance_errors(a, b, size)
    if not (a.any() and b.any()):
        assert errors.size == 0
        return
    matrix = cdist(np.argwhere(a) * sides, np.argwhere(b) * sides)
    np.testing.assert_allclose(errors, np.r_[matrix.min(1), matrix.min(0)], atol=1e-9)


def test_a_missing_front_gives_no_distances():
    front, none = np.eye(5, dtype=bool), np.zeros((5, 5), bool)
    for pair in ((front, none), (none, front), (none, none)):
        errors = distance_errors(*pair, 10)
        assert errors.shape == (0,)
        assert errors.dtype == np.float64


def test_blank_outside_is_half_open():
    front = np.ones((6, 8), bool)
    inside = blank_outside(front, slice(1, 3), slice(2, 5))
    assert inside.sum() == 6
    assert inside[1:3, 2:5].all()
    assert front.all()


def test_wrong_input_is_named():
    front = np.eye(5, dtype=bool)
    with pytest.raises(IcefrontError, match=r"\(5, 4\)"):
        distance_errors(front, front[:, :4], 1)
    with pytest.raises(IcefrontError, match="-2"):
        distance_errors(front, front, -2)
    with pytest.raises(IcefrontError, match="pixel size nan"):
        front_pixels(np.zeros((3, 3), np.uint8), float("nan"))
    with pytest.raises(IcefrontError, match="GREY_TO_ZONE"):
        clean_zones(np.full((3, 3), 127, np.uint8))
