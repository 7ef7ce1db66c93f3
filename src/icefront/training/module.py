"""Supervised training of the zones as a Lightning module."""

from __future__ import annotations

import copy
import math
import time
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from icefront.models.equalisation import equalise_batch
from icefront.training.augmentation import augment
from icefront.training.config import TrainingConfig
from icefront.training.loop import make_optimiser
from icefront.training.losses import zone_loss


class ZoneTraining(L.LightningModule):
    """Loss, augmentation, schedule and running mean of the weights.

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

    def __init__(self, network: nn.Module, config: TrainingConfig, steps_per_epoch: int) -> None:
        super().__init__()
        self.network, self.config, self.steps_per_epoch = network, config, steps_per_epoch
        self.mean: nn.Module | None = None
        if config.optimiser.averaging:
            self.mean = copy.deepcopy(network).eval().requires_grad_(False)
        self.seconds_before = 0.0
        self._since: float | None = None
        self._paused = 0.0

    @property
    def evaluated(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.network if self.mean is None else self.mean

    # time -------------------------------------------------------------------------------------

    def seconds(self) -> float:
        """Seconds of training so far, validation left out."""
        if self._since is None:
            return self.seconds_before
        return self.seconds_before + time.monotonic() - self._since - self._paused

    def pause(self, seconds: float) -> None:
        """Take time that was spent on something else out of the account."""
        self._paused += seconds

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0 to 1."""
        done = 0.0
        if self.config.epochs is not None:
            done = self.global_step / (self.config.epochs * self.steps_per_epoch)
        if self.config.minutes is not None:
            done = max(done, self.seconds() / (60 * self.config.minutes))
        return min(done, 1.0)

    # steps ------------------------------------------------------------------------------------

    def on_train_start(self) -> None:
        """Start the clock."""
        self._since, self._paused = time.monotonic(), 0.0

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate of this step."""
        options = self.config.optimiser
        factor = 1.0
        if options.schedule == "cosine":
            factor = options.final + (1 - options.final) * 0.5 * (
                1 + math.cos(math.pi * self.progress)
            )
        if options.warmup_steps:
            factor *= min(1.0, (self.global_step + 1) / options.warmup_steps)
        for group in self.optimizers().param_groups:  # type: ignore[union-attr]
            group["lr"] = options.learning_rate * factor

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Augment the batch and return its loss."""
        config = self.config
        image, zones = batch
        # A generator per step: a resumed run augments as an uninterrupted one does.
        seed = (config.seed * 1_000_003 + self.global_step) * 1009 + self.global_rank
        generator = torch.Generator().manual_seed(seed % 2**63)
        image, zones = augment(image, zones, config.augmentation, generator)
        if config.input_mapping == "equalised":
            image = equalise_batch(image)
        torch.manual_seed(seed % 2**63)  # dropout
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

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD as published, or AdamW; biases and norms do not decay under AdamW."""
        return make_optimiser(self.network.parameters(), self.config.optimiser, fused=True)

    # resuming ---------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the time that was spent."""
        checkpoint["seconds"] = self.seconds()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Count on from there."""
        self.seconds_before = float(checkpoint.get("seconds", 0.0))
