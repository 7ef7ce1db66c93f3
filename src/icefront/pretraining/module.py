"""What both methods share: loss, optimiser, learning rate, validation."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from icefront.datasets.pairs import Sample
from icefront.datasets.ssl4sar import CHANNELS
from icefront.models.card import InputMapping
from icefront.pretraining.config import PretrainingConfig
from icefront.pretraining.samples import prepare
from icefront.training.loop import make_optimiser

N_CHANNELS = len(CHANNELS)


@dataclass
class Plateau:
    """Lowers the learning rate, and ends a run, where the loss of validation stands still.

    Attributes
    ----------
    patience, factor
        After this number of epochs in a row without a lower loss the rate is multiplied by
        `factor`, and the count begins again.
    best : float
        Lowest loss so far.
    scale : float
        What the learning rate is multiplied by.
    waited, stalled : int
        Epochs without gain, since the rate was last lowered and altogether.
    epochs : int
        Epochs so far.
    """

    patience: int = 5
    factor: float = 0.5
    best: float = math.inf
    scale: float = 1.0
    waited: int = 0
    stalled: int = 0
    epochs: int = 0

    def step(self, loss: float) -> bool:
        """Take note of an epoch's loss; returns whether it is the best one."""
        self.epochs += 1
        if loss < self.best:
            self.best, self.waited, self.stalled = loss, 0, 0
            return True
        self.waited += 1
        self.stalled += 1
        if self.waited >= self.patience:
            self.scale *= self.factor
            self.waited = 0
        return False


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


class Pretraining(L.LightningModule):
    """A method around a network that tells zones; what it adds lies in ``self.heads``.

    Parameters
    ----------
    network : nn.Module
        With ``features`` and ``classify``; the latter is frozen, for nothing here needs it.
    config : PretrainingConfig
    mapping : "grey" or "equalised"
        How the network's radar images are prepared.
    steps : int
        Of the whole run, for the cosine.
    """

    method: ClassVar[str]
    heads: nn.Module

    def __init__(
        self,
        network: nn.Module,
        config: PretrainingConfig,
        mapping: InputMapping = "grey",
        steps: int = 1,
    ) -> None:
        super().__init__()
        self.network, self.config, self.mapping, self.steps = network, config, mapping, steps
        network.classify.requires_grad_(False)  # type: ignore[union-attr, operator]
        self.plateau = Plateau(config.optimiser.patience, config.optimiser.factor)

    @property
    def width(self) -> int:
        """Channels of what the decoder gives."""
        return int(self.network.classify.in_channels)  # type: ignore[union-attr, arg-type]

    @property
    def outputs(self) -> int:
        """Channels of the target."""
        return N_CHANNELS + (self.config.loss.radar != "none")

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

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate of this step."""
        options = self.config.optimiser
        factor = self.plateau.scale if options.schedule == "plateau" else 1.0
        if options.schedule == "cosine":
            done = min(1.0, self.global_step / self.steps)
            factor = options.final + (1 - options.final) * 0.5 * (1 + math.cos(math.pi * done))
        if options.warmup_steps:
            factor *= min(1.0, (self.global_step + 1) / options.warmup_steps)
        for group in self.optimizers().param_groups:  # type: ignore[union-attr]
            group["lr"] = options.learning_rate * factor

    def training_step(self, batch: Sample, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        # Dropout: a resumed run draws what an uninterrupted one does.
        seed = (self.config.seed * 1_000_003 + self.global_step) * 1009 + self.global_rank
        torch.manual_seed(seed % 2**63)
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

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD as published, or AdamW; biases and norms do not decay under AdamW."""
        return make_optimiser(self.parameters(), self.config.optimiser)

    # resuming ---------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the learning rate hangs on."""
        checkpoint["plateau"] = asdict(self.plateau)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it up again."""
        self.plateau = Plateau(**checkpoint["plateau"])


def squares_of(tokens: Tensor, channels: int, token: int) -> Tensor:
    """Lay tokens out as an image: (B, h, w, token·token·channels) to (B, channels, H, W).

    The values of a token run over its rows, its columns and the channels, in this order.
    """
    count, rows, columns, _ = tokens.shape
    split = tokens.reshape(count, rows, columns, token, token, channels)
    return split.permute(0, 5, 1, 3, 2, 4).reshape(count, channels, rows * token, columns * token)


def over_pixels(masked: Tensor, side: int) -> Tensor:
    """Spread a mask of tokens over pixels, bool (B, h, w) to (B, 1, `side`, `side`)."""
    return F.interpolate(masked[:, None].float(), (side, side), mode="nearest") > 0.5
