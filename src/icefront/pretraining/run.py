"""One pretraining run from a recipe to checkpoints and pictures (`icefront pretrain`)."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.utils.data import DataLoader, Dataset, default_collate

from icefront.datasets.crops import EpochSampler
from icefront.datasets.pairs import PairCache, PairCrops, PairWindows, Sample, build_pair_cache
from icefront.datasets.ssl4sar import Ssl4SarArchive, plot_pairs
from icefront.errors import IcefrontError
from icefront.files.atomic import writing
from icefront.models.card import InputMapping
from icefront.models.checkpoints import read_own
from icefront.models.registry import PRETRAINED, build
from icefront.models.starting_weights import StartingWeights, load_starting_weights
from icefront.pretraining import METHODS
from icefront.pretraining.baselines import fit_baselines, score_reconstruction
from icefront.pretraining.config import PretrainingConfig
from icefront.pretraining.gradient_check import check_gradients
from icefront.pretraining.module import N_CHANNELS, Pretraining
from icefront.pretraining.samples import MaskedPairs, prepare
from icefront.recipes import validated
from icefront.training.cards import card_of_member, run_provenance
from icefront.training.checkpoints import RESUME, Best, Checkpoints, EarlyEnd
from icefront.training.loop import (
    begin_run,
    fit,
    make_folder,
    make_loader,
    make_trainer,
    number_of_parameters,
    recipe_of,
    write_result,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger("icefront.pretraining")

PUBLISHED_REPEATS = 8
"""Crops of each image in an epoch."""

_KEPT = (Best("best", "val_loss"),)
_PICTURES = 4
_BASELINE_CROPS = 64


@dataclass(frozen=True)
class Splits:
    """Radar images of a run, by their number in the archive."""

    train: list[int]
    validation: list[int]
    held_out: list[int]


def split_archive(archive: Ssl4SarArchive, config: PretrainingConfig) -> Splits:
    """Choose images for training, validation and the score at the end.

    Raises
    ------
    IcefrontError
        If a held-out glacier is not there, or nothing is left to train on or validate with.
    """
    data = config.data
    if unknown := sorted(set(data.held_out) - set(archive.glaciers)):
        raise IcefrontError(
            f"{archive.root} has no glacier {', '.join(unknown)} to hold out; it has "
            f"{', '.join(archive.glaciers)}."
        )

    def learned(indices: Iterable[int]) -> list[int]:
        return [i for i in indices if archive.images[i].glacier not in data.held_out]

    held_out = [i for i, image in enumerate(archive.images) if image.glacier in data.held_out]
    train, validation = learned(archive.indices("train")), learned(archive.indices("val"))
    if isinstance(data.validation, float):
        order = np.random.default_rng(config.seed).permutation(len(train))
        count = max(1, round(data.validation * len(train)))
        validation = sorted(train[i] for i in order[:count])
        train = sorted(train[i] for i in order[count:])
    if not train:
        raise IcefrontError(f"{archive.root} leaves no images to train on.")
    if not validation:
        raise IcefrontError(
            f"{archive.root} has no images to validate with in unlabeled_data_raw_val; give a "
            "fraction of the others (data.validation: 0.1)."
        )
    return Splits(train, validation, held_out)


def _provenance(
    config: PretrainingConfig,
    archive: Ssl4SarArchive,
    cache: PairCache,
    splits: Splits,
    start: StartingWeights,
) -> dict[str, Any]:
    return {
        **run_provenance(config, start),
        "stage": PRETRAINED,
        "method": config.method,
        "archive": archive.root.name,
        "archive_sha256": cache.fingerprint,
        "glaciers": sorted({archive.images[i].glacier for i in splits.train}),
        "images": len(splits.train),
        "leakage": archive.leakage,
    }


def _validation(trainer: L.Trainer, module: Pretraining) -> dict[str, Any]:
    """Return what Lightning logged in an epoch, and the learning rate of the next."""
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return {**logged, "learning_rate": module.learning_rates()[0]}


class Pictures(Callback):
    """Draws reconstructions of some windows every few epochs.

    Parameters
    ----------
    shown : dict of Sample
        Windows by title.
    out : Path
        Folder of the run.
    """

    def __init__(self, shown: dict[str, Sample], out: Path) -> None:
        self.shown, self.out = shown, out

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw where it is due."""
        assert isinstance(pl_module, Pretraining)
        config, epoch = pl_module.config, pl_module.epochs_done
        due = epoch % config.pictures_every == 0 or epoch in (1, config.epochs)
        if not (due and trainer.is_global_zero):
            return
        figure = picture(pl_module, self.shown)
        with writing(self.out / "pictures" / f"epoch_{epoch:04d}.png", remedy=RESUME) as part:
            figure.savefig(part, dpi=70)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_figure("reconstruction", figure, epoch, close=False)


@torch.no_grad()
def picture(module: Pretraining, samples: dict[str, Sample]) -> Figure:
    """Draw radar, optical, mask and reconstruction of some windows, a row each, by title."""
    training = module.training
    module.eval()
    rows = []
    for title, one in samples.items():
        batch = {k: v.to(module.device) for k, v in default_collate([one]).items()}
        sample = prepare(batch, module.mapping)
        masked = sample.get("masked")
        output = module.reconstruct(sample["radar"], masked)[0, :N_CHANNELS].float()
        rows.append(
            (
                title,
                sample["radar"][0, 0].cpu().numpy(),
                sample["optical"][0].cpu().numpy(),
                None if masked is None else masked[0].cpu().numpy(),
                output.clamp(0, 1).cpu().numpy(),
            )
        )
    module.train(training)
    return plot_pairs(rows)


def _check_window(config: PretrainingConfig, network: Any) -> None:
    """Refuse windows that the network or its mask does not divide."""
    unit = int(network.token) * (config.mask.block if config.method == "optsimmim" else 1)
    if config.window % unit:
        raise IcefrontError(
            f"A window of {config.window} pixels cannot be masked in squares of {unit}; set window "
            "to a multiple of it, or mask.block to another number of tokens."
        )


def _pairs(
    config: PretrainingConfig, cache: PairCache, splits: Splits, token: int
) -> dict[str, Dataset[Sample]]:
    """Crops to learn from, windows to validate with and windows of the held-out glaciers."""
    crops = PairCrops(
        cache,
        splits.train,
        config.window,
        zoom=config.zoom,
        flip=config.flip,
        seed=config.seed,
        other_day=config.loss.radar == "other_day",
    )
    found: dict[str, PairCrops | PairWindows] = {"train": crops}
    for name, indices in (("validation", splits.validation), ("held_out", splits.held_out)):
        found[name] = PairWindows(
            cache,
            indices,
            config.window,
            config.data.stride,
            most=config.data.windows,
            other_day=config.loss.radar == "other_day",
        )
    if config.method != "optsimmim":
        return dict(found)
    mask = config.mask
    return {
        name: MaskedPairs(
            pairs, token, mask.fraction, mask.block, config.seed if name == "train" else 0
        )
        for name, pairs in found.items()
    }


def pretrain(
    recipe: str | Path | PretrainingConfig,
    overrides: list[str] | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    exclude: Iterable[str] = (),
    progress: bool = True,
) -> dict[str, Any]:
    """Pretrain a network as a recipe says.

    Parameters
    ----------
    recipe : str, Path or PretrainingConfig
        A YAML file, or what was read from one.
    overrides : list of str, optional
        ``key=value``, for a file.
    resume : bool
        Go on from the state in the folder of the run.
    overwrite : bool
        Start anew where the folder of the run has a state already.
    exclude : iterable of str
        Glaciers to leave out, beside those of the recipe.
    progress : bool
        Show bars.

    Returns
    -------
    dict
        ``folder`` of the run, ``best`` (path of the checkpoint), ``best_loss``, ``epochs``,
        ``crops``, ``warnings``, ``frozen`` and ``unreached`` parameters, and ``held_out`` scores
        of the best network where glaciers were held out.

    Raises
    ------
    IcefrontError
        If the recipe, the archive or the folder of the run is not in order.
    """
    config = recipe_of(recipe, overrides, PretrainingConfig)
    if left_out := sorted(set(exclude) - set(config.data.exclude)):
        data = config.data.model_copy(update={"exclude": [*config.data.exclude, *left_out]})
        config = config.model_copy(update={"data": data})
    state = begin_run(config, resume=resume, overwrite=overwrite)
    archive = Ssl4SarArchive(config.data.root, exclude=config.data.exclude)
    splits = split_archive(archive, config)
    card = card_of_member(config)
    network = build(card)
    _check_window(config, network)
    start = load_starting_weights(network, config.init, config.model)
    log.info("parameters %s", start.sentence())
    make_folder(config, fresh=state is None)
    cache = build_pair_cache(archive, progress=progress)
    card = replace(card, provenance=_provenance(config, archive, cache, splits, start))
    pairs = _pairs(config, cache, splits, int(network.token))  # type: ignore[arg-type]
    crops = config.crops_per_epoch or PUBLISHED_REPEATS * len(splits.train)
    checkpoints = Checkpoints(
        config.folder, card, _validation, _KEPT, reported=("val_loss", "learning_rate")
    )
    pictures = Pictures(_shown(archive, pairs["validation"]), config.folder)
    callbacks = [EarlyEnd(config.stop_after), pictures, checkpoints]
    trainer = make_trainer(config, callbacks, progress=progress)
    crops = max(crops // trainer.world_size, 1) * trainer.world_size
    steps = -(-crops // (trainer.world_size * config.batch))
    module = METHODS[config.method](network, config, card.input_mapping, steps)
    log.info(
        "%s on %s (%.1f M parameters): %d images of %s, %d crops in %d steps an epoch",
        config.method,
        config.model,
        number_of_parameters(network) / 1e6,
        len(splits.train),
        ", ".join(card.provenance["glaciers"]),
        crops,
        steps,
    )
    gradients = check_gradients(module, default_collate([pairs["train"][i] for i in range(2)]))
    log.log(logging.WARNING if gradients.unreached else logging.INFO, "%s", gradients.sentence())
    _optimise(module, pairs, crops, trainer, state)
    result: dict[str, Any] = {
        "folder": str(config.folder),
        "best": str(config.folder / "best.safetensors"),
        "best_loss": checkpoints.best["val_loss"],
        "epochs": module.epochs_done,
        "crops": module.epochs_done * crops,
        "warnings": [archive.leakage] if archive.leaked else [],
        "frozen": list(gradients.frozen),
        "unreached": list(gradients.unreached),
    }
    if trainer.is_global_zero:
        if splits.held_out:
            result["held_out"] = _held_out_scores(config, archive, pairs, card.input_mapping)
        write_result(config.folder, result)
    return result


def _optimise(
    module: Pretraining,
    pairs: dict[str, Dataset[Sample]],
    crops: int,
    trainer: L.Trainer,
    state: Path | None,
) -> None:
    """Run the loop to its end; every process sees as many windows of validation."""
    config, network, windows = module.config, module.network, pairs["validation"]
    module.to(memory_format=torch.channels_last)
    if config.compile:
        network.features = torch.compile(network.features)  # type: ignore[assignment, arg-type]
    world, rank = trainer.world_size, trainer.global_rank
    count = len(windows)  # type: ignore[arg-type]
    even = count // world * world or count
    fit(
        trainer,
        module,
        make_loader(pairs["train"], config, EpochSampler(crops, rank, world)),
        make_loader(windows, config, range(rank, even, world)),
        out=config.folder,
        state=state,
    )


def _held_out_scores(
    config: PretrainingConfig,
    archive: Ssl4SarArchive,
    pairs: dict[str, Dataset[Sample]],
    mapping: InputMapping,
) -> dict[str, float]:
    """Score and draw what the best network reconstructs of the held-out glaciers."""
    best = load_pretrained(config.folder)
    some = DataLoader(pairs["train"], sampler=range(_BASELINE_CROPS), batch_size=8)
    scores = score_reconstruction(best, pairs["held_out"], fit_baselines(some, mapping))
    log.info("held-out reconstruction, mean absolute difference: %s", scores)
    figure = picture(best, _shown(archive, pairs["held_out"]))
    with writing(config.folder / "pictures" / "held_out.png", remedy=RESUME) as part:
        figure.savefig(part, dpi=90)
    return scores


def _shown(archive: Ssl4SarArchive, windows: Dataset[Sample]) -> dict[str, Sample]:
    """Choose a few evenly spaced windows; by image and place."""
    inner: Any = windows.pairs if isinstance(windows, MaskedPairs) else windows
    places = inner.places
    most = min(len(places), _PICTURES)
    found = {}
    for number in ((2 * i + 1) * len(places) // (2 * most) for i in range(most)):
        index, row, column = places[number]
        found[f"{archive.images[index].name} ({row}, {column})"] = windows[number]
    return found


def load_pretrained(folder: str | Path, name: str = "best") -> Pretraining:
    """Load a method with its network and heads from the folder of a run, in evaluation mode.

    Raises
    ------
    IcefrontError
        If the files are missing or do not belong together.
    """
    path = Path(folder) / f"{name}.safetensors"
    if not path.is_file():
        raise IcefrontError(f"{folder} has no {path.name}; name the folder of a pretraining run.")
    card, state = read_own(path)
    recipe = card.provenance.get("recipe", {})
    config = validated(recipe, PretrainingConfig, str(path))
    network = build(card)
    module = METHODS[config.method](network, config, card.input_mapping)
    try:
        network.load_state_dict(state)
        module.heads.load_state_dict(load_file(Path(folder) / f"{name}_heads.safetensors"))
    except (RuntimeError, OSError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise IcefrontError(f"{path} and its heads do not belong together: {reason}.") from None
    return module.eval()
