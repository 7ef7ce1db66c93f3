"""The pass through time of a project: each glacier's dates made to agree, their fronts redrawn.

What the pass needs is on disk (the probabilities of each scene, `icefront.projects.probabilities`),
and what it gives is written date by date, each in one transaction; that a glacier is finished is
noted last. A pass that was cut off is done again.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from filelock import FileLock
from shapely.geometry.base import BaseGeometry

from icefront.errors import FullDiskError, IcefrontError, failure
from icefront.extraction.series_fronts import (
    PROVISIONAL,
    SMOOTHED,
    THROUGH_TIME_COLUMNS,
    DatedZones,
    SmoothedDate,
    in_series,
    on_one_lattice,
    smooth_dates,
)
from icefront.extraction.settings import parse_date
from icefront.files.atomic import explained_writing
from icefront.fronts.distances import mean_distance
from icefront.fronts.lines import ground_length
from icefront.fronts.quality import GOOD
from icefront.glaciers import name_key
from icefront.projects.catalogue import (
    CORRECTED,
    DONE,
    LAYER,
    NO_FRONT,
    RUNS,
    SINGLE_COLUMNS,
    SINGLE_DATES,
    Catalogue,
    add_layer,
    blob_of,
    kept_file,
    line_of,
    plain,
    scene_folder,
    state_of,
)
from icefront.projects.config import Areas, MonitoringConfig
from icefront.projects.corrections import (
    Correction,
    add_corrections,
    evidence_of,
    list_corrections,
    take_back,
)
from icefront.projects.probabilities import (
    SMOOTHED_SUFFIX,
    SUFFIX,
    read_lattice,
    read_probabilities,
    write_probabilities,
)

SERIES = "series"
"""Table of the catalogue: for each glacier, the digest of what its last pass was made from."""

METHOD = 1
"""Raised when the pass gives other fronts from the same scenes, so that it is done again."""

_log = logging.getLogger(__name__)


@dataclass
class PassReport:
    """What the pass through time did.

    Attributes
    ----------
    glaciers, dates : int
        Glaciers that were passed, and their dates.
    redrawn : int
        Fronts that were drawn anew.
    notes : list of str
    """

    glaciers: int = 0
    dates: int = 0
    redrawn: int = 0
    notes: list[str] = field(default_factory=list)


def smooth_project(
    catalogue: Catalogue, areas: Areas, *, progress: bool = False, renew: bool = False
) -> PassReport:
    """Do the pass through time for each glacier that has something new.

    Parameters
    ----------
    catalogue : Catalogue
    areas : Areas
        Of interest, outside of which no front is drawn.
    progress : bool
        Show a bar on stderr, if that is a terminal.
    renew : bool
        Also for glaciers without anything new.

    Raises
    ------
    IcefrontError
        If the disk is full or the catalogue is damaged.
    """
    report = PassReport()
    _ensure_tables(catalogue)
    for glacier in _glaciers_with_dates(catalogue):
        lock = FileLock(catalogue.folder / f".{SERIES}.lock")
        with explained_writing(catalogue.folder), lock:
            rows = _dated_rows(catalogue, glacier)
            corrections = list_corrections(catalogue, glacier)
            digest = _digest(rows, corrections, areas.digest(glacier))
            # Rows tell whether anything is new: files of a thousand glaciers need not be opened.
            if not renew and _passed(catalogue, glacier) == digest:
                continue
            members = _series_members(catalogue.folder, glacier, rows)
            if not members:
                _note_passed(catalogue, glacier, digest)
                continue
            try:
                report.redrawn += _smooth_glacier(
                    catalogue, glacier, members, corrections, areas, progress
                )
            except FullDiskError:
                raise
            except Exception as error:
                # One glacier's failure must not stop the others.
                why = failure(glacier or "the glacier", error)
                report.notes.append(f"{glacier or 'The glacier'} stays as its dates alone: {why}")
                continue
            _note_passed(catalogue, glacier, digest)
        report.glaciers += 1
        report.dates += len(members)
    return report


def correct_project(
    project: Path,
    fronts: gpd.GeoDataFrame | None = None,
    *,
    person: str | None = None,
    file: Path | None = None,
    undo: Sequence[int] = (),
    progress: bool = True,
) -> tuple[list[Correction], PassReport]:
    """Correct fronts of a project by hand-drawn ones, and smooth the glaciers they belong to.

    Parameters
    ----------
    project : Path
    fronts : GeoDataFrame, optional
        From `icefront.fronts.read_fronts`: one line from wall to wall for each date.
    person : str, optional
        Who drew them.
    file : Path, optional
        Where they came from.
    undo : sequence of int
        Numbers of corrections to take back instead.
    progress : bool
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    list of Correction
        Those that were added or taken back.
    PassReport

    Raises
    ------
    IcefrontError
        If the project keeps no probabilities, or as `add_corrections` and `take_back`.
    """
    with Catalogue(project) as catalogue:
        if undo:
            changed = take_back(catalogue, list(undo))
        else:
            assert fronts is not None
            series = {
                glacier: [member for member, _ in members]
                for glacier, members in series_of(catalogue, _named(fronts)).items()
            }
            if not series:
                raise IcefrontError(
                    f"{project} holds no glacier with several dates whose probabilities are kept: "
                    "run 'icefront monitor run' with --renew first."
                )
            changed = add_corrections(catalogue, fronts, series, person=person, file=file)
        report = smooth_project(catalogue, Areas(*configuration_of(project)), progress=progress)
        catalogue.note_extent()
    return changed, report


def configuration_of(project: Path) -> tuple[MonitoringConfig, Path]:
    """Return the configuration of the newest run of a project, and the folder of its paths."""
    for path in sorted((project / RUNS).glob("*.json"), reverse=True):
        try:
            record = json.loads(path.read_text("utf-8"))
            return MonitoringConfig.model_validate(record["config"]), Path(record["root"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("%s is not taken into account (%s).", path, error)
    return MonitoringConfig(), project


def restore_single_dates(catalogue: Catalogue) -> None:
    """Give each front back what its date's image alone says, where the pass had moved it."""
    if not catalogue.has_table(SINGLE_DATES):
        return
    with catalogue.writing() as db:
        for row in db.execute(
            f"SELECT s.* FROM {SINGLE_DATES} s JOIN {LAYER} f USING (fid) "
            "WHERE f.through_time IS NOT NULL"
        ).fetchall():
            values = {name: row[name] for name in ("length_m", "uncertainty_m", "flag", "reason")}
            values |= {"geom": row["geom"], "state": state_of(row["flag"])}
            values |= dict.fromkeys(THROUGH_TIME_COLUMNS)
            catalogue.update(row["fid"], values)
        if catalogue.has_table(SERIES):
            db.execute(f"DELETE FROM {SERIES}")


def _smooth_glacier(
    catalogue: Catalogue,
    glacier: str | None,
    members: list[tuple[DatedZones, Any]],
    corrections: list[Correction],
    areas: Areas,
    progress: bool,
) -> int:
    """Smooth the dates of one glacier and write what changes; return the number of fronts."""
    folder = scene_folder(catalogue.folder, glacier)
    dated = [member for member, _ in members]
    by_date = {correction.date: correction for correction in corrections}
    newest = max(member.date for member, _ in members)

    def is_new(index: int, probabilities: np.ndarray) -> bool:
        """Tell whether the zones of a date are others than its front was drawn from."""
        member, row = members[index]
        status = PROVISIONAL if member.date == newest else SMOOTHED
        if member.date.isoformat() in by_date:
            status = CORRECTED
        before = folder / f"{row['name']}{SMOOTHED_SUFFIX}"
        if row["through_time"] != status or not before.exists():
            return True
        try:
            known = read_probabilities(before)
        except IcefrontError:
            return True
        return known.shape != probabilities.shape or bool(
            (known.argmax(axis=0) != probabilities.argmax(axis=0)).any()
        )

    redrawn = 0
    for done in smooth_dates(
        dated,
        corrections=evidence_of(corrections, dated, catalogue),
        aoi=areas.of(glacier),
        folder=catalogue.folder,
        wanted=is_new,
        progress=progress,
    ):
        _, row = members[done.index]
        write_probabilities(
            folder / f"{row['name']}{SMOOTHED_SUFFIX}",
            done.probabilities,
            done.grid,
            {"SCENE": row["scene"], "DATE": row["date"]},
        )
        _put_down(catalogue, row, done, by_date.get(row["date"]))
        redrawn += 1
    return redrawn


def _put_down(
    catalogue: Catalogue, row: Any, done: SmoothedDate, correction: Correction | None
) -> None:
    """Write the front through time of one date into the catalogue, keeping the single-date one."""
    front = done.front.to_crs(catalogue.crs)
    line: BaseGeometry = front.geometry.iloc[0]
    values = {name: plain(front[name].iloc[0]) for name in ("length_m", "uncertainty_m")}
    values |= {name: front[name].iloc[0] for name in ("flag", "reason", "through_time")}
    if correction is not None:
        line = correction.line
        values |= {
            "length_m": ground_length(line, catalogue.crs),
            "uncertainty_m": done.grid.transform.a,
            "flag": GOOD,
            "reason": f"drawn by {correction.person or 'a person'}",
            "through_time": CORRECTED,
        }
    names = ", ".join(("geom", *SINGLE_COLUMNS))
    with catalogue.writing() as db:
        if row["through_time"] is None:
            db.execute(
                f"INSERT OR REPLACE INTO {SINGLE_DATES} (fid, {names}) "
                f"SELECT fid, {names} FROM {LAYER} WHERE fid = ?",
                (row["fid"],),
            )
        (blob,) = db.execute(
            f"SELECT geom FROM {SINGLE_DATES} WHERE fid = ?", (row["fid"],)
        ).fetchone()
        moved = mean_distance(line_of(blob), line, done.grid.transform.a)
        catalogue.update(
            row["fid"],
            {
                **values,
                "geom": None if line.is_empty else blob_of(line, catalogue.srs),
                "state": state_of(values["flag"]),
                "interpolated": float(front["interpolated"].iloc[0]),
                "moved_m": plain(moved),
            },
        )


def series_of(
    catalogue: Catalogue, names: Sequence[str] | None = None
) -> dict[str | None, list[tuple[DatedZones, Any]]]:
    """Return the scenes with probabilities and their rows, for glaciers of at least two dates.

    Parameters
    ----------
    catalogue : Catalogue
    names : sequence of str, optional
        Only these glaciers, in any spelling, if the catalogue has them; else all.
    """
    keys = {name_key(name) for name in names or ()}
    found = {}
    glaciers = _glaciers_with_dates(catalogue)
    chosen = [glacier for glacier in glaciers if glacier and name_key(glacier) in keys]
    for glacier in chosen or glaciers:
        rows = _dated_rows(catalogue, glacier)
        members = _series_members(catalogue.folder, glacier, rows)
        if members:
            found[glacier] = members
    return found


def _named(fronts: gpd.GeoDataFrame) -> list[str] | None:
    """Return the glaciers that a table of fronts names, or None if some rows name none."""
    names = list(fronts["glacier"]) if "glacier" in fronts else [None]
    known = [name for name in names if isinstance(name, str) and name]
    return known if len(known) == len(names) else None


def _glaciers_with_dates(catalogue: Catalogue) -> list[str | None]:
    found = catalogue.select(
        f"SELECT glacier FROM {LAYER} WHERE state IN (?, ?) AND date IS NOT NULL "
        "GROUP BY glacier ORDER BY min(fid)",
        (DONE, NO_FRONT),
    )
    return [glacier for (glacier,) in found]


def _dated_rows(catalogue: Catalogue, glacier: str | None) -> list[Any]:
    where = "glacier IS ? AND +state IN (?, ?) AND date IS NOT NULL"
    return catalogue.rows(where, (glacier, DONE, NO_FRONT))


def _series_members(
    folder: Path, glacier: str | None, rows: list[Any]
) -> list[tuple[DatedZones, Mapping[str, Any]]]:
    """Return the members of a glacier's series; none if no two of them belong together."""
    members = _members(folder, glacier, rows)
    near = in_series([member.date for member, _ in members])
    return list(itertools.compress(members, near)) if any(near) else []


def _members(
    folder: Path, glacier: str | None, rows: list[Any]
) -> list[tuple[DatedZones, Mapping[str, Any]]]:
    """Return the scenes whose probabilities are kept, on the map of most of them."""
    members = []
    for row in rows:
        path = kept_file(folder, glacier, f"{row['name']}{SUFFIX}")
        if not path.exists():
            continue
        try:
            grid = read_lattice(path)
            date = parse_date(row["date"])
        except IcefrontError as error:
            _log.warning("%s", error)
            continue
        member = DatedZones(
            row["scene"],
            date,
            grid,
            partial(read_probabilities, path),
            row["glacier"],
            row["sensor"],
            row["polarisation"],
            row["orbit"],
        )
        members.append((member, row))
    usual = on_one_lattice([member for member, _ in members])
    return list(itertools.compress(members, usual))


def _digest(rows: list[Any], corrections: list[Correction], area: str) -> str:
    """Return what tells one pass of a glacier from another."""
    facts = [[row["name"], row["sha256"], row["settings"], row["date"]] for row in rows]
    drawn = [[correction.number, correction.date] for correction in corrections]
    text = json.dumps([METHOD, area, facts, drawn])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _ensure_tables(catalogue: Catalogue) -> None:
    if catalogue.has_table(SINGLE_DATES) and catalogue.has_table(SERIES):
        return
    with catalogue.writing() as db:
        if not catalogue.has_table(SINGLE_DATES):
            what = "Fronts from each date's image alone"
            add_layer(db, SINGLE_DATES, SINGLE_COLUMNS, what, catalogue.srs)
        db.execute(
            f"CREATE TABLE IF NOT EXISTS {SERIES} (glacier TEXT PRIMARY KEY, digest TEXT NOT NULL)"
        )


def _passed(catalogue: Catalogue, glacier: str | None) -> str | None:
    row = catalogue.db.execute(
        f"SELECT digest FROM {SERIES} WHERE glacier = ?", (glacier or "",)
    ).fetchone()
    return None if row is None else str(row["digest"])


def _note_passed(catalogue: Catalogue, glacier: str | None, digest: str) -> None:
    with catalogue.writing() as db:
        db.execute(f"INSERT OR REPLACE INTO {SERIES} VALUES (?, ?)", (glacier or "", digest))
