"""A part of a file and a sample of the rest, where that says what the whole file would.

A whole file is decoded to find what holds no data though nothing says so, and how values become
grey. Both can be told from less:

- Black edges, constant borders and border noise (`icefront.scenes.nodata`) are regions that reach
  the border of the image. One that enters the part crosses its rim; so where every block of 4x4
  pixels along the rim holds different values above the noise, there is none inside. Else the file
  is decoded as a whole.
- A value that lies apart from all others is no data wherever it stands. Where one of which solid
  blocks in the sample consist is the least or the greatest of the part, the file is decoded as a
  whole; one that the sample misses stays a value.
- The radiometry is decided by the sample: blocks of the file spread evenly, without those that are
  solid or noise. Kinds with a fixed span (grey, dB, power, amplitude) come out as from the whole
  file. Numbers that are stretched between percentiles need pieces at many places, else the file is
  decoded as a whole; their span differs from that of the whole file by what a sample of a ninth
  does.

The grid is that of the whole file, margins without data included: where these are, it begins
elsewhere than that of `icefront.scenes.survey.survey`, and its pixel size, rounded to three digits
at the centre, may be another. Damage outside of what is decoded is not found.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from icefront.errors import naming
from icefront.memory import check_memory
from icefront.scenes.nodata import BLOCK, INVALID, NOISE_FLOOR_DB, BlockRange
from icefront.scenes.radiometry import RadiometryKind, check_kind, to_linear_scale
from icefront.scenes.raster import DECODED_WHOLE, Strip, opened, strips
from icefront.scenes.survey import (
    SAMPLE_PIXELS,
    FileFacts,
    Pixels,
    Survey,
    check_pixel_size,
    header_of,
    radiometry_of,
)
from icefront.scenes.warp import averages, source_part
from icefront.scenes.working_grid import AskedPixelSize, GridChoice, Part

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

Window = tuple[slice, slice]

MOST_OF_FILE = 0.8
"""Fraction of the pixels of a file; where the part needs more, the whole file is decoded."""

LEAST_PIECES = 36
"""Pieces of the sample that values stretched between their percentiles need."""

_EVERY = 3  # of the blocks of a file along each axis, or of its strips its square
_RIM = 16  # pixels around the part; edges are found in steps of `BLOCK` and grow by twice that
_BYTES = 16  # a pixel of the part: values, their copies, codes


@np.errstate(all="ignore")
def survey_of_part(
    path: str | os.PathLike[str],
    part: Part,
    *,
    band: int | str | None = None,
    pixel_size_m: AskedPixelSize = None,
    radiometry: str = "auto",
    sample_pixels: int = SAMPLE_PIXELS,
) -> Survey | None:
    """Decode a part of a file and a sample of the rest, and decide what to make of it.

    Parameters
    ----------
    path, band, pixel_size_m, radiometry, part
        See `icefront.open_scene`.
    sample_pixels : int
        As for `icefront.scenes.survey.survey`; a sample has a ninth of them.

    Returns
    -------
    Survey or None
        Its grid is that of the part. None where the file must be decoded as a whole.

    Raises
    ------
    IcefrontError
        As `icefront.scenes.survey.survey`, but for what lies outside of what is decoded.
    """
    if radiometry != "auto":
        check_kind(radiometry)
    asked = check_pixel_size(pixel_size_m)
    with naming(path), opened(path) as src:
        file, place = header_of(src, path, band, asked)
        if src.driver in DECODED_WHOLE or (place.warped and averages(place)):
            return None
        needed = part(place.grid)
        if needed is None:
            return None
        inner, place = _part_of_file(place, needed)
        window = _with_rim(inner, src.shape)
        size = _size(window)
        if size[0] * size[1] > MOST_OF_FILE * src.height * src.width:
            return None
        check_memory(_BYTES * size[0] * size[1], f"The part of {os.fspath(path)}", "cut it")
        step = max(1, math.ceil(math.sqrt(src.height * src.width / sample_pixels)))
        pieces = _pieces(src, file.band)
        if pieces is None:
            return None
        here = _decoded(src, file, window)
        there = [_decoded(src, file, piece) for piece in pieces]
    solid = {value for piece in there for value in piece.solid_values()}
    ends = here.ends()
    if solid.intersection(ends):
        return None
    kind: RadiometryKind | None = None
    while True:
        floor = NOISE_FLOOR_DB.get(kind or "")
        if not here.has_plain_rim(kind, floor):
            return None
        sample = np.concatenate([piece.sample(step, kind, floor) for piece in there])
        if not sample.size or not sample.any():
            return None
        sample = np.append(sample, np.array(ends, np.float32))
        decided = radiometry_of(file, sample, radiometry)
        if decided.kind == kind:
            break
        if kind is not None and NOISE_FLOOR_DB.get(decided.kind) == floor:
            break
        kind = decided.kind
    if decided.kind in ("dn", "stretched") and len(there) < LEAST_PIECES:
        return None
    crop = tuple(
        slice(one.start - outer.start, one.stop - outer.start)
        for one, outer in zip(inner, window, strict=True)
    )
    pixels = Pixels(
        codes=here.codes[crop],
        values=here.values[crop].copy(),
        sample_grid=sample[None],
        step=1,
        lowest=ends[0],
        highest=ends[1],
        black_edge_fraction=0.0,
        border_fraction=0.0,
        border_values=(),
    )
    note = "Of the rest of the file only a sample was decoded."
    notes = [file.band_note, *place.notes, decided.reason, note]
    return Survey(file, place, pixels, decided, tuple(one for one in notes if one), partial=True)


def _part_of_file(place: GridChoice, needed: Window) -> tuple[Window, GridChoice]:
    """Return the rows and columns of a file that a part of its grid needs, and where they lie."""
    place = replace(place, grid=place.grid.part(*needed))
    inner = source_part(place) if place.warped else needed
    rows, columns = inner
    native = place.native.cropped(rows.start, rows.stop, columns.start, columns.stop)
    return inner, replace(place, native=native)


def _with_rim(inner: Window, shape: tuple[int, int]) -> Window:
    """Return a part with its rim, on the lattice of the blocks of the file."""
    rows, columns = (
        slice(
            max(0, (one.start - _RIM) // BLOCK * BLOCK),
            min(length, -(-(one.stop + _RIM) // BLOCK) * BLOCK),
        )
        for one, length in zip(inner, shape, strict=True)
    )
    return rows, columns


def _size(window: Window) -> tuple[int, int]:
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


def _pieces(src: DatasetReader, band: int) -> list[Window] | None:
    """Return parts spread over a file that are quickly decoded; None where blocks are too large."""
    height, width = src.block_shapes[band - 1]
    # As many rows of a strip as make blocks of 4 x 4 pixels.
    height = -(-BLOCK // height) * height if height < BLOCK else height
    steps = [_EVERY, _EVERY]
    if width >= src.width:
        steps = [_EVERY**2, 1]
    starts = []
    for length, side, step in zip(src.shape, (height, width), steps, strict=True):
        count = -(-length // side)
        if count < step:
            return None
        starts.append([side * number for number in range(step // 2, count, step)])
    return [
        (
            slice(-(-top // BLOCK) * BLOCK, min(src.height, top + height)),
            slice(-(-left // BLOCK) * BLOCK, min(src.width, left + width)),
        )
        for top in starts[0]
        for left in starts[1]
    ]


@dataclass
class _Decoded:
    """Values, codes and the range of each block of a part of a file."""

    values: np.ndarray
    codes: np.ndarray
    blocks: BlockRange

    def solid(self) -> np.ndarray:
        """Tell which blocks hold one value or none, bool."""
        return self.blocks.low >= self.blocks.high

    def solid_values(self) -> np.ndarray:
        """Return the values other than zero of which whole blocks consist."""
        low = self.blocks.low
        return np.unique(low[(low == self.blocks.high) & (low != 0)])

    def ends(self) -> tuple[float, float]:
        """Return the least and the greatest value that is not zero."""
        filled = (self.codes != INVALID) & (self.values != 0)
        low = self.values.min(where=filled, initial=np.float32(np.inf))
        return float(low), float(self.values.max(where=filled, initial=np.float32(-np.inf)))

    def _noise(self, kind: RadiometryKind | None, floor: float | None) -> np.ndarray:
        """Tell which blocks may be border noise, bool."""
        if kind is None or floor is None:
            return np.zeros(self.blocks.high.shape, bool)
        brightest = self.blocks.high.copy()
        to_linear_scale(brightest, kind)
        return brightest < floor

    def has_plain_rim(self, kind: RadiometryKind | None, floor: float | None) -> bool:
        """Tell whether no block along the rim is solid or may be noise."""
        odd = self.solid() | self._noise(kind, floor)
        return not any(side.any() for side in (odd[0], odd[-1], odd[:, 0], odd[:, -1]))

    def sample(self, step: int, kind: RadiometryKind | None, floor: float | None) -> np.ndarray:
        """Return every `step`-th valid value each way, float32 (n,), of blocks that are plain."""
        odd = self.solid() | self._noise(kind, floor)
        rows, columns = (np.arange(0, length, step) for length in self.values.shape)
        chosen = np.ix_(rows, columns)
        valid = self.codes[chosen] != INVALID
        valid &= ~odd[np.ix_(rows // BLOCK, columns // BLOCK)]
        return self.values[chosen][valid]


def _decoded(src: DatasetReader, file: FileFacts, window: Window) -> _Decoded:
    shape = _size(window)
    values, codes = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    blocks = BlockRange(*shape)
    for strip in _strips(src, file, window):
        rows = slice(strip.top, strip.bottom)
        values[rows] = strip.values
        codes[rows] = strip.valid.view(np.uint8) + (strip.valid & (strip.values != 0))
        blocks.add(strip.top, strip.values, strip.valid)
    return _Decoded(values, codes, blocks)


def _strips(src: DatasetReader, file: FileFacts, window: Window) -> Iterator[Strip]:
    return strips(src, file.band, os.fspath(file.path), equal_rgb=file.equal_rgb, part=window)
