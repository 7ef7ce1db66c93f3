"""Shifts between images of one orbit, measured on rock."""

import numpy as np
import pytest
from scipy import ndimage

from icefront.acquisition.coregistration import measured_shift, moved_by
from icefront.errors import IcefrontError

SHAPE = (240, 260)


def relief(seed=0):
    """Return the texture of rock in dB on pixels ten times as fine, so that shifts are exact."""
    rng = np.random.default_rng(seed)
    coarse = ndimage.gaussian_filter(rng.normal(size=(SHAPE[0] + 20, SHAPE[1] + 20)), 2.5)
    return 4 * coarse / coarse.std()


def scene(field, shift, seed, ice_db=-4.0):
    """See a field, shifted, under speckle; the ice on the right changes from date to date."""
    rng = np.random.default_rng(seed)
    seen = ndimage.shift(field, shift, order=5, mode="nearest")[10:-10, 10:-10] - 12
    seen[:, 150:] = ice_db + ndimage.gaussian_filter(rng.normal(size=(SHAPE[0], 110)), 3) * 20
    return (seen + 10 * np.log10(rng.gamma(8, 1 / 8, SHAPE))).astype(np.float32)


ROCK = np.zeros(SHAPE, bool)
ROCK[:, :150] = True


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.4, -0.3), (1.37, -0.62), (-2.2, 1.9)])
def test_a_shift_comes_back_within_a_fifth_of_a_pixel(shift):
    field = relief()
    reference, image = scene(field, (0, 0), 1), scene(field, shift, 2, ice_db=-9)
    found = measured_shift(image, reference, ROCK)
    assert found.rows == pytest.approx(-shift[0], abs=0.1)
    assert found.columns == pytest.approx(-shift[1], abs=0.1)
    assert found.correlation > 0.3


def test_ice_that_moves_takes_no_part():
    field = relief()
    reference, image = scene(field, (0, 0), 1), scene(field, (0, 0), 2)
    image[:, 150:] = ndimage.shift(reference[:, 150:], (5, 5), mode="nearest")
    assert measured_shift(image, reference, ROCK).pixels < 0.1


def test_gaps_take_no_part():
    field = relief()
    reference, image = scene(field, (0, 0), 1), scene(field, (0.8, -0.5), 2)
    image[:60, :40] = np.nan
    found = measured_shift(image, reference, ROCK)
    assert np.hypot(found.rows + 0.8, found.columns - 0.5) < 0.2


def test_without_rock_or_likeness_nothing_is_measured():
    reference = scene(relief(), (0, 0), 1)
    with pytest.raises(IcefrontError, match="too few"):
        measured_shift(reference, reference, np.zeros(SHAPE, bool))
    with pytest.raises(IcefrontError, match="nothing in common"):
        measured_shift(scene(relief(7), (0, 0), 2), reference, ROCK)


def test_an_image_that_lies_far_off_is_refused():
    field = relief()
    with pytest.raises(IcefrontError, match=r"shifted by 4\.. pixels on rock, more than 3"):
        measured_shift(scene(field, (4.0, -1.0), 2), scene(field, (0, 0), 1), ROCK)


def test_an_image_is_moved_without_loss_and_gaps_stay_gaps():
    image = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(80, 90)), 3)
    image[20:30, 20:30] = np.nan
    back = moved_by(moved_by(image, (0.4, -0.6)), (-0.4, 0.6))
    inner = np.isfinite(back)
    assert inner.mean() > 0.85
    far = ndimage.distance_transform_edt(inner) > 6
    assert np.abs(back - image)[far].max() < 0.05 * np.nanstd(image)
    np.testing.assert_array_equal(moved_by(image, (0, 0)), image.astype(np.float32))
