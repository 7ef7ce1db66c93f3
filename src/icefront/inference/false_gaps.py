"""Areas that hold data and that a network takes for no data: calm water, as black as a gap.

In the labels of CaFFe shadows of mountains have no data, too, and what a network learns from them
it finds again in water below the noise of the radar. But shadows in which an image holds data are
small: among the labels of 482 training images none is larger than 300 pixels of 60 to 80 m.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from icefront.grid import PixelSize, pixel_sides
from icefront.zones import NO_DATA, likeliest

LARGEST_SHADOW_KM2 = 4.0
LARGEST_SHADOW_PX = 800
"""Where the size of a pixel is unknown."""

GAP_PX = 5
"""Zeros in squares of this side are a gap; in calm water of 8 bits they lie scattered."""


def without_false_gaps(
    probabilities: np.ndarray, image: np.ndarray, pixel_size_m: PixelSize
) -> np.ndarray:
    """Let the other zones share what the network calls no data in large areas that hold data.

    Parameters
    ----------
    probabilities : float32 (4, H, W)
        Of the zones.
    image : float32 (H, W)
        What the network saw, NaN for no data.
    pixel_size_m : float, (float, float) or None
        Side of a pixel in metres.

    Returns
    -------
    float32 (4, H, W)
        `probabilities` itself where there is no such area, else a copy.

    Examples
    --------
    Calm water on all of an image that holds data:

    >>> import numpy as np
    >>> from icefront.inference.false_gaps import without_false_gaps
    >>> water = np.ones((4, 40, 40), np.float32) * np.float32([0.6, 0, 0.1, 0.3])[:, None, None]
    >>> without_false_gaps(water, np.full((40, 40), 0.01), None)[:, 20, 20].round(3).tolist()
    [0.0, 0.0, 0.25, 0.75]
    """
    said = likeliest(probabilities) == NO_DATA
    least = float(LARGEST_SHADOW_PX)
    if pixel_size_m is not None:
        least = LARGEST_SHADOW_KM2 * 1e6 / float(np.prod(pixel_sides(pixel_size_m)))
    if said.sum() <= least:
        return probabilities
    gap = ndimage.binary_opening(~(image > 0), np.ones((GAP_PX, GAP_PX), bool))
    areas, _ = ndimage.label(said & ~gap)
    large = np.bincount(areas.ravel()) > least
    large[0] = False
    if not large.any():
        return probabilities
    inside = large[areas]
    found = probabilities.copy()
    rest = found[NO_DATA + 1 :, inside] + np.float32(1e-12)
    found[NO_DATA + 1 :, inside] = rest / rest.sum(axis=0)
    found[NO_DATA, inside] = 0.0
    return found
