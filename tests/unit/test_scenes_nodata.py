import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icefront.scenes import open_scene
from icefront.scenes.nodata import (
    INVALID,
    MIN_PIXELS,
    VALUE,
    ZERO,
    BlockRange,
    constant_borders,
    mark_borders,
    remove_border_noise,
    remove_edges,
)
from tests.helpers.scenes import write_tif

RNG = np.random.default_rng(8)


def codes_with(zero):
    return np.where(zero, ZERO, VALUE).astype(np.uint8)


@pytest.mark.parametrize("shape", [(203, 318), (1500, 90)])
def test_a_slanting_wedge_goes_but_for_its_tip(shape):
    rows, columns = np.indices(shape)
    width = 40 - 0.05 * rows
    wedge = columns < width
    codes = codes_with(wedge)
    removed = remove_edges(codes)
    assert removed == np.count_nonzero(codes == INVALID)
    assert wedge[codes == INVALID].all()
    assert (codes[wedge & (width > 4)] == INVALID).all()


def test_black_inside_thin_and_scattered_black_stays():
    codes = np.full((200, 200), VALUE, np.uint8)
    codes[80:120, 90:130] = ZERO  # radar shadow
    codes[:, 0] = ZERO  # a line of zeros along the border
    codes[150:][RNG.random((50, 200)) < 0.7] = ZERO  # dark, speckled water
    before = codes.copy()
    assert remove_edges(codes) == 0
    np.testing.assert_array_equal(codes, before)


def test_a_small_patch_at_the_border_stays():
    side = int(MIN_PIXELS**0.5) // 4 * 4
    codes = np.full((200, 200), VALUE, np.uint8)
    codes[:side, :side] = ZERO
    assert side**2 < MIN_PIXELS
    assert remove_edges(codes) == 0


def test_zeros_beside_masked_pixels_go_with_them():
    codes = np.full((120, 120), VALUE, np.uint8)
    codes[:, :30] = INVALID
    codes[:, 30:33] = ZERO
    assert remove_edges(codes) == 120 * 3
    assert (codes[:, 30:33] == INVALID).all()


def test_an_all_black_image_is_no_data():
    codes = np.zeros((64, 64), np.uint8) + ZERO
    assert remove_edges(codes) == 64 * 64


def without_borders(values, strip=7):
    """Return where an image holds data, bool, and its least and greatest value."""
    values = np.asarray(values, np.float32)
    valid = np.isfinite(values)
    blocks = BlockRange(*values.shape)
    tops = range(0, len(values), strip)
    for top in tops:
        blocks.add(top, values[top : top + strip], valid[top : top + strip])
    codes = np.where(valid, np.where(values == 0, ZERO, VALUE), INVALID).astype(np.uint8)
    parts = ((top, values[top : top + strip]) for top in tops)
    low, high, _ = mark_borders(codes, parts, constant_borders(blocks))
    remove_edges(codes)
    return codes != INVALID, low, high


SPECKLE = RNG.gamma(4.0, 1.0, (101, 90)).astype(np.float32)
IMAGES = {
    "dB": 10 * np.log10(SPECKLE / 60),
    "power": SPECKLE / 60,
    "dn": (SPECKLE * 100).round(),
    "8 bit": (SPECKLE * 20).round().clip(1, 255),
}
FILLS = st.one_of(
    st.floats(-9998, 2.0**100, width=32, exclude_min=True),
    st.sampled_from([-100.0, -50.0, 255.0, 1.0, 9999.0, 65535.0, 1e20, 9.969209968386869e36]),
    st.integers(1, 255).map(float),
)


@given(
    kind=st.sampled_from(sorted(IMAGES)),
    fill=FILLS,
    slope=st.floats(-0.3, 0.3),
    width=st.integers(12, 40),
    turns=st.integers(0, 3),
)
@settings(max_examples=40)
def test_a_constant_border_of_any_value_is_no_data(kind, fill, slope, width, turns):
    image = IMAGES[kind].copy()
    rows, columns = np.indices(image.shape)
    edge = width + slope * (rows - 50)
    wedge = columns < edge
    image[wedge] = fill
    found, low, high = without_borders(np.rot90(image, turns))
    found = np.rot90(found, -turns)
    # Where it is thinner than a block it may stay; pixels of its value that touch it may go.
    assert not found[wedge & (edge > 8)].any()
    assert (image[~found] == np.float32(fill)).all()
    assert found[~wedge].mean() > 0.97
    if not found[image == np.float32(fill)].any():
        assert (low, high) == (image[found].min(), image[found].max())


def test_a_border_value_apart_from_all_others_is_no_data_inside_too():
    image = IMAGES["dB"].copy()
    image[:, :20] = -100
    image[50, 60] = image[70:75, 40:50] = -100
    found, low, _ = without_borders(image)
    np.testing.assert_array_equal(found, image != -100)
    assert low == np.float32(image[found].min())


def test_saturated_ice_and_dark_water_at_the_border_stay():
    image = IMAGES["8 bit"].copy()
    image[:30, :30] = 255
    image[40:80, 40:80] = 255  # more of it inside
    found, _, high = without_borders(image)
    assert found.all()
    assert high == 255


def test_ice_that_is_saturated_all_along_the_border_stays():
    rows, columns = np.indices((101, 90))
    brightness = IMAGES["8 bit"] * (0.2 + 16 * np.hypot(rows / 101, columns / 90) ** 2)
    image = brightness.round().clip(1, 255)
    assert (image == 255).mean() > 0.7
    found, *_ = without_borders(image)
    assert found.all()


def test_images_of_few_values_stay():
    zones = np.full((150, 200), 120.0)
    zones[:, :110] = 210
    zones[:30] = zones[-30:] = 40
    found, low, high = without_borders(zones)
    assert found.all()
    assert (low, high) == (40, 210)
    repeated = IMAGES["8 bit"].repeat(8, axis=0).repeat(8, axis=1)
    assert without_borders(repeated, strip=200)[0].all()


def noise_along_the_left(depth):
    """Return codes, and the darkest and brightest pixel of each block in dB, with a dark strip."""
    brightest = np.full((60, 50), -8.0) + RNG.normal(0, 1, (60, 50))
    darkest = brightest - 10
    brightest[:, :depth] = -45
    darkest[:, : depth + 1] = -60  # the strip ends inside a block
    return np.full((240, 200), VALUE, np.uint8), darkest, brightest


def test_low_noise_along_a_side_goes_with_the_block_that_it_ends_in():
    codes, darkest, brightest = noise_along_the_left(3)
    assert remove_border_noise(codes, darkest, brightest, -30.0) == 240 * 16
    assert (codes[:, :16] == INVALID).all()
    assert (codes[:, 16:] == VALUE).all()
    codes[:] = VALUE
    assert remove_border_noise(codes, brightest - 10, brightest, -30.0) == 240 * 12


@pytest.mark.parametrize("turns", range(4))
def test_noise_behind_a_black_edge_goes_on_each_side(turns):
    codes, *ends = noise_along_the_left(5)
    codes[:, :8] = INVALID
    codes, *ends = (np.rot90(array, turns).copy() for array in (codes, *ends))
    assert remove_border_noise(codes, *ends, -30.0) == 240 * 16


@pytest.mark.parametrize("change", ["water", "deep", "short", "dark"])
def test_dark_water_and_deep_or_short_strips_stay(change):
    codes, darkest, brightest = noise_along_the_left(25 if change == "deep" else 3)
    if change == "water":  # above what the radar can measure
        brightest[brightest < -40] = -26
    if change == "short":
        brightest[25:] = np.maximum(brightest[25:], -8)
    if change == "dark":  # as dark inside
        brightest[20:40, 20:40] = -45
    assert remove_border_noise(codes, darkest, brightest, -30.0) == 0


def test_border_noise_of_old_grd_files_is_masked_and_reported(tmp_path):
    numbers = (SPECKLE * 100).repeat(4, axis=0)[:, :80].round().astype(np.uint16)
    clean = open_scene(write_tif(tmp_path / "clean.tif", numbers))
    numbers[:, :6] = RNG.integers(1, 12, (len(numbers), 6))
    scene = open_scene(write_tif(tmp_path / "noisy.tif", numbers))
    assert scene.radiometry == clean.radiometry == "dn"
    assert not scene.valid[:, :8].any()
    assert scene.valid[:, 12:].all()
    np.testing.assert_allclose(scene.image[:, 12:], clean.image[:, 12:], atol=0.02)
    assert any("low noise along its borders" in note for note in scene.notes)


@pytest.mark.parametrize("transform", ["kept", "warped"])
@pytest.mark.parametrize("fill", [-100.0, -50.0, 9999.0, 65535.0, 1e20, 9.969209968386869e36])
def test_scenes_with_a_constant_border_hold_only_the_rest(tmp_path, fill, transform):
    place = {"crs": 4326, "origin": (-38.28, 66.41), "size": 2e-4} if transform == "warped" else {}
    db = IMAGES["dB"].copy()
    scenes = []
    for value in (np.nan, fill):
        db[:, :24] = value
        scenes.append(open_scene(write_tif(tmp_path / "a.tif", db, **place)))
    np.testing.assert_array_equal(scenes[1].image, scenes[0].image)
    assert any(f"borders of {fill:g}: no data" in note for note in scenes[1].notes)
