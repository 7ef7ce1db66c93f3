"""From a scene and a network to zone probabilities: windows, blending, test-time augmentation.

Nothing here knows lines, nor how a network came to be: it takes a `Scene`, a `torch.nn.Module`
with a `ModelCard` (or without), and returns float32 (4, H, W).
"""

from __future__ import annotations

from icefront.inference.ensembles import EnsembleZones, predict_ensemble
from icefront.inference.predict import card_of, predict_whole, predict_zones
from icefront.inference.windows import Layout, blend_windows, default_layout, exact_layout

__all__ = [
    "EnsembleZones",
    "Layout",
    "blend_windows",
    "card_of",
    "default_layout",
    "exact_layout",
    "predict_ensemble",
    "predict_whole",
    "predict_zones",
]
