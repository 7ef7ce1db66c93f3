"""Tables as Markdown, as HTML and on the terminal; numbers as text and for JSON."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from icefront.text import harmless_cell, printable

_TableT = TypeVar("_TableT", bound=pd.DataFrame)

MISSING = "–"
"""What stands for a number that is not known."""


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes
    ----------
    head : sequence of str
        Titles of the columns.
    rows : sequence of sequences of str
        HTML pages escape the cells, except those of the type ``markupsafe.Markup``.
    numbers : collection of int, optional
        Columns that are aligned at the right; all but the first by default.
    title : str
    folded : bool
        HTML pages show the title alone until the reader opens it.
    bold : collection of int
        Rows that stand out.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Collection[int] | None = None
    title: str = ""
    folded: bool = False
    bold: Collection[int] = ()

    def is_number(self, column: int) -> bool:
        """Return whether a column is aligned at the right."""
        return column > 0 if self.numbers is None else column in self.numbers

    def markdown(self) -> str:
        """Return the table in Markdown, without its title and a final line break."""
        rule = ["---:" if self.is_number(k) else "---" for k in range(len(self.head))]
        lines = [_markdown_row(self.head), "| " + " | ".join(rule) + " |"]
        for number, row in enumerate(self.rows):
            bold = number in self.bold
            lines.append(_markdown_row([f"**{c}**" if bold and c else c for c in row]))
        return "\n".join(lines)


def _markdown_row(cells: Sequence[str]) -> str:
    shown = [cell_text(cell).replace("|", "\\|").replace("\n", " ") for cell in cells]
    return "| " + " | ".join(shown) + " |"


def write_csv(
    table: pd.DataFrame, path: Path, *, index: bool = False, float_format: str | None = None
) -> None:
    """Write a table as CSV in which no cell is a formula; what is not known is empty.

    Parameters
    ----------
    table : DataFrame
    path : Path
    index : bool
        Write the index, too.
    float_format : str, optional
        Of numbers, such as ``%.3f``.
    """
    if index:
        names = table.index.name
        table = table.rename_axis("" if names is None else names).reset_index()
    harmless = harmless_text(table)
    harmless.columns = pd.Index([harmless_cell(str(name)) for name in table.columns])
    harmless.to_csv(path, index=False, float_format=float_format, date_format="%Y-%m-%d")


def harmless_text(table: _TableT) -> _TableT:
    """Return a table whose text no spreadsheet runs as a formula (`icefront.text`)."""
    table = table.copy()
    for number, name in enumerate(table.columns):
        column = table.iloc[:, number]
        if pd.api.types.is_string_dtype(column.dtype) or column.dtype == object:
            table[name] = column.map(
                lambda cell: harmless_cell(cell) if isinstance(cell, str) else cell
            )
    return table


def print_table(table: Table, width: int = 140) -> None:
    """Print a table on the terminal.

    Parameters
    ----------
    table : Table
    width : int
        Columns of text where the output is no terminal.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=width)
    shown = RichTable(
        title=table.title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for number, name in enumerate(table.head):
        shown.add_column(name, justify="right" if table.is_number(number) else "left")
    for row in table.rows:
        shown.add_row(*(cell_text(cell) for cell in row))
    console.print(shown)


def cell_text(value: Any) -> str:
    """Return a value as the text of a cell; a dash where it is not known.

    Examples
    --------
    >>> cell_text(None), cell_text(float("nan")), cell_text("Helheim")
    ('–', '–', 'Helheim')
    """
    return MISSING if pd.api.types.is_scalar(value) and pd.isna(value) else printable(str(value))


def number_text(value: float | None, digits: int = 0, *, sign: bool = False) -> str:
    """Return a number as text with separators of thousands; a dash where it is not known.

    Parameters
    ----------
    value : float or None
        NaN and infinity count as not known.
    digits : int
        After the point.
    sign : bool
        Show the plus, too.

    Examples
    --------
    >>> number_text(1234.56, 1), number_text(3.2, sign=True), number_text(float("nan"))
    ('1,234.6', '+3', '–')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:{'+' if sign else ''},.{digits}f}"


def distance_text(value: float | None, unit: str) -> str:
    """Return a distance with its unit: whole metres, or pixels with one digit.

    Examples
    --------
    >>> distance_text(1234.5, "m"), distance_text(1.25, "px")
    ('1,234 m', '1.2 px')
    """
    return f"{number_text(value, 0 if unit == 'm' else 1)} {unit}"


def percent_text(fraction: float | None, digits: int = 0) -> str:
    """Return a fraction in per cent; a dash where it is not known.

    Examples
    --------
    >>> percent_text(0.5)
    '50 %'
    """
    if fraction is None or not math.isfinite(fraction):
        return MISSING
    return f"{100 * fraction:.{digits}f} %"


def json_values(value: Any) -> Any:
    """Return plain types that JSON holds; numbers that are not finite become None.

    Parameters
    ----------
    value : dict, list, tuple, array, numpy scalar or plain value
        Nested at will.

    Examples
    --------
    >>> json_values({"a": [float("nan"), np.float32(2)]})
    {'a': [None, 2.0]}
    """
    if isinstance(value, dict):
        return {str(key): json_values(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_values(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return json_values(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
