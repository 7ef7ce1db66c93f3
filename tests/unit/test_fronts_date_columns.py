"""Columns of dates: one reading for a whole column, or none."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icefront.errors import IcefrontError
from icefront.fronts.date_columns import proved_order, read_dates

JUNE_2, JUNE_14 = dt.date(2018, 6, 2), dt.date(2018, 6, 14)

days = st.lists(st.dates(dt.date(1984, 1, 1), dt.date(2024, 12, 31)), min_size=1, max_size=12)
signs = st.sampled_from(["/", "-", ".", " "])
nulls = st.sampled_from(
    [None, "", "0000", "00/00/0000", "1899-12-30", "30/12/1899", "12/30/1899", "1900-01-00",
     "0000-00-00", "1970-01-01", "9999-12-31", "NaN", pd.NaT, 0, "n/a", dt.date(1, 1, 1)]
)  # fmt: skip


@given(days=days, sign=signs, day_first=st.booleans(), padded=st.booleans(), null=nulls)
@settings(max_examples=60, deadline=None)
def test_a_column_in_any_order_is_read_as_written_or_refused(
    days: list[dt.date], sign: str, day_first: bool, padded: bool, null: object
) -> None:
    def written(day: dt.date) -> str:
        parts = (day.day, day.month) if day_first else (day.month, day.day)
        return sign.join([*(f"{p:02d}" if padded else str(p) for p in parts), str(day.year)])

    column: list[object] = [*map(written, days), null]
    assert read_dates(column, day_first=day_first).days == [*days, None]
    proved = any(day.day > 12 for day in days)
    if proved or all(day.day == day.month for day in days):
        assert read_dates(column).days == [*days, None]
    else:
        with pytest.raises(IcefrontError, match="--day-first or --month-first"):
            read_dates(column)
        # What other columns say of the rows may prove the order, too.
        assert read_dates(column, known=[*days, None]).days == [*days, None]
    if proved:
        assert proved_order(column) == day_first
        with pytest.raises(IcefrontError, match="contradicts"):
            read_dates(column, day_first=not day_first)


def seconds(day: dt.date) -> int:
    return calendar.timegm(day.timetuple())


NUMBERS: dict[str, Callable[[dt.date], object]] = {
    "calendar": lambda day: int(f"{day:%Y%m%d}"),
    "calendar as a float": lambda day: float(f"{day:%Y%m%d}"),
    "day of the year": lambda day: int(f"{day:%Y%j}"),
    "day of the year with a sign": lambda day: f"{day:%Y-%j}",
    "seconds": lambda day: seconds(day) + 40_000,
    "milliseconds": lambda day: 1000 * seconds(day),
    "microseconds": lambda day: str(1_000_000 * seconds(day)),
    "nanoseconds": lambda day: 1_000_000_000 * seconds(day),
    "MATLAB": lambda day: day.toordinal() + 366.4,
    "Julian days": lambda day: day.toordinal() + 1_721_424.5,
    "modified Julian days": lambda day: day.toordinal() - 678_576,
    "days of spreadsheets": lambda day: day.toordinal() - 693_594,
    "days since 1970": lambda day: day.toordinal() - 719_163,
    "decimal years": lambda day: day.year
    + (day.timetuple().tm_yday - 1) / (366 if calendar.isleap(day.year) else 365),
    "decimal years of four places": lambda day: round(
        day.year + (day.timetuple().tm_yday - 1) / (366 if calendar.isleap(day.year) else 365), 4
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
@given(days=days)
@settings(max_examples=15, deadline=None)
def test_numbers_are_read_rightly_or_refused(name: str, days: list[dt.date]) -> None:
    column = [NUMBERS[name](day) for day in days]
    try:
        found = read_dates(column)
    except IcefrontError as error:
        assert "write dates such as 2018-06-02" in str(error)  # noqa: PT017
    else:
        assert found.days == days


@pytest.mark.parametrize(
    ("cells", "reading"),
    [
        ([20180602, 20180614.0], None),
        ([2018153, 2018165], "year and day of the year"),
        (["2018-153", "A2018165"], None),
        ([2018.4164, 2018.4493], "decimal years"),
        ([1527897600, 1528934400], "seconds since 1970"),
        ([1527897600000, 1528934400000], "milliseconds since 1970"),
        (["737213", "737225.5"], "days of MATLAB"),
        ([58271, 58283], "modified Julian days"),
        (["2 June 2018", "Jun-14-2018 11:20"], None),
        (["2018/6/2", "20180614T080910"], None),
        (["2018-06-01T23:30:00-05:00", "2018-06-14 11:00:00+00"], None),
        (["02/06/18", "14/06/2018"], None),
        (pd.to_datetime(["2018-06-02 11:00", "2018-06-14 00:30"]), None),
        (np.array(["2018-06-02", "2018-06-14"], "datetime64[D]"), None),
    ],
)
def test_a_column_that_can_mean_one_thing_only_is_read(cells: object, reading: str | None) -> None:
    if isinstance(cells, list) and cells[0] == "02/06/18":
        found = read_dates(cells, day_first=True)
    else:
        found = read_dates(cells)  # type: ignore[arg-type]
        assert found.reading == reading
    assert found.days == [JUNE_2, JUNE_14]
    assert found.unread == []


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (["02/06/2018"], "may be 2018-06-02 or 2018-02-06"),
        (["14/06/2018", "06/14/2018"], "mixes orders"),
        (["2018-14-06", "2018-06-14"], "mixes orders"),
        (["02/06/18", "05/06/18"], "two digits"),
        ([43253, 43300], "days of spreadsheets.*or modified Julian days"),
        ([2018, 2019], "years without a day"),
        ([2018.06, 2018.11], "decimal years, or a year with its month"),
        ([2018.0602, 2018.0614], "decimal years, or a year with its month"),
        ([2018.153, 2018.165], "decimal years, or a year with its month"),
        ([14062018], "count from no epoch"),
        ([153, 165], "count from no epoch"),
    ],
)
def test_a_column_that_may_mean_several_things_is_refused(cells: list[object], why: str) -> None:
    with pytest.raises(IcefrontError, match=why):
        read_dates(cells)


def test_what_is_no_date_is_told_from_what_is_missing() -> None:
    found = read_dates(["soon", None, "2018-06-02", "2018-02-30", "2018-06-00", 1527897600])
    assert found.days == [None, None, JUNE_2, None, None, None]
    assert found.unread == [0, 3, 5]


def test_the_first_of_1900_is_data_only_among_its_time() -> None:
    assert read_dates(["1900-01-01", "2018-06-02"]).days == [None, JUNE_2]
    old = dt.date(1900, 1, 1), dt.date(1912, 7, 15)
    assert read_dates([day.isoformat() for day in old]).days == list(old)
