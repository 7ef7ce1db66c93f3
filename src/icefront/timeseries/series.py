"""From measured fronts to what users ask: where, how fast, when in the year, how sure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from icefront.errors import IcefrontError
from icefront.measures.front_tables import dates_of
from icefront.timeseries.outliers import find_outliers, noise_of
from icefront.timeseries.trend import YEAR, Fit, days_of, fit_trend

EVENT_SIGMAS = 3.5
"""A drop is a calving event if it exceeds this many standard deviations of its two positions."""
EVENT_REACH = 3
"""Positions before and after a drop that must agree that it lasted."""
EVENT_DAYS = 60.0
"""Over a longer time without a front, calving cannot be told from gradual retreat."""
YEAR_DATES = 6
YEAR_GAP_DAYS = 120.0
"""The cycle of a single year needs so many dates and no larger gap."""
_YEAR_MARGIN_DAYS = 30.0


@dataclass(frozen=True)
class Series:
    """One glacier's series by one method.

    Attributes
    ----------
    table : DataFrame
        One row per measured front in order of date: all columns of the input, ``uncertainty_m``
        filled, and ``outlier`` (bool).
    fit : Fit
        Trend and mean seasonal cycle, from the rows that are no outliers.
    years : DataFrame
        Seasonal cycle by year, see `seasons_by_year`.
    events : DataFrame
        Calving events, see `calving_events`.
    """

    table: pd.DataFrame
    fit: Fit
    years: pd.DataFrame
    events: pd.DataFrame


def make_series(measured: pd.DataFrame) -> Series:
    """Make the series of one glacier from its measured positions by one method.

    Parameters
    ----------
    measured : DataFrame
        ``date`` and ``position_m`` (advance positive); ``uncertainty_m`` (standard deviation) and
        ``source`` if known. Rows without a position are kept and not used.

    Returns
    -------
    Series

    Raises
    ------
    IcefrontError
        If the columns are missing, or the table holds several glaciers or methods.
    """
    for name in ("date", "position_m"):
        if name not in measured:
            raise IcefrontError(f"A series needs a column {name!r}; measure the fronts first.")
    for name in ("glacier", "method"):
        if name in measured and measured[name].nunique(dropna=False) > 1:
            raise IcefrontError(
                f"The table holds several values of {name!r} "
                f"({', '.join(map(str, measured[name].unique()[:3]))} …): make a series of each."
            )
    table = measured.assign(date=dates_of(measured)).sort_values("date", kind="stable")
    table = table.reset_index(drop=True)
    days = days_of(table["date"].to_numpy())
    position = table["position_m"].to_numpy(float)
    stated = (
        pd.to_numeric(table["uncertainty_m"], errors="coerce").to_numpy(float)
        if "uncertainty_m" in table
        else np.full(len(table), np.nan)
    )
    outlier = find_outliers(days, position, stated)
    used = ~np.isnan(position) & ~outlier
    noise = noise_of(days[used], position[used])
    table["uncertainty_m"] = np.where(np.isnan(stated), noise, stated)
    table["outlier"] = outlier
    daily = by_day(table[used])
    at, place, sigma = daily["day"], daily["position_m"], daily["uncertainty_m"]
    fit = fit_trend(at.to_numpy(), place.to_numpy(), sigma.to_numpy())
    return Series(
        table,
        fit,
        seasons_by_year(at.to_numpy(), place.to_numpy(), fit),
        calving_events(at.to_numpy(), place.to_numpy(), sigma.to_numpy()),
    )


def by_day(table: pd.DataFrame) -> pd.DataFrame:
    """Average positions of the same day, weighted by their inverse variance.

    Parameters
    ----------
    table : DataFrame
        ``date``, ``position_m``, ``uncertainty_m`` (finite), in order of date.

    Returns
    -------
    DataFrame
        ``day`` (days since 2000-01-01), ``position_m`` and ``uncertainty_m`` (the smallest of the
        day: sources err together, so that their number does not make a position more certain).
    """
    sigma = table["uncertainty_m"].to_numpy(float)
    weight = 1 / np.maximum(np.where(np.isfinite(sigma), sigma, 1e6), 1e-3) ** 2
    grouped = pd.DataFrame(
        {
            "day": days_of(table["date"].to_numpy()),
            "weighted": weight * table["position_m"].to_numpy(float),
            "weight": weight,
            "uncertainty_m": sigma,
        }
    ).groupby("day", as_index=False)
    sums = grouped[["weighted", "weight"]].sum()
    return pd.DataFrame(
        {
            "day": sums["day"],
            "position_m": sums["weighted"] / sums["weight"],
            "uncertainty_m": grouped["uncertainty_m"].min()["uncertainty_m"],
        }
    )


def seasons_by_year(days: np.ndarray, position: np.ndarray, fit: Fit) -> pd.DataFrame:
    """Fit the seasonal cycle of each calendar year.

    The trend is taken off; a level, a slope of its own and one harmonic are fitted to the dates of
    the year and of a month on each side of it.

    Parameters
    ----------
    days, position : float (N,)
        In order, without outliers.
    fit : Fit
        Of the whole series.

    Returns
    -------
    DataFrame
        ``year``, ``dates`` (number), ``amplitude_m`` (half the range within the year),
        ``maximum`` and ``minimum`` (datetime64, days of the largest and smallest extent); years
        with too few dates are left out.
    """
    columns = ["year", "dates", "amplitude_m", "maximum", "minimum"]
    rows = []
    trend = fit.position(days, season=False)
    rest = position - (trend if not np.isnan(trend).any() else position.mean())
    dates = np.datetime64("2000-01-01") + np.round(days).astype("timedelta64[D]")
    for year in np.unique(dates.astype("datetime64[Y]")) if days.size else []:
        first, last = (days_of(np.array([year + k]))[0] for k in (0, 1))
        inside = (days >= first) & (days < last)
        near = (days >= first - _YEAR_MARGIN_DAYS) & (days < last + _YEAR_MARGIN_DAYS)
        stops = np.concatenate([[first], days[near & inside], [last]])
        if inside.sum() < YEAR_DATES or np.diff(stops).max() > YEAR_GAP_DAYS:
            continue
        grid = np.arange(first, last)
        middle = (first + last) / 2
        columns_of = [_year_design(at, middle) for at in (days[near], grid)]
        beta = np.linalg.lstsq(columns_of[0], rest[near], rcond=None)[0]
        cycle = columns_of[1][:, 2:] @ beta[2:]
        start = np.datetime64(year, "D")
        rows.append(
            (
                int(str(year)),
                int(inside.sum()),
                float(np.ptp(cycle) / 2),
                start + int(np.argmax(cycle)),
                start + int(np.argmin(cycle)),
            )
        )
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"maximum": "datetime64[s]", "minimum": "datetime64[s]"})


def _year_design(days: np.ndarray, middle: float) -> np.ndarray:
    turn = 2 * np.pi * days / YEAR
    return np.stack([np.ones_like(days), (days - middle) / YEAR, np.cos(turn), np.sin(turn)], 1)


def calving_events(
    days: np.ndarray,
    position: np.ndarray,
    uncertainty: np.ndarray,
    *,
    min_drop_m: float = 0.0,
) -> pd.DataFrame:
    """Find calving events: drops between two dates that exceed the uncertainty and last.

    What the front does gradually at that time of the year is taken off first: the median rate of
    the (up to three) steps before and after. The drop counts if what remains is larger than 3.5
    standard deviations (of both positions, each at least the noise of the series), and if the
    median of the up to three positions after it lies behind that of those before it by half the
    drop or more. Drops over more than 60 days without a front are no events.

    Parameters
    ----------
    days, position, uncertainty : float (N,)
        In order, a row per day, without outliers; metres.
    min_drop_m : float
        Smaller drops are not reported.

    Returns
    -------
    DataFrame
        ``before``, ``after`` (datetime64, the dates between which it calved), ``drop_m``
        (positive), ``uncertainty_m`` and ``sigmas`` (their ratio).
    """
    noise = noise_of(days, position)
    sigma = np.maximum(np.nan_to_num(uncertainty), noise)
    rows = []
    steps, spans = np.diff(position), np.maximum(np.diff(days), 1e-6)
    rates = steps / spans
    for i in np.flatnonzero((steps < 0) & (spans <= EVENT_DAYS)):
        drop, error = -steps[i], float(np.hypot(sigma[i], sigma[i + 1]))
        around = np.r_[rates[max(i - EVENT_REACH, 0) : i], rates[i + 1 : i + 1 + EVENT_REACH]]
        gradual = float(np.median(around)) * spans[i] if around.size else 0.0
        if not drop + min(gradual, 0.0) > EVENT_SIGMAS * error or drop < min_drop_m:
            continue
        before = position[max(i + 1 - EVENT_REACH, 0) : i + 1]
        after = position[i + 1 : i + 1 + EVENT_REACH]
        if np.median(before) - np.median(after) >= drop / 2:
            rows.append((days[i], days[i + 1], drop, error, drop / error))
    table = pd.DataFrame(rows, columns=["before", "after", "drop_m", "uncertainty_m", "sigmas"])
    for name in ("before", "after"):
        whole = np.round(table[name].to_numpy(float)).astype("timedelta64[D]")
        table[name] = (np.datetime64("2000-01-01") + whole).astype("datetime64[s]")
    return table


def compare_sources(measured: pd.DataFrame, *, days: int = 0) -> pd.DataFrame:
    """Hold sources against one another on the same dates.

    Parameters
    ----------
    measured : DataFrame
        ``date``, ``position_m`` and ``source``; compared within equal ``glacier`` and ``method``.
    days : int
        Dates may differ by as many days; the nearest counts.

    Returns
    -------
    DataFrame
        A row per pair of sources (and glacier and method): ``first``, ``second``, ``dates``
        (number of pairs), ``bias_m`` (median of first minus second; positive: the first is farther
        seaward), ``spread_m`` (1.4826 times the median absolute deviation from it) and ``rmse_m``.

    Raises
    ------
    IcefrontError
        If there is no column ``source``.
    """
    if "source" not in measured:
        raise IcefrontError("The table has no column 'source', so there is nothing to compare.")
    groups = [name for name in ("glacier", "method") if name in measured]
    table = measured.assign(date=dates_of(measured).astype("datetime64[s]"))
    table = table[table["position_m"].notna()].sort_values("date", kind="stable")
    rows = []
    for key, mine in table.groupby(groups, sort=False) if groups else [((), table)]:
        sources = sorted(mine["source"].dropna().unique())
        for number, first in enumerate(sources):
            for second in sources[number + 1 :]:
                one, two = (
                    mine.loc[mine["source"] == name, ["date", "position_m"]]
                    .groupby("date", as_index=False)
                    .mean()
                    for name in (first, second)
                )
                pairs = pd.merge_asof(
                    one,
                    two,
                    on="date",
                    direction="nearest",
                    tolerance=pd.Timedelta(days=days),
                ).dropna()
                off = (pairs["position_m_x"] - pairs["position_m_y"]).to_numpy()
                if off.size == 0:
                    continue
                bias = float(np.median(off))
                rows.append(
                    {
                        **dict(zip(groups, key, strict=True)),
                        "first": first,
                        "second": second,
                        "dates": off.size,
                        "bias_m": bias,
                        "spread_m": float(1.4826 * np.median(np.abs(off - bias))),
                        "rmse_m": float(np.sqrt((off**2).mean())),
                    }
                )
    names = [*groups, "first", "second", "dates", "bias_m", "spread_m", "rmse_m"]
    return pd.DataFrame(rows, columns=names)


def summary(series: Series) -> dict[str, float | int | str]:
    """Return one row that says what a series says, for tables of many glaciers."""
    fit = series.fit
    row: dict[str, float | int | str] = {}
    for name in ("glacier", "method"):
        if name in series.table and len(series.table):
            row[name] = str(series.table[name].iloc[0])
    return row | {
        "dates": fit.dates,
        "years": round(fit.years, 2),
        "outliers": int(series.table["outlier"].sum()),
        "rate_m_per_year": fit.rate,
        "rate_low": fit.rate_low,
        "rate_high": fit.rate_high,
        "amplitude_m": fit.amplitude,
        "amplitude_low": fit.amplitude_low,
        "amplitude_high": fit.amplitude_high,
        "day_of_maximum": fit.day_of_maximum,
        "day_of_minimum": fit.day_of_minimum,
        "scatter_m": fit.scatter_m,
        "memory_days": fit.memory_days,
        "events": len(series.events),
        "notes": "; ".join(fit.notes),
    }
