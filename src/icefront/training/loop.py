"""The loop of every run of learning: its folder, the state to resume from, trainer, stopping."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import lightning as L
import torch
import yaml
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler

from icefront.errors import IcefrontError
from icefront.files.atomic import explained_writing, remove_unfinished, writing
from icefront.recipes import read_recipe
from icefront.reporting.tables import json_values
from icefront.training.checkpoints import RESUME, STATE
from icefront.training.config import RunConfig

log = logging.getLogger("icefront.training.loop")

RECIPE = "recipe.yaml"
RESULT = "result.json"

_Recipe = TypeVar("_Recipe", bound=RunConfig)
_WRITTEN = ("logs", "pictures", "test.json", RESULT, STATE, RECIPE)


def recipe_of(
    recipe: str | Path | _Recipe, overrides: list[str] | None, kind: type[_Recipe]
) -> _Recipe:
    """Return a recipe that was read already, or read it from its file."""
    return recipe if isinstance(recipe, kind) else read_recipe(recipe, overrides, kind)  # type: ignore[arg-type]


def begin_run(config: RunConfig, *, resume: bool, overwrite: bool) -> Path | None:
    """Decide how a run begins; nothing is written yet.

    Returns
    -------
    Path or None
        The state to go on from, see `state_to_resume`.
    """
    state = state_to_resume(config.folder, resume=resume, overwrite=overwrite)
    # Lightning's tips and warnings are for those who write training loops.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"lightning\.")
    L.seed_everything(config.seed, verbose=False)
    return state


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


def make_folder(config: RunConfig, *, fresh: bool) -> None:
    """Make the folder of a run and note its recipe; a fresh start removes an earlier run's files.

    Raises
    ------
    IcefrontError
        If the folder cannot be written.
    """
    if getattr(rank_zero_only, "rank", 0):  # another process of the same run
        return
    out = config.folder
    with explained_writing(out):
        out.mkdir(parents=True, exist_ok=True)
        remove_unfinished(out)
        if fresh:
            for name in _WRITTEN:
                if (out / name).is_dir():
                    shutil.rmtree(out / name)
                (out / name).unlink(missing_ok=True)
            for pattern in ("best*", "last*"):
                for old in out.glob(pattern):
                    if old.suffix in (".safetensors", ".json"):
                        old.unlink()
    with writing(out / RECIPE) as part:
        part.write_text(yaml.safe_dump(config.model_dump(mode="json")))


def _precision(name: str) -> Any:
    """Lightning's name of "auto", "bf16" or "32"; auto is bf16 on GPUs that have it."""
    if name == "auto":
        return "bf16-mixed" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else 32
    return "bf16-mixed" if name == "bf16" else 32


def make_trainer(config: RunConfig, callbacks: Sequence[Callback], *, progress: bool) -> L.Trainer:
    """Make the loop of a run, with logs in its folder.

    Parameters
    ----------
    config : RunConfig
    callbacks : sequence of Callback
        `Checkpoints` is the last one.
    progress : bool
        Show a bar.
    """
    out = config.folder
    bars = [RichProgressBar(leave=False)] if progress else []
    return L.Trainer(
        accelerator="auto",
        devices=config.devices,
        precision=_precision(config.precision),
        max_epochs=-1 if config.epochs is None else config.epochs,
        gradient_clip_val=config.optimiser.clip,
        logger=[CSVLogger(out, "logs"), TensorBoardLogger(out, "logs", "tensorboard")],
        callbacks=[*bars, *callbacks],
        enable_checkpointing=False,
        enable_progress_bar=progress,
        enable_model_summary=False,
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def make_loader(
    data: Dataset[Any], config: RunConfig, numbers: Sampler[int] | Sequence[int]
) -> DataLoader[Any]:
    """Make the loader of a run, of the samples with these numbers, in this order."""
    return DataLoader(
        data,
        config.batch,
        sampler=numbers,
        num_workers=config.workers,
        persistent_workers=config.workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def number_of_parameters(network: nn.Module) -> int:
    """Count the parameters of a network."""
    return sum(p.numel() for p in network.parameters())


def write_result(out: Path, result: dict[str, Any]) -> None:
    """Write what came out of a run to its folder, whole or not at all."""
    with writing(out / RESULT) as part:
        part.write_text(json.dumps(json_values(result), indent=1) + "\n")


@contextmanager
def interruptible(trainer: L.Trainer) -> Iterator[None]:
    """Make an interruption of the loop one of Python again, and keep Ctrl-C as it was.

    Raises
    ------
    KeyboardInterrupt
        If the loop was interrupted.
    """
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        if not trainer.interrupted:
            raise
        raise KeyboardInterrupt from None
    finally:
        # Lightning has the process ignore Ctrl-C after the first one.
        if on_interrupt is not None and signal.getsignal(signal.SIGINT) is not on_interrupt:
            signal.signal(signal.SIGINT, on_interrupt)


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
    try:
        with interruptible(trainer):
            trainer.fit(module, train, validation, ckpt_path=state, weights_only=True)
    except KeyboardInterrupt:
        _stopped(out)
        raise
    except (RuntimeError, OSError) as error:
        # A stop that reaches the whole group of processes ends those that read images first.
        if "by signal: Terminated" in str(error):
            if not trainer.interrupted:
                raise
            _stopped(out)
            raise KeyboardInterrupt from None
        if (sentence := _explanation(error, out)) is None:
            raise
        raise IcefrontError(sentence) from error
    except IcefrontError as error:
        # One of a process that reads images comes with its traceback.
        raise IcefrontError(str(error).rpartition("IcefrontError: ")[2].strip()) from error


def _stopped(out: Path) -> None:
    log.info("%s was stopped; --resume goes on after the last epoch that ended", out)


def _explanation(error: BaseException, out: Path) -> str | None:
    """Say why a run ended that can go on; None for a mistake of the program."""
    if isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker"):
        return (
            f"A process that reads images for the run in {out} was ended, as the system does where "
            "memory is short; set workers to fewer and go on with --resume."
        )
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
        return f"The memory is too small for a step of the run in {out}; set batch to fewer crops."
    if isinstance(error, OSError):
        reason = error.strerror or str(error).strip().splitlines()[-1]
        # One without a number comes from a process that reads images, with its traceback.
        name = None if error.filename is None else Path(str(error.filename)).absolute()
        if error.errno is None or (name and not name.is_relative_to(out.absolute())):
            what = name or "An image"
            return f"{what} could not be read for the run in {out} ({reason}); go on with --resume."
        return f"The run in {out} could not be written ({reason}); {RESUME}."
    if "PytorchStreamWriter" in str(error):  # PyTorch's own error for a full disk
        return f"The run in {out} could not be written (a file is not whole); {RESUME}."
    return None
