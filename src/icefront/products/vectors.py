"""Fronts in other people's formats: vectors with the columns of the field, a QGIS style."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path
from xml.sax.saxutils import quoteattr

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from matplotlib.colors import to_hex

from icefront.fronts.vector_files import FIXED_TIME, vector_file
from icefront.products.figures import date_colours
from icefront.projects.catalogue import SHORE, SINGLE_DATES
from icefront.reporting.tables import harmless_text

FRONTS_GPKG = "fronts.gpkg"
FRONTS_GEOJSON = "fronts.geojson"
FRONTS_SHP = "fronts.shp"
STYLE = "fronts.qml"
FRONTS_LAYER = "fronts"
EXCHANGE_LAYER = "exchange"

MANY_YEARS = 12
"""Beyond this number of years the style has as many classes of equal length instead."""

_LONGEST_TEXT = 254
"""Bytes of a text in a shapefile."""

AUTOMATIC, DOUBTFUL = 10, 3
"""`QualFlag` as in CALFIN and TermPicks: tens for automatic lines, 3 for uncertain ones."""

_LEFT_OUT = (
    "fid",
    "path",
    "settings",
    "run",
    "size_bytes",
    "mtime_ns",
    "seconds",
    "state",
    "error",
)


def own_table(fronts: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the columns a user wants of a table of fronts, without the bookkeeping."""
    kept = [name for name in fronts.columns if name not in _LEFT_OUT]
    table = fronts[kept].copy()
    # A column without any value has no type that every format knows.
    return table.drop(columns=[n for n in kept if n != "geometry" and table[n].isna().all()])


def exchange_table(fronts: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Name the columns as CALFIN and TermPicks do; none is longer than ten characters.

    CALFIN (Cheng et al. 2021, doi:10.5194/tc-15-1663-2021), TermPicks (Goliber et al. 2022,
    doi:10.5194/tc-16-3215-2022). ``GlacierID`` and ``RefName`` are the glacier as the project calls
    it; ``QualFlag`` is 10 for a front graded A or B, 13 for C and D, and that of its source for an
    imported front; ``Center_X`` and ``Center_Y`` (CRS of the table), ``Longitude`` and ``Latitude``
    are half way along the front; ``DecDate`` is the year with its fraction.

    Parameters
    ----------
    fronts : GeoDataFrame
        As in `icefront.projects.results.ProjectResults`.

    Returns
    -------
    GeoDataFrame
        In the CRS of `fronts`.
    """
    middles = gpd.GeoSeries([_middle(line) for line in fronts.geometry], crs=fronts.crs)
    degrees = middles.to_crs(4326)
    date = fronts["date"]
    start = pd.to_datetime(
        date.dt.year.astype("Int64").astype("string") + "-01-01", errors="coerce"
    )
    length = np.where(date.dt.is_leap_year, 366.0, 365.0)

    def text(name: str) -> pd.Series:
        if name not in fronts:
            return pd.Series("", index=fronts.index)
        return fronts[name].astype("string").fillna("").astype(object)

    quality = np.where(fronts["grade"].isin(["A", "B"]), AUTOMATIC, AUTOMATIC + DOUBTFUL)
    quality = pd.Series(quality, index=fronts.index).astype("string").astype(object)
    given = text("quality")
    columns = {
        "GlacierID": text("glacier"),
        "Date": date.dt.strftime("%Y-%m-%d"),
        "Year": date.dt.year.astype("Int32"),
        "Month": date.dt.month.astype("Int32"),
        "Day": date.dt.day.astype("Int32"),
        "DecDate": (date.dt.year + (date - start).dt.days / length).round(4),
        "QualFlag": quality.where(given == "", given),
        "Satellite": text("sensor"),
        "ImageID": text("scene"),
        "RefName": text("glacier"),
        "Author": text("author").where(text("author") != "", text("source")),
        "Center_X": middles.x.to_numpy(),
        "Center_Y": middles.y.to_numpy(),
        "Longitude": degrees.x.round(6).to_numpy(),
        "Latitude": degrees.y.round(6).to_numpy(),
        "Length_m": pd.to_numeric(fronts["length_m"], errors="coerce").round(1),
        "Uncert_m": pd.to_numeric(fronts["uncertainty_m"], errors="coerce").round(1),
        "Grade": fronts["grade"],
        "Why": fronts["why"],
        "Source": text("source"),
        "Model": text("model"),
        "ModelSHA": text("model_sha256"),
        "Version": text("icefront_version"),
    }
    return gpd.GeoDataFrame(columns, geometry=fronts.geometry, crs=fronts.crs)


def _middle(line: shapely.Geometry) -> shapely.Point:
    """Return the place half way along a line; of several pieces, the longest one's."""
    parts = shapely.get_parts(line)
    if parts.size == 0 or line.is_empty:
        return shapely.Point()
    longest = parts[int(np.argmax(shapely.length(parts)))]
    return longest.interpolate(0.5, normalized=True)


def write_vectors(
    fronts: gpd.GeoDataFrame,
    folder: Path,
    single_dates: gpd.GeoDataFrame | None = None,
    shores: gpd.GeoDataFrame | None = None,
) -> list[Path]:
    """Write the fronts as GeoPackage (styled), GeoJSON and shapefile.

    The GeoPackage has the layer ``fronts`` with our columns and ``exchange`` with those of CALFIN
    and TermPicks; it comes with its style, which QGIS takes up by itself. GeoJSON (EPSG:4326) and
    shapefile have the latter.

    Parameters
    ----------
    fronts : GeoDataFrame
    folder : Path
    single_dates : GeoDataFrame, optional
        Fronts of each date alone: a layer of their own in the GeoPackage.
    shores : GeoDataFrame, optional
        What the fronts leave out: another layer.

    Returns
    -------
    list of Path
    """
    own = own_table(fronts)
    # Days, not times of day.
    own["date"] = own["date"].dt.strftime("%Y-%m-%d")
    exchange = exchange_table(fronts)
    own["decimal_date"] = exchange["DecDate"]
    style = qgis_style(own["decimal_date"])
    paths = [folder / name for name in (FRONTS_GPKG, FRONTS_GEOJSON, FRONTS_SHP, STYLE)]
    # Written into a folder of its own first: SQLite cannot write to a stream, and GDAL
    # may lose the error of a full disk, so that the bytes are copied by Python.
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        package = Path(scratch) / FRONTS_GPKG
        layers = {FRONTS_LAYER: own, EXCHANGE_LAYER: exchange}
        if single_dates is not None:
            layers[SINGLE_DATES] = single_dates
        if shores is not None:
            layers[SHORE] = shores
        package.write_bytes(vector_file(layers))
        _put_style(package, style)
        paths[0].write_bytes(package.read_bytes())
        shape = Path(scratch) / FRONTS_SHP
        _attributes(exchange).to_file(shape, driver="ESRI Shapefile", encoding="UTF-8")
        for file in sorted(Path(scratch).glob("fronts.*")):
            if file.suffix != ".gpkg":
                (folder / file.name).write_bytes(file.read_bytes())
                if file.suffix != ".shp":
                    paths.append(folder / file.name)
    paths[1].write_bytes(vector_file({FRONTS_LAYER: exchange}, "GeoJSON"))
    paths[3].write_text(style, "utf-8")
    return paths


def _attributes(table: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return a table fit for a shapefile: no formulas, no text longer than the format holds."""
    table = harmless_text(table)  # spreadsheets open it
    for name in table.columns:
        table[name] = [
            cell.encode()[:_LONGEST_TEXT].decode("utf-8", "ignore")
            if isinstance(cell, str)
            else cell
            for cell in table[name]
        ]
    return table


# --- QGIS -----------------------------------------------------------------------------------


def qgis_style(decimal_dates: pd.Series) -> str:
    """Return a QGIS style (QML): lines coloured by date, a class a year.

    Parameters
    ----------
    decimal_dates : Series of float
        Years with their fraction, the column ``decimal_date``.
    """
    known = decimal_dates.dropna()
    first, last = int(np.floor(known.min())), int(np.floor(known.max())) + 1
    edges = np.linspace(first, last, min(last - first, MANY_YEARS) + 1)
    whole = len(edges) == last - first + 1
    colours = [to_hex(c) for c in date_colours((edges[:-1] + edges[1:]) / 2)]
    ranges, symbols = [], []
    for number, (low, high, colour) in enumerate(zip(edges, edges[1:], colours, strict=False)):
        label = f"{low:.0f}" if whole else f"{low:.1f} – {high:.1f}"
        ranges.append(
            f'      <range lower="{low:.6f}" upper="{high:.6f}" symbol="{number}" '
            f'label={quoteattr(label)} render="true"/>'
        )
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        symbols.append(
            f'      <symbol type="line" name="{number}" alpha="1" clip_to_extent="1">\n'
            '        <layer class="SimpleLine" enabled="1" pass="0" locked="0">\n'
            '          <Option type="Map">\n'
            '            <Option name="capstyle" type="QString" value="round"/>\n'
            '            <Option name="joinstyle" type="QString" value="round"/>\n'
            '            <Option name="line_color" type="QString" '
            f'value="{red},{green},{blue},255"/>\n'
            '            <Option name="line_style" type="QString" value="solid"/>\n'
            '            <Option name="line_width" type="QString" value="0.46"/>\n'
            '            <Option name="line_width_unit" type="QString" value="MM"/>\n'
            "          </Option>\n"
            "        </layer>\n"
            "      </symbol>"
        )
    return "\n".join(
        [
            "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>",
            '<qgis version="3.28.0" styleCategories="Symbology">',
            '  <renderer-v2 type="graduatedSymbol" attr="decimal_date" '
            'graduatedMethod="GraduatedColor" symbollevels="0" enableorderby="0" forceraster="0">',
            "    <ranges>",
            *ranges,
            "    </ranges>",
            "    <symbols>",
            *symbols,
            "    </symbols>",
            "  </renderer-v2>",
            "  <layerGeometryType>1</layerGeometryType>",
            "</qgis>",
            "",
        ]
    )


def _put_style(path: Path, style: str) -> None:
    """Keep a style in a GeoPackage where QGIS looks for it: the table ``layer_styles``."""
    db = sqlite3.connect(path)
    try:
        with db:
            db.execute(
                "CREATE TABLE layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, "
                "f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256), "
                "f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT, "
                "useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30), "
                "update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))"
            )
            db.execute(
                "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
                "f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, "
                "owner, update_time) "
                "VALUES ('', '', ?, 'geom', 'by date', ?, '', 1, 'Fronts by date', '', ?)",
                (FRONTS_LAYER, style, FIXED_TIME),
            )
            db.execute(
                "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change) "
                "VALUES ('layer_styles', 'attributes', 'layer_styles', ?)",
                (FIXED_TIME,),
            )
    finally:
        db.close()
