"""Positions of several sources compared on the same dates."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icefront.errors import IcefrontError
from icefront.measures.front_tables import dates_of


def compare_sources(measured: pd.DataFrame, *, days: int = 0) -> pd.DataFrame:
    """Compare the positions of sources on the same dates.

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
        seaward), ``std_m`` (1.4826 times the median absolute deviation from it) and ``rmse_m``.

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
                        "std_m": float(1.4826 * np.median(np.abs(off - bias))),
                        "rmse_m": float(np.sqrt((off**2).mean())),
                    }
                )
    names = [*groups, "first", "second", "dates", "bias_m", "std_m", "rmse_m"]
    return pd.DataFrame(rows, columns=names)
