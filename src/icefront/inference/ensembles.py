"""Several models and several symmetries as one: mean probabilities and their standard deviation.

One stream over the windows: each window goes through every model in every symmetry, and only the
running mean and the running sum of squared deviations are kept, so that memory depends neither on
the number of models nor on that of the symmetries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from icefront.errors import IcefrontError
from icefront.inference.network import (
    BATCHES,
    FoldedNetwork,
    StackedNetworks,
    alike,
    answering,
    has_front,
    prepared,
)
from icefront.inference.precision import choose_device, computing, evaluating, precision_here
from icefront.inference.settings import Precision
from icefront.inference.symmetries import views
from icefront.inference.windows import (
    Axis,
    Batch,
    Layout,
    Network,
    axes_of_windows,
    bell_of,
    default_layout,
    missing_weight,
    on_device,
    overlap,
    stream_windows,
    tent_of,
)
from icefront.models.card import ModelCard, card_of
from icefront.scenes.scene import Scene
from icefront.zones import GLACIER, LOGIT_LIMIT, N_ZONES, OCEAN


@dataclass(frozen=True)
class EnsembleZones:
    """Mean and standard deviation of an ensemble's predictions of a scene.

    Attributes
    ----------
    mean : float32 (4, H, W)
        Mean of the probabilities of all views; they sum to 1.
    std : float32 (4, H, W)
        Their standard deviation, per class.
    logit_std : float32 (H, W)
        Standard deviation of log(P(glacier) / P(ocean)), bounded to +-6 in each view: divided by
        its gradient across the front it is the standard deviation of the front's place.
    front : float32 (H, W) or None
        Mean of the front probabilities, if all models give them.
    views : int
        Models times symmetries.
    """

    mean: np.ndarray
    std: np.ndarray
    logit_std: np.ndarray
    views: int
    front: np.ndarray | None = None


def check_models(cards: Sequence[ModelCard]) -> None:
    """Refuse an ensemble of models that take scenes prepared differently.

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
                    "that take scenes prepared alike."
                )


def predict_ensemble(
    models: Sequence[nn.Module],
    scene: Scene,
    *,
    symmetries: int = 8,
    layout: Layout | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    exact: bool = False,
    stacked: bool | None = None,
    progress: bool = True,
) -> EnsembleZones:
    """Predict a scene with several models in several symmetries.

    Parameters
    ----------
    models : sequence of torch.nn.Module
        Their cards must agree on windows, input and pixel size.
    scene : Scene
        On the grid of the models.
    symmetries : 1, 4 or 8
        Windows as they are, rotated, or rotated and mirrored.
    layout : Layout, optional
        Of the windows; `default_layout` if it is not given.
    device, precision, progress
        As for `icefront.inference.predict.predict_zones`.
    exact : bool
        Run the networks as they are, not `icefront.inference.network.FoldedNetwork`.
    stacked : bool, optional
        Let networks of one architecture see each window at once, where they can be stacked (see
        `icefront.inference.network.alike`) and are folded; by default on a CUDA GPU only. The
        answers are the same but for rounding; on a processor it takes longer.

    Returns
    -------
    EnsembleZones
        A view is one model, one symmetry and one window: a pixel that several windows show is
        weighted as in `blend_windows`, and their differences enter the standard deviation.

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
    check_models(cards)
    card = cards[0]
    image = prepared(scene, card)
    where = choose_device(device)
    precision = precision_here(
        precision, where, lambda: FoldedNetwork(models[0]).network, card.window
    )
    if layout is None:
        layout = default_layout(card)
    inside = np.s_[:, :]
    taken_whole = card.whole and max(image.shape) <= card.window
    if taken_whole:
        # As `predict_whole` does: one window, the scene in its middle, no data around it.
        height, width = image.shape
        top, left = (card.window - height) // 2, (card.window - width) // 2
        inside = np.s_[top : top + height, left : left + width]
        surrounded = np.zeros((card.window, card.window), np.float32)
        surrounded[inside] = np.nan_to_num(image, nan=0.0)
        image, layout = surrounded, Layout(card.window, card.window, card.window)
    with_front = all(has_front(model) for model in models)
    channels = N_ZONES + 1 + with_front
    running = _Running(image.shape, bell_of(layout.target), channels)
    # The coarse windows once more, each as a whole, for the windows that are not predicted.
    instead = None
    if layout.coarse > 1:
        instead = _Running(image.shape, tent_of(layout.window), channels)
    axes = axes_of_windows(image.shape, layout)

    def zones() -> np.ndarray:
        assert instead is not None
        return _likeliest(running, instead, axes)

    batch = BATCHES.get(where.type, 1)
    parts: Iterable[Batch] = [Batch(image[None], [(0, 0)])]
    if not taken_whole:
        ask = zones if instead is not None else None
        parts = stream_windows(image, layout, batch, zones=ask, progress=progress)
    margin = layout.margin
    centre = slice(margin, margin + layout.target)
    with ExitStack() as stack:
        for model in models:
            stack.enter_context(evaluating(model, where))
        stack.enter_context(computing(where, precision))
        networks: Sequence[Network] = [answering(model) for model in models]
        if not (exact or taken_whole):
            folded = [FoldedNetwork(model) for model in models]
            networks = folded
            if (where.type == "cuda" if stacked is None else stacked) and alike(folded):
                networks = [StackedNetworks(folded)]
        for part in parts:
            whole = instead is not None and part.everywhere
            mean, variance = _over_views(
                networks, part.windows, 0 if whole else margin, symmetries, where, with_front
            )
            if instead is not None and whole:
                corners = [(top - margin, left - margin) for top, left in part.places]
                instead.add(corners, mean, variance)
                mean, variance = mean[:, :, centre, centre], variance[:, :, centre, centre]
            running.add(part.places, mean, variance)
    if instead is not None:
        running.complete(instead, axes)
    return running.result(inside, symmetries * len(models))


def _over_views(
    networks: Sequence[Network],
    windows: np.ndarray,
    margin: int,
    symmetries: int,
    device: torch.device,
    with_front: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance over models and symmetries, float32 (B, 5 or 6, side, side) each.

    Without `margin` pixels at each edge of the windows. Channels are the four probabilities, the
    log odds of glacier against ocean and, if asked for, the probability of the front.
    """
    least = torch.finfo(torch.float32).tiny
    count = 0
    mean = squares = torch.zeros(())
    with torch.inference_mode():
        given = on_device(windows, device)
        for network in networks:
            for all_found in views(network, given, symmetries, margin):
                # Of stacked networks one after the other.
                for found in all_found.split(len(given)):
                    zones, front = found[:, :N_ZONES], found[:, N_ZONES:]
                    glacier, ocean = zones[:, GLACIER], zones[:, OCEAN]
                    odds = torch.log(glacier.clamp_min(least) / ocean.clamp_min(least))
                    odds = odds.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
                    value = torch.cat([zones, odds[:, None], front[:, : int(with_front)]], dim=1)
                    count += 1
                    if count == 1:
                        mean, squares = value.clone(), torch.zeros_like(value)
                        continue
                    off = value - mean
                    mean += off / count
                    squares += off * (value - mean)
        return mean.cpu().numpy(), (squares / count).cpu().numpy()


class _Running:
    """Weighted running mean and sum of squared deviations of overlapping squares."""

    def __init__(self, shape: tuple[int, ...], bell: np.ndarray, channels: int) -> None:
        self.shape, self.bell = (shape[0], shape[1]), bell
        self.weight = np.zeros(shape, np.float32)
        self.mean = np.zeros((channels, *shape), np.float32)
        self.squares = np.zeros((channels, *shape), np.float32)

    def add(self, places: list[tuple[int, int]], mean: np.ndarray, variance: np.ndarray) -> None:
        for number, place in enumerate(places):
            here, there = overlap(place, len(self.bell), self.shape)
            own = min(number, len(mean) - 1)
            self._merge(here, self.bell[there], mean[own][:, *there], variance[own][:, *there])

    def _merge(
        self,
        here: tuple[slice, slice],
        weight: np.ndarray,
        mean: np.ndarray,
        variance: np.ndarray,
    ) -> None:
        before = self.weight[here]
        after = before + weight
        fraction = np.divide(weight, after, out=np.zeros_like(after), where=after > 0)
        off = mean - self.mean[:, *here]
        self.squares[:, *here] += weight * variance + off**2 * (before * fraction)
        self.mean[:, *here] += off * fraction
        self.weight[here] += weight

    def complete(self, instead: _Running, axes: tuple[Axis, Axis]) -> None:
        """Give the weight of windows that were not predicted to what stands in for them."""
        missing = _missing(self, axes)
        whole = (slice(None), slice(None))
        self._merge(whole, missing, instead.mean, instead.squares / instead.weight)

    def result(self, inside: tuple[slice, slice], count: int) -> EnsembleZones:
        self.squares /= self.weight
        std = np.sqrt(np.maximum(self.squares, 0, out=self.squares), out=self.squares)
        std = std[(slice(None), *inside)]
        mean = self.mean[(slice(None), *inside)]
        front = mean[N_ZONES + 1] if len(mean) > N_ZONES + 1 else None
        return EnsembleZones(mean[:N_ZONES], std[:N_ZONES], std[N_ZONES], count, front)


def _missing(running: _Running, axes: tuple[Axis, Axis]) -> np.ndarray:
    """Return the weight of what stands in for windows that were not predicted, (H, W)."""
    rows, columns = axes
    return missing_weight(rows.weight[:, None] * columns.weight, running.weight)


def _likeliest(running: _Running, instead: _Running, axes: tuple[Axis, Axis]) -> np.ndarray:
    """Return the most likely zones so far, uint8 (H, W)."""
    missing = _missing(running, axes)
    return np.argmax(
        [
            running.mean[zone] * running.weight + instead.mean[zone] * missing
            for zone in range(N_ZONES)
        ],
        axis=0,
    ).astype(np.uint8)
