"""Outliers of a series and its noise, from the neighbours in time."""

from __future__ import annotations

import numpy as np

from icefront.errors import IcefrontError

_OUTLIER_SIGMAS = 4.0
"""An outlier is off from both sides by more than this many standard deviations."""
NEIGHBOURS = 3
"""Dates on each side that a position is held against."""
REACH_DAYS = 120.0
"""Neighbours are no farther away than this."""
_MIN_NOISE_M = 1.0
"""Smallest noise that is assumed, in metres."""
_MAX_DEVIATIONS = 3.0
"""An outlier also differs by this many median absolute deviations of the neighbours of a side."""
_MIN_RATIO = 0.5
"""The smaller of an outlier's distances to both sides is at least this fraction of the larger."""
_TO_SIGMA = 1.4826


def noise_of(days: np.ndarray, position: np.ndarray) -> float:
    """Estimate the standard deviation of single positions from their neighbours in time.

    Each position is held against the straight line between the one before and the one after it;
    trend and season cancel, and the median keeps calving and outliers from counting.

    Parameters
    ----------
    days : float (N,)
        In order.
    position : float (N,)
        In metres.

    Returns
    -------
    float
        In metres, at least `_MIN_NOISE_M`; infinite for fewer than five positions.
    """
    if position.size < 5:
        return float("inf")
    span = np.maximum(days[2:] - days[:-2], 1e-9)
    weight = (days[1:-1] - days[:-2]) / span
    off = position[1:-1] - (1 - weight) * position[:-2] - weight * position[2:]
    off = off / np.sqrt(1 + weight**2 + (1 - weight) ** 2)
    return max(float(_TO_SIGMA * np.median(np.abs(off))), _MIN_NOISE_M)


def find_outliers(
    days: np.ndarray, position: np.ndarray, uncertainty: np.ndarray | None = None
) -> np.ndarray:
    """Find positions that neither the dates before nor those after them support.

    A position is an outlier if it lies on the same side of the median of the (up to three)
    positions before it and of those after it, by more than four standard deviations of both, and as
    far from the parabola through all of them (so that the turn of the season is none). Both
    distances must be alike, the smaller at least half the larger: after calving a front begins to
    come back, but not at once. The first and the last date cannot be checked and stay.

    Parameters
    ----------
    days : float (N,)
        In order.
    position : float (N,)
        In metres; NaN is no outlier.
    uncertainty : float (N,), optional
        Standard deviations in metres; the noise of the series is added.

    Returns
    -------
    bool (N,)
    """
    days, position = np.asarray(days, float), np.asarray(position, float)
    if (np.diff(days) < 0).any():
        raise IcefrontError("The dates of a series must be in order: sort it by date.")
    own = np.zeros(position.size) if uncertainty is None else np.nan_to_num(uncertainty)
    found = np.zeros(position.size, bool)
    for _ in range(3):  # An outlier spoils the judgement of its neighbours: look again without it.
        good = np.flatnonzero(~np.isnan(position) & ~found)
        noise = noise_of(days[good], position[good])
        fresh = False
        for i in np.flatnonzero(~np.isnan(position) & ~found):
            before = good[(good < i) & (days[good] >= days[i] - REACH_DAYS)][-NEIGHBOURS:]
            after = good[(good > i) & (days[good] <= days[i] + REACH_DAYS)][:NEIGHBOURS]
            if not (before.size and after.size):
                continue
            off = (
                position[i] - np.median(position[before]),
                position[i] - np.median(position[after]),
            )
            # Where the front runs fast at either side, a turn is no fault.
            deviation = max(
                float(np.median(np.abs(position[s] - np.median(position[s]))))
                for s in (before, after)
            )
            limit = max(_OUTLIER_SIGMAS * np.hypot(own[i], noise), _MAX_DEVIATIONS * deviation)
            small, large = sorted(map(abs, off))
            if off[0] * off[1] <= 0 or small <= limit or small < _MIN_RATIO * large:
                continue
            near = np.concatenate([before, after])
            if abs(position[i] - _expected(days[near] - days[i], position[near])) > limit:
                found[i] = fresh = True
        if not fresh:
            break
    return found


def _expected(apart: np.ndarray, position: np.ndarray) -> float:
    """Position at time 0 by the parabola through neighbours, or the line if they are few."""
    order = 2 if apart.size >= 5 else 1
    powers = (apart[:, None] / REACH_DAYS) ** np.arange(order + 1)
    return float(np.linalg.lstsq(powers, position, rcond=None)[0][0])
