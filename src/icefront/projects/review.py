"""What a person should look at first in a project, and the verdicts of people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from icefront.errors import IcefrontError
from icefront.projects.catalogue import CORRECTED, FAILED, LAYER, NO_FRONT, Catalogue
from icefront.projects.corrections import user_name
from icefront.projects.judgements import VERDICTS, add_verdicts_table, keep_judgements
from icefront.projects.results import REJECTED, ProjectResults

ACCEPTED = "accepted"

REMARKS = ("cloud or shadow", "partial front", "compared with another image")
"""What a person can say of a date beside the verdict."""

MOVED_PX = 6.0
"""A front that the pass through time moved farther is looked at first, in pixels of the model."""

COLUMNS = (
    "rank",
    "glacier",
    "date",
    "name",
    "state",
    "grade",
    "penalty",
    "why",
    "verdict",
    "picture",
)


def list_for_review(results: ProjectResults) -> pd.DataFrame:
    """List what a person should look at, the worst first.

    Parameters
    ----------
    results : ProjectResults
        Of a project.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, of what has no verdict: fronts that the pass through time moved by
        more than `MOVED_PX` pixels, the farthest first; fronts below grade A, the worst first;
        scenes without a front; those that failed. ``picture`` is empty.
    """
    fronts = results.fronts
    verdict = fronts["verdict"] if "verdict" in fronts else pd.Series(None, index=fronts.index)
    own = fronts["name"].notna() if "name" in fronts else pd.Series(False, index=fronts.index)
    moved = _moved(fronts)
    open_ = fronts.assign(moved=moved)[
        own & ((fronts["grade"] != "A") | moved.gt(0)) & verdict.isna()
    ]
    rows = [
        {
            "glacier": row["glacier"],
            "date": row["date"],
            "name": row["name"],
            "state": "done",
            "grade": row["grade"],
            "penalty": row["penalty"],
            "why": "; ".join(filter(None, (_moved_text(row["moved"]), row["why"]))),
        }
        for _, row in open_.sort_values(
            ["moved", "penalty"], ascending=False, kind="stable"
        ).iterrows()
    ]
    if len(results.scenes):
        for state in (NO_FRONT, FAILED):
            for _, row in results.scenes[results.scenes["state"] == state].iterrows():
                if row["verdict"] in (ACCEPTED, REJECTED):
                    continue
                stated, else_ = (
                    (row["error"], "failed") if state == FAILED else (row["reason"], "no front")
                )
                why = else_ if pd.isna(stated) or not stated else stated
                rows.append(
                    {name: row[name] for name in ("glacier", "date", "name", "state")}
                    | {"why": why}
                )
    table = pd.DataFrame(rows, columns=[*COLUMNS[1:-1], "picture"])
    table.insert(0, "rank", range(1, len(table) + 1))
    return table


def _moved(fronts: pd.DataFrame) -> pd.Series:
    """Return how far the pass moved fronts, in metres; 0 where it is little or a person drew it."""
    if "moved_m" not in fronts:
        return pd.Series(0.0, index=fronts.index)
    far = fronts["moved_m"] > MOVED_PX * fronts["model_pixel_size_m"]
    return fronts["moved_m"].where(far & (fronts["through_time"] != CORRECTED), 0.0).fillna(0.0)


def _moved_text(moved: float) -> str:
    return f"{moved:.0f} m from the front of its date alone" if moved > 0 else ""


@dataclass(frozen=True)
class Verdict:
    """What a person said of a scene.

    Attributes
    ----------
    number : int
        Grows with each verdict of the project.
    verdict : str or None
        ``accepted``, ``rejected`` or None.
    remarks : tuple of str
        Some of `REMARKS`.
    note, person : str or None
    given : str
        When, UTC.
    """

    number: int
    verdict: str | None
    remarks: tuple[str, ...]
    note: str | None
    person: str | None
    given: str


class VerdictConflictError(IcefrontError):
    """Somebody else has judged a scene since it was last looked at."""


def judge(
    project: Path,
    names: Sequence[str],
    verdict: str | None,
    *,
    remarks: Sequence[str] = (),
    note: str | None = None,
    person: str | None = None,
    seen: int | None = None,
) -> None:
    """Record the verdict of a person on scenes: ``accepted``, ``rejected``, or None to undo it.

    Rejected fronts stay in the catalogue and are in no series. Earlier verdicts are kept beside the
    new one.

    Parameters
    ----------
    project : Path
    names : sequence of str
        Of the scenes' files in the project.
    verdict : str or None
    remarks : sequence of str
        Some of `REMARKS`.
    note : str, optional
        In the person's own words.
    person : str, optional
        The user of this computer by default.
    seen : int, optional
        `Verdict.number` of the newest verdict on the scenes that the person knew of, 0 for none.

    Raises
    ------
    VerdictConflictError
        If there is a newer one; nothing is changed then.
    IcefrontError
        If there is no scene of a name, or a remark is unknown; nothing is changed then.
    """
    words = [*remarks, *([] if verdict is None else [verdict])]
    unknown = [word for word in words if word not in (ACCEPTED, REJECTED, *REMARKS)]
    if unknown:
        raise IcefrontError(
            f"{unknown[0]!r} is no verdict or remark: there are {ACCEPTED}, {REJECTED}, "
            f"{', '.join(REMARKS)}."
        )
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    said = "; ".join(name for name in REMARKS if name in remarks) or None
    with Catalogue(project) as catalogue, catalogue.writing() as db:
        add_verdicts_table(catalogue)
        for name in names:
            row = db.execute(f"SELECT fid FROM {LAYER} WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise IcefrontError(
                    f"There is no scene named {name!r} in {project}: see review.csv."
                )
            newest = db.execute(
                f"SELECT id, person FROM {VERDICTS} WHERE scene = ? ORDER BY id DESC LIMIT 1",
                (row["fid"],),
            ).fetchone()
            if seen is not None and seen != (newest["id"] if newest else 0):
                who = newest["person"] if newest else None
                raise VerdictConflictError(
                    f"{name} has been judged by {who or 'somebody else'} since it was shown here: "
                    "look at it anew."
                )
            db.execute(f"UPDATE {LAYER} SET verdict = ? WHERE fid = ?", (verdict, row["fid"]))
            db.execute(
                f"INSERT INTO {VERDICTS} (scene, verdict, remarks, note, person, given) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (row["fid"], verdict, said, note or None, person or user_name(), now),
            )
        keep_judgements(catalogue)


def newest_verdicts(catalogue: Catalogue) -> dict[int, Verdict]:
    """Return the newest verdict on each scene that has one, by the number of its row."""
    if not catalogue.has_table(VERDICTS):
        return {}
    rows = catalogue.db.execute(f"SELECT * FROM {VERDICTS} ORDER BY id").fetchall()
    return {
        row["scene"]: Verdict(
            row["id"],
            row["verdict"],
            tuple(filter(None, (row["remarks"] or "").split("; "))),
            row["note"],
            row["person"],
            row["given"],
        )
        for row in rows
    }
