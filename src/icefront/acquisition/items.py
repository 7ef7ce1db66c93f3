"""What an item of a STAC catalogue says of an image, and which items are parts of one pass.

Catalogues differ, and some of what they say is wrong (seen in their answers):

- Earth Search leaves the last four characters of a product's name out of its item's identifier;
- ``proj:*`` of GRD items describes a box in degrees, not the image: it is not used;
- the asset ``schema-product-*`` may be the file on interference instead of the annotation, so that
  the paths of a product's files follow from that of its image.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import shapely
from shapely.geometry.base import BaseGeometry

from icefront.acquisition.areas import Area
from icefront.acquisition.catalogues import Product
from icefront.errors import IcefrontError
from icefront.scenes.metadata import from_name

PASS_GAP = dt.timedelta(minutes=5)
"""Slices of one pass follow each other faster than this; the next pass is 98 minutes later."""

POLARISATIONS = ("HH", "HV", "VV", "VH")

_CHANNEL = re.compile(
    r"(?:^|[_-])(?P<channel>hh|hv|vv|vh)(?:$|[_-](?:grd|rtc|cog|amplitude|intensity))",
    re.IGNORECASE,
)
_NO_IMAGE = re.compile(
    r"schema|calibration|noise|thumbnail|preview|incidence|angle|mask|annotation|product$|area",
    re.IGNORECASE,
)
_GRD_NAME = re.compile(
    r"(?P<key>S1[A-D]_(?:IW|EW|S[1-6])_GRD[FHM]_\dS(?:SH|SV|DH|DV)_\d{8}T\d{6}_\d{8}T\d{6}"
    r"_\d{6}_[0-9A-F]{6})",
    re.IGNORECASE,
)
_TILE = re.compile(r"(?:^|[^A-Z0-9])T?(\d{1,2}[A-Z]{3})(?:$|[^A-Z0-9])", re.IGNORECASE)
_SATELLITE = re.compile(r"sentinel-?(\d)([a-d])", re.IGNORECASE)


@dataclass(frozen=True)
class Item:
    """An image of a catalogue.

    Attributes
    ----------
    id : str
    product : str
        ``rtc``, ``grd`` or ``s2``.
    start : datetime
        UTC.
    satellite : str
        Such as S1A.
    mode : str
        IW, EW, S1 to S6; empty for Sentinel-2.
    direction : "ascending", "descending" or None
    relative_orbit, absolute_orbit : int or None
    images : mapping of str to str
        Addresses of the images by polarisation; of all bands for Sentinel-2.
    cloud_percent : float or None
        Of the whole image.
    outline : shapely geometry
        In degrees, in any form across the date line.
    size : int or None
        Bytes of the images, where the catalogue states them.
    key : str
        What items of one image share, however often it was processed.
    processed : str
        When, as text that sorts.
    raw : dict
        The item itself; empty for a product on this machine.
    local : Path or None
        A product on this machine: a SAFE folder or a zip of one.
    """

    id: str
    product: Product
    start: dt.datetime
    satellite: str
    mode: str
    direction: Literal["ascending", "descending"] | None
    relative_orbit: int | None
    absolute_orbit: int | None
    images: Mapping[str, str]
    cloud_percent: float | None
    outline: BaseGeometry
    size: int | None
    key: str
    processed: str
    raw: dict[str, Any]
    local: Path | None = None


def read_item(raw: object) -> Item:
    """Read an item of a STAC catalogue.

    Parameters
    ----------
    raw : dict
        The item as JSON.

    Raises
    ------
    IcefrontError
        If it is no item, or of no product that is known, or its images are missing.
    """
    if not isinstance(raw, dict) or not isinstance(raw.get("properties"), dict):
        raise IcefrontError("One of the scenes is no STAC item.")
    name = str(raw.get("id") or "an item without identifier")
    about: dict[str, Any] = raw["properties"]
    product = _product_of(raw, about, name)
    try:
        outline = shapely.from_geojson(json.dumps(raw["geometry"]))
        start = _time(about.get("start_datetime") or about["datetime"])
    except (KeyError, TypeError, ValueError, shapely.errors.GEOSException) as error:
        raise IcefrontError(f"The item {name} has no geometry or no time.") from error
    assets = raw.get("assets")
    if not isinstance(assets, dict):
        raise IcefrontError(f"The item {name} has no assets.")
    images, size = _images_of(assets, product)
    if not images:
        raise IcefrontError(f"The item {name} has no image that can be read.")
    relative = _whole(about.get("sat:relative_orbit"))
    if relative is None and product != "s2" and (orbit := from_name(name).orbit) is not None:
        relative = int(orbit)
    direction = about.get("sat:orbit_state")
    satellite = _satellite_of(about, name)
    return Item(
        id=name,
        product=product,
        start=start,
        satellite=satellite,
        mode=str(about.get("sar:instrument_mode") or "").upper(),
        direction=direction if direction in ("ascending", "descending") else None,
        relative_orbit=relative,
        absolute_orbit=_whole(about.get("sat:absolute_orbit")),
        images=images,
        cloud_percent=_number(about.get("eo:cloud_cover")),
        outline=outline,
        size=size,
        key=f"{product} {_image_of(name, about, satellite, start, product)}",
        processed=str(
            about.get("s1:processing_datetime")
            or about.get("s2:generation_time")
            or about.get("created")
            or ""
        ),
        raw=raw,
    )


def _image_of(
    name: str, about: Mapping[str, Any], satellite: str, start: dt.datetime, product: Product
) -> str:
    """Return what names an image, however often it was processed."""
    if product == "s2":
        tile = _TILE.search(f"{about.get('s2:mgrs_tile') or about.get('grid:code') or name}")
        named = tile and tile[1].upper().lstrip("0")
        return f"{satellite} {named} {start:%Y-%m-%dT%H:%M}" if named else name
    grd = _GRD_NAME.match(name)
    return grd["key"].upper() if grd else name


def _product_of(raw: dict[str, Any], about: dict[str, Any], name: str) -> Product:
    kind = " ".join(
        str(text or "").upper()
        for text in (
            about.get("sar:product_type"),
            about.get("product:type"),
            about.get("s2:product_type"),
            raw.get("collection"),
            name,
        )
    )
    radar = "sar:instrument_mode" in about or "sar:polarizations" in about or "SENTINEL-1" in kind
    if radar and re.search(r"(?<![A-Z])RTC(?![A-Z])", kind):
        return "rtc"
    if radar and "GRD" in kind:
        return "grd"
    if not radar and re.search(r"S2MSI2A|MSIL2A|L2A", kind):
        return "s2"
    raise IcefrontError(f"The item {name} is neither Sentinel-1 GRD or RTC nor Sentinel-2 L2A.")


def _images_of(assets: Mapping[str, Any], product: Product) -> tuple[dict[str, str], int | None]:
    """Return the addresses of the images, and their bytes if all are stated."""
    found: dict[str, str] = {}
    sizes: list[int | None] = []
    for key, asset in assets.items():
        href = asset.get("href") if isinstance(asset, dict) else None
        if not isinstance(href, str):
            continue
        if product == "s2":
            named = str(key)
            if not re.search(r"\.(tiff?|jp2)(\?|$)", href, re.IGNORECASE):
                continue
        else:
            channel = None if _NO_IMAGE.search(str(key)) else _CHANNEL.search(str(key))
            if channel is None:
                continue
            named = channel["channel"].upper()
        found.setdefault(named, href)
        sizes.append(_whole(asset.get("file:size")))
    known = [size for size in sizes if size is not None]
    return found, sum(known) if known and len(known) == len(sizes) else None


def _satellite_of(about: Mapping[str, Any], name: str) -> str:
    found = _SATELLITE.search(str(about.get("platform") or ""))
    if found:
        return f"S{found[1]}{found[2].upper()}"
    named = re.match(r"S[12][A-D]", name, re.IGNORECASE)
    return named[0].upper() if named else "S1" if "sar:instrument_mode" in about else "S2"


def _time(text: object) -> dt.datetime:
    found = dt.datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


@dataclass(frozen=True)
class Pass:
    """The images that one satellite took of an area in one pass: slices, or tiles of them.

    Attributes
    ----------
    items : tuple of Item
        In the order of their start.
    covered : float
        Fraction of the area that lies in their outlines.
    """

    items: tuple[Item, ...]
    covered: float

    @property
    def first(self) -> Item:
        """The earliest of its images."""
        return self.items[0]

    @property
    def polarisations(self) -> tuple[str, ...]:
        """Those that all its images have."""
        return tuple(
            name for name in POLARISATIONS if all(name in item.images for item in self.items)
        )

    @property
    def size(self) -> int | None:
        """Bytes of its images, where the catalogue states them."""
        sizes = [item.size for item in self.items]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def label(self) -> str:
        """What tells it from others: time, satellite, mode and orbit."""
        first = self.first
        parts = [f"{first.start:%Y-%m-%dT%H%M%S}", first.satellite]
        if first.mode:
            parts.append(first.mode)
        if first.relative_orbit is not None:
            parts.append(f"{first.relative_orbit:03d}")
        return "_".join(parts)


def passes_of(items: Iterable[Item], area: Area) -> list[Pass]:
    """Put the images of each pass together, in the order of time.

    Of an image that was processed several times the newest counts.
    """
    newest: dict[str, Item] = {}
    for item in items:
        other = newest.get(item.key)
        if other is None or (item.processed, item.id) > (other.processed, other.id):
            newest[item.key] = item
    groups: dict[object, list[list[Item]]] = {}
    for item in sorted(newest.values(), key=lambda one: (one.start, one.id)):
        kind = (item.product, item.satellite, item.mode, item.relative_orbit, item.direction)
        runs = groups.setdefault(kind, [])
        if runs and item.start - runs[-1][-1].start <= PASS_GAP:
            runs[-1].append(item)
        else:
            runs.append([item])
    found = [
        Pass(tuple(run), area.covered_by([item.outline for item in run]))
        for runs in groups.values()
        for run in runs
    ]
    return sorted(found, key=lambda one: (one.first.start, one.first.id))
