"""Where a front ends along the boundary of glacier and ocean, and how sure that is.

The boundary of the zones runs on along shores, because a snow-covered slope is glacier to them.
Along each line, the evidence for calving front changes where the front ends. Two states, front and
shore, with a price for each change (Viterbi 1967, doi:10.1109/TIT.1967.1054010) find these places
from all of the line, so that a front is not cut where a few pixels look otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

EVIDENCE_PX = 8.0
"""Length of line that counts as one independent observation, in pixels."""

CHANGE_COST = 1.5
"""Price of a change between front and shore, in log odds."""

NEUTRAL = -0.6
"""Log odds above which a place is front whatever the rest of its scene looks like."""

CLEAREST, BELOW_CLEAREST = 0.8, 1.2
"""In a scene whose log odds are low throughout, as some sensors and glaciers have them, front is
what comes near to this quantile of all its places: so far below it, in log odds."""

FAINTEST = -3.0
"""Log odds below which no place is front, whatever the rest of its scene looks like."""

LARGEST = 5.0
"""Bound of the log odds of a place."""


@dataclass(frozen=True)
class Run:
    """A part of a line that is front throughout, or shore throughout.

    Attributes
    ----------
    first, last : int
        Vertices, both part of the run.
    front : bool
    start_std, end_std : float
        Standard deviation of the place of either end along the line, in pixels; NaN for shore.
    """

    first: int
    last: int
    front: bool
    start_std: float = float("nan")
    end_std: float = float("nan")


def log_odds_of(probability: np.ndarray) -> np.ndarray:
    """Return the log odds of probabilities, bounded to +-`LARGEST`, float32; NaN counts as half."""
    least = 1 / (1 + np.exp(LARGEST))
    bounded = np.clip(np.nan_to_num(np.asarray(probability, np.float32), nan=0.5), least, 1 - least)
    return np.log(bounded / (1 - bounded)).astype(np.float32)


def scene_centred(log_odds: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Bring the log odds along the lines of one scene to a level where 0 divides front from shore.

    How sure a network is differs between scenes, and nearly every scene has a front: where even the
    clearest places have low log odds, the level is taken from them. `NEUTRAL`, `CLEAREST` and
    `BELOW_CLEAREST` were chosen on two of four glaciers (``benchmarks/head.py``).

    Parameters
    ----------
    log_odds : sequence of float (N_i,)
        At evenly spaced vertices of the lines.

    Returns
    -------
    list of float64 (N_i,)
    """
    clearest = float(np.quantile(np.concatenate(log_odds), CLEAREST))
    level = max(min(NEUTRAL, clearest - BELOW_CLEAREST), FAINTEST)
    return [np.asarray(values, np.float64) - level for values in log_odds]


def front_and_shore(log_odds: np.ndarray, step: float) -> list[Run]:
    """Divide a line into front and shore.

    Parameters
    ----------
    log_odds : float (N,)
        Of front against shore, at vertices that are evenly spaced.
    step : float
        Distance of the vertices in pixels.

    Returns
    -------
    list of Run
        In the order of the line; neighbours share the vertex where they meet.
    """
    weighted = np.clip(log_odds, -LARGEST, LARGEST) * (step / EVIDENCE_PX)
    states = _likeliest_states(weighted)
    changes = np.flatnonzero(np.diff(states)) + 1
    bounds = [0, *changes.tolist(), len(states) - 1]
    sums = np.concatenate([[0.0], np.cumsum(weighted)])
    runs = []
    for number, (first, last) in enumerate(itertools.pairwise(bounds)):
        if not states[first]:
            runs.append(Run(first, last, False))
            continue
        middle = (first + last) // 2
        before = (bounds[number - 1] + first) // 2 if number > 0 else 0
        after = (last + bounds[number + 2]) // 2 if number + 2 < len(bounds) else last
        start = _std_of_change(-sums[before : middle + 1]) * step
        end = _std_of_change(sums[middle : after + 1]) * step
        runs.append(Run(first, last, True, start, end))
    return runs


def _likeliest_states(weighted: np.ndarray) -> np.ndarray:
    """Return the likeliest sequence of states, bool (N,), True for front."""
    # A change pays off where it gains more than its price over staying: one comparison a vertex.
    count = len(weighted)
    from_other = np.zeros((count, 2), bool)
    front = shore = 0.0
    for index, gain in enumerate(weighted.tolist()):
        if index:
            into_front, into_shore = shore - CHANGE_COST, front - CHANGE_COST
            if into_front > front:
                from_other[index, 1] = True
            if into_shore > shore:
                from_other[index, 0] = True
            front, shore = max(front, into_front), max(shore, into_shore)
        front += gain / 2
        shore -= gain / 2
    states = np.empty(count, bool)
    state = front >= shore
    for index in range(count - 1, -1, -1):
        states[index] = state
        if from_other[index, int(state)]:
            state = not state
    return states


def _std_of_change(sums: np.ndarray) -> float:
    """Return the standard deviation of the place of a change, in vertices.

    `sums` are the log likelihoods of a change at each vertex, up to a constant.
    """
    weights = np.exp(sums - sums.max())
    places = np.arange(len(sums))
    weights /= weights.sum()
    mean = (weights * places).sum()
    return float(np.sqrt((weights * (places - mean) ** 2).sum()))
