import numpy as np
import pytest

from icefront.scenes.nodata import INVALID, MIN_PIXELS, VALUE, ZERO, remove_black_edges

RNG = np.random.default_rng(8)


def codes_with(zero):
    return np.where(zero, ZERO, VALUE).astype(np.uint8)


@pytest.mark.parametrize("shape", [(203, 318), (1500, 90)])
def test_a_slanting_wedge_goes_but_for_its_tip(shape):
    rows, columns = np.indices(shape)
    width = 40 - 0.05 * rows
    wedge = columns < width
    codes = codes_with(wedge)
    removed = remove_black_edges(codes)
    assert removed == np.count_nonzero(codes == INVALID)
    assert wedge[codes == INVALID].all()
    assert (codes[wedge & (width > 4)] == INVALID).all()


def test_black_inside_thin_and_scattered_black_stays():
    codes = np.full((200, 200), VALUE, np.uint8)
    codes[80:120, 90:130] = ZERO  # radar shadow
    codes[:, 0] = ZERO  # a line of zeros along the border
    codes[150:][RNG.random((50, 200)) < 0.7] = ZERO  # dark, speckled water
    before = codes.copy()
    assert remove_black_edges(codes) == 0
    np.testing.assert_array_equal(codes, before)


def test_a_small_patch_at_the_border_stays():
    side = int(MIN_PIXELS**0.5) // 4 * 4
    codes = np.full((200, 200), VALUE, np.uint8)
    codes[:side, :side] = ZERO
    assert side**2 < MIN_PIXELS
    assert remove_black_edges(codes) == 0


def test_zeros_beside_masked_pixels_go_with_them():
    codes = np.full((120, 120), VALUE, np.uint8)
    codes[:, :30] = INVALID
    codes[:, 30:33] = ZERO
    assert remove_black_edges(codes) == 120 * 3
    assert (codes[:, 30:33] == INVALID).all()


def test_an_all_black_image_is_no_data():
    codes = np.zeros((64, 64), np.uint8) + ZERO
    assert remove_black_edges(codes) == 64 * 64
