"""The scale bar of pictures and maps: a round length at the lower left."""

from __future__ import annotations

import math

from matplotlib.axes import Axes

from icefront.reporting.style import outline


def round_length(longest: float) -> float:
    """Return the largest length of 1, 2 or 5 times a power of ten up to a length.

    Examples
    --------
    >>> round_length(730)
    500.0
    """
    decade = 10.0 ** math.floor(math.log10(longest))
    return max(step for step in (1, 2, 5) if step * decade <= longest) * decade


def length_text(length: float, unit: str = "m") -> str:
    """Return a length with its unit; from 1000 m on in kilometres.

    Examples
    --------
    >>> length_text(2000.0)
    '2 km'
    """
    if unit == "m" and length >= 1000:
        return f"{length / 1000:g} km"
    return f"{length:g} {unit}"


def draw_scale_bar(axes: Axes, size: float = 1.0, unit: str = "m", *, fontsize: float = 10) -> None:
    """Draw a scale bar of about a fifth of the width of axes into their lower left corner.

    Parameters
    ----------
    axes : Axes
        With their final limits; either direction of the axes is allowed.
    size : float
        What one unit of the x axis measures: 1 on a map in metres, the width of a pixel in metres
        on an image.
    unit : str
        `m` or `px`.
    fontsize : float
        In points.
    """
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    length = round_length(abs(right - left) * size / 5)
    x, y = left + 0.035 * (right - left), bottom + 0.045 * (top - bottom)
    end = x + math.copysign(length / size, right - left)
    axes.plot(
        [x, end], [y, y], color="white", linewidth=3, solid_capstyle="butt", zorder=8,
        path_effects=outline(6),
    )  # fmt: skip
    axes.annotate(
        length_text(length, unit), ((x + end) / 2, y), xytext=(0, 5), textcoords="offset points",
        ha="center", va="bottom", color="white", fontsize=fontsize, fontweight="bold", zorder=8,
        path_effects=outline(3),
    )  # fmt: skip
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
