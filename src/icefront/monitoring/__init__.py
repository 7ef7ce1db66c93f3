"""Monitoring: fronts through time to position, area, rate and season.

Pure functions on tables of fronts (GeoDataFrames with the columns that `icefront.extract_front`
gives): measures, series, import. Everywhere, advance is positive.
"""

from __future__ import annotations

from icefront.measures.centrelines import centreline_position, parallel_centrelines
from icefront.measures.curvilinear import curvilinear_box
from icefront.fronts.external_fronts import join_fronts, read_fronts
from icefront.measures.by_glacier import METHODS, measure, reference_lines
from icefront.measures.proposals import propose_box, propose_centreline, propose_width
from icefront.measures.rectilinear import area_change, rectilinear_box
from icefront.timeseries.series import (
    Series,
    calving_events,
    compare_sources,
    make_series,
    seasons_by_year,
    summary,
)
from icefront.timeseries.outliers import find_outliers
from icefront.timeseries.trend import Fit, fit_trend

__all__ = [
    "METHODS",
    "Fit",
    "Series",
    "area_change",
    "calving_events",
    "centreline_position",
    "compare_sources",
    "curvilinear_box",
    "find_outliers",
    "fit_trend",
    "join_fronts",
    "make_series",
    "measure",
    "parallel_centrelines",
    "propose_box",
    "propose_centreline",
    "propose_width",
    "read_fronts",
    "rectilinear_box",
    "reference_lines",
    "seasons_by_year",
    "summary",
]
