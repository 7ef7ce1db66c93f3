"""How far a project is: what is done, what failed, how fast it goes and how long it still takes."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass, field
from pathlib import Path

from icefront.projects.catalogue import (
    DONE,
    FAILED,
    LAYER,
    NEW,
    NO_FRONT,
    RUNNING,
    Catalogue,
    live_runs,
)

RECENT = 200
"""Finished scenes, the last ones, by which the pace of a project is told."""

PAUSE_S = 1_800.0
"""A longer time without a finished scene is a pause between runs and counts for no pace."""

REASONS = 5


@dataclass(frozen=True)
class Status:
    """How far a project is.

    Attributes
    ----------
    project : Path
    glaciers : int
    counts : dict
        Number of scenes by state.
    to_review : int
        Fronts flagged ``check`` that nobody has judged.
    runs : tuple of str
        Runs that work on it now.
    scenes_per_hour : float or None
        Of the last `RECENT` scenes, pauses left out; None before there are three.
    hours_left : float or None
        For what waits, at that pace; None if nothing waits or there is no pace.
    newest : str or None
        When the last scene was finished, in UTC.
    failures : list of (str, int)
        The most frequent reasons, without the names of files, and their numbers.
    """

    project: Path
    glaciers: int
    counts: dict[str, int]
    to_review: int
    runs: tuple[str, ...]
    scenes_per_hour: float | None
    hours_left: float | None
    newest: str | None
    failures: list[tuple[str, int]] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """Return it in a few lines."""
        count = self.counts.get
        total, waiting = sum(self.counts.values()), count(NEW, 0) + count(RUNNING, 0)
        lines = [
            f"{total} scenes of {self.glaciers} glaciers: {count(DONE, 0)} fronts, "
            f"{count(NO_FRONT, 0)} without a front, {count(FAILED, 0)} failed, {waiting} waiting."
        ]
        if self.runs:
            lines.append(f"{len(self.runs)} runs work on it: {', '.join(self.runs)}.")
        else:
            lines.append("No run works on it now.")
        if self.scenes_per_hour is not None:
            pace = f"{self.scenes_per_hour:.0f} scenes an hour"
            if self.hours_left is not None:
                pace += f": {_lasting(self.hours_left)} left for what waits"
            lines.append(f"{pace}; the last one at {self.newest} UTC.")
        if self.to_review:
            lines.append(f"{self.to_review} fronts to check: 'icefront monitor review'.")
        lines += [f"{number} failed: {reason}" for reason, number in self.failures]
        return lines


def status_of(project: Path) -> Status:
    """Tell how far a project is, from its catalogue alone.

    Parameters
    ----------
    project : Path
        Other processes may be working on it.

    Raises
    ------
    IcefrontError
        If there is no catalogue, or it is damaged.
    """
    with Catalogue(project, check=False) as catalogue:
        counts = catalogue.counts()
        (glaciers,) = catalogue.select_one(f"SELECT count(DISTINCT glacier) FROM {LAYER}")
        (to_review,) = catalogue.select_one(
            f"SELECT count(*) FROM {LAYER} WHERE state = ? AND flag = 'check' AND verdict IS NULL",
            (DONE,),
        )
        finished = catalogue.select(
            f"SELECT finished FROM {LAYER} WHERE finished IS NOT NULL "
            "ORDER BY finished DESC LIMIT ?",
            (RECENT,),
        )
        # Each message starts with the path of its scene, which would make all of them differ.
        failures = catalogue.select(
            "SELECT CASE WHEN substr(error, 1, length(path)) = path "
            "THEN ltrim(substr(error, length(path) + 1), ': ') ELSE error END AS reason, "
            f"count(*) FROM {LAYER} WHERE state = ? AND error IS NOT NULL "
            "GROUP BY reason ORDER BY count(*) DESC, reason LIMIT ?",
            (FAILED, REASONS),
        )
    times = [time for (text,) in finished if (time := _time(text)) is not None]
    pace = _pace(times)
    waiting = counts.get(NEW, 0) + counts.get(RUNNING, 0)
    return Status(
        project,
        int(glaciers),
        counts,
        int(to_review),
        tuple(live_runs(project)),
        pace,
        waiting / pace if pace and waiting else None,
        times[0].strftime("%Y-%m-%d %H:%M") if times else None,
        [(str(reason), int(number)) for reason, number in failures],
    )


def _time(text: object) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _pace(times: list[dt.datetime]) -> float | None:
    """Return scenes an hour from times of finishing, the newest first."""
    gaps = [
        gap
        for later, earlier in itertools.pairwise(times)
        if 0 <= (gap := (later - earlier).total_seconds()) <= PAUSE_S
    ]
    total = sum(gaps)
    return 3_600 * len(gaps) / total if len(gaps) >= 2 and total > 0 else None


def _lasting(hours: float) -> str:
    if hours < 1:
        return f"{max(1, round(60 * hours))} minutes"
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
