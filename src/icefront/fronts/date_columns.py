"""Columns of dates: a column is read in one way, which its own cells prove, or it is refused.

What a single cell leaves open the column decides:

- ``02/06/2018`` is in June where another row says ``14/06/2018``, in February where one says
  ``06/14/2018``. Where no row proves the order, the user has to state it.
- Numbers are days of the calendar (20180602), days of the year (2018153), decimal years (2018.4164)
  or counts since an epoch (seconds to nanoseconds since 1970, days since 1970, 1899-12-30 as in
  spreadsheets, MATLAB's, Julian and modified Julian days) if one of these readings, and only one,
  puts all of them between the first Landsat and today.
- Null dates are no dates: empty cells, zeros, and the days that databases and spreadsheets write
  for them (1899-12-30, 1900-01-00, 1970-01-01, 9999-12-31 ...).
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from icefront.errors import IcefrontError
from icefront.scenes.metadata import find_date

FIRST_YEAR, LAST_YEAR = 1800, 2099
"""Years that a date may have: the oldest mapped fronts are of the nineteenth century."""

_FIRST_IMAGE = dt.date(1972, 7, 23)
"""Launch of Landsat 1: numbers are counted from an epoch only where they mean later days."""

_NULL_DAYS = {
    dt.date(1601, 1, 1),  # Windows
    dt.date(1858, 11, 17),  # modified Julian day 0
    dt.date(1899, 12, 30),  # spreadsheets, OLE
    dt.date(1899, 12, 31),
    dt.date(1970, 1, 1),  # Unix
}
_MAYBE_NULL_DAYS = {dt.date(1900, 1, 1), dt.date(1904, 1, 1)}
"""Days 0 or 1 of databases and spreadsheets; data where the column has other days of that time."""
_NEAR_YEARS = 50

_NULL_WORDS = {"", "-", "--", "?", "nan", "nat", "none", "null", "na", "n/a", "unknown", "nodata",
               "no data", "missing", "-9999", "-999", "9999", "99999999"}  # fmt: skip

_LONGEST = 40
"""Longer cells are cut in messages."""

_SIGN = r"[-/._ ]"
_REST = r"(?:[T ,].*)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})({_SIGN})(\d{{1,2}})\2(\d{{1,2}}){_REST}")
_COMPACT = re.compile(r"(\d{4})()(\d{2})(\d{2})(?:[T_ ]?(?:\d{2}){1,3}(?:\.\d+)?Z?|[T ].*)?")
_YEAR_LAST = re.compile(rf"(\d{{1,2}})({_SIGN})(\d{{1,2}})\2(\d{{4}}|\d{{2}}){_REST}")
_YEAR_AND_DAY = re.compile(rf"A?(\d{{4}})(?:[-/_ ]|(?<=A\d{{4}}))(\d{{3}}){_REST}")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?(?:e[+-]?\d+)?", re.IGNORECASE)
_OFFSET = re.compile(r"\d{2}:\d{2}.*[+-]\d{2}:?\d{2}$")
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september",
           "october", "november", "december")  # fmt: skip

_Parts = tuple[int, int, int]
"""A year and two numbers, one of which is the day and one the month."""


@dataclass(frozen=True)
class DateColumn:
    """What a column of dates says.

    Attributes
    ----------
    days : list of datetime.date or None
        One per cell; None where the cell is a null date or is not understood.
    unread : list of int
        Cells that hold something which is not understood.
    reading : str or None
        How the cells were read, where the column had to decide.
    """

    days: list[dt.date | None]
    unread: list[int]
    reading: str | None = None


@dataclass(frozen=True)
class _Cell:
    """What a cell says by itself."""

    text: str
    form: str
    day: dt.date | None = None
    parts: _Parts = (0, 0, 0)


def read_dates(
    cells: Iterable[object],
    *,
    day_first: bool | None = None,
    known: Sequence[dt.date | None] | None = None,
    column: str = "The column of dates",
) -> DateColumn:
    """Read a column of dates.

    Parameters
    ----------
    cells : iterable of object
        Dates, time stamps, texts or numbers; None, NaN and NaT are missing.
    day_first : bool, optional
        Whether ``02/06/2018`` is in June, where no row of the column proves it.
    known : sequence of datetime.date or None, optional
        Days of the rows from elsewhere, such as the names of the images: they may prove an order.
    column : str
        What errors call it.

    Returns
    -------
    DateColumn

    Raises
    ------
    IcefrontError
        If the order of day and month is not proved, if proofs contradict one another or
        `day_first`, or if numbers have no reading or several.

    Examples
    --------
    >>> read_dates(["02/06/2018", "14/06/2018", "30/12/1899"]).days
    [datetime.date(2018, 6, 2), datetime.date(2018, 6, 14), None]
    """
    read = [_cell(value) for value in cells]
    days = [cell.day for cell in read]
    others = [None] * len(read) if known is None else known
    readings = []
    for form in ("year first", "year last", "short year"):
        rows = [row for row, cell in enumerate(read) if cell.form == form]
        if not rows:
            continue
        mine = [read[row] for row in rows]
        if form == "short year":
            mine, order = _full_years(mine, day_first, column)
        else:
            stated = day_first if form == "year last" else None
            order = _order(mine, [others[row] for row in rows], stated, column)
        for row, cell in zip(rows, mine, strict=True):
            days[row] = _day_of(cell.parts, order)
        readings.append(_said_of(mine[0], order))
    numbers = [row for row, cell in enumerate(read) if cell.form == "number"]
    if numbers and all(cell.form in ("number", "null") for cell in read):
        reading, found = _of_numbers([read[row].text for row in numbers], column)
        readings.append(reading)
        for row, day in zip(numbers, found, strict=True):
            days[row] = day
    unread = [
        row
        for row, (day, cell) in enumerate(zip(days, read, strict=True))
        if day is None and cell.form != "null"
    ]
    return DateColumn(_without_nulls(days), unread, "; ".join(filter(None, readings)) or None)


def proved_order(cells: Iterable[object]) -> bool | None:
    """Tell whether the cells with the year last prove that the day comes first.

    Returns
    -------
    bool or None
        None if no cell proves an order, or if they contradict one another.
    """
    read = (_cell(value) for value in cells)
    proofs = {_proof(cell.parts) for cell in read if cell.form == "year last"} - {None}
    return proofs.pop() if len(proofs) == 1 else None


def _cell(value: object) -> _Cell:
    """Read a cell as far as it can be read by itself."""
    if isinstance(value, dt.date | pd.Timestamp | np.datetime64):
        if pd.isna(value):
            return _Cell("", "null")
        stamp = pd.Timestamp(value)
        stamp = stamp if stamp.tzinfo is None else stamp.tz_convert("UTC")
        return _of_parts((stamp.year, stamp.month, stamp.day), str(stamp.date()), "day")
    if value is None or (not isinstance(value, str) and pd.isna(value)):  # type: ignore[call-overload]
        return _Cell("", "null")
    number = isinstance(value, float | np.floating) and float(value).is_integer()
    text = str(int(value)) if number else str(value).strip()  # type: ignore[call-overload]
    if text.lower() in _NULL_WORDS or not text.strip("0-/.: T"):
        return _Cell(text, "null")
    return _of_text(text)


def _of_text(text: str) -> _Cell:
    if match := _YEAR_FIRST.fullmatch(text) or _COMPACT.fullmatch(text):
        year, first, second = (int(match[i]) for i in (1, 3, 4))
        cell = _of_parts((year, first, second), text, "year first")
        if cell.form != "unread" or not _NUMBER.fullmatch(text):
            return _in_utc(cell) if _OFFSET.search(text) else cell
    if _NUMBER.fullmatch(text):
        return _Cell(text, "number")
    if match := _YEAR_LAST.fullmatch(text):
        year, first, second = (int(match[i]) for i in (4, 1, 3))
        if len(match[4]) == 2:
            return _Cell(text, "short year", parts=(year, first, second))
        return _of_parts((year, first, second), text, "year last")
    if match := _YEAR_AND_DAY.fullmatch(text):
        day = _of_year_and_day(int(match[1]), int(match[2]))
    else:
        day = _with_named_month(text) or find_date(text)
    return _Cell(text, "unread" if day is None else "day", day)


def _of_parts(parts: _Parts, text: str, form: str) -> _Cell:
    """Make the cell of a year and two numbers: a null date, or nothing, or for the column."""
    year, first, second = parts
    days = {_day_of(parts, order) for order in (False, True)} - {None}
    known_year = FIRST_YEAR <= year <= LAST_YEAR
    if year in (0, 1, 9999) or days & _NULL_DAYS or (known_year and not (first and second)):
        return _Cell(text, "null")
    if not days:
        return _Cell(text, "unread")
    return _Cell(text, form, _day_of(parts, False) if form == "day" else None, parts)


def _in_utc(cell: _Cell) -> _Cell:
    """Bring a time with an offset to the day in UTC."""
    try:
        moment = dt.datetime.fromisoformat(cell.text).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return cell
    return _Cell(cell.text, cell.form, None, (moment.year, moment.month, moment.day))


def _with_named_month(text: str) -> dt.date | None:
    """Read 2 June 2018, Jun-02-2018, 2018 June 2 and the like."""
    words = [word.lower() for word in re.findall(r"[A-Za-z]{3,}", text)]
    months = [m for m, name in enumerate(_MONTHS, 1) for word in words if name.startswith(word)]
    # What follows a colon, or a T between digits, is the time of day.
    numbers = re.findall(r"\d+", re.split(r"\d{1,2}:|(?<=\d)T(?=\d)", text)[0])
    years = [number for number in numbers if len(number) == 4]
    days = [number for number in numbers if len(number) <= 2]
    if not len(months) == len(years) == len(days) == 1 or len(numbers) != 2:
        return None
    return _day_of((int(years[0]), months[0], int(days[0])), False)


def _day_of(parts: _Parts, day_first: bool) -> dt.date | None:
    year, first, second = parts
    day, month = (first, second) if day_first else (second, first)
    try:
        return dt.date(year, month, day) if FIRST_YEAR <= year <= LAST_YEAR else None
    except ValueError:
        return None


def _of_year_and_day(year: int, number: int) -> dt.date | None:
    if not FIRST_YEAR <= year <= LAST_YEAR or not 1 <= number <= _length(year):
        return None
    return dt.date(year, 1, 1) + dt.timedelta(number - 1)


def _length(year: int) -> int:
    return (dt.date(year + 1, 1, 1) - dt.date(year, 1, 1)).days


def _proof(parts: _Parts) -> bool | None:
    """Tell which order of day and month a cell proves: True for the day first."""
    days = [_day_of(parts, order) for order in (False, True)]
    return None if None not in days else days[0] is None


def _order(
    cells: Sequence[_Cell], known: Sequence[dt.date | None], stated: bool | None, column: str
) -> bool:
    """Return whether the day comes before the month in cells of one form."""
    year_first = cells[0].form == "year first"
    proofs = {proof: cell.text for cell in cells if (proof := _proof(cell.parts)) is not None}
    if len(proofs) == 2:
        raise IcefrontError(
            f"{column} mixes orders: {_cut(proofs[True])!r} has the day before the month, "
            f"{_cut(proofs[False])!r} the month before the day; write all dates as year-month-day."
        )
    if stated is not None and (not stated) in proofs:
        given = "--day-first" if stated else "--month-first"
        raise IcefrontError(
            f"{column} holds {_cut(proofs[not stated])!r}, which contradicts {given}: leave the "
            "option out, or mend the date."
        )
    if proofs:
        return next(iter(proofs))
    if stated is not None:
        return stated
    if year_first:
        return False
    pairs = [(cell, day) for cell, day in zip(cells, known, strict=True) if day is not None]
    fitting = [
        order for order in (True, False) if all(_day_of(c.parts, order) == d for c, d in pairs)
    ]
    if pairs and len(fitting) == 1:
        return fitting[0]
    open_cells = [cell for cell in cells if len(set(cell.parts[1:])) == 2]
    if not open_cells:
        return True
    example = open_cells[0]
    days = [_day_of(example.parts, order) for order in (True, False)]
    raise IcefrontError(
        f"{column} holds {_cut(example.text)!r}, which may be {days[0]} or {days[1]}, and no row "
        "proves which: state --day-first or --month-first (day_first in Python)."
    )


def _full_years(
    cells: Sequence[_Cell], stated: bool | None, column: str
) -> tuple[list[_Cell], bool]:
    """Complete years of two digits, where one order alone gives days that are not to come."""
    found = []
    for name in ("day", "month", "year"):
        parts = []
        for cell in cells:
            last, first, second = cell.parts
            year, *rest = (first, second, last) if name == "year" else (last, first, second)
            parts.append((year + (2000 if year < 69 else 1900), rest[0], rest[1]))
        days = [_day_of(three, name == "day") for three in parts]
        if all(day is not None and day <= _tomorrow() for day in days):
            found.append((name, parts))
    if stated is not None:
        found = [item for item in found if item[0] == ("day" if stated else "month")]
    if len(found) != 1:
        raise IcefrontError(
            f"{column} holds {_cut(cells[0].text)!r}, whose year has two digits, so that the order "
            "of day, month and year is open: write years with four digits, or state --day-first or "
            "--month-first (day_first in Python)."
        )
    name, parts = found[0]
    form = "year first" if name == "year" else "year last"
    full = [_Cell(c.text, form, None, three) for c, three in zip(cells, parts, strict=True)]
    return full, name == "day"


def _said_of(cell: _Cell, day_first: bool) -> str | None:
    if cell.form == "year first":
        return "year, day, month" if day_first else None
    return "day, month, year" if day_first else "month, day, year"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _tomorrow() -> dt.date:
    return dt.datetime.now(dt.UTC).date() + dt.timedelta(1)


_COUNTS = (
    # What is counted, the day it is counted from, units a day, and the least that counts: smaller
    # numbers of days may be years, or a month and a day.
    ("seconds since 1970", dt.date(1970, 1, 1), 86_400, 0.0),
    ("milliseconds since 1970", dt.date(1970, 1, 1), 86_400 * 1000, 0.0),
    ("microseconds since 1970", dt.date(1970, 1, 1), 86_400 * 1000**2, 0.0),
    ("nanoseconds since 1970", dt.date(1970, 1, 1), 86_400 * 1000**3, 0.0),
    ("days since 1970", dt.date(1970, 1, 1), 1, 3650.0),
    ("days of spreadsheets, since 1899-12-30", dt.date(1899, 12, 30), 1, 0.0),
    ("modified Julian days", dt.date(1858, 11, 17), 1, 0.0),
)
_JULIAN_DAY_OF_MJD_0 = 2_400_000.5
_MATLAB_DAY_BEFORE_ORDINAL = 366


def _of_numbers(texts: Sequence[str], column: str) -> tuple[str, list[dt.date | None]]:
    """Find the one reading of a column of numbers that makes days of all of them."""
    values = [float(text) for text in texts]
    readings: dict[str, list[dt.date]] = {}

    def add(name: str, days: list[dt.date | None]) -> None:
        good = [day for day in days if day is not None and _FIRST_IMAGE <= day <= _tomorrow()]
        if len(good) == len(days):
            readings[name] = good

    for name, start, units, least in _COUNTS:
        if min(values) >= least:
            add(name, [_counted(value / units, start) for value in values])
    mjd_0 = dt.date(1858, 11, 17)
    add("Julian days", [_counted(value - _JULIAN_DAY_OF_MJD_0, mjd_0) for value in values])
    first = dt.date(1, 1, 1)
    matlab = [_counted(value - _MATLAB_DAY_BEFORE_ORDINAL - 1, first) for value in values]
    add("days of MATLAB", matlab)
    whole = all(value.is_integer() for value in values)
    if whole:
        add("year and day of the year", [_of_year_and_day(*divmod(int(v), 1000)) for v in values])
    elif all(FIRST_YEAR <= value < LAST_YEAR for value in values) and not _year_and_more(texts):
        places = max(len(text.partition(".")[2]) for text in texts)
        return "decimal years", [_of_decimal_year(value, places) for value in values]
    if len(readings) == 1:
        name, days = next(iter(readings.items()))
        return name, list(days)
    if len(readings) > 1:
        may = " or ".join(f"{name} ({days[0]})" for name, days in readings.items())
        why = f"which may be {may}"
    elif whole and all(FIRST_YEAR <= value <= LAST_YEAR for value in values):
        why = "which are years without a day"
    elif all(FIRST_YEAR <= value < LAST_YEAR for value in values):
        why = "which may be decimal years, or a year with its month or day behind the point"
    else:
        why = "which are no days of the calendar and count from no epoch in use"
    raise IcefrontError(
        f"{column} holds numbers such as {_cut(texts[0])}, {why}: write dates such as 2018-06-02."
    )


def _counted(days: float, start: dt.date) -> dt.date | None:
    # Further on there is no day that a date can be.
    if not 0 < days < 1e6:
        return None
    return start + dt.timedelta(math.floor(days + 1e-9))


def _of_decimal_year(value: float, places: int) -> dt.date:
    year = math.floor(value)
    # Rounded to a few places, the start of a day may fall short of it.
    rounding = 0.5 * 10.0**-places * _length(year) + 1e-6
    number = math.floor((value - year) * _length(year) + rounding)
    return dt.date(year, 1, 1) + dt.timedelta(min(number, _length(year) - 1))


def _year_and_more(texts: Sequence[str]) -> bool:
    """Tell whether numbers with a point may be 2018.06, 2018.0602 or 2018.153 all of them."""
    behind = [text.partition(".")[2].rstrip("0") for text in texts]
    places = max(map(len, behind))
    if places <= 2:
        return True
    if places == 3:
        return all(int(part.ljust(3, "0")) <= 366 for part in behind)
    months = [part.ljust(4, "0") for part in behind]
    return places == 4 and all(1 <= int(p[:2]) <= 12 and 1 <= int(p[2:]) <= 31 for p in months)


def _without_nulls(days: Sequence[dt.date | None]) -> list[dt.date | None]:
    """Take out days that stand for none, unless the column has others of their time."""
    years = [day.year for day in days if day is not None and day not in _MAYBE_NULL_DAYS]
    return [
        None
        if day in _MAYBE_NULL_DAYS
        and not any(abs(year - day.year) <= _NEAR_YEARS for year in years)
        else day
        for day in days
    ]
