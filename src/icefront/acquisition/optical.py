"""Sentinel-2 L2A images of an area: the clearest of a summer, and its channels on a grid.

What a channel's numbers mean depends on the processing: since baseline 04.00 (January 2022) 1000
is added to them, so that reflectance is (number − 1000) / 10000; some providers take it off again,
and what they say about it is sometimes wrong. So the numbers themselves are asked: at 2.2 µm snow,
water and shadow reflect a few per cent, and the darkest per cent of a scene that has the 1000 in
it lies at 1000 or above.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.warp import reproject

from icefront.datasets.ssl4sar import CHANNELS
from icefront.errors import IcefrontError, naming
from icefront.grid import Grid
from icefront.scenes.cog import write_cog
from icefront.scenes.raster import opened

_NAMES = {
    "B1": ("b01", "coastal"),
    "B2": ("b02", "blue"),
    "B3": ("b03", "green"),
    "B4": ("b04", "red"),
    "B5": ("b05", "rededge1"),
    "B6": ("b06", "rededge2"),
    "B7": ("b07", "rededge3"),
    "B8": ("b08", "nir"),
    "B8A": ("b8a", "nir08"),
    "B9": ("b09", "nir09"),
    "B11": ("b11", "swir16"),
    "B12": ("b12", "swir22"),
    "WVP": ("wvp",),
    "SCL": ("scl",),
}
"""Channels, and the names that catalogues give them."""

_ADDED = 1000.0
_FIRST_BASELINE_WITH_IT = (4, 0)
_DARK_PERCENT = 1.0
_DARK_WITHOUT, _DARK_WITH = 900.0, (980.0, 1_500.0)
_COARSE_M = 60.0
_REFLECTANCE, _VAPOUR = 10_000.0, 1_000.0

NO_DATA, SATURATED, CAST_SHADOW, CLOUD_SHADOW = 0, 1, 2, 3
VEGETATION, BARE, WATER, UNCLASSIFIED = 4, 5, 6, 7
LIKELY_CLOUD, CLOUD, CIRRUS, SNOW = 8, 9, 10, 11
_HIDDEN = (CLOUD_SHADOW, LIKELY_CLOUD, CLOUD, CIRRUS)
_UNSEEN = (NO_DATA, SATURATED)


Opener = Callable[[str], AbstractContextManager[DatasetReader]]
"""Opens an image by its address."""


@dataclass(frozen=True)
class OpticalImage:
    """One Sentinel-2 L2A image (a tile), as a catalogue describes it.

    Attributes
    ----------
    name : str
    start : datetime
    channels : mapping of str to str
        Addresses, for each of the 14 `icefront.datasets.ssl4sar.CHANNELS`.
    added : float or None
        What the catalogue says was added to the numbers, 0 or 1000; None where it does not say.
    early : bool
        Of a baseline before 04.00, which never adds anything.
    """

    name: str
    start: dt.datetime
    channels: Mapping[str, str]
    added: float | None
    early: bool = False


def channels_of(assets: Mapping[str, str]) -> dict[str, str]:
    """Choose the 14 channels among the assets of an image.

    Parameters
    ----------
    assets : mapping of str to str
        Addresses by the names that a catalogue uses, such as ``B02``, ``blue`` or ``B02_10m``.

    Raises
    ------
    IcefrontError
        If one is missing.
    """
    known: dict[str, list[tuple[int, str]]] = {}
    for key, address in assets.items():
        bare, _, metres = key.lower().partition("_")
        size = re.fullmatch(r"(\d+)m", metres)
        if metres and size is None:
            continue
        known.setdefault(bare, []).append((int(size[1]) if size else 0, address))
    found = {}
    for channel, names in _NAMES.items():
        addresses = [entry for name in names for entry in sorted(known.get(name, []))]
        if not addresses:
            raise IcefrontError(
                f"The channel {channel} is missing among the assets: Sentinel-2 L2A has it, so "
                "that this is another product or a part of one."
            )
        found[channel] = addresses[0][1]
    return found


def optical_image(raw: Mapping[str, Any]) -> OpticalImage:
    """Describe the image of a STAC item.

    Parameters
    ----------
    raw : dict
        The item as JSON.

    Raises
    ------
    IcefrontError
        If the item has no time, or lacks one of the channels.
    """
    name, properties = str(raw.get("id")), raw.get("properties") or {}
    assets = {
        key: asset
        for key, asset in (raw.get("assets") or {}).items()
        if isinstance(asset, dict) and isinstance(asset.get("href"), str)
    }
    with naming(name):
        try:
            start = dt.datetime.fromisoformat(str(properties["datetime"]).replace("Z", "+00:00"))
        except (KeyError, ValueError):
            raise IcefrontError("The item has no time: leave it out.") from None
        channels = channels_of({key: asset["href"] for key, asset in assets.items()})
        return OpticalImage(
            name,
            start,
            channels,
            stated_offset(properties, assets),
            is_early(properties),
        )


def is_early(properties: Mapping[str, Any]) -> bool:
    """Tell whether a STAC item is of a baseline before 04.00."""
    baseline = _baseline(properties)
    return baseline is not None and baseline < _FIRST_BASELINE_WITH_IT


def _baseline(properties: Mapping[str, Any]) -> tuple[int, int] | None:
    text = properties.get("s2:processing_baseline") or properties.get("processing:version")
    found = re.match(r"(\d+)\.(\d+)", str(text or ""))
    return (int(found[1]), int(found[2])) if found else None


def stated_offset(properties: Mapping[str, Any], assets: Mapping[str, Any]) -> float | None:
    """Return what a STAC item says was added to the numbers of its bands: 0, 1000 or None.

    Parameters
    ----------
    properties, assets : mapping
        Of the item.
    """
    if is_early(properties):
        return 0.0
    for asset in assets.values():
        bands = (asset.get("raster:bands") or asset.get("bands")) if isinstance(asset, dict) else ()
        for band in bands or ():
            scale, offset = band.get("scale"), band.get("offset")
            # Water vapour has another scale.
            if scale == 1 / _REFLECTANCE and offset is not None:
                return float(round(-offset * _REFLECTANCE))
    if _baseline(properties) is None:
        return None
    applied = properties.get("earthsearch:boa_offset_applied")
    return 0.0 if applied is True else _ADDED


def classes_on(images: Sequence[OpticalImage], grid: Grid, opener: Opener = opened) -> np.ndarray:
    """Return the scene classification of images of one pass on a grid, uint8 (H, W)."""
    found = np.zeros(grid.shape, np.uint8)
    for image in images:
        part = _warped(image.channels["SCL"], grid, Resampling.nearest, opener)
        np.copyto(found, np.nan_to_num(part).astype(np.uint8), where=found == NO_DATA)
    return found


@dataclass(frozen=True)
class Clearness:
    """What of an area an image shows: fractions under cloud or its shadow, and not seen at all."""

    cloudy: float
    missing: float

    @property
    def lost(self) -> float:
        """Fraction of the area that the image does not show."""
        return self.cloudy + self.missing


def clearness(classes: np.ndarray) -> Clearness:
    """Count a scene classification, uint8 (H, W)."""
    return Clearness(
        float(np.isin(classes, _HIDDEN).mean()), float(np.isin(classes, _UNSEEN).mean())
    )


def clearest(
    candidates: Sequence[Sequence[OpticalImage]],
    grid: Grid,
    *,
    most_lost: float = 0.5,
    opener: Opener = opened,
) -> tuple[int, Clearness]:
    """Choose the pass that shows most of an area, by the scene classification over the area.

    Parameters
    ----------
    candidates : sequence of sequence of OpticalImage
        Tiles of each pass; the likeliest first, since the first without any loss ends the search.
    grid : Grid
        Read at a coarser pixel size.
    most_lost : float
        Fraction of the area that may be under cloud or not seen.
    opener : callable
        By default for files on this machine.

    Returns
    -------
    index : int
    clearness : Clearness

    Raises
    ------
    IcefrontError
        If there are no candidates, or the best of them loses more.
    """
    side = grid.side_m
    assert side is not None
    coarse = grid.resampled(max(side, _COARSE_M))
    best: tuple[int, Clearness] | None = None
    for index, images in enumerate(candidates):
        found = clearness(classes_on(images, coarse, opener))
        if best is None or found.lost < best[1].lost:
            best = index, found
        if not found.lost:
            break
    if best is None:
        raise IcefrontError("There is no Sentinel-2 image of the area: choose other dates.")
    if best[1].lost > most_lost:
        raise IcefrontError(
            f"The clearest of {len(candidates)} Sentinel-2 passes loses {best[1].lost:.0%} of the "
            f"area to clouds or its edge, more than {most_lost:.0%}: choose other dates."
        )
    return best


def optical_channels(
    images: Sequence[OpticalImage], grid: Grid, opener: Opener = opened
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Put the 14 channels of the images of one pass on a grid.

    Parameters
    ----------
    images : sequence of OpticalImage
        Tiles; where they overlap, the first counts.
    grid : Grid
    opener : callable
        By default for files on this machine.

    Returns
    -------
    channels : float32 (14, H, W)
        Surface reflectance of B1 to B8, B8A, B9, B11 and B12, water vapour in cm, and the code of
        the scene classification; NaN where there is no data.
    notes : tuple of str
        What was found about the 1000 that may be in the numbers.

    Raises
    ------
    IcefrontError
        If a file cannot be read, or none of the images shows the grid.
    """
    result = np.full((len(CHANNELS), *grid.shape), np.nan, np.float32)
    notes = []
    for image in images:
        with opener(image.channels["B12"]) as raster:
            dark = _on_grid(raster, grid, Resampling.nearest)
            shortwave = _on_grid(raster, grid, None)
        added, note = _added(image, dark)
        if note:
            notes.append(note)
        for number, channel in enumerate(CHANNELS):
            kind = Resampling.nearest if channel == "SCL" else None
            if channel == "B12":
                part = shortwave
            else:
                part = _warped(image.channels[channel], grid, kind, opener)
            if channel == "WVP":
                part /= _VAPOUR
            elif channel != "SCL":
                part -= added
                part /= _REFLECTANCE
                np.maximum(part, 0, out=part)
            np.copyto(result[number], part, where=np.isnan(result[number]))
    if not np.isfinite(result[0]).any():
        names = ", ".join(image.name for image in images)
        raise IcefrontError(f"The image {names} has no data within the grid: it lies beside it.")
    return result, tuple(notes)


def _added(image: OpticalImage, dark: np.ndarray) -> tuple[float, str]:
    """Return what was added to the numbers of an image, and a note if that is not as stated."""
    known = dark[np.isfinite(dark)]
    if image.early or not known.size:
        return (0.0 if image.early else image.added or 0.0), ""
    darkest = float(np.percentile(known, _DARK_PERCENT))
    # Between and above these, ground without anything dark proves nothing.
    seen = None
    if darkest < _DARK_WITHOUT:
        seen = 0.0
    elif _DARK_WITH[0] <= darkest <= _DARK_WITH[1]:
        seen = _ADDED
    if seen is None or seen == image.added:
        return image.added or 0.0, ""
    says = {None: "does not say whether 1000 is", 0.0: "says that 1000 is not"}
    stated = says.get(image.added, "says that 1000 is")
    found = "as in them" if seen else "as not in them"
    return seen, (
        f"{image.name}: the catalogue {stated} in the numbers; by the darkest, "
        f"{darkest:.0f}, it is taken {found}"
    )


def _warped(name: str, grid: Grid, kind: Resampling | None, opener: Opener) -> np.ndarray:
    """Return the first band of a file on a grid, float32 (H, W); NaN where it is 0 or beyond."""
    with opener(name) as raster:
        return _on_grid(raster, grid, kind)


def _on_grid(raster: DatasetReader, grid: Grid, kind: Resampling | None) -> np.ndarray:
    """Return the same of an open file."""
    assert grid.crs is not None
    values = np.full(grid.shape, np.nan, np.float32)
    if raster.crs is None:
        raise IcefrontError(f"{raster.name} has no coordinate system: fetch it anew.")
    if kind is None:
        pixel = abs(raster.transform.a)
        side = grid.side_m
        assert side is not None
        kind = Resampling.average if side > 1.5 * pixel else Resampling.bilinear
    try:
        reproject(
            rasterio.band(raster, 1),
            values,
            src_nodata=0,
            src_crs=CRS.from_wkt(raster.crs.to_wkt()).to_wkt(),
            dst_crs=grid.crs.to_wkt(),
            dst_transform=grid.transform,
            dst_nodata=np.nan,
            resampling=kind,
        )
    except RasterioError as error:
        raise IcefrontError(f"{raster.name} cannot be read ({error}); fetch it anew.") from None
    return values


def write_optical(path: Path, channels: np.ndarray, grid: Grid, tags: Mapping[str, str]) -> None:
    """Write an optical image as whole numbers: a Cloud Optimised GeoTIFF of 14 bands.

    Parameters
    ----------
    path : Path
        The file to write, see `icefront.files.atomic.writing`.
    channels : float32 (14, H, W)
        From `optical_channels`. Kept are reflectance times 10000, water vapour in µm, and class
        codes; 0 where there is no data.
    grid : Grid
    tags : mapping of str to str
    """
    scales = np.array([*[_REFLECTANCE] * 12, _VAPOUR, 1.0], np.float32)[:, None, None]
    numbers = np.rint(np.nan_to_num(channels) * scales).clip(0, 65_535).astype(np.uint16)
    write_cog(path, numbers, grid, tags, CHANNELS)
