"""Colours, marks and number formats of the report, safe for colour-blind readers."""

from __future__ import annotations

import math
from typing import Any

TRUE_COLOUR = "#56b4e9"
PREDICTED_COLOUR = "#f0a202"
BOTH_COLOUR = "#ffffff"
BOX_COLOUR = "#ffffff"
INK = "#1c2530"
MUTED = "#6b7683"
GRID = "#dde2e7"

MODEL_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d00", "#3b3b3b", "#56b4e9")
"""Okabe and Ito's palette, without its yellow, which is too light for lines on white."""

MODEL_MARKS = ("o", "s", "D", "^", "v", "P", "X")
LINES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 1.5)), "-.")
"""Line styles, so that curves are told apart without colour."""


def colour(number: int) -> str:
    """Colour of a model."""
    return MODEL_COLOURS[number % len(MODEL_COLOURS)]


def mark(number: int) -> str:
    """Marker of a model."""
    return MODEL_MARKS[number % len(MODEL_MARKS)]


def amount(value: float, digits: int = 1) -> str:
    """A number for a table; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.{digits}f}"


def measure(value: float, unit: str) -> str:
    """A distance for a caption: whole metres, or pixels with one digit."""
    return f"{amount(value, 0 if unit == 'm' else 1)} {unit}"
