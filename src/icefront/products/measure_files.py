"""Tables of measures and series as files: CSV or Parquet, with the lines they rest on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from icefront import __version__
from icefront.errors import IcefrontError
from icefront.fronts.vector_files import vector_file
from icefront.measures.by_glacier import METHODS
from icefront.reporting.tables import write_csv
from icefront.timeseries.series import Series, make_series, summary
from icefront.timeseries.source_comparison import compare_sources

FORMATS = ("csv", "parquet")
LINES_GPKG = "lines.gpkg"
RECORD_JSON = "measures.json"


def check_format(name: str) -> None:
    """Refuse a format of tables that cannot be written here."""
    if name not in FORMATS:
        raise IcefrontError(f"Tables cannot be written as {name!r}: give {' or '.join(FORMATS)}.")


def all_series(measured: pd.DataFrame) -> list[Series]:
    """Make the series of each glacier by each method."""
    keys = [name for name in ("glacier", "method") if name in measured]
    if not keys:
        return [make_series(measured)]
    # A glacier without a name is one, too.
    groups = measured.groupby(keys, sort=False, dropna=False)
    return [make_series(mine) for _, mine in groups]


def tables_of(measured: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return all tables of a set of measures by name.

    Parameters
    ----------
    measured : DataFrame
        As `icefront.measures.measure` returns it.

    Returns
    -------
    dict of str to DataFrame
        ``series``: the measures with ``uncertainty_m`` filled and ``outlier``; ``trends``: a row
        per glacier and method; ``seasons``: by year; ``events``: calving; ``sources``: where
        fronts come from several.
    """
    series = all_series(measured)
    tables = {
        "series": pd.concat([one.table for one in series], ignore_index=True),
        "trends": pd.DataFrame([summary(one) for one in series]),
        "seasons": _gathered([one.years for one in series], series),
        "events": _gathered([one.events for one in series], series),
    }
    if "source" in measured and measured["source"].nunique() > 1:
        tables["sources"] = compare_sources(measured)
    return tables


def _gathered(parts: list[pd.DataFrame], series: list[Series]) -> pd.DataFrame:
    """Put tables of many series together, with the glacier and method of each in front."""
    named = []
    for part, one in zip(parts, series, strict=True):
        keys = {
            name: one.table[name].iloc[0] for name in ("glacier", "method") if name in one.table
        }
        named.append(part.assign(**keys)[[*keys, *part.columns]])
    filled = [part for part in named if not part.empty]
    return pd.concat(filled, ignore_index=True) if filled else named[0]


def write_table(table: pd.DataFrame, path: Path, *, float_format: str = "%.10g") -> Path:
    """Write a table as CSV or Parquet, as the name of the file says.

    Parameters
    ----------
    table : DataFrame
    path : Path
        Ends with ``.csv`` or ``.parquet``.
    float_format : str
        Of numbers in CSV; Parquet has them as they are.

    Returns
    -------
    Path
        `path`.
    """
    if path.suffix == ".csv":
        write_csv(table, path, float_format=float_format)
    else:
        table.to_parquet(path, index=False)
    return path


def write_lines(lines: gpd.GeoDataFrame, folder: Path) -> Path:
    """Write centrelines and boxes, so that they can be improved and given back.

    Parameters
    ----------
    lines : GeoDataFrame
        As `icefront.measures.reference_lines` returns it.
    folder : Path

    Returns
    -------
    Path
        ``lines.gpkg`` with the layers ``centreline`` and ``box``.
    """
    path = folder / LINES_GPKG
    facts = lines.drop(columns=["centreline", "box"])
    layers = {
        layer: gpd.GeoDataFrame(facts, geometry=list(lines[layer]), crs=lines.crs)
        for layer in ("centreline", "box")
    }
    path.write_bytes(vector_file(layers))
    return path


def write_measures(
    folder: Path,
    tables: Mapping[str, pd.DataFrame],
    lines: gpd.GeoDataFrame,
    record: Mapping[str, Any],
    *,
    form: str = "csv",
) -> list[str]:
    """Write tables, the lines they were measured with, and a record.

    Parameters
    ----------
    folder : Path
        Exists; see `icefront.files.atomic.staging`.
    tables : mapping of str to DataFrame
    lines : GeoDataFrame
        As `icefront.measures.reference_lines` returns it.
    record : mapping
        Inputs and parameters, plain types.
    form : "csv" or "parquet"

    Returns
    -------
    list of str
        Names of the files: ``NAME.csv`` (or ``.parquet``; a table without rows is a header),
        ``lines.gpkg`` (layers ``centreline`` and ``box``) and ``measures.json``.
    """
    check_format(form)
    paths = [write_table(table, folder / f"{name}.{form}") for name, table in tables.items()]
    paths.append(write_lines(lines, folder))
    names = [path.name for path in paths]
    whole = {
        "icefront": __version__,
        "crs": lines.crs.to_string(),
        "sign": "advance is positive",
        "methods": list(METHODS),
        **record,
        "files": sorted([*names, RECORD_JSON]),
    }
    text = json.dumps(whole, indent=2, default=str, ensure_ascii=False)
    (folder / RECORD_JSON).write_text(text + "\n", "utf-8")
    return [*names, RECORD_JSON]
