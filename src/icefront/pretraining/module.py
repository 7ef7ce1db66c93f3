"""What both methods share: loss, learning rate, validation."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import ReduceLROnPlateau

from icefront.datasets.pairs import Sample
from icefront.datasets.ssl4sar import CHANNELS
from icefront.models.card import InputMapping
from icefront.pretraining.config import PretrainingConfig
from icefront.pretraining.samples import prepare
from icefront.training.base_module import LearningModule
from icefront.training.checkpoints import Checkpoints, EarlyEnd

N_CHANNELS = len(CHANNELS)


def masked_l1(output: Tensor, target: Tensor, where: Tensor | None) -> Tensor:
    """Mean absolute difference over the channels of the pixels in `where`, a scalar.

    Parameters
    ----------
    output, target : Tensor
        (B, C, S, S).
    where : Tensor or None
        bool (B, 1, S, S); None for everywhere.
    """
    difference = (output.float() - target).abs()
    if where is None:
        return difference.mean()
    return (difference * where).sum() / (where.sum() * output.shape[1]).clamp_min(1)


def gradient_l1(output: Tensor, target: Tensor, where: Tensor | None) -> Tensor:
    """L1 distance of the differences between neighbours, both of which lie in `where`."""
    total = output.new_zeros((), dtype=torch.float32)
    for axis in (2, 3):
        n = output.shape[axis] - 1
        pair = None
        if where is not None:
            pair = where.narrow(axis, 0, n) & where.narrow(axis, 1, n)
        total = total + masked_l1(output.float().diff(dim=axis), target.diff(dim=axis), pair)
    return total / 2


class Pretraining(LearningModule):
    """A method around a network that predicts zones; what it adds lies in ``self.heads``.

    Parameters
    ----------
    network : nn.Module
        With ``features`` and ``classify``; the latter is frozen, for nothing here needs it.
    config : PretrainingConfig
    mapping : "grey" or "equalised"
        How the network's radar images are prepared.
    steps_per_epoch : int
    """

    method: ClassVar[str]
    config: PretrainingConfig
    heads: nn.Module

    def __init__(
        self,
        network: nn.Module,
        config: PretrainingConfig,
        mapping: InputMapping = "grey",
        steps_per_epoch: int = 1,
    ) -> None:
        super().__init__(network, config, steps_per_epoch)
        self.mapping = mapping
        self.heads = self.make_heads()
        network.classify.requires_grad_(False)  # type: ignore[union-attr, operator]

    @property
    def width(self) -> int:
        """Channels of what the decoder gives."""
        return int(self.network.classify.in_channels)  # type: ignore[union-attr, arg-type]

    @property
    def outputs(self) -> int:
        """Channels of the target."""
        return N_CHANNELS + (self.config.loss.radar != "none")

    @abstractmethod
    def make_heads(self) -> nn.Module:
        """Build what the method learns beside the network."""

    @abstractmethod
    def reconstruct(self, radar: Tensor, masked: Tensor | None = None) -> Tensor:
        """Map radar images (B, 1, S, S) in 0..1 to `outputs` channels (B, C, S, S)."""

    def loss_mask(self, sample: dict[str, Tensor]) -> Tensor | None:
        """Pixels that the loss is taken over, bool (B, 1, S, S), or None: all."""
        return None

    def loss(self, sample: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the loss that is lowered, and the L1 distance of the optical channels in it."""
        options, where = self.config.loss, self.loss_mask(sample)
        output = self.reconstruct(sample["radar"], sample.get("masked"))
        optical = masked_l1(output[:, :N_CHANNELS], sample["optical"], where)
        total = optical
        target = sample["optical"]
        if options.radar != "none":
            radar = sample["radar" if options.radar == "same" else "other"]
            total = total + options.radar_weight * masked_l1(output[:, N_CHANNELS:], radar, where)
            target = torch.cat([target, radar], dim=1)
        if options.gradient:
            total = total + options.gradient * gradient_l1(output, target, where)
        return total, optical

    # steps ------------------------------------------------------------------------------------

    def training_step(self, batch: Sample, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        torch.manual_seed(self.step_seed)  # dropout
        loss, optical = self.loss(prepare(batch, self.mapping))
        count = len(batch["side"])
        self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=count)
        self.log("train_optical", optical, on_step=False, on_epoch=True, batch_size=count)
        return loss

    def validation_step(self, batch: Sample, batch_idx: int) -> None:
        """Log the loss of windows that are not learned from."""
        loss, optical = self.loss(prepare(batch, self.mapping))
        count = len(batch["side"])
        self.log("val_loss", loss, prog_bar=True, sync_dist=True, batch_size=count)
        self.log("val_optical", optical, sync_dist=True, batch_size=count)

    # learning rate ----------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """Return the optimiser, and with schedule "plateau" what lowers its learning rate."""
        optimiser = super().configure_optimizers()
        options = self.config.optimiser
        if options.schedule != "plateau":
            return optimiser
        plateau = ReduceLROnPlateau(
            optimiser,
            factor=options.factor,
            patience=options.patience - 1,
            threshold=0,
            threshold_mode="abs",
            eps=0,
        )
        # After the last step of an epoch, not after the epoch: the state is saved in between.
        when = {"monitor": "val_loss", "interval": "step", "frequency": self.steps_per_epoch}
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": plateau, **when}}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Lower the learning rate from what it is without warm-up."""
        rates = self.learning_rates()
        for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        scheduler.step(metric)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from a state; one of 0.1.0 holds the plateau by itself."""
        super().on_load_checkpoint(checkpoint)
        plateau = checkpoint.get("plateau")
        if plateau is None:
            return
        rate = self.config.optimiser.learning_rate * plateau["scale"]
        groups = checkpoint["optimizer_states"][0]["param_groups"]
        checkpoint["lr_schedulers"] = [
            {
                "best": plateau["best"],
                "num_bad_epochs": plateau["waited"],
                "last_epoch": plateau["epochs"],
                "_last_lr": [rate] * len(groups),
            }
        ]
        best = torch.tensor(plateau["best"])
        stopping = {"wait_count": plateau["stalled"], "stopped_epoch": 0, "best_score": best}
        checkpoint["callbacks"] = {
            EarlyEnd.state_key: stopping,
            Checkpoints.state_key: {"val_loss": plateau["best"]},
        }


def squares_of(tokens: Tensor, channels: int, token: int) -> Tensor:
    """Lay tokens out as an image: (B, h, w, token·token·channels) to (B, channels, H, W).

    The values of a token run over its rows, its columns and the channels, in this order.
    """
    count, rows, columns, _ = tokens.shape
    split = tokens.reshape(count, rows, columns, token, token, channels)
    return split.permute(0, 5, 1, 3, 2, 4).reshape(count, channels, rows * token, columns * token)


def over_pixels(masked: Tensor, side: int) -> Tensor:
    """Enlarge a mask of tokens to pixels, bool (B, h, w) to (B, 1, `side`, `side`)."""
    return F.interpolate(masked[:, None].float(), (side, side), mode="nearest") > 0.5
