"""A scene with its true and predicted front and its box, as a picture."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image
from scipy import ndimage

from icefront.evaluation.protocol import Box
from icefront.reporting.style import SKY

TRUE_COLOUR, PREDICTED_COLOUR = SKY, "#f0a202"
_BOTH_COLOUR = _BOX_COLOUR = "#ffffff"

SMOOTHED = 4.0
"""Standard deviation of the smoothing of the band's width, in pixels of its grid."""

FINER = 2
"""Factor by which lines are drawn finer and averaged down, for smooth edges."""

DIMMED = 0.82
"""Brightest grey of a scene, so that lines stand out."""

BAND_STRENGTH = 0.30
BAND_SIDE = 440
"""Longest side of the grid on which the band is found."""


def overlay(
    image: np.ndarray,
    true: np.ndarray,
    predicted: np.ndarray,
    box: Box | None,
    side: int,
    half_width: np.ndarray | None = None,
) -> np.ndarray:
    """Draw fronts over a scene: blue true, orange predicted, white where they are one.

    Parameters
    ----------
    image : uint8 (H, W)
    true, predicted : bool (H, W)
    box : tuple of int, optional
    side : int
        Longer side of the picture in pixels.
    half_width : float (P,), optional
        Half width of the interval of each predicted pixel, in pixels of the image; a band.

    Returns
    -------
    uint8 (h, w, 3)
    """
    scale = side / max(image.shape)
    fine = scale * FINER
    height, width = (max(FINER, round(n * scale) * FINER) for n in image.shape)
    grey = _stretched(image)
    shrunk = Image.fromarray(grey).resize(
        (width // FINER, height // FINER), Image.Resampling.LANCZOS
    )
    picture = np.repeat(np.asarray(shrunk, np.float32)[..., None] / 255 * DIMMED, 3, axis=2)
    picture = picture.repeat(FINER, 0).repeat(FINER, 1)

    thick = max(FINER * side / 380, 0.55 * fine)
    if half_width is not None and predicted.any() and np.isfinite(half_width).all():
        _tint(picture, _band(predicted, half_width, fine, (height, width)), PREDICTED_COLOUR)
    shape = height, width
    for front in (true, predicted):
        picture[_line(front, fine, thick + FINER, shape)] *= 0.30
    picture[_line(true, fine, thick, shape)] = to_rgb(TRUE_COLOUR)
    picture[_line(predicted, fine, thick, shape)] = to_rgb(PREDICTED_COLOUR)
    both = _line(true, fine, 0.8 * thick, shape) & _line(predicted, fine, 0.8 * thick, shape)
    picture[both] = to_rgb(_BOTH_COLOUR)
    if box is not None:
        _frame(picture, box, fine)
    small = picture.reshape(height // FINER, FINER, width // FINER, FINER, 3).mean(axis=(1, 3))
    return np.asarray(np.clip(small * 255 + 0.5, 0, 255), np.uint8)


def _stretched(image: np.ndarray) -> np.ndarray:
    seen = image[image > 0]
    low, high = np.quantile(seen, [0.01, 0.995]) if seen.size else (0, 255)
    fraction = np.clip((image.astype(np.float32) - low) / max(float(high - low), 1.0), 0, 1)
    return np.asarray(np.sqrt(fraction) * 255, np.uint8)


def _places(
    front: np.ndarray, fine: float, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of front pixels in the picture."""
    rows, columns = np.nonzero(front)
    return (
        np.minimum(((rows + 0.5) * fine).astype(int), shape[0] - 1),
        np.minimum(((columns + 0.5) * fine).astype(int), shape[1] - 1),
    )


def _line(front: np.ndarray, fine: float, radius: float, shape: tuple[int, int]) -> np.ndarray:
    """Where discs around the front pixels lie: a front is short, the picture is large."""
    rows, columns = _places(front, fine, shape)
    reach = int(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = np.hypot(y, x) <= radius
    ys = np.clip(rows[:, None] + y[inside], 0, shape[0] - 1)
    xs = np.clip(columns[:, None] + x[inside], 0, shape[1] - 1)
    mask = np.zeros(shape, bool)
    mask[ys, xs] = True
    return mask


def _band(
    front: np.ndarray, half_width: np.ndarray, fine: float, shape: tuple[int, int]
) -> np.ndarray:
    """Where the interval of the nearest front pixel reaches, found on a coarse grid."""
    coarse = max(1, max(shape) // BAND_SIDE)
    small = -(-shape[0] // coarse), -(-shape[1] // coarse)
    widths = np.zeros(small)
    at = _places(front, fine / coarse, small)
    widths[at] = np.maximum(half_width * fine / coarse, 1e-3)
    # Neighbouring pixels state different widths; their mean along the line makes an even band.
    near = ndimage.gaussian_filter(widths, SMOOTHED)[at]
    widths[at] = near / ndimage.gaussian_filter((widths > 0).astype(float), SMOOTHED)[at]
    away, nearest = ndimage.distance_transform_edt(widths == 0, return_indices=True)
    held = np.asarray(away <= widths[tuple(nearest)])
    return np.repeat(np.repeat(held, coarse, 0), coarse, 1)[: shape[0], : shape[1]]


def _tint(picture: np.ndarray, where: np.ndarray, colour: str) -> None:
    picture[where] *= 1 - BAND_STRENGTH
    picture[where] += BAND_STRENGTH * np.array(to_rgb(colour), np.float32)


def _frame(picture: np.ndarray, box: Box, fine: float) -> None:
    """Dashes along the edge of the box."""
    height, width = picture.shape[:2]
    top, bottom, left, right = (round(v * fine) for v in box)
    bottom, right = min(bottom, height) - 1, min(right, width) - 1
    thick, dash = max(1, round(0.8 * FINER)), 14 * FINER
    on_x = (np.arange(left, max(right, left) + 1) // (dash // 2)) % 2 == 0
    on_y = (np.arange(top, max(bottom, top) + 1) // (dash // 2)) % 2 == 0
    xs, ys = np.arange(left, max(right, left) + 1)[on_x], np.arange(top, max(bottom, top) + 1)[on_y]
    xs, ys = xs[xs < width], ys[ys < height]
    for k in range(thick):
        for row in (top + k, bottom - k):
            if 0 <= row < height:
                picture[row, xs] = to_rgb(_BOX_COLOUR)
        for column in (left + k, right - k):
            if 0 <= column < width:
                picture[ys, column] = to_rgb(_BOX_COLOUR)
