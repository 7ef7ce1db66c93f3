"""Zone probabilities of many dates that agree with each other: a hidden Markov model in time.

Each place (pixel) is a Markov chain in continuous time with the states rock, glacier and ocean
(`ChangeRates`), seen on each date through a network's probabilities (`evidence`). The forward and
backward recursions give the probability of each state on each date, all dates being known.

References
----------
L. R. Rabiner, "A tutorial on hidden Markov models and selected applications in speech recognition",
Proceedings of the IEEE 77 (1989), doi:10.1109/5.18626, section III and V.A (scaling).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from icefront.errors import IcefrontError
from icefront.progress import steps
from icefront.series.evidence import POWER, checked_corrections, correct, evidence
from icefront.series.rates import STATES, ChangeRates
from icefront.zones import N_ZONES, NO_DATA, ROCK

STRIP_BYTES = 160 << 20
"""Memory for the strip of places that is worked on at a time."""

_BYTES_PER_PLACE_AND_DATE = 4 * (N_ZONES + 2 * STATES)

SAMPLE_ROWS = 32
"""Rows of the grid that are looked at where a sample of the places will do."""

SUM_TOLERANCE = 0.02
"""How far the probabilities of a place may be from a sum of 1 (8 bits: at most 0.008)."""


def through_time(
    probabilities: Any,
    dates: Sequence[Any],
    *,
    corrections: Mapping[int, np.ndarray] | None = None,
    rates: ChangeRates | None = None,
    power: float | Sequence[float] | np.ndarray = POWER,
    filtered: bool = False,
    fill: bool = False,
    out: Any = None,
    progress: bool = False,
) -> Any:
    """Make the zone probabilities of many dates of a glacier agree with each other.

    Rock does not move, ice becomes water and back at a known pace: what one date cannot tell, its
    neighbours can.

    Parameters
    ----------
    probabilities : float32 or uint8 (T, 4, H, W)
        Zone probabilities of all dates on one grid; uint8 stands for 255 times the probability.
        Anything that has a ``shape`` and a ``dtype`` and is sliced like an array (a memory map, a
        variable of a NetCDF file): it is read in strips of rows.
    dates : sequence of datetime.date, datetime64 or ISO text
        Of the T dates, in any order; a date may occur several times.
    corrections : mapping from int to uint8 (H, W), optional
        By the index of a date: zone codes that a person gave; 0 and 255 say nothing. There they
        stand in place of the image, and they teach the neighbouring dates.
    rates : ChangeRates, optional
        How fast places change; `icefront.series.estimation.estimate_rates` finds them.
    power : float or sequence of float
        Power of the network's probabilities, 0 to 1, for all or for each date.
    filtered : bool
        Use only the dates before (and on) each date, as for the newest date.
    fill : bool
        Share the whole by the zones also where a date has no data: channel 0 is then 0.
    out : array-like (T, 4, H, W), optional
        Takes the result, of the same types as `probabilities`; a new float32 array by default.
    progress : bool
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    float32 (T, 4, H, W), or `out`
        In the order of `dates`. Channel 0 is the input's; the others share the rest by the
        probability of their zone, all dates being known.

    Raises
    ------
    IcefrontError
        If there are no dates or one is missing, the shapes do not fit, probabilities do not sum to
        1, or a correction fits no date or grid.

    Examples
    --------
    >>> import numpy as np
    >>> import icefront
    >>> glacier, ocean = [0, 0.1, 0.8, 0.1], [0, 0.1, 0.2, 0.7]
    >>> series = np.float32([glacier, ocean, glacier]).reshape(3, 4, 1, 1)
    >>> smoothed = icefront.through_time(series, ["2020-01-01", "2020-01-13", "2020-01-25"])
    >>> smoothed[1].argmax(axis=0).item()
    2
    """
    count, shape = _checked_shape(probabilities, out)
    days = days_of(dates)
    if len(days) != count:
        raise IcefrontError(
            f"There are {count} dates of probabilities and {len(days)} dates: give one for each."
        )
    powers = np.broadcast_to(np.asarray(power, np.float32), (count,))
    if not (powers >= 0).all():
        raise IcefrontError(
            f"The power is {power}: give a number from 0 to 1, or one for each date."
        )
    zones = checked_corrections(corrections, count, shape)
    order = np.argsort(days, kind="stable")
    transitions = transitions_between(days[order], rates or ChangeRates())
    result = np.empty((count, N_ZONES, *shape), np.float32) if out is None else out
    with steps("Through time", shape[0], show=progress) as advance:
        for rows in _strips(count, shape):
            found = read_strip(probabilities, rows, order)
            likelihood = evidence(found, powers[order])
            for place, index in enumerate(order):
                if index in zones:
                    correct(likelihood[place], zones[index][rows].reshape(-1))
            found[:, ROCK:] = posterior(likelihood, transitions, filtered=filtered)
            if fill:
                found[:, NO_DATA] = 0
            else:
                found[:, ROCK:] *= 1 - found[:, :ROCK]
            for place, index in enumerate(order):
                values = found[place].reshape(N_ZONES, -1, shape[1])
                result[index, :, rows] = _like(values, result.dtype)
            advance(rows.stop - rows.start)
    return result


def days_of(dates: Sequence[Any]) -> np.ndarray:
    """Return dates as days since 1970, int64 (T,).

    Raises
    ------
    IcefrontError
        If there is none, or one is missing or no date.
    """
    if len(dates) == 0:
        raise IcefrontError("There are no dates: a series needs at least one.")
    found = []
    for index, date in enumerate(dates):
        try:
            day = np.datetime64(date.date() if isinstance(date, dt.datetime) else date, "D")
        except (TypeError, ValueError):
            day = np.datetime64("NaT")
        if np.isnat(day):
            raise IcefrontError(
                f"The date of image {index} is {date!r}: give a date (YYYY-MM-DD), or leave the "
                "image out."
            )
        found.append(day)
    return np.array(found).astype(np.int64)


def read_strip(probabilities: Any, rows: slice, order: np.ndarray) -> np.ndarray:
    """Read the rows of all dates as float32 (T, 4, N), in the order given.

    Raises
    ------
    IcefrontError
        If the probabilities of a place do not sum to 1.
    """
    return _read(probabilities, order, rows, slice(None))


def _read(
    probabilities: Any, order: np.ndarray, rows: slice, chosen: slice | list[int]
) -> np.ndarray:
    """Read rows of all dates and choose some of them, float32 (T, 4, N)."""
    strip = None
    for place, index in enumerate(order):
        values = np.asarray(probabilities[int(index), :, rows])[:, chosen]
        if strip is None:
            strip = np.empty((len(order), *values.reshape(N_ZONES, -1).shape), np.float32)
        strip[place] = values.reshape(N_ZONES, -1)
        if values.dtype == np.uint8:
            strip[place] /= np.float32(255)
        off = np.abs(strip[place].sum(axis=0) - 1).max(initial=0)
        if not off <= SUM_TOLERANCE:
            raise IcefrontError(
                f"The probabilities of date {int(index)} do not sum to 1 (off by {off:.3g}): give "
                "the four zone probabilities of icefront.predict_zones."
            )
    assert strip is not None
    return strip


def read_sample(probabilities: Any, order: np.ndarray) -> np.ndarray:
    """Read a sample of rows of all dates as float32 (T, 4, N), in the order given."""
    # Whole dates: many small reads take longer.
    every = slice(0, probabilities.shape[2])
    return _read(probabilities, order, every, sampled_rows(probabilities))


def sampled_rows(probabilities: Any) -> list[int]:
    """Return the rows that stand for a whole grid."""
    height = probabilities.shape[2]
    rows = np.unique(np.linspace(0, height - 1, min(SAMPLE_ROWS, height)).round())
    return [int(row) for row in rows]


def posterior(
    likelihood: np.ndarray, transitions: np.ndarray, *, filtered: bool = False
) -> np.ndarray:
    """Return the probability of each state on each date, by forward and backward recursion.

    Parameters
    ----------
    likelihood : float32 (T, 3, N)
        From `evidence`, in order of time.
    transitions : float32 (T, 3, 3)
        Transition to each date from the one before; the first is not used.
    filtered : bool
        Forward only.

    Returns
    -------
    float32 (T, 3, N)
        Sums to 1 over the states. All states are equally probable before the first date.
    """
    forward = np.empty_like(likelihood)
    state = np.full(likelihood.shape[1:], 1 / STATES, np.float32)
    for place in range(len(likelihood)):
        if place:
            np.matmul(transitions[place].T, forward[place - 1], out=state)
        np.multiply(state, likelihood[place], out=forward[place])
        forward[place] /= forward[place].sum(axis=0)
    if filtered:
        return forward
    backward = np.ones_like(state)
    for place in range(len(likelihood) - 1, -1, -1):
        np.multiply(likelihood[place], backward, out=state)
        forward[place] *= backward
        forward[place] /= forward[place].sum(axis=0)
        if place:
            np.matmul(transitions[place], state, out=backward)
            backward /= backward.sum(axis=0)
    return forward


def _checked_shape(probabilities: Any, out: Any) -> tuple[int, tuple[int, int]]:
    """Return the number of dates and the shape of the grid."""
    shape = tuple(getattr(probabilities, "shape", np.shape(probabilities)))
    if len(shape) != 4 or shape[1] != N_ZONES or 0 in shape:
        raise IcefrontError(
            f"The probabilities have the shape {shape}, not (dates, 4, rows, columns): bring all "
            "dates of a glacier onto one grid first."
        )
    if out is not None and tuple(out.shape) != shape:
        raise IcefrontError(
            f"The result has the shape {shape}, but what is to take it {tuple(out.shape)}."
        )
    return shape[0], (shape[2], shape[3])


def _strips(count: int, shape: tuple[int, int]) -> Iterator[slice]:
    """Yield the rows of strips that fit into memory."""
    height = max(1, STRIP_BYTES // (count * shape[1] * _BYTES_PER_PLACE_AND_DATE))
    for first in range(0, shape[0], height):
        yield slice(first, min(first + height, shape[0]))


def transitions_between(days: np.ndarray, rates: ChangeRates) -> np.ndarray:
    """Return the transition to each date from the one before, float32 (T, 3, 3)."""
    intervals = np.diff(days, prepend=days[:1])
    lengths, which = np.unique(intervals, return_inverse=True)
    return np.stack([rates.transition(float(length)) for length in lengths]).astype(np.float32)[
        which
    ]


def _like(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return probabilities as the result holds them."""
    return np.rint(values * 255).astype(np.uint8) if dtype == np.uint8 else values
