"""The seasonal cycle of single years."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icefront.timeseries.trend import YEAR, Fit, dates_of_days, days_of

_YEAR_DATES = 6
_YEAR_GAP_DAYS = 120.0
"""The cycle of a single year needs this number of dates and no larger gap."""
_YEAR_MARGIN_DAYS = 30.0


def seasons_by_year(days: np.ndarray, position: np.ndarray, fit: Fit) -> pd.DataFrame:
    """Fit the seasonal cycle of each calendar year.

    The trend is taken off; a level, a slope of its own and one harmonic are fitted to the dates of
    the year and of a month on each side of it.

    Parameters
    ----------
    days, position : float (N,)
        In order, without outliers.
    fit : Fit
        Of the whole series.

    Returns
    -------
    DataFrame
        ``year``, ``dates`` (number), ``amplitude_m`` (half the range within the year),
        ``maximum`` and ``minimum`` (datetime64, days of the largest and smallest extent); years
        with too few dates are left out.
    """
    columns = ["year", "dates", "amplitude_m", "maximum", "minimum"]
    rows = []
    trend = fit.position(days, season=False)
    rest = position - (trend if not np.isnan(trend).any() else position.mean())
    dates = dates_of_days(days)
    for year in np.unique(dates.astype("datetime64[Y]")) if days.size else []:
        first, last = (days_of(np.array([year + k]))[0] for k in (0, 1))
        inside = (days >= first) & (days < last)
        near = (days >= first - _YEAR_MARGIN_DAYS) & (days < last + _YEAR_MARGIN_DAYS)
        stops = np.concatenate([[first], days[near & inside], [last]])
        if inside.sum() < _YEAR_DATES or np.diff(stops).max() > _YEAR_GAP_DAYS:
            continue
        grid = np.arange(first, last)
        middle = (first + last) / 2
        columns_of = [_year_design(at, middle) for at in (days[near], grid)]
        beta = np.linalg.lstsq(columns_of[0], rest[near], rcond=None)[0]
        cycle = columns_of[1][:, 2:] @ beta[2:]
        start = np.datetime64(year, "D")
        rows.append(
            (
                int(str(year)),
                int(inside.sum()),
                float(np.ptp(cycle) / 2),
                start + int(np.argmax(cycle)),
                start + int(np.argmin(cycle)),
            )
        )
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"maximum": "datetime64[s]", "minimum": "datetime64[s]"})


def _year_design(days: np.ndarray, middle: float) -> np.ndarray:
    turn = 2 * np.pi * days / YEAR
    return np.stack([np.ones_like(days), (days - middle) / YEAR, np.cos(turn), np.sin(turn)], 1)
