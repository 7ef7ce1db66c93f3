"""icefront: calving fronts of glaciers from SAR images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icefront.errors import IcefrontError

if TYPE_CHECKING:
    from icefront.extraction.pipeline import extract
    from icefront.fronts.lines import extract_front
    from icefront.inference.predict import predict_zones
    from icefront.models.registry import load_model
    from icefront.scenes.reading import open_scene
    from icefront.scenes.scene import Scene

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
]

# Loaded on first use: torch alone takes a second, and `icefront info` does not need it.
_HOMES = {
    "Scene": "icefront.scenes.scene",
    "open_scene": "icefront.scenes.reading",
    "load_model": "icefront.models.registry",
    "predict_zones": "icefront.inference.predict",
    "extract": "icefront.extraction.pipeline",
    "extract_front": "icefront.fronts.lines",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'icefront' has no attribute {name!r}")
