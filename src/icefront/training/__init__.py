"""Supervised training of the zones: recipes, augmentation, loss, the loop and its scores."""

from icefront.training.augmentation import AugmentationConfig, augment
from icefront.training.config import TrainingConfig
from icefront.training.losses import soft_dice_loss, zone_loss

__all__ = [
    "AugmentationConfig",
    "TrainingConfig",
    "augment",
    "soft_dice_loss",
    "zone_loss",
]
