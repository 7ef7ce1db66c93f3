"""Raster files: opening them, choosing a band, decoding in strips; errors in one sentence."""

from __future__ import annotations

import os
import re
import sys
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from icefront.errors import IcefrontError
from icefront.files.archives import is_packed
from icefront.scenes.access import access_to, check_opened, is_gdal_name, open_image
from icefront.scenes.metadata import find_polarisation

FILL_AT_MOST = -9999.0
"""Values down here, after scale and offset, are no data even where no tag says so."""

MOST_BANDS = 2000
"""Files of more bands are taken for damaged."""

STRIP_PIXELS = 1 << 22
"""About this many pixels are decoded at once."""
_CACHE_BYTES = 64 << 20
# Values, validity, mask and temporary arrays of a pixel of a strip.
_STRIP_BYTES = 12
DECODED_WHOLE = {"PNG": 2, "JP2OpenJPEG": 4}
"""Bytes a pixel of decoders that may hold a whole image: interlaced PNGs, JPEG 2000 of one tile."""
_SCHEME = re.compile(r"(?:(?:zip|tar|gzip)\+)?(?:zip|tar|gzip|file|https?|ftp|s3|gs|az|oss)://")
_MOST_NAMES = 12
_MOST_PACKED = 3
_IMAGES = (".tif", ".tiff", ".img", ".jp2", ".png", ".nc")
_ZARR = (".zgroup", ".zarray", ".zmetadata", "zarr.json")
GDAL_ERRORS = (RasterioError, CPLE_BaseError, ValueError)
"""What rasterio raises where GDAL fails."""
_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+", b"\x89PNG", b"\xff\xd8\xff", b"\x89HDF")


@dataclass(frozen=True)
class Strip:
    """Rows top to bottom (half open) of one band.

    `values` is float32 (rows, W) as stored (scale and offset of the file applied), `valid` bool
    of the same shape: neither masked nor nodata, NaN, infinite or a fill value.
    """

    top: int
    bottom: int
    values: np.ndarray
    valid: np.ndarray


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[DatasetReader]:
    """Open a raster for reading with a small cache and strict decoding.

    Parameters
    ----------
    path : path or str
        A file, or whatever else GDAL understands (``/vsi...``, ``https://``, subdatasets).

    Yields
    ------
    rasterio data set

    Raises
    ------
    IcefrontError
        If it is missing, a folder, empty, no raster, damaged, or holds no or several images.
    """
    name = os.fspath(path)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        shown = name.encode(errors="backslashreplace").decode()
        raise IcefrontError(f"{shown} has a name that is not Unicode; rename it.") from error
    if not is_gdal_name(path):
        _check_file(Path(path))
    access = access_to(path)
    options: dict[str, Any] = {
        "GDAL_CACHEMAX": _CACHE_BYTES,
        # Warnings of the JPEG library are errors here: it fills what is missing with grey.
        "GDAL_ERROR_ON_LIBJPEG_WARNING": True,
        "GDAL_VRT_ENABLE_PYTHON": False,
    }
    if not access.remote:
        options["CPL_VSIL_CURL_ALLOWED_FILENAME"] = "nothing"
    with rasterio.Env(**options), warnings.catch_warnings(), _texts_of_gdal_ignored():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            src = open_image(access.name, access.drivers)
        except GDAL_ERRORS as error:
            raise IcefrontError(_cannot_open(path)) from error
        with src:
            if src.count == 0 and src.subdatasets:
                raise IcefrontError(
                    f"{name} holds several images; open one of them: {listed(src.subdatasets)}."
                )
            if src.count == 0 or src.width * src.height == 0:
                raise IcefrontError(f"{name} holds no image; choose another file.")
            if src.count > MOST_BANDS:
                raise IcefrontError(
                    f"{name} claims to have {src.count} bands, which no radar image has; give "
                    f"another file, or one of at most {MOST_BANDS}."
                )
            check_opened(src, access)
            try:
                yield src
            except CPLE_BaseError as error:
                raise IcefrontError(f"{name} is damaged or cut short; fetch it again.") from error


@contextmanager
def _texts_of_gdal_ignored() -> Iterator[None]:
    """Keep from stderr that a message of GDAL, which quotes a damaged file, is no text."""
    hooks = sys.excepthook, sys.unraisablehook

    def on_error(kind: type[BaseException], *more: Any) -> None:
        if not issubclass(kind, UnicodeDecodeError):
            hooks[0](kind, *more)

    def on_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
        if not isinstance(unraisable.exc_value, UnicodeDecodeError):
            hooks[1](unraisable)

    sys.excepthook, sys.unraisablehook = on_error, on_unraisable
    try:
        yield
    finally:
        sys.excepthook, sys.unraisablehook = hooks


def name_for_gdal(src: DatasetReader) -> str:
    """Return the name by which GDAL finds the very image that is open.

    That is the named part of a file (``NETCDF:"a.nc":band``, ``vrt://a.tif?bands=2``), where there
    is one; rasterio's own schemes (``zip://``) are unknown to GDAL.
    """
    scheme = _SCHEME.match(src.name)
    return src.files[0] if scheme and src.files else str(src.name)


def _check_file(path: Path) -> None:
    if path.is_dir():
        if any((path / name).exists() for name in _ZARR):
            raise IcefrontError(
                f"{path} is a Zarr store, not an image; open it with xarray and give one array to "
                "icefront.scenes.scene_from_xarray, or write it as a GeoTIFF."
            )
        inside = sorted(path.glob("measurement/*.tif*"))
        if inside:
            files = " or ".join(str(file.relative_to(path)) for file in inside)
            raise IcefrontError(f"{path} is a folder; give one image in it: {files}.")
        raise IcefrontError(f"{path} is a folder, not an image; give the image files in it.")
    if not os.path.exists(path):
        raise IcefrontError(f"{path} does not exist; check the name.")
    if not os.access(path, os.R_OK):
        raise IcefrontError(f"{path} cannot be read; check its permissions.")
    if path.stat().st_size == 0:
        raise IcefrontError(f"{path} is empty (0 bytes); fetch it again.")
    if is_packed(path):
        packed = _images_in(path)
        named = f", or name an image in it: {listed(packed)}" if packed else ""
        raise IcefrontError(f"{path} is a packed file, not an image; unpack it{named}.")


def _images_in(path: Path) -> list[str]:
    """Return how GDAL calls the images in a ZIP, those of SAR products first."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith(_IMAGES)]
    except (OSError, ValueError, zipfile.BadZipFile):
        return []
    names.sort(key=lambda name: ("measurement/" not in name, name))
    return [f"/vsizip/{path.absolute()}/{name}" for name in names[:_MOST_PACKED]]


def _cannot_open(path: str | os.PathLike[str]) -> str:
    if is_gdal_name(path):
        return (
            f"{os.fspath(path)} cannot be opened as an image; check the name and the access, and "
            "unpack or download HDF5 and NetCDF files first."
        )
    with open(path, "rb") as file:
        start = file.read(8)
    if start.startswith(_MAGIC):
        return f"{os.fspath(path)} is damaged or cut short; fetch it again."
    return (
        f"{os.fspath(path)} is not an image in a format that is known (GeoTIFF, PNG and whatever "
        "else GDAL reads); give one."
    )


def choose_band(src: DatasetReader, band: int | str | None, path: object) -> tuple[int, str | None]:
    """Choose the band that holds the SAR image.

    Parameters
    ----------
    src : rasterio data set
    band : int, str or None
        A number from 1, or a band's name or polarisation; None to let the file tell. It tells
        if it has one band beside alpha, one band that names a polarisation, or red, green and
        blue (which `strips` then finds equal).
    path : path or str
        What errors call the file.

    Returns
    -------
    int
        Band number from 1.
    str or None
        A note on the choice where there was one.

    Raises
    ------
    IcefrontError
        If several bands may be meant, or the band asked for is not there; both name the bands.
    """
    names = band_names(src)
    if band is not None:
        return _named_band(band, names, path), None
    colours, descriptions = src.colorinterp, src.descriptions
    data = [index for index in src.indexes if colours[index - 1] != ColorInterp.alpha]
    if len(data) == 1:
        return data[0], None
    labels = {index: descriptions[index - 1] or "" for index in data}
    labels = {
        index: " ".join([text, *src.tags(index).values()]).replace("_", " ")
        for index, text in labels.items()
    }
    polarised = [index for index in data if find_polarisation(labels[index])]
    if len(polarised) == 1:
        return polarised[0], f"Band {names[polarised[0] - 1]} of {len(data)} is the SAR image."
    if is_rgb(src):
        return data[0], "Red, green and blue are equal: a grey image."
    raise several_bands(names, path)


def is_rgb(src: DatasetReader) -> bool:
    """Tell whether the first three bands are red, green and blue, with nothing but alpha beside."""
    return src.colorinterp[:3] == (ColorInterp.red, ColorInterp.green, ColorInterp.blue) and all(
        colour == ColorInterp.alpha for colour in src.colorinterp[3:]
    )


def several_bands(names: list[str], path: object) -> IcefrontError:
    """Return the error for a file in which several bands may be meant."""
    return IcefrontError(
        f"{path} has {len(names)} bands ({listed(names)}); say with band which one is the SAR "
        "image (--band, in Python band=, in a configuration band:)."
    )


def listed(names: Sequence[str]) -> str:
    """Return names in a row, as many as can be read at a glance."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def band_names(src: DatasetReader) -> list[str]:
    """Return number and, where there is one, description or colour of each band."""
    described = enumerate(zip(src.descriptions, src.colorinterp, strict=True), start=1)
    return [_band_name(index, *known) for index, known in described]


def _band_name(index: int, description: str | None, colour: ColorInterp) -> str:
    if description:
        return f"{index} '{description}'"
    if colour in (ColorInterp.undefined, ColorInterp.gray):
        return str(index)
    return f"{index} '{colour.name}'"


def _named_band(band: int | str, names: list[str], path: object) -> int:
    text = str(band).strip()
    if text.isdigit() and 1 <= int(text) <= len(names):
        return int(text)
    matches = [
        index
        for index, name in enumerate(names, start=1)
        if not text.isdigit()
        and text
        and (
            f"'{text.lower()}'" in name.lower()
            or find_polarisation(name.replace("_", " ")) == text.upper()
        )
    ]
    if len(matches) == 1:
        return matches[0]
    raise IcefrontError(f"{path} has no band {text or repr(text)}; its bands are {listed(names)}.")


def check_dtype(src: DatasetReader, band: int, path: object) -> str:
    """Return the dtype of a band; refuse complex values and colour palettes."""
    dtype = src.dtypes[band - 1]
    if dtype.startswith("complex"):
        raise IcefrontError(
            f"{path} holds complex values (single-look complex data); detect and multilook it to "
            "intensity first, or take the ground-range detected product."
        )
    if src.colorinterp[band - 1] == ColorInterp.palette:
        palette = src.colormap(band)
        if any(len({index, *colour[:3]}) > 1 for index, colour in palette.items() if any(colour)):
            raise IcefrontError(
                f"{path} is drawn with a colour palette; convert it to grey values first."
            )
    return str(dtype)


def _layout(src: DatasetReader, band: int, strip_pixels: int) -> tuple[int, int]:
    """Return the rows of a strip, and the bytes of GDAL's cache that decode each block once."""
    block_rows, block_columns = src.block_shapes[band - 1]
    wanted = max(1, strip_pixels // src.width)
    rows = block_rows * (wanted // block_rows) if block_rows <= wanted else min(block_rows, wanted)
    # A block that does not fit into the cache would be decoded anew for every strip.
    across = -(-src.width // block_columns) * block_columns
    return rows, max(
        _CACHE_BYTES, 2 * block_rows * across * np.dtype(src.dtypes[band - 1]).itemsize
    )


def decoding_bytes(src: DatasetReader, band: int, strip_pixels: int = STRIP_PIXELS) -> int:
    """Return the memory in bytes that `strips` and GDAL take at once, beside what is kept."""
    rows, cache = _layout(src, band, strip_pixels)
    whole = src.height * src.width * src.count if src.driver in DECODED_WHOLE else 0
    return int(cache + _STRIP_BYTES * rows * src.width + DECODED_WHOLE.get(src.driver, 0) * whole)


def strips(
    src: DatasetReader,
    band: int,
    path: object,
    *,
    equal_rgb: bool,
    strip_pixels: int = STRIP_PIXELS,
    part: tuple[slice, slice] | None = None,
) -> Iterator[Strip]:
    """Decode a band from top to bottom, a few megapixels at a time.

    Parameters
    ----------
    src : rasterio data set
    band : int
        From 1.
    path : path or str
        What errors call the file.
    equal_rgb : bool
        Check that the first three bands are equal.
    strip_pixels : int
        About as many pixels make a strip.
    part : (slice, slice), optional
        Rows and columns to decode; the rows of the strips are counted from its first.

    Yields
    ------
    Strip

    Raises
    ------
    IcefrontError
        If a block cannot be decoded (a damaged or truncated file), or red, green and blue differ.
    """
    rows, cache = _layout(src, band, strip_pixels)
    down, across = (slice(0, src.height), slice(0, src.width)) if part is None else part
    flags, nodata = src.mask_flag_enums[band - 1], src.nodatavals[band - 1]
    # A mask of what is NaN tells nothing that the values do not.
    only_nan = flags == [MaskFlags.nodata] and nodata is not None and np.isnan(nodata)
    masked = MaskFlags.all_valid not in flags and not only_nan
    scale, offset = src.scales[band - 1], src.offsets[band - 1]
    # What a scale or an offset leads down there is no value of an unsigned type either.
    may_be_filled = (scale, offset) != (1.0, 0.0) or not src.dtypes[band - 1].startswith("uint")
    with rasterio.Env(GDAL_CACHEMAX=cache):
        for top in range(down.start, down.stop, rows):
            bottom = min(down.stop, top + rows)
            window = Window(across.start, top, across.stop - across.start, bottom - top)
            try:
                values = src.read(band, window=window, out_dtype="float32")
                mask = src.read_masks(band, window=window) if masked else None
                colours = src.read([2, 3], window=window) if equal_rgb else None
            except GDAL_ERRORS as error:
                raise IcefrontError(
                    f"{path} is damaged or cut short: rows {top} to {bottom - 1} of {src.height} "
                    "cannot be decoded; fetch it again."
                ) from error
            if colours is not None and not (values == colours).all():
                raise several_bands(band_names(src), path)
            valid = np.isfinite(values)
            if mask is not None:
                valid &= mask > 0
            if (scale, offset) != (1.0, 0.0):
                values *= np.float32(scale)
                values += np.float32(offset)
            if may_be_filled:
                valid &= values > FILL_AT_MOST
            yield Strip(top - down.start, bottom - down.start, values, valid)
