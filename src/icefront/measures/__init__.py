"""Where a front lies: along centrelines and in terminus boxes.

Pure geometry on tables of fronts (GeoDataFrames with the columns that `icefront.extract_front`
gives). Everywhere, advance is positive.
"""

from __future__ import annotations

from icefront.measures.by_glacier import METHODS, measure, measure_each, reference_lines
from icefront.measures.centrelines import centreline_position, parallel_centrelines
from icefront.measures.curvilinear import curvilinear_box
from icefront.measures.proposals import propose_box, propose_centreline, propose_width
from icefront.measures.rectilinear import area_change, rectilinear_box

__all__ = [
    "METHODS",
    "area_change",
    "centreline_position",
    "curvilinear_box",
    "measure",
    "measure_each",
    "parallel_centrelines",
    "propose_box",
    "propose_centreline",
    "propose_width",
    "rectilinear_box",
    "reference_lines",
]
