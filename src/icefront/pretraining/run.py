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
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, Dataset, default_collate

from icefront.datasets.crops import EpochSampler
from icefront.datasets.pairs import PairCache, PairCrops, PairWindows, Sample, build_pair_cache
from icefront.datasets.ssl4sar import Ssl4SarArchive, plot_pairs
from icefront.errors import IcefrontError
from icefront.files.atomic import writing
from icefront.models.card import ModelCard
from icefront.models.checkpoints import read_own, write_own
from icefront.models.registry import PRETRAINED, build
from icefront.models.starting_weights import StartingWeights, load_starting_weights
from icefront.pretraining import METHODS
from icefront.pretraining.baselines import fit_baselines, score_reconstruction
from icefront.pretraining.config import PretrainingConfig
from icefront.pretraining.gradient_check import check_gradients
from icefront.pretraining.module import N_CHANNELS, Pretraining
from icefront.pretraining.samples import MaskedPairs, prepare
from icefront.recipes import read_recipe, validated
from icefront.training.cards import card_of_member, run_provenance
from icefront.training.loop import (
    RESUME,
    begin,
    fit,
    loader_options,
    make_trainer,
    quieten,
    state_to_resume,
    write_result,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger("icefront.pretraining")

PUBLISHED_REPEATS = 8
"""Crops of each image in an epoch."""

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


class PretrainingCheckpoints(Callback):
    """Adapt the learning rate, write the best and the last network, draw reconstructions.

    The network goes into a checkpoint of ours; what the method adds to it lies beside, in
    ``…_heads.safetensors``.
    """

    def __init__(self, card: ModelCard, shown: dict[str, Sample], out: Path) -> None:
        self.card, self.shown, self.out = card, shown, out

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop a resumed run that had ended because its loss no longer fell."""
        assert isinstance(pl_module, Pretraining)
        trainer.should_stop = self._is_over(pl_module)

    def _is_over(self, module: Pretraining) -> bool:
        most = module.config.stop_after
        return most is not None and module.plateau.stalled >= most

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take note of the epoch's loss of validation."""
        assert isinstance(pl_module, Pretraining)
        loss = float(trainer.callback_metrics["val_loss"])
        better = pl_module.plateau.step(loss)
        epoch = trainer.current_epoch + 1
        log.info(
            "epoch %d: validation %.5f%s, learning rate × %g",
            epoch,
            loss,
            " (best)" if better else "",
            pl_module.plateau.scale,
        )
        trainer.should_stop = trainer.should_stop or self._is_over(pl_module)
        if not trainer.is_global_zero:
            return
        scores = {"validation": {k: float(v) for k, v in trainer.callback_metrics.items()}}
        for name in ("best", "last") if better else ("last",):
            self._write(pl_module, name, epoch, scores)
        every = pl_module.config.pictures_every
        if epoch % every == 0 or epoch in (1, pl_module.config.epochs):
            self._draw(trainer, pl_module, epoch)

    def _write(self, module: Pretraining, name: str, epoch: int, scores: dict[str, Any]) -> None:
        provenance = {**self.card.provenance, "epoch": epoch, "steps": module.global_step}
        card = replace(self.card, scores=scores, provenance=provenance)
        write_own(self.out / f"{name}.safetensors", module.network, card, remedy=RESUME)
        heads = {k: v.detach().cpu().contiguous() for k, v in module.heads.state_dict().items()}
        with writing(self.out / f"{name}_heads.safetensors", remedy=RESUME) as part:
            save_file(heads, part)

    def _draw(self, trainer: L.Trainer, module: Pretraining, epoch: int) -> None:
        figure = picture(module, self.shown)
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
    config = (
        recipe
        if isinstance(recipe, PretrainingConfig)
        else read_recipe(recipe, overrides, PretrainingConfig)
    )
    if left_out := sorted(set(exclude) - set(config.data.exclude)):
        data = config.data.model_copy(update={"exclude": [*config.data.exclude, *left_out]})
        config = config.model_copy(update={"data": data})
    out = Path(config.out) / config.name
    state = state_to_resume(out, resume=resume, overwrite=overwrite)
    quieten()
    L.seed_everything(config.seed, verbose=False)
    archive = Ssl4SarArchive(config.data.root, exclude=config.data.exclude)
    splits = split_archive(archive, config)
    card = card_of_member(config)
    network = build(card)
    _check_window(config, network)
    start = load_starting_weights(network, config.init, config.model)
    log.info("parameters %s", start.sentence())
    begin(out, config, fresh=state is None)
    cache = build_pair_cache(archive, progress=progress)
    card = replace(card, provenance=_provenance(config, archive, cache, splits, start))

    pairs = _pairs(config, cache, splits, int(network.token))  # type: ignore[arg-type]
    crops = config.crops_per_epoch or PUBLISHED_REPEATS * len(splits.train)
    windows = pairs["validation"]
    checkpoints = PretrainingCheckpoints(card, _shown(archive, windows), out)
    trainer = make_trainer(
        out,
        checkpoints,
        epochs=config.epochs,
        devices=config.devices,
        precision_name=config.precision,
        clip=config.optimiser.clip,
        progress=progress,
    )
    world, rank = trainer.world_size, trainer.global_rank
    length = max(crops // world, 1) * world
    steps = -(-length // (world * config.batch))
    module = METHODS[config.method](network, config, card.input_mapping, config.epochs * steps)
    log.info(
        "%s on %s (%.1f M parameters): %d images of %s, %d crops in %d steps an epoch",
        config.method,
        config.model,
        sum(p.numel() for p in network.parameters()) / 1e6,
        len(splits.train),
        ", ".join(card.provenance["glaciers"]),
        length,
        steps,
    )
    first = default_collate([pairs["train"][i] for i in range(2)])
    gradients = check_gradients(module, first)
    log.log(logging.WARNING if gradients.unreached else logging.INFO, "%s", gradients.sentence())
    module.to(memory_format=torch.channels_last)
    if config.compile:
        network.features = torch.compile(network.features)  # type: ignore[assignment, arg-type]
    options = loader_options(config.batch, config.workers)
    loader = DataLoader(pairs["train"], sampler=EpochSampler(length, rank, world), **options)
    count = len(windows)  # type: ignore[arg-type]
    even = count // world * world or count
    validation = DataLoader(windows, sampler=range(rank, even, world), **options)
    fit(trainer, module, loader, validation, out=out, state=state)

    result: dict[str, Any] = {
        "folder": str(out),
        "best": str(out / "best.safetensors"),
        "best_loss": module.plateau.best,
        "epochs": module.plateau.epochs,
        "crops": module.plateau.epochs * length,
        "warnings": [archive.leakage] if archive.leaked else [],
        "frozen": list(gradients.frozen),
        "unreached": list(gradients.unreached),
    }
    if trainer.is_global_zero:
        if splits.held_out:
            best = load_pretrained(out)
            baselines = fit_baselines(
                DataLoader(pairs["train"], sampler=range(_BASELINE_CROPS), batch_size=8),
                card.input_mapping,
            )
            result["held_out"] = score_reconstruction(best, pairs["held_out"], baselines)
            log.info("held-out reconstruction, mean absolute difference: %s", result["held_out"])
            figure = picture(best, _shown(archive, pairs["held_out"]))
            (out / "pictures").mkdir(exist_ok=True)
            figure.savefig(out / "pictures" / "held_out.png", dpi=90)
        write_result(out, result)
    return result


def _shown(archive: Ssl4SarArchive, windows: Dataset[Sample]) -> dict[str, Sample]:
    """A few windows, evenly spread, by image and place."""
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
