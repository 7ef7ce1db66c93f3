"""Where a simulated front stands at every instant: trend, season, calving events, changing shape.

Between calving events the front moves forward with the ice; each event takes a piece off. Large
events are rare and take a wide bay out of the front, small ones go on all summer. The shape of the
front is a slow mixture of bends that drift in phase, so that it is a line without jumps at every
instant but those of the events.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np

YEAR = 365.25


@dataclass(frozen=True)
class FrontParameters:
    """Behaviour of one front.

    Attributes
    ----------
    trend_m_per_year : float
        Advance is positive.
    seasonal_m : float
        Half the distance between the largest and the smallest extent of the mean year.
    maximum_day : float
        Day of the year of the largest extent.
    events_per_year : float
        Calving events that are large enough to be told one by one.
    event_m : float
        Length that the median large event takes off, at its deepest.
    healing_days : float
        Time in which the bay of an event grows back to 37 %.
    bow_m : float
        How far the middle stands before the sides; negative for a bay.
    rough_m : float
        Standard deviation of the shape about its bow.
    """

    trend_m_per_year: float = -100.0
    seasonal_m: float = 150.0
    maximum_day: float = 140.0
    events_per_year: float = 4.0
    event_m: float = 250.0
    healing_days: float = 60.0
    bow_m: float = -200.0
    rough_m: float = 60.0


@dataclass(frozen=True)
class Event:
    """One calving event: when, where across the front (-1 to 1), how wide, how deep."""

    day: float
    centre: float
    half_width: float
    depth_m: float


class FrontHistory:
    """The position of a front as a function of time and of the place across it.

    Parameters
    ----------
    parameters : FrontParameters
    seed : int
    start, end : datetime.date
        Events are drawn for this time and for a year before it.

    Examples
    --------
    >>> import datetime as dt, numpy as np
    >>> history = FrontHistory(FrontParameters(), 1, dt.date(2015, 1, 1), dt.date(2018, 1, 1))
    >>> history.position(dt.date(2016, 7, 1), np.linspace(-1, 1, 5)).shape
    (5,)
    """

    def __init__(
        self, parameters: FrontParameters, seed: int, start: dt.date, end: dt.date
    ) -> None:
        self.parameters, self.start = parameters, start
        rng = np.random.default_rng((seed, 1))
        days = (end - start).days + YEAR
        count = rng.poisson(parameters.events_per_year * days / YEAR)
        # Summer and autumn calve most: thin a uniform draw by the season.
        draws = rng.uniform(-YEAR, days - YEAR, size=4 * max(count, 1))
        season = np.cos(2 * np.pi * (self._day_of_year(draws) - parameters.maximum_day - 90) / YEAR)
        draws = draws[rng.random(draws.size) < 0.5 + 0.45 * season][:count]
        self.events = tuple(
            Event(
                float(day),
                float(rng.uniform(-0.9, 0.9)),
                float(rng.uniform(0.08, 0.45)),
                float(parameters.event_m * rng.lognormal(0.0, 0.5)),
            )
            for day in np.sort(draws)
        )
        orders = np.arange(1, 25)
        # A rough line: amplitudes fall with the order; each wave drifts at its own pace.
        self._amplitude = rng.standard_normal((2, orders.size)) * orders**-1.2
        self._amplitude *= parameters.rough_m / np.sqrt((self._amplitude**2).sum() / 2)
        self._drift = rng.uniform(0.2, 1.2, orders.size) * 2 * np.pi / YEAR
        self._phase = rng.uniform(0, 2 * np.pi, orders.size)
        self._orders = orders

    def _day_of_year(self, days: np.ndarray) -> np.ndarray:
        return (days + self.start.timetuple().tm_yday) % YEAR

    def position(self, date: dt.date, across: np.ndarray) -> np.ndarray:
        """Position along the flow, in metres seaward of the mean front at the start.

        Parameters
        ----------
        date : datetime.date
        across : float (N,)
            From -1 (right wall, seen with the flow) to 1 (left wall); beyond that it goes on.

        Returns
        -------
        float64 (N,)
        """
        p = self.parameters
        across = np.asarray(across, float)
        day = float((date - self.start).days)
        season = np.cos(2 * np.pi * (self._day_of_year(np.array(day)) - p.maximum_day) / YEAR)
        found = p.trend_m_per_year * day / YEAR + p.seasonal_m * season
        found = found + p.bow_m * (1 / 3 - np.clip(across, -1.2, 1.2) ** 2)
        turn = self._phase + self._drift * day
        waves = np.pi / 2 * self._orders * across[..., None]
        found = found + np.cos(waves) @ (self._amplitude[0] * np.cos(turn))
        found = found + np.sin(waves) @ (self._amplitude[1] * np.sin(turn))
        for event in self.events:
            age = day - event.day
            if 0 <= age < 6 * p.healing_days:
                bay = np.clip(1 - ((across - event.centre) / event.half_width) ** 2, 0, None)
                found = found - event.depth_m * np.exp(-age / p.healing_days) * bay
        return found

    def last_event(self, date: dt.date) -> tuple[Event, float] | None:
        """Return the largest event of the last 30 days and its age in days, or None."""
        day = float((date - self.start).days)
        recent = [(e, day - e.day) for e in self.events if 0 <= day - e.day < 30]
        return max(recent, key=lambda found: found[0].depth_m) if recent else None
