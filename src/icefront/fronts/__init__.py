"""Fronts: from zones to front pixels to lines on the map.

`clean_zones`, `front_pixels` and `distance_errors` are the CaFFe protocol to the pixel, for
evaluation; `extract_front` draws the line a glaciologist would, for use. Nothing here knows how the
zones were predicted, and nothing imports torch.
"""

from __future__ import annotations

from icefront.fronts.cleaning import clean_zones
from icefront.fronts.external_fronts import join_fronts, read_fronts
from icefront.fronts.lines import extract_front, extract_shore
from icefront.fronts.pixels import blank_outside, distance_errors, front_pixels

__all__ = [
    "blank_outside",
    "clean_zones",
    "distance_errors",
    "extract_front",
    "extract_shore",
    "front_pixels",
    "join_fronts",
    "read_fronts",
]
