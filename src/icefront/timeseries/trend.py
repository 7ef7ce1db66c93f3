"""Rate of advance and seasonal cycle of a series, with intervals that hold under autocorrelation.

Position = level + rate · time + season + remainder, season being one or two harmonics of the year.

Fitted by weighted Huber regression rather than by a Theil-Sen slope: fronts are seen unevenly
through the year (no light, no clear sky, more satellites later), and a slope without season terms
then takes part of the cycle for a trend; and sources of different uncertainty can be weighted.
Huber's weights bound the influence of single wrong fronts, and unlike redescending ones they have
one solution.

The remainder of a calving front is no white noise: after an event it is behind for months. Its
correlation in time is taken as exponential decay plus white noise. Memory and share of the noise
are not fixed at their best values, which come out too small for short series, but averaged over by
their restricted likelihood (REML) on a grid; each pair gives the coefficients a covariance (the
sandwich of the weighted regression), and the interval is that of the mixture. In simulated series
of 60 to 200 dates over three to six years with memories of 0 to 365 days it covered the true rate
in 88 to 100 % of the cases (five kinds of series, 40 of each).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from scipy import linalg, optimize, stats

YEAR = 365.25
"""Days."""
LEVEL = 0.95
"""Of all intervals."""
MIN_DATES = 5
MIN_YEARS = 0.5
"""Less than this has no trend."""
SEASON_YEARS = 1.5
SEASON_DATES = 12
SEASON_GAP_DAYS = 150.0
"""A season needs so many years and dates, and no larger gap in the day of the year."""
_HUBER = 1.345
_LIKELIHOOD_DATES = 150
"""Series of more dates are averaged in bins for the likelihood of their memory."""
_MEMORIES = 8
_WHITE = (0.01, 0.1, 0.3, 0.6, 0.9, 0.98)
"""The grid: memories from a third of a step to half the series, and shares of white noise."""
_BLOCK = 512
_EPOCH = np.datetime64("2000-01-01")


@dataclass(frozen=True)
class Fit:
    """Trend and seasonal cycle of one series.

    Attributes
    ----------
    dates : int
        Number of dates that were used.
    years : float
        From the first to the last.
    rate, rate_low, rate_high : float
        Advance rate in m/yr and its 95 % interval; NaN where there is too little.
    amplitude, amplitude_low, amplitude_high : float
        Half the range of the mean seasonal cycle in metres; NaN if no season could be fitted.
    day_of_maximum, day_of_minimum : float
        Days of the year at which the mean cycle is farthest seaward and inland.
    memory_days : float
        Time in which the remainder's correlation falls to 37 %.
    effective_dates : float
        Number of independent dates that tell as much about the mean.
    scatter_m : float
        Standard deviation of the remainder.
    notes : tuple of str
        What could not be fitted, and why.
    coefficients : float64 (P,)
        Level (at the middle of the series), rate, and cosine and sine of each harmonic.
    covariance : float64 (P, P)
    middle : float
        Days since 2000-01-01 that `coefficients` count from.
    """

    dates: int
    years: float
    rate: float = math.nan
    rate_low: float = math.nan
    rate_high: float = math.nan
    amplitude: float = math.nan
    amplitude_low: float = math.nan
    amplitude_high: float = math.nan
    day_of_maximum: float = math.nan
    day_of_minimum: float = math.nan
    memory_days: float = math.nan
    effective_dates: float = math.nan
    scatter_m: float = math.nan
    notes: tuple[str, ...] = ()
    coefficients: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)
    covariance: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)), repr=False)
    middle: float = math.nan

    def position(self, days: np.ndarray, *, season: bool = True) -> np.ndarray:
        """Fitted position at days since 2000-01-01, with or without the seasonal cycle."""
        if self.coefficients.size == 0:
            return np.full(np.shape(days), np.nan)
        count = self.coefficients.size if season else 2
        return (
            _design(np.asarray(days, float), self.middle, (count - 2) // 2)
            @ (self.coefficients[:count])
        )


def days_of(dates: np.ndarray) -> np.ndarray:
    """Return datetimes as days since 2000-01-01, float64."""
    return (np.asarray(dates, "datetime64[s]") - _EPOCH).astype(float) / 86400


def fit_trend(days: np.ndarray, position: np.ndarray, uncertainty: np.ndarray | None = None) -> Fit:
    """Fit trend and season to a series.

    Parameters
    ----------
    days : float (N,)
        Days since 2000-01-01, in order; see `days_of`.
    position : float (N,)
        In metres, advance positive; NaN is left out. Outliers should be left out before.
    uncertainty : float (N,), optional
        Standard deviations in metres; NaN is taken as the median of the others.

    Returns
    -------
    Fit
    """
    known = ~np.isnan(position)
    days, position = np.asarray(days, float)[known], np.asarray(position, float)[known]
    years = float((days[-1] - days[0]) / YEAR) if days.size else 0.0
    if np.unique(days).size < MIN_DATES or years < MIN_YEARS:
        why = f"no trend: needs {MIN_DATES} dates over {MIN_YEARS:g} years"
        return Fit(days.size, years, notes=(why,))
    own = np.zeros(days.size)
    if uncertainty is not None:
        given = np.asarray(uncertainty, float)[known]
        if not np.isnan(given).all():
            own = np.where(np.isnan(given), np.nanmedian(given), given)
    middle = float((days[0] + days[-1]) / 2)
    notes: tuple[str, ...] = ()
    if _has_season(days, years):
        best = _fitted(days, position, own, middle, 2)
        if not _matters(best):
            best = _fitted(days, position, own, middle, 1)
    else:
        best = _fitted(days, position, own, middle, 0)
        notes = (
            f"no seasonal cycle: needs {SEASON_DATES} dates over {SEASON_YEARS:g} years without a "
            f"gap of {SEASON_GAP_DAYS:g} days in the year",
        )
    rate = float(best.beta[1])
    reach = best.reach(np.eye(best.beta.size)[1])
    season = _cycle(best)
    return Fit(
        days.size,
        years,
        rate,
        rate - reach,
        rate + reach,
        *season,
        memory_days=best.memory,
        effective_dates=best.effective,
        scatter_m=best.scatter,
        notes=notes,
        coefficients=best.beta,
        covariance=best.covariance,
        middle=middle,
    )


@dataclass(frozen=True)
class _Fitted:
    """Coefficients, and their covariance by each pair of memory and noise with its probability."""

    beta: np.ndarray
    chance: np.ndarray
    covariances: np.ndarray
    dof: int
    memory: float
    effective: float
    scatter: float

    @property
    def covariance(self) -> np.ndarray:
        return np.tensordot(self.chance, self.covariances, axes=1)

    def reach(self, contrast: np.ndarray) -> float:
        """Half the length of the interval of a combination of the coefficients."""
        errors = np.sqrt(np.einsum("i,kij,j->k", contrast, self.covariances, contrast))

        def outside(reach: float) -> float:
            tails = stats.t.sf(reach / errors, self.dof)
            return float(2 * (self.chance * tails).sum()) - (1 - LEVEL)

        high = float(errors.max()) * 200
        return float(optimize.brentq(outside, 0.0, high)) if high > 0 else 0.0


def _matters(fit: _Fitted) -> bool:
    """Whether the second harmonic is there, at 1 %."""
    second = fit.beta[4:]
    size = second @ np.linalg.pinv(fit.covariance[4:, 4:]) @ second / 2
    dof = max(fit.effective - fit.beta.size, 2.0)
    return bool(stats.f.sf(size, 2, dof) < 0.01)


def _has_season(days: np.ndarray, years: float) -> bool:
    phase = np.unique(days % YEAR)
    gap = float(np.diff(np.concatenate([phase, phase[:1] + YEAR])).max())
    return years >= SEASON_YEARS and np.unique(days).size >= SEASON_DATES and gap <= SEASON_GAP_DAYS


def _design(days: np.ndarray, middle: float, order: int) -> np.ndarray:
    turn = 2 * np.pi * days / YEAR
    columns = [np.ones_like(days), (days - middle) / YEAR]
    for number in range(1, order + 1):
        columns += [np.cos(number * turn), np.sin(number * turn)]
    return np.stack(columns, axis=-1)


def _fitted(
    days: np.ndarray, position: np.ndarray, own: np.ndarray, middle: float, order: int
) -> _Fitted:
    design = _design(days, middle, order)
    base = position.mean()  # Positions of 60 km with scatter of metres: keep the digits.
    values = position - base
    spread, robust = 0.0, np.ones(days.size)
    beta = np.zeros(design.shape[1])
    for _ in range(50):
        weight = robust / (own**2 + spread**2 + 1e-6)
        root = np.sqrt(weight)
        before = beta
        beta = np.linalg.lstsq(design * root[:, None], values * root, rcond=None)[0]
        off = values - design @ beta
        scatter = max(1.4826 * float(np.median(np.abs(off))), 1e-6)
        # What scatters beyond the stated uncertainty is common to all dates.
        spread = math.sqrt(max(scatter**2 - float(np.median(own**2)), 0.0))
        size = np.abs(off) / np.sqrt(own**2 + spread**2 + 1e-6)
        robust = _HUBER / np.maximum(size, _HUBER)
        if np.abs(beta - before).max() < 1e-6 * scatter:
            break
    # Residuals bounded as Huber's rule weighs them, in standard deviations: a single wrong front
    # must not widen all intervals. The bounded ones answer to a shift with the share that is free.
    deviation = np.sqrt(own**2 + spread**2 + 1e-6)
    bounded = off / deviation * robust
    share = max(float((robust == 1).mean()), 0.5)
    chance, covariances, memory, effective = _mixture(days, design, deviation, robust, bounded)
    beta = beta.copy()
    beta[0] += base
    return _Fitted(
        beta,
        chance,
        covariances / share**2,
        max(days.size - beta.size, 1),
        memory,
        effective,
        float(np.sqrt(((off * robust) ** 2).mean())),
    )


def _mixture(
    days: np.ndarray,
    design: np.ndarray,
    deviation: np.ndarray,
    robust: np.ndarray,
    bounded: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Probabilities of pairs of memory and white noise, and the coefficients' covariance by each.

    Returns
    -------
    chance : float64 (K,)
    covariances : float64 (K, P, P)
    memory : float
        Mean memory in days (geometric).
    effective : float
        Mean number of independent dates.
    """
    rows = design / deviation[:, None]
    bread = np.linalg.pinv(rows.T @ (robust[:, None] * rows))
    # The likelihood is that of means over bins where there are more dates than it can take.
    bins = np.minimum(np.arange(days.size) * _LIKELIHOOD_DATES // days.size, days.size - 1)
    if days.size <= _LIKELIHOOD_DATES:
        bins = np.arange(days.size)
    _, bins, held = np.unique(bins, return_inverse=True, return_counts=True)
    at, seen, off = (_means(values, bins, held) for values in (days, rows, bounded))
    apart = np.abs(at[:, None] - at[None])
    span = float(days[-1] - days[0])
    shortest = min(max(float(np.median(np.diff(days))) / 3, 0.5), span / 10)
    memories = np.geomspace(shortest, span / 2, _MEMORIES)
    counted = np.column_stack([np.ones(days.size), rows * robust[:, None]])
    alone = counted.T @ counted
    log_chance, covariances, effective = [], [], []
    dof = max(at.size - design.shape[1], 1)
    for memory in memories:
        decay = np.exp(-apart / memory)
        pairs = _related_sum(days, counted, memory)
        for white in _WHITE:
            related = (1 - white) * decay
            related[np.diag_indices(at.size)] += white / held
            factor = linalg.cholesky(related, lower=True, check_finite=False)
            both = linalg.solve_triangular(
                factor, np.column_stack([seen, off]), lower=True, check_finite=False
            )
            left, right = both[:, :-1], both[:, -1]
            normal = left.T @ left
            squares = right @ right - right @ left @ np.linalg.pinv(normal) @ left.T @ right
            variance = max(float(squares), 1e-12) / dof
            logs = 2 * np.log(np.diag(factor)).sum() + np.linalg.slogdet(normal)[1]
            log_chance.append(-0.5 * (logs + dof * math.log(variance)))
            meat = white * alone + (1 - white) * pairs
            covariances.append(variance * (bread @ meat[1:, 1:] @ bread))
            effective.append(days.size**2 / meat[0, 0])
    chance = np.exp(np.array(log_chance) - max(log_chance))
    chance /= chance.sum()
    middle = np.exp((chance * np.log(np.repeat(memories, len(_WHITE)))).sum())
    return chance, np.array(covariances), float(middle), float(chance @ np.array(effective))


def _means(values: np.ndarray, bins: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Means over bins along the first axis."""
    sums = np.zeros((held.size, *values.shape[1:]))
    np.add.at(sums, bins, values)
    return sums / held.reshape(-1, *[1] * (values.ndim - 1))


def _related_sum(days: np.ndarray, rows: np.ndarray, memory: float) -> np.ndarray:
    """Sum over all pairs of dates of rows_i rows_jᵀ exp(-time between / memory), (P, P)."""
    total = np.zeros((rows.shape[1], rows.shape[1]))
    # In blocks, so that memory stays flat; each pair of blocks is one product of matrices.
    for start in range(0, len(rows), _BLOCK):
        mine = slice(start, start + _BLOCK)
        near = np.abs(days[mine, None] - days[None]) / memory
        total += rows[mine].T @ np.exp(-near) @ rows
    return total


def _cycle(fit: _Fitted) -> tuple[float, float, float, float, float]:
    """Amplitude with interval and days of extremes of the mean seasonal cycle."""
    order = (fit.beta.size - 2) // 2
    if order == 0:
        return (math.nan,) * 5
    days = np.arange(0.0, YEAR, 0.5)
    waves = _design(days, 0.0, order)[:, 2:]
    cycle = waves @ fit.beta[2:]
    high, low = int(np.argmax(cycle)), int(np.argmin(cycle))
    contrast = np.concatenate([[0.0, 0.0], (waves[high] - waves[low]) / 2])
    amplitude, reach = float(contrast @ fit.beta), fit.reach(contrast)
    # Days since 2000-01-01 count from 0, days of the year from 1.
    return (
        amplitude,
        max(amplitude - reach, 0.0),
        amplitude + reach,
        float(days[high]) + 1,
        float(days[low]) + 1,
    )
