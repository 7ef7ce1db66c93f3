"""From a Sentinel-1 GRD image to backscatter on a map grid.

Only the part of the image that shows the grid is read. It is calibrated, freed of thermal noise and
of its margins, averaged over as many looks as a pixel of the grid holds, and interpolated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from rasterio.errors import RasterioError
from rasterio.windows import Window
from scipy import ndimage

from icefront.acquisition.annotations import (
    Annotation,
    Calibration,
    Facts,
    Noise,
    Radiometry,
    SwathBlock,
    read_annotation,
    read_calibration,
    read_noise,
)
from icefront.acquisition.geocoding import Geometry, geometry_of
from icefront.acquisition.heights import Heights
from icefront.errors import IcefrontError, naming
from icefront.grid import Grid
from icefront.memory import check_memory
from icefront.scenes.raster import opened

LEAST_POWER = 1e-5
"""Backscatter that is no higher, such as what noise removal leaves below zero, becomes this: −50
dB, far below what the radar can see, so that it stays apart from no data."""

_STRIP_PIXELS = 1 << 21
_FILL_SIDE = 5
_EDGE_M = 5_000.0
_SMOOTH = 5


@dataclass(frozen=True)
class GrdFiles:
    """The files of one polarisation of a GRD product.

    Attributes
    ----------
    name : str
        Of the product, for messages.
    measurement : str
        What GDAL can open: a path, ``/vsizip/…``, ``/vsicurl/…``.
    annotation, calibration, noise : bytes
        XML; noise may be empty if it is not to be removed.
    """

    name: str
    measurement: str
    annotation: bytes
    calibration: bytes
    noise: bytes


@dataclass(frozen=True)
class Backscatter:
    """Calibrated backscatter on a grid.

    Attributes
    ----------
    values : float32 (H, W)
        Linear power, at least `LEAST_POWER`; NaN where there is no data.
    grid : Grid
    facts : Facts
        When, by which satellite, in which polarisation and orbit.
    radiometry : str
    covered : float
        Share of the grid with data.
    read_bytes : int
        Size of the window that was read, as stored without compression.
    notes : tuple of str
        What was decided, a sentence each.
    """

    values: np.ndarray
    grid: Grid
    facts: Facts
    radiometry: str
    covered: float
    read_bytes: int
    notes: tuple[str, ...]


def grd_backscatter(
    files: GrdFiles,
    grid: Grid,
    heights: Heights,
    radiometry: Radiometry = "sigma0",
    *,
    remove_noise: bool = True,
) -> Backscatter:
    """Calibrate a GRD image and put it on a map grid.

    Parameters
    ----------
    files : GrdFiles
    grid : Grid
        With a projected CRS.
    heights : Heights
        Of the ground, see `icefront.acquisition.heights`.
    radiometry : str
        ``sigma0``, ``beta0`` or ``gamma0``.
    remove_noise : bool
        Subtract the thermal noise that the product states.

    Returns
    -------
    Backscatter

    Raises
    ------
    IcefrontError
        If a file is damaged or does not fit the others, the heights cannot be had, or the image
        lies beside the grid.
    """
    with naming(files.name):
        annotation = read_annotation(files.annotation)
        calibration = read_calibration(files.calibration, radiometry)
        noise = read_noise(files.noise) if remove_noise or files.noise else None
        ground, note = heights.on(grid)
        places = _places(geometry_of(annotation, grid, ground), ground)
        looks = _looks(annotation, grid)
        frame = _frame(annotation, places, looks)
        reader = _Reader(annotation, calibration, noise, remove_noise)
        power = reader.read(files.measurement, frame, looks)
        values = _on_grid(power, frame, looks, places)
        covered = float(np.isfinite(values).mean())
        if not covered:
            raise IcefrontError("The image has no data within the grid: the scene lies beside it.")
        noted = ["thermal noise subtracted as the product states it"] if remove_noise else []
        return Backscatter(
            values,
            grid,
            annotation.facts,
            radiometry,
            covered,
            2 * frame.height * frame.width,
            (note, *noted),
        )


def _looks(annotation: Annotation, grid: Grid) -> tuple[int, int]:
    """Return how many lines and pixels of the image a pixel of the grid holds, at least one."""
    side = grid.side_m
    assert side is not None
    along, across = (max(1, round(side / spacing)) for spacing in annotation.spacing_m)
    return along, across


@dataclass(frozen=True)
class _Frame:
    """A rectangle of the radar image."""

    line: int
    pixel: int
    height: int
    width: int


def _places(geometry: Geometry, ground: np.ndarray) -> np.ndarray:
    """Return lines and pixels of the image for every pixel of the grid, float32 (2, H, W).

    Six digits are enough: the largest images have 30,000 pixels.
    """
    places = np.empty((2, *ground.shape), np.float32)
    rows = max(1, _STRIP_PIXELS // ground.shape[1])
    for start in range(0, len(ground), rows):
        part = np.arange(start, min(start + rows, len(ground)))
        places[:, part[0] : part[-1] + 1] = geometry.at(part, ground[part])
    return places


def _frame(annotation: Annotation, places: np.ndarray, looks: tuple[int, int]) -> _Frame:
    """Return the part of the image that shows the grid, whole looks of it."""
    starts, sizes = [], []
    for along, length, look in zip(
        places, (annotation.height, annotation.width), looks, strict=True
    ):
        margin = 2 * look  # what interpolation needs
        first = max(0, math.floor(along.min()) - margin)
        last = min(length, math.ceil(along.max()) + margin + 1)
        if first >= last:
            raise IcefrontError("The image does not show the grid: the scene lies beside it.")
        # Looks are counted from the first line and pixel of the image, whatever the grid.
        starts.append(first - first % look)
        sizes.append(-(-(last - starts[-1]) // look) * look)
    return _Frame(*starts, *sizes)


@dataclass(frozen=True)
class _Reader:
    annotation: Annotation
    calibration: Calibration
    noise: Noise | None
    remove_noise: bool

    def read(self, measurement: str, frame: _Frame, looks: tuple[int, int]) -> np.ndarray:
        """Return calibrated power of a part of the image, averaged, float32; NaN for no data."""
        annotation = self.annotation
        check_memory(
            frame.height * frame.width * 3 + 4 * frame.height * frame.width // math.prod(looks),
            "The part of the image that shows the grid",
            "choose a smaller area or larger pixels",
        )
        with opened(measurement) as raster:
            if raster.shape != (annotation.height, annotation.width):
                raise IcefrontError(
                    f"The image has {raster.height} lines of {raster.width} pixels, the annotation "
                    f"{annotation.height} of {annotation.width}: they are of different products."
                )
            height = min(frame.height, annotation.height - frame.line)
            width = min(frame.width, annotation.width - frame.pixel)
            window = Window(frame.pixel, frame.line, width, height)
            try:
                numbers = raster.read(1, window=window)
            except RasterioError as error:
                raise IcefrontError(
                    f"The image {measurement} is damaged or cut short ({error}); fetch it anew."
                ) from None
        lines = np.arange(frame.line, frame.line + height)
        pixels = np.arange(frame.pixel, frame.pixel + width)
        fill = _fill(numbers, lines, pixels, annotation)
        if self.noise is not None and self.noise.is_early:
            fill |= _margins(numbers, fill, lines, pixels, annotation, self.noise)
        along, across = looks
        rows = max(along, _STRIP_PIXELS // max(width, 1) // along * along)
        out = np.full((frame.height // along, frame.width // across), np.nan, np.float32)
        for start in range(0, height, rows):
            part = slice(start, min(start + rows, height))
            power = self._power(numbers[part], lines[part], pixels)
            averaged = _averaged(power, ~fill[part], looks)
            out[start // along : start // along + len(averaged), : averaged.shape[1]] = averaged
        return out

    def _power(self, numbers: np.ndarray, lines: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        power = numbers.astype(np.float32)
        np.multiply(power, power, out=power)
        if self.noise is not None and self.remove_noise:
            power -= self.noise.at(lines, pixels)
        scale = self.calibration.at(lines, pixels)
        np.multiply(scale, scale, out=scale)
        return np.divide(power, scale, out=power)


def _averaged(power: np.ndarray, valid: np.ndarray, looks: tuple[int, int]) -> np.ndarray:
    """Average power over looks, leaving out what has no data; NaN where more than half has none."""
    if looks == (1, 1):
        return np.where(valid, power, np.float32(np.nan))
    along, across = looks
    height, width = (-(-n // look) for n, look in zip(power.shape, looks, strict=True))
    pad = ((0, height * along - power.shape[0]), (0, width * across - power.shape[1]))
    if any(after for _, after in pad):
        power, valid = np.pad(power, pad), np.pad(valid, pad)
    shape = height, along, width, across
    whole = bool(valid.all())
    if whole:
        return power.reshape(shape).mean(axis=(1, 3), dtype=np.float32)
    count = valid.reshape(shape).sum(axis=(1, 3), dtype=np.float32)
    total = np.where(valid, power, 0).reshape(shape).sum(axis=(1, 3), dtype=np.float32)
    enough = count * 2 >= along * across
    return np.divide(total, count, out=np.full_like(total, np.nan), where=enough)


def _fill(
    numbers: np.ndarray, lines: np.ndarray, pixels: np.ndarray, annotation: Annotation
) -> np.ndarray:
    """Tell what holds no data, bool: outside of the swaths, and areas of zeros."""
    fill = np.zeros(numbers.shape, bool)
    if annotation.blocks:
        fill[...] = True
        for block in annotation.blocks:
            rows, columns = _part(block, lines, pixels)
            fill[rows, columns] = False
    zeros = numbers == 0
    if zeros.any():
        # Single zeros are dark ground; areas of them have not been seen.
        fill |= ndimage.binary_opening(zeros, np.ones((_FILL_SIDE, _FILL_SIDE), bool))
    return fill


def _part(block: SwathBlock, lines: np.ndarray, pixels: np.ndarray) -> tuple[slice, slice]:
    def within(first: int, last: int, places: np.ndarray) -> slice:
        start = max(first - int(places[0]), 0)
        return slice(start, max(last + 1 - int(places[0]), start))

    return (
        within(block.first_line, block.last_line, lines),
        within(block.first_pixel, block.last_pixel, pixels),
    )


def _margins(
    numbers: np.ndarray,
    fill: np.ndarray,
    lines: np.ndarray,
    pixels: np.ndarray,
    annotation: Annotation,
    noise: Noise,
) -> np.ndarray:
    """Tell the noise that early processors left in the margins, bool.

    It is weaker than the thermal noise that all data hold, and hangs together with the border.
    """
    along, across = (round(_EDGE_M / spacing) for spacing in annotation.spacing_m)
    near = ((lines < along) | (lines >= annotation.height - along))[:, None] | (
        (pixels < across) | (pixels >= annotation.width - across)
    )[None, :]
    if not near.any():
        return np.zeros(numbers.shape, bool)
    power = numbers.astype(np.float32) ** 2
    dark = near & (ndimage.uniform_filter(power, _SMOOTH) < noise.at(lines, pixels))
    border = np.pad(fill, 1, constant_values=False)
    border[0] |= lines[0] == 0
    border[-1] |= lines[-1] == annotation.height - 1
    border[:, 0] |= pixels[0] == 0
    border[:, -1] |= pixels[-1] == annotation.width - 1
    joined = ndimage.binary_propagation(border, mask=border | np.pad(dark, 1))[1:-1, 1:-1]
    # The filter looks past the edge by half its size.
    return ndimage.binary_dilation(joined, iterations=_SMOOTH // 2, mask=near) & ~fill


def _on_grid(
    power: np.ndarray, frame: _Frame, looks: tuple[int, int], places: np.ndarray
) -> np.ndarray:
    """Interpolate averaged power at the places of the grid, float32; NaN for no data."""
    for at, start, look in zip(places, (frame.line, frame.pixel), looks, strict=True):
        at -= start + (look - 1) / 2
        at /= look
    values = ndimage.map_coordinates(power, places, order=1, mode="constant", cval=np.nan)
    return np.maximum(values, np.float32(LEAST_POWER), out=values)
