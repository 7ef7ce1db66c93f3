"""The dates of a glacier made to agree, with everything that its own series can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from icefront.series.estimation import estimate_power, estimate_rates
from icefront.series.rates import ChangeRates
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
    """Smooth a series with rates and a power of the images that are found from the series itself.

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
    return through_time(
        probabilities,
        dates,
        corrections=corrections,
        rates=rates,
        power=estimate_power(probabilities, dates, corrections or {}, rates=rates),
        fill=fill,
        out=out,
        progress=progress,
    )
