"""What a person should look at first in a project, and the verdicts of people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from icefront.errors import IcefrontError
from icefront.projects.catalogue import CORRECTED, FAILED, LAYER, NO_FRONT, Catalogue
from icefront.projects.judgements import keep_judgements
from icefront.projects.results import REJECTED, ProjectResults

ACCEPTED = "accepted"

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
        keep_judgements(catalogue)
