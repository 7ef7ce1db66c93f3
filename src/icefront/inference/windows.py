"""The windows in which a network sees a whole image, and their blending into one map.

The lattice of the windows, the mirrored margins and the Gaussian weights are those of the
whole-scene prediction of CaFFe's baseline and of Tyrion (Gourmelon et al. 2022,
doi:10.5194/essd-14-4287-2022): the image is mirrored outwards by the margin between window and
target, then further below and to the right until the windows fit, always by at least one pixel;
each window counts with its centre only, and overlapping centres are blended with a Gaussian whose
standard deviation is an eighth of the target (32 pixels for 256).

By default only a coarse part of the lattice is predicted everywhere, and the windows between only
where they decide the place of the front: where a large area of ocean meets glacier. There every
window of the lattice is predicted, so the front is that of all windows; away from it a window of
the coarse part stands in for its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from icefront.errors import IcefrontError
from icefront.inference.settings import Windows
from icefront.models.card import ModelCard, card_of
from icefront.progress import steps
from icefront.zones import GLACIER, N_ZONES, OCEAN

Network = Callable[[torch.Tensor], torch.Tensor]
"""From windows (B, 1, window, window) in 0..1 to logits (B, 4, window, window) of the zones, or
(B, 5, …) with that of the front."""

SIGMAS_PER_TARGET = 8
"""Standard deviations of the blending Gaussian in one side of the target."""

DEFAULT_COARSE = 4
"""Which windows of the lattice are predicted everywhere by default: every fourth each way, which
for the cards of the family is a step of one window."""

REACH_STRIDES = 0.55
"""A window is predicted where a front lies this close to its middle along both axes, in strides:
each place of a front gets the window nearest to it, and midway between windows both."""

ENOUGH = 1 / 4
"""Fraction of the weight of all windows at a place from which the predicted ones need nothing to
stand in for the others there: that of the nearest of four windows with equal weights."""

LARGE_OCEAN = 0.05
"""Area of the ocean that has a front, as a fraction of the largest connected one."""

SHORT_BOUNDARY = 1 / 16
"""Pieces of the boundary with a smaller fraction of the pixels of the longest are left to the
coarse windows, if they also have fewer than an eighth of the window's side: no front is drawn
there."""


@dataclass(frozen=True)
class Axis:
    """Where the windows lie along one axis of an image.

    Attributes
    ----------
    source : int64 (padded length,)
        For each position of the mirrored, padded axis the position in the image it shows.
    starts : tuple of int
        First padded position of each window.
    weight : float32 (length,)
        Sum of the Gaussian weights at each position of the image.
    """

    source: np.ndarray
    starts: tuple[int, ...]
    weight: np.ndarray


def gaussian(target: int) -> np.ndarray:
    """Weights of a target along one axis, float32 (target,), with their peak of 1 at its middle."""
    distance = np.arange(target, dtype=np.float64) - target // 2
    return np.exp(-0.5 * (distance * SIGMAS_PER_TARGET / target) ** 2).astype(np.float32)


@dataclass(frozen=True)
class Layout:
    """How windows cover an image.

    Attributes
    ----------
    window, target, stride : int
        Side of the window, of its centre that counts, and the step, in pixels.
    coarse : int
        1 predicts all windows, as published. A larger number predicts every `coarse`-th window
        along each axis everywhere, and the others only where ocean meets glacier.
    """

    window: int = 512
    target: int = 256
    stride: int = 128
    coarse: int = 1

    @property
    def margin(self) -> int:
        """Pixels between the edge of the window and that of the target."""
        return (self.window - self.target) // 2


def exact_layout(card: ModelCard) -> Layout:
    """Return the windows that a model's card states, all of them; for Tyrion the published ones."""
    return Layout(card.window, card.target, card.stride)


def default_layout(card: ModelCard) -> Layout:
    """Return the windows that all commands use unless they are told to be exact.

    They are those of the card, but away from the front only every fourth along each axis (fewer
    where the card's steps are longer than a quarter of its window). ``python -m benchmarks
    prediction`` compares fronts and times with those of `exact_layout`.
    """
    coarse = max(1, min(DEFAULT_COARSE, card.window // card.stride))
    return Layout(card.window, card.target, card.stride, coarse)


def layout_of(model: object, windows: Windows) -> Layout:
    """Return the windows of a model: the one place that decides.

    A network without a card says nothing about what it tolerates and gets the published windows.
    """
    card = card_of(model)
    if windows == "card" or getattr(model, "card", None) is None:
        return exact_layout(card)
    return default_layout(card)


def axis_of_windows(length: int, window: int, target: int, stride: int) -> Axis:
    """Lay windows along an axis of `length` pixels.

    Parameters
    ----------
    length, window, target, stride : int
        In pixels.

    Returns
    -------
    Axis
        Mirrored positions, starts of the windows and sum of the weights.
    """
    margin = (window - target) // 2
    mirrored = length + 2 * margin
    # One pixel more than fits is always added: an axis that fits exactly gets one more window.
    count = max(0, (mirrored - window) // stride + 1) + 1
    extra = window + (count - 1) * stride - mirrored
    starts = tuple(range(0, count * stride, stride))
    source = np.pad(np.arange(length), margin, mode="symmetric")
    source = np.pad(source, (0, extra), mode="symmetric")
    weight = np.zeros(len(source), np.float64)
    for start in starts:
        weight[start + margin : start + margin + target] += gaussian(target)
    return Axis(source, starts, weight[margin : margin + length].astype(np.float32))


def check_layout(layout: Layout) -> None:
    """Refuse windows that cannot cover an image.

    Raises
    ------
    IcefrontError
        If the target does not lie centred in the window or a step leaves gaps.
    """
    window, target, stride = layout.window, layout.target, layout.stride
    if not 0 < target <= window or (window - target) % 2:
        raise IcefrontError(
            f"A target of {target} pixels does not lie centred in a window of {window}: "
            "choose a target that is smaller by an even number."
        )
    if not 0 < stride <= target:
        raise IcefrontError(
            f"A stride of {stride} pixels leaves gaps between targets of {target}: "
            f"choose a stride from 1 to {target}."
        )
    if not 0 < layout.coarse * stride <= window:
        raise IcefrontError(
            f"Every {layout.coarse}th window at a stride of {stride} pixels leaves gaps between "
            f"windows of {window}: choose a coarse step from 1 to {window // stride}."
        )


@dataclass(frozen=True)
class Batch:
    """Windows for the network, and where they lie.

    Attributes
    ----------
    windows : float32 (B, window, window)
        Without NaN.
    places : list of (int, int)
        First row and column of each target in the image; more than B only if all windows are the
        same one without any data.
    everywhere : bool
        True for windows that are predicted whatever the image shows, False for those that follow
        where ocean meets glacier.
    """

    windows: np.ndarray
    places: list[tuple[int, int]]
    everywhere: bool = True


def stream_windows(
    image: np.ndarray,
    layout: Layout,
    batch: int = 1,
    *,
    zones: Callable[[], np.ndarray] | None = None,
    progress: bool = False,
) -> Iterator[Batch]:
    """Cut an image into windows, row by row; windows without any data come last, as a single one.

    Memory beyond the image is that of one row of windows, whatever their number.

    Parameters
    ----------
    image : float (H, W)
        Grey values in 0..1; NaN is no data and becomes 0.
    layout : Layout
    batch : int
        Number of windows at once.
    zones : callable, optional
        Returns the most likely zones, uint8 (H, W), as the windows so far tell them; needed where
        the layout has a coarse step above 1. It is asked after the coarse windows and again after
        those that follow, until the front lies in predicted windows only.
    progress : bool
        Show a bar on stderr, if that is a terminal.

    Raises
    ------
    IcefrontError
        If the image is not one of rows and columns, or the windows cannot cover it.
    """
    rows, columns = axes_of_windows(image.shape, layout)
    everywhere = np.ix_(*(_coarse(axis, layout) for axis in (rows, columns)))
    done = np.zeros((len(rows.starts), len(columns.starts)), bool)
    chosen = np.zeros_like(done)
    chosen[everywhere] = True
    first = True
    while chosen.any():
        with steps("predicting", int(chosen.sum()), show=progress) as advance:
            for part in _cut(image, layout.window, rows, columns, chosen, batch, first):
                yield part
                advance(len(part.places))
        done |= chosen
        if zones is None or done.all():
            return
        chosen = _windows_at_fronts(zones(), layout, rows, columns) & ~done
        first = False


def _coarse(axis: Axis, layout: Layout) -> list[int]:
    """Numbers of every `layout.coarse`-th window of an axis until they reach its end."""
    if layout.coarse == 1:
        return list(range(len(axis.starts)))
    end = len(axis.weight) + layout.margin - layout.window
    needed = next((n for n, start in enumerate(axis.starts) if start >= end), len(axis.starts) - 1)
    return sorted({*range(0, needed, layout.coarse), needed})


def _cut(
    image: np.ndarray,
    window: int,
    rows: Axis,
    columns: Axis,
    chosen: np.ndarray,
    batch: int,
    everywhere: bool,
) -> Iterator[Batch]:
    """Cut the chosen windows, bool (rows, columns)."""
    empty: list[tuple[int, int]] = []
    for row in np.flatnonzero(chosen.any(axis=1)):
        top = rows.starts[row]
        band = np.asarray(image[rows.source[top : top + window]], np.float32)
        missing = np.isnan(band)
        has_data: np.ndarray = ~np.all(missing, axis=0)
        band[missing] = 0.0
        lefts = [columns.starts[column] for column in np.flatnonzero(chosen[row])]
        sources = {left: columns.source[left : left + window] for left in lefts}
        seen = [left for left in lefts if has_data[sources[left]].any()]
        empty += [(top, left) for left in lefts if not has_data[sources[left]].any()]
        for first in range(0, len(seen), batch):
            together = seen[first : first + batch]
            windows = np.stack([band[:, sources[left]] for left in together])
            yield Batch(windows, [(top, left) for left in together], everywhere)
    if empty:
        yield Batch(np.zeros((1, window, window), np.float32), empty, everywhere)


def _windows_at_fronts(zones: np.ndarray, layout: Layout, rows: Axis, columns: Axis) -> np.ndarray:
    """Find the windows that decide where a large ocean ends at glacier, bool (rows, columns)."""
    found = np.zeros((len(rows.starts), len(columns.starts)), bool)
    ocean = zones == OCEAN
    boundary = ocean & _beside(zones == GLACIER)
    if not boundary.any():
        return found
    pieces, _ = ndimage.label(ocean, np.ones((3, 3)))
    areas = np.bincount(pieces.ravel())
    areas[0] = 0
    # What labels mean is looked up on the boundary alone: few pixels of many.
    boundary[boundary] = (areas >= LARGE_OCEAN * areas.max())[pieces[boundary]]
    pieces, count = ndimage.label(boundary, np.ones((3, 3)))
    own = pieces[boundary]
    lengths = np.bincount(own, minlength=count + 1)
    front = boundary
    front[boundary] = (lengths > min(SHORT_BOUNDARY * lengths.max(), layout.window / 8))[own]
    for row, inside in enumerate(_spans(rows, layout, zones.shape[0])):
        band = front[inside].any(axis=0)
        if band.any():
            found[row] = [band[span].any() for span in _spans(columns, layout, zones.shape[1])]
    return found


def _beside(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask and their four neighbours."""
    found = mask.copy()
    found[1:] |= mask[:-1]
    found[:-1] |= mask[1:]
    found[:, 1:] |= mask[:, :-1]
    found[:, :-1] |= mask[:, 1:]
    return found


def _spans(axis: Axis, layout: Layout, length: int) -> list[slice]:
    """Positions along an axis that need each window: nearest to its middle, out to the edges."""
    reach = REACH_STRIDES * layout.stride
    spans = []
    for number, start in enumerate(axis.starts):
        middle = start + layout.target // 2
        first = 0 if number == 0 else max(0, int(np.floor(middle - reach)))
        # The last window may lie beyond the image: then the one before it is the outermost.
        outermost = number >= len(axis.starts) - 2
        spans.append(slice(first, length if outermost else int(np.ceil(middle + reach)) + 1))
    return spans


def axes_of_windows(shape: tuple[int, ...], layout: Layout) -> tuple[Axis, Axis]:
    """Lay windows along the rows and the columns of an image.

    Raises
    ------
    IcefrontError
        If the image is not one of rows and columns, or the windows cannot cover it.
    """
    check_layout(layout)
    if len(shape) != 2 or 0 in shape:
        raise IcefrontError(
            f"An image of shape {shape} cannot be predicted: it needs rows and columns."
        )
    rows, columns = (axis_of_windows(n, layout.window, layout.target, layout.stride) for n in shape)
    return rows, columns


def bell_of(target: int) -> np.ndarray:
    """Return the weights of a target, float32 (target, target), with their peak of 1."""
    return np.outer(gaussian(target), gaussian(target))


def tent_of(window: int) -> np.ndarray:
    """Return the weights of a whole window that stands in for its neighbours, float32.

    They fall linearly from the middle to the edge and are positive everywhere.
    """
    side = 1 - np.abs((np.arange(window) + 0.5) * 2 / window - 1)
    return np.outer(side, side).astype(np.float32)


def overlap(
    place: tuple[int, int], side: int, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return where a square lies in an image, and which part of the square lies in the image.

    Parameters
    ----------
    place : (int, int)
        First row and column of the square in the image; may be negative.
    side : int
        Of the square, in pixels.
    shape : (int, int)
        Of the image.
    """
    here, there = [], []
    for start, length in zip(place, shape, strict=True):
        first, last = max(start, 0), max(min(start + side, length), 0)
        here.append(slice(first, last))
        there.append(slice(first - start, max(last, first) - start))
    return (here[0], here[1]), (there[0], there[1])


def blend_windows(
    image: np.ndarray,
    network: Network,
    *,
    window: int = 512,
    target: int = 256,
    stride: int = 128,
    coarse: int = 1,
    batch: int = 1,
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> np.ndarray:
    """Predict zone probabilities of a whole image from overlapping windows.

    Memory beyond the image and the result is that of one row of windows, whatever their number;
    with a coarse step above 1, and that of a second map in half precision.

    Parameters
    ----------
    image : float (H, W)
        Grey values in 0..1; NaN is no data and enters the network as 0.
    network : callable
        From float32 windows (B, 1, window, window) on `device` to logits
        (B, 4, window, window), or five with that of the front. Windows without any data look all
        alike, so it sees one of them.
    window, target, stride, coarse
        See `Layout`; the published one by default.
    batch : int
        Number of windows that the network gets at once.
    device : str or torch.device
        Where the windows are put for the network.
    progress : bool
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    float32 (4, H, W) or (5, H, W)
        Probabilities of the zones, summing to 1, then that of the front where the network has it.

    Raises
    ------
    IcefrontError
        If the image is not one of rows and columns, or the windows cannot cover it.
    """
    layout = Layout(window, target, stride, coarse)
    rows, columns = axes_of_windows(image.shape, layout)
    blend = _Blend(image.shape, layout, rows, columns, device)
    centre = slice(layout.margin, layout.margin + target)
    zones = blend.zones if coarse > 1 else None
    bell = torch.from_numpy(bell_of(target)).to(device)
    for part in stream_windows(image, layout, batch, zones=zones, progress=progress):
        whole = coarse > 1 and part.everywhere
        with torch.inference_mode():
            given = on_device(part.windows, device)
            logits = network(given) if whole else centre_of(network, given, layout.margin)
            found = probabilities_of(logits)
            if whole:
                blend.stand_in(part, found)
                found = found[:, :, centre, centre]
            blend.add(part, (found * bell).cpu().numpy())
    return blend.result()


def on_device(windows: np.ndarray, device: str | torch.device) -> torch.Tensor:
    """Put windows, float32 (B, side, side), on a device as (B, 1, side, side).

    To a GPU they go from pinned memory, while it still computes.
    """
    given = torch.from_numpy(windows[:, None])
    if torch.device(device).type == "cuda":
        return given.pin_memory().to(device, non_blocking=True)
    return given.to(device)


def centre_of(network: Network, windows: torch.Tensor, margin: int) -> torch.Tensor:
    """Return logits without `margin` pixels at each edge of the windows.

    A network with a method ``centre(windows, margin)`` computes no more than these.
    """
    centre = getattr(network, "centre", None)
    if centre is not None:
        return centre(windows, margin)
    logits = network(windows)
    inside = slice(margin, logits.shape[-1] - margin)
    return logits[:, :, inside, inside]


def probabilities_of(logits: torch.Tensor) -> torch.Tensor:
    """Return the probabilities of zones and, where there is a fifth channel, of the front.

    Parameters
    ----------
    logits : float (B, 4 or 5, H, W)

    Returns
    -------
    float32 (B, 4 or 5, H, W)
    """
    # float32 before the softmax: bf16 logits would leave steps in the probabilities.
    logits = logits.float()
    zones = torch.softmax(logits[:, :N_ZONES], dim=1)
    if logits.shape[1] == N_ZONES:
        return zones
    return torch.cat([zones, torch.sigmoid(logits[:, N_ZONES:])], dim=1)


class _Blend:
    """Weighted sum of the windows that were predicted, and what stands in for the others."""

    def __init__(
        self,
        shape: tuple[int, ...],
        layout: Layout,
        rows: Axis,
        columns: Axis,
        device: str | torch.device,
    ) -> None:
        self.layout, self.rows, self.columns = layout, rows, columns
        self.shape = shape[0], shape[1]
        self.sums = np.zeros((0, *self.shape), np.float32)
        # Half precision is enough: no front lies where these count. torch converts it by
        # instructions of the processor, numpy in a tenth of that speed.
        self.instead = torch.zeros((0, *self.shape), dtype=torch.float16)
        if layout.coarse > 1:
            self.bell = bell_of(layout.target)
            self.tent = torch.from_numpy(tent_of(layout.window)).to(device)
            self.weight = np.zeros(shape, np.float32)

    def add(self, part: Batch, weighted: np.ndarray) -> None:
        """Add the targets of windows, float32 (B, C, target, target) times their weights."""
        if not len(self.sums):
            self.sums = np.zeros((weighted.shape[1], *self.shape), np.float32)
        for number, place in enumerate(part.places):
            here, there = overlap(place, self.layout.target, self.shape)
            self.sums[:, *here] += weighted[min(number, len(weighted) - 1)][:, *there]
            if self.layout.coarse > 1:
                self.weight[here] += self.bell[there]

    def stand_in(self, part: Batch, whole: torch.Tensor) -> None:
        """Take whole windows, float32 (B, C, window, window), for their neighbours too."""
        if not len(self.instead):
            self.instead = torch.zeros((whole.shape[1], *self.shape), dtype=torch.float16)
        margin = self.layout.margin
        weighted = (whole * self.tent).half().cpu()
        for number, (top, left) in enumerate(part.places):
            here, there = overlap((top - margin, left - margin), self.layout.window, self.shape)
            self.instead[:, *here] += weighted[min(number, len(whole) - 1)][:, *there]

    def _completed(self, rows: slice) -> np.ndarray:
        """Return the sums in some rows with what stands in for other windows, (C, h, W)."""
        all_windows = self.rows.weight[rows, None] * self.columns.weight
        instead = self.instead[:, rows].float().numpy()
        # Probabilities sum to one, so the sum over the zones is that of the tents.
        instead *= missing_weight(all_windows, self.weight[rows]) / instead[:N_ZONES].sum(axis=0)
        return self.sums[:, rows] + instead

    def zones(self) -> np.ndarray:
        """Return the most likely zones so far, uint8 (H, W)."""
        found = np.empty(self.shape, np.uint8)
        for rows in self._strips():
            found[rows] = self._completed(rows)[:N_ZONES].argmax(axis=0)
        return found

    def result(self) -> np.ndarray:
        """Return the probabilities, float32 (C, H, W); the sums are overwritten."""
        if self.layout.coarse > 1:
            for rows in self._strips():
                completed = self._completed(rows)
                self.sums[:, rows] = completed / completed[:N_ZONES].sum(axis=0)
            return self.sums
        # Each weight is a product of one Gaussian per axis on a lattice: so is their sum.
        self.sums /= self.rows.weight[:, None]
        self.sums /= self.columns.weight
        return self.sums

    def _strips(self) -> list[slice]:
        height, step = self.shape[0], self.layout.window
        return [slice(first, first + step) for first in range(0, height, step)]


def missing_weight(all_windows: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the weight of what stands in for the windows that were not predicted, (H, W).

    All of the missing weight where nothing was predicted, none where `ENOUGH` of it was: beside
    the front its windows alone count, as the coarse ones see it less well.
    """
    return np.maximum(all_windows - predicted / ENOUGH, 0)
