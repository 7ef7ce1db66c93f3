"""What is kept of a run: the best networks, the last one, and the state to resume from."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, EarlyStopping
from safetensors.torch import save

from icefront.files.atomic import writing
from icefront.models.card import ModelCard
from icefront.models.checkpoints import write_own
from icefront.reporting.tables import json_values
from icefront.training.base_module import LearningModule

log = logging.getLogger("icefront.training.checkpoints")

STATE = "state.ckpt"
RESUME = "move the run to another disk, and go on with --resume after the last finished epoch"
"""What a user can do when the disk of a run is full."""


class EarlyEnd(EarlyStopping):
    """Ends a run after epochs in a row without a lower loss of validation.

    Parameters
    ----------
    epochs : int or None
        Number of these epochs; None counts them only.
    """

    state_key = "EarlyEnd"

    def __init__(self, epochs: int | None) -> None:
        super().__init__(
            "val_loss",
            patience=sys.maxsize if epochs is None else epochs,
            check_on_train_epoch_end=False,
            check_finite=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the count; the patience is that of the recipe."""
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End a resumed run at once where it had ended before."""
        trainer.should_stop = self.wait_count >= self.patience


@dataclass(frozen=True)
class Best:
    """A checkpoint of the network with the best score so far.

    Attributes
    ----------
    name : str
        Of the file.
    score : str
        Which one.
    largest : bool
        The largest is the best one.
    """

    name: str
    score: str
    largest: bool = False


class Checkpoints(Callback):
    """Validates after each epoch; writes the best networks, the last one, and the state.

    The state comes last: what is decided at the end of an epoch belongs to it.

    Parameters
    ----------
    out : Path
        Folder of the run.
    card : ModelCard
        Of the network; scores and progress are added to it.
    validate : callable
        From trainer and module to the scores of an epoch, None where it is not validated.
    kept : sequence of Best
    reported : sequence of str
        Scores that are logged.

    Attributes
    ----------
    best : dict of float
        Best scores so far.
    """

    state_key = "Keeper"  # under which states of 0.1.0 hold the best scores

    def __init__(
        self,
        out: Path,
        card: ModelCard,
        validate: Callable[[L.Trainer, Any], Mapping[str, Any] | None],
        kept: Sequence[Best],
        reported: Sequence[str] = (),
    ) -> None:
        self.out, self.card, self.validate, self.kept = out, card, validate, kept
        self.reported = reported
        self.best = {best.score: -math.inf if best.largest else math.inf for best in kept}

    def state_dict(self) -> dict[str, Any]:
        """Best scores so far, for resuming."""
        return dict(self.best)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them up again."""
        self.best.update(state_dict)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Validate and write, outside the account of training time."""
        assert isinstance(pl_module, LearningModule)
        began = time.monotonic()
        scores = self.validate(trainer, pl_module)
        if scores is not None:
            better = self._take_up(scores)
            values = ", ".join(f"{name} {scores[name]:.4g}" for name in self.reported)
            note = f" (best {' and '.join(b.score for b in better)})" if better else ""
            log.info("epoch %d: %s%s", pl_module.epochs_done, values, note)
            for name in (*(b.name for b in better), "last"):
                self.write(trainer, pl_module, name, {"validation": dict(scores)})
        pl_module.pause(time.monotonic() - began)
        self.save_state(trainer)

    def _take_up(self, scores: Mapping[str, Any]) -> list[Best]:
        """Return which checkpoints have a new best score, and note it."""
        better = []
        for kept in self.kept:
            new, old = float(scores[kept.score]), self.best[kept.score]
            if new > old if kept.largest else new < old:
                self.best[kept.score] = new
                better.append(kept)
        return better

    def write(
        self, trainer: L.Trainer, module: LearningModule, name: str, scores: dict[str, Any]
    ) -> None:
        """Write ``name.safetensors`` with its card, and what is learned beside the network."""
        if not trainer.is_global_zero:
            return
        provenance = {**self.card.provenance, **module.account()}
        card = replace(self.card, scores=json_values(scores), provenance=provenance)
        write_own(self.out / f"{name}.safetensors", module.evaluated, card, remedy=RESUME)
        if module.heads is not None:
            heads = {k: v.detach().cpu().contiguous() for k, v in module.heads.state_dict().items()}
            with writing(self.out / f"{name}_heads.safetensors", remedy=RESUME) as part:
                part.write_bytes(save(heads))

    def save_state(self, trainer: L.Trainer) -> None:
        """Write the state to resume from, whole or not at all."""
        if not trainer.is_global_zero:  # writes nothing, but takes part in collecting the state
            trainer.save_checkpoint(self.out / STATE)
            return
        with writing(self.out / STATE, remedy=RESUME) as part:
            trainer.save_checkpoint(part)
