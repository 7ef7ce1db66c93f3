"""Groups that scores are broken down by: glacier, season, sensor, resolution and pairs of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import pandas as pd

KINDS = ("glacier", "season", "sensor", "resolution")
GROUPINGS: tuple[tuple[str, ...], ...] = (
    (),
    *((kind,) for kind in KINDS),
    *combinations(KINDS, 2),
)
"""All images; each kind; each pair of kinds."""

_SAME_SENSOR = {"TSX": "TSX/TDX", "TDX": "TSX/TDX"}


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
