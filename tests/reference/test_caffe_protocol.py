"""Cleaning, front pixels, distances and scores against the published evaluation, case by case."""

import numpy as np
import pytest

from icefront.evaluation import average_scores, pool_mde, zone_scores
from icefront.fronts import blank_outside, clean_zones, distance_errors, front_pixels
from icefront.zones import GREY_TO_ZONE, ZONE_GREYS
from tests.helpers.paths import REFERENCE as REFERENCE_DATA

REFERENCE = np.load(REFERENCE_DATA / "caffe_protocol_a.npz")
CASES = [f"{i:02d}" for i in range(10)]
TO_ZONE = np.zeros(256, np.uint8)
for grey, code in GREY_TO_ZONE.items():
    TO_ZONE[grey] = code


def front_of(case):
    resolution = float(REFERENCE[f"{case}_resolution_m"])
    return front_pixels(TO_ZONE[REFERENCE[f"{case}_pred_zones"]], resolution)


def boxed(case):
    y0, y1, x0, x1 = REFERENCE[f"{case}_box_rows_cols"]
    return blank_outside(front_of(case), slice(y0, y1), slice(x0, x1))


def errors_of(case):
    resolution = float(REFERENCE[f"{case}_resolution_m"])
    true = front_pixels(TO_ZONE[REFERENCE[f"{case}_true_zones"]], resolution)
    return distance_errors(boxed(case), true, resolution)


@pytest.mark.parametrize("case", CASES)
def test_cleaned_zones_are_identical(case):
    cleaned = clean_zones(TO_ZONE[REFERENCE[f"{case}_pred_zones"]])
    assert cleaned.dtype == np.uint8
    greys = np.array(ZONE_GREYS, np.uint8)[cleaned]
    np.testing.assert_array_equal(greys, REFERENCE[f"{case}_cleaned_zones"])


@pytest.mark.parametrize("case", CASES)
def test_fronts_are_identical(case):
    np.testing.assert_array_equal(front_of(case), REFERENCE[f"{case}_front"])
    np.testing.assert_array_equal(boxed(case), REFERENCE[f"{case}_front_in_box"])
    true = TO_ZONE[REFERENCE[f"{case}_true_zones"]]
    resolution = float(REFERENCE[f"{case}_resolution_m"])
    np.testing.assert_array_equal(front_pixels(true, resolution), REFERENCE[f"{case}_true_front"])


@pytest.mark.parametrize("case", CASES)
def test_distances_agree_to_a_micrometre(case):
    errors = errors_of(case)
    assert errors.dtype == np.float64
    expected = REFERENCE[f"{case}_distance_errors_m"]
    np.testing.assert_allclose(np.sort(errors), expected, rtol=0, atol=1e-6)
    assert (errors.size > 0) == bool(REFERENCE[f"{case}_front_found"])


@pytest.mark.parametrize("case", CASES)
def test_zone_scores_agree(case):
    scores = zone_scores(
        TO_ZONE[REFERENCE[f"{case}_pred_zones"]], TO_ZONE[REFERENCE[f"{case}_true_zones"]]
    )
    for name in ("precision", "recall", "f1", "iou"):
        expected = REFERENCE[f"{case}_{name}"]
        np.testing.assert_allclose(getattr(scores, name), expected, rtol=0, atol=1e-12)
        assert scores.means[name] == pytest.approx(expected.mean(), abs=1e-12)


def test_pooled_mde_agrees():
    pooled = pool_mde(errors_of(case) for case in CASES)
    assert pooled.mde == pytest.approx(float(REFERENCE["mde_all_images_m"]), abs=1e-6)
    assert pooled.images_without_front == REFERENCE["images_without_front"]
    assert pooled.images == len(CASES)


def test_average_over_images_then_classes():
    scores = [
        zone_scores(TO_ZONE[REFERENCE[f"{c}_pred_zones"]], TO_ZONE[REFERENCE[f"{c}_true_zones"]])
        for c in CASES
    ]
    expected = np.mean([REFERENCE[f"{c}_iou"].mean() for c in CASES])
    assert average_scores(scores).means["iou"] == pytest.approx(expected, abs=1e-12)
