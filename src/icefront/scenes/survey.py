"""One pass over a file: what it says of itself, what its pixels hold, and what is made of it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from icefront.errors import IcefrontError, naming
from icefront.memory import check_memory
from icefront.scenes.access import is_gdal_name
from icefront.scenes.metadata import (
    Metadata,
    find_polarisation,
    from_name,
    from_tags,
    is_caffe_name,
)
from icefront.scenes.nodata import (
    BLOCK,
    FIRST_BORDER,
    INVALID,
    NOISE_FLOOR_DB,
    ZERO,
    BlockRange,
    constant_borders,
    mark_borders,
    remove_border_noise,
    remove_edges,
)
from icefront.scenes.radiometry import (
    Radiometry,
    RadiometryKind,
    check_kind,
    decide_radiometry,
    radiometry_hint,
    to_linear_scale,
)
from icefront.scenes.raster import (
    STRIP_PIXELS,
    Strip,
    band_names,
    check_dtype,
    choose_band,
    decoding_bytes,
    is_rgb,
    opened,
    strips,
)
from icefront.scenes.warp import MOST_IN_MEMORY, averages
from icefront.scenes.working_grid import AskedPixelSize, GridChoice, choose_grid, georeference

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

SAMPLE_PIXELS = 1_000_000
"""About this many pixels decide on the radiometry of an image."""
# A code a pixel, and what finding the borders without data takes beside.
_BYTES_OF_CODES = 2.5


@dataclass(frozen=True)
class FileFacts:
    """What a file says of itself and of one of its bands.

    Attributes
    ----------
    path : path or str
        As given.
    name : str
        File name without suffix.
    driver : str
        GDAL's name of the format.
    bands : list of str
        Names of all bands.
    band : int
        Number of the chosen band, from 1.
    band_note : str or None
        Why it was chosen, where there was a choice.
    dtype : str
        Type of its values as stored.
    scale, offset : float
        Value = scale * stored + offset.
    equal_rgb : bool
        The band stands for red, green and blue, which have to be equal.
    metadata : Metadata
        Of tags and name.
    texts : list of str
        Units, descriptions and tags, which may speak of the radiometry.
    """

    path: str | os.PathLike[str]
    name: str
    driver: str
    bands: list[str]
    band: int
    band_note: str | None
    dtype: str
    scale: float
    offset: float
    equal_rgb: bool
    metadata: Metadata
    texts: list[str]


@dataclass
class Pixels:
    """What the pixels of a band hold.

    Attributes
    ----------
    codes : uint8 (h, w)
        See `icefront.scenes.nodata`.
    values : float32 (h, w) or None
        The decoded values, if they were asked for.
    sample_grid : float32 (h / step, w / step)
        The values of every `step`-th row and column.
    step : int
    lowest, highest : float
        Of the valid values.
    black_edge_fraction, border_fraction, noise_fraction : float
        Of all pixels, 0..1: those that are no data because they are black swath edges, constant
        borders or border noise.
    border_values : tuple of float
        Of the constant borders.
    """

    codes: np.ndarray
    values: np.ndarray | None
    sample_grid: np.ndarray
    step: int
    lowest: float
    highest: float
    black_edge_fraction: float
    border_fraction: float
    border_values: tuple[float, ...]
    noise_fraction: float = 0.0

    @property
    def no_data_fraction(self) -> float:
        """Fraction of all pixels that hold no data, 0..1."""
        return float(_count(self.codes)[INVALID] / self.codes.size)

    @property
    def sample(self) -> np.ndarray:
        """Valid values on a regular grid, then the lowest and the highest of all, float32 (n,)."""
        valid = self.codes[:: self.step, :: self.step] != INVALID
        ends = np.array([self.lowest, self.highest], np.float32)
        return np.append(self.sample_grid[valid], ends)

    def notes(self) -> Iterator[str]:
        """Say what was found to be no data though the file does not say so."""
        if self.black_edge_fraction:
            yield f"{self.black_edge_fraction:.1%} of the file are black edges: no data."
        if self.border_fraction:
            values = ", ".join(f"{value:g}" for value in self.border_values)
            yield f"{self.border_fraction:.1%} of the file are borders of {values}: no data."
        if self.noise_fraction:
            yield (
                f"{self.noise_fraction:.1%} of the file are low noise along its borders, as in old "
                "Sentinel-1 GRD products: no data."
            )


@dataclass
class Survey:
    """What is in a file and what becomes of it.

    Attributes
    ----------
    file : FileFacts
    place : GridChoice
        Where the file lies and on which grid the scene will.
    pixels : Pixels
    radiometry : Radiometry
    notes : tuple of str
        What was decided, a sentence each.
    partial : bool
        `place` and `pixels` are of a part of the file.
    """

    file: FileFacts
    place: GridChoice
    pixels: Pixels
    radiometry: Radiometry
    notes: tuple[str, ...]
    partial: bool = False


@np.errstate(all="ignore")
def survey(
    path: str | os.PathLike[str],
    *,
    band: int | str | None = None,
    pixel_size_m: AskedPixelSize = None,
    radiometry: str = "auto",
    keep_values: bool = False,
    strip_pixels: int = STRIP_PIXELS,
    sample_pixels: int = SAMPLE_PIXELS,
    most_in_memory: int = MOST_IN_MEMORY,
) -> Survey:
    """Decode a file once, strip by strip, and decide what to make of it.

    Parameters
    ----------
    path, band, pixel_size_m, radiometry
        See `icefront.open_scene`.
    keep_values : bool
        Keep the decoded values where the scene lies on the grid of the file, or is warped in
        memory.
    strip_pixels, sample_pixels : int
        About as many pixels are decoded at once, and decide on the radiometry.
    most_in_memory : int
        Pixels of a file that is warped from memory at most, see `icefront.scenes.warp`.

    Returns
    -------
    Survey

    Raises
    ------
    IcefrontError
        For every file and request that cannot become a scene, see `icefront.open_scene`.
    """
    if radiometry != "auto":
        check_kind(radiometry)
    asked = check_pixel_size(pixel_size_m)
    with naming(path):
        with opened(path) as src:
            file, place = header_of(src, path, band, asked)
            small = src.height * src.width <= most_in_memory
            from_memory = place.warped and small and not averages(place)
            keep = keep_values and (not place.warped or from_memory)
            kept = 4 * place.grid.height * place.grid.width if keep_values else 0
            kept += 4 * src.height * src.width if keep and from_memory else 0
            check_memory(
                int(_BYTES_OF_CODES * src.height * src.width)
                + kept
                + decoding_bytes(src, file.band, strip_pixels),
                f"{os.fspath(path)} of {src.height} x {src.width} pixels",
                "cut it, or give a larger pixel size" if place.warped else "cut it",
            )
            pixels, blocks = _decode(src, file, keep, strip_pixels, sample_pixels)
        decided = radiometry_of(file, pixels.sample, radiometry)
        if _remove_noise(pixels, blocks, decided.kind):
            decided = radiometry_of(file, pixels.sample, radiometry)
        place = _without_margins(place, pixels.codes, asked, os.fspath(path))
    notes = [file.band_note, *place.notes, decided.reason, *pixels.notes()]
    return Survey(file, place, pixels, decided, tuple(note for note in notes if note))


def _without_margins(
    place: GridChoice, codes: np.ndarray, asked: AskedPixelSize, path: str
) -> GridChoice:
    """Fit the grid of an image that is warped to those of its pixels that hold data."""
    if not place.warped:
        return place
    rows, columns = (np.flatnonzero(codes.any(axis=axis)) for axis in (1, 0))  # INVALID is 0
    box = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    if box == (0, codes.shape[0], 0, codes.shape[1]):
        return place
    return replace(choose_grid(place.native.cropped(*box), asked, None, path), native=place.native)


@np.errstate(all="ignore")
def read_header(
    path: str | os.PathLike[str],
    *,
    band: int | str | None = None,
    pixel_size_m: AskedPixelSize = None,
) -> tuple[FileFacts, GridChoice]:
    """Read what a file says of itself and where it lies; no pixel is decoded.

    Parameters
    ----------
    path, band, pixel_size_m
        See `icefront.open_scene`.

    Raises
    ------
    IcefrontError
        As `survey` does, but for what the pixels hold.
    """
    asked = check_pixel_size(pixel_size_m)
    with naming(path), opened(path) as src:
        return header_of(src, path, band, asked)


def header_of(
    src: DatasetReader,
    path: str | os.PathLike[str],
    band: int | str | None,
    asked: AskedPixelSize,
) -> tuple[FileFacts, GridChoice]:
    """Return what an open file says of itself and where it lies, see `read_header`."""
    shown = os.fspath(path)
    file = _facts_of(src, path, band)
    native = georeference(src, shown)
    if native.crs is None and src.rpcs is not None and asked is None:
        raise IcefrontError(
            f"{shown} is placed on the ground by rational polynomials (RPC) alone, which are not "
            "used: orthorectify it first (gdalwarp -rpc), or give a pixel size for lines in pixels."
        )
    return file, choose_grid(native, asked, file.metadata.resolution_m, shown)


def _facts_of(
    src: DatasetReader, path: str | os.PathLike[str], band: int | str | None
) -> FileFacts:
    shown = os.fspath(path)
    name = Path(shown.rpartition("!")[2] if is_gdal_name(path) else shown).stem
    index, band_note = choose_band(src, band, shown)
    description = src.descriptions[index - 1] or ""
    tags, tags_of_file = src.tags(index), src.tags()
    units = src.units[index - 1] or ""
    metadata = Metadata(polarisation=find_polarisation(description.replace("_", " ")))
    return FileFacts(
        path=path,
        name=name,
        driver=src.driver,
        bands=band_names(src),
        band=index,
        band_note=band_note,
        dtype=check_dtype(src, index, shown),
        scale=src.scales[index - 1],
        offset=src.offsets[index - 1],
        equal_rgb=band is None and index == 1 and is_rgb(src),
        metadata=metadata.completed_by(from_tags(tags, tags_of_file)).completed_by(from_name(name)),
        texts=[units, description, *tags.values(), tags_of_file.get("long_name", ""), name],
    )


def _decode(
    src: DatasetReader, file: FileFacts, keep_values: bool, strip_pixels: int, sample_pixels: int
) -> tuple[Pixels, BlockRange]:
    shown = os.fspath(file.path)
    codes = np.empty((src.height, src.width), dtype=np.uint8)
    values = np.empty(codes.shape, dtype=np.float32) if keep_values else None
    step = max(1, math.ceil(math.sqrt(codes.size / sample_pixels)))
    sample = np.empty(codes[::step, ::step].shape, dtype=np.float32)
    blocks = BlockRange(*codes.shape)
    lowest, highest = math.inf, -math.inf

    def decoded() -> Iterator[Strip]:
        return strips(src, file.band, shown, equal_rgb=file.equal_rgb, strip_pixels=strip_pixels)

    for strip in decoded():
        part = codes[strip.top : strip.bottom]
        # INVALID, ZERO and VALUE are 0, 1 and 2: no indexing with masks, which is slow.
        filled = strip.values != 0
        filled &= strip.valid
        np.add(strip.valid.view(np.uint8), filled.view(np.uint8), out=part)
        if values is not None:
            values[strip.top : strip.bottom] = strip.values
        first = -strip.top % step
        rows = strip.values[first::step, ::step]
        start = (strip.top + first) // step
        sample[start : start + rows.shape[0]] = rows
        blocks.add(strip.top, strip.values, strip.valid)
        if strip.top % BLOCK == 0 and not (part == ZERO).any():
            # Then these are the extremes of the blocks, which are few.
            reached = slice(strip.top // BLOCK, -(-strip.bottom // BLOCK))
            lowest = min(lowest, float(blocks.low[reached].min()))
            highest = max(highest, float(blocks.high[reached].max()))
            continue
        lowest = min(lowest, float(np.where(filled, strip.values, np.float32(np.inf)).min()))
        highest = max(highest, float(np.where(filled, strip.values, np.float32(-np.inf)).max()))
    before = _count(codes)
    borders = constant_borders(blocks)
    if borders:
        if values is None:
            parts = ((strip.top, strip.values) for strip in decoded())
        else:
            rows_at_once = max(1, strip_pixels // src.width)
            tops = range(0, src.height, rows_at_once)
            parts = ((top, values[top : top + rows_at_once]) for top in tops)
        lowest, highest, borders = mark_borders(codes, parts, borders)
    remove_edges(codes)
    counts = _count(codes)
    edge_values = [(ZERO, 0.0)]
    edge_values += [(FIRST_BORDER + n, border.value) for n, border in enumerate(borders)]
    for code, value in edge_values:
        if counts[code]:
            lowest, highest = min(lowest, value), max(highest, value)
    if counts[INVALID] == codes.size:
        raise IcefrontError(f"{shown} holds no data at all: every pixel is masked, NaN or black.")
    if lowest == highest:
        raise IcefrontError(
            f"{shown} is no image: every pixel that holds data has the value {lowest:g}."
        )
    black = before[ZERO] - counts[ZERO]
    pixels = Pixels(
        codes=codes,
        values=values,
        sample_grid=sample,
        step=step,
        lowest=lowest,
        highest=highest,
        black_edge_fraction=float(black / codes.size),
        border_fraction=float((counts[INVALID] - before[INVALID] - black) / codes.size),
        border_values=tuple(border.value for border in borders),
    )
    return pixels, blocks


def _remove_noise(pixels: Pixels, blocks: BlockRange, kind: RadiometryKind) -> bool:
    """Remove border noise where the values are backscatter; tell whether there was any."""
    floor = NOISE_FLOOR_DB.get(kind)
    if floor is None:
        return False
    to_linear_scale(blocks.low, kind)
    to_linear_scale(blocks.high, kind)
    removed = remove_border_noise(pixels.codes, blocks.low, blocks.high, floor)
    pixels.noise_fraction = removed / pixels.codes.size
    return removed > 0


def radiometry_of(file: FileFacts, sample: np.ndarray, kind: str) -> Radiometry:
    """Decide on the radiometry of a band by a sample of its valid values and their extremes."""
    png = Path(os.fspath(file.path)).suffix.lower() == ".png"
    return decide_radiometry(
        sample,
        dtype=file.dtype if (file.scale, file.offset) == (1.0, 0.0) else "float32",
        kind=kind,
        official=file.dtype == "uint8" and png and is_caffe_name(file.name),
        hint=radiometry_hint(file.texts),
    )


def check_pixel_size(pixel_size_m: AskedPixelSize) -> AskedPixelSize:
    """Return a pixel size as given by a caller: a float, a pair of floats, None or "pixels".

    Raises
    ------
    IcefrontError
        If it is none of these, or not positive.
    """
    if pixel_size_m is None or pixel_size_m == "pixels":
        return pixel_size_m
    if isinstance(pixel_size_m, (int, float, np.number)) and not isinstance(pixel_size_m, bool):
        numbers = [float(pixel_size_m)]
    elif isinstance(pixel_size_m, (tuple, list)) and len(pixel_size_m) == 2:
        numbers = [float(side) for side in pixel_size_m]
    else:
        numbers = []
    if not numbers or not all(math.isfinite(side) and side > 0 for side in numbers):
        raise IcefrontError(
            f"The pixel size {pixel_size_m!r} is not one: give metres as one number, as (rows, "
            "columns), or 'pixels' where it is unknown."
        )
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def _count(codes: np.ndarray) -> np.ndarray:
    """Count the pixels of each code, int64 (256,)."""
    counts = np.zeros(256, dtype=np.int64)
    for top in range(0, codes.shape[0], 1024):
        strip = codes[top : top + 1024]
        for code in range(int(strip.max()) + 1):
            counts[code] += np.count_nonzero(strip == code)
    return counts
