"""Which scenes there are, and what their files say of themselves."""

from __future__ import annotations

import csv
import datetime as dt
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import rasterio
from pyproj import CRS
from rasterio.warp import transform_bounds

from icefront.errors import IcefrontError
from icefront.files.names import shown
from icefront.fronts.date_columns import read_dates
from icefront.projects.config import MonitoringConfig
from icefront.projects.scene_names import metadata_of_folders
from icefront.scenes.metadata import Metadata, from_name, from_tags, sensor_word
from icefront.scenes.raster import opened

SUFFIXES = (".tif", ".tiff", ".vrt", ".img", ".jp2")
"""Files that are taken for scenes where a folder was named."""

_WILDCARDS = "*?["
_OURS = re.compile(r"_(zones|front|quicklook|probabilities|through_time|picture)$", re.IGNORECASE)
# What processors lay beside an image on its grid: OPERA's and HyP3's terrain-corrected products,
# Sentinel-1 NRB, SNAP, GAMMA; and the optical image of `icefront acquire`. A masked image is an
# image; only last words count.
_BESIDE_IMAGES = re.compile(
    r"""
    (?:^|[\W_])
    ( (\w+[\W_])?masks? | (layover|shadow) | layover[\W_]?(and[\W_]?)?shadow[\W_]?(map|mask)?
    | ls_?(map|mask) | lsm | lia | inc_?(angle|map)?(_ell)?
    | ((projected|local|ellips\w*)[\W_]?)*incidence([\W_]?(angles?|map))?(from_?ellipsoid)?
    | dem | rgb | browse | optical | number_of_looks | rtc_anf_\w+ ) $
    | ^S1.*_RTC\d+_.*_area $
    | ^S1[A-D].*-(dm|ei|em|gs|id|lc|li|sg|wm|np-[vh]{2}) $
    """,
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True)
class Listed:
    """A file that is to be watched, and what the user says about it.

    Attributes
    ----------
    path : Path
        Absolute.
    glacier : str or None
        As a configuration or table says.
    date, sensor
        As a table says.
    folders : tuple of str
        Names of the folders between the one that was named and the file; with it where it was
        named by a pattern or beside others.
    """

    path: Path
    glacier: str | None = None
    date: dt.date | None = None
    sensor: str | None = None
    folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Header:
    """What a file says without its pixels being read.

    Attributes
    ----------
    metadata : Metadata
    crs : pyproj.CRS or None
    latitude : float or None
        Of its centre, in degrees.
    """

    metadata: Metadata
    crs: CRS | None = None
    latitude: float | None = None


def list_scenes(config: MonitoringConfig, root: Path, project: Path) -> list[Listed]:
    """List the files a project watches, sorted by path, each once.

    Parameters
    ----------
    config : MonitoringConfig
    root : Path
        What its paths are relative to.
    project : Path
        Its files are no scenes.

    Raises
    ------
    IcefrontError
        If a file or folder does not exist, or the table cannot be read.
    """
    found: dict[Path, Listed] = {}

    def add(items: Iterable[Listed]) -> None:
        for item in items:
            found.setdefault(item.path, item)

    # What says more about a file comes first.
    if config.table is not None:
        add(_of_table(root / config.table, config.day_first))
    for glacier, about in config.glaciers.items():
        for text in about.scenes:
            add(_of_text(text, root, project, glacier))
    several = len(config.scenes) > 1
    for text in config.scenes:
        add(_of_text(text, root, project, None, several))
    return [found[path] for path in sorted(found)]


def named_folders(config: MonitoringConfig, root: Path) -> tuple[str, ...]:
    """Return the folders that a configuration names, in which virtual rasters find their parts."""
    texts = [*config.scenes, *(text for about in config.glaciers.values() for text in about.scenes)]
    folders = set()
    for text in texts:
        path = Path(os.path.abspath(root / text))
        while not os.path.isdir(path):
            path = path.parent
        folders.add(str(path))
    return tuple(sorted(folders))


def _of_text(
    text: str, root: Path, project: Path, glacier: str | None, several: bool = False
) -> Iterator[Listed]:
    """Yield the files of a path, a folder or a pattern; `several` are named."""
    path = Path(os.path.abspath(root / text))
    if os.path.isdir(path):
        yield from _of_folder(path, project, glacier, path.parent if several else path)
    elif os.path.isfile(path):
        yield Listed(path, glacier, folders=(path.parent.name,) if several else ())
    elif any(sign in text for sign in _WILDCARDS):
        fixed = Path(path.anchor)
        for part in path.relative_to(path.anchor).parts[:-1]:
            if any(sign in part for sign in _WILDCARDS):
                break
            fixed /= part
        try:
            matches = sorted(fixed.glob(str(path.relative_to(fixed))))
        except (ValueError, NotImplementedError) as error:
            raise IcefrontError(f"The pattern {path} is not understood: {error}.") from error
        if not matches:
            raise IcefrontError(f"No file fits {path}: check the pattern.")
        # A pattern that fits nothing else means them.
        images = [match for match in matches if not is_beside_images(match.stem)]
        for match in images or matches:
            if match.is_dir():
                yield from _of_folder(match, project, glacier, fixed.parent)
            else:
                yield Listed(match, glacier, folders=match.relative_to(fixed.parent).parts[:-1])
    else:
        raise IcefrontError(f"The scenes {root / text} do not exist: check the path.")


def is_beside_images(stem: str) -> bool:
    """Tell from the name of a file, without its suffix, that it is no image but lies beside one.

    Such are masks, maps of incidence angles, of layover and shadow, and heights.

    Examples
    --------
    >>> is_beside_images("OPERA_L2_RTC-S1_T090-191605-IW2_20240101T000000Z_v1.0_mask")
    True
    >>> is_beside_images("helheim_20180602_S1_HH_masked")
    False
    """
    return _BESIDE_IMAGES.search(stem) is not None


def _of_folder(top: Path, project: Path, glacier: str | None, above: Path) -> Iterator[Listed]:
    """Yield the scenes of a folder and below it, with their folders below another one."""
    ours = os.path.abspath(project)
    for folder, inner, files in os.walk(top):
        inner[:] = sorted(
            name
            for name in inner
            if not name.startswith(".") and os.path.join(folder, name) != ours
        )
        between = Path(folder).relative_to(above).parts
        for name in sorted(files):
            stem, suffix = os.path.splitext(name)
            if name.startswith(".") or suffix.lower() not in SUFFIXES or _OURS.search(stem):
                continue
            if is_beside_images(stem):
                continue
            yield Listed(Path(folder, name), glacier, folders=between)


def _of_table(path: Path, day_first: bool | None) -> Iterator[Listed]:
    if not os.path.exists(path):
        raise IcefrontError(f"The table {path} does not exist: check the path.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [
                {str(k).strip().lower(): (v or "").strip() for k, v in row.items() if k}
                for row in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise IcefrontError(f"The table {path} cannot be read: give a CSV in UTF-8.") from error
    column = f"The column 'date' of the table {path}"
    dates = read_dates((row.get("date") for row in rows), day_first=day_first, column=column)
    for number, (cells, day) in enumerate(zip(rows, dates.days, strict=True)):
        where = f"Line {number + 2} of the table {path}"
        if not cells.get("path"):
            raise IcefrontError(f"{where} names no file: it needs a column 'path'.")
        if number in dates.unread:
            raise IcefrontError(
                f"{where} has the date {cells['date']!r}: write it as year-month-day, such as "
                "2018-06-02."
            )
        sensor = cells.get("sensor")
        yield Listed(
            Path(os.path.abspath(path.parent / cells["path"])),
            cells.get("glacier") or None,
            day,
            (sensor_word(sensor) or sensor) if sensor else None,
        )


def read_header(item: Listed) -> Header:
    """Read what a file and its folders say; what cannot be opened says what its name says."""
    named = from_name(shown(item.path.stem))
    folders = metadata_of_folders(item.folders)
    try:
        # Other files of a folder matter only where they belong to this one: they are not listed.
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN=True), opened(item.path) as src:
            tags = from_tags(*(src.tags(i) for i in src.indexes[:1]), src.tags())
            metadata = tags.completed_by(named).completed_by(folders)
            points, system = src.gcps
            if src.crs is not None:
                crs = _crs_of(src.crs.to_wkt())
                return Header(metadata, crs, _latitude(src.crs, src.bounds))
            if points and system is not None:
                latitude = float(np.mean([point.y for point in points]))
                return Header(metadata, _crs_of(system.to_wkt()), latitude)
            return Header(metadata)
    except Exception:
        # Why it cannot be opened is said where it is extracted.
        return Header(named.completed_by(folders))


@lru_cache(maxsize=64)
def _crs_of(wkt: str) -> CRS:
    return CRS.from_wkt(wkt)


def _latitude(crs: rasterio.crs.CRS, bounds: rasterio.coords.BoundingBox) -> float:
    _, south, _, north = transform_bounds(crs, "EPSG:4326", *bounds)
    return float(south + north) / 2
