"""All that is known of a project: fronts of every source, their measures, grades and series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import geopandas as gpd
import pandas as pd

from icefront.errors import IcefrontError, failure
from icefront.fronts.date_columns import read_dates
from icefront.fronts.date_line import in_crs
from icefront.glaciers import Spellings, name_key
from icefront.measures.by_glacier import METHODS, measure_each
from icefront.projects.catalogue import DONE, FAILED, NEW, NO_FRONT, RUNNING, Catalogue
from icefront.timeseries.grades import grade_fronts
from icefront.timeseries.series import Series, make_series
from icefront.timeseries.source_comparison import compare_sources

METHOD = METHODS[0]
"""The measure that figures and grades rest on."""

REJECTED = "rejected"


@dataclass(frozen=True)
class ProjectResults:
    """A project's fronts and what follows from them.

    Attributes
    ----------
    fronts : GeoDataFrame
        A row per front, in order of glacier and date, index 0 to N - 1: the columns of the
        catalogue or of the import, ``date`` as datetime64 and the grades (`grade_fronts`).
    lines : GeoDataFrame
        Reference lines by glacier.
    measured : DataFrame
        Of all methods, with ``front`` (row of `fronts`) and ``grade``.
    series : dict
        By glacier, then by method.
    sources : DataFrame
        Comparison of sources on the same days.
    scenes : DataFrame
        A row per scene of the catalogue, whatever its state, without geometry.
    notes : tuple of str
        What was left out and why.
    project : Path or None
    counts : dict
        Number of scenes by state.
    single_dates : GeoDataFrame or None
        Fronts of each date alone, where the pass through time gave others.
    shores : GeoDataFrame or None
        What the fronts leave out because it is shore.
    """

    fronts: gpd.GeoDataFrame
    lines: gpd.GeoDataFrame
    measured: pd.DataFrame
    series: dict[str, dict[str, Series]]
    sources: pd.DataFrame
    scenes: pd.DataFrame
    notes: tuple[str, ...] = ()
    project: Path | None = None
    counts: dict[str, int] = field(default_factory=dict)
    single_dates: gpd.GeoDataFrame | None = None
    shores: gpd.GeoDataFrame | None = None

    def without_series(self) -> pd.DataFrame:
        """List the glaciers that have scenes or fronts, but no front that was measured.

        Returns
        -------
        DataFrame
            ``glacier``, ``scenes`` and ``fronts`` (numbers) and ``states`` (such as ``2 no front,
            1 failed``).
        """
        known = {}
        for what, table in (("fronts", self.fronts), ("scenes", self.scenes)):
            if "glacier" in table:
                known[what] = table["glacier"].fillna("").astype(str)
        names = sorted(set().union(*known.values()) - set(self.series))
        rows = []
        for name in names:
            mine = self.scenes[known["scenes"] == name] if "scenes" in known else self.scenes
            states = mine["state"].value_counts(sort=False) if len(mine) else pd.Series(dtype=int)
            counted = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
            rows.append((name, len(mine), int((known["fronts"] == name).sum()), counted))
        return pd.DataFrame(rows, columns=["glacier", "scenes", "fronts", "states"])


def load_results(
    project: Path,
    *,
    imported: Sequence[gpd.GeoDataFrame] = (),
    centreline: gpd.GeoDataFrame | None = None,
    box: gpd.GeoDataFrame | None = None,
    width_m: float | None = None,
    inland: tuple[float, float] | None = None,
    members: Sequence[Path] = (),
    glaciers: Sequence[str] = (),
) -> ProjectResults:
    """Read a project and measure its fronts.

    Parameters
    ----------
    project : Path
    imported : sequence of GeoDataFrame
        Fronts from elsewhere (`icefront.fronts.read_fronts`).
    centreline, box, width_m, inland
        As for `icefront.measures.reference_lines`.
    members : sequence of Path
        Other projects on the same scenes, by other models.
    glaciers : sequence of str
        Only these; all by default.

    Raises
    ------
    IcefrontError
        If there is no catalogue, no front with a date, or no glacier can be measured.
    """
    with Catalogue(project, check=False) as catalogue:
        chosen = _spelled_there(catalogue, glaciers)
        own = catalogue.table([DONE], chosen)
        scenes = pd.DataFrame(catalogue.table([NEW, RUNNING, DONE, NO_FRONT, FAILED], chosen))
        scenes = scenes.drop(columns="geometry")
        counts = catalogue.counts()
        single_dates, shores = catalogue.single_dates(chosen), catalogue.shores(chosen)
    others = []
    for path in members:
        with Catalogue(path, check=False) as catalogue:
            others.append(catalogue.table([DONE], _spelled_there(catalogue, glaciers)))
    tables = [own, *(in_crs(table, own.crs) for table in imported)]
    tables = [table.assign(date=_dates(table)) for table in tables if len(table)]
    if not tables:
        of = f" of {', '.join(glaciers)}" if chosen else ""
        raise IcefrontError(f"{project} holds no front{of} yet: run 'icefront monitor run' first.")
    fronts = gpd.GeoDataFrame(
        pd.concat([pd.DataFrame(table) for table in tables], ignore_index=True),
        geometry="geometry",
        crs=own.crs,
    )
    results = compute_results(
        fronts,
        centreline=centreline,
        box=box,
        width_m=width_m,
        inland=inland,
        members=others,
        glaciers=glaciers,
        scenes=scenes,
        project=project,
        counts=counts,
        notes=[note for table in imported for note in table.attrs.get("notes", ())],
    )
    return replace(results, single_dates=single_dates, shores=shores)


def compute_results(
    fronts: gpd.GeoDataFrame,
    *,
    centreline: gpd.GeoDataFrame | None = None,
    box: gpd.GeoDataFrame | None = None,
    width_m: float | None = None,
    inland: tuple[float, float] | None = None,
    members: Sequence[gpd.GeoDataFrame] = (),
    glaciers: Sequence[str] = (),
    scenes: pd.DataFrame | None = None,
    project: Path | None = None,
    counts: dict[str, int] | None = None,
    notes: Sequence[str] = (),
) -> ProjectResults:
    """Measure, grade and fit a table of fronts, glacier by glacier.

    A glacier that cannot be measured is left out of the series and named in the notes, which go on
    from those that are given; its fronts stay in the table.
    """
    notes = list(notes)
    spellings = Spellings()
    fronts = spellings.in_table(fronts.assign(glacier=fronts["glacier"].fillna("").astype(str)))
    centreline, box = spellings.in_table(centreline), spellings.in_table(box)
    scenes, members = spellings.in_table(scenes), [spellings.in_table(m) for m in members]
    if glaciers:
        wanted = fronts["glacier"].isin([spellings.of(name) for name in glaciers])
        if not wanted.any():
            raise IcefrontError(
                f"There is no front of {', '.join(glaciers)}; there are "
                f"{', '.join(sorted(set(fronts['glacier'])))}."
            )
        fronts = fronts[wanted]
        if scenes is not None and "glacier" in scenes:
            scenes = scenes[scenes["glacier"].isin([spellings.of(name) for name in glaciers])]
    undated = fronts["date"].isna()
    if undated.any():
        notes.append(f"{undated.sum()} fronts have no date and are in no series.")
    if undated.all():
        raise IcefrontError("No front has a date: name them in a table, see docs/monitoring.md.")
    fronts = fronts.sort_values(["glacier", "date"], kind="stable", ignore_index=True)
    by_hand = (
        (fronts["verdict"] == REJECTED).to_numpy()
        if "verdict" in fronts
        else pd.Series(False, index=fronts.index).to_numpy()
    )
    usable = fronts[fronts["date"].notna() & ~by_hand]
    if by_hand.any():
        notes.append(f"{by_hand.sum()} fronts were rejected by hand and are in no series.")
    names = list(dict.fromkeys(usable["glacier"]))
    lines, measured, unmeasured = measure_each(
        usable,
        centreline=_for_each(centreline, names),
        box=_for_each(box, names),
        width_m=width_m,
        inland=inland,
    )
    notes += unmeasured
    series: dict[str, dict[str, Series]] = {}
    for glacier, mine in measured.groupby("glacier", sort=False):
        try:
            by_method = {
                method: make_series(part) for method, part in mine.groupby("method", sort=False)
            }
        except Exception as error:  # whatever it is, the other glaciers have their series
            notes.append(failure(f"The series of {glacier or 'the glacier'}", error))
        else:
            series[glacier] = by_method
    if not series:
        raise IcefrontError("No glacier has a series. " + " ".join(notes))
    measured = measured[measured["glacier"].isin(series)].reset_index(drop=True)
    lines = lines[lines["glacier"].isin(series)].reset_index(drop=True)
    grades = grade_fronts(fronts, lines, measured[measured["method"] == METHOD], members)
    fronts = fronts.join(grades)
    measured["grade"] = measured["front"].map(fronts["grade"])
    sources = pd.DataFrame()
    if "source" in measured and measured["source"].nunique() > 1:
        sources = compare_sources(measured)
    return ProjectResults(
        fronts,
        lines,
        measured,
        series,
        sources,
        pd.DataFrame() if scenes is None else scenes,
        tuple(notes),
        project,
        counts or {},
    )


def _spelled_there(catalogue: Catalogue, glaciers: Sequence[str]) -> list[str] | None:
    """Return the spellings in a catalogue of glaciers; None, which is all, if it knows none."""
    keys = {name_key(name) for name in glaciers}
    return [name for name in catalogue.glaciers() if name_key(name) in keys] or None


def _dates(table: gpd.GeoDataFrame) -> pd.Series:
    read = read_dates(table["date"], column="The column 'date' of a table of fronts")
    return pd.Series(pd.to_datetime(read.days), table.index).astype("datetime64[s]")


def _for_each(given: gpd.GeoDataFrame | None, names: Sequence[str]) -> gpd.GeoDataFrame | None:
    """Give a centreline or box without a column of glaciers to each of them."""
    if given is None or "glacier" in given:
        return given
    return pd.concat([given.assign(glacier=name) for name in names], ignore_index=True)
