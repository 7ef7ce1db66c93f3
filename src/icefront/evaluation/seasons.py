"""Winter and summer of a date, as the CaFFe protocol counts them."""

from __future__ import annotations

import datetime as dt
from typing import Literal

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

WINTER_MONTHS = {"north": (9, 10, 11, 12, 1, 2, 3), "south": (4, 5, 6, 7, 8)}
"""Months of winter by hemisphere, as CaFFe counts them."""


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
    return "winter" if date.month in WINTER_MONTHS[where] else "summer"
