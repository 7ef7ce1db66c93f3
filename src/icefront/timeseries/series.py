"""The series of one glacier: positions with outliers, trend, seasons and calving events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from icefront.errors import IcefrontError
from icefront.measures.front_tables import dates_of
from icefront.timeseries.calving_events import calving_events
from icefront.timeseries.outliers import find_outliers, noise_of
from icefront.timeseries.seasons import seasons_by_year
from icefront.timeseries.trend import Fit, days_of, fit_trend

if TYPE_CHECKING:
    import xarray as xr


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

    def to_xarray(self) -> xr.Dataset:
        """Return the series as a data set along ``time``.

        Returns
        -------
        xarray.Dataset
            The columns of `table` as variables (lengths in metres), with ``trend_m`` and
            ``trend_and_season_m`` (the fit at each date; NaN where nothing could be fitted). The
            attributes are those of `summary`.
        """
        import xarray as xr

        days = days_of(self.table["date"].to_numpy())
        table = self.table.assign(
            trend_m=self.fit.position(days, season=False),
            trend_and_season_m=self.fit.position(days),
        )
        dataset = xr.Dataset(
            {name: ("time", table[name].to_numpy()) for name in table if name != "date"},
            coords={"time": table["date"].to_numpy()},
            attrs=summary(self),
        )
        for name in dataset:
            if str(name).endswith("_m"):
                dataset[name].attrs["units"] = "m"
        return dataset


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


def summary(series: Series) -> dict[str, float | int | str]:
    """Return a series as one row of a table of many glaciers."""
    fit = series.fit
    row: dict[str, float | int | str] = {}
    for name in ("glacier", "method"):
        if name in series.table and len(series.table):
            value = series.table[name].iloc[0]
            row[name] = "" if pd.isna(value) else str(value)
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
        "correlation_days": fit.correlation_days,
        "events": len(series.events),
        "notes": "; ".join(fit.notes),
    }


def trend_text(row: Mapping[str, Any]) -> str:
    """Return rate, season and number of calving events as a phrase.

    Parameters
    ----------
    row : mapping
        As `summary` returns it.
    """
    if np.isnan(row["rate_m_per_year"]):
        return str(row["notes"]) or "no trend"
    text = f"{row['rate_m_per_year']:+.0f} m/yr"
    if np.isfinite([row["rate_low"], row["rate_high"]]).all():
        text += f" (95 %: {row['rate_low']:+.0f} to {row['rate_high']:+.0f})"
    if not np.isnan(row["amplitude_m"]):
        text += f", season ± {row['amplitude_m']:.0f} m"
    return f"{text}, {row['events']} calving events"
