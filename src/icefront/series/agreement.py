"""The dates of a glacier made to agree, with everything that its own series can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from icefront.series.estimation import estimate_power, estimate_rates
from icefront.series.open_sea import open_sea, without_lakes
from icefront.series.rates import ChangeRates
from icefront.series.reliability import reliable_powers
from icefront.series.smoothing import through_time


def smooth_series(
    probabilities: Any,
    dates: Sequence[Any],
    *,
    corrections: Mapping[int, np.ndarray] | None = None,
    rates: ChangeRates | None = None,
    fill: bool = False,
    out: Any = None,
    progress: bool = False,
) -> Any:
    """Smooth a series with what it tells itself: rates, power and odd images, and the open sea.

    Water that nowhere touches the open sea is given to the glacier.

    Parameters
    ----------
    probabilities, dates, corrections, fill, out, progress
        As for `icefront.through_time`.
    rates : ChangeRates, optional
        Estimated from the dates by default.

    Returns
    -------
    float32 (T, 4, H, W), or `out`

    Raises
    ------
    IcefrontError
        As `icefront.through_time`.
    """
    rates = rates or estimate_rates(probabilities, dates)
    power = estimate_power(probabilities, dates, corrections or {}, rates=rates)
    smoothed = through_time(
        probabilities,
        dates,
        corrections=corrections,
        rates=rates,
        power=reliable_powers(probabilities, dates, rates=rates, power=power),
        fill=fill,
        out=out,
        progress=progress,
    )
    sea, every = open_sea(smoothed), slice(0, smoothed.shape[2])
    for index in range(smoothed.shape[0]):
        changed = without_lakes(smoothed[index, :, every], sea)
        if changed is not None:
            smoothed[index, :, every] = changed
    return smoothed
