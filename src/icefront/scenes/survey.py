"""One pass over a file: what it says of itself, what its pixels hold, and what is made of it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from icefront.errors import IcefrontError, naming
from icefront.scenes.access import is_gdal_name
from icefront.scenes.metadata import (
    Metadata,
    find_polarisation,
    from_name,
    from_tags,
    is_caffe_name,
)
from icefront.scenes.nodata import INVALID, VALUE, ZERO, remove_black_edges
from icefront.scenes.radiometry import Radiometry, check_kind, decide_radiometry, radiometry_hint
from icefront.scenes.raster import (
    STRIP_PIXELS,
    band_names,
    check_dtype,
    choose_band,
    is_rgb,
    opened,
    strips,
)
from icefront.scenes.working_grid import AskedPixelSize, GridChoice, choose_grid, georeference

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

SAMPLE_PIXELS = 1_000_000
"""About this many pixels decide on the radiometry of an image."""


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
    sample : float32 (n,)
        Valid values on a regular grid, then the lowest and the highest of all.
    lowest, highest : float
        Of the valid values.
    no_data_fraction, black_edge_fraction : float
        Of all pixels, 0..1: without data, and those of them that are black swath edges.
    """

    codes: np.ndarray
    values: np.ndarray | None
    sample: np.ndarray
    lowest: float
    highest: float
    no_data_fraction: float
    black_edge_fraction: float


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
    """

    file: FileFacts
    place: GridChoice
    pixels: Pixels
    radiometry: Radiometry
    notes: tuple[str, ...]


def survey(
    path: str | os.PathLike[str],
    *,
    band: int | str | None = None,
    pixel_size_m: AskedPixelSize = None,
    radiometry: str = "auto",
    keep_values: bool = False,
    strip_pixels: int = STRIP_PIXELS,
    sample_pixels: int = SAMPLE_PIXELS,
) -> Survey:
    """Decode a file once, strip by strip, and decide what to make of it.

    Parameters
    ----------
    path, band, pixel_size_m, radiometry
        See `icefront.open_scene`.
    keep_values : bool
        Keep the decoded values where the scene lies on the grid of the file.
    strip_pixels, sample_pixels : int
        About as many pixels are decoded at once, and decide on the radiometry.

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
            file = _facts_of(src, path, band)
            place = choose_grid(
                georeference(src, os.fspath(path)),
                asked,
                file.metadata.resolution_m,
                os.fspath(path),
            )
            keep = keep_values and not place.warped
            pixels = _decode(src, file, keep, strip_pixels, sample_pixels)
        decided = _radiometry_of(file, pixels, radiometry)
    notes = [file.band_note, *place.notes, decided.reason]
    if pixels.black_edge_fraction:
        notes.append(f"{pixels.black_edge_fraction:.1%} of the file are black edges: no data.")
    return Survey(file, place, pixels, decided, tuple(note for note in notes if note))


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
) -> Pixels:
    shown = os.fspath(file.path)
    codes = np.empty((src.height, src.width), dtype=np.uint8)
    values = np.empty(codes.shape, dtype=np.float32) if keep_values else None
    step = max(1, math.ceil(math.sqrt(codes.size / sample_pixels)))
    sample = np.empty(codes[::step, ::step].shape, dtype=np.float32)
    lowest, highest = math.inf, -math.inf
    for strip in strips(src, file.band, shown, equal_rgb=file.equal_rgb, strip_pixels=strip_pixels):
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
        lowest = min(lowest, float(strip.values.min(where=filled, initial=math.inf)))
        highest = max(highest, float(strip.values.max(where=filled, initial=-math.inf)))
    black = remove_black_edges(codes)
    counts = _count(codes)
    if counts[ZERO]:
        lowest, highest = min(lowest, 0.0), max(highest, 0.0)
    if counts[ZERO] + counts[VALUE] == 0:
        raise IcefrontError(f"{shown} holds no data at all: every pixel is masked, NaN or black.")
    if lowest == highest:
        raise IcefrontError(
            f"{shown} is no image: every pixel that holds data has the value {lowest:g}."
        )
    return Pixels(
        codes=codes,
        values=values,
        sample=np.append(
            sample[codes[::step, ::step] != INVALID], np.array([lowest, highest], np.float32)
        ),
        lowest=lowest,
        highest=highest,
        no_data_fraction=float(counts[INVALID] / codes.size),
        black_edge_fraction=black / codes.size,
    )


def _radiometry_of(file: FileFacts, pixels: Pixels, kind: str) -> Radiometry:
    png = Path(os.fspath(file.path)).suffix.lower() == ".png"
    return decide_radiometry(
        pixels.sample,
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
    counts = np.zeros(3, dtype=np.int64)
    for top in range(0, codes.shape[0], 1024):
        strip = codes[top : top + 1024]
        for code in (ZERO, VALUE):
            counts[code] += np.count_nonzero(strip == code)
    counts[INVALID] = codes.size - counts.sum()
    return counts
