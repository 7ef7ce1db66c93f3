"""A network that learns a site by itself: the zones of the pass through time are its labels.

The pass makes the dates of a glacier agree; where it is sure, its zones are labels that nobody had
to draw. The network is trained on them for a few minutes, mixed with other labelled images so that
it does not forget. Some dates take no part, neither in the pass nor in the training: how well the
network's zones of these dates agree with what the others say about them tells whether it has
learned the site or only its own mistakes.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from pydantic import Field
from torch import nn

from icefront.datasets.crops import CropDataset, Scenes, ZoneCache
from icefront.errors import IcefrontError
from icefront.models.card import ModelCard, card_of
from icefront.progress import steps
from icefront.recipes import Strict
from icefront.series.estimation import estimate_power, estimate_rates
from icefront.series.evidence import SILENT
from icefront.series.smoothing import days_of, through_time
from icefront.training.augmentation import AugmentationConfig
from icefront.training.config import AveragingOptimiserConfig, DataConfig, TrainingConfig
from icefront.training.loop import interruptible, make_loader
from icefront.training.module import ZoneTraining
from icefront.zones import N_ZONES, NO_DATA, ROCK

log = logging.getLogger("icefront.training.adaptation")

LEAST_DATES = 15
"""With fewer dates there is too little that their neighbours could correct."""

KEPT_OUT_EVERY = 5
"""One of so many dates is kept out."""

CORRECTED_KEPT_OUT_EVERY = 4
"""One of so many corrected dates is kept out."""

LEAST_LEFT = 1 / 3
"""The pass must leave at least this fraction of a zone that the images show, else it would teach
that there is none."""

LEAST_SHARE = 0.01
"""A zone counts for that if the images show it on at least this fraction of the places."""

SURE_RISE = 1.64
"""The agreement must rise by so many standard errors of the rise over the dates that judge: by
chance it does on one of twenty networks that have learned nothing."""

LEAST_JUDGES = 5
"""With fewer dates nothing can be said of chance, and any rise will do."""


class AdaptationConfig(Strict):
    """How a network is adapted to a site.

    Attributes
    ----------
    crops : int
        How many it learns from.
    batch : int
    site_fraction : float
        Fraction of the crops that show the site; the others are replayed images.
    learning_rate : float
        At its highest; it rises over a tenth of the crops and falls as a cosine.
    averaging : float
        Decay of the running mean of the weights, which is kept.
    views : 1, 4 or 8
        Over so many flips and rotations of each image the network is averaged to make the labels:
        it errs less alike on most dates than without.
    sure : float
        A place teaches on a date if the pass gives its zone at least this probability.
    least_agreement : float
        A date teaches if the mean IoU of its zones with those of the pass is at least this: an
        image that shows something else than its neighbours is bad, or shows an event.
    corrected_weight : int
        How many times as often as another date a corrected one is drawn.
    simulated : int
        Number of simulated scenes that are replayed where there are no labelled images.
    seed : int
    """

    crops: int = Field(640, gt=0)
    batch: int = Field(8, gt=0)
    site_fraction: float = Field(1 / 3, gt=0, le=1)
    learning_rate: float = Field(1e-3, gt=0)
    averaging: float = Field(0.95, ge=0, lt=1)
    views: Literal[1, 4, 8] = 8
    sure: float = Field(0.9, ge=0, le=1)
    least_agreement: float = Field(0.3, ge=0, le=1)
    corrected_weight: int = Field(3, ge=1)
    simulated: int = Field(120, ge=1)
    seed: int = 0


def dates_kept_out(dates: Sequence[Any], corrected: Sequence[int] = ()) -> list[int]:
    """Choose the dates that take no part, spread evenly through time.

    Parameters
    ----------
    dates : sequence of date
        As for `icefront.through_time`.
    corrected : sequence of int
        Indices of dates with a correction.

    Returns
    -------
    list of int
        Indices: every fifth of the dates without a correction, every fourth of those with one.
    """
    days = days_of(dates)
    order = [int(index) for index in np.argsort(days, kind="stable")]
    chosen: list[int] = []
    for every, members in (
        (KEPT_OUT_EVERY, [index for index in order if index not in set(corrected)]),
        (CORRECTED_KEPT_OUT_EVERY, [index for index in order if index in set(corrected)]),
    ):
        chosen += members[every // 2 :: every]
    return sorted(chosen)


def pass_without(
    probabilities: Any,
    dates: Sequence[Any],
    kept_out: Sequence[int],
    *,
    corrections: Mapping[int, np.ndarray] | None = None,
    out: Any = None,
    progress: bool = False,
) -> Any:
    """Make dates agree while some of them say nothing: what the others tell about those.

    Parameters
    ----------
    probabilities, dates, corrections, out, progress
        As for `icefront.through_time`.
    kept_out : sequence of int
        Indices of the dates whose images and corrections have no part.

    Returns
    -------
    float32 (T, 4, H, W), or `out`
    """
    drawn = {i: zones for i, zones in (corrections or {}).items() if i not in set(kept_out)}
    rates = estimate_rates(probabilities, dates)
    power = estimate_power(probabilities, dates, drawn, rates=rates)
    powers = np.full(len(dates), power, np.float32)
    powers[list(kept_out)] = 0
    return through_time(
        probabilities,
        dates,
        corrections=drawn,
        rates=rates,
        power=powers,
        out=out,
        progress=progress,
    )


def sure_zones(smoothed: np.ndarray, sure: float) -> np.ndarray:
    """Return the zones of one date where the pass is sure of them.

    Parameters
    ----------
    smoothed : float32 or uint8 (4, H, W)
        From the pass through time; uint8 stands for 255 times the probability.
    sure : float
        Smallest share of the likeliest of rock, glacier and ocean among the three.

    Returns
    -------
    uint8 (H, W)
        Zone codes; `SILENT` where the pass is not sure.
    """
    values = smoothed.astype(np.float32)
    zones = values.argmax(axis=0).astype(np.uint8)
    share = values[ROCK:].max(axis=0) / np.maximum(values[ROCK:].sum(axis=0), 1e-6)
    zones[(zones != NO_DATA) & (share < sure)] = SILENT
    return zones


def zones_lost(shown: np.ndarray, passed: np.ndarray) -> list[int]:
    """Find zones that the pass through time has nearly done away with.

    Where most images of a glacier take rock for ice, the pass outvotes the few that see it, and a
    network that learns from the pass takes the rest of the rock for ice, too, although its
    agreement with the pass rises. `LEAST_LEFT` was found on four glaciers of CaFFe.

    Parameters
    ----------
    shown, passed : int (4,)
        Number of places by zone code that images show, and that the pass gives, over the same
        dates.

    Returns
    -------
    list of int
        Codes of rock, glacier or ocean.
    """
    total = [max(float(np.sum(counts[ROCK:])), 1.0) for counts in (shown, passed)]
    return [
        code
        for code in range(ROCK, N_ZONES)
        if shown[code] >= LEAST_SHARE * total[0]
        and passed[code] / total[1] < LEAST_LEFT * shown[code] / total[0]
    ]


def has_learned(before: Sequence[float], after: Sequence[float]) -> bool:
    """Tell whether agreement has risen by more than it does by chance.

    Parameters
    ----------
    before, after : sequence of float
        Agreement on each of the dates that were kept out, of the network in use and of the adapted
        one.
    """
    rise = np.subtract(after, before)
    if len(rise) < LEAST_JUDGES:
        return bool(rise.mean() > 0)
    error = float(rise.std(ddof=1)) / len(rise) ** 0.5
    return bool(rise.mean() > SURE_RISE * error)


def agreement(zones: np.ndarray, reference: np.ndarray) -> float:
    """Return the mean IoU of rock, glacier and ocean, where the reference says anything.

    Parameters
    ----------
    zones, reference : uint8 (H, W)
        Zone codes; 0 and `SILENT` in the reference say nothing.

    Returns
    -------
    float
        Over the zones that occur in the reference; NaN if there is none.
    """
    known = (reference >= ROCK) & (reference < N_ZONES)
    found, true = zones[known], reference[known]
    scores = [
        ((found == code) & (true == code)).sum() / ((found == code) | (true == code)).sum()
        for code in range(ROCK, N_ZONES)
        if (true == code).any()
    ]
    return float(np.mean(scores)) if scores else float("nan")


def adapt_network(
    network: nn.Module,
    site: Scenes,
    replay: Scenes,
    config: AdaptationConfig | None = None,
    *,
    progress: bool = False,
) -> nn.Module:
    """Train a copy of a network on a site, mixed with other labelled images.

    Parameters
    ----------
    network : nn.Module
        With its card.
    site : sequence of (image, zones)
        uint8 (H, W) each: grey values, 0 where there is no data; zone codes, `SILENT` where
        nothing is known. A pair that occurs several times is drawn more often.
    replay : sequence of (image, zones)
        Of other glaciers.
    config : AdaptationConfig, optional
    progress : bool
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    nn.Module
        In evaluation mode, without a card of its own.

    Raises
    ------
    IcefrontError
        If there is nothing to learn from.
    """
    config = config or AdaptationConfig()
    if not len(site):
        raise IcefrontError("There is no date to learn from.")
    card = card_of(network)
    count = max(1, config.crops // config.batch)
    settings = _settings(card, config)
    L.seed_everything(config.seed, verbose=False)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    module = ZoneTraining(copy.deepcopy(network).train(), settings, count)
    module.to(memory_format=torch.channels_last)
    crops = CropDataset(
        ZoneCache((), ()),
        (),
        card.window,
        zoom=settings.augmentation.zoom,
        zoom_probability=settings.augmentation.zoom_probability,
        seed=config.seed,
        other_scenes=[(config.site_fraction if len(replay) else 1.0, site), (1.0, replay)],
    )
    with steps("Adapting", count, show=progress) as advance, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        trainer = L.Trainer(
            accelerator="auto",
            devices=1,
            max_epochs=1,
            gradient_clip_val=settings.optimiser.clip,
            logger=False,
            callbacks=[_Bar(advance)],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        with interruptible(trainer):
            trainer.fit(module, make_loader(crops, settings, range(count * config.batch)))
    return module.evaluated.eval()


class _Bar(Callback):
    """Counts steps of the training."""

    def __init__(self, advance: Any) -> None:
        self.advance = advance

    def on_train_batch_end(self, *args: Any, **more: Any) -> None:
        """Count one."""
        self.advance(1)


def _settings(card: ModelCard, config: AdaptationConfig) -> TrainingConfig:
    """Return how the network learns: with the augmentations with which it was trained."""
    recipe = card.provenance.get("recipe") or {}
    try:
        augmentation = AugmentationConfig.model_validate(recipe["augmentation"])
    except (KeyError, TypeError, ValueError):
        augmentation = AugmentationConfig()  # type: ignore[call-arg]
    count = max(1, config.crops // config.batch)
    return TrainingConfig(
        name="adaptation",
        data=DataConfig(root="", textures=None),  # type: ignore[call-arg]
        optimiser=AveragingOptimiserConfig(
            name="adamw",
            learning_rate=config.learning_rate,
            weight_decay=0.05,
            schedule="cosine",
            warmup_steps=max(1, count // 10),
            clip=1.0,
            averaging=config.averaging,
        ),  # type: ignore[call-arg]
        augmentation=augmentation,
        epochs=1,
        minutes=None,
        crops_per_epoch=count * config.batch,
        batch=config.batch,
        workers=0,
        seed=config.seed,
        input_mapping=card.input_mapping,
        centre_loss=bool(recipe.get("centre_loss", False)),
    )
