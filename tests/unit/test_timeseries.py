"""Series, trends, seasons, outliers and calving events against what was put in."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from icefront.errors import IcefrontError
from icefront.measures import centreline_position, curvilinear_box, parallel_centrelines
from icefront.simulation.calving import FrontParameters
from icefront.timeseries import (
    calving_events,
    compare_sources,
    find_outliers,
    fit_trend,
    make_series,
    seasons_by_year,
    summary,
)
from icefront.timeseries.trend import YEAR, days_of
from tests.helpers.simulated_fronts import (
    START,
    axis_of,
    dates,
    made_branch,
    made_fronts,
    true_position,
)

DAYS = days_of(np.array(dates(), "datetime64[D]"))


def series_of(position: np.ndarray, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"date": dates(len(position)), "position_m": position, **columns})


@pytest.mark.parametrize("radius_m", [None, 12_000.0])
def test_trend_and_season_of_a_glacier_are_recovered(radius_m: float | None) -> None:
    parameters = FrontParameters(
        trend_m_per_year=-200.0, seasonal_m=150.0, events_per_year=0.0, rough_m=10.0
    )
    branch, days = made_branch(parameters, radius_m=radius_m), dates()
    fronts, axis = made_fronts(branch, days), axis_of(branch)
    means = parallel_centrelines(fronts, axis, 4_000).groupby("date", as_index=False).mean()
    for measured in (
        centreline_position(fronts, axis),
        curvilinear_box(fronts, axis, 4_000),
        means,
    ):
        series = make_series(measured)
        fit = series.fit
        assert fit.rate == pytest.approx(-200, rel=0.01)
        assert fit.rate_low <= -200 <= fit.rate_high
        assert fit.amplitude == pytest.approx(150, rel=0.01)
        assert fit.day_of_maximum == pytest.approx(140, abs=4)
        assert fit.day_of_minimum == pytest.approx(140 + YEAR / 2, abs=4)
        assert not series.table["outlier"].any()
        assert series.events.empty
        years = series.years
        assert years["year"].tolist() == [2015, 2016, 2017, 2018, 2019, 2020]
        assert years["amplitude_m"].tolist() == pytest.approx([150] * 6, rel=0.05)
        assert (years["maximum"].dt.dayofyear - 140).abs().max() < 10


@pytest.mark.parametrize("seed", [1, 2, 3, 6])
def test_calving_is_found_and_little_else(seed: int) -> None:
    parameters = FrontParameters(
        events_per_year=3.0, event_m=1_200.0, healing_days=90.0, rough_m=20.0
    )
    branch, days = made_branch(parameters, seed=seed), dates()
    assert branch.history is not None
    rng = np.random.default_rng(seed)
    events = []
    for event in branch.history.events:
        # What an event takes off at the centreline.
        depth = event.depth_m * max(1 - (event.centre / event.half_width) ** 2, 0)
        if depth > 0 and event.day >= 0:
            events.append((pd.Timestamp(START) + pd.Timedelta(days=event.day), depth))
    for noise in (0.0, 40.0):
        position = true_position(branch, days) + noise * rng.normal(size=len(days))
        series = make_series(series_of(position))
        found = series.events
        for when, depth in events:
            if depth >= 500:
                assert ((found["before"] <= when) & (when <= found["after"])).any()
        false = [
            row
            for row in found.itertuples()
            if not any(row.before <= when <= row.after for when, _ in events)
        ]
        assert len(false) <= 1
        assert series.table["outlier"].sum() <= 2


def test_outliers_are_flagged_not_deleted_and_do_not_count() -> None:
    rng = np.random.default_rng(3)
    clean = -120 * DAYS / YEAR + 100 * np.cos(2 * np.pi * DAYS / YEAR)
    clean = clean + 15 * rng.normal(size=DAYS.size)
    wrong = clean.copy()
    spikes = rng.choice(np.arange(3, 197), 8, replace=False)
    wrong[spikes] += rng.choice([-1, 1], 8) * rng.uniform(400, 2_000, 8)
    wrong[100:] -= 800  # Calving that stays is no outlier.
    spikes = spikes[~np.isin(spikes, (98, 99, 100, 101))]
    series = make_series(series_of(wrong))
    assert len(series.table) == 200
    flagged = np.flatnonzero(series.table["outlier"])
    assert set(spikes) <= set(flagged)
    assert len(set(flagged) - set(spikes)) <= 2
    assert np.allclose(series.table["position_m"], wrong)
    wrong[100:] += 800
    # With the step taken back the trend is that of the clean series, nearly.
    fit, best = make_series(series_of(wrong)).fit, make_series(series_of(clean)).fit
    assert fit.rate == pytest.approx(best.rate, abs=2)
    assert fit.amplitude == pytest.approx(best.amplitude, abs=4)


def test_intervals_hold_under_autocorrelation() -> None:
    rng = np.random.default_rng(7)
    covered = white = inside = 0
    count = 24
    for _ in range(count):
        days = np.sort(rng.uniform(0, 6 * YEAR, 120)) + 5_000
        decay = np.exp(-np.diff(days) / 60)
        slow = [50 * rng.normal()]
        for factor in decay:
            slow.append(factor * slow[-1] + 50 * np.sqrt(1 - factor**2) * rng.normal())
        position = -100 * days / YEAR + 80 * np.cos(2 * np.pi * days / YEAR) + np.array(slow)
        fit = fit_trend(days, position)
        covered += fit.rate_low <= -100 <= fit.rate_high
        few = days[::20]
        low, high = fit.trend_interval(few)
        inside += ((low <= -100 * few / YEAR) & (-100 * few / YEAR <= high)).mean()
        # Far away only the rate counts.
        far = 1e6
        reach = np.diff(fit.trend_interval(fit.middle + far * np.array([1.0])), axis=0).item()
        assert reach == pytest.approx((fit.rate_high - fit.rate_low) * far / YEAR, rel=0.01)
        # What ordinary least squares, which takes dates for independent, would claim.
        ols = stats.linregress(days / YEAR, position)
        white += abs(ols.slope + 100) <= 1.96 * ols.stderr
    assert covered >= 0.85 * count
    assert inside >= 0.85 * count
    assert white < covered


def test_uncertain_sources_count_less() -> None:
    rng = np.random.default_rng(1)
    sigma = np.where(np.arange(200) % 2, 200.0, 10.0)
    position = -50 * DAYS / YEAR + sigma * rng.normal(size=200)
    stated = make_series(series_of(position, uncertainty_m=sigma)).fit
    unstated = fit_trend(DAYS, position)
    assert abs(stated.rate + 50) < 5
    assert stated.rate_high - stated.rate_low < 0.5 * (unstated.rate_high - unstated.rate_low)


def test_short_and_seasonless_series_say_so() -> None:
    few = make_series(series_of(np.array([1.0, 2.0, 3.0])))
    assert np.isnan(few.fit.rate)
    assert few.fit.notes == ("no trend: needs 5 dates over 0.5 years",)
    assert few.years.empty
    assert few.events.empty
    assert summary(few)["notes"]
    summers = [
        dt.date(y, 7, 1) + dt.timedelta(days=d) for y in range(2015, 2021) for d in (0, 20, 40)
    ]
    position = -30.0 * np.arange(18) / 3 + np.tile([0, 5, -5], 6)
    one = make_series(pd.DataFrame({"date": summers, "position_m": position}))
    assert one.fit.rate == pytest.approx(-30, abs=3)
    assert np.isnan(one.fit.amplitude)
    assert "no seasonal cycle" in one.fit.notes[0]
    empty = make_series(series_of(np.full(6, np.nan)))
    assert np.isnan(empty.fit.rate)


def test_an_outlier_is_off_from_both_sides() -> None:
    days = np.arange(20) * 10.0
    step = np.where(days < 100, 0.0, -500.0) + np.tile([0, 8, -8, 3], 5)
    assert not find_outliers(days, step).any()
    step[5] = 400
    assert np.flatnonzero(find_outliers(days, step)).tolist() == [5]
    with pytest.raises(IcefrontError, match="in order"):
        find_outliers(days[::-1], step)


def test_sources_are_compared_on_the_same_dates() -> None:
    rng = np.random.default_rng(0)
    own = series_of(100 * rng.normal(size=50), source="icefront")
    theirs = own.iloc[::2].assign(source="TermPicks")
    theirs = theirs.assign(position_m=theirs["position_m"] - 30)
    late = own.iloc[:3].assign(source="GEEDiT")
    late = late.assign(date=pd.to_datetime(late["date"]) + pd.Timedelta(days=2))
    found = compare_sources(pd.concat([own, theirs, late], ignore_index=True))
    assert found[["first", "second", "dates"]].to_numpy().tolist() == [
        ["TermPicks", "icefront", 25]
    ]
    assert found["bias_m"][0] == pytest.approx(-30)
    assert found["rmse_m"][0] == pytest.approx(30)
    wide = compare_sources(pd.concat([own, theirs, late], ignore_index=True), days=2)
    assert len(wide) == 3
    with pytest.raises(IcefrontError, match="no column 'source'"):
        compare_sources(own.drop(columns="source"))


def test_a_series_is_of_one_glacier_by_one_method() -> None:
    with pytest.raises(IcefrontError, match="several values of 'method'"):
        make_series(series_of(np.zeros(4), method=["a", "a", "b", "b"]))
    with pytest.raises(IcefrontError, match="needs a column 'position_m'"):
        make_series(pd.DataFrame({"date": dates(3)}))


def test_a_series_as_a_data_set_has_its_table_and_its_fit() -> None:
    series = make_series(series_of(-200 * DAYS / YEAR, uncertainty_m=5.0, glacier="Crane"))
    data = series.to_xarray()
    assert data.sizes == {"time": 200}
    assert data["position_m"].values == pytest.approx(series.table["position_m"].to_numpy())
    assert data["trend_m"].values == pytest.approx(data["position_m"].values, abs=1)
    assert data["position_m"].attrs["units"] == "m"
    assert data.attrs["rate_m_per_year"] == pytest.approx(-200, abs=1)
    assert str(data["time"].values[0])[:10] == str(START)
    yearly = data["position_m"].resample(time="YS").mean()
    assert len(yearly) == 6


def test_a_year_with_few_dates_or_a_long_gap_has_no_season() -> None:
    days = np.concatenate([np.arange(0, 365, 15.0), 366 + np.arange(0, 120, 15.0)])
    position = 100 * np.cos(2 * np.pi * days / YEAR)
    seasons = seasons_by_year(days, position, fit_trend(days, position))
    assert seasons["year"].tolist() == [2000]
    assert seasons["amplitude_m"][0] == pytest.approx(100, rel=0.05)


def test_a_drop_is_an_event_if_it_is_fast_large_and_lasts() -> None:
    days = np.arange(0, 200, 10.0)
    position = np.where(days < 100, 0.0, -500.0) + np.tile([0.0, 6.0, -4.0, 2.0], 5)
    sigma = np.full(20, 10.0)
    event = calving_events(days, position, sigma).iloc[0]
    assert (str(event["before"].date()), str(event["after"].date())) == ("2000-03-31", "2000-04-10")
    assert event["drop_m"] == pytest.approx(500, abs=10)
    assert calving_events(days, position, sigma, min_drop_m=600).empty
    assert calving_events(days * 10, position, sigma).empty  # 100 days without a front
    spike = np.where(days == 100, -500.0, 0.0) + position * 0
    assert calving_events(days, spike, sigma).empty
