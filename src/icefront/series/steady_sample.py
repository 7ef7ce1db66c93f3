"""A sample of dates that stays the same while scenes are added to a series."""

from __future__ import annotations

import numpy as np


def steady_sample(days: np.ndarray, most: int) -> np.ndarray:
    """Choose at most so many dates, as by chance.

    Whether a date is chosen depends on little more than the date itself, so that one more date
    rarely changes the sample: what is estimated from it stays as it is.

    Parameters
    ----------
    days : int (T,)
        Days since 1970, as from `icefront.series.smoothing.days_of`.
    most : int

    Returns
    -------
    int (N,)
        Indices in order of time; all where there are no more than `most`.
    """
    days = np.asarray(days, np.int64)
    chosen = np.argsort(_scrambled(days), kind="stable")[:most]
    return chosen[np.argsort(days[chosen], kind="stable")]


def _scrambled(values: np.ndarray) -> np.ndarray:
    """Return numbers without any pattern of the values: the last steps of SplitMix64.

    Multiples of one number, evenly spread as they are, would fall in step with the intervals of
    satellites. Steele et al. (2014), doi:10.1145/2714064.2660195.
    """
    found = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        found = (found ^ (found >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(found ^ (found >> np.uint64(31)))
