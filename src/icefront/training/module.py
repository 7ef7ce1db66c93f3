"""Supervised training of the zones as a Lightning module."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from icefront.models.equalisation import equalise_batch
from icefront.training.augmentation import augment
from icefront.training.base_module import LearningModule
from icefront.training.config import TrainingConfig
from icefront.training.losses import zone_loss


class ZoneTraining(LearningModule):
    """Loss, augmentation and running mean of the weights.

    Parameters
    ----------
    network : nn.Module
        From (B, 1, S, S) to logits (B, 4, S, S).
    config : TrainingConfig
    steps_per_epoch : int

    Notes
    -----
    `progress` (0 to 1) is the larger of the fractions of the epochs and of the minutes that are
    used, and drives the schedule. The minutes of a resumed run count on from where it stopped.
    """

    config: TrainingConfig
    fused = True

    def __init__(self, network: nn.Module, config: TrainingConfig, steps_per_epoch: int) -> None:
        super().__init__(network, config, steps_per_epoch)
        self.mean: nn.Module | None = None
        if config.optimiser.averaging:
            self.mean = copy.deepcopy(network).eval().requires_grad_(False)

    @property
    def evaluated(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.network if self.mean is None else self.mean

    @property
    def progress(self) -> float:
        """Fraction of the run that is done, 0 to 1."""
        done = super().progress
        if self.config.minutes is not None:
            done = max(done, self.seconds() / (60 * self.config.minutes))
        return min(done, 1.0)

    def account(self) -> dict[str, Any]:
        """Return how long the network has learned, for its card."""
        return {**super().account(), "crops": self.global_step * self.config.batch}

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Augment the batch and return its loss."""
        config = self.config
        image, zones = batch
        generator = torch.Generator().manual_seed(self.step_seed)
        image, zones = augment(image, zones, config.augmentation, generator)
        if config.input_mapping == "equalised":
            image = equalise_batch(image)
        torch.manual_seed(self.step_seed)  # dropout
        logits = self.network(image.contiguous(memory_format=torch.channels_last))
        loss = zone_loss(logits, zones, smoothing=config.smoothing, centre=config.centre_loss)
        self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Move the running mean of the weights along; end the run when its minutes are over."""
        if self.mean is not None:
            # A short window at first, so that the random start does not stay in the mean.
            decay = min(self.config.optimiser.averaging, self.global_step / (self.global_step + 9))
            with torch.no_grad():
                pairs = zip(
                    self.mean.state_dict().values(), self.network.state_dict().values(), strict=True
                )
                for kept, new in pairs:
                    if kept.dtype.is_floating_point:
                        kept.lerp_(new, 1 - decay)
                    else:
                        kept.copy_(new)
        if self.config.minutes is not None and self.seconds() >= 60 * self.config.minutes:
            self.trainer.should_stop = True
