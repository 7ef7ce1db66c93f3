"""Zone scores and pooled distances against answers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from icefront import IcefrontError
from icefront.evaluation import average_scores, confusion_matrix, pool_mde, zone_scores

MAPS = hnp.arrays(np.uint8, (5, 7), elements=st.integers(0, 3))


def test_scores_of_a_small_map():
    true = np.array([[1, 1, 2, 2], [1, 1, 2, 2]], np.uint8)
    predicted = np.array([[1, 2, 2, 2], [1, 1, 2, 3]], np.uint8)
    scores = zone_scores(predicted, true)
    np.testing.assert_allclose(scores.precision, [0, 1, 3 / 4, 0])
    np.testing.assert_allclose(scores.recall, [0, 3 / 4, 3 / 4, 0])
    np.testing.assert_allclose(scores.iou, [0, 3 / 4, 3 / 5, 0])
    np.testing.assert_allclose(scores.f1, [0, 6 / 7, 3 / 4, 0])
    assert scores.means["iou"] == pytest.approx((3 / 4 + 3 / 5) / 4)


def test_rows_are_truth_and_columns_prediction():
    matrix = confusion_matrix(np.array([[3, 3]]), np.array([[1, 3]]))
    assert matrix[1, 3] == 1
    assert matrix[3, 3] == 1
    assert matrix.sum() == 2


@given(MAPS, MAPS)
def test_swapping_the_maps_swaps_precision_and_recall(a, b):
    one, other = zone_scores(a, b), zone_scores(b, a)
    np.testing.assert_array_equal(one.precision, other.recall)
    np.testing.assert_array_equal(one.iou, other.iou)
    np.testing.assert_allclose(one.f1, 2 * one.iou / (1 + one.iou))


def test_averages_are_over_images():
    perfect = zone_scores(np.full((2, 2), 3), np.full((2, 2), 3))
    wrong = zone_scores(np.full((2, 2), 2), np.full((2, 2), 3))
    np.testing.assert_allclose(average_scores([perfect, wrong]).iou, [0, 0, 0, 0.5])
    with pytest.raises(IcefrontError, match="no images"):
        average_scores([])


@pytest.mark.parametrize(
    ("predicted", "sentence"),
    [
        (np.zeros((2, 3), int), "same grid"),
        (np.full((2, 2), 254), "GREY_TO_ZONE"),
        (np.zeros((2, 2)), "integers"),
        (np.full((2, 2), -1), "class codes"),
    ],
)
def test_what_cannot_be_scored_is_refused(predicted, sentence):
    with pytest.raises(IcefrontError, match=sentence):
        zone_scores(predicted, np.zeros((2, 2), np.uint8))


def test_pooling_weighs_distances_not_images():
    pooled = pool_mde([np.array([1.0, 2.0, 3.0]), np.empty(0), np.array([10.0])])
    assert pooled == (4.0, 1, 3)


def test_no_front_anywhere_is_not_a_distance_of_zero():
    pooled = pool_mde([np.empty(0), np.empty(0)])
    assert np.isnan(pooled.mde)
    assert pooled[1:] == (2, 2)
    assert np.isnan(pool_mde([]).mde)
    assert pool_mde([]).images == 0
