"""The survey of a file: one pass over all its pixels, and every decision that follows from it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from affine import Affine

from icefront.errors import IcefrontError
from icefront.grid import Grid, PixelSize
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
    band_names,
    check_dtype,
    choose_band,
    is_gdal_name,
    is_rgb,
    opened,
    strips,
)
from icefront.scenes.working_grid import (
    Georeference,
    georeference,
    ground_sides_m,
    working_grid,
)

AskedPixelSize = PixelSize | Literal["pixels"]
"""A pixel size as callers state it; "pixels" says that it is unknown, whatever the name says."""

_SAMPLE = 1_000_000


@dataclass
class Survey:
    """What is in a file and what becomes of it.

    Attributes
    ----------
    path : path or str
        As given.
    name : str
        File name without suffix.
    band, bands, dtype, driver
        Band number from 1, names of all bands, type of the values, GDAL's name of the format.
    native : Georeference
        Of the file.
    native_pixel_m : (float, float) or None
        Ground sides of a native pixel in metres: rows, columns.
    grid : Grid
        Of the scene.
    warped : bool
        Whether the grid is another one than the file's.
    metadata : Metadata
    radiometry : Radiometry
    scale, offset : float
        Of the file: value = scale * stored + offset.
    codes : uint8 (h, w)
        Of the native pixels, see `icefront.scenes.nodata`.
    values : float32 (h, w) or None
        The decoded values, if they were asked for and the grid is the file's.
    lowest, highest : float
        Of the valid values.
    no_data_share, black_edge_share : float
        Of the native pixels, 0..1: all without data, and those that are black swath edges.
    notes : tuple of str
    """

    path: str | os.PathLike[str]
    name: str
    band: int
    bands: list[str]
    dtype: str
    driver: str
    native: Georeference
    native_pixel_m: tuple[float, float] | None
    grid: Grid
    warped: bool
    metadata: Metadata
    radiometry: Radiometry
    scale: float
    offset: float
    codes: np.ndarray
    values: np.ndarray | None
    lowest: float
    highest: float
    no_data_share: float
    black_edge_share: float
    notes: tuple[str, ...]


def survey(
    path: str | os.PathLike[str],
    *,
    band: int | str | None = None,
    pixel_size_m: AskedPixelSize = None,
    radiometry: str = "auto",
    keep_values: bool = False,
) -> Survey:
    """Decode a file once, strip by strip, and decide what to make of it.

    Parameters
    ----------
    path, band, pixel_size_m, radiometry
        See `icefront.open_scene`.
    keep_values : bool
        Keep the decoded values where the scene lies on the grid of the file.

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
    shown = os.fspath(path)
    name = Path(shown.rpartition("!")[2] if is_gdal_name(path) else shown).stem
    with opened(path) as src:
        index, band_note = choose_band(src, band, shown)
        dtype = check_dtype(src, index, shown)
        native = georeference(src, shown)
        polarisation = find_polarisation((src.descriptions[index - 1] or "").replace("_", " "))
        metadata = (
            Metadata(polarisation=polarisation)
            .completed_by(from_tags(src.tags(index), src.tags()))
            .completed_by(from_name(name))
        )
        grid, warped, native_pixel_m, notes = _choose_grid(native, asked, metadata, shown)
        hint = radiometry_hint(
            [
                src.units[index - 1] or "",
                src.descriptions[index - 1] or "",
                *src.tags(index).values(),
                src.tags().get("long_name", ""),
                name,
            ]
        )
        official = dtype == "uint8" and Path(shown).suffix.lower() == ".png" and is_caffe_name(name)
        codes = np.empty((src.height, src.width), dtype=np.uint8)
        keep = keep_values and not warped
        values = np.empty(codes.shape, dtype=np.float32) if keep else None
        step = max(1, math.ceil(math.sqrt(codes.size / _SAMPLE)))
        sample = np.empty(codes[::step, ::step].shape, dtype=np.float32)
        lowest, highest = math.inf, -math.inf
        equal_rgb = band is None and index == 1 and is_rgb(src)
        for strip in strips(src, index, shown, equal_rgb=equal_rgb):
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
        bands, driver = band_names(src), src.driver
        scale, offset = src.scales[index - 1], src.offsets[index - 1]
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
    valid_sample = sample[codes[::step, ::step] != INVALID]
    decided = decide_radiometry(
        np.append(valid_sample, np.array([lowest, highest], dtype=np.float32)),
        dtype=dtype if (scale, offset) == (1.0, 0.0) else "float32",
        kind=radiometry,
        official=official,
        hint=hint,
    )
    all_notes = [band_note, *native.notes, *notes, decided.reason]
    if black:
        all_notes.append(f"{black / codes.size:.1%} of the file are black edges: no data.")
    return Survey(
        path=path,
        name=name,
        band=index,
        bands=bands,
        dtype=dtype,
        driver=driver,
        native=native,
        native_pixel_m=native_pixel_m,
        grid=grid,
        warped=warped,
        metadata=metadata,
        radiometry=decided,
        scale=scale,
        offset=offset,
        codes=codes,
        values=values,
        lowest=lowest,
        highest=highest,
        no_data_share=float(counts[INVALID] / codes.size),
        black_edge_share=black / codes.size,
        notes=tuple(note for note in all_notes if note),
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


def _choose_grid(
    native: Georeference, asked: AskedPixelSize, metadata: Metadata, shown: str
) -> tuple[Grid, bool, tuple[float, float] | None, list[str]]:
    if native.crs is None:
        notes = []
        size: PixelSize = None if asked == "pixels" else asked  # type: ignore[assignment]
        if asked is None and metadata.resolution_m is not None:
            size = metadata.resolution_m
            notes.append(f"Pixel size {size:g} m from the name of the file.")
        elif size is None:
            notes.append("The pixel size is unknown: lengths are in pixels.")
        grid = Grid(native.height, native.width, None, Affine.identity(), size)
        return grid, False, None, notes
    if isinstance(asked, (tuple, str)):
        raise IcefrontError(
            f"{shown} has a coordinate system and becomes a grid of square pixels in metres; give "
            f"one number as its pixel size, not {asked!r}."
        )
    try:
        sides = ground_sides_m(native)
        grid, notes_of_grid = working_grid(native, asked)
    except IcefrontError as error:
        raise IcefrontError(f"{shown}: {error}") from error
    return grid, bool(notes_of_grid), sides, list(notes_of_grid)


def _count(codes: np.ndarray) -> np.ndarray:
    counts = np.zeros(3, dtype=np.int64)
    for top in range(0, codes.shape[0], 1024):
        strip = codes[top : top + 1024]
        for code in (ZERO, VALUE):
            counts[code] += np.count_nonzero(strip == code)
    counts[INVALID] = codes.size - counts.sum()
    return counts
