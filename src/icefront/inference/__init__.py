"""From a scene and a network to zone probabilities: windows, blending, test-time augmentation.

Nothing here knows lines, nor how a network came to be: it takes a `Scene`, a `torch.nn.Module`
with a `ModelCard` (or without), and returns float32 (4, H, W).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from icefront.inference.ensembles import EnsembleZones, predict_ensemble
    from icefront.inference.predict import Predicted, predict_zones
    from icefront.inference.settings import PredictionSettings
    from icefront.inference.windows import Layout, blend_windows, default_layout, exact_layout

# Loaded on first use: the settings are read without waiting for torch.
_MODULES = {
    "EnsembleZones": "ensembles",
    "Layout": "windows",
    "PredictionSettings": "settings",
    "blend_windows": "windows",
    "Predicted": "predict",
    "default_layout": "windows",
    "exact_layout": "windows",
    "predict_ensemble": "ensembles",
    "predict_zones": "predict",
}

__all__ = [
    "EnsembleZones",
    "Layout",
    "Predicted",
    "PredictionSettings",
    "blend_windows",
    "default_layout",
    "exact_layout",
    "predict_ensemble",
    "predict_zones",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"icefront.inference.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'icefront.inference' has no attribute {name!r}")
