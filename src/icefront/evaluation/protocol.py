"""One image by the CaFFe protocol: from predicted zones to a front, its distances and scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from icefront.evaluation.zone_scores import ZoneScores, zone_scores
from icefront.fronts import blank_outside, distance_errors, front_pixels
from icefront.fronts.minimum_length import MIN_LENGTH_M, MIN_LENGTH_PX
from icefront.grid import PixelSize

Box = tuple[int, int, int, int]
"""First and last row, first and last column, half open."""


@dataclass(frozen=True)
class ProtocolScore:
    """The scores of one image by the protocol.

    Attributes
    ----------
    zones : ZoneScores
        Of the prediction before cleaning.
    predicted, true : bool (H, W)
        The predicted front inside the box, and the true one.
    errors : float64 (P + T,)
        Distances from every predicted pixel to the true front, then from every true pixel to the
        predicted one, in metres (pixels where the size of a pixel is unknown); empty if either
        front is.
    """

    zones: ZoneScores
    predicted: np.ndarray
    true: np.ndarray
    errors: np.ndarray


def least_length(pixel_size_m: PixelSize) -> float:
    """Length up to which a piece of front is dropped: 750 m, or 12 where pixels have no size."""
    return MIN_LENGTH_PX if pixel_size_m is None else MIN_LENGTH_M


def protocol_front(
    zones: np.ndarray,
    pixel_size_m: PixelSize,
    box: Box | None = None,
    min_length: float | None = None,
) -> np.ndarray:
    """The front of a zone map: cleaned, extracted, without short pieces, inside the box.

    Parameters
    ----------
    zones : integer (H, W)
        Class codes 0 to 3.
    pixel_size_m : float, (float, float) or None
        None measures in pixels.
    box : tuple of int, optional
        Outside of it the front is blanked.
    min_length : float, optional
        Length up to which a piece is dropped, by default `least_length`.

    Returns
    -------
    bool (H, W)
    """
    shortest = least_length(pixel_size_m) if min_length is None else min_length
    front = front_pixels(zones, 1.0 if pixel_size_m is None else pixel_size_m, shortest)
    if box is None:
        return front
    return blank_outside(front, slice(box[0], box[1]), slice(box[2], box[3]))


def score_image(
    zones: np.ndarray,
    true_zones: np.ndarray,
    true_front: np.ndarray | None,
    pixel_size_m: PixelSize,
    box: Box | None = None,
    min_length: float | None = None,
) -> ProtocolScore:
    """Score one image.

    Parameters
    ----------
    zones, true_zones : integer (H, W)
        Class codes 0 to 3, predicted and true.
    true_front : bool (H, W) or None
        The front label; without one, the front of the true zones inside the box.
    pixel_size_m, box, min_length
        As for `protocol_front`.

    Returns
    -------
    ProtocolScore

    Raises
    ------
    IcefrontError
        If the maps differ in shape or hold anything but class codes.

    Notes
    -----
    The evaluation protocol of CaFFe: Gourmelon et al. 2022, doi:10.5194/essd-14-4287-2022.
    """
    predicted = protocol_front(zones, pixel_size_m, box, min_length)
    true = true_front
    if true is None:
        true = protocol_front(true_zones, pixel_size_m, box, min_length)
    unit = 1.0 if pixel_size_m is None else pixel_size_m
    return ProtocolScore(
        zone_scores(zones, true_zones), predicted, true, distance_errors(predicted, true, unit)
    )
