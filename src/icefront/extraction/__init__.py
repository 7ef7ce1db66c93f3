"""From scene files to files of fronts: what the command line runs.

One scene at a time goes through reading, resampling for the model, prediction and line drawing;
tables, zone rasters, pictures and the record of the run are made in a hidden folder and appear in
the output folder together, or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from icefront.extraction.pipeline import ExtractionReport, SceneReport, extract_scenes

__all__ = ["ExtractionReport", "SceneReport", "extract_scenes"]


def __getattr__(name: str) -> Any:
    # On first use: the command line reads its options from here without waiting for torch.
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("icefront.extraction.pipeline"), name)
    raise AttributeError(f"module 'icefront.extraction' has no attribute {name!r}")
