"""Several models and several symmetries as one: mean probabilities and how far they differ.

One stream over the windows: each window goes through every model in every symmetry, and only the
running mean and the running sum of squared deviations are kept, so that memory depends neither on
the number of models nor on that of the symmetries.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from icefront.errors import IcefrontError
from icefront.inference.layouts import default_layout, exact_layout
from icefront.inference.precision import choose_device, precision
from icefront.inference.predict import BATCHES, card_of, evaluating, prepared
from icefront.inference.symmetries import views
from icefront.inference.windows import Batch, Layout, Network, gaussian, stream_windows
from icefront.models.card import ModelCard
from icefront.scenes.scene import Scene
from icefront.zones import GLACIER, N_ZONES, OCEAN

LOGIT_LIMIT = 6.0
"""Largest |log(P(glacier) / P(ocean))| of a view that is told apart, as in `icefront.fronts`."""


@dataclass(frozen=True)
class EnsembleZones:
    """What an ensemble says about a scene.

    Attributes
    ----------
    mean : float32 (4, H, W)
        Mean of the probabilities of all views; they sum to 1.
    spread : float32 (4, H, W)
        Their standard deviation, per class.
    logit_spread : float32 (H, W)
        Standard deviation of log(P(glacier) / P(ocean)), bounded to +-6 in each view: divided by
        its gradient across the front it is how far the views disagree about its place.
    views : int
        Models times symmetries.
    """

    mean: np.ndarray
    spread: np.ndarray
    logit_spread: np.ndarray
    views: int


def check_members(cards: Sequence[ModelCard]) -> None:
    """Refuse an ensemble whose members want scenes prepared differently.

    Raises
    ------
    IcefrontError
        If there is none, or windows, input mapping or pixel size differ.
    """
    if not cards:
        raise IcefrontError("An ensemble needs at least one model.")
    first = cards[0]
    for card in cards[1:]:
        for what in ("window", "target", "stride", "whole", "input_mapping", "pixel_size_m"):
            if getattr(card, what) != getattr(first, what):
                raise IcefrontError(
                    f"The models {first.name} and {card.name} cannot form an ensemble: their "
                    f"{what} is {getattr(first, what)} and {getattr(card, what)}; take models "
                    "that want their scenes prepared alike."
                )


def predict_ensemble(
    models: Sequence[nn.Module],
    scene: Scene,
    *,
    symmetries: int = 8,
    layout: Layout | None = None,
    device: str = "auto",
    exact: bool = False,
    progress: bool = True,
) -> EnsembleZones:
    """Predict a scene by several models in several symmetries.

    Parameters
    ----------
    models : sequence of torch.nn.Module
        Their cards must agree on windows, input and pixel size.
    scene : Scene
        On the grid the models want.
    symmetries : 1, 4 or 8
        Windows as they are, rotated, or rotated and mirrored.
    layout : Layout, optional
        Of the windows; by default that of the cards if `exact` holds, else `default_layout`.
    device, exact, progress
        As for `predict_zones`.

    Returns
    -------
    EnsembleZones
        A view is one model, one symmetry and one window: a pixel that several windows show is
        weighted as in `blend_windows`, and what they differ counts as spread.

    Raises
    ------
    IcefrontError
        If the models do not fit together, the device does not exist or the layout leaves gaps.

    Notes
    -----
    Mean over models and rotations, standard deviation as uncertainty: the ensemble of the study
    with several annotators by the authors of Tyrion. The sums are updated as by Chan, Golub and
    LeVeque (1983, doi:10.2307/2683386).
    """
    cards = [card_of(model) for model in models]
    check_members(cards)
    card = cards[0]
    image = prepared(scene, card)
    where = choose_device(device)
    if layout is None:
        layout = exact_layout(card) if exact else default_layout(card)
    inside = np.s_[:, :]
    if card.whole and max(image.shape) <= card.window:
        # As `predict_whole` does: one window, the scene in its middle, no data around it.
        height, width = image.shape
        top, left = (card.window - height) // 2, (card.window - width) // 2
        inside = np.s_[top : top + height, left : left + width]
        surrounded = np.zeros((card.window, card.window), np.float32)
        surrounded[inside] = np.nan_to_num(image, nan=0.0)
        image, layout = surrounded, Layout(card.window, card.window, card.window, even=True)
    with ExitStack() as stack:
        for model in models:
            stack.enter_context(evaluating(model, where))
        stack.enter_context(precision(where, exact=exact))
        running = _Running(image.shape, layout)
        for part in stream_windows(image, layout, BATCHES.get(where.type, 1), progress=progress):
            running.add(part, *_over_views(models, part.windows, layout, symmetries, where))
    return running.result(inside, symmetries * len(models))


def _over_views(
    models: Sequence[Network],
    windows: np.ndarray,
    layout: Layout,
    symmetries: int,
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance over models and symmetries, float32 (B, 5, target, target) each.

    Channels are the four probabilities and the log odds of glacier against ocean.
    """
    centre = slice(layout.margin, layout.margin + layout.target)
    least = torch.finfo(torch.float32).tiny
    count = 0
    mean = squares = torch.zeros(())
    with torch.inference_mode():
        given = torch.from_numpy(windows[:, None]).to(device)
        for model in models:
            for whole in views(model, given, symmetries):
                zones = whole[:, :, centre, centre]
                glacier, ocean = zones[:, GLACIER], zones[:, OCEAN]
                odds = torch.log(glacier.clamp_min(least) / ocean.clamp_min(least))
                odds = odds.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
                value = torch.cat([zones, odds[:, None]], dim=1)
                count += 1
                if count == 1:
                    mean, squares = value.clone(), torch.zeros_like(value)
                    continue
                off = value - mean
                mean += off / count
                squares += off * (value - mean)
        return mean.cpu().numpy(), (squares / count).cpu().numpy()


class _Running:
    """Weighted running mean and sum of squared deviations of overlapping windows."""

    def __init__(self, shape: tuple[int, ...], layout: Layout) -> None:
        self.target = layout.target
        self.bell = np.outer(gaussian(layout.target), gaussian(layout.target))
        self.weight = np.zeros(shape, np.float32)
        self.mean = np.zeros((N_ZONES + 1, *shape), np.float32)
        self.squares = np.zeros((N_ZONES + 1, *shape), np.float32)

    def add(self, part: Batch, mean: np.ndarray, variance: np.ndarray) -> None:
        height, width = self.weight.shape
        for number, (top, left) in enumerate(part.places):
            here = np.s_[..., top : top + self.target, left : left + self.target]
            there = np.s_[..., : min(self.target, height - top), : min(self.target, width - left)]
            own = min(number, len(mean) - 1)
            bell, before = self.bell[there], self.weight[here]
            share = bell / (before + bell)
            off = mean[own][there] - self.mean[here]
            self.squares[here] += bell * variance[own][there] + off**2 * (before * share)
            self.mean[here] += off * share
            self.weight[here] += bell

    def result(self, inside: tuple[slice, slice], count: int) -> EnsembleZones:
        self.squares /= self.weight
        spread = np.sqrt(np.maximum(self.squares, 0, out=self.squares), out=self.squares)
        spread = spread[(slice(None), *inside)]
        mean = self.mean[(slice(None), *inside)]
        return EnsembleZones(mean[:N_ZONES], spread[:N_ZONES], spread[N_ZONES], count)
