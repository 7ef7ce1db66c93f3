"""A whole image through a network that sees one window at a time, blended into one map.

The layout of the windows, the mirrored margins and the Gaussian weights are those of the
whole-scene prediction of CaFFe's baseline and of Tyrion (Gourmelon et al. 2022,
doi:10.5194/essd-14-4287-2022): the image is mirrored outwards by the margin between window and
target, then further below and to the right until the windows fit, always by at least one pixel;
each window counts with its centre only, and overlapping centres are blended with a Gaussian whose
standard deviation is an eighth of the target (32 pixels for 256).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from icefront.errors import IcefrontError
from icefront.progress import steps
from icefront.zones import N_ZONES

Network = Callable[[torch.Tensor], torch.Tensor]
"""From windows (B, 1, window, window) in 0..1 to logits (B, 4, window, window)."""

SIGMAS_PER_TARGET = 8
"""Standard deviations of the blending Gaussian in one side of the target."""


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
    even : bool
        False is the published layout: steps of exactly `stride`, and always one window more than
        fits. True spreads no more windows than are needed evenly, so that no step is longer than
        `stride` and none hangs over.
    """

    window: int = 512
    target: int = 256
    stride: int = 128
    even: bool = False

    @property
    def margin(self) -> int:
        """Pixels between the edge of the window and that of the target."""
        return (self.window - self.target) // 2


def axis_of_windows(length: int, window: int, target: int, stride: int, even: bool = False) -> Axis:
    """Lay windows along an axis of `length` pixels.

    Parameters
    ----------
    length, window, target, stride : int
        In pixels.
    even : bool
        See `Layout`.

    Returns
    -------
    Axis
        Mirrored positions, starts of the windows and sum of the weights.
    """
    margin = (window - target) // 2
    mirrored = length + 2 * margin
    if even:
        gaps = max(0, -(-(length - target) // stride))
        extra = max(0, target - length)
        last = max(0, length - target)
        starts = tuple(round(k * last / gaps) for k in range(gaps + 1)) if gaps else (0,)
    else:
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


def check_layout(window: int, target: int, stride: int) -> None:
    """Refuse windows that cannot cover an image.

    Raises
    ------
    IcefrontError
        If the target does not lie centred in the window or the stride leaves gaps.
    """
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


@dataclass(frozen=True)
class Batch:
    """Windows for the network, and where their targets lie.

    Attributes
    ----------
    windows : float32 (B, window, window)
        Without NaN.
    places : list of (int, int)
        First row and column of each target in the image; more than B only if all windows are the
        same one without any data.
    """

    windows: np.ndarray
    places: list[tuple[int, int]]


def stream_windows(
    image: np.ndarray, layout: Layout, batch: int = 1, *, progress: bool = False
) -> Iterator[Batch]:
    """Cut an image into windows, row by row; windows without any data come last, as a single one.

    Memory beyond the image is that of one row of windows, whatever their number.

    Parameters
    ----------
    image : float (H, W)
        Grey values in 0..1; NaN is no data and becomes 0.
    layout : Layout
    batch : int
        Windows at once.
    progress : bool
        Show a bar on stderr, if that is a terminal.

    Raises
    ------
    IcefrontError
        If the image is not one of rows and columns, or the windows cannot cover it.
    """
    rows, columns = axes_of_windows(image.shape, layout)
    window = layout.window
    empty: list[tuple[int, int]] = []
    with steps("predicting", len(rows.starts) * len(columns.starts), show=progress) as advance:
        for top in rows.starts:
            band = np.asarray(image[rows.source[top : top + window]], np.float32)
            missing = np.isnan(band)
            has_data: np.ndarray = ~np.all(missing, axis=0)
            band[missing] = 0.0
            sources = {left: columns.source[left : left + window] for left in columns.starts}
            seen = [left for left in columns.starts if has_data[sources[left]].any()]
            empty += [(top, left) for left in columns.starts if left not in set(seen)]
            for first in range(0, len(seen), batch):
                lefts = seen[first : first + batch]
                windows = np.stack([band[:, sources[left]] for left in lefts])
                yield Batch(windows, [(top, left) for left in lefts])
                advance(len(lefts))
        if empty:
            yield Batch(np.zeros((1, window, window), np.float32), empty)
            advance(len(empty))


def axes_of_windows(shape: tuple[int, ...], layout: Layout) -> tuple[Axis, Axis]:
    """Lay windows along the rows and the columns of an image.

    Raises
    ------
    IcefrontError
        If the image is not one of rows and columns, or the windows cannot cover it.
    """
    check_layout(layout.window, layout.target, layout.stride)
    if len(shape) != 2 or 0 in shape:
        raise IcefrontError(
            f"An image of shape {shape} cannot be predicted: it needs rows and columns."
        )
    rows, columns = (
        axis_of_windows(n, layout.window, layout.target, layout.stride, layout.even) for n in shape
    )
    return rows, columns


def blend_windows(
    image: np.ndarray,
    network: Network,
    *,
    window: int = 512,
    target: int = 256,
    stride: int = 128,
    even: bool = False,
    batch: int = 1,
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> np.ndarray:
    """Predict zone probabilities of a whole image from overlapping windows.

    Memory beyond the image and the result is that of one row of windows, whatever their number.

    Parameters
    ----------
    image : float (H, W)
        Grey values in 0..1; NaN is no data and enters the network as 0.
    network : callable
        From float32 windows (B, 1, window, window) on `device` to logits
        (B, 4, window, window). Windows without any data look all alike, so it sees one of them.
    window, target, stride, even
        See `Layout`; the published one by default.
    batch : int
        How many windows the network gets at once.
    device : str or torch.device
        Where the windows are put for the network.
    progress : bool
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    float32 (4, H, W)
        Probabilities of the zones, summing to 1.

    Raises
    ------
    IcefrontError
        If the image is not one of rows and columns, or the windows cannot cover it.
    """
    layout = Layout(window, target, stride, even)
    rows, columns = axes_of_windows(image.shape, layout)
    height, width = image.shape
    centre = slice(layout.margin, layout.margin + target)
    bell = torch.from_numpy(np.outer(gaussian(target), gaussian(target))).to(device)
    result = np.zeros((N_ZONES, height, width), np.float32)
    for part in stream_windows(image, layout, batch, progress=progress):
        with torch.inference_mode():
            logits = network(torch.from_numpy(part.windows[:, None]).to(device))
            # float32 before the softmax: bf16 logits would leave steps in the probabilities.
            zones = torch.softmax(logits[:, :, centre, centre].float(), dim=1)
            weighted = (zones * bell).cpu().numpy()
        for number, (top, left) in enumerate(part.places):
            # A target lies in the image where its window lies in the padded image.
            bottom, right = min(top + target, height), min(left + target, width)
            found = weighted[min(number, len(weighted) - 1)]
            result[:, top:bottom, left:right] += found[:, : bottom - top, : right - left]
    # Each weight is a product of one Gaussian per axis on a lattice: so is their sum.
    result /= rows.weight[:, None]
    result /= columns.weight
    return result
