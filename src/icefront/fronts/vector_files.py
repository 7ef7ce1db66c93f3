"""Lines and polygons from files, with places that can be true, and into files."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import geopandas as gpd
import numpy as np
import pyogrio
import shapely
from pyproj import CRS

from icefront.errors import IcefrontError
from icefront.files.atomic import scratch_folder
from icefront.fronts.date_line import in_crs, in_degrees
from icefront.grid import crs_name
from icefront.scenes.access import check_vectors

_FARTHEST_M = 1e8
"""No map of the Earth goes farther, false eastings with the number of the zone included."""

_CYLINDRICAL = ("Popular Visualisation Pseudo Mercator", "Mercator", "Equidistant Cylindrical")
_EDGE_M = 1.9e7

_NAMED_ROWS = 3

FIXED_TIME = "2000-01-01T00:00:00.000Z"
"""What files say of the time of their last change, so that equal runs give equal files."""

_GEOPACKAGE = "1.3"
"""Version of the format of GeoPackages: newer ones make older software warn."""


def read_vectors(
    path: str | Path,
    what: str,
    *,
    layer: str | None = None,
    preferred: str | None = None,
    crs: str | None = None,
    crs_needed: bool = True,
    sole: bool = False,
) -> gpd.GeoDataFrame:
    """Read a vector file.

    Parameters
    ----------
    path : path
        Anything GDAL reads.
    what : str
        What errors call its content: ``lines``.
    layer : str, optional
        The layer to read; by default `preferred` if the file has it, else the first.
    preferred : str, optional
    crs : str, optional
        CRS of a file that states none, or one that its coordinates contradict.
    crs_needed : bool
        Refuse a file without CRS. Where none is needed, there is no option that states one.
    sole : bool
        Refuse a file of several layers without the preferred one.

    Returns
    -------
    GeoDataFrame
        With the active geometry ``geometry``. Dates in GeoJSON are text, as they stand there. In
        the CRS of the file, but in EPSG:4326 where that is in other units than degrees, or a
        cylindrical map with places near the date line.

    Raises
    ------
    IcefrontError
        If the file or layer is missing, cannot be read or holds no geometry; if it has no CRS, or
        one of no map, or holds metres where it states degrees, or degrees where it states metres.
    """
    path = Path(path)
    if not path.exists():
        raise IcefrontError(f"{path} does not exist: name a file of {what}.")
    check_vectors(path)
    # GDAL guesses at the order of two-digit dates in GeoJSON.
    options = {"DATE_AS_STRING": "YES"} if path.suffix.lower() in (".geojson", ".json") else {}
    try:
        layers = [str(name) for name in pyogrio.list_layers(path)[:, 0]]
        if layer is not None and layer not in layers:
            raise IcefrontError(f"{path.name} has no layer {layer!r} but {', '.join(layers)}.")
        if sole and len(layers) > 1 and preferred not in layers:
            raise IcefrontError(
                f"{path} has {len(layers)} layers: name that of the {preferred} {preferred}."
            )
        chosen = layer or (preferred if preferred in layers else layers[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = gpd.read_file(path, layer=chosen, **options)
    except IcefrontError:
        raise
    except Exception as error:  # whatever the vector library raises for a damaged file
        reason = " ".join(str(error).split())
        raise IcefrontError(f"{path} cannot be read as a file of {what} ({reason}).") from error
    if not isinstance(raw, gpd.GeoDataFrame) or raw.empty:
        raise IcefrontError(f"{path.name} holds no geometry: name a file of {what}.")
    if raw.geometry.name != "geometry":
        raw = raw.rename_geometry("geometry")
    return _in_true_crs(raw, path, crs, crs_needed)


def vector_file(
    layers: Mapping[str, gpd.GeoDataFrame], driver: Literal["GPKG", "GeoJSON"] = "GPKG"
) -> bytes:
    """Return the content of a GeoPackage or GeoJSON, the same at any time for the same tables.

    It is made in memory, several layers in a scratch folder: SQLite cannot write to a stream, and
    GDAL may lose the error of a full disk.

    Parameters
    ----------
    layers : mapping of str to GeoDataFrame
        Tables by the name of their layer; one for GeoJSON, which is brought to EPSG:4326.
    driver : "GPKG" or "GeoJSON"
    """
    with warnings.catch_warnings(), _fixed_time():
        # Tables in pixels are meant to have no CRS.
        warnings.filterwarnings("ignore", "'crs' was not provided")
        if len(layers) > 1:
            return _layers_file(layers, driver)
        ((layer, table),) = layers.items()
        content = io.BytesIO()
        if driver == "GeoJSON":
            in_crs(table, 4326).to_file(content, layer=layer, driver=driver, RFC7946="YES")
        else:
            table.to_file(content, layer=layer, driver=driver, VERSION=_GEOPACKAGE)
        return content.getvalue()


def _layers_file(layers: Mapping[str, gpd.GeoDataFrame], driver: str) -> bytes:
    with scratch_folder() as scratch:
        path = scratch / "content.gpkg"
        for layer, table in layers.items():
            table.to_file(path, layer=layer, driver=driver, VERSION=_GEOPACKAGE)
        return path.read_bytes()


@contextmanager
def _fixed_time() -> Iterator[None]:
    """Let GeoPackages state a fixed time of their last change."""
    name = "OGR_CURRENT_DATE"
    before = pyogrio.get_gdal_config_option(name)
    pyogrio.set_gdal_config_options({name: FIXED_TIME})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({name: before})


def crs_of(text: str) -> CRS:
    """Return the CRS that a text names.

    Raises
    ------
    IcefrontError
        If it names none.
    """
    try:
        return CRS.from_user_input(text)
    except Exception as error:
        raise IcefrontError(f"{text!r} is no CRS: give one such as EPSG:3413.") from error


def without_misplaced(
    table: gpd.GeoDataFrame, name: str, what: str = "rows"
) -> tuple[gpd.GeoDataFrame, list[str]]:
    """Leave out rows with vertices that are no places, and lines of no length.

    Parameters
    ----------
    table : GeoDataFrame
        Its index counts the rows of the file.
    name : str
        Of the file.
    what : str
        What a row holds.

    Returns
    -------
    GeoDataFrame
        The other rows.
    list of str
        A sentence that counts and names what was left out, or nothing.

    Raises
    ------
    IcefrontError
        If no row is left.
    """
    wrong = misplaced(table.geometry)
    shapes = table.geometry.to_numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        vanishing = (shapely.get_dimensions(shapes) == 1) & (shapely.length(shapes) == 0)
    wrong[(wrong == "") & vanishing & ~shapely.is_empty(shapes)] = "a line of no length"
    rows = np.flatnonzero(wrong != "")
    if not rows.size:
        return table, []
    shown = [f"row {table.index[row]} has {wrong[row]}" for row in rows[:_NAMED_ROWS]]
    more = f"; and {rows.size - _NAMED_ROWS} more" if rows.size > _NAMED_ROWS else ""
    text = f"{name}: {rows.size} of {len(table)} {what} left out: {'; '.join(shown)}{more}"
    if rows.size == len(table):
        raise IcefrontError(f"{text}: mend the file, or its CRS.")
    return table[wrong == ""], [text]


def misplaced(series: gpd.GeoSeries) -> np.ndarray:
    """Say what is wrong with the vertices of geometries.

    Parameters
    ----------
    series : GeoSeries

    Returns
    -------
    object (N,)
        An empty text where nothing is wrong, else a few words on one vertex: it is no finite
        number, lies beyond the poles or beyond all maps.
    """
    geometries = np.asarray(series.array)
    places, owner = shapely.get_coordinates(geometries, return_index=True)
    low, high = _limits(series.crs)
    with np.errstate(invalid="ignore"):
        bad = ~((places >= low) & (places <= high)).all(axis=1)
    wrong = np.full(len(geometries), "", object)
    beyond = "no longitude and latitude" if in_degrees(series.crs) else "beyond all maps"
    owners, first = np.unique(owner[bad], return_index=True)
    for row, vertex in zip(owners, places[bad][first], strict=True):
        why = beyond if np.isfinite(vertex).all() else "no finite place"
        wrong[row] = "the vertex ({:.6g}, {:.6g}), which is ".format(*vertex) + why
    return wrong


def _limits(crs: object) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest coordinates that a CRS can have."""
    if in_degrees(crs):
        # Longitudes to 360, and what a line adds that goes on across the date line.
        return np.array([-360.0, -90.0]) - 1e-6, np.array([540.0, 90.0]) + 1e-6
    axes = [] if crs is None else CRS.from_user_input(crs).axis_info
    farthest = _FARTHEST_M / (axes[0].unit_conversion_factor if axes else 1.0)
    return np.full(2, -farthest), np.full(2, farthest)


def _in_true_crs(
    raw: gpd.GeoDataFrame, path: Path, crs: str | None, needed: bool
) -> gpd.GeoDataFrame:
    """State the CRS of a table, and refuse one that its coordinates contradict."""
    given = None if crs is None else crs_of(crs)
    if raw.crs is not None and CRS.from_user_input(raw.crs).is_engineering:
        raw = raw.set_crs(None, allow_override=True)  # What GDAL states where nothing is known.
    if raw.crs is None and given is None:
        if needed:
            raise IcefrontError(
                f"{path} does not say in which CRS it is: give it with --crs, such as EPSG:3413."
            )
        return raw
    if raw.crs is None or (given is not None and _contradiction(raw)):
        raw = raw.set_crs(given, allow_override=True)
    contradiction = _contradiction(raw)
    if contradiction is not None:
        what, example = contradiction
        mend = (
            f"give their CRS with --crs, such as {example}" if needed else "state their CRS in it"
        )
        raise IcefrontError(
            f"{path} is in {crs_name(CRS.from_user_input(raw.crs))}, {what}: {mend}."
        )
    return _on_a_map(raw, path)


def _on_a_map(raw: gpd.GeoDataFrame, path: Path) -> gpd.GeoDataFrame:
    """Bring a table to degrees whose CRS is neither in degrees nor a map without a seam there."""
    system = CRS.from_user_input(raw.crs)
    if not (system.is_geographic or system.is_projected):
        raise IcefrontError(
            f"{path} is in {crs_name(system)}, which is no CRS of maps: save it in another, such "
            "as EPSG:4326."
        )
    if system.is_geographic:
        return raw if in_degrees(system) else raw.to_crs(4326)
    operation = system.coordinate_operation
    method = "" if operation is None else operation.method_name
    metres = np.abs(raw.total_bounds[[0, 2]]) * system.axis_info[0].unit_conversion_factor
    # Cylindrical maps have the date line at both edges.
    at_edge = (metres > _EDGE_M).any() and method.startswith(_CYLINDRICAL)
    return raw.to_crs(4326) if at_edge else raw


def _contradiction(raw: gpd.GeoDataFrame) -> tuple[str, str] | None:
    """Say that coordinates are metres in a CRS of degrees, or degrees in one of metres.

    Returns
    -------
    (str, str) or None
        What contradicts what, and a CRS that might be meant.
    """
    places = shapely.get_coordinates(raw.geometry.to_numpy())
    places = places[(np.abs(places) <= _FARTHEST_M).all(axis=1)]
    if not len(places):
        return None
    low, high = _limits("EPSG:4326")
    fits = ((places >= low) & (places <= high)).all(axis=1)
    shown = "({:.6g}, {:.6g})".format(*places[np.argmin(fits)])
    if in_degrees(raw.crs) and not fits.any():
        shown += ", which are metres or pixels"
        return f"whose coordinates are degrees, but holds numbers such as {shown}", "EPSG:3413"
    # Nearer to the equator no glacier ends in water, and small numbers may be metres.
    poleward = np.abs(places[:, 1]) >= 30
    if CRS.from_user_input(raw.crs).is_projected and (fits & poleward).all():
        return f"whose coordinates are lengths, but holds degrees such as {shown}", "EPSG:4326"
    return None
