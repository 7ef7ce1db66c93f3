"""How well probabilities fix the place of a front."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from icefront.zones import LOGIT_LIMIT

LEAST_PX = 1 / np.sqrt(12)
"""Smallest standard deviation: that of a place known to the pixel, in pixels."""

MOST_PX = 32.0
"""Largest standard deviation, for probabilities that hardly change across the line, in pixels."""

ONE_SIGMA = float(np.log(0.84 / 0.16))
"""The logit of 84 %, which is one standard deviation from the middle."""


def front_logit(glacier: np.ndarray, ocean: np.ndarray) -> np.ndarray:
    """Return the log odds of glacier against ocean, bounded to +-6.

    Parameters
    ----------
    glacier, ocean : float32 (H, W)
        Probabilities.

    Returns
    -------
    float32 (H, W)
        log(P(glacier) / P(ocean)). Across a front it is close to linear where the probabilities
        themselves are S-shaped: interpolating its zero is what makes lines sub-pixel.
    """
    least = np.float32(np.exp(-2 * LOGIT_LIMIT))
    ratio = np.maximum(glacier, least) / np.maximum(ocean, least)
    return np.clip(np.log(ratio), -LOGIT_LIMIT, LOGIT_LIMIT).astype(np.float32)


def uncertainty_along(
    logit: np.ndarray, line: np.ndarray, sides: tuple[float, float]
) -> np.ndarray:
    """Estimate the standard deviation of the place of a front at the vertices of a line.

    Take q = P(glacier) / (P(glacier) + P(ocean)) across the line as the probability that the front
    lies further out. Then the stretch over which q goes from 16 % to 84 % is two standard
    deviations wide. With the gradient g of log(q / (1 - q)), from differences over +-1 pixel, one
    standard deviation is log(0.84 / 0.16) / |g| = 1.66 / |g|, bounded to 0.29 to 32 pixels.

    Parameters
    ----------
    logit : float (H, W)
        From `front_logit`.
    line : float (N, 2)
        (row, column), pixel centres at whole numbers.
    sides : (float, float)
        Height and width of a pixel.

    Returns
    -------
    float64 (N,)
        In the unit of `sides`.
    """
    side = float(np.sqrt(sides[0] * sides[1]))
    return np.clip(ONE_SIGMA / _steepness(logit, line, sides), LEAST_PX * side, MOST_PX * side)


def disagreement_along(
    logit: np.ndarray, logit_std: np.ndarray, line: np.ndarray, sides: tuple[float, float]
) -> np.ndarray:
    """Measure how far the members of an ensemble disagree about the place of a front.

    Where the log odds of the members have the standard deviation s and their mean rises by g per
    metre across the front, the places at which they are zero have the standard deviation s / g, to
    first order; bounded to 32 pixels.

    Parameters
    ----------
    logit, logit_std : float (H, W)
        Of the mean, from `front_logit`, and the standard deviation of the members.
    line : float (N, 2)
        (row, column), pixel centres at whole numbers.
    sides : (float, float)
        Height and width of a pixel.

    Returns
    -------
    float64 (N,)
        In the unit of `sides`.
    """
    side = float(np.sqrt(sides[0] * sides[1]))
    return np.minimum(_at(logit_std, line) / _steepness(logit, line, sides), MOST_PX * side)


def _steepness(logit: np.ndarray, line: np.ndarray, sides: tuple[float, float]) -> np.ndarray:
    """Return the gradient of the log odds, from differences over +-1 pixel; never quite 0."""
    steps = np.array([[1.0, 0.0], [0.0, 1.0]])
    gradient = np.stack(
        [
            (_at(logit, line + step) - _at(logit, line - step)) / (2 * side)
            for step, side in zip(steps, sides, strict=True)
        ]
    )
    side = float(np.sqrt(sides[0] * sides[1]))
    return np.maximum(np.hypot(*gradient), ONE_SIGMA / (MOST_PX * side))


def _at(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    return ndimage.map_coordinates(field, points.T, output=np.float64, order=1, mode="nearest")
