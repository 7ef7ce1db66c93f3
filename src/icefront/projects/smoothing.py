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
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
from filelock import FileLock
from shapely.geometry.base import BaseGeometry

from icefront.errors import FullDiskError, IcefrontError, failure
from icefront.extraction.series_fronts import (
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
from icefront.fronts.lines import END_COLUMNS, ground_length
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
    Revisions,
    add_corrections,
    corrected_glaciers,
    evidence_of,
    list_corrections,
    take_back,
)
from icefront.projects.probabilities import (
    SMOOTHED_SUFFIX,
    SUFFIX,
    read_front,
    read_header,
    read_probabilities,
    write_probabilities,
)

SERIES = "series"
"""Table of the catalogue: for each glacier, the digest of what its last pass was made from."""

DRAWN = "drawn_from"
"""Table of the catalogue: for each scene, the fingerprint of what its front was drawn from."""

METHOD = 3
"""Raised when the pass gives other fronts from the same scenes, so that it is done again."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MovedFront:
    """A front that a pass through time drew anew.

    Attributes
    ----------
    fid : int
        Of its row.
    date : str
        ``YYYY-MM-DD``.
    moved_m : float or None
        Mean distance from the front that was there before, in metres; None where one of them is
        empty.
    """

    fid: int
    date: str
    moved_m: float | None


@dataclass
class PassReport:
    """What the pass through time did.

    Attributes
    ----------
    glaciers, dates : int
        Glaciers that were passed, and their dates.
    moved : list of MovedFront
        Fronts that were drawn anew.
    notes : list of str
    """

    glaciers: int = 0
    dates: int = 0
    moved: list[MovedFront] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def redrawn(self) -> int:
        """Number of fronts that were drawn anew."""
        return len(self.moved)


def smooth_project(
    catalogue: Catalogue,
    areas: Areas,
    *,
    glaciers: Collection[str | None] | None = None,
    progress: bool = False,
    renew: bool = False,
) -> PassReport:
    """Do the pass through time for each glacier that has something new.

    Parameters
    ----------
    catalogue : Catalogue
    areas : Areas
        Of interest, outside of which no front is drawn.
    glaciers : collection of str, optional
        Only these; all by default.
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
        if glaciers is not None and glacier not in glaciers:
            continue
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
                report.moved += _smooth_glacier(
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
    seen: Revisions | None = None,
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
    seen : mapping, optional
        As for `add_corrections`; only these glaciers are smoothed then.
    progress : bool
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    list of Correction
        Those that were added or taken back.
    PassReport

    Raises
    ------
    ConflictError
        As `add_corrections`.
    IcefrontError
        If the project keeps no probabilities, or as `add_corrections` and `take_back`.
    """
    only = None if seen is None else set(seen)
    with Catalogue(project) as catalogue:
        if undo:
            changed = take_back(catalogue, list(undo), person=person, seen=seen)
        else:
            assert fronts is not None
            found = (
                series_of(catalogue, _named(fronts))
                if seen is None
                else {name: members_of(catalogue, name) for name in seen}
            )
            series = {
                glacier: [member for member, _ in members]
                for glacier, members in found.items()
                if members
            }
            if not series:
                raise IcefrontError(
                    f"{project} holds no glacier with several dates whose probabilities are kept: "
                    "run 'icefront monitor run' with --renew first."
                )
            changed = add_corrections(
                catalogue, fronts, series, person=person, file=file, seen=seen
            )
        report = smooth_project(
            catalogue, Areas(*configuration_of(project)), glaciers=only, progress=progress
        )
        catalogue.note_extent()
    return changed, report


def unfinished_passes(catalogue: Catalogue) -> list[str | None]:
    """Return the glaciers with corrections whose last pass through time was cut off.

    Their fronts are those of before until `smooth_project` is called.
    """
    corrected = corrected_glaciers(catalogue)
    if not corrected:
        return []
    _ensure_tables(catalogue)
    areas = Areas(*configuration_of(catalogue.folder))
    return [
        glacier
        for glacier in _glaciers_with_dates(catalogue)
        if glacier in corrected
        and _passed(catalogue, glacier)
        != _digest(
            _dated_rows(catalogue, glacier),
            list_corrections(catalogue, glacier),
            areas.digest(glacier),
        )
    ]


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
            catalogue.put_shore(row["fid"], {}, None)
        if catalogue.has_table(SERIES):
            db.execute(f"DELETE FROM {SERIES}")


def _smooth_glacier(
    catalogue: Catalogue,
    glacier: str | None,
    members: list[tuple[DatedZones, Any]],
    corrections: list[Correction],
    areas: Areas,
    progress: bool,
) -> list[MovedFront]:
    """Smooth the dates of one glacier and write what changes; return the fronts drawn anew."""
    folder = scene_folder(catalogue.folder, glacier)
    dated = [member for member, _ in members]
    by_date = {correction.date: correction for correction in corrections}
    known = {
        row["fid"]: row["fingerprint"]
        for row in catalogue.select(f"SELECT fid, fingerprint FROM {DRAWN}")
    }
    area = areas.digest(glacier)

    def drawn_from(index: int, fingerprint: str) -> str:
        """Return the fingerprint of what the front of a date is drawn from, corrections and all."""
        correction = by_date.get(dated[index].date.isoformat())
        return f"{METHOD} {fingerprint} {area} {'' if correction is None else correction.number}"

    def is_new(index: int, fingerprint: str) -> bool:
        """Tell whether the front of a date was drawn from something else, or is not there."""
        _, row = members[index]
        return (
            row["through_time"] is None
            or known.get(row["fid"]) != drawn_from(index, fingerprint)
            or not (folder / f"{row['name']}{SMOOTHED_SUFFIX}").exists()
        )

    moved = []
    for done in smooth_dates(
        dated,
        corrections=evidence_of(corrections, dated, catalogue),
        aoi=areas.of(glacier),
        outline=areas.outline,
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
        fingerprint = drawn_from(done.index, done.fingerprint)
        moved.append(_put_down(catalogue, row, done, by_date.get(row["date"]), fingerprint))
    return moved


def _put_down(
    catalogue: Catalogue,
    row: Any,
    done: SmoothedDate,
    correction: Correction | None,
    fingerprint: str,
) -> MovedFront:
    """Write the front through time of one date into the catalogue, keeping the single-date one."""
    front = done.front.to_crs(catalogue.crs)
    line: BaseGeometry = front.geometry.iloc[0]
    measured = ("length_m", "uncertainty_m", *END_COLUMNS)
    values = {name: plain(front[name].iloc[0]) for name in measured if name in front}
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
    spacing = done.grid.transform.a
    with catalogue.writing() as db:
        (before,) = db.execute(f"SELECT geom FROM {LAYER} WHERE fid = ?", (row["fid"],)).fetchone()
        if row["through_time"] is None:
            db.execute(
                f"INSERT OR REPLACE INTO {SINGLE_DATES} (fid, {names}) "
                f"SELECT fid, {names} FROM {LAYER} WHERE fid = ?",
                (row["fid"],),
            )
        (blob,) = db.execute(
            f"SELECT geom FROM {SINGLE_DATES} WHERE fid = ?", (row["fid"],)
        ).fetchone()
        moved = mean_distance(line_of(blob), line, spacing)
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
        about = dict(done.shore.to_crs(catalogue.crs).iloc[0]) if len(done.shore) else {}
        beside = about.get(done.shore.geometry.name)
        catalogue.put_shore(row["fid"], {**row, **about}, beside)
        db.execute(f"INSERT OR REPLACE INTO {DRAWN} VALUES (?, ?)", (row["fid"], fingerprint))
    since = moved if before == blob else mean_distance(line_of(before), line, spacing)
    return MovedFront(row["fid"], row["date"], plain(since))


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
        members = members_of(catalogue, glacier)
        if members:
            found[glacier] = members
    return found


def members_of(
    catalogue: Catalogue, glacier: str | None
) -> list[tuple[DatedZones, Mapping[str, Any]]]:
    """Return the same of one glacier, as the catalogue spells it; nothing if it has no series."""
    return _series_members(catalogue.folder, glacier, _dated_rows(catalogue, glacier))


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
            grid, with_front = read_header(path)
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
            partial(read_front, path) if with_front else _no_front,
        )
        members.append((member, row))
    usual = on_one_lattice([member for member, _ in members])
    return list(itertools.compress(members, usual))


def _no_front() -> None:
    """Say nothing about the front: the model has no head for it."""


def _digest(rows: list[Any], corrections: list[Correction], area: str) -> str:
    """Return what tells one pass of a glacier from another."""
    facts = [[row["name"], row["sha256"], row["settings"], row["date"]] for row in rows]
    drawn = [[correction.number, correction.date] for correction in corrections]
    text = json.dumps([METHOD, area, facts, drawn])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _ensure_tables(catalogue: Catalogue) -> None:
    if all(catalogue.has_table(name) for name in (SINGLE_DATES, SERIES, DRAWN)):
        return
    with catalogue.writing() as db:
        if not catalogue.has_table(SINGLE_DATES):
            what = "Fronts from each date's image alone"
            add_layer(db, SINGLE_DATES, SINGLE_COLUMNS, what, catalogue.srs)
        db.execute(
            f"CREATE TABLE IF NOT EXISTS {SERIES} (glacier TEXT PRIMARY KEY, digest TEXT NOT NULL)"
        )
        db.execute(
            f"CREATE TABLE IF NOT EXISTS {DRAWN} "
            "(fid INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL)"
        )


def _passed(catalogue: Catalogue, glacier: str | None) -> str | None:
    row = catalogue.db.execute(
        f"SELECT digest FROM {SERIES} WHERE glacier = ?", (glacier or "",)
    ).fetchone()
    return None if row is None else str(row["digest"])


def _note_passed(catalogue: Catalogue, glacier: str | None, digest: str) -> None:
    with catalogue.writing() as db:
        db.execute(f"INSERT OR REPLACE INTO {SERIES} VALUES (?, ?)", (glacier or "", digest))
