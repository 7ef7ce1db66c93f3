"""Fronts that people drew on dates of a project: kept, listed, taken back, and used as evidence."""

from __future__ import annotations

import datetime as dt
import getpass
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from shapely.geometry.base import BaseGeometry

from icefront.errors import IcefrontError
from icefront.extraction.series_fronts import DatedZones, series_grid, usual_probabilities
from icefront.projects.catalogue import Catalogue, blob_of, line_of
from icefront.projects.judgements import CORRECTIONS, add_corrections_layer, keep_judgements
from icefront.series.corrections import zones_beside

_OF_FRONTS = (
    *("fid", "state", "length_m", "uncertainty_m", "flag", "through_time", "moved_m"),
    *("finished", "path"),
)
"""Columns that are others when a front is another."""

Revisions = Mapping[str | None, str]
"""`revision_of` each glacier as somebody last saw it."""


class ConflictError(IcefrontError):
    """Somebody else has changed what is to be changed, since it was last looked at.

    Attributes
    ----------
    glacier : str or None
    person : str or None
        Who changed it, if that is known.
    """

    def __init__(self, message: str, glacier: str | None, person: str | None) -> None:
        super().__init__(message)
        self.glacier, self.person = glacier, person


@dataclass(frozen=True)
class Correction:
    """A front that a person drew.

    Attributes
    ----------
    number : int
        By which it is taken back.
    glacier : str or None
    date : str
        ``YYYY-MM-DD``.
    person, file : str or None
        Who drew it, and the file it came from.
    added : str
        When it was added, UTC.
    line : LineString or MultiLineString
        In the CRS of the catalogue.
    """

    number: int
    glacier: str | None
    date: str
    person: str | None
    file: str | None
    added: str
    line: BaseGeometry


def list_corrections(catalogue: Catalogue, glacier: str | None = None) -> list[Correction]:
    """Return the corrections of a project that count, by their number.

    Parameters
    ----------
    catalogue : Catalogue
    glacier : str, optional
        Only those of this one.
    """
    if not catalogue.has_table(CORRECTIONS):
        return []
    rows = catalogue.db.execute(
        f"SELECT * FROM {CORRECTIONS} WHERE taken_back IS NULL ORDER BY fid"
    ).fetchall()
    return [
        Correction(
            number=row["fid"],
            line=line_of(row["geom"]),
            **{name: row[name] for name in ("glacier", "date", "person", "file", "added")},
        )
        for row in rows
        if glacier is None or row["glacier"] == glacier
    ]


def corrected_glaciers(catalogue: Catalogue) -> set[str | None]:
    """Return the glaciers that have corrections, or had some that were taken back."""
    if not catalogue.has_table(CORRECTIONS):
        return set()
    found = catalogue.db.execute(f"SELECT DISTINCT glacier FROM {CORRECTIONS}")
    return {glacier for (glacier,) in found}


def add_corrections(
    catalogue: Catalogue,
    fronts: gpd.GeoDataFrame,
    series: dict[str | None, list[DatedZones]],
    *,
    person: str | None = None,
    file: Path | None = None,
    seen: Revisions | None = None,
) -> list[Correction]:
    """Keep hand-drawn fronts as corrections of the dates they belong to.

    An earlier correction of the same glacier and date is taken back.

    Parameters
    ----------
    catalogue : Catalogue
    fronts : GeoDataFrame
        From `icefront.fronts.read_fronts`; a front without glacier belongs to the only one there
        is.
    series : dict
        The dates of each glacier whose probabilities are kept.
    person : str, optional
        Who drew them; the user of this computer by default.
    file : Path, optional
        Where they came from.
    seen : mapping, optional
        The fronts that the person looked at; others are not corrected.

    Returns
    -------
    list of Correction
        Those that were added.

    Raises
    ------
    ConflictError
        If the fronts of a glacier are others than were seen; nothing is kept then.
    IcefrontError
        If a front belongs to no date of the project, or does not cross the fjord; nothing is kept
        then.
    """
    moved = fronts.to_crs(catalogue.crs)
    accepted = []
    for row in moved.to_dict("records"):
        line, date = row["geometry"], str(row["date"])[:10]
        glacier = _glacier_of(row, series)
        # Before the line is judged by fronts that the person has not seen.
        _check_seen(catalogue, {glacier}, seen)
        _check(line, date, glacier, series[glacier], catalogue)
        accepted.append((glacier, date, line))
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    who = person or user_name()
    with catalogue.writing() as db:
        _check_seen(catalogue, {glacier for glacier, _, _ in accepted}, seen)
        add_corrections_layer(catalogue)
        for glacier, date, line in accepted:
            db.execute(
                f"UPDATE {CORRECTIONS} SET taken_back = ?, taken_back_by = ? "
                "WHERE glacier IS ? AND date = ? AND taken_back IS NULL",
                (now, who, glacier, date),
            )
            db.execute(
                f"INSERT INTO {CORRECTIONS} (geom, glacier, date, person, file, added) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (blob_of(line, catalogue.srs), glacier, date, who, file and str(file), now),
            )
        keep_judgements(catalogue)
    return [found for found in list_corrections(catalogue) if found.added == now]


def take_back(
    catalogue: Catalogue,
    numbers: list[int],
    *,
    person: str | None = None,
    seen: Revisions | None = None,
) -> list[Correction]:
    """Take corrections back; they stay in the catalogue with the time, and count no more.

    Parameters
    ----------
    catalogue : Catalogue
    numbers : list of int
    person : str, optional
        Who takes them back; the user of this computer by default.
    seen : mapping, optional
        As for `add_corrections`.

    Raises
    ------
    ConflictError
        As `add_corrections`.
    IcefrontError
        If there is no correction of a number; nothing is changed then.
    """
    known = {found.number: found for found in list_corrections(catalogue)}
    missing = [number for number in numbers if number not in known]
    if missing:
        raise IcefrontError(
            f"There is no correction {missing[0]} in {catalogue.folder}: 'icefront monitor correct "
            f"{catalogue.folder} --list' lists them."
        )
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    with catalogue.writing() as db:
        _check_seen(catalogue, {known[number].glacier for number in numbers}, seen)
        add_corrections_layer(catalogue)
        for number in numbers:
            db.execute(
                f"UPDATE {CORRECTIONS} SET taken_back = ?, taken_back_by = ? WHERE fid = ?",
                (now, person or user_name(), number),
            )
        keep_judgements(catalogue)
    return [known[number] for number in numbers]


def revision_of(catalogue: Catalogue, glacier: str | None) -> str:
    """Return what tells one state of the fronts of a glacier, and of its corrections, from another.

    Verdicts are no part of it.
    """
    rows = catalogue.rows("glacier IS ?", (glacier,))
    drawn: list[Any] = []
    if catalogue.has_table(CORRECTIONS):
        drawn = catalogue.db.execute(
            f"SELECT fid, taken_back FROM {CORRECTIONS} WHERE glacier IS ? ORDER BY fid",
            (glacier,),
        ).fetchall()
    fronts = [[row[name] for name in _OF_FRONTS] for row in rows]
    text = json.dumps([fronts, [tuple(row) for row in drawn]])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check_seen(catalogue: Catalogue, glaciers: set[str | None], seen: Revisions | None) -> None:
    """Refuse to change glaciers whose fronts are others than were seen."""
    for glacier in glaciers if seen is not None else ():
        assert seen is not None
        if seen.get(glacier) == revision_of(catalogue, glacier):
            continue
        person = _last_person(catalogue, glacier)
        raise ConflictError(
            f"The fronts of {glacier or 'the glacier'} have been changed"
            f"{f' by {person}' if person else ''} since they were shown here: look at them anew, "
            "then correct.",
            glacier,
            person,
        )


def _last_person(catalogue: Catalogue, glacier: str | None) -> str | None:
    """Return who drew or took back a correction of a glacier last."""
    if not catalogue.has_table(CORRECTIONS):
        return None
    about = catalogue.select(f"PRAGMA table_info({CORRECTIONS})")
    back = "taken_back_by" if "taken_back_by" in {row["name"] for row in about} else "NULL"
    row = catalogue.db.execute(
        f"SELECT person, {back} AS back, added, taken_back FROM {CORRECTIONS} WHERE glacier IS ? "
        "ORDER BY max(added, coalesce(taken_back, '')) DESC, fid DESC LIMIT 1",
        (glacier,),
    ).fetchone()
    if row is None:
        return None
    return row["back"] if (row["taken_back"] or "") > row["added"] else row["person"]


def evidence_of(
    corrections: list[Correction], members: list[DatedZones], catalogue: Catalogue
) -> dict[int, np.ndarray]:
    """Return what corrections say about the zones, by the index of the date they belong to.

    Returns
    -------
    dict of int to uint8 (H, W)
        On `icefront.extraction.series_fronts.series_grid` of the members.
    """
    if not corrections:
        return {}
    usual, grid = usual_probabilities(members), series_grid(members)
    found = {}
    for correction in corrections:
        line = gpd.GeoSeries([correction.line], crs=catalogue.crs).to_crs(grid.crs).iloc[0]
        zones = zones_beside(line, grid, usual)
        for index, member in enumerate(members):
            if member.date.isoformat() == correction.date:
                found[index] = zones
    return found


def _glacier_of(row: dict[str, Any], series: dict[str | None, list[DatedZones]]) -> str | None:
    named = row.get("glacier")
    if isinstance(named, str) and named:
        same = [name for name in series if (name or "").casefold() == named.casefold()]
        if same:
            return same[0]
        raise IcefrontError(
            f"A correction is for {named}, of which this project has no series of dates: there are "
            f"{', '.join(sorted(name or 'one without name' for name in series)) or 'none'}."
        )
    if len(series) == 1:
        return next(iter(series))
    raise IcefrontError(
        f"The correction of {str(row['date'])[:10]} names no glacier, and the project has "
        f"{len(series)}: give its file a column 'glacier'."
    )


def _check(
    line: BaseGeometry,
    date: str,
    glacier: str | None,
    members: list[DatedZones],
    catalogue: Catalogue,
) -> None:
    name = glacier or "the glacier"
    if not any(member.date.isoformat() == date for member in members):
        nearest = min(
            members, key=lambda member: abs(member.date - dt.date.fromisoformat(date))
        ).date
        raise IcefrontError(
            f"A correction of {name} is dated {date}, but there is no scene of that date; the "
            f"nearest is of {nearest}."
        )
    grid = series_grid(members)
    moved = gpd.GeoSeries([line], crs=catalogue.crs).to_crs(grid.crs).iloc[0]
    try:
        zones_beside(moved, grid, usual_probabilities(members))
    except IcefrontError as error:
        raise IcefrontError(
            f"The correction of {name} on {date} cannot be used, since {error}: draw it from one "
            "wall of the fjord to the other."
        ) from error


def user_name() -> str | None:
    """Return the name of the user of this computer, or None where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None
