"""icefront: calving fronts of glaciers from SAR images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icefront.errors import IcefrontError
from icefront.lazy import on_first_use

if TYPE_CHECKING:
    from icefront.extraction.pipeline import extract
    from icefront.fronts.lines import extract_front
    from icefront.inference.predict import predict_zones
    from icefront.models.registry import load_model
    from icefront.scenes.reading import open_scene
    from icefront.scenes.scene import Scene
    from icefront.series.smoothing import through_time

__version__ = "0.1.0"

__all__ = [
    "IcefrontError",
    "Scene",
    "__version__",
    "extract",
    "extract_front",
    "load_model",
    "open_scene",
    "predict_zones",
    "through_time",
]

__getattr__ = on_first_use(
    __name__,
    {
        "scenes.scene": ["Scene"],
        "scenes.reading": ["open_scene"],
        "models.registry": ["load_model"],
        "inference.predict": ["predict_zones"],
        "extraction.pipeline": ["extract"],
        "fronts.lines": ["extract_front"],
        "series.smoothing": ["through_time"],
    },
)
