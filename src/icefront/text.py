"""Text from outside, such as names of files and tags, made harmless where it is shown or kept.

Three places call this: the command line before it prints, reports before they show a value, and
tables before they are written.
"""

from __future__ import annotations

import re

__all__ = ["harmless_cell", "printable"]

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but line feed and tab, marks that turn the direction, lone surrogates."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a cell begins with that spreadsheets run as a formula."""


def printable(text: str) -> str:
    r"""Show characters that steer a terminal, or turn the order of a text, as their codes.

    Line feeds and tabs stay.

    Examples
    --------
    >>> print(printable("\x1b[31mred"))
    \x1b[31mred
    >>> printable("Isstrøm")
    'Isstrøm'
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def harmless_cell(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula; numbers stay.

    Examples
    --------
    >>> harmless_cell("=1+1"), harmless_cell("-12.5"), harmless_cell("Helheim")
    ("'=1+1", '-12.5', 'Helheim')
    """
    text = printable(text)
    if not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
