"""Where an image holds no data although nothing in the file says so.

Black swath edges. An image cut from a swath, or turned to north, is surrounded by wedges of zeros.
Radar shadow and calm water can be zero too, so zeros count as an edge only where they form a solid
region that reaches the border of the image: built from blocks of 4x4 pixels without any other
value, and at least 128 pixels or 0.05 % of the image large. On the 482 CaFFe images of Crane, DBE,
JAC and SI at 256x256 pixels, 99.8 % of the pixels so found are labelled no data.

Constant borders. The same holds of any other value (-100 dB, 65535, 9.97e36): speckle leaves no
block of 16 equal pixels. A value may also be that of saturated ice or of water below the least
value that the file can hold; so a value that few others exceed, or few fall short of, counts only
if most of its pixels lie in such borders and few are scattered among the others. One that lies
apart from all others is no data wherever it stands.

Border noise. Sentinel-1 GRD products made before March 2018 carry strips of low, non-zero values
along their borders (Stasolla and Neyt 2018, doi:10.3390/s18103454). A strip is taken for that if it
runs along most of a side, is thin, and its brightest pixels lie far below the rest of the image and
below what the radar can measure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

INVALID, ZERO, VALUE = 0, 1, 2
"""Codes of a pixel: no data, a valid zero, any other valid value."""
FIRST_BORDER = 3
"""Code of the first value of constant borders; the second has the next, and so on."""

BLOCK = 4
MIN_PIXELS = 128
MIN_FRACTION = 0.0005

_ROWS = 64 * BLOCK
_MAX_BORDERS = 8
_APART = 0.1  # of the range of all other values
_TAIL = 0.1  # of all other pixels: beyond at most that many, a value may be saturated

NOISE_BELOW_DB = 10.0
"""Border noise is that much darker than the darkest hundredth of the rest of the image, in dB."""
NOISE_FLOOR_DB = {"db": -30.0, "power": -30.0, "amplitude": -30.0, "dn": 26.0}
"""Nothing brighter is border noise, in dB, for each radiometry that it occurs in.

Backscatter below -30 dB lies under the noise of Sentinel-1; with the calibration constants of its
GRD products that is a digital number of about 20.
"""
_NOISE_DEPTH = 0.1  # of the rows or columns across which it reaches at most
_NOISE_LENGTH = 0.5  # of a side along which it runs at least


class BlockRange:
    """Least and greatest valid value in each block of 4x4 pixels of an image.

    Parameters
    ----------
    height, width : int
        Size of the image in pixels.

    Attributes
    ----------
    low, high : float32 (ceil(height / 4), ceil(width / 4))
        Positive and negative infinity where a block holds no data.
    pixels : int
        Of the image.
    """

    def __init__(self, height: int, width: int) -> None:
        shape = -(-height // BLOCK), -(-width // BLOCK)
        self.low = np.full(shape, np.inf, dtype=np.float32)
        self.high = np.full(shape, -np.inf, dtype=np.float32)
        self.pixels = height * width

    def add(self, top: int, values: np.ndarray, valid: np.ndarray) -> None:
        """Take in the rows from `top`: values float32 (rows, W) and where they are valid."""
        bottom = top + len(values)
        padding = ((top % BLOCK, -bottom % BLOCK), (0, -values.shape[1] % BLOCK))
        rows = slice(top // BLOCK, -(-bottom // BLOCK))
        whole = bool(valid.all())
        for known, extreme, nothing in (
            (self.low[rows], np.minimum, np.float32(np.inf)),
            (self.high[rows], np.maximum, np.float32(-np.inf)),
        ):
            found = values if whole else np.where(valid, values, nothing)
            if any(map(any, padding)):
                found = np.pad(found, padding, constant_values=nothing)
            lines = found[::BLOCK].copy()
            for offset in range(1, BLOCK):
                extreme(lines, found[offset::BLOCK], out=lines)
            for offset in range(BLOCK):
                extreme(known, lines[:, offset::BLOCK], out=known)


@dataclass(frozen=True)
class ConstantBorder:
    """A value that borders of an image consist of.

    Attributes
    ----------
    value : float
        As `icefront.scenes.raster.Strip` holds it.
    pixels : int
        In solid blocks that reach the border of the image.
    """

    value: float
    pixels: int


def constant_borders(blocks: BlockRange) -> list[ConstantBorder]:
    """Find the values other than zero of which solid regions at the border of an image consist."""
    solid = (blocks.low == blocks.high) & (blocks.low != 0)
    if not solid.any():
        return []
    empty = (blocks.low > blocks.high) | ((blocks.low == 0) & (blocks.high == 0))
    least = max(MIN_PIXELS, MIN_FRACTION * blocks.pixels) / BLOCK**2
    values, counts = np.unique(blocks.low[solid], return_counts=True)
    found = []
    for index in np.argsort(-counts, kind="stable")[:_MAX_BORDERS]:
        if counts[index] < least:
            break
        mine = solid & (blocks.low == values[index])
        labels, count = ndimage.label(mine | empty)
        at_border = np.count_nonzero(_reaches_border(labels, count)[labels] & mine)
        # More of it inside: an image of few values, or one whose pixels were repeated.
        if at_border >= max(least, counts[index] / 2):
            found.append(ConstantBorder(float(values[index]), int(at_border) * BLOCK**2))
    return found


def mark_borders(
    codes: np.ndarray, parts: Iterable[tuple[int, np.ndarray]], borders: list[ConstantBorder]
) -> tuple[float, float, list[ConstantBorder]]:
    """Give the pixels of constant borders codes of their own, in place.

    `remove_edges` then turns those of them that lie in solid regions into no data. A value that is
    no border after all, as the module says, keeps the code `VALUE`.

    Parameters
    ----------
    codes : uint8 (H, W)
        `INVALID`, `ZERO` or `VALUE` for each pixel; changed.
    parts : iterable of (int, float32 (rows, W))
        First row and values of strips that cover the image.
    borders : list of ConstantBorder
        See `constant_borders`.

    Returns
    -------
    low, high : float
        The least and the greatest of the values that keep the code `VALUE`.
    borders : list of ConstantBorder
        Those that are borders after all, in the order of their codes.
    """
    low, high, kept = math.inf, -math.inf, 0
    counts = np.zeros(len(borders), dtype=np.int64)
    above = np.zeros(len(borders), dtype=np.int64)
    for top, values in parts:
        part = codes[top : top + len(values)]
        for number, border in enumerate(borders):
            same = (values == np.float32(border.value)) & (part == VALUE)
            part[same] = FIRST_BORDER + number
            counts[number] += np.count_nonzero(same)
        others = part == VALUE
        kept += int(np.count_nonzero(others))
        for number, border in enumerate(borders):
            above[number] += np.count_nonzero((values > border.value) & others)
        low = min(low, float(values.min(where=others, initial=math.inf)))
        high = max(high, float(values.max(where=others, initial=-math.inf)))
    reach = _APART * (high - low)
    change = np.full(FIRST_BORDER + len(borders), VALUE, dtype=np.uint8)
    change[[INVALID, ZERO]] = INVALID, ZERO
    confirmed: list[ConstantBorder] = []
    span = low, high
    for number, border in enumerate(borders):
        between = min(above[number], kept - above[number]) > _TAIL * kept
        apart = not low - reach <= border.value <= high + reach
        scattered = counts[number] - border.pixels
        in_borders = scattered < min(border.pixels, _TAIL * kept)
        if kept >= MIN_PIXELS and (apart or between or in_borders):
            code = FIRST_BORDER + len(confirmed)
            change[FIRST_BORDER + number] = INVALID if apart else code
            confirmed.append(border)
        else:
            span = min(span[0], border.value), max(span[1], border.value)
    for top in range(0, len(codes), _ROWS):
        codes[top : top + _ROWS] = change[codes[top : top + _ROWS]]
    return *span, confirmed


def remove_edges(codes: np.ndarray) -> int:
    """Turn black swath edges and constant borders into no data, in place.

    Parameters
    ----------
    codes : uint8 (H, W)
        `INVALID`, `ZERO`, `VALUE` or that of a constant border for each pixel; changed.

    Returns
    -------
    int
        Number of pixels that became `INVALID`.
    """
    solid = _solid(codes, lambda strip: strip != VALUE)
    edges = _border_regions(solid, max(MIN_PIXELS, MIN_FRACTION * codes.size))
    return 0 if edges is None else _clear(codes, edges)


def _solid(codes: np.ndarray, holds: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Tell in which blocks something holds of the codes of all pixels, bool."""
    height, width = codes.shape
    columns = -(-width // BLOCK)
    solid = np.empty((-(-height // BLOCK), columns), dtype=bool)
    for top in range(0, height, _ROWS):
        strip = holds(codes[top : top + _ROWS])
        padding = (-strip.shape[0] % BLOCK, -width % BLOCK)
        strip = np.pad(strip, ((0, padding[0]), (0, padding[1])), constant_values=True)
        # Row by row and column by column: several times as fast as over two axes of blocks.
        lines = np.logical_and.reduce([strip[offset::BLOCK] for offset in range(BLOCK)])
        blocks = np.logical_and.reduce([lines[:, offset::BLOCK] for offset in range(BLOCK)])
        solid[top // BLOCK : top // BLOCK + len(blocks)] = blocks
    return solid


def _border_regions(solid: np.ndarray, min_pixels: float) -> np.ndarray | None:
    labels, count = ndimage.label(solid)
    if not count:
        return None
    sizes = np.zeros(count + 1, dtype=np.int64)
    for top in range(0, labels.shape[0], _ROWS):
        sizes += np.bincount(labels[top : top + _ROWS].ravel(), minlength=count + 1)
    keep = _reaches_border(labels, count) & (sizes * BLOCK**2 >= min_pixels)
    return keep[labels] if keep.any() else None


def _reaches_border(labels: np.ndarray, count: int) -> np.ndarray:
    """Tell which labels 0..count, but for 0, occur along the border of an image."""
    border = np.zeros(count + 1, dtype=bool)
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        border[side] = True
    border[0] = False
    return border


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
        # The rows above were cleared already; what is no data there leads on as before.
        empty = codes[first:last] != VALUE
        seeds = np.repeat(np.repeat(coarse, BLOCK, axis=0), BLOCK, axis=1)
        seeds = seeds[: last - first, :width] & empty
        grown = _grown(seeds, empty, reach)
        inner = grown[top - first : top - first + min(_ROWS, height - top)]
        strip = codes[top : top + inner.shape[0]]
        cleared = inner & (strip != INVALID)
        strip[cleared] = INVALID
        removed += int(np.count_nonzero(cleared))
    return removed


def _grown(seeds: np.ndarray, mask: np.ndarray, steps: int) -> np.ndarray:
    """Let seeds grow by one pixel a step, to all eight neighbours, within a mask."""
    grown = np.zeros((seeds.shape[0] + 2, seeds.shape[1] + 2), bool)
    inner = grown[1:-1, 1:-1]
    inner[:] = seeds
    count = -1
    for _ in range(steps):
        before, count = count, int(np.count_nonzero(inner))
        if count == before:
            break
        rows = grown[:-2] | grown[1:-1] | grown[2:]
        inner[:] = (rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]) & mask
    return inner


def remove_border_noise(
    codes: np.ndarray, darkest_db: np.ndarray, brightest_db: np.ndarray, floor_db: float
) -> int:
    """Turn strips of low noise along the borders into no data, in place.

    Parameters
    ----------
    codes : uint8 (H, W)
        After `remove_edges`; changed.
    darkest_db, brightest_db : float (h, w)
        Of the darkest and the brightest pixel in each block, in dB; anything where there is none.
    floor_db : float
        What the radar can measure: nothing brighter is taken for noise.

    Returns
    -------
    int
        Number of pixels that became `INVALID`.
    """
    filled = ~_solid(codes, lambda strip: strip == INVALID)
    if not (filled & (brightest_db < floor_db)).any():
        return 0
    depth = [
        np.cumsum(side, axis=1, dtype=np.int32) > _NOISE_DEPTH * side.shape[1]
        for side in _sides(filled)
    ]
    inside = filled.copy()
    for side, deep in zip(_sides(inside), depth, strict=True):
        side &= deep
    if not inside.any():
        return 0
    limit = min(float(np.percentile(brightest_db[inside], 1)) - NOISE_BELOW_DB, floor_db)
    dark = filled & (brightest_db < limit)
    noise = np.zeros_like(filled)
    mixed = filled & (darkest_db < limit)
    for dark_, mixed_, filled_, deep, noise_ in zip(
        _sides(dark), _sides(mixed), _sides(filled), depth, _sides(noise), strict=True
    ):
        strip = np.logical_and.accumulate((dark_ | ~filled_) & ~deep, axis=1) & dark_
        if np.count_nonzero(strip.any(axis=1)) >= _NOISE_LENGTH * np.count_nonzero(
            filled_.any(axis=1)
        ):
            noise_ |= strip
            # The block beyond may hold the last of the noise.
            noise_[:, 1:] |= strip[:, :-1] & mixed_[:, 1:]
    if not noise.any():
        return 0
    removed = 0
    for top in range(0, len(codes), _ROWS):
        strip = codes[top : top + _ROWS]
        coarse = noise[top // BLOCK : (top + _ROWS) // BLOCK]
        fine = np.repeat(np.repeat(coarse, BLOCK, axis=0), BLOCK, axis=1)
        fine = fine[: strip.shape[0], : strip.shape[1]] & (strip != INVALID)
        strip[fine] = INVALID
        removed += int(np.count_nonzero(fine))
    return removed


def _sides(array: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return views of an array in which each of its four sides lies on the left."""
    return array, array[:, ::-1], array.T, array.T[:, ::-1]
