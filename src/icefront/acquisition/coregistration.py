"""How far radar images of one orbit are shifted against each other, measured on rock.

Rock neither moves nor melts, and from one orbit it is seen under one angle: what differs between
two images of it is speckle, and how well they were put on the map. The shift is the maximum of the
correlation of two images, found between pixels by a matrix product of Fourier transforms
(Guizar-Sicairos et al. 2008, doi:10.1364/OL.33.000156), of the texture of rock alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from icefront.errors import IcefrontError

LEAST_ROCK = 2_000
"""Pixels of rock without which no shift is measured."""

MOST_SHIFT = 3.0
"""Pixels; an image that is shifted further was put on the map wrongly, and is refused."""

CORRECTED_ABOVE = 0.1
"""Pixels; smaller shifts are as uncertain as they are large, and left alone."""

_TEXTURE_PIXELS = 12.0
_SPECKLE_PIXELS = 0.35
_FEATHER_PIXELS = 3.0
_STEPS = 4
_FINE = 50
_LEAST_CORRELATION = 0.2


@dataclass(frozen=True)
class Shift:
    """By how much an image has to be moved to lie on another one.

    Attributes
    ----------
    rows, columns : float
        Pixels, positive downwards and to the right.
    correlation : float
        Of the textures of rock after that, at most 1.
    """

    rows: float
    columns: float
    correlation: float

    @property
    def pixels(self) -> float:
        """Length of the shift."""
        return float(np.hypot(self.rows, self.columns))


def measured_shift(image_db: np.ndarray, reference_db: np.ndarray, rock: np.ndarray) -> Shift:
    """Measure by how much an image is shifted against another one of its orbit.

    Parameters
    ----------
    image_db, reference_db : float (H, W)
        Backscatter in dB, NaN where there is no data.
    rock : bool (H, W)
        Ground that does not change.

    Raises
    ------
    IcefrontError
        If there is too little rock, the images have nothing in common on it, or the shift is more
        than `MOST_SHIFT`.
    """
    known = rock & np.isfinite(image_db) & np.isfinite(reference_db)
    if known.sum() < LEAST_ROCK:
        raise IcefrontError(
            f"{int(known.sum())} pixels of rock are too few to measure a shift: {LEAST_ROCK} are "
            "needed."
        )
    weight = _feathered(known)
    reference = _texture(reference_db, known) * weight
    total = np.zeros(2)
    for _ in range(_STEPS):
        # The window stays where it is, so that it draws shifts to zero: what is left after a step
        # is measured again.
        moved = moved_by(image_db, total)
        texture = _texture(moved, known & np.isfinite(moved)) * weight
        step, _, _ = phase_cross_correlation(
            reference, texture, upsample_factor=_FINE, normalization=None
        )
        total += step
        if np.hypot(*step) <= 1 / _FINE or np.hypot(*total) > 2 * MOST_SHIFT:
            break
    moved = moved_by(image_db, total)
    both = known & np.isfinite(moved)
    first, second = _texture(moved, both)[both], _texture(reference_db, both)[both]
    correlation = float((first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum()))
    if correlation >= _LEAST_CORRELATION and np.hypot(*total) > MOST_SHIFT:
        raise IcefrontError(
            f"The image is shifted by {np.hypot(*total):.1f} pixels on rock, more than "
            f"{MOST_SHIFT:g}: it was put on the map wrongly."
        )
    if correlation < _LEAST_CORRELATION:
        raise IcefrontError(
            f"The images have nothing in common on rock (correlation {correlation:.2f}): no shift "
            "can be measured."
        )
    return Shift(float(total[0]), float(total[1]), correlation)


def moved_by(image: np.ndarray, shift: np.ndarray | tuple[float, float]) -> np.ndarray:
    """Move an image by rows and columns between pixels, float32; NaN where nothing is known."""
    if not np.any(shift):
        return image.astype(np.float32)
    known = np.isfinite(image)
    # Cubic: straight lines between pixels would smooth speckle, and an image with it.
    moved = ndimage.shift(np.where(known, image, 0).astype(np.float32), shift, order=3, cval=0)
    share = ndimage.shift(known.astype(np.float32), shift, order=1, cval=0)
    return np.where(share > 0.999, moved, np.float32(np.nan))


def _feathered(known: np.ndarray) -> np.ndarray:
    """Return weights that rise from 0 at the border of what is known, float32 (H, W)."""
    depth = ndimage.distance_transform_edt(np.pad(known, 1))[1:-1, 1:-1]
    return np.clip(depth / _FEATHER_PIXELS - 1 / _FEATHER_PIXELS, 0, 1).astype(np.float32)


def _texture(image_db: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return what differs from the surroundings, by known ground only; 0 elsewhere."""
    filled = np.where(known, image_db, 0).astype(np.float32)
    weight = known.astype(np.float32)

    def mean(sigma: float) -> np.ndarray:
        share = ndimage.gaussian_filter(weight, sigma)
        return ndimage.gaussian_filter(filled, sigma) / np.maximum(share, 1e-6)

    return np.where(known, mean(_SPECKLE_PIXELS) - mean(_TEXTURE_PIXELS), 0)
