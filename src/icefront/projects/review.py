"""What a person should look at first in a project, and the verdicts of people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from icefront.errors import IcefrontError
from icefront.projects.catalogue import FAILED, LAYER, NO_FRONT, Catalogue
from icefront.projects.results import REJECTED, ProjectResults

ACCEPTED = "accepted"
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
        Columns `COLUMNS`: fronts below grade A that nobody has judged, the worst first; then scenes
        without a front, and those that failed. ``picture`` is empty.
    """
    fronts = results.fronts
    verdict = fronts["verdict"] if "verdict" in fronts else pd.Series(None, index=fronts.index)
    own = fronts["name"].notna() if "name" in fronts else pd.Series(False, index=fronts.index)
    open_ = fronts[own & (fronts["grade"] != "A") & verdict.isna()]
    rows = [
        {
            "glacier": row["glacier"],
            "date": row["date"],
            "name": row["name"],
            "state": "done",
            "grade": row["grade"],
            "penalty": row["penalty"],
            "why": row["why"],
        }
        for _, row in open_.sort_values("penalty", ascending=False, kind="stable").iterrows()
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


def judge(project: Path, names: Sequence[str], verdict: str | None) -> None:
    """Record the verdict of a person on scenes: ``accepted``, ``rejected``, or None to undo it.

    Rejected fronts stay in the catalogue and are in no series.

    Raises
    ------
    IcefrontError
        If there is no scene of a name; nothing is changed then.
    """
    with Catalogue(project) as catalogue, catalogue.writing() as db:
        for name in names:
            changed = db.execute(
                f"UPDATE {LAYER} SET verdict = ? WHERE name = ?", (verdict, name)
            ).rowcount
            if not changed:
                raise IcefrontError(
                    f"There is no scene named {name!r} in {project}: see review.csv."
                )
