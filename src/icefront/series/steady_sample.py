"""A sample of dates that stays the same while scenes are added to a series."""

from __future__ import annotations

import numpy as np

_GOLDEN = 2654435761
"""2³² divided by the golden ratio: multiples of it fall evenly over the whole range."""


def steady_sample(days: np.ndarray, most: int) -> np.ndarray:
    """Choose at most so many dates, spread through time.

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
    chosen = np.argsort(days * _GOLDEN % 2**32, kind="stable")[:most]
    return chosen[np.argsort(days[chosen], kind="stable")]
