"""Made scenes: truth that fits, variety, the same for the same seed."""

import numpy as np
import pytest

from icefront.fronts import clean_zones, front_pixels
from icefront.simulation import sketch, sketches


def test_number_i_depends_on_the_seed_alone() -> None:
    images, zones = sketches(3, 64, seed=4)
    again, _ = sketches(1, 64, seed=4)
    assert np.array_equal(images[0], again[0])
    assert not np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], sketches(1, 64, seed=5)[0][0])
    assert images.dtype == zones.dtype == np.uint8


@pytest.mark.parametrize("seed", range(8))
def test_a_sketch_has_ice_and_ocean_that_meet(seed: int) -> None:
    image, zones = sketch(np.random.default_rng(seed), 128)
    assert set(np.unique(zones)) <= {0, 1, 2, 3}
    assert (zones == 2).mean() > 0.05
    assert (zones == 3).mean() > 0.01
    assert front_pixels(clean_zones(zones), 1.0, 12).any()
    assert ((image == 0) == (zones == 0)).all()


def test_oceans_are_darker_and_as_bright_as_ice() -> None:
    ratios = []
    for seed in range(30):
        image, zones = sketch(np.random.default_rng(seed), 64)
        ratios.append(image[zones == 3].mean() / image[zones == 2].mean())
    assert min(ratios) < 0.4
    assert max(ratios) > 0.8
