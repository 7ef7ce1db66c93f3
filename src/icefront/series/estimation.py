"""How fast the places of one glacier change, found from its own series."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import minimize

from icefront.series.evidence import LEAST, POWER, correct, evidence
from icefront.series.rates import STATES, ChangeRates
from icefront.series.smoothing import (
    days_of,
    posterior,
    read_sample,
    sampled_rows,
    transitions_between,
)
from icefront.zones import GLACIER, N_ZONES, OCEAN, ROCK

LEAST_DATES = 30
"""With fewer dates the rates stay at their defaults."""

LEAST_PLACES = 50
"""With fewer places of the sample that change the rates stay at their defaults."""

LEAST_CORRECTIONS = 3
"""With fewer corrected dates the power of the images stays at its default."""

SLOW_POWER, SLOW, FAST = 0.2, 0.2, 2.0
"""Power of the images of a long series whose places change `SLOW` times a year or less; it grows
with the logarithm of the rate, up to `POWER` at `FAST`."""

COMMON_ERROR_PX = 6.0
"""Standard deviation of fronts that is common to the images of a long series of a slow glacier,
in pixels."""

POWERS = (0.05, 0.1, 0.2, 0.35, POWER)
"""Powers that are tried."""

ROUNDS = 8
RATE_RANGE = (0.02, 2.0)
"""Rates are kept within this range, per year: a season moves a place once to and once fro, and what
seems faster is noise of the images."""

RATE_STEP = 1.25
"""Rates are rounded to powers of this factor, which is finer than they are known: one more date
then rarely changes them, and the dates far from it stay as they are."""

_log = logging.getLogger(__name__)


def estimate_rates(
    probabilities: Any,
    dates: Sequence[Any],
    *,
    power: float | Sequence[float] | np.ndarray = 1.0,
    start: ChangeRates | None = None,
    rounds: int = ROUNDS,
) -> ChangeRates:
    """Estimate the rates of retreat and advance by expectation–maximisation.

    Parameters
    ----------
    probabilities, dates
        As for `icefront.through_time`; a sample of rows is read.
    power : float or sequence of float
        Power of the probabilities. At 1 some errors count as changes, at less some changes as
        errors; the former leaves more of the seasons.
    start : ChangeRates, optional
        Where to start; its rate of rock is kept.
    rounds : int
        Rounds of expectation and maximisation at most.

    Returns
    -------
    ChangeRates
        `start` if there are fewer than 30 dates, all are of one day, or
        hardly any place changes.

    Notes
    -----
    The expected number of changes from one date to the next (Rabiner 1989, equation 37) is summed
    over the places; the rates that make these numbers most probable are found numerically, since
    the intervals differ.
    """
    rates = start or ChangeRates()
    days = days_of(dates)
    order = np.argsort(days, kind="stable")
    days = days[order]
    if len(days) < LEAST_DATES or days[0] == days[-1]:
        return rates
    powers = np.broadcast_to(np.asarray(power, np.float32), (len(days),))[order]
    likelihood = evidence(read_sample(probabilities, order), powers)
    likelihood = likelihood[:, :, _changing(likelihood, transitions_between(days, rates))]
    if likelihood.shape[2] < LEAST_PLACES:
        return rates
    lengths, which = np.unique(np.diff(days), return_inverse=True)
    for _ in range(rounds):
        changes = _expected_changes(likelihood, transitions_between(days, rates))
        pooled = np.zeros((len(lengths), STATES, STATES))
        np.add.at(pooled, which, changes)
        before, rates = rates, _likeliest(pooled, lengths, rates)
        if (
            abs(np.log(rates.retreat / before.retreat))
            < 0.05
            > abs(np.log(rates.advance / before.advance))
        ):
            break
    rates = replace(rates, retreat=_rounded(rates.retreat), advance=_rounded(rates.advance))
    _log.info("rates: %.2f retreat, %.2f advance a year", rates.retreat, rates.advance)
    return rates


def _rounded(rate: float) -> float:
    """Round a rate to a power of `RATE_STEP`."""
    return float(RATE_STEP ** round(np.log(rate) / np.log(RATE_STEP)))


def _changing(likelihood: np.ndarray, transitions: np.ndarray) -> np.ndarray:
    """Find the places that are glacier on one date and ocean on another, bool (N,)."""
    largest = posterior(likelihood, transitions).max(axis=0)
    return np.asarray(largest[GLACIER - ROCK : OCEAN - ROCK + 1].min(axis=0) > 0.5)


def _expected_changes(likelihood: np.ndarray, transitions: np.ndarray) -> np.ndarray:
    """Return the expected number of changes between neighbouring dates, (T - 1, 3, 3)."""
    forward = np.empty_like(likelihood)
    state = np.full(likelihood.shape[1:], 1 / STATES, np.float32)
    for place in range(len(likelihood)):
        if place:
            state = transitions[place].T @ forward[place - 1]
        forward[place] = state * likelihood[place]
        forward[place] /= forward[place].sum(axis=0)
    changes = np.empty((len(likelihood) - 1, STATES, STATES))
    backward = np.ones_like(state)
    for place in range(len(likelihood) - 1, 0, -1):
        ahead = likelihood[place] * backward
        backward = transitions[place] @ ahead
        total = (forward[place - 1] * backward).sum(axis=0)
        changes[place - 1] = transitions[place] * ((forward[place - 1] / total) @ ahead.T)
        backward /= backward.sum(axis=0)
    return changes


def _likeliest(changes: np.ndarray, days: np.ndarray, rates: ChangeRates) -> ChangeRates:
    """Return the rates that make the numbers of changes most probable."""
    low, high = np.log(RATE_RANGE)

    def made(values: np.ndarray) -> ChangeRates:
        retreat, advance = np.exp(np.clip(values, low, high))
        return ChangeRates(float(retreat), float(advance), rates.rock)

    def misfit(values: np.ndarray) -> float:
        chosen = made(values)
        probable = np.stack([chosen.transition(float(length)) for length in days])
        return -float((changes * np.log(np.maximum(probable, 1e-12))).sum())

    begin = np.log([rates.retreat, rates.advance])
    return made(minimize(misfit, begin, method="Nelder-Mead", options={"xatol": 0.02}).x)


def usual_power(count: int, rates: ChangeRates) -> float:
    """Return the power of the images of a series without corrections.

    A network errs alike on many dates of a glacier. Of a long series of a glacier that changes
    slowly the common errors are left, and no number of equal images makes them right: with less
    power the rates and the dates far away count more. Where places change with the seasons, images
    must be believed as they come. Chosen on SI, DBE and Crane of CaFFe, by networks that had not
    seen them (``benchmarks/series.py``), and on a simulated Kronebreen.

    Parameters
    ----------
    count : int
        Number of dates; with fewer than 30 it is `POWER`.
    rates : ChangeRates
        Of the glacier.
    """
    return POWER - (POWER - SLOW_POWER) * _slowness(count, rates)


def common_error_px(count: int, rates: ChangeRates) -> float:
    """Return the standard deviation of fronts that is common to the dates, in pixels.

    It does not show in how far the dates disagree. What 90 % intervals hold with it is stated in
    ``docs/series.md`` and measured by ``benchmarks/series.py``.

    Parameters
    ----------
    count, rates
        As for `usual_power`.
    """
    return COMMON_ERROR_PX * _slowness(count, rates)


def _slowness(count: int, rates: ChangeRates) -> float:
    """Return 1 for a long series of a glacier that changes slowly, 0 for a short or a fast one."""
    if count < LEAST_DATES:
        return 0.0
    rate = max(float(np.sqrt(rates.retreat * rates.advance)), 1e-9)
    return 1 - float(np.clip(np.log(rate / SLOW) / np.log(FAST / SLOW), 0, 1))


def estimate_power(
    probabilities: Any,
    dates: Sequence[Any],
    corrections: Mapping[int, np.ndarray],
    *,
    rates: ChangeRates | None = None,
) -> float:
    """Estimate from corrected dates how much a network's probabilities are worth.

    The images of one glacier err alike, so that many dates may agree on what is wrong. Corrections
    show it: each is predicted from the other corrections and all images, with the images at several
    powers; the power that makes the corrections most probable is taken.

    Parameters
    ----------
    probabilities, dates, corrections
        As for `icefront.through_time`; a sample of rows is read.
    rates : ChangeRates, optional

    Returns
    -------
    float
        One of `POWERS`; `usual_power` with fewer than 3 corrections.
    """
    days = days_of(dates)
    order = np.argsort(days, kind="stable")
    place_of = {int(index): place for place, index in enumerate(order)}
    if len(corrections) < LEAST_CORRECTIONS:
        return usual_power(len(days), rates or ChangeRates())
    transitions = transitions_between(days[order], rates or ChangeRates())
    rows = sampled_rows(probabilities)
    found = read_sample(probabilities, order)
    drawn = {
        place_of[index]: np.concatenate([zones[row] for row in rows])
        for index, zones in corrections.items()
    }
    scores = []
    for power in POWERS:
        plain = evidence(found, np.full(len(days), power))
        score = 0.0
        for left_out, truth in drawn.items():
            likelihood = plain.copy()
            for place, zones in drawn.items():
                if place != left_out:
                    correct(likelihood[place], zones)
            known = (truth >= ROCK) & (truth < N_ZONES)
            states = posterior(likelihood, transitions)[left_out][:, known]
            right = np.take_along_axis(states, truth[known][None] - ROCK, axis=0)
            score += float(np.log(np.maximum(right, LEAST)).sum())
        scores.append(score)
    chosen = POWERS[int(np.argmax(scores))]
    _log.info("power of the images: %.2f, by %d corrections", chosen, len(corrections))
    return chosen
