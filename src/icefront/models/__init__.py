"""Networks: Tyrion and its smaller relative, the U-Net, their checkpoints and packaged weights.

Each is an `nn.Module` from (B, 1, H, W) in 0..1 to logits (B, 4, H, W) of the four zones.
"""

from icefront.models.card import ModelCard
from icefront.models.registry import DEFAULT, MODELS, build, list_models, load_model
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
