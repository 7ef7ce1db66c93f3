"""Positions through time: trend, seasons, calving events, outliers, grades.

Pure functions on tables of positions. Everywhere, advance is positive.
"""

from __future__ import annotations

from icefront.timeseries.outliers import find_outliers
from icefront.timeseries.series import (
    Series,
    calving_events,
    compare_sources,
    make_series,
    seasons_by_year,
    summary,
)
from icefront.timeseries.trend import Fit, fit_trend

__all__ = [
    "Fit",
    "Series",
    "calving_events",
    "compare_sources",
    "find_outliers",
    "fit_trend",
    "make_series",
    "seasons_by_year",
    "summary",
]
