"""Coverage of intervals of known errors; seasons, groups and published rows."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from icefront import IcefrontError
from icefront.evaluation.calibration import (
    LEVELS,
    FrontErrors,
    coverage,
    cross_coverage,
    fit,
    front_errors,
    read_calibration,
    within_limits,
    write_calibration,
)
from icefront.evaluation.groups import GROUPINGS, sensor_group
from icefront.evaluation.published import PUBLISHED
from icefront.evaluation.seasons import season_of
from icefront.fronts.uncertainty import disagreement_along, uncertainty_along


def normal_errors(times: float, images: int = 40, seed: int = 0) -> list[FrontErrors]:
    """Fronts whose true deviation is so many times the stated one."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(images):
        stated = rng.uniform(20, 200, 500)
        found.append(
            FrontErrors(np.abs(rng.normal(0, times * stated)), stated, float(stated.mean()))
        )
    return found


def test_normal_errors_are_covered_as_stated() -> None:
    np.testing.assert_allclose(coverage(normal_errors(1.0)), LEVELS, atol=0.015)
    half = coverage(normal_errors(2.0))[LEVELS.index(0.9)]
    assert half == pytest.approx(0.589, abs=0.015)  # P(|N| < 1.645 / 2)


def test_calibration_mends_what_was_stated_too_small() -> None:
    errors = normal_errors(2.0)
    fitted = fit(errors, "here")
    assert fitted.factor(0.9) == pytest.approx(2 * 1.645, rel=0.03)
    np.testing.assert_allclose(coverage(normal_errors(2.0, seed=1), fitted), LEVELS, atol=0.015)
    glaciers = ["A", "B"] * 20
    np.testing.assert_allclose(cross_coverage(errors, glaciers), LEVELS, atol=0.02)
    np.testing.assert_allclose(cross_coverage(errors, ["A"] * 40), LEVELS, atol=0.02)
    assert np.isnan(cross_coverage(errors[:1], ["A"])).all()


def test_of_those_stated_to_be_within_a_distance() -> None:
    sure = FrontErrors(np.array([10.0, 20.0]), np.array([10.0, 10.0]), 10.0)
    wrong = FrontErrors(np.array([90.0, 10.0]), np.array([12.0, 12.0]), 12.0)
    unsure = FrontErrors(np.array([500.0]), np.array([300.0]), 300.0)
    rows = within_limits([sure, wrong, unsure], (5, 40, 1000))
    assert [r["fronts"] for r in rows] == [0, 2, 3]
    assert rows[1]["mean_within"] == 0.5
    assert rows[1]["pixels_within"] == 0.75
    assert rows[2]["mean_within"] == 1.0


def test_each_true_pixel_takes_the_uncertainty_of_the_nearest_predicted_one() -> None:
    predicted, true = np.zeros((5, 6), bool), np.zeros((5, 6), bool)
    predicted[1, 0] = predicted[1, 5] = True
    true[1, 1] = true[3, 5] = True
    found = front_errors(predicted, true, np.array([7.0, 9.0]), (10.0, 20.0))
    assert found is not None
    np.testing.assert_allclose(found.distance, [20.0, 20.0])
    np.testing.assert_allclose(found.uncertainty, [7.0, 9.0])
    assert found.stated == 8.0
    assert front_errors(predicted, true & False, np.array([7.0, 9.0]), None) is None
    assert front_errors(predicted, true, np.array([7.0, np.nan]), None) is None


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    fitted = fit(normal_errors(2.0), "somewhere")
    write_calibration(tmp_path / "c.json", {"a": fitted})
    assert read_calibration(tmp_path / "c.json") == {"a": fitted}
    (tmp_path / "d.json").write_text('{"a": {"levels": [1]}}')
    with pytest.raises(IcefrontError, match="not a calibration"):
        read_calibration(tmp_path / "d.json")
    with pytest.raises(IcefrontError, match="does not exist"):
        read_calibration(tmp_path / "e.json")


def test_disagreement_is_the_scatter_of_the_members_places() -> None:
    """Members whose front lies at 20 + shift, with log odds that fall by 0.5 a pixel."""
    rng = np.random.default_rng(0)
    shifts = rng.normal(0, 3, 400)
    column = np.arange(60)
    members = np.clip(0.5 * (30 + shifts[:, None] - column), -6, 6)
    logit = np.tile(0.5 * (30 + shifts.mean() - column), (9, 1))
    spread = np.tile(members.std(0), (9, 1))
    at = np.array([[4.0, 30.0]])
    found = disagreement_along(logit, spread, at, (10.0, 10.0))[0]
    assert found == pytest.approx(30, rel=0.05)
    assert uncertainty_along(logit, at, (10.0, 10.0))[0] == pytest.approx(33.2, rel=0.01)


@pytest.mark.parametrize(
    ("glacier", "month", "season"),
    [
        ("COL", 9, "winter"),
        ("COL", 3, "winter"),
        ("COL", 4, "summer"),
        ("JAC", 8, "summer"),
        ("Mapple", 4, "winter"),
        ("Mapple", 8, "winter"),
        ("Mapple", 9, "summer"),
        ("Crane", 3, "summer"),
        ("Nowhere", 1, "unknown"),
    ],
)
def test_seasons_by_hemisphere(glacier: str, month: int, season: str) -> None:
    assert season_of(dt.date(2010, month, 15), glacier) == season
    assert season_of(dt.date(2010, 1, 1), "Nowhere", "north") == "winter"


def test_groupings_are_all_kinds_and_pairs() -> None:
    assert len(GROUPINGS) == 1 + 4 + 6
    assert sensor_group("TSX") == sensor_group("TDX") == "TSX/TDX"
    assert sensor_group("ERS") == "ERS"


def test_published_rows_hold_what_was_published() -> None:
    runs = {p.model: p for p in PUBLISHED if p.runs}
    assert len(runs) == 4
    for row in runs.values():
        assert len(row.runs) == 5
        assert row.mean == pytest.approx(np.mean(row.runs), abs=0.1)
        assert row.deviation == pytest.approx(np.std(row.runs, ddof=1))
