"""Where an image holds no data although nothing in the file says so: black swath edges.

An image cut from a swath, or turned to north, is surrounded by wedges of zeros. Radar shadow and
calm water can be zero too, so zeros count as an edge only where they form a solid region that
reaches the border of the image: built from blocks of 4x4 pixels without any other value, and at
least 128 pixels or 0.05 % of the image large. On the 482 CaFFe images of Crane, DBE, JAC and SI
at 256x256 pixels, 99.8 % of the pixels so found are labelled no data.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

INVALID, ZERO, VALUE = 0, 1, 2
"""Codes of a pixel: no data, a valid zero, any other valid value."""

BLOCK = 4
MIN_PIXELS = 128
MIN_FRACTION = 0.0005

_ROWS = 64 * BLOCK


def remove_black_edges(codes: np.ndarray) -> int:
    """Turn black swath edges into no data, in place.

    Parameters
    ----------
    codes : uint8 (H, W)
        `INVALID`, `ZERO` or `VALUE` for each pixel; changed.

    Returns
    -------
    int
        Number of pixels that became `INVALID`.
    """
    height, width = codes.shape
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    solid = np.empty((rows, columns), dtype=bool)
    for top in range(0, height, _ROWS):
        strip = codes[top : top + _ROWS] != VALUE
        padding = (-strip.shape[0] % BLOCK, -width % BLOCK)
        strip = np.pad(strip, ((0, padding[0]), (0, padding[1])), constant_values=True)
        blocks = strip.reshape(strip.shape[0] // BLOCK, BLOCK, columns, BLOCK)
        solid[top // BLOCK : top // BLOCK + blocks.shape[0]] = blocks.all(axis=(1, 3))
    edges = _border_regions(solid, max(MIN_PIXELS, MIN_FRACTION * height * width))
    if edges is None:
        return 0
    return _clear(codes, edges)


def _border_regions(solid: np.ndarray, min_pixels: float) -> np.ndarray | None:
    labels, count = ndimage.label(solid)
    if not count:
        return None
    sizes = np.zeros(count + 1, dtype=np.int64)
    for top in range(0, labels.shape[0], _ROWS):
        sizes += np.bincount(labels[top : top + _ROWS].ravel(), minlength=count + 1)
    sizes *= BLOCK**2
    border = np.zeros(count + 1, dtype=bool)
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        border[side] = True
    keep = border & (sizes >= min_pixels)
    keep[0] = False
    return keep[labels] if keep.any() else None


def _clear(codes: np.ndarray, edges: np.ndarray) -> int:
    # Blocks leave a fringe of up to BLOCK - 1 pixels, in corners twice that: grow back into it.
    reach = 2 * BLOCK
    height, width = codes.shape
    removed = 0
    for top in range(0, height, _ROWS):
        first, last = max(0, top - reach), min(height, top + _ROWS + reach)
        coarse = edges[first // BLOCK : -(-last // BLOCK)]
        if not coarse.any():
            continue
        empty = codes[first:last] != VALUE
        seeds = np.repeat(np.repeat(coarse, BLOCK, axis=0), BLOCK, axis=1)
        seeds = seeds[: last - first, :width] & empty
        grown = ndimage.binary_dilation(
            seeds, structure=np.ones((3, 3), dtype=bool), iterations=reach, mask=empty
        )
        inner = grown[top - first : top - first + min(_ROWS, height - top)]
        strip = codes[top : top + inner.shape[0]]
        black = inner & (strip == ZERO)
        strip[black] = INVALID
        removed += int(np.count_nonzero(black))
    return removed
