"""All measures of a table of fronts at once, glacier by glacier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS

from icefront.errors import IcefrontError, failure
from icefront.glaciers import Spellings
from icefront.measures.centrelines import centreline_position, parallel_centrelines
from icefront.measures.curvilinear import curvilinear_box
from icefront.measures.front_tables import (
    CHECK,
    GOOD,
    NO_POSITION,
    Plane,
    check_fronts,
    dates_of,
    measuring_crs,
    one_line,
    one_polygon,
    reproject,
)
from icefront.measures.ice_side import CENTRELINE, inland_compass
from icefront.measures.proposals import box_of, centreline_of, flow_of, width_of
from icefront.measures.rectilinear import rectilinear_box

METHODS = ("curvilinear_box", "rectilinear_box", "parallel_centrelines", "centreline")
"""The measures, the one to look at first in front: a mean over the front beats a single point."""

_NO = pd.Series(False)
_KEPT = ("glacier", "sensor", "source", "scene")


def reference_lines(
    fronts: gpd.GeoDataFrame,
    *,
    centreline: gpd.GeoDataFrame | gpd.GeoSeries | None = None,
    box: gpd.GeoDataFrame | gpd.GeoSeries | None = None,
    width_m: float | None = None,
    inland: tuple[float, float] | None = None,
) -> gpd.GeoDataFrame:
    """Gather the centreline, box and width of each glacier; propose those that nobody has drawn.

    Parameters
    ----------
    fronts : GeoDataFrame
        Lines with columns ``date`` and, for several glaciers, ``glacier``.
    centreline, box : GeoDataFrame or GeoSeries, optional
        One line or polygon; for several glaciers a row each with the column ``glacier``.
    width_m : float, optional
        Of the curvilinear box and between the outermost parallel lines.
    inland : (x, y), optional
        A place inland of the fronts, in their CRS. Without it and a centreline our own fronts tell
        where the flow comes from, or else where there is land (`icefront.measures.ice_side`).

    Returns
    -------
    GeoDataFrame
        A row per glacier in the CRS of the fronts: ``glacier`` (empty where the fronts name none),
        ``width_m``, ``centreline_proposed``, ``box_proposed``, ``width_proposed`` (bool),
        ``ice_side`` (towards which point of the compass the ice lies, and how that was decided),
        ``box`` (polygons) and the active geometry ``centreline``.

    Raises
    ------
    IcefrontError
        If the fronts cannot be used, a glacier has several lines or boxes, or nothing tells on
        which side of its fronts the ice lies.
    """
    check_fronts(fronts)
    # The order of day and month is that of the whole column, not of one glacier's rows.
    spellings = Spellings()
    fronts = spellings.in_table(fronts.assign(date=dates_of(fronts)))
    centreline, box = spellings.in_table(centreline), spellings.in_table(box)
    names = _names(fronts)
    given = _Given(centreline, box, width_m, inland, several=names.nunique() > 1)
    rows = [
        _reference_row(fronts[(names == name).to_numpy()], name, given)
        for name in dict.fromkeys(names)
    ]
    return _line_table(rows, fronts.crs)


@dataclass(frozen=True)
class _Given:
    """What the user gives of the reference lines, for all glaciers."""

    centreline: gpd.GeoDataFrame | gpd.GeoSeries | None
    box: gpd.GeoDataFrame | gpd.GeoSeries | None
    width_m: float | None
    inland: tuple[float, float] | None
    several: bool

    def __post_init__(self) -> None:
        if self.width_m is not None and not (np.isfinite(self.width_m) and self.width_m > 0):
            raise IcefrontError(f"A box cannot be {self.width_m} m wide: give a positive width.")
        for table in (self.centreline, self.box):
            named = isinstance(table, gpd.GeoDataFrame) and "glacier" in table
            if self.several and table is not None and not named:
                raise IcefrontError(
                    "The fronts are of several glaciers, but the centreline or box has no column "
                    "'glacier' that says of which it is."
                )

    def of(
        self, table: gpd.GeoDataFrame | gpd.GeoSeries | None, name: str
    ) -> gpd.GeoDataFrame | gpd.GeoSeries | None:
        """The rows of a glacier; all if there is only one, none if it has no row."""
        if table is None or not (isinstance(table, gpd.GeoDataFrame) and "glacier" in table):
            return table
        mine = table[(table["glacier"].astype(str) == name).to_numpy()]
        if mine.empty:
            return None if self.several or len(table) > 1 else table
        return mine


def _reference_row(fronts: gpd.GeoDataFrame, name: str, given: _Given) -> dict[str, Any]:
    """Return the row of one glacier."""
    drawn_line, drawn_box = (given.of(table, name) for table in (given.centreline, given.box))
    line = None if drawn_line is None else one_line(drawn_line, fronts.crs)
    decided = CENTRELINE
    proposing = line is None or drawn_box is None or given.width_m is None
    if proposing or (shapely.length(fronts.geometry.to_numpy()) > 0).any():
        flow = flow_of(fronts, given.inland, centreline=line)
        decided = flow.decided
    if line is None:
        with _proposed(["centreline"]):
            line = one_line(centreline_of(flow, fronts.crs), fronts.crs)
    box = box_of(flow, fronts.crs) if drawn_box is None else drawn_box
    with _proposed(["box"] if drawn_box is None else []):
        area = one_polygon(box, fronts.crs)
    if (drawn_line is None) != (drawn_box is None) and not area.intersects(line):
        which = "centreline" if drawn_box is None else "box"
        raise IcefrontError(f"The {which} lies beside the fronts: check it and its CRS.")
    return {
        "glacier": name,
        "width_m": width_of(flow) if given.width_m is None else float(given.width_m),
        "centreline_proposed": drawn_line is None,
        "box_proposed": drawn_box is None,
        "width_proposed": given.width_m is None,
        "ice_side": f"{inland_compass(line, fronts.crs)}, {decided}",
        "centreline": line,
        "box": area,
    }


@contextmanager
def _proposed(what: Sequence[str]) -> Iterator[None]:
    """Blame nobody for a line, box or width that was proposed: say that, and what to give."""
    try:
        yield
    except IcefrontError as error:
        if not what:
            raise
        # What follows the colon is advice to somebody who has drawn it.
        reason = str(error).partition(": ")[0].removesuffix(".")
        options = " or ".join(f"--{name}" for name in what)
        raise IcefrontError(
            f"The {' and '.join(what)} proposed from its fronts cannot be used ({reason}): give "
            f"one with {options}."
        ) from error


def _line_table(rows: list[dict[str, Any]], crs: CRS) -> gpd.GeoDataFrame:
    table = gpd.GeoDataFrame(rows, geometry="centreline", crs=crs)
    table["box"] = gpd.GeoSeries(table["box"], crs=crs)
    return table


def measure(
    fronts: gpd.GeoDataFrame,
    lines: gpd.GeoDataFrame,
    *,
    parallels: int = 9,
    plane: Plane = "geodesic",
) -> pd.DataFrame:
    """Measure the fronts of one glacier or of many by all methods.

    Parameters
    ----------
    fronts : GeoDataFrame
        Lines with columns ``date`` and, for several glaciers, ``glacier``.
    lines : GeoDataFrame
        As `reference_lines` returns it.
    parallels : int
        Number of parallel lines.
    plane : "geodesic" or "projected"
        See `icefront.measures.front_tables.Plane`.

    Returns
    -------
    DataFrame
        A row per front and method, in order of glacier, method and date: ``glacier``, ``sensor``,
        ``source``, ``scene`` (what of these the fronts have), ``date``, ``method`` (see `METHODS`),
        ``position_m`` (advance is positive), ``uncertainty_m`` (of the front's place; NaN where the
        fronts have none), ``area_m2``, ``area_change_km2`` (since the first date) and ``flag``. For
        parallel lines the position is their mean, and the flag counts those that were missed.

    Raises
    ------
    IcefrontError
        If the fronts cannot be measured or a glacier has no lines.
    """
    check_fronts(fronts)
    spellings = Spellings(lines["glacier"])
    fronts = spellings.in_table(fronts.assign(date=dates_of(fronts)))
    names = _names(fronts)
    tables = []
    for name in dict.fromkeys(names):
        row = lines[lines["glacier"] == name]
        if len(row) != 1:
            raise IcefrontError(f"There are {len(row)} reference lines of the glacier {name!r}.")
        mine = fronts[(names == name).to_numpy()]
        tables.append(_measure_one(mine, row, parallels, plane))
    return pd.concat(tables, ignore_index=True)


def measure_each(
    fronts: gpd.GeoDataFrame,
    *,
    centreline: gpd.GeoDataFrame | gpd.GeoSeries | None = None,
    box: gpd.GeoDataFrame | gpd.GeoSeries | None = None,
    width_m: float | None = None,
    inland: tuple[float, float] | None = None,
    parallels: int = 9,
    plane: Plane = "geodesic",
) -> tuple[gpd.GeoDataFrame, pd.DataFrame, list[str]]:
    """Measure each glacier on its own, so that one that cannot be measured stops no other.

    Parameters
    ----------
    fronts, centreline, box, width_m, inland
        As for `reference_lines`.
    parallels, plane
        As for `measure`.

    Returns
    -------
    lines : GeoDataFrame
        As `reference_lines` returns it.
    measured : DataFrame
        As `measure` returns it, with ``front``: the index of the row of `fronts`.
    notes : list of str
        Glaciers that are not measured, and why.

    Raises
    ------
    IcefrontError
        If no glacier can be measured.
    """
    check_fronts(fronts)
    spellings = Spellings()
    fronts = spellings.in_table(fronts.assign(date=dates_of(fronts)))
    centreline, box = spellings.in_table(centreline), spellings.in_table(box)
    names = _names(fronts)
    given = _Given(centreline, box, width_m, inland, several=names.nunique() > 1)
    rows, tables, notes = [], [], []
    for name in dict.fromkeys(names):
        mine = fronts[(names == name).to_numpy()]
        try:
            row = _reference_row(mine, name, given)
            table = _measure_one(mine, _line_table([row], fronts.crs), parallels, plane)
        except Exception as error:  # whatever it is, the other glaciers are measured
            if not given.several and isinstance(error, IcefrontError):
                raise
            why = error if isinstance(error, IcefrontError) else failure("the measurement", error)
            notes.append(f"{name or 'The glacier'} is not measured: {why}")
            continue
        # `measure` sorts by date and keeps the order of the rows within: so do these labels.
        labels = mine.index.to_numpy()[np.argsort(dates_of(mine).to_numpy(), kind="stable")]
        place = table.groupby("method").cumcount()
        tables.append(table.assign(glacier=name, front=labels[place.to_numpy()]))
        rows.append(row)
    if not rows:
        several = "No glacier can be measured. " if given.several else ""
        raise IcefrontError(several + " ".join(notes))
    return _line_table(rows, fronts.crs), pd.concat(tables, ignore_index=True), notes


def _names(fronts: gpd.GeoDataFrame) -> pd.Series:
    if "glacier" not in fronts:
        return pd.Series("", index=fronts.index)
    return fronts["glacier"].fillna("").astype(str)


def _measure_one(
    fronts: gpd.GeoDataFrame, row: gpd.GeoDataFrame, parallels: int, plane: Plane
) -> pd.DataFrame:
    # Reproject once for all methods: in that CRS the metres of the projection are those wanted.
    crs = measuring_crs(fronts, row.geometry.iloc[0], plane)
    fronts = fronts.set_geometry(reproject(fronts.geometry, crs)).assign(date=dates_of(fronts))
    axis, box = (
        reproject(gpd.GeoSeries(row[name], crs=row.crs), crs) for name in ("centreline", "box")
    )
    width, plane = float(row["width_m"].iloc[0]), "projected"
    proposed = [n for n in ("centreline", "box", "width") if row.get(f"{n}_proposed", _NO).any()]
    with _proposed([name for name in proposed if name != "box"]):
        parallel = parallel_centrelines(fronts, axis, width, parallels, plane=plane)
        tables = {
            "curvilinear_box": curvilinear_box(fronts, axis, width, plane=plane),
            "parallel_centrelines": _mean_of_lines(parallel, fronts, parallels),
            "centreline": centreline_position(fronts, axis, plane=plane),
        }
    with _proposed([name for name in proposed if name != "width"]):
        tables["rectilinear_box"] = rectilinear_box(fronts, box, axis, plane=plane)
    order = np.argsort(dates_of(fronts).to_numpy(), kind="stable")
    uncertainty = (
        pd.to_numeric(fronts["uncertainty_m"], errors="coerce").to_numpy(float)
        if "uncertainty_m" in fronts
        else np.full(len(fronts), np.nan)
    )
    known = {name: fronts[name].to_numpy() for name in _KEPT if name in fronts}
    rows = []
    for method in METHODS:
        table = tables[method]
        area = (
            table["area_m2"].to_numpy(float) if "area_m2" in table else np.full(len(table), np.nan)
        )
        measured = area[order][~np.isnan(area[order])]
        first = measured[0] if measured.size else np.nan
        rows.append(
            pd.DataFrame(
                {
                    **known,
                    "date": table["date"].to_numpy(),
                    "method": method,
                    "position_m": table["position_m"].to_numpy(),
                    "uncertainty_m": uncertainty,
                    "area_m2": area,
                    "area_change_km2": (area - first) / 1e6,
                    "flag": table["flag"].to_numpy(),
                }
            ).iloc[order]
        )
    return pd.concat(rows, ignore_index=True)


def _mean_of_lines(lines: pd.DataFrame, fronts: gpd.GeoDataFrame, parallels: int) -> pd.DataFrame:
    """Mean over the lines; what a front does at lines that it misses is taken from the others."""
    position = lines["position_m"].to_numpy().reshape(-1, parallels)
    met = ~np.isnan(position)
    # Each line has an offset of its own, the mean shape of the front: without taking that out, a
    # missed line would shift the mean.
    shape = np.array(
        [np.median(p[m]) if m.any() else np.nan for p, m in zip(position.T, met.T, strict=True)]
    )
    shape -= np.nanmean(shape) if met.any() else 0.0
    count = met.sum(axis=1)
    total = np.where(met, position - shape, 0.0).sum(axis=1)
    mean = np.divide(total, count, out=np.full(len(position), np.nan), where=count > 0)
    flags = []
    for number in count:
        if number == parallels:
            flags.append(GOOD)
        elif number:
            flags.append(f"{CHECK}: misses {parallels - number} of {parallels} lines")
        else:
            flags.append(f"{NO_POSITION}: meets none of the lines")
    return pd.DataFrame(
        {"date": dates_of(fronts).to_numpy(), "position_m": mean, "flag": flags},
        index=fronts.index,
    )
