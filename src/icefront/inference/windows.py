"""A whole image through a network that sees one window at a time, blended into one map.

The layout of the windows, the mirrored margins and the Gaussian weights are those of the
whole-scene prediction of CaFFe's baseline and of Tyrion (Gourmelon et al. 2022,
doi:10.5194/essd-14-4287-2022): the image is mirrored outwards by the margin between window and
target, then further below and to the right until the windows fit, always by at least one pixel;
each window counts with its centre only, and overlapping centres are blended with a Gaussian whose
standard deviation is an eighth of the target (32 pixels for 256).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

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
    source = np.pad(np.arange(length), margin, mode="symmetric")
    source = np.pad(source, (0, extra), mode="symmetric")
    starts = tuple(range(0, count * stride, stride))
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


def blend_windows(
    image: np.ndarray,
    network: Network,
    *,
    window: int = 512,
    target: int = 256,
    stride: int = 128,
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
    window, target, stride : int
        Side of the window, of its centre that counts, and the step, in pixels.
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
    check_layout(window, target, stride)
    if image.ndim != 2 or not image.size:
        raise IcefrontError(
            f"An image of shape {image.shape} cannot be predicted: it needs rows and columns."
        )
    height, width = image.shape
    rows = axis_of_windows(height, window, target, stride)
    columns = axis_of_windows(width, window, target, stride)
    centre = slice((window - target) // 2, (window + target) // 2)
    bell = torch.from_numpy(np.outer(gaussian(target), gaussian(target))).to(device)
    result = np.zeros((N_ZONES, height, width), np.float32)

    def weighted(windows: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits = network(torch.from_numpy(windows[:, None]).to(device))
            # float32 before the softmax: bf16 logits would leave steps in the probabilities.
            zones = torch.softmax(logits[:, :, centre, centre].float(), dim=1)
            return (zones * bell).cpu().numpy()

    @cache
    def weighted_no_data() -> np.ndarray:
        return weighted(np.zeros((1, window, window), np.float32))[0]

    def add(zones: np.ndarray, top: int, left: int) -> None:
        # A target lies in the image where its window lies in the padded image.
        bottom, right = min(top + target, height), min(left + target, width)
        result[:, top:bottom, left:right] += zones[:, : bottom - top, : right - left]

    with steps("predicting", len(rows.starts) * len(columns.starts), show=progress) as advance:
        for top in rows.starts:
            band = np.asarray(image[rows.source[top : top + window]], np.float32)
            missing = np.isnan(band)
            has_data: np.ndarray = ~np.all(missing, axis=0)
            band[missing] = 0.0
            sources = {left: columns.source[left : left + window] for left in columns.starts}
            seen = [left for left in columns.starts if has_data[sources[left]].any()]
            for first in range(0, len(seen), batch):
                lefts = seen[first : first + batch]
                windows = np.stack([band[:, sources[left]] for left in lefts])
                for left, zones in zip(lefts, weighted(windows), strict=True):
                    add(zones, top, left)
                advance(len(lefts))
            for left in sorted(set(columns.starts).difference(seen)):
                add(weighted_no_data(), top, left)
                advance(1)
    # Each weight is a product of one Gaussian per axis on a regular lattice: so is their sum.
    result /= rows.weight[:, None]
    result /= columns.weight
    return result
