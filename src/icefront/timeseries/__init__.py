"""Positions through time: trend, seasons, calving events, outliers, grades.

Pure functions on tables of positions. Everywhere, advance is positive.
"""

from __future__ import annotations

from icefront.timeseries.calving_events import calving_events
from icefront.timeseries.outliers import find_outliers
from icefront.timeseries.seasons import seasons_by_year
from icefront.timeseries.series import Series, make_series, summary
from icefront.timeseries.source_comparison import compare_sources
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
