"""Boundary of glacier and ocean that stays where it is while the rest of it moves: shore."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from icefront.series.smoothing import days_of
from icefront.series.steady_sample import steady_sample
from icefront.zones import GLACIER, NO_DATA, OCEAN, likeliest

WITHIN_PX = 1
"""A boundary is in the same place as long as it moves no further than this, in pixels."""

STILL, MOVING = 0.97, 0.5
"""A place is still that lies on the boundary on this fraction of the dates, and moving if on less
than that one; in between the evidence grows."""

LEAST_MOVING = 0.15
"""Fraction of the boundary, over all dates, that must move: else nothing tells front from shore."""

LEAST_DATES, LEAST_DAYS = 30, 365
"""A shorter series does not show what moves: its fronts are flattened, and may seem still."""

MOST_DATES = 60
"""Number of dates that are looked at."""

LOG_ODDS = -3.0
"""Log odds of front against shore of a place that is still."""


def still_boundary(probabilities: Any, dates: Sequence[Any]) -> np.ndarray | None:
    """Find where the boundary of glacier and ocean never moves while it does elsewhere.

    A calving front moves with the seasons and the years; where snow-covered slopes come down to
    water the boundary stays. What moves is no proof of a front, since networks waver, too.

    Parameters
    ----------
    probabilities : float or uint8 (T, 4, H, W)
        Smoothed; sliced as ``[date, :, rows]``.
    dates : sequence
        As for `icefront.through_time`.

    Returns
    -------
    float32 (H, W) or None
        Log odds of front against shore, 0 where nothing is known, down to `LOG_ODDS`. None where
        the series is short or hardly anything moves.
    """
    days = days_of(dates)
    if len(days) < LEAST_DATES or np.ptp(days) < LEAST_DAYS:
        return None
    height, width = probabilities.shape[2:]
    there, seen = np.zeros((height, width), int), np.zeros((height, width), int)
    total = np.zeros((height, width), int)
    near = ndimage.iterate_structure(ndimage.generate_binary_structure(2, 1), WITHIN_PX)
    for index in steady_sample(days, MOST_DATES):
        zones = likeliest(probabilities[int(index), :, slice(0, height)])
        line = (zones == GLACIER) & ndimage.binary_dilation(zones == OCEAN)
        there += ndimage.binary_dilation(line, near)
        total += line
        seen += zones != NO_DATA
    fraction = there / np.maximum(seen, 1)
    if total[fraction < MOVING].sum() < LEAST_MOVING * max(total.sum(), 1):
        return None
    stillness = np.clip((fraction - MOVING) / (STILL - MOVING), 0, 1)
    return (LOG_ODDS * stillness).astype(np.float32)
