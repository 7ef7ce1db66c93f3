"""Fronts from elsewhere as one table: data sets of the field, and anything with lines and dates.

What is understood without being told:

- CALFIN (Cheng et al. 2021, doi:10.5194/tc-15-1663-2021): ``GlacierID``, ``Date``, ``QualFlag``,
  ``Satellite``, ``ImageID``, ``GrnlndcN``, ``OfficialN``, ``RefName``, ``Author`` …;
- TermPicks (Goliber et al. 2022, doi:10.5194/tc-16-3215-2022): ``GlacierID``, ``Date`` or ``Year``,
  ``Month``, ``Day``; ``QualFlag``, ``Satellite``, ``ImageID``, ``Author``;
- MEaSUREs termini (NSIDC-0642, NSIDC-0723): ``GlacierID``, ``DATE`` or ``SourceDate``,
  ``ImgSource`` or ``Sensor``, ``Official_n`` …;
- GEEDiT (Lea 2018, doi:10.5194/tc-12-551-2018): ``Name``, ``Date``, ``Satellite``, ``ImagePath``,
  ``Unclear``;
- ESA CCI calving front locations and anything else: by the columns named in `ALIASES`, or the date
  in a column of names or in the name of the file.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS, Geod

from icefront.errors import IcefrontError
from icefront.files.atomic import staging
from icefront.fronts.date_columns import FIRST_YEAR, LAST_YEAR, proved_order, read_dates
from icefront.fronts.date_line import continuous, in_crs
from icefront.fronts.vector_files import misplaced, read_vectors, vector_file, without_misplaced
from icefront.scenes.metadata import find_date, from_name, sensor_word

ALIASES: dict[str, tuple[str, ...]] = {
    "date": (
        "date", "acqdate", "acquisitiondate", "acqtime", "acqtime1", "acquisitiontime",
        "acquisitio", "datetime", "sourcedate", "sourcedat", "imagedate", "imgdate", "obsdate",
        "sensingdate", "timestamp", "time", "systemtimestart", "datetaken", "decdate",
        "decimaldate", "decimalyear", "decyear",
    ),
    "glacier": (
        "glacier", "glaciername", "glaciernam", "glacname", "officialn", "officialna",
        "officialname", "refname", "grnlndcn", "grnlndcnam", "greenlandicname", "name", "altname",
        "glacierid", "glacid",
    ),
    "sensor": (
        "sensor", "satellite", "sat", "imgsource", "imagesourc", "platform", "mission",
        "instrument",
    ),
    "scene": (
        "scene", "imageid", "imagepath", "sceneid", "productid", "product", "imgid", "filename",
        "image", "source1",
    ),
    "orbit": ("orbit", "relorbit", "relativeorbit", "track", "path"),
    "polarisation": ("polarisation", "polarization", "pol"),
    "author": ("author", "analyst", "operator", "digitiser", "digitizer"),
    "quality": ("qualflag", "qualityfl", "qualityflag", "quality", "qual", "unclear"),
    "uncertainty_m": ("uncertaintym", "uncertainty", "uncertaint", "errorm", "error"),
    "pixel_size_m": ("pixelsizem", "pixelsize", "resolution", "resolutionm", "pixspacing"),
    "source": ("source", "dataset"),
}  # fmt: skip
"""Names of columns without case and signs, for each column of the table, the best first."""

COLUMNS = (
    "glacier", "date", "sensor", "polarisation", "orbit", "scene", "pixel_size_m", "length_m",
    "uncertainty_m", "flag", "reason", "model", "source", "author", "quality",
)  # fmt: skip
"""Columns of an imported table, beside the geometry."""

_Readings = dict[tuple[str, str], list[str]]
"""Names of files by the column of their dates and the way it was read."""

_Given = TypeVar("_Given")
_Read = TypeVar("_Read")

SUFFIXES = (".gpkg", ".shp", ".geojson", ".json", ".zip", ".fgb", ".kml", ".parquet")


def read_fronts(
    path: str | Path,
    *,
    source: str | None = None,
    glacier: str | None = None,
    date_column: str | None = None,
    day_first: bool | None = None,
    crs: str | None = None,
    layer: str | None = None,
) -> gpd.GeoDataFrame:
    """Read fronts from a file, or from all files of a folder, into one table.

    Parameters
    ----------
    path : path
        Shapefile, GeoJSON, GeoPackage or anything else GDAL reads; a folder of such files, one or
        many fronts each, whose dates may stand in their names.
    source : str, optional
        Name of the data set, instead of the one its columns give away.
    glacier : str, optional
        Name of the glacier, instead of the file's.
    date_column : str, optional
        Column of the dates, if it is not found by itself.
    day_first : bool, optional
        Whether ``02/06/2018`` is in June, where no row of the column proves it; other files of the
        folder with the same column may prove it, too.
    crs : str, optional
        CRS of files that state none, or one that their coordinates contradict.
    layer : str, optional
        Layer of a GeoPackage; ``fronts`` or the first by default.

    Returns
    -------
    GeoDataFrame
        Lines with the columns `COLUMNS`: ``date`` as ``YYYY-MM-DD``, ``length_m`` on the ellipsoid,
        None or NaN where nothing is known; in the order of the files and rows. In the CRS of the
        file, that all files share or else EPSG:4326, where longitudes go on across the date line.
        ``attrs["notes"]`` says what was left out (rows without a line or a date, vertices that are
        no places), and how dates were read.

    Raises
    ------
    IcefrontError
        If nothing is there or can be read, there is no CRS, no front has a date, or dates may be
        read in several ways. In a folder that costs a file, which the notes name, while any is
        good.
    """
    place = Path(path)
    if place.is_dir():
        files = sorted(f for f in place.rglob("*") if f.suffix.lower() in SUFFIXES)
        if not files:
            raise IcefrontError(
                f"The folder {place} holds no file of lines ({', '.join(SUFFIXES)})."
            )
    else:
        files = [place]
    notes: list[str] = []
    asked = _Asked(source, glacier, date_column, day_first)
    read = _good(files, lambda file: _read_one(file, asked, crs, layer, notes), notes)
    orders = _orders(read)
    readings: _Readings = {}
    tables = _good(read, lambda file: _table(file, asked, orders, readings, notes), notes)
    for (column, reading), names in readings.items():
        others = f" and {len(names) - 1} other files" if len(names) > 1 else ""
        notes.append(f"the column {column!r} of {names[0]}{others} was read as {reading}")
    first = CRS.from_user_input(tables[0].crs)
    if not all(CRS.from_user_input(table.crs) == first for table in tables):
        tables = [in_crs(table, 4326) for table in tables]
        notes.append("the files differ in their CRS, so all fronts were brought to EPSG:4326")
    return _joined(tables, notes)


def read_lines(path: str | Path, what: str, *, crs: str | None = None) -> gpd.GeoDataFrame:
    """Read a file of centrelines or boxes.

    Parameters
    ----------
    path : path
        Of a GeoPackage the layer named `what` is taken if there is one, else the first.
    what : "centreline" or "box"
    crs : str, optional
        CRS of a file that states none, or one that its coordinates contradict.

    Returns
    -------
    GeoDataFrame
        With the column ``glacier`` if the file has one.

    Raises
    ------
    IcefrontError
        If the file cannot be read, has no CRS, or a vertex is no place.
    """
    path = Path(path)
    raw = read_vectors(path, f"a {what}", preferred=what, crs=crs)
    wrong = misplaced(raw.geometry)
    if (wrong != "").any():
        row = int(np.argmax(wrong != ""))
        raise IcefrontError(f"Row {row} of the {what} {path} has {wrong[row]}: draw it anew.")
    raw = continuous(raw)
    column = _columns_of(raw).get("glacier")
    return raw if column in (None, "glacier") else raw.rename(columns={column: "glacier"})


def write_fronts(table: gpd.GeoDataFrame, path: Path) -> None:
    """Write a table of fronts to a GeoPackage (layer ``fronts``) or a GeoJSON, in one step.

    Raises
    ------
    IcefrontError
        If the suffix is another one or the file cannot be written.
    """
    drivers: dict[str, Literal["GPKG", "GeoJSON"]] = {".gpkg": "GPKG", ".geojson": "GeoJSON"}
    driver = drivers.get(path.suffix.lower())
    if driver is None:
        raise IcefrontError(f"{path.name} is no .gpkg or .geojson: name such a file.")
    content = vector_file({"fronts": table}, driver)
    with staging(path.parent) as unfinished:
        (unfinished / path.name).write_bytes(content)


def join_fronts(tables: Sequence[gpd.GeoDataFrame]) -> gpd.GeoDataFrame:
    """Put tables of fronts one below the other, in the CRS of the first."""
    notes = [note for table in tables for note in table.attrs.get("notes", ())]
    return _joined([tables[0], *(in_crs(table, tables[0].crs) for table in tables[1:])], notes)


def _joined(tables: Sequence[gpd.GeoDataFrame], notes: list[str]) -> gpd.GeoDataFrame:
    names = list(dict.fromkeys(name for table in tables for name in table.columns))
    rows = [row for table in tables for row in table.to_dict("records")]
    frame = pd.DataFrame(rows, columns=names)
    for name in ("pixel_size_m", "length_m", "uncertainty_m"):
        if name in frame:
            frame[name] = pd.to_numeric(frame[name], errors="coerce")
    joined = gpd.GeoDataFrame(frame, geometry="geometry", crs=tables[0].crs)
    joined.attrs["notes"] = list(notes)
    return joined


def _good(
    items: Sequence[_Given], read: Callable[[_Given], _Read], notes: list[str]
) -> list[_Read]:
    """Read what can be read of several; the notes name the others."""
    found, errors = [], []
    for item in items:
        try:
            found.append(read(item))
        except IcefrontError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    notes += [f"a file is left out: {error}" for error in errors]
    return found


@dataclass(frozen=True)
class _Asked:
    """What the user says of all files."""

    source: str | None
    glacier: str | None
    date_column: str | None
    day_first: bool | None


@dataclass(frozen=True)
class _File:
    """The lines of a file, and which columns hold what."""

    path: Path
    rows: gpd.GeoDataFrame
    columns: dict[str, str]


def _read_one(
    path: Path, asked: _Asked, crs: str | None, layer: str | None, notes: list[str]
) -> _File:
    raw = read_vectors(path, "fronts", layer=layer, preferred="fronts", crs=crs)
    kinds = shapely.get_type_id(raw.geometry.values)
    lines = np.isin(kinds, (1, 5))
    if not lines.any():
        raise IcefrontError(f"{path.name} holds no lines, so no fronts.")
    if not lines.all():
        notes.append(f"{path.name}: {(~lines).sum()} rows without a line left out")
    raw, left_out = without_misplaced(raw[lines], path.name, "fronts")
    notes += left_out
    raw = continuous(raw)
    columns = _columns_of(raw)
    if asked.date_column is not None:
        if asked.date_column not in raw:
            have = ", ".join(str(name) for name in raw.columns if name != "geometry")
            raise IcefrontError(
                f"{path.name} has no column {asked.date_column!r} for the date but {have}."
            )
        columns["date"] = asked.date_column
    return _File(path, raw, columns)


def _table(
    file: _File, asked: _Asked, orders: dict[str, bool], readings: _Readings, notes: list[str]
) -> gpd.GeoDataFrame:
    raw, found, path = file.rows, file.columns, file.path
    own = {str(name).lower(): name for name in raw.columns}
    table = pd.DataFrame(index=raw.index)
    for name in COLUMNS:
        table[name] = raw[found[name]] if name in found else None
    for name in ("flag", "reason", "model"):
        if name in own:
            table[name] = raw[own[name]]
    named = from_name(path.stem)
    days = _days(file, asked.day_first, orders, readings, notes)
    table["date"] = [None if day is None else day.isoformat() for day in days]
    table["source"] = asked.source or (
        raw[found["source"]] if "source" in found else _dataset(set(own))
    )
    if "glacier" not in found:
        table["glacier"] = named.glacier
    if asked.glacier is not None:
        table["glacier"] = asked.glacier
    table["glacier"] = table["glacier"].map(_word)
    if "sensor" not in found:
        table["sensor"] = named.sensor
    table["sensor"] = table["sensor"].map(_sensor)
    if len(raw) == 1:
        table["scene"] = table["scene"].where(table["scene"].notna(), path.stem)
    lengths = raw.geometry.to_crs(4326).values
    geod = CRS.from_user_input(raw.crs).get_geod() or Geod(ellps="WGS84")
    table["length_m"] = [geod.geometry_length(line) for line in lengths]
    geometry = shapely.force_2d(raw.geometry.to_numpy())
    whole = gpd.GeoDataFrame(table, geometry=geometry, crs=raw.crs)
    return whole[whole["date"].notna()]


def _columns_of(raw: gpd.GeoDataFrame) -> dict[str, str]:
    """Find which column of a file holds what; columns without a value do not count."""
    plain = {
        "".join(c for c in str(name).lower() if c.isalnum()): str(name)
        for name in raw.columns
        if name != "geometry" and raw[name].notna().any() and (raw[name].astype(str) != "").any()
    }
    found = {}
    for what, aliases in ALIASES.items():
        column = next((plain[alias] for alias in aliases if alias in plain), None)
        if column is not None:
            found[what] = column
    return found


def _dataset(columns: set[str]) -> str:
    """Name of the data set whose columns these are."""
    if "icefront_version" in columns or "model_sha256" in columns:
        return "icefront"
    if "imagepath" in columns or {"unclear", "satellite"} <= columns:
        return "GEEDiT"
    if {"glacierid", "refname"} <= columns or {"glacierid", "grnlndcn"} <= columns:
        return "CALFIN"
    if {"glacierid", "imgsource"} <= columns or "grnlndcnam" in columns:
        return "MEaSUREs"
    if {"glacierid", "author"} <= columns:
        return "TermPicks"
    if any(name.startswith(("acqtime", "acq_time", "acquisitio")) for name in columns):
        return "ESA CCI"
    return "unknown"


def _orders(files: Sequence[_File]) -> dict[str, bool]:
    """Return, by column, whether the day comes first where files prove it and none objects."""
    proofs: dict[str, set[bool]] = {}
    for file in files:
        column = file.columns.get("date")
        order = None if column is None else proved_order(file.rows[column])
        if column is not None and order is not None:
            proofs.setdefault(column, set()).add(order)
    return {column: next(iter(found)) for column, found in proofs.items() if len(found) == 1}


def _days(
    file: _File,
    day_first: bool | None,
    orders: dict[str, bool],
    readings: _Readings,
    notes: list[str],
) -> list[dt.date | None]:
    """Return the day of each row, from the best place that has one; None where there is none."""
    raw, path = file.rows, file.path
    column = file.columns.get("date")
    days = _days_beside(raw, file.columns.get("scene"))
    unread: list[int] = []
    if column is not None:
        try:
            order = orders.get(column) if day_first is None else day_first
            read = read_dates(
                raw[column],
                day_first=order,
                known=days,
                column=f"The column {column!r} of {path.name}",
            )
        except IcefrontError:
            if None in days:
                raise
        else:
            days = [day or other for day, other in zip(read.days, days, strict=True)]
            unread = read.unread
            if read.reading is not None:
                readings.setdefault((column, read.reading), []).append(path.name)
    if not any(days):
        # A date in the name of a file is that of all its rows, never of those that lack one.
        days = [find_date(path.stem) or find_date(path.parent.name)] * len(raw)
    missing = [row for row, day in enumerate(days) if day is None]
    if missing:
        row = next((row for row in unread if days[row] is None), missing[0])
        number = raw.index[row]
        shown = (
            "" if column is None else f" (column {column!r}: {str(raw[column].iloc[row])[:40]!r})"
        )
        if len(missing) == len(days) or len(set(unread) & set(missing)) > len(raw) / 10:
            raise IcefrontError(
                f"Row {number} of {path.name} has no date{shown}: name the column with "
                "--date-column, or put the date into the file's name."
            )
        notes.append(
            f"{path.name}: {len(missing)} of {len(raw)} fronts without a date left out, the first "
            f"in row {number}{shown}"
        )
    return days


def _days_beside(raw: gpd.GeoDataFrame, names: str | None) -> list[dt.date | None]:
    """Return the days that columns of years, months and days say, or else names of images."""
    lower = {str(name).lower(): name for name in raw.columns}
    days: list[dt.date | None] = [None] * len(raw)
    for rest in (("month", "day"), ("doy",), ("dayofyear",)):
        if not {"year", *rest} <= set(lower):
            continue
        parts = raw[[lower[name] for name in ("year", *rest)]].apply(pd.to_numeric, errors="coerce")
        whole = (parts % 1 == 0).all(axis=1) & parts.iloc[:, 0].between(FIRST_YEAR, LAST_YEAR)
        texts = [
            "-".join(f"{int(v):0{2 if len(rest) == 2 else 3}d}" for v in row) if fits else None
            for row, fits in zip(parts.to_numpy(), whole, strict=True)
        ]
        days = [d or s for d, s in zip(days, read_dates(texts).days, strict=True)]
    if None in days and names is not None:
        days = [d or find_date(str(v)) for d, v in zip(days, raw[names], strict=True)]
    return days


def _word(value: object) -> str | None:
    """Return a name as text; identifiers lose the decimals that a file has given them."""
    if value is None or (not isinstance(value, str) and pd.isna(value)):  # type: ignore[call-overload]
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() or None


def _sensor(value: object) -> str | None:
    word = _word(value)
    return None if word is None else sensor_word(word) or word
