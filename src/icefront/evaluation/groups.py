"""Groups that scores are broken down by: glacier, season, sensor, resolution and pairs of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal

import pandas as pd

Hemisphere = Literal["north", "south"]

HEMISPHERES: dict[str, Hemisphere] = {
    "COL": "north",
    "JAC": "north",
    "Crane": "south",
    "DBE": "south",
    "Jorum": "south",
    "Mapple": "south",
    "SI": "south",
}
"""Of the glaciers of CaFFe."""

WINTERS = {"north": (9, 10, 11, 12, 1, 2, 3), "south": (4, 5, 6, 7, 8)}
"""Months of winter by hemisphere, as CaFFe counts them."""

KINDS = ("glacier", "season", "sensor", "resolution")
GROUPINGS: tuple[tuple[str, ...], ...] = (
    (),
    *((kind,) for kind in KINDS),
    *combinations(KINDS, 2),
)
"""All images; each kind; each pair of kinds."""

_SAME_SENSOR = {"TSX": "TSX/TDX", "TDX": "TSX/TDX"}


def season_of(date: dt.date, glacier: str, hemisphere: Hemisphere | None = None) -> str:
    """Return ``winter`` or ``summer``, or ``unknown`` for a glacier of unknown hemisphere.

    Parameters
    ----------
    date : datetime.date
    glacier : str
        Of CaFFe, whose hemispheres are known.
    hemisphere : "north", "south" or None
        Of other glaciers.

    Notes
    -----
    Winter is September to March in the north and April to August in the south (CaFFe protocol).
    """
    where = HEMISPHERES.get(glacier, hemisphere)
    if where is None:
        return "unknown"
    return "winter" if date.month in WINTERS[where] else "summer"


def sensor_group(sensor: str) -> str:
    """Return the sensor, the twins TerraSAR-X and TanDEM-X being one."""
    return _SAME_SENSOR.get(sensor, sensor)


def members_of(
    table: pd.DataFrame, grouping: Sequence[str]
) -> list[tuple[Mapping[str, str], list[int]]]:
    """List the groups of a grouping and the positions of their rows.

    Parameters
    ----------
    table : DataFrame
        With the columns of `KINDS`.
    grouping : sequence of str
        Kinds; none for all rows as one group.

    Returns
    -------
    list of (dict, list of int)
        What each group has in common, in order, and where its rows are.
    """
    if not grouping:
        return [({}, list(range(len(table))))]
    found = table.groupby(list(grouping), sort=True).indices
    groups: list[tuple[Mapping[str, str], list[int]]] = []
    for key, rows in found.items():
        values = key if isinstance(key, tuple) else (key,)
        groups.append((dict(zip(grouping, values, strict=True)), [int(r) for r in rows]))
    return groups
