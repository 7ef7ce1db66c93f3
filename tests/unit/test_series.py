"""Several dates on one grid: known answers, laws, and what a person draws."""

import datetime as dt
import itertools

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from icefront import through_time
from icefront.errors import IcefrontError
from icefront.extraction.series_fronts import in_series
from icefront.grid import Grid
from icefront.series.agreement import smooth_series
from icefront.series.byte_series import ByteSeries
from icefront.series.corrections import zones_beside
from icefront.series.estimation import estimate_power, estimate_rates, usual_power
from icefront.series.evidence import POWER, SILENT, evidence
from icefront.series.lattice import lattice_grid, nowhere, onto, to_bytes, window_of
from icefront.series.open_sea import open_sea, without_lakes
from icefront.series.rates import ChangeRates
from icefront.series.reliability import quantile_of_others, reliable_powers
from icefront.series.smoothing import posterior, transitions_between
from icefront.series.steady_sample import steady_sample
from icefront.series.still_boundary import LOG_ODDS, still_boundary
from icefront.zones import GLACIER, NO_DATA, OCEAN, ROCK

POLAR = CRS.from_epsg(3413)


def days(*numbers):
    return [dt.date(2018, 1, 1) + dt.timedelta(days=int(number)) for number in numbers]


def probable(zones, sure=0.8):
    """Zone probabilities (T, 4, H, W) of a network that is right with a probability."""
    zones = np.asarray(zones)
    found = np.full((zones.shape[0], 4, *zones.shape[1:]), (1 - sure) / 2, np.float32)
    found[:, NO_DATA] = 0
    for code in (ROCK, GLACIER, OCEAN):
        found[:, code][zones == code] = sure
    return found


def random_series(seed, count=6, shape=(5, 7)):
    found = np.random.default_rng(seed).dirichlet([0.3, 1, 1, 1], (count, *shape))
    return np.moveaxis(found, -1, 1).astype(np.float32)


def grid(height=40, width=60, side=50.0, left=-200000.0, top=-2000000.0):
    return Grid(height, width, POLAR, Affine(side, 0, left, 0, -side, top), side)


# --- the chain ------------------------------------------------------------------------------


@given(st.floats(0.01, 3), st.floats(0.01, 3), st.floats(1, 900), st.floats(1, 900))
@settings(max_examples=25)
def test_two_intervals_are_one(retreat, advance, first, second):
    rates = ChangeRates(retreat, advance)
    both = rates.transition(first) @ rates.transition(second)
    np.testing.assert_allclose(both, rates.transition(first + second), atol=1e-9)
    np.testing.assert_allclose(both.sum(axis=1), 1, atol=1e-12)


def test_a_glacier_recedes_at_the_stated_rate():
    rates = ChangeRates(retreat=0.3, advance=0.0, rock=0.0)
    np.testing.assert_allclose(rates.transition(365.25)[1], [0, np.exp(-0.3), 1 - np.exp(-0.3)])


def test_a_negative_rate_is_refused():
    with pytest.raises(IcefrontError, match="retreat is -1"):
        ChangeRates(retreat=-1)


def test_the_posterior_is_the_sum_over_all_histories():
    likelihood = np.random.default_rng(1).uniform(0.05, 1, (4, 3, 2)).astype(np.float32)
    when = np.array([0, 12, 200, 230])
    transitions = transitions_between(when, ChangeRates(0.5, 0.2, 0.01))
    expected = np.zeros_like(likelihood, dtype=float)
    for history in itertools.product(range(3), repeat=4):
        weight = np.ones(2) / 3
        for place, state in enumerate(history):
            if place:
                weight = weight * transitions[place][history[place - 1], state]
            weight = weight * likelihood[place, state]
        for place, state in enumerate(history):
            expected[place, state] += weight
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(posterior(likelihood, transitions), expected, atol=1e-5)
    last = posterior(likelihood, transitions, filtered=True)[-1]
    np.testing.assert_allclose(last, expected[-1], atol=1e-5)


# --- through_time ---------------------------------------------------------------------------


@given(st.integers(0, 1000), st.permutations(range(6)))
@settings(max_examples=20)
def test_the_order_of_the_dates_changes_nothing(seed, order):
    series, dates = random_series(seed), days(0, 0, 12, 30, 30, 400)
    smoothed = through_time(series, dates)
    order = list(order)
    again = through_time(series[order], [dates[index] for index in order])
    np.testing.assert_allclose(again, smoothed[order], atol=1e-4)


def test_no_data_stays_and_the_rest_is_shared():
    series = random_series(3)
    series[2, :, 1, 1] = [1, 0, 0, 0]
    smoothed = through_time(series, days(0, 12, 24, 36, 48, 60))
    np.testing.assert_array_equal(smoothed[:, NO_DATA], series[:, NO_DATA])
    np.testing.assert_allclose(smoothed.sum(axis=1), 1, atol=1e-5)
    filled = through_time(series, days(0, 12, 24, 36, 48, 60), fill=True)
    assert not filled[:, NO_DATA].any()
    np.testing.assert_allclose(filled.sum(axis=1), 1, atol=1e-5)


def test_a_date_without_data_takes_the_zone_of_its_neighbours():
    series = probable(np.full((3, 1, 1), OCEAN))
    series[1, :, 0, 0] = [1, 0, 0, 0]
    filled = through_time(series, days(0, 12, 24), fill=True)
    assert filled[1].argmax(axis=0) == OCEAN


def test_one_bad_image_does_not_draw_its_own_front():
    zones = np.full((9, 1, 20), GLACIER)
    zones[:, :, 10:] = OCEAN
    zones[4, :, 3:] = OCEAN
    smoothed = through_time(probable(zones, 0.9), days(*range(0, 108, 12)))
    np.testing.assert_array_equal(smoothed[4].argmax(axis=0)[0], zones[0, 0])


def test_a_large_calving_event_is_found_between_its_two_dates():
    zones = np.full((12, 1, 30), GLACIER)
    zones[:, :, 20:] = OCEAN
    zones[6:, :, 8:] = OCEAN
    smoothed = through_time(probable(zones, 0.7), days(*range(0, 144, 12)))
    np.testing.assert_array_equal(smoothed.argmax(axis=1), zones)


def test_the_newest_date_needs_a_second_one_to_show_an_event():
    zones = np.full((6, 1, 1), GLACIER)
    zones[5] = OCEAN
    alone = through_time(probable(zones, 0.7), days(0, 12, 24, 36, 48, 60))
    assert alone[5].argmax() == GLACIER
    zones = np.concatenate([zones, [[[OCEAN]]] * 4])
    later = through_time(probable(zones, 0.7), days(*range(0, 120, 12)))
    assert later[5].argmax() == OCEAN
    first = through_time(probable(zones, 0.7), days(*range(0, 120, 12)), filtered=True)
    np.testing.assert_allclose(
        first[:6],
        through_time(probable(zones[:6], 0.7), days(0, 12, 24, 36, 48, 60), filtered=True),
        atol=1e-6,
    )


def test_strips_bytes_and_files_give_the_same(monkeypatch, tmp_path):
    series, dates = random_series(5, shape=(9, 4)), days(0, 12, 24, 36, 48, 60)
    whole = through_time(series, dates)
    monkeypatch.setattr("icefront.series.smoothing.STRIP_BYTES", 1)
    np.testing.assert_allclose(through_time(series, dates), whole, atol=1e-6)
    values = np.stack([to_bytes(found) for found in series])
    kept = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.float32, series.shape)
    assert through_time(values, dates, out=kept) is kept
    rounded = through_time(values.astype(np.float32) / 255, dates)
    np.testing.assert_allclose(kept, rounded, atol=1e-5)
    with ByteSeries(6, (9, 4), tmp_path) as taken, ByteSeries(6, (9, 4), tmp_path) as given:
        for index in range(6):
            given[index, :, slice(0, 9)] = values[index]
        through_time(given, dates, out=taken)
        found = np.stack([taken.date(index) for index in range(6)])
    np.testing.assert_allclose(found / 255, kept, atol=0.5 / 255 + 1e-6)


def test_dates_may_be_text_or_numpy():
    series = random_series(2, count=2)
    expected = through_time(series, [dt.date(2018, 1, 1), dt.date(2018, 2, 1)])
    for dates in (["2018-01-01", "2018-02-01"], np.array(["2018-01-01", "2018-02-01"], "M8[ns]")):
        np.testing.assert_array_equal(through_time(series, dates), expected)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"dates": days(0)}, "2 dates of probabilities and 1 dates"),
        ({"dates": [dt.date(2018, 1, 1), None]}, "image 1 is None"),
        ({"dates": ["2018-01-01", "soon"]}, "image 1 is 'soon'"),
        ({"dates": [np.datetime64("NaT"), "2018-01-01"]}, "image 0"),
        ({"probabilities": np.zeros((2, 3, 4, 4), np.float32)}, r"\(2, 3, 4, 4\)"),
        ({"probabilities": np.full((2, 4, 4, 4), 0.4, np.float32)}, "sum to 1"),
        ({"probabilities": np.full((2, 4, 4, 4), np.nan, np.float32)}, "sum to 1"),
        ({"corrections": {2: np.zeros((5, 7), np.uint8)}}, "date 2, but there are dates 0 to 1"),
        ({"corrections": {0: np.zeros((4, 4), np.uint8)}}, "grid is"),
        ({"corrections": {0: np.full((5, 7), 7, np.uint8)}}, "the code 7"),
        ({"out": np.zeros((2, 4, 4, 4), np.float32)}, "what is to take it"),
        ({"power": -1.0}, "power"),
        ({"power": [0.5, np.nan]}, "power"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(change, match):
    given = {"probabilities": random_series(0, count=2), "dates": days(0, 12)} | change
    with pytest.raises(IcefrontError, match=match) as found:
        through_time(**given)
    assert "\n" not in str(found.value)


# --- corrections ----------------------------------------------------------------------------


def test_a_correction_wins_on_its_date_and_teaches_its_neighbours():
    series = probable(np.full((5, 1, 2), OCEAN), 0.6)
    drawn = np.array([[GLACIER, SILENT]], np.uint8)
    smoothed = through_time(series, days(0, 12, 24, 36, 48), corrections={2: drawn})
    assert smoothed[2, GLACIER, 0, 0] > 0.99
    assert smoothed[1, GLACIER, 0, 0] > 0.5 < smoothed[3, GLACIER, 0, 0]
    plain = through_time(series, days(0, 12, 24, 36, 48))
    np.testing.assert_array_equal(smoothed[..., 1], plain[..., 1])
    silent = np.zeros((1, 2), np.uint8)
    np.testing.assert_array_equal(
        through_time(series, days(0, 12, 24, 36, 48), corrections={2: silent}), plain
    )


def test_corrections_show_that_images_err_alike():
    rng = np.random.default_rng(0)
    truth = np.full((40, 16, 16), GLACIER)
    truth[:, :, 8:] = OCEAN
    seen = truth.copy()
    seen[:, :, 4:8] = OCEAN  # The same mistake on every date.
    dates = days(*range(0, 480, 12))
    drawn = {index: truth[index].astype(np.uint8) for index in (5, 15, 25, 35)}
    assert estimate_power(probable(seen), dates, drawn) < 0.1
    noisy = np.where(rng.random(truth.shape) < 0.3, GLACIER + OCEAN - truth, truth)
    assert estimate_power(probable(noisy, 0.6), dates, drawn) > 0.3
    assert estimate_power(probable(seen), dates, {5: drawn[5]}) == usual_power(40, ChangeRates())


def test_images_of_a_fast_glacier_and_of_a_short_series_are_believed_more():
    slow, fast = ChangeRates(0.1, 0.1), ChangeRates(2, 2)
    assert usual_power(20, slow) == usual_power(200, fast) == POWER
    assert POWER > usual_power(200, ChangeRates()) > usual_power(200, slow)


def test_a_drawn_front_speaks_on_both_sides_and_not_beyond_its_ends():
    place = grid()
    usual = np.zeros((4, *place.shape), np.float32)
    usual[GLACIER, :, :30] = 0.7
    usual[OCEAN, :, 30:] = 0.7
    usual[ROCK] = 0.3
    usual[ROCK, 18:22, 25:28] = 0.9
    x, y = place.xy(np.array([10, 30]), np.array([33, 33]))
    line = shapely.LineString(np.stack([x, y], axis=1))
    for drawn in (line, line.reverse()):
        zones = zones_beside(drawn, place, usual)
        assert (zones[12:28, 29:33] == GLACIER).all()
        assert (zones[12:28, 34:42] == OCEAN).all()
        assert (zones[18:22, 25:28] == SILENT).all()
        assert (zones[:9] == SILENT).all()
        assert (zones[32:] == SILENT).all()
        assert (zones[:, 45:] == SILENT).all()


def test_a_drawn_front_without_ice_and_water_is_refused():
    place = grid()
    x, y = place.xy(np.array([10, 30]), np.array([33, 33]))
    line = shapely.LineString(np.stack([x, y], axis=1))
    usual = np.zeros((4, *place.shape), np.float32)
    usual[GLACIER] = 1
    with pytest.raises(IcefrontError, match="neither ice on one side nor water"):
        zones_beside(line, place, usual)
    with pytest.raises(IcefrontError, match="does not cross the fjord"):
        zones_beside(shapely.transform(line, lambda xy: xy + 1e6), place, usual)


# --- rates ----------------------------------------------------------------------------------


def test_rates_are_found_from_a_series_with_known_ones():
    rng = np.random.default_rng(4)
    true = ChangeRates(0.4, 0.8, 0.0)
    step = true.transition(30)
    states = np.empty((120, 16, 16), int)
    states[0] = rng.choice([1, 2], (16, 16))
    for date in range(1, 120):
        leave = rng.random((16, 16)) < np.where(states[date - 1] == 1, step[1, 2], step[2, 1])
        states[date] = np.where(leave, 3 - states[date - 1], states[date - 1])
    series = probable(states + ROCK, 0.95)
    found = estimate_rates(series, days(*range(0, 3600, 30)), power=1.0)
    assert found.retreat == pytest.approx(0.4, rel=0.25)
    assert found.advance == pytest.approx(0.8, rel=0.25)


def test_rates_of_a_short_or_still_series_stay():
    assert estimate_rates(random_series(0), days(0, 1, 2, 3, 4, 5)) == ChangeRates()
    still = probable(np.full((40, 8, 8), GLACIER))
    assert estimate_rates(still, days(*range(40))) == ChangeRates()


def test_evidence_of_missing_data_is_none():
    found = evidence(np.array([[[1.0], [0], [0], [0]]], np.float32), np.ones(1))
    np.testing.assert_array_equal(found, 1)


def test_a_date_years_from_all_others_stands_alone():
    assert in_series(days(0, 0)) == [False, False]
    assert in_series(days(0)) == [False]
    assert in_series(days(0, 800, 1500, 12)) == [True, True, True, True]
    assert in_series(days(0, 1000, 1012, 9000)) == [False, True, True, False]


# --- the lattice ----------------------------------------------------------------------------


@given(
    st.floats(-5e5, 5e5), st.floats(-2e6, -1e6), st.integers(3, 60), st.integers(3, 60),
    st.sampled_from([20.0, 55.0, 73.7]),
)  # fmt: skip
@settings(max_examples=40)
def test_the_lattice_holds_a_raster_and_shares_its_pixels(left, top, height, width, side):
    scene = grid(height, width, 30.0, left, top)
    part = lattice_grid([scene], POLAR, side)
    assert part.outline().buffer(1e-3).contains(scene.outline())
    assert part.outline().area <= (30 * height + 2 * side) * (30 * width + 2 * side)
    whole = lattice_grid([scene, grid(left=left + 4000, top=top + 500)], POLAR, side)
    rows, columns = window_of(part, whole)
    assert nowhere(whole)[:, rows, columns].shape[1:] == part.shape


def test_grids_that_share_no_lattice_are_refused():
    with pytest.raises(IcefrontError, match="different grids"):
        window_of(grid(left=-200010.0), grid())


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_bytes_sum_to_the_whole(seed):
    found = np.moveaxis(np.random.default_rng(seed).dirichlet([0.2] * 4, (3, 5)), -1, 0)
    values = to_bytes(found)
    assert (values.sum(axis=0, dtype=int) == 255).all()
    assert np.abs(values / 255 - found).max() < 2.1 / 255


def test_probabilities_keep_their_place_on_the_lattice():
    scene = grid(60, 60, 20.0, -200007.0, -2000003.0)
    zones = np.full(scene.shape, GLACIER)
    zones[:, 30:] = OCEAN
    found = probable(zones[None], 1.0)[0]
    part = lattice_grid([scene], POLAR, 55.0)
    moved = onto(found, scene, part)
    x, _ = part.xy(np.zeros(part.width), np.arange(part.width))
    inner = moved[:, part.height // 2]
    sea = x > -200007.0 + 30 * 20 + 28
    land = (x < -200007.0 + 30 * 20 - 28) & (x > -200007.0 + 28)
    assert (inner[OCEAN, sea & (x < -200007.0 + 1200 - 28)] == 255).all()
    assert (inner[GLACIER, land] == 255).all()
    assert (moved.sum(axis=0, dtype=int) == 255).all()


# --- what a series tells itself -------------------------------------------------------------


def receding(count, shape=(40, 60), first=40, step=0):
    """Zones (T, H, W): ice to the left of a straight front, the sea to its right."""
    zones = np.full((count, *shape), GLACIER)
    for date in range(count):
        zones[date, :, first - step * date :] = OCEAN
    return zones


def test_a_lake_is_ice_and_the_sea_stays():
    zones = receding(8)
    zones[:, 5:15, 5:15] = OCEAN  # Smaller than the sea, on all dates.
    zones[3, :, 40:] = GLACIER
    zones[3, 20:22, 58:] = OCEAN  # A strip of sea, smaller than the lake.
    found = probable(zones)
    sea = open_sea(found)
    np.testing.assert_array_equal(sea, receding(1)[0] == OCEAN)
    dried = without_lakes(found[3], sea).argmax(axis=0)
    assert (dried[5:15, 5:15] == GLACIER).all()
    assert (dried[20:22, 58:] == OCEAN).all()
    np.testing.assert_allclose(without_lakes(found[3], sea).sum(axis=0), 1, atol=1e-6)
    assert without_lakes(probable(receding(1))[0], sea) is None
    nothing = np.zeros_like(sea)
    assert without_lakes(found[3], nothing) is None


@pytest.mark.parametrize("sure", [0.8, 0.998])
def test_one_bad_newest_image_does_not_draw_its_own_front(sure):
    zones = receding(10)
    zones[9, 10:30, 10:] = OCEAN  # A bay in the trunk.
    smoothed = smooth_series(probable(zones, sure), days(*range(0, 120, 12)))
    np.testing.assert_array_equal(smoothed[9].argmax(axis=0), zones[0])
    zones[9] = GLACIER + OCEAN - zones[0]  # Nothing is right.
    smoothed = smooth_series(probable(zones, sure), days(*range(0, 120, 12)))
    np.testing.assert_array_equal(smoothed[9].argmax(axis=0), zones[0])


def test_an_event_on_the_newest_date_is_believed_with_the_second_image():
    zones = receding(12)
    zones[10:, :, 25:] = OCEAN
    when = days(*range(0, 144, 12))
    first = smooth_series(probable(zones[:11], 0.998), when[:11])
    np.testing.assert_array_equal(first[10].argmax(axis=0), zones[0])
    both = smooth_series(probable(zones, 0.998), when)
    np.testing.assert_array_equal(both.argmax(axis=1), zones)


def test_after_a_long_time_the_newest_image_is_believed():
    zones = receding(10)
    zones[9, :, 25:] = OCEAN
    smoothed = smooth_series(probable(zones, 0.998), days(*range(0, 108, 12), 300))
    np.testing.assert_array_equal(smoothed[9].argmax(axis=0), zones[9])


def test_a_bad_image_counts_less_and_an_event_does_not():
    zones = receding(16)
    zones[9:, :, 20:] = OCEAN
    zones[5] = GLACIER + OCEAN - zones[5]
    powers = reliable_powers(
        probable(zones, 0.9), days(*range(0, 192, 12)), rates=ChangeRates(), power=0.7
    )
    np.testing.assert_allclose(np.delete(powers, [5, 15]), 0.7)
    assert powers[5] < 0.1
    assert powers[15] < 0.7


def test_a_boundary_that_stays_while_the_rest_moves_is_shore():
    zones = receding(36, first=50, step=1)
    zones[:, 30:] = GLACIER  # A slope beside the fjord: its boundary stays on all dates.
    dates = days(*range(0, 1080, 30))
    found = still_boundary(probable(zones), dates)
    assert (found[29, 52:] == LOG_ODDS).all()
    assert (found[2:26, 28:48] == 0).all()
    assert still_boundary(probable(zones[:29]), dates[:29]) is None, "too few dates"
    assert still_boundary(probable(zones), days(*range(36))) is None, "too short a time"
    assert still_boundary(probable(receding(36)), dates) is None, "nothing moves"


def test_a_front_that_moves_by_three_pixels_is_no_shore():
    zones = receding(36, first=50, step=1)
    zones[:, 30:] = GLACIER
    zones[::2, 27:30] = GLACIER  # The lower boundary lies three rows higher on every second date.
    found = still_boundary(probable(zones), days(*range(0, 1080, 30)))
    assert (found[24:32, 52:] > LOG_ODDS / 2).all()


def test_one_more_date_leaves_a_sample_as_it_is_and_sensors_in_turn_have_equal_parts() -> None:
    days = np.arange(2000) * 11
    chosen = steady_sample(days, 400)
    assert (np.diff(chosen) > 0).all()
    assert np.bincount(chosen % 10).min() > 20
    more = steady_sample(np.append(days, 5), 400)
    assert len(set(chosen.tolist()) ^ set(more.tolist())) <= 2
    assert steady_sample(days[::-1], 5000)[0] == len(days) - 1


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(st.floats(0, 1), min_size=3, max_size=20), fraction=st.sampled_from([0.5, 0.9])
)
def test_the_quantile_of_all_others_is_that_without_each_value(values, fraction):
    found = quantile_of_others(np.array(values), fraction)
    others = [np.quantile(np.delete(values, place), fraction) for place in range(len(values))]
    assert np.allclose(found, others)
