"""Mountains: ridges with spurs, planar flanks, gullies, valley floors and plateaus.

Flanks that fall evenly from sharp crests to flat floors are what ice leaves behind, and what makes
the facets, bright and dark, by which mountains are known in a radar image.
"""

from __future__ import annotations

import numpy as np
import shapely
from affine import Affine
from rasterio.features import rasterize
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from icefront.simulation.noise import fractal, rough_line

_LEVELS = 12
"""Steps by which the heights of crests are told apart."""


def mountains(
    rng: np.random.Generator,
    transform: Affine,
    shape: tuple[int, int],
    *,
    relief_m: float,
    ridge_m: float,
    plateau: float = 0.0,
) -> np.ndarray:
    """Draw the heights of a mountain range.

    Parameters
    ----------
    rng : numpy.random.Generator
    transform : Affine
        From (column, row) to map coordinates, square cells.
    shape : (int, int)
    relief_m : float
        Height of typical ridges over the valleys; lower where ridges are too close for it.
    ridge_m : float
        Distance between ridges.
    plateau : float
        Share of the area that is cut off flat at the top.

    Returns
    -------
    float32 (H, W)
        Metres above the lowest floors, about 0 or more.

    Examples
    --------
    >>> import numpy as np
    >>> from affine import Affine
    >>> rng, grid = np.random.default_rng(0), Affine(50, 0, 0, 0, -50, 0)
    >>> heights = mountains(rng, grid, (128, 128), relief_m=800, ridge_m=3000)
    >>> heights.shape, bool(np.ptp(heights) > 300)
    ((128, 128), True)
    """
    cell = float(transform.a)
    waves = max(max(shape) * cell / ridge_m, 1.5)
    broad = fractal(rng, shape, 2.2, coarsest=0.4 * waves)
    crests = crest_map(rng, transform, shape, ridge_m)
    fall = np.tan(np.radians(rng.uniform(26, 44)))
    # Ridges that are close together cannot be as high as others.
    relief = min(relief_m, fall * ridge_m * rng.uniform(0.25, 0.5))
    fall = min(fall, relief / (0.22 * ridge_m))
    # The upper envelope of the flanks of all ridges.
    flank = np.full(shape, -relief, float)
    known = crests[crests > 0]
    for level in np.quantile(known, np.linspace(0, 0.98, _LEVELS)) if known.size else ():
        away = ndimage.distance_transform_edt(crests < level) * cell
        np.maximum(flank, relief * level - fall * away, out=flank)
    soft = 0.06 * relief
    flank = soft * np.logaddexp(0, (flank + 0.15 * relief * broad) / soft)
    gullies = fractal(rng, shape, 2.3, coarsest=min(4 * waves, max(shape) / 8))
    # Their own slopes are a share of those of the flanks.
    depth = rng.uniform(0.4, 1.0) * fall / np.hypot(*np.gradient(gullies, cell)).mean()
    flank += depth * gullies * np.clip(flank / relief, 0.06, 0.5)
    if plateau > 0:
        top = np.quantile(flank, 1 - plateau)
        flank = np.where(flank > top, top + 0.08 * (flank - top), flank)
    floor = relief * (0.14 + 0.07 * broad).clip(0.03)
    return (floor + flank).astype(np.float32)


def crest_map(
    rng: np.random.Generator, transform: Affine, shape: tuple[int, int], ridge_m: float
) -> np.ndarray:
    """Draw ridges that wander, with spurs to both sides.

    Returns
    -------
    float32 (H, W)
        Relative height on the crests, about 0.75 for typical ones; 0 beside them.
    """
    height, width = shape
    left, top = transform * (0, 0)
    right, bottom = transform * (width, height)
    left, bottom, right, top = left - ridge_m, bottom - ridge_m, right + ridge_m, top + ridge_m
    step = ridge_m / 8
    grain = rng.uniform(0, np.pi)  # ranges run one way more than others
    pieces: list[tuple[BaseGeometry, float]] = []

    def walk(place: np.ndarray, heading: float, length: float, first: float) -> np.ndarray:
        points = max(int(length / step), 3)
        turn = heading + 0.5 * rough_line(rng, points, 1.5)
        line = place + np.cumsum(step * np.stack([np.cos(turn), np.sin(turn)], axis=1), axis=0)
        tone = first * (1 + 0.3 * rough_line(rng, points, 1.2)).clip(0.2)
        if length < ridge_m:  # a spur comes down
            tone *= np.linspace(1, 0.35, points)
        segments = shapely.linestrings(np.stack([line[:-1], line[1:]], axis=1))
        pieces.extend(zip(segments, tone.tolist(), strict=False))
        return np.column_stack([line, turn, tone])

    for _ in range(max(round((right - left) * (top - bottom) / (1.5 * ridge_m**2)), 3)):
        place = np.array([rng.uniform(left, right), rng.uniform(bottom, top)])
        tone = float(np.clip(rng.normal(0.75, 0.25), 0.2, 1.3))
        ridge = walk(place, grain + rng.normal(0, 0.7), ridge_m * rng.uniform(1, 3), tone)
        for x, y, heading, tone in ridge[:: int(rng.integers(4, 8))]:
            aside = rng.choice([-1, 1]) * np.radians(rng.uniform(45, 85))
            reach = ridge_m * rng.uniform(0.25, 0.8)
            walk(np.array([x, y]), heading + aside, reach, tone * rng.uniform(0.6, 0.95))
    pieces.sort(key=lambda piece: piece[1])  # the highest lie on top
    return rasterize(pieces, shape, transform=transform, dtype="float32")
