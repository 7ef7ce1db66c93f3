"""Which scenes there are, and of which glacier each is."""

from __future__ import annotations

import csv
import datetime as dt
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from pyproj import CRS
from rasterio.warp import transform_bounds

from icefront.errors import IcefrontError
from icefront.fronts.date_columns import read_dates
from icefront.projects.config import MonitoringConfig
from icefront.scenes.metadata import Metadata, from_name, from_tags, sensor_word
from icefront.scenes.raster import opened

SUFFIXES = (".tif", ".tiff", ".vrt", ".img", ".jp2")
"""Files that are taken for scenes where a folder was named."""

_OURS = re.compile(r"_(zones|front|quicklook)$", re.IGNORECASE)


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
        Names of the folders between the one that was named and the file.
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
    for text in config.scenes:
        add(_of_text(text, root, project, None))
    return [found[path] for path in sorted(found)]


def named_folders(config: MonitoringConfig, root: Path) -> tuple[str, ...]:
    """Return the folders that a configuration names, in which virtual rasters find their parts."""
    texts = [*config.scenes, *(text for about in config.glaciers.values() for text in about.scenes)]
    folders = set()
    for text in texts:
        path = Path(os.path.abspath(root / text))
        while not path.is_dir():
            path = path.parent
        folders.add(str(path))
    return tuple(sorted(folders))


def _of_text(text: str, root: Path, project: Path, glacier: str | None) -> Iterator[Listed]:
    """Yield the files of a path, a folder or a pattern."""
    path = root / text
    if path.is_dir():
        yield from _of_folder(path, project, glacier)
    elif path.is_file():
        yield Listed(Path(os.path.abspath(path)), glacier)
    elif any(sign in text for sign in "*?["):
        base = Path(path.anchor) if path.is_absolute() else root
        pattern = str(path.relative_to(path.anchor)) if path.is_absolute() else text
        matches = sorted(base.glob(pattern))
        if not matches:
            raise IcefrontError(f"No file fits {path}: check the pattern.")
        for match in matches:
            if match.is_dir():
                yield from _of_folder(match, project, glacier)
            else:
                yield Listed(Path(os.path.abspath(match)), glacier, folders=(match.parent.name,))
    else:
        raise IcefrontError(f"The scenes {path} do not exist: check the path.")


def _of_folder(top: Path, project: Path, glacier: str | None) -> Iterator[Listed]:
    ours = os.path.abspath(project)
    for folder, inner, files in os.walk(os.path.abspath(top)):
        inner[:] = sorted(
            name
            for name in inner
            if not name.startswith(".") and os.path.join(folder, name) != ours
        )
        between = Path(folder).relative_to(os.path.abspath(top)).parts
        for name in sorted(files):
            stem, suffix = os.path.splitext(name)
            if name.startswith(".") or suffix.lower() not in SUFFIXES or _OURS.search(stem):
                continue
            yield Listed(Path(folder, name), glacier, folders=between)


def _of_table(path: Path, day_first: bool | None) -> Iterator[Listed]:
    if not path.exists():
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


def read_header(path: Path) -> Header:
    """Read what a file says of itself; what cannot be opened says what its name says."""
    named = from_name(path.stem)
    try:
        with opened(path) as src:
            tags = from_tags(*(src.tags(i) for i in src.indexes[:1]), src.tags())
            metadata = tags.completed_by(named)
            points, system = src.gcps
            if src.crs is not None:
                box = transform_bounds(src.crs, "EPSG:4326", *src.bounds)
                crs = CRS.from_user_input(src.crs)
                return Header(metadata, crs, float(np.mean([box[1], box[3]])))
            if points and system is not None:
                latitude = float(np.mean([point.y for point in points]))
                return Header(metadata, CRS.from_user_input(system), latitude)
            return Header(metadata)
    except (IcefrontError, rasterio.errors.RasterioError, ValueError):
        return Header(named)


def glacier_of(listed: Listed, said: str | None, config: MonitoringConfig) -> str | None:
    """Name the glacier of a scene.

    What the user says of the file wins; then a glacier of the configuration that a tag, the
    file's name or a folder names; then the tag or name itself; then the innermost folder.
    """
    if listed.glacier is not None:
        return _known(listed.glacier, config) or listed.glacier
    for word in (said, *reversed(listed.folders)):
        if word and (known := _known(word, config)):
            return known
    if said is None and listed.folders:
        return listed.folders[-1]
    return said


def _known(word: str, config: MonitoringConfig) -> str | None:
    plain = _squeezed(word)
    for name, about in config.glaciers.items():
        if plain in {_squeezed(text) for text in (name, *about.names)}:
            return name
    return None


def _squeezed(word: str) -> str:
    return re.sub(r"[\s_.-]+", "", word).casefold()
