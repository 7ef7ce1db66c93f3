"""How long a piece of front must be: the rule of 750 m."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from icefront.fronts.components import components

MIN_LENGTH_M = 750.0
"""A piece of front must be longer than this, in metres (CaFFe's rule)."""

MIN_LENGTH_PX = 12.0
"""The same where the size of a pixel is not known, in pixels."""

STRAY_FRACTION = 1 / 8
"""A piece shorter than this fraction of the longest one is mostly a shore of snow-covered land."""


def drop_short_pieces(front: np.ndarray, min_pixels: float) -> np.ndarray:
    """Remove the 8-connected pieces of no more than a number of pixels, in place.

    Parameters
    ----------
    front : bool (H, W)
        Front pixels, contiguous; changed.
    min_pixels : float
        Pieces of this many pixels or fewer are removed.

    Returns
    -------
    bool (H, W)
        The same array.
    """
    pieces = components(front)
    front.reshape(-1)[pieces.pixels(pieces.areas <= min_pixels)] = False
    return front


def is_long_enough(
    lengths: Sequence[float], min_length: float, within: Sequence[float] | None = None
) -> list[bool]:
    """Tell which pieces of one front are long enough to be drawn.

    Parameters
    ----------
    lengths : sequence of float
        Of all pieces, in any unit.
    min_length : float
        Least length in the same unit; pieces below `STRAY_FRACTION` of the longest one are too
        short as well.
    within : sequence of float, optional
        Lengths of the pieces within the area of interest, of which the longest one is looked for:
        a long coast elsewhere does not make a front stray.
    """
    within = lengths if within is None else within
    stray = STRAY_FRACTION * max(within)
    return [
        length >= min_length and inside >= stray
        for length, inside in zip(lengths, within, strict=True)
    ]
