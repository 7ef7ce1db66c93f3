"""Large areas that hold data are no gaps; small ones, and those without data, may be."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

import icefront
from icefront.inference.false_gaps import LARGEST_SHADOW_PX, without_false_gaps
from icefront.scenes.scene import Scene
from icefront.zones import NO_DATA, OCEAN, likeliest

SIDE = 64
WATER = np.float32([0.6, 0.0, 0.1, 0.3])
ICE = np.float32([0.1, 0.1, 0.7, 0.1])


def _probabilities(black: np.ndarray) -> np.ndarray:
    return np.where(black, WATER[:, None, None], ICE[:, None, None])


def _square(side: int) -> np.ndarray:
    found = np.zeros((SIDE, SIDE), bool)
    found[:side, :side] = True
    return found


@pytest.mark.parametrize(("side", "changed"), [(30, True), (28, False)])
def test_only_areas_larger_than_a_shadow_change(side: int, changed: bool) -> None:
    black = _square(side)
    assert (black.sum() > LARGEST_SHADOW_PX) == changed
    given = _probabilities(black)
    found = without_false_gaps(given, np.full((SIDE, SIDE), 0.01, np.float32), None)
    assert (found is given) != changed
    assert np.allclose(found.sum(axis=0), given.sum(axis=0))
    assert (likeliest(found)[black] == (OCEAN if changed else NO_DATA)).all()
    assert np.array_equal(found[:, ~black], given[:, ~black])


def test_scattered_zeros_of_water_are_no_gap() -> None:
    """Two thirds of an 8-bit image of calm water may be 0."""
    black = _square(40)
    image = np.where(black & (np.random.default_rng(0).random((SIDE, SIDE)) < 0.67), 0.0, 0.01)
    found = without_false_gaps(_probabilities(black), image.astype(np.float32), None)
    assert (likeliest(found)[black] == OCEAN).mean() > 0.95


@pytest.mark.parametrize("empty", [np.nan, 0.0])
def test_gaps_stay(empty: float) -> None:
    """Also those that a file fills with zeros and does not name."""
    black = _square(40)
    image = np.where(black, empty, 0.3).astype(np.float32)
    given = _probabilities(black)
    assert without_false_gaps(given, image, None) is given


def test_the_size_is_one_on_the_ground() -> None:
    black, image = _square(30), np.full((SIDE, SIDE), 0.01, np.float32)
    given = _probabilities(black)
    assert without_false_gaps(given, image, 20.0) is given
    assert without_false_gaps(given, image, (70.0, 80.0)) is not given


def test_an_area_without_another_answer_sums_to_one() -> None:
    given = np.zeros((4, SIDE, SIDE), np.float32)
    given[NO_DATA] = 1.0
    found = without_false_gaps(given, np.full((SIDE, SIDE), 0.01, np.float32), None)
    assert np.allclose(found.sum(axis=0), 1.0)


class _BlackWater(nn.Module):
    """Says no data everywhere, ocean next."""

    def forward(self, image):  # type: ignore[no-untyped-def]
        logits = image.new_zeros((len(image), 4, *image.shape[2:]))
        logits[:, NO_DATA], logits[:, OCEAN] = 3.0, 1.0
        return logits


@pytest.mark.parametrize("exact", [False, True])
def test_predictions_as_published_are_left_as_they_are(exact: bool) -> None:
    network = _BlackWater()
    network.card = icefront.load_model().card  # type: ignore[assignment]
    scene = Scene(np.full((100, 100), 0.2, np.float32))
    found = icefront.predict_zones(network, scene, exact=exact, progress=False)
    assert (likeliest(np.asarray(found)) == (NO_DATA if exact else OCEAN)).all()
