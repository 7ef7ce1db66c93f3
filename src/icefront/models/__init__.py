"""Networks: Tyrion and its smaller relative, the U-Net, their checkpoints and packaged weights.

Each is an `nn.Module` from (B, 1, H, W) in 0..1 to logits (B, 4, H, W) of the four zones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from icefront.lazy import on_first_use

if TYPE_CHECKING:
    from icefront.models.card import DEFAULT, ModelCard
    from icefront.models.registry import MODELS, build, list_models, load_model
    from icefront.models.tyrion import Tyrion, TyrionConfig
    from icefront.models.unet import UNet, UNetConfig

__all__ = [
    "DEFAULT",
    "MODELS",
    "ModelCard",
    "Tyrion",
    "TyrionConfig",
    "UNet",
    "UNetConfig",
    "build",
    "list_models",
    "load_model",
]

__getattr__ = on_first_use(
    __name__,
    {
        "card": ["DEFAULT", "ModelCard"],
        "registry": ["MODELS", "build", "list_models", "load_model"],
        "tyrion": ["Tyrion", "TyrionConfig"],
        "unet": ["UNet", "UNetConfig"],
    },
)
