"""One training run from a recipe to checkpoints and scores (`icefront train`)."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.utils.data import DataLoader

from icefront.datasets.caffe import CaffeDataset, validation_split
from icefront.datasets.crops import CropDataset, EpochSampler, ZoneCache, build_zone_cache
from icefront.datasets.image_cache import default_cache_folder
from icefront.datasets.ssl4sar import shared_glaciers
from icefront.datasets.texture_mosaics import Patch, mosaics, read_textures
from icefront.errors import IcefrontError
from icefront.models.card import ModelCard
from icefront.models.checkpoints import write_own
from icefront.models.registry import build
from icefront.models.starting_weights import StartingWeights, load_starting_weights
from icefront.recipes import read_recipe
from icefront.simulation.torch_dataset import SimulatedScenes, kept_scenes
from icefront.training.cards import card_of_member, run_provenance
from icefront.training.config import DataConfig, TrainingConfig
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
from icefront.training.module import ZoneTraining
from icefront.training.scores import score_images, summarise

log = logging.getLogger("icefront.training")

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
        # One order for all shares: with fewer labels a model sees a part of what others see.
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


class ZoneCheckpoints(Callback):
    """Validate on whole scenes, and write the best and the last network as checkpoints."""

    state_key = "Keeper"  # under which states of 0.1.0 hold the best scores

    def __init__(self, config: TrainingConfig, splits: Splits, card: ModelCard, out: Path) -> None:
        self.config, self.splits, self.card, self.out = config, splits, card, out
        self.best = {"mean_iou": -np.inf, "mde": np.inf}

    def state_dict(self) -> dict[str, Any]:
        """Best scores so far, for resuming."""
        return dict(self.best)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them up again."""
        self.best.update(state_dict)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Validate where it is due, outside the account of training time."""
        assert isinstance(pl_module, ZoneTraining)
        due = (trainer.current_epoch + 1) % self.config.validate_every == 0
        if not (due and self.splits.validation and trainer.is_global_zero):
            return
        began = time.monotonic()
        summary = summarise(
            score_images(
                pl_module.evaluated,
                self.splits.labels,
                self.splits.validation,
                min_length_m=self.config.data.min_length_m,
                exact=False,
            )
        )
        for key in ("mean_iou", "mde", "without_front"):
            pl_module.log(f"val_{key}", float(summary[key]), rank_zero_only=True)
        better = {
            "mean_iou": summary["mean_iou"] > self.best["mean_iou"],
            "mde": summary["mde"] < self.best["mde"],
        }
        for key, is_better in better.items():
            if is_better:
                self.best[key] = summary[key]
                self.write(pl_module, f"best_{key}", {"validation": summary})
        log.info(
            "epoch %d: mean IoU %.3f, MDE %.2f, %d without front",
            trainer.current_epoch,
            summary["mean_iou"],
            summary["mde"],
            summary["without_front"],
        )
        pl_module.pause(time.monotonic() - began)

    def write(self, module: ZoneTraining, name: str, scores: dict[str, Any]) -> ModelCard:
        """Write ``name.safetensors`` and its card."""
        card = replace(
            self.card,
            scores=scores,
            provenance={
                **self.card.provenance,
                "steps": module.global_step,
                "crops": module.global_step * self.config.batch,
                "minutes": round(module.seconds() / 60, 2),
            },
        )
        return write_own(self.out / f"{name}.safetensors", module.evaluated, card, remedy=RESUME)


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
) -> list[tuple[float, list[Patch]]]:
    """Make the mosaics and the simulated scenes of a recipe, each with its fraction of crops."""
    data = config.data
    found: list[tuple[float, list[Patch]]] = []
    if data.simulated:
        source = SimulatedScenes(data.simulated, window=window, seed=config.seed)
        kept = kept_scenes(source, default_cache_folder(), progress=progress)
        found.append((data.simulated_fraction, [(scene[0], scene[1]) for scene in kept]))
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
    config = (
        recipe
        if isinstance(recipe, TrainingConfig)
        else read_recipe(recipe, overrides, TrainingConfig)
    )
    out = Path(config.out) / config.name
    state = state_to_resume(out, resume=resume, overwrite=overwrite)
    quieten()
    L.seed_everything(config.seed, verbose=False)
    splits = split_data(config.data, config.seed)
    learned = CaffeDataset(
        config.data.root,
        names=[splits.labels.names[i] for i in splits.train],
        damaged=config.data.damaged,
        clean_labels=config.data.clean_labels,
    )
    card = card_for(config, splits)
    network = build(card)
    start = load_starting_weights(network, config.init, config.model)
    log.info("parameters %s", start.sentence())
    warned = _warnings(start, config)
    for warning in warned:
        log.warning(warning)
    card = replace(card, provenance=_provenance(config, splits, start, warned))
    begin(out, config, fresh=state is None)
    cache = build_zone_cache(learned, progress=progress)

    steps = config.crops_per_epoch // config.batch
    module = ZoneTraining(network, config, steps)
    others = other_scenes_of(config, cache, card.window, progress)
    crops = CropDataset(
        cache,
        range(len(cache)),
        card.window,
        zoom=config.augmentation.zoom,
        zoom_probability=config.augmentation.zoom_probability,
        seed=config.seed,
        other_scenes=others,
    )
    checkpoints = ZoneCheckpoints(config, splits, card, out)
    trainer = make_trainer(
        out,
        checkpoints,
        epochs=config.epochs,
        devices=config.devices,
        precision_name=config.precision,
        clip=config.optimiser.clip,
        progress=progress,
    )
    loader = DataLoader(
        crops,
        sampler=EpochSampler(
            steps * config.batch * trainer.world_size, trainer.global_rank, trainer.world_size
        ),
        drop_last=True,
        **loader_options(config.batch, config.workers),
    )
    log.info(
        "training %s (%.1f M parameters) from %s on %d images of %s",
        config.model,
        sum(p.numel() for p in network.parameters()) / 1e6,
        start.origin,
        len(splits.train),
        ", ".join(card.provenance["glaciers"]),
    )
    module.to(memory_format=torch.channels_last)
    fit(trainer, module, loader, out=out, state=state)
    result: dict[str, Any] = {
        "folder": str(out),
        "parameters": sum(p.numel() for p in network.parameters()),
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
        checkpoints.write(module, "last", {"test": scores} if scores else {})
        write_result(out, result)
    return result


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
