"""Dates whose image contradicts the dates around it, and so is trusted less."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from icefront.series.evidence import LEAST, POWER, evidence
from icefront.series.rates import STATES, ChangeRates
from icefront.series.smoothing import days_of, read_sample, transitions_between
from icefront.zones import GLACIER, NO_DATA, OCEAN, ROCK, likeliest

LEAST_DATES = 6
"""With fewer dates nobody can say which of them is the odd one."""

ODD = 1.75
"""A date is odd that contradicts the others by so many times what nine in ten dates do at most."""

SURE = 0.9
"""Probability from which on a prediction is sure."""

LEAST_EXCESS = 0.02
"""And by so much more of the places than the usual date."""

ODD_POWER = 0.1
"""Factor to the power of an odd date."""

NEWEST_POWER = 0.35
"""The newest date has at least this power: after a long time without images its own is believed."""

OVERRULED = 0.9
"""Power of the newest date, as a fraction of that at which one image turns what was sure before."""

_log = logging.getLogger(__name__)


def contradictions(
    probabilities: Any,
    dates: Sequence[Any],
    *,
    rates: ChangeRates | None = None,
    power: float = POWER,
    past_only: bool = False,
) -> np.ndarray:
    """Return how much each date contradicts the other ones, float (T,).

    For each place the zone on a date is predicted from all other dates (or from earlier ones
    only). Among the places with data where that prediction is sure, those count whose likeliest
    zone by the date's image is another one.

    Parameters
    ----------
    probabilities, dates, rates, power
        As for `icefront.through_time`; a sample of rows is read.
    past_only : bool
        Predict from earlier dates only, as for the newest date.

    Returns
    -------
    float (T,)
        Fractions, in the order of `dates`; 0 for a date without data.
    """
    (result,) = _contradictions(probabilities, dates, rates or ChangeRates(), power, (past_only,))
    return result


def _contradictions(
    probabilities: Any,
    dates: Sequence[Any],
    rates: ChangeRates,
    power: float,
    kinds: Sequence[bool],
) -> list[np.ndarray]:
    """Return `contradictions` to all other dates (False) or to earlier ones (True), as asked."""
    days = days_of(dates)
    order = np.argsort(days, kind="stable")
    found = read_sample(probabilities, order)
    likelihood = evidence(found, np.full(len(days), power))
    transitions = transitions_between(days[order], rates)
    data = 1 - found[:, NO_DATA]
    seen = likeliest(found[:, ROCK:].swapaxes(0, 1))

    def fractions(past_only: bool) -> np.ndarray:
        expected = _from_others(likelihood, transitions, past_only=past_only)
        by_state = expected.swapaxes(0, 1)
        known = data * (by_state.max(axis=0) > SURE)
        other = likeliest(by_state) != seen
        result = np.empty(len(days))
        result[order] = (known * other).sum(axis=1) / np.maximum(known.sum(axis=1), 1e-6)
        return result

    return [fractions(past_only) for past_only in kinds]


def reliable_powers(
    probabilities: Any, dates: Sequence[Any], *, rates: ChangeRates, power: float
) -> np.ndarray:
    """Return the power of each date: less for one that contradicts the others as no other does.

    A large calving event contradicts the dates before it and agrees with those after it; a bad
    image contradicts both. Of the newest date only the past is known. Its image alone does not
    turn what was sure shortly before, which costs a real event one image; and it is odd if it
    contradicts its past as no other date does its own.

    Parameters
    ----------
    probabilities, dates, rates
        As for `icefront.through_time`; a sample of rows is read.
    power : float
        Of all other dates.

    Returns
    -------
    float (T,)
    """
    powers = np.full(len(dates), float(power))
    days = days_of(dates)
    newest = days == days.max()
    if newest.all():
        return powers
    gap = float(days.max() - days[~newest].max())
    change = float(rates.transition(gap)[GLACIER - ROCK, OCEAN - ROCK])
    alone = OVERRULED * np.log(max(change, LEAST)) / np.log(LEAST)
    powers[newest] = min(power, max(NEWEST_POWER, alone))
    if len(dates) < LEAST_DATES:
        return powers
    around, past = _contradictions(probabilities, dates, rates, power, (False, True))
    odd = _odd(around)
    odd[newest] = False
    # The first dates have next to no past.
    known = days > np.sort(days)[1]
    if known.sum() >= LEAST_DATES - 2:
        odd[known] |= _odd(past[known]) & newest[known]
    powers[odd] *= ODD_POWER
    for index in np.flatnonzero(odd).tolist():
        _log.info("the image of %s contradicts the dates around it and counts less", dates[index])
    return powers


def _odd(values: np.ndarray) -> np.ndarray:
    """Find values far beyond what nine in ten of the others reach."""
    high, usual = (quantile_of_others(values, fraction) for fraction in (0.9, 0.5))
    return np.asarray((values > ODD * high) & (values > usual + LEAST_EXCESS))


def quantile_of_others(values: np.ndarray, fraction: float) -> np.ndarray:
    """Return for each value the quantile of all others.

    Parameters
    ----------
    values : float (T,)
        At least 3.
    fraction : float
        Below 1.

    Returns
    -------
    float (T,)
        Linear between two values, as by `numpy.quantile`.
    """
    order = np.argsort(values)
    rank = np.empty(len(values), int)
    rank[order] = np.arange(len(values))
    ascending = values[order]
    place = fraction * (len(values) - 2)
    low = int(place)
    # Without a value, those after it move down by one place.
    below, above = (
        ascending[np.minimum(at + (rank <= at), len(values) - 1)] for at in (low, low + 1)
    )
    return np.asarray(below + (above - below) * (place - low))


def _from_others(likelihood: np.ndarray, transitions: np.ndarray, *, past_only: bool) -> np.ndarray:
    """Return the probability of each state on each date, its own image left out, (T, 3, N)."""
    expected = np.empty_like(likelihood)
    state = np.full(likelihood.shape[1:], 1 / STATES, np.float32)
    for place in range(len(likelihood)):
        if place:
            state = transitions[place].T @ state
        expected[place] = state
        state = state * likelihood[place]
        state /= state.sum(axis=0)
    if past_only:
        return expected
    backward = np.ones_like(state)
    for place in range(len(likelihood) - 1, -1, -1):
        expected[place] *= backward
        expected[place] /= expected[place].sum(axis=0)
        if place:
            backward = transitions[place] @ (likelihood[place] * backward)
            backward /= backward.sum(axis=0)
    return expected
