"""Colours, marks, axes and figures, the same in all reports.

All colours are distinct to readers with any common form of colour blindness: they are those of
Okabe and Ito (2008, Color Universal Design, https://jfly.uni-koeln.de/color/). Curves differ in
their marks or dashes, too.
"""

from __future__ import annotations

from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke

from icefront.text import printable

INK, MUTED, GRID = "#1c2530", "#5c6b7a", "#dde2e7"
"""Text, secondary text and axes, and grid lines on white."""

DARK, LIGHT = "#11161c", "#f2f5f7"
"""Background of dark pictures and outline of lines on an image; text and lines on it."""

HIGHLIGHT = "#ff2e63"
"""The one line that a picture on an image is about."""

BLUE, SKY, GREEN, YELLOW = "#0072b2", "#56b4e9", "#009e73", "#f0e442"
ORANGE, VERMILION, PURPLE = "#e69f00", "#d55e00", "#cc79a7"

PALETTE = (BLUE, VERMILION, GREEN, PURPLE, "#8c6d00", "#3b3b3b", SKY)
"""Colours of a sequence on white; yellow is too light for lines."""

PALETTE_ON_DARK = (SKY, ORANGE, GREEN, YELLOW, PURPLE, BLUE)
"""Colours of a sequence on a dark image."""

MARKERS = ("o", "s", "D", "^", "v", "P", "X")
LINE_STYLES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 1.5)), "-.")
DASHED: Any = (0, (4, 3))
"""Line style of frames and reference lines."""


def colour(number: int) -> str:
    """Return the colour of a member of a sequence on white."""
    return PALETTE[number % len(PALETTE)]


def marker(number: int) -> str:
    """Return the marker of a member of a sequence."""
    return MARKERS[number % len(MARKERS)]


def line_style(number: int) -> Any:
    """Return the line style of a member of a sequence."""
    return LINE_STYLES[number % len(LINE_STYLES)]


def new_figure(
    width: float,
    height: float,
    *,
    dpi: float = 150,
    facecolor: str = "white",
    layout: Literal["constrained"] | None = "constrained",
) -> Figure:
    """Return an empty figure with a canvas of its own, independent of pyplot's state.

    Parameters
    ----------
    width, height : float
        In inches.
    dpi : float
        Pixels an inch.
    facecolor : str
    layout : "constrained" or None
        None where the caller places the axes.
    """
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor=facecolor, layout=layout)
    FigureCanvasAgg(figure)
    return figure


_LONGEST = 50
"""Signs of a name in a title; a longer one leaves no room for the figure."""


def drawn_text(text: str) -> str:
    """Return a text from outside as a title: signs of formulas as they are, long ones cut.

    Examples
    --------
    >>> drawn_text("a$b")
    'a\\\\$b'
    """
    text = printable(text)
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 1]}…"
    return text.replace("$", r"\$")


def dress_axes(
    axes: Axes,
    title: str = "",
    *,
    beside: str = "",
    grid: Literal["both", "x", "y"] = "both",
) -> None:
    """Give axes the common look: a light grid behind, no box, the title at the left.

    Parameters
    ----------
    axes : Axes
    title : str
    beside : str
        Secondary title at the right.
    grid : "both", "x" or "y"
        Which grid lines; with "x" or "y" only that axis has a line and tick marks are left out, as
        suits rows of names.
    """
    omitted = ["top", "right"]
    if grid != "both":
        omitted.append("left" if grid == "x" else "bottom")
        axes.tick_params(length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_color(MUTED)
        axes.spines[side].set_visible(side not in omitted)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=9)
    axes.grid(True, axis=grid, color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    if title:
        axes.set_title(title, loc="left", fontsize=11.5, fontweight="bold", color=INK)
    if beside:
        axes.set_title(beside, loc="right", fontsize=9.5, color=MUTED)


def dress_image_axes(axes: Axes) -> None:
    """Take ticks and frame from axes that show an image or a map."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def outline(width: float, colour: str = DARK, alpha: float = 0.65) -> list[AbstractPathEffect]:
    """Return the path effects that set a line or text of an image off from what is behind it.

    Parameters
    ----------
    width : float
        Of the whole stroke in points, line and outline.
    colour : str
    alpha : float
        Opacity, from 0 to 1.
    """
    return [withStroke(linewidth=width, foreground=colour, alpha=alpha)]
