"""What training and pretraining share of a step: optimiser, learning rate, seed, clock."""

from __future__ import annotations

import math
import time
from typing import Any, ClassVar

import lightning as L
import torch
from torch import nn

from icefront.training.config import RunConfig


class LearningModule(L.LightningModule):
    """A network that learns; the loss is a matter of its subclasses.

    Parameters
    ----------
    network : nn.Module
    config : RunConfig
    steps_per_epoch : int

    Attributes
    ----------
    heads : nn.Module or None
        What is learned beside the network and written beside its checkpoints.
    """

    config: RunConfig
    fused: ClassVar[bool] = False
    """AdamW in one kernel."""

    def __init__(self, network: nn.Module, config: RunConfig, steps_per_epoch: int) -> None:
        super().__init__()
        self.network, self.config, self.steps_per_epoch = network, config, steps_per_epoch
        self.heads: nn.Module | None = None
        self.seconds_before = 0.0
        self._since: float | None = None
        self._paused = 0.0

    @property
    def evaluated(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.network

    @property
    def epochs_done(self) -> int:
        """Epochs that ended so far, those of a run that was resumed included."""
        ended = self.trainer.fit_loop.epoch_progress.current
        return int(ended.processed)  # type: ignore[attr-defined]

    @property
    def progress(self) -> float:
        """Fraction of the run that is done, 0 to 1."""
        if self.config.epochs is None:
            return 0.0
        return min(1.0, self.global_step / (self.config.epochs * self.steps_per_epoch))

    @property
    def step_seed(self) -> int:
        """Seed of a step: a resumed run draws what an uninterrupted one does."""
        seed = (self.config.seed * 1_000_003 + self.global_step) * 1009 + self.global_rank
        return int(seed % 2**63)

    # clock ------------------------------------------------------------------------------------

    def seconds(self) -> float:
        """Seconds of training so far, validation left out."""
        if self._since is None:
            return self.seconds_before
        return self.seconds_before + time.monotonic() - self._since - self._paused

    def account(self) -> dict[str, Any]:
        """Return how long the network has learned, for its card."""
        return {
            "epoch": self.epochs_done,
            "steps": self.global_step,
            "minutes": round(self.seconds() / 60, 2),
        }

    def pause(self, seconds: float) -> None:
        """Take time that was spent on something else out of the account."""
        self._paused += seconds

    def on_train_start(self) -> None:
        """Start the clock."""
        self._since, self._paused = time.monotonic(), 0.0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the time that was spent."""
        checkpoint["seconds"] = self.seconds()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Count on from there."""
        self.seconds_before = float(checkpoint.get("seconds", 0.0))

    # optimiser --------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """Return SGD as published, or AdamW, which leaves biases and norms undecayed."""
        options = self.config.optimiser
        learned = [p for p in self.parameters() if p.requires_grad]
        if options.name == "sgd":
            return torch.optim.SGD(
                learned,
                lr=options.learning_rate,
                momentum=options.momentum,
                weight_decay=options.weight_decay,
            )
        groups: list[dict[str, Any]] = [
            {"params": [p for p in learned if p.ndim > 1]},
            {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(
            groups,
            lr=options.learning_rate,
            betas=(options.momentum, 0.99),
            weight_decay=options.weight_decay,
            fused=self.fused,
        )

    def learning_rates(self) -> list[float]:
        """Learning rate of each group of parameters, before warm-up and cosine."""
        scheduler: Any = self.lr_schedulers()
        if scheduler is not None:
            return list(scheduler.get_last_lr())
        optimiser: Any = self.optimizers()
        return [self.config.optimiser.learning_rate] * len(optimiser.param_groups)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate of this step."""
        options = self.config.optimiser
        factor = 1.0
        if options.schedule == "cosine":
            cosine = 0.5 * (1 + math.cos(math.pi * self.progress))
            factor = options.final + (1 - options.final) * cosine
        if options.warmup_steps:
            factor *= min(1.0, (self.global_step + 1) / options.warmup_steps)
        optimiser: Any = self.optimizers()
        for group, rate in zip(optimiser.param_groups, self.learning_rates(), strict=True):
            group["lr"] = rate * factor
