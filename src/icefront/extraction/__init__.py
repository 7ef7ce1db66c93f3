"""From scene files to files of fronts: what the command line runs.

One scene at a time goes through reading, resampling for the model, prediction and line drawing;
tables, zone rasters, pictures and the record of the run are made in a hidden folder and appear in
the output folder together, or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from icefront.lazy import on_first_use

if TYPE_CHECKING:
    from icefront.extraction.pipeline import (
        Extraction,
        ExtractionReport,
        SceneReport,
        extract,
        extract_scene,
        extract_scenes,
    )
    from icefront.extraction.settings import ExtractionSettings

__all__ = [
    "Extraction",
    "ExtractionReport",
    "ExtractionSettings",
    "SceneReport",
    "extract",
    "extract_scene",
    "extract_scenes",
]

__getattr__ = on_first_use(
    __name__,
    {
        "pipeline": [
            "Extraction",
            "ExtractionReport",
            "SceneReport",
            "extract",
            "extract_scene",
            "extract_scenes",
        ],
        "settings": ["ExtractionSettings"],
    },
)
