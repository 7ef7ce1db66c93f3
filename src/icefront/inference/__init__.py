"""From a scene and a network to zone probabilities: windows, blending, test-time augmentation.

Nothing here knows lines, nor how a network came to be: it takes a `Scene`, a `torch.nn.Module`
with a `ModelCard` (or without), and returns float32 (4, H, W).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from icefront.lazy import on_first_use

if TYPE_CHECKING:
    from icefront.inference.ensembles import EnsembleZones, predict_ensemble
    from icefront.inference.predict import Predicted, predict_zones
    from icefront.inference.settings import PredictionSettings
    from icefront.inference.windows import Layout, blend_windows, default_layout, exact_layout

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

__getattr__ = on_first_use(
    __name__,
    {
        "ensembles": ["EnsembleZones", "predict_ensemble"],
        "predict": ["Predicted", "predict_zones"],
        "settings": ["PredictionSettings"],
        "windows": ["Layout", "blend_windows", "default_layout", "exact_layout"],
    },
)
