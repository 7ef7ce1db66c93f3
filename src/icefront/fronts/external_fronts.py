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
import io
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyproj import CRS, Geod

from icefront.errors import IcefrontError
from icefront.files.atomic import explained_writing, staging
from icefront.scenes.metadata import find_date, from_name, sensor_word

ALIASES: dict[str, tuple[str, ...]] = {
    "date": (
        "date", "acqdate", "acquisitiondate", "acqtime", "acqtime1", "acquisitiontime",
        "acquisitio", "datetime", "sourcedate", "sourcedat", "imagedate", "imgdate", "obsdate",
        "sensingdate", "timestamp", "time",
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

SUFFIXES = (".gpkg", ".shp", ".geojson", ".json", ".zip", ".fgb", ".kml", ".parquet")


def read_fronts(
    path: str | Path,
    *,
    source: str | None = None,
    glacier: str | None = None,
    date_column: str | None = None,
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
    crs : str, optional
        CRS of files that state none, such as ``EPSG:3413``.
    layer : str, optional
        Layer of a GeoPackage; ``fronts`` or the first by default.

    Returns
    -------
    GeoDataFrame
        Lines with the columns `COLUMNS`: ``date`` as ``YYYY-MM-DD``, ``length_m`` on the ellipsoid,
        None or NaN where nothing is known; in the order of the files and rows. In the CRS of the
        file, that all files share or else EPSG:4326. ``attrs["notes"]`` says what was left out.

    Raises
    ------
    IcefrontError
        If nothing is there or can be read, there is no CRS, or a front has no date.
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
    tables = [_read_one(f, source, glacier, date_column, crs, layer, notes) for f in files]
    first = CRS.from_user_input(tables[0].crs)
    if not all(CRS.from_user_input(table.crs) == first for table in tables):
        tables = [table.to_crs(4326) for table in tables]
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
        CRS of a file that states none.

    Returns
    -------
    GeoDataFrame
        With the column ``glacier`` if the file has one.
    """
    raw = _raw(Path(path), None, preferred=what)
    if raw.crs is None:
        if crs is None:
            raise IcefrontError(
                f"{path} does not say in which CRS it is: give it with --crs, such as EPSG:3413."
            )
        raw = raw.set_crs(_crs_of(crs))
    column = _columns_of(raw).get("glacier")
    return raw if column in (None, "glacier") else raw.rename(columns={column: "glacier"})


def write_fronts(table: gpd.GeoDataFrame, path: Path) -> None:
    """Write a table of fronts to a GeoPackage (layer ``fronts``) or a GeoJSON, in one step.

    Raises
    ------
    IcefrontError
        If the suffix is another one or the file cannot be written.
    """
    drivers = {".gpkg": "GPKG", ".geojson": "GeoJSON"}
    driver = drivers.get(path.suffix.lower())
    if driver is None:
        raise IcefrontError(f"{path.name} is no .gpkg or .geojson: name such a file.")
    content = io.BytesIO()
    if driver == "GPKG":
        table.to_file(content, driver=driver, layer="fronts")
    else:
        table.to_crs(4326).to_file(content, driver=driver, RFC7946="YES")
    with staging(path.parent) as unfinished, explained_writing(path.parent):
        (unfinished / path.name).write_bytes(content.getvalue())


def join_fronts(tables: Sequence[gpd.GeoDataFrame]) -> gpd.GeoDataFrame:
    """Put tables of fronts one below the other, in the CRS of the first."""
    return _joined([tables[0], *(table.to_crs(tables[0].crs) for table in tables[1:])], [])


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


def _read_one(
    path: Path,
    source: str | None,
    glacier: str | None,
    date_column: str | None,
    crs: str | None,
    layer: str | None,
    notes: list[str],
) -> gpd.GeoDataFrame:
    raw = _raw(path, layer)
    if raw.crs is None:
        if crs is None:
            raise IcefrontError(
                f"{path.name} does not say in which CRS it is: give it with --crs, such as "
                "EPSG:3413."
            )
        raw = raw.set_crs(_crs_of(crs))
    kinds = shapely.get_type_id(raw.geometry.values)
    lines = np.isin(kinds, (1, 5))
    if not lines.any():
        raise IcefrontError(f"{path.name} holds no lines, so no fronts.")
    if not lines.all():
        notes.append(f"{path.name}: {(~lines).sum()} rows without a line left out")
    raw = raw[lines].reset_index(drop=True)
    found = _columns_of(raw)
    own = {str(name).lower(): name for name in raw.columns}
    table = pd.DataFrame(index=raw.index)
    for name in COLUMNS:
        table[name] = raw[found[name]] if name in found else None
    for name in ("flag", "reason", "model"):
        if name in own:
            table[name] = raw[own[name]]
    said = from_name(path.stem)
    table["date"] = _dates(raw, path, date_column or found.get("date"), found.get("scene"))
    table["source"] = source or (raw[found["source"]] if "source" in found else _dataset(set(own)))
    if "glacier" not in found:
        table["glacier"] = said.glacier
    if glacier is not None:
        table["glacier"] = glacier
    table["glacier"] = table["glacier"].map(_word)
    if "sensor" not in found:
        table["sensor"] = said.sensor
    table["sensor"] = table["sensor"].map(_sensor)
    if len(raw) == 1:
        table["scene"] = table["scene"].where(table["scene"].notna(), path.stem)
    lengths = raw.geometry.to_crs(4326).values
    geod = CRS.from_user_input(raw.crs).get_geod() or Geod(ellps="WGS84")
    table["length_m"] = [geod.geometry_length(line) for line in lengths]
    geometry = shapely.force_2d(raw.geometry.to_numpy())
    return gpd.GeoDataFrame(table, geometry=geometry, crs=raw.crs)


def _raw(path: Path, layer: str | None, *, preferred: str = "fronts") -> gpd.GeoDataFrame:
    if not path.exists():
        raise IcefrontError(f"{path} does not exist: name a file or folder of fronts.")
    try:
        layers = [str(name) for name in pyogrio.list_layers(path)[:, 0]]
        if layer is not None and layer not in layers:
            raise IcefrontError(f"{path.name} has no layer {layer!r} but {', '.join(layers)}.")
        chosen = layer or (preferred if preferred in layers else layers[0])
        raw = gpd.read_file(path, layer=chosen)
    except IcefrontError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise IcefrontError(f"{path} cannot be read as a file of lines ({reason}).") from error
    if not isinstance(raw, gpd.GeoDataFrame) or raw.empty:
        raise IcefrontError(f"{path.name} holds no geometry: name a file of lines.")
    return raw.rename_geometry("geometry") if raw.geometry.name != "geometry" else raw


def _crs_of(text: str) -> CRS:
    try:
        return CRS.from_user_input(text)
    except Exception as error:
        raise IcefrontError(f"{text!r} is no CRS: give one such as EPSG:3413.") from error


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


def _dates(raw: gpd.GeoDataFrame, path: Path, column: str | None, names: str | None) -> list[str]:
    """Dates of all rows as text, from the best place that has them."""
    if column is not None and column not in raw:
        have = ", ".join(str(name) for name in raw.columns if name != "geometry")
        raise IcefrontError(f"{path.name} has no column {column!r} for the date but {have}.")
    days: list[dt.date | None] = [None] * len(raw)
    if column is not None:
        days = [_day(value) for value in raw[column]]
    lower = {str(name).lower(): name for name in raw.columns}
    if None in days and {"year", "month", "day"} <= set(lower):
        parts = raw[[lower[name] for name in ("year", "month", "day")]]
        parts = parts.apply(pd.to_numeric, errors="coerce")
        parts.columns = pd.Index(["year", "month", "day"])
        stamps = pd.to_datetime(parts, errors="coerce")
        days = [d or (None if pd.isna(s) else s.date()) for d, s in zip(days, stamps, strict=True)]
    if None in days and names is not None:
        days = [d or find_date(str(v)) for d, v in zip(days, raw[names], strict=True)]
    if None in days:
        in_name = find_date(path.stem) or find_date(path.parent.name)
        days = [d or in_name for d in days]
    if None in days:
        row = days.index(None)
        shown = "" if column is None else f" (column {column!r}: {raw[column].iloc[row]!r})"
        raise IcefrontError(
            f"Row {row} of {path.name} has no date{shown}: name the column with --date-column, or "
            "put the date into the file's name."
        )
    return [day.isoformat() for day in days if day is not None]


def _day(value: object) -> dt.date | None:
    """Return the day that a cell states, as a date, a text or a number such as 20180602."""
    if value is None or (not isinstance(value, str) and pd.isna(value)):  # type: ignore[call-overload]
        return None
    if isinstance(value, dt.date | pd.Timestamp | np.datetime64):
        return pd.Timestamp(value).date()
    text = str(int(value)) if isinstance(value, float | int | np.number) else str(value).strip()  # type: ignore[call-overload]
    day = find_date(text)
    if day is None and not text.isdigit():
        stamp = pd.to_datetime(text, errors="coerce", dayfirst=False)
        day = None if pd.isna(stamp) else stamp.date()
    return day


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
