import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from icefront import IcefrontError
from icefront.scenes.radiometry import (
    BLACK,
    CEILING_DB,
    FLOOR_DB,
    KINDS,
    decide_radiometry,
    equalise,
    radiometry_hint,
    to_grey,
)

RNG = np.random.default_rng(5)
SIGMA0_DB = RNG.normal(-12, 5, 5000).astype(np.float32)


def test_grey_is_value_by_255_and_nothing_else():
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_grey(levels, "grey"), levels.astype(np.float32) / 255)


def test_power_amplitude_and_db_are_one_mapping():
    db = to_grey(SIGMA0_DB, "db")
    np.testing.assert_allclose(to_grey(10 ** (SIGMA0_DB / 10), "power"), db, atol=1e-5)
    np.testing.assert_allclose(to_grey(10 ** (SIGMA0_DB / 20), "amplitude"), db, atol=1e-5)
    ends = np.array([FLOOR_DB - 9, FLOOR_DB, (FLOOR_DB + CEILING_DB) / 2, CEILING_DB, 30])
    np.testing.assert_allclose(to_grey(ends, "db"), [BLACK, BLACK, 0.5, 1, 1], atol=1e-7)


def test_black_stays_above_zero_and_missing_values_stay_missing():
    values = np.array([0.0, -0.001, np.nan, 1.0])
    np.testing.assert_allclose(
        to_grey(values, "power")[[0, 1, 3]], [BLACK, BLACK, 25 / 30], atol=1e-6
    )
    assert np.isnan(to_grey(values, "power")[2])


def test_the_values_given_are_left_alone():
    values = SIGMA0_DB.copy()
    to_grey(values, "power")
    np.testing.assert_array_equal(values, SIGMA0_DB)


def test_stretch_takes_percentiles_to_0_and_1():
    values = np.arange(101, dtype=np.float32)
    grey = to_grey(values, "stretched")
    np.testing.assert_allclose(grey[[1, 50, 99]], [BLACK, 0.5, 1], atol=1e-6)
    assert grey.min() == np.float32(BLACK)
    assert grey.max() == 1


def test_digital_numbers_do_not_depend_on_the_calibration_constant():
    numbers = 10 ** (SIGMA0_DB / 20) * 300
    np.testing.assert_allclose(to_grey(numbers, "dn"), to_grey(numbers * 7, "dn"), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@given(
    values=hnp.arrays(
        np.float32,
        st.integers(1, 40),
        elements=st.one_of(st.floats(-1e4, 1e6, width=32), st.just(np.nan)),
    )
)
@settings(max_examples=25, deadline=None)
def test_every_mapping_is_monotone_into_0_1(kind, values):
    grey = to_grey(values, kind)
    assert grey.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(grey), np.isnan(values))
    ordered = grey[np.argsort(values)]
    ordered = ordered[np.isfinite(ordered)]
    assert (np.diff(ordered) >= 0).all()
    assert ((ordered >= 0) & (ordered <= 1)).all()


def decide(values, **options):
    return decide_radiometry(np.asarray(values), **options).kind


def test_auto_decides_by_the_values():
    wide = RNG.integers(0, 256, 5000)
    narrow = RNG.normal(129, 14, 5000).round()
    power = 10 ** (SIGMA0_DB / 10)
    assert decide(wide, dtype="uint8") == "grey"
    assert decide(narrow, dtype="uint8") == "stretched"
    assert decide(narrow, dtype="uint8", official=True) == "grey"
    assert decide(wide, dtype="float32") == "grey"
    assert decide(SIGMA0_DB) == "db"
    assert decide(power) == "power"
    assert decide(np.sqrt(power), hint="amplitude") == "amplitude"
    assert decide(np.sqrt(power) * 400, hint="amplitude") == "dn"
    assert decide((np.sqrt(power) * 400).round(), dtype="uint16") == "dn"
    assert decide(power * 1e5) == "dn"
    assert decide(SIGMA0_DB + 60, hint="db") == "stretched"  # dB of digital numbers
    assert decide(power, hint="db") == "power"
    assert decide(np.sqrt(power), kind="amplitude") == "amplitude"


def test_the_decision_says_what_and_why():
    decided = decide_radiometry(RNG.normal(129, 14, 5000).round(), dtype="uint8")
    assert "stretched" in decided.reason
    assert "narrow band" in decided.reason
    assert decided.low == pytest.approx(129 - 2.33 * 14, abs=2)
    assert decided.high == pytest.approx(129 + 2.33 * 14, abs=2)


def test_values_that_are_nothing_known_are_refused():
    with pytest.raises(IcefrontError, match="neither dB nor linear"):
        decide_radiometry(RNG.normal(-3000, 400, 5000))
    with pytest.raises(IcefrontError, match="'sigma' is unknown; choose auto, grey"):
        decide_radiometry(SIGMA0_DB, kind="sigma")


POWER = 10 ** (SIGMA0_DB / 10)


@pytest.mark.parametrize(
    ("values", "kind", "remedy"),
    [
        (SIGMA0_DB * 100, "db", "multiplied by 0.01 they would be dB"),
        (SIGMA0_DB * 100, "auto", "multiplied by 0.01 they would be dB"),
        (SIGMA0_DB * 1000, "db", "multiplied by 0.001 they would be dB"),
        (SIGMA0_DB / 100, "db", "multiplied by 100 they would be dB"),
        (POWER * 1e4, "power", "multiplied by 0.0001 they would be power"),
        (np.sqrt(POWER) * 1e4, "amplitude", "multiplied by 0.0001 they would be amplitude"),
        (POWER, "db", "state 'power'"),
        (SIGMA0_DB, "power", "state 'db'"),
        (SIGMA0_DB, "amplitude", "state 'db'"),
        (SIGMA0_DB, "grey", "state 'db'"),
        (POWER * 1e4, "grey", "state 'dn'"),
        (POWER / 9, "grey", "multiplied by 255 they would be grey values"),
        (SIGMA0_DB, "dn", "state 'db'"),
        (np.geomspace(1e-2, 1e37, 5000), "auto", "lie too far apart"),
        (np.geomspace(1e-2, 1e37, 5000), "dn", "state 'stretched'"),
    ],
)
def test_values_that_contradict_the_radiometry_are_refused_with_a_remedy(values, kind, remedy):
    with pytest.raises(IcefrontError, match=remedy) as caught:
        decide_radiometry(values, kind=kind)
    assert "between percentiles 1 and 99" in str(caught.value)


def factor_of_the_refusal(values, kind):
    """Return the factor that the error names, 1 where there is none."""
    try:
        decide_radiometry(values, kind=kind)
    except IcefrontError as error:
        return float(re.search(r"multiplied by (\S+)", str(error))[1])
    return 1.0


@given(
    exponent=st.integers(-6, 6),
    kind=st.sampled_from(["db", "power", "amplitude"]),
    middle=st.floats(-20, -6),
)
@settings(max_examples=40)
def test_the_factor_of_the_sentence_makes_a_stated_radiometry_right(exponent, kind, middle):
    db = SIGMA0_DB - SIGMA0_DB.mean() + middle
    values = {"db": db, "power": 10 ** (db / 10), "amplitude": 10 ** (db / 20)}[kind]
    values = values.astype(np.float64) * 10.0**exponent
    factor = factor_of_the_refusal(values, kind)
    assert decide_radiometry(values * factor, kind=kind).kind == kind
    if kind == "db" and exponent != -1:  # a tenth of dB can be dB of a smooth surface
        assert factor == pytest.approx(10.0**-exponent)
    elif abs(exponent) >= 6:
        assert factor != 1


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Sigma0_VV_db", "db"),
        ("dB", "db"),
        ("Amplitude_HH", "amplitude"),
        ("Intensity_HH", "power"),
        ("S1A_IW_20180128T161201_DVP_RTC30_G_gpuned_FD6A_VV", "power"),
        ("S1A_IW_20180128T161201_DVP_RTC30_G_gduned_FD6A_VV", "db"),
        ("S1A_IW_20180128T161201_DVP_RTC30_G_sauned_FD6A_VV", "amplitude"),
        ("helheim_20180602_S1_HH", None),
    ],
)
def test_units_and_names_hint_at_the_kind(text, kind):
    assert radiometry_hint([text]) == kind


def test_equalise_equals_mean_ranks():
    image = RNG.integers(0, 256, (60, 50)).astype(np.float32) / 255
    image[:5] = np.nan
    flat = equalise(image)
    signal = np.isfinite(image) & (image > 0)
    valid = image[signal]
    below = np.searchsorted(np.sort(valid), valid, side="left")
    upto = np.searchsorted(np.sort(valid), valid, side="right")
    expected = (below + upto) / 2 / valid.size
    np.testing.assert_allclose(flat[signal], expected, atol=1e-6)
    assert (flat[image == 0] == 0).all()
    np.testing.assert_array_equal(np.isnan(flat), np.isnan(image))


def test_equalise_makes_any_histogram_flat():
    flat = equalise(RNG.beta(2, 9, (400, 300)).astype(np.float32))
    assert flat.dtype == np.float32
    quantiles = np.quantile(flat, np.linspace(0, 1, 11))
    np.testing.assert_allclose(quantiles, np.linspace(0, 1, 11), atol=0.01)


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.one_of(st.floats(0, 1, width=32), st.just(np.nan)),
    )
)
@settings(max_examples=50, deadline=None)
def test_equalise_is_monotone_and_keeps_the_mean_at_one_half(image):
    flat = equalise(image)
    np.testing.assert_array_equal(np.isnan(flat), np.isnan(image))
    order = np.argsort(image, axis=None)
    ranks = flat.ravel()[order]
    ranks = ranks[np.isfinite(ranks)]
    assert (np.diff(ranks) >= 0).all()
    assert (flat[image == 0] == 0).all()
    ranks = flat[np.isfinite(image) & (image > 0)]
    if ranks.size:
        assert ranks.mean() == pytest.approx(0.5, abs=1e-4)


def test_equalise_takes_nothing_and_one_value():
    assert np.isnan(equalise(np.full((3, 4), np.nan, np.float32))).all()
    assert (equalise(np.full((3, 4), 0.3, np.float32)) == 0.5).all()
