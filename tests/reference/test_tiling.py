"""Whole-scene prediction against the published implementation, and what holds for any scene."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from icefront import IcefrontError
from icefront.inference import blend_windows
from icefront.inference.windows import axis_of_windows, gaussian
from tests.helpers.paths import REFERENCE as REFERENCE_DATA

REFERENCE = np.load(REFERENCE_DATA / "tiling_a.npz")


class StandIn:
    """The network of the reference: its logits depend on the whole window."""

    def __init__(self):
        self.windows = 0
        self.largest_batch = 0

    def __call__(self, x):
        self.windows += len(x)
        self.largest_batch = max(self.largest_batch, len(x))
        g = x.mean((1, 2, 3), keepdim=True)
        c = x[:, :, :64, :64].mean((1, 2, 3), keepdim=True)
        ones = torch.ones_like(x)
        return torch.cat([4 * x, 2 - 4 * x, 8 * (g - 0.4) * ones, 6 * (c - 0.5) + x**2], 1)


@pytest.mark.parametrize("case", ["0", "1"])
@pytest.mark.parametrize("batch", [1, 3])
def test_equals_the_published_prediction(case, batch):
    network = StandIn()
    image = REFERENCE[f"{case}_image"].astype(np.float32) / 255
    zones = blend_windows(image, network, batch=batch)
    assert network.windows == REFERENCE[f"{case}_patches"]
    assert network.largest_batch == batch
    assert zones.dtype == np.float32
    published = REFERENCE[f"{case}_probabilities_every_4"]
    np.testing.assert_allclose(zones[:, ::4, ::4], published, atol=1e-5)
    np.testing.assert_array_equal(zones.argmax(0), REFERENCE[f"{case}_zones"])


def test_a_scene_that_fits_exactly_gets_one_more_window_each_way():
    network = StandIn()
    blend_windows(np.zeros((256, 256), np.float32), network)
    assert network.windows == 4


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    half=st.integers(1, 12),
    margin=st.integers(0, 12),
    step=st.floats(0.05, 1),
)
def test_a_network_that_looks_at_pixels_only_is_not_changed_by_blending(shape, half, margin, step):
    target = 2 * half
    stride = max(1, round(step * target))

    def network(x):
        return torch.cat([x, 2 * x, -x, 3 * x**2], 1)

    image = np.random.default_rng(0).random(shape, np.float32)
    zones = blend_windows(
        image, network, window=target + 2 * margin, target=target, stride=stride, batch=4
    )
    direct = torch.softmax(network(torch.from_numpy(image)[None, None]), 1)[0].numpy()
    np.testing.assert_allclose(zones, direct, atol=2e-5)
    np.testing.assert_allclose(zones.sum(0), 1, atol=1e-5)


def test_mirrored_margin_shows_the_edge_twice():
    axis = axis_of_windows(5, window=8, target=4, stride=4)
    np.testing.assert_array_equal(axis.source[:9], [1, 0, 0, 1, 2, 3, 4, 4, 3])
    assert axis.starts == (0, 4)
    assert len(axis.source) == 12


def test_gaussian_has_a_sigma_of_32_pixels_on_a_target_of_256():
    weights = gaussian(256)
    assert weights[128] == 1
    np.testing.assert_allclose(weights[128 + 32], np.exp(-0.5), rtol=1e-6)


def test_no_data_enters_as_zero_and_empty_windows_are_predicted_once():
    image = np.random.default_rng(1).random((300, 1400), np.float32)
    image[:, 500:] = np.nan
    sparing, full = StandIn(), StandIn()
    zones = blend_windows(image, sparing, batch=2)
    assert np.isnan(image[:, 500:]).all(), "the image of the caller stays as it is"
    filled = blend_windows(np.nan_to_num(image), full, batch=2)
    np.testing.assert_allclose(zones, filled, atol=1e-6)
    assert sparing.windows < full.windows


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ({"stride": 300}, "stride of 300"),
        ({"stride": 0}, "stride of 0"),
        ({"target": 600}, "target of 600"),
        ({"target": 255}, "target of 255"),
    ],
)
def test_windows_that_cannot_cover_are_refused(layout, said):
    with pytest.raises(IcefrontError, match=said):
        blend_windows(np.zeros((10, 10), np.float32), StandIn(), **layout)


def test_an_image_of_three_bands_is_refused():
    with pytest.raises(IcefrontError, match="rows and columns"):
        blend_windows(np.zeros((3, 10, 10), np.float32), StandIn())
