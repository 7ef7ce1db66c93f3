"""Grades: what is wrong with a front is found and named, and nothing else."""

import numpy as np
import pytest
from shapely.geometry import LineString

from icefront.projects.results import compute_results
from icefront.projects.review import list_for_review
from icefront.timeseries.grades import disagreement
from tests.helpers.simulated_projects import made_fronts


def spoiled():
    fronts = made_fronts()
    fronts.loc[10, "uncertainty_m"] = 190.0
    line = np.array(fronts.geometry[15].coords)
    fronts.loc[15, "geometry"] = LineString(line[:16])
    fronts.loc[20, "geometry"] = fronts.geometry.translate(1500, 0)[20]
    return fronts


def test_good_fronts_are_good():
    found = compute_results(made_fronts())
    assert (found.fronts["grade"].isin(["A", "B"])).mean() > 0.95
    assert list_for_review(found).shape[0] == (found.fronts["grade"] != "A").sum()


def test_each_fault_is_found_and_named():
    found = compute_results(spoiled())
    fronts = found.fronts
    assert fronts["grade"][10] in "CD"
    assert "uncertain by 190 m" in fronts["why"][10]
    assert fronts["grade"][15] in "CD"
    assert "% of the fjord" in fronts["why"][15]
    assert fronts["span_fraction"][15] == pytest.approx(0.375, abs=0.05)
    assert fronts["grade"][20] == "D"
    assert "off its neighbours" in fronts["why"][20]
    others = fronts.drop([10, 15, 20])
    assert others["grade"].isin(["A", "B"]).mean() > 0.9
    review = list_for_review(found)
    assert set(review["name"][:3]) == set(fronts["name"][[10, 15, 20]])
    assert review["rank"].tolist() == list(range(1, len(review) + 1))


def test_a_front_that_calved_and_stayed_there_is_no_disagreement():
    fronts = made_fronts(noise=1.0)
    later = fronts["date"] > "2017-06-01"
    fronts["geometry"] = fronts.geometry.where(~later, fronts.geometry.translate(-2000, 0))
    found = compute_results(fronts)
    assert found.fronts["off_sigmas"].max() < 4
    assert len(found.series["Crane"]["curvilinear_box"].events) == 1


def test_members_that_draw_another_line_lower_the_grade():
    fronts = made_fronts()
    other = fronts.copy()
    other.loc[5, "geometry"] = fronts.geometry.translate(600, 0)[5]
    found = compute_results(fronts, members=[other])
    assert found.fronts["members_m"].drop(5).max() < 1
    assert found.fronts["members_m"][5] == pytest.approx(600, rel=0.05)
    assert found.fronts["grade"][5] == "D"
    assert "other members" in found.fronts["why"][5]


def test_rejected_fronts_stay_in_the_table_and_leave_the_series():
    fronts = made_fronts().assign(verdict=None)
    fronts.loc[7, "verdict"] = "rejected"
    found = compute_results(fronts)
    assert len(found.fronts) == len(fronts)
    assert 7 not in set(found.measured["front"])
    assert any("rejected" in note for note in found.notes)


def test_too_few_dates_are_not_judged_by_neighbours():
    measured = compute_results(made_fronts()).measured
    few = measured[measured["method"] == "centreline"].head(3)
    assert np.isnan(disagreement(few)).all()
