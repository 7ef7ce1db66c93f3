"""Calving events of a series: sudden retreats that last."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icefront.timeseries.outliers import noise_of
from icefront.timeseries.trend import dates_of_days

_EVENT_SIGMAS = 3.5
"""A drop is a calving event if it exceeds this many standard deviations of its two positions."""
_EVENT_REACH = 3
"""Positions before and after a drop that must agree that it lasted."""
_EVENT_DAYS = 60.0
"""Over a longer time without a front, calving and gradual retreat look the same."""


def calving_events(
    days: np.ndarray,
    position: np.ndarray,
    uncertainty: np.ndarray,
    *,
    min_drop_m: float = 0.0,
) -> pd.DataFrame:
    """Find calving events: drops between two dates that exceed the uncertainty and last.

    What the front does gradually at that time of the year is taken off first: the median rate of
    the (up to three) steps before and after. The drop counts if what remains is larger than 3.5
    standard deviations (of both positions, each at least the noise of the series), and if the
    median of the up to three positions after it lies behind that of those before it by half the
    drop or more. Drops over more than 60 days without a front are no events.

    Parameters
    ----------
    days, position, uncertainty : float (N,)
        In order, a row per day, without outliers; metres.
    min_drop_m : float
        Smaller drops are not reported.

    Returns
    -------
    DataFrame
        ``before``, ``after`` (datetime64, the dates between which it calved), ``drop_m``
        (positive), ``uncertainty_m`` and ``sigmas`` (their ratio).
    """
    noise = noise_of(days, position)
    sigma = np.maximum(np.nan_to_num(uncertainty), noise)
    rows = []
    steps, spans = np.diff(position), np.maximum(np.diff(days), 1e-6)
    rates = steps / spans
    for i in np.flatnonzero((steps < 0) & (spans <= _EVENT_DAYS)):
        drop, error = -steps[i], float(np.hypot(sigma[i], sigma[i + 1]))
        around = np.r_[rates[max(i - _EVENT_REACH, 0) : i], rates[i + 1 : i + 1 + _EVENT_REACH]]
        gradual = float(np.median(around)) * spans[i] if around.size else 0.0
        if not drop + min(gradual, 0.0) > _EVENT_SIGMAS * error or drop < min_drop_m:
            continue
        before = position[max(i + 1 - _EVENT_REACH, 0) : i + 1]
        after = position[i + 1 : i + 1 + _EVENT_REACH]
        if np.median(before) - np.median(after) >= drop / 2:
            rows.append((days[i], days[i + 1], drop, error, drop / error))
    table = pd.DataFrame(rows, columns=["before", "after", "drop_m", "uncertainty_m", "sigmas"])
    for name in ("before", "after"):
        table[name] = dates_of_days(table[name].to_numpy(float)).astype("datetime64[s]")
    return table
