"""What long runs of learning share: their folder, the state to resume from, precision, stopping."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import lightning as L
import torch
import yaml
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from pydantic import BaseModel
from torch import nn

from icefront.errors import IcefrontError
from icefront.files.atomic import explained_writing, remove_unfinished, writing

log = logging.getLogger("icefront.training.loop")

STATE = "state.ckpt"
RECIPE = "recipe.yaml"
RESULT = "result.json"
RESUME = "move the run to another disk, and go on with --resume after the last finished epoch"
"""What a user can do when the disk of a run is full."""

_MADE = ("logs", "pictures", "test.json", RESULT, STATE, RECIPE)


class OptimiserOptions(Protocol):
    """What the recipes of training and of pretraining both say of an optimiser."""

    @property
    def name(self) -> str:
        """``sgd`` or ``adamw``."""
        ...

    @property
    def learning_rate(self) -> float:
        """Of the first full step."""
        ...

    @property
    def momentum(self) -> float:
        """Under AdamW the first beta."""
        ...

    @property
    def weight_decay(self) -> float:
        """Per step, times the learning rate."""
        ...


def make_optimiser(
    parameters: Iterable[nn.Parameter], options: OptimiserOptions, *, fused: bool = False
) -> torch.optim.Optimizer:
    """Make SGD as published, or AdamW, which leaves biases and norms undecayed."""
    learned = [p for p in parameters if p.requires_grad]
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
        fused=fused,
    )


def state_to_resume(out: Path, *, resume: bool, overwrite: bool) -> Path | None:
    """Decide how a run begins in its folder.

    Returns
    -------
    Path or None
        The state to go on from; None for a fresh start, also where a run was stopped before its
        first epoch had ended.

    Raises
    ------
    IcefrontError
        If there is nothing to resume, the state is damaged, or a run would be overwritten unasked.
    """
    state = out / STATE
    if not resume:
        if state.exists() and not overwrite:
            raise IcefrontError(
                f"{out} holds a run already; use --resume, --overwrite or another name."
            )
        return None
    if not state.is_file():
        if not (out / RECIPE).is_file():
            raise IcefrontError(f"{out} has no {STATE} to resume from; leave --resume out.")
        log.info("%s was stopped before its first epoch ended; it begins anew", out)
        return None
    try:
        torch.load(state, map_location="cpu", weights_only=True)
    except Exception:  # damaged bytes fail in many ways inside the reader
        raise IcefrontError(f"{state} is damaged; start the run anew with --overwrite.") from None
    return state


def begin(out: Path, recipe: BaseModel, *, fresh: bool) -> None:
    """Make the folder of a run and note its recipe; a fresh start removes an earlier run's files.

    Raises
    ------
    IcefrontError
        If the folder cannot be written.
    """
    if getattr(rank_zero_only, "rank", 0):  # another process of the same run
        return
    with explained_writing(out):
        out.mkdir(parents=True, exist_ok=True)
        remove_unfinished(out)
        if fresh:
            for name in _MADE:
                if (out / name).is_dir():
                    shutil.rmtree(out / name)
                (out / name).unlink(missing_ok=True)
            for pattern in ("best*", "last*"):
                for old in out.glob(pattern):
                    if old.suffix in (".safetensors", ".json"):
                        old.unlink()
    with writing(out / RECIPE) as part:
        part.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))


class LastState(Callback):
    """Keeps the state to resume from, whole or not at all, after each epoch.

    It has to be the last callback: what others decide at the end of an epoch belongs to the state.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write it."""
        if not trainer.is_global_zero:  # writes nothing, but takes part in collecting the state
            trainer.save_checkpoint(self.path)
            return
        with writing(self.path, remedy=RESUME) as part:
            trainer.save_checkpoint(part)


def precision(name: str) -> Any:
    """Lightning's name of "auto", "bf16" or "32"; auto is bf16 on GPUs that have it."""
    if name == "auto":
        return "bf16-mixed" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else 32
    return "bf16-mixed" if name == "bf16" else 32


def quieten() -> None:
    """Silence Lightning's tips and warnings: they are for those who write training loops."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"lightning\.")


def make_trainer(
    out: Path,
    checkpoints: Callback,
    *,
    epochs: int | None,
    devices: int | str,
    precision_name: str,
    clip: float | None,
    progress: bool,
) -> L.Trainer:
    """Make the loop of a run: logs in its folder, checkpoints, the state last.

    Parameters
    ----------
    out : Path
        Folder of the run.
    checkpoints : Callback
        Writes checkpoints.
    epochs : int or None
        At most; None for as long as the callback or the module wants.
    devices, precision_name, clip
        Of the recipe.
    progress : bool
        Show a bar.
    """
    callbacks: list[Callback] = [checkpoints, LastState(out / STATE)]
    if progress:
        callbacks.append(RichProgressBar(leave=False))
    return L.Trainer(
        accelerator="auto",
        devices=devices,
        precision=precision(precision_name),
        max_epochs=epochs if epochs is not None else -1,
        gradient_clip_val=clip,
        logger=[CSVLogger(out, "logs"), TensorBoardLogger(out, "logs", "tensorboard")],
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=progress,
        enable_model_summary=False,
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def loader_options(batch: int, workers: int) -> dict[str, Any]:
    """What the loaders of all runs share."""
    return {
        "batch_size": batch,
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "pin_memory": torch.cuda.is_available(),
    }


def write_result(out: Path, result: dict[str, Any]) -> None:
    """Write what came out of a run to its folder, whole or not at all."""
    with writing(out / RESULT) as part:
        part.write_text(json.dumps(result, indent=1) + "\n")


def fit(
    trainer: L.Trainer,
    module: L.LightningModule,
    train: Any,
    validation: Any = None,
    *,
    out: Path,
    state: Path | None,
) -> None:
    """Run the loop, from a state if there is one.

    Raises
    ------
    IcefrontError
        If the run's files cannot be written; it can be resumed then.
    KeyboardInterrupt
        If the run was interrupted; it can be resumed, too.
    """
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, train, validation, ckpt_path=state, weights_only=True)
    except (SystemExit, RuntimeError, OSError) as error:
        # Lightning ends the process on Ctrl-C and lets it ignore the next one. A stop that reaches
        # the whole group of processes ends those that read images first.
        reason = str(error)
        if isinstance(error, SystemExit) or "by signal: Terminated" in reason:
            if not trainer.interrupted:
                raise
            signal.signal(signal.SIGINT, on_interrupt)
            log.info("%s was stopped; --resume goes on after the last epoch that ended", out)
            raise KeyboardInterrupt from None
        if reason.startswith("DataLoader worker") and isinstance(error, RuntimeError):
            raise IcefrontError(
                f"A process that reads images for the run in {out} was ended, as the system does "
                "where memory is short; set workers to fewer and go on with --resume."
            ) from error
        # PyTorch's writer has an error of its own for a full disk.
        if not isinstance(error, OSError) and "PytorchStreamWriter" not in reason:
            raise
        reason = getattr(error, "strerror", None) or "a file could not be finished"
        raise IcefrontError(
            f"The run in {out} could not be written ({reason}); {RESUME}."
        ) from error
