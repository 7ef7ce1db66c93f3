"""One training run from a recipe to checkpoints and scores (`icefront train`)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import nn

from icefront.datasets.caffe import CaffeDataset, validation_split
from icefront.datasets.crops import (
    CropDataset,
    EpochSampler,
    Scenes,
    ZoneCache,
    build_zone_cache,
)
from icefront.datasets.ssl4sar import shared_glaciers
from icefront.datasets.texture_mosaics import mosaics, read_textures
from icefront.errors import IcefrontError
from icefront.files.cache import default_cache_folder
from icefront.models.card import ModelCard
from icefront.models.registry import build
from icefront.models.starting_weights import StartingWeights, load_starting_weights
from icefront.simulation.torch_dataset import SimulatedScenes, kept_scenes
from icefront.training.cards import card_of_member, run_provenance
from icefront.training.checkpoints import Best, Checkpoints
from icefront.training.config import DataConfig, TrainingConfig
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
from icefront.training.module import ZoneTraining
from icefront.training.scores import score_images, summarise

log = logging.getLogger("icefront.training")

_KEPT = (Best("best_mean_iou", "mean_iou", largest=True), Best("best_mde", "mde"))
_REPORTED = ("mean_iou", "mde", "without_front")
_PREPARATION = ("whole", "window", "target", "stride")


@dataclass(frozen=True)
class Splits:
    """Images of a run; indices count in `labels`, whose zones are as they are on disk.

    Those of `test` count in `test_labels`, which is the test split where that is scored.
    """

    labels: CaffeDataset
    train: list[int]
    validation: list[int]
    test: list[int]
    test_labels: CaffeDataset


def split_data(config: DataConfig, seed: int) -> Splits:
    """Open the data set of a recipe and choose images for training, validation and test.

    Raises
    ------
    IcefrontError
        If the data set is not in order or nothing is left to train on.
    """
    labels = CaffeDataset(config.root, pixel_size_m=config.pixel_size_m, damaged=config.damaged)
    unknown = sorted(set(config.test_glaciers) - {s.glacier for s in labels.samples})
    if unknown:
        raise IcefrontError(f"{config.root} has no glacier {', '.join(unknown)} to test on.")
    held_out = [i for i, s in enumerate(labels.samples) if s.glacier in config.test_glaciers]
    rest = [i for i, s in enumerate(labels.samples) if s.glacier not in config.test_glaciers]
    validation: list[int] = []
    if config.validation == "official":
        chosen = set(validation_split([labels.names[i] for i in rest])[1])
        validation = [i for i in rest if labels.names[i] in chosen]
    elif isinstance(config.validation, float):
        count = round(config.validation * len(rest))
        picked = np.random.default_rng(seed).permutation(len(rest))[:count]
        validation = sorted(rest[i] for i in picked)
    train = sorted(set(rest) - set(validation))
    if not train:
        raise IcefrontError(f"{config.root} leaves no images to train on.")
    if config.train_fraction < 1:
        # One order for all fractions: with fewer labels a model sees a part of what others see.
        order = np.random.default_rng((seed, 1)).permutation(len(train))
        train = sorted(train[i] for i in order[: max(1, round(config.train_fraction * len(train)))])
    if not config.test_split:
        return Splits(labels, train, validation, held_out, labels)
    tested = CaffeDataset(
        config.root, "test", pixel_size_m=config.pixel_size_m, damaged=config.damaged
    )
    return Splits(labels, train, validation, list(range(len(tested))), tested)


def card_for(config: TrainingConfig, splits: Splits | None = None) -> ModelCard:
    """Make the card of the model that a recipe trains."""
    given = {k: getattr(config, k) for k in _PREPARATION if getattr(config, k) is not None}
    sizes = list(config.training_pixel_sizes_m)
    if splits is not None and not sizes:
        found = {splits.labels.pixel_size_m(i) for i in splits.train} - {None}
        sizes = sorted((list(s) if isinstance(s, tuple) else s for s in found), key=str)
    return replace(
        card_of_member(config),
        pixel_size_m=config.pixel_size_m,
        training_pixel_sizes_m=sizes,
        **given,
    )


def _validated_by(
    config: TrainingConfig, splits: Splits
) -> Callable[[L.Trainer, ZoneTraining], dict[str, Any] | None]:
    """Return what scores a network on whole scenes of validation, where it is due."""

    def validate(trainer: L.Trainer, module: ZoneTraining) -> dict[str, Any] | None:
        due = module.epochs_done % config.validate_every == 0
        if not (due and splits.validation and trainer.is_global_zero):
            return None
        scores = score_images(
            module.evaluated,
            splits.labels,
            splits.validation,
            min_length_m=config.data.min_length_m,
            exact=False,
        )
        summary = summarise(scores)
        for key in _REPORTED:
            module.log(f"val_{key}", float(summary[key]), rank_zero_only=True)
        return summary

    return validate


def _warnings(start: StartingWeights, config: TrainingConfig) -> list[str]:
    """What has to stand beside every score: glaciers that pretraining saw and the test has."""
    found = [str(start.pretraining["leakage"])] if start.pretraining.get("leakage") else []
    seen = shared_glaciers(start.pretraining.get("glaciers", []), config.data.test_glaciers)
    if seen:
        found.append(
            f"LEAKAGE: {', '.join(seen)} was pretrained on and is tested on; the scores are not "
            "those of an unseen glacier."
        )
    return found


def _provenance(
    config: TrainingConfig, splits: Splits, start: StartingWeights, warned: list[str]
) -> dict[str, Any]:
    glaciers = sorted({splits.labels.samples[i].glacier for i in splits.train})
    more: dict[str, Any] = {"pretraining": start.pretraining} if start.pretraining else {}
    if warned:
        more["warnings"] = warned
    return {
        **run_provenance(config, start),
        "data": Path(config.data.root).name,
        "glaciers": glaciers,
        "images": len(splits.train),
        **more,
    }


def other_scenes_of(
    config: TrainingConfig, cache: ZoneCache, window: int, progress: bool = False
) -> list[tuple[float, Scenes]]:
    """Draw the mosaics and the simulated scenes of a recipe, each with its fraction of crops."""
    data = config.data
    found: list[tuple[float, Scenes]] = []
    if data.simulated:
        source = SimulatedScenes(data.simulated, window=window, seed=config.seed)
        kept = kept_scenes(source, default_cache_folder(), progress=progress)
        found.append((data.simulated_fraction, kept))
    if data.textures is not None:
        textures = read_textures(data.textures, data.test_glaciers)
        scenes = mosaics(
            textures,
            lambda number: cache.arrays(number % len(cache)),
            data.mosaics,
            window,
            config.seed,
        )
        found.append((data.mosaic_fraction, scenes))
    return found


def train(
    recipe: str | Path | TrainingConfig,
    overrides: list[str] | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Train a model as a recipe says.

    Parameters
    ----------
    recipe : str, Path or TrainingConfig
        A YAML file, or what was read from one.
    overrides : list of str, optional
        ``key=value``, for a file.
    resume : bool
        Go on from ``state.ckpt`` in the folder of the run.
    overwrite : bool
        Start anew where the folder of the run has a state already.
    progress : bool
        Show bars.

    Returns
    -------
    dict
        ``folder`` of the run, ``test`` scores (by glacier and pooled) where glaciers were held
        out, ``parameters``, ``minutes``, ``crops``, ``init``, ``parameters_from`` (origin of each
        part of the network), ``warnings``.

    Raises
    ------
    IcefrontError
        If the recipe, the data or the folder of the run is not in order.
    """
    config = recipe_of(recipe, overrides, TrainingConfig)
    state = begin_run(config, resume=resume, overwrite=overwrite)
    splits = split_data(config.data, config.seed)
    card = card_for(config, splits)
    network = build(card)
    start = load_starting_weights(network, config.init, config.model)
    log.info("parameters %s", start.sentence())
    warned = _warnings(start, config)
    for warning in warned:
        log.warning(warning)
    card = replace(card, provenance=_provenance(config, splits, start, warned))
    make_folder(config, fresh=state is None)
    crops = _crops(config, splits, card.window, progress)
    module = ZoneTraining(network, config, config.crops_per_epoch // config.batch)
    checkpoints = Checkpoints(
        config.folder, card, _validated_by(config, splits), _KEPT, reported=_REPORTED
    )
    log.info(
        "training %s (%.1f M parameters) from %s on %d images of %s",
        config.model,
        number_of_parameters(network) / 1e6,
        start.origin,
        len(splits.train),
        ", ".join(card.provenance["glaciers"]),
    )
    trainer = _optimise(config, module, crops, checkpoints, state, progress)
    result: dict[str, Any] = {
        "folder": str(config.folder),
        "parameters": number_of_parameters(network),
        "minutes": round(module.seconds() / 60, 2),
        "crops": module.global_step * config.batch,
        "init": start.origin,
        "parameters_from": start.parts,
        "warnings": warned,
    }
    if trainer.is_global_zero:
        scores: dict[str, Any] = {}
        if splits.test:
            scores = held_out_scores(module.evaluated, splits, config.data.min_length_m, progress)
            result["test"] = scores
        checkpoints.write(trainer, module, "last", {"test": scores} if scores else {})
        write_result(config.folder, result)
    return result


def _crops(config: TrainingConfig, splits: Splits, window: int, progress: bool) -> CropDataset:
    """Open the cache of the training images, and the crops from it and from other scenes."""
    learned = CaffeDataset(
        config.data.root,
        names=[splits.labels.names[i] for i in splits.train],
        damaged=config.data.damaged,
        clean_labels=config.data.clean_labels,
    )
    cache = build_zone_cache(learned, progress=progress)
    return CropDataset(
        cache,
        range(len(cache)),
        window,
        zoom=config.augmentation.zoom,
        zoom_probability=config.augmentation.zoom_probability,
        seed=config.seed,
        other_scenes=other_scenes_of(config, cache, window, progress),
    )


def _optimise(
    config: TrainingConfig,
    module: ZoneTraining,
    crops: CropDataset,
    checkpoints: Checkpoints,
    state: Path | None,
    progress: bool,
) -> L.Trainer:
    """Run the loop to its end."""
    trainer = make_trainer(config, [checkpoints], progress=progress)
    world = trainer.world_size
    numbers = EpochSampler(
        module.steps_per_epoch * config.batch * world, trainer.global_rank, world
    )
    module.to(memory_format=torch.channels_last)
    fit(trainer, module, make_loader(crops, config, numbers), out=config.folder, state=state)
    return trainer


def held_out_scores(
    network: nn.Module, splits: Splits, min_length_m: float, progress: bool = False
) -> dict[str, Any]:
    """Score the held-out glaciers, each and pooled, and name the worst images."""
    scores = score_images(
        network, splits.test_labels, splits.test, min_length_m=min_length_m, progress=progress
    )
    by_glacier = {
        g: summarise([s for s in scores if s.glacier == g])
        for g in sorted({s.glacier for s in scores})
    }
    worst = sorted(scores, key=lambda s: -(s.errors.mean() if s.errors.size else np.inf))[:10]
    return {
        "pooled": summarise(scores),
        "by_glacier": by_glacier,
        "worst": {
            s.name: round(float(s.errors.mean()), 2) if s.errors.size else None for s in worst
        },
    }
