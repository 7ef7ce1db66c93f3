"""What neighbours in time say: the noise of a series, and its outliers."""

from __future__ import annotations

import numpy as np

from icefront.errors import IcefrontError

OUTLIER_SIGMAS = 4.0
"""An outlier is off from both sides by more than this many standard deviations."""
NEIGHBOURS = 3
"""Dates on each side that a position is held against."""
REACH_DAYS = 120.0
"""Neighbours are no farther away than this."""
FLOOR_M = 1.0
"""No series is taken to be less noisy than this."""
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
        In metres, at least `FLOOR_M`; infinite for fewer than five positions.
    """
    if position.size < 5:
        return float("inf")
    span = np.maximum(days[2:] - days[:-2], 1e-9)
    share = (days[1:-1] - days[:-2]) / span
    off = position[1:-1] - (1 - share) * position[:-2] - share * position[2:]
    off = off / np.sqrt(1 + share**2 + (1 - share) ** 2)
    return max(float(_TO_SIGMA * np.median(np.abs(off))), FLOOR_M)


def find_outliers(
    days: np.ndarray, position: np.ndarray, uncertainty: np.ndarray | None = None
) -> np.ndarray:
    """Find positions that neither the dates before nor those after them support.

    A position is an outlier if it lies on the same side of the median of the (up to three)
    positions before it and of those after it, by more than four standard deviations of both. A
    front that calves agrees with one side and stays; the first and the last date cannot be judged
    and stay as well.

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
            limit = OUTLIER_SIGMAS * np.hypot(own[i], noise)
            if off[0] * off[1] > 0 and min(abs(off[0]), abs(off[1])) > limit:
                found[i] = fresh = True
        if not fresh:
            break
    return found
