"""Figures over all images: distances, groups, calibration, published rows, worst and best."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from PIL import Image

from icefront.evaluation.groups import KINDS
from icefront.evaluation.published import PUBLISHED
from icefront.evaluation.report.gallery import Gallery
from icefront.evaluation.report.tables import comparable
from icefront.evaluation.results import BenchmarkResult
from icefront.reporting.pictures import figure_png
from icefront.reporting.style import (
    INK,
    MUTED,
    colour,
    dress_axes,
    line_style,
    marker,
    new_figure,
)
from icefront.reporting.tables import distance_text

_SHOWN = 4
"""Worst and best images of each model that are shown."""

_LEAST = {"m": 1.0, "px": 0.1}
"""Where logarithmic axes begin: a distance of 0 is drawn there."""


def _logarithmic(axis: Any, which: str) -> None:
    getattr(axis, f"set_{which}scale")("log")
    one = getattr(axis, f"{which}axis")
    one.set_major_locator(LogLocator(subs=(1, 2, 5)))
    one.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,g}"))
    one.set_minor_formatter(NullFormatter())


def error_figure(result: BenchmarkResult) -> Figure:
    """Draw the fraction of all distances below a value, and the mean distance of each image."""
    unit, least = result.selection.unit, _LEAST[result.selection.unit]
    count = len(result.models)
    figure = new_figure(10.5, 4.2 + 0.12 * count)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    dress_axes(left, "Distances between fronts, all images")
    dress_axes(right, "Mean distance of each image")
    top = least * 10
    for k, model in enumerate(result.models):
        pooled = np.sort(np.concatenate(model.errors)) if model.errors else np.empty(0)
        if not pooled.size:
            continue
        top = max(top, float(pooled[-1]))
        # A curve of a hundred thousand points draws no better than one of a thousand.
        fraction = np.linspace(0, 1, 1001)
        values = np.maximum(np.quantile(pooled, fraction), least)
        label = f"{model.label}: mean {distance_text(float(pooled.mean()), unit)}"
        left.plot(
            values,
            100 * fraction,
            color=colour(k),
            linewidth=2,
            linestyle=line_style(k),
            label=label,
        )
        mean = float(pooled.mean())
        left.plot(
            max(mean, least),
            100 * float((pooled <= mean).mean()),
            marker=marker(k),
            color=colour(k),
            markersize=7,
            markeredgecolor="white",
        )
    _logarithmic(left, "x")
    left.set_xlim(least, top * 1.2)
    left.set_ylim(0, 100)
    left.set_xlabel(f"distance ({unit}); the marker is the mean", color=INK)
    left.set_ylabel("fraction of distances below (%)", color=INK)
    if left.lines:
        left.legend(fontsize=9, frameon=False, labelcolor=INK, loc="upper left")
    labels = []
    for k, model in enumerate(result.models):
        own = result.of(model.label)
        values = own["mde"].dropna().to_numpy()
        y = count - 1 - k
        if values.size:
            shift = (np.arange(values.size) * 0.618 % 1 - 0.5) * 0.46
            right.plot(
                np.maximum(values, least),
                y + shift,
                linestyle="none",
                marker=".",
                color=colour(k),
                alpha=0.45,
                markersize=6,
                markeredgewidth=0,
            )
            low, middle, high = np.maximum(np.quantile(values, [0.25, 0.5, 0.75]), least)
            right.plot([low, high], [y, y], color=INK, linewidth=2.2, solid_capstyle="butt")
            right.plot(middle, y, marker="|", color=INK, markersize=17, markeredgewidth=2.4)
        lost = int((~own["front_found"]).sum())
        labels.append(f"{model.label}\n{lost} without front")
    _logarithmic(right, "x")
    right.set_yticks(range(count - 1, -1, -1), labels)
    right.set_ylim(-0.6, count - 0.4)
    right.set_xlabel(f"MDE of the image ({unit}); bar: median and quartiles", color=INK)
    return figure


def group_figure(result: BenchmarkResult) -> Figure:
    """Draw the MDE of each model by glacier and season, then by each kind, with counts."""
    unit = result.selection.unit
    groupings = ("glacier × season", *KINDS)
    parts = []
    for name in groupings:
        part = result.groups[result.groups["grouping"] == name].copy()
        keys = name.split(" × ")
        part["name"] = part[keys].astype(str).agg(", ".join, axis=1)
        parts.append((name, part, sorted(part["name"].unique())))
    lines = [len(names) for _, _, names in parts]
    step = 0.24 + 0.085 * len(result.models)
    figure = new_figure(9.6, step * sum(lines) + 0.55 * len(lines) + 0.9)
    axes = figure.subplots(len(parts), 1, height_ratios=[n + 0.4 for n in lines], sharex=True)
    finite = result.groups["mde"].dropna()
    high = float(finite.max()) if len(finite) else 1.0
    for axis, (name, part, names) in zip(axes, parts, strict=True):
        dress_axes(axis)
        axis.set_title(f"by {name}", loc="left", fontsize=10, fontweight="bold", color=INK, pad=3)
        for k, model in enumerate(result.models):
            own = part[part["model"] == model.label].set_index("name")
            shift = 0.5 * (k - (len(result.models) - 1) / 2) / max(len(result.models), 2)
            for y, group in enumerate(names):
                row = own.loc[group]
                at = len(names) - 1 - y - shift
                if np.isfinite(row["mde"]):
                    axis.plot([0, row["mde"]], [at, at], color=colour(k), linewidth=1, alpha=0.35)
                    axis.plot(row["mde"], at, marker=marker(k), color=colour(k), markersize=6.5,
                              markeredgecolor="white", linestyle="none")  # fmt: skip
                else:
                    axis.text(0.01 * high, at, "no front", fontsize=7.5, color=colour(k),
                              va="center")  # fmt: skip
        axis.set_yticks(range(len(names) - 1, -1, -1), names)
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.set_xlim(0, high * 1.06)
        axis.tick_params(axis="y", length=0)
        for y, group in enumerate(names):
            rows = part[part["name"] == group]
            lost = "/".join(str(int(v)) for v in rows["without_front"])
            words = f"{int(rows['images'].iloc[0])} images, {lost} without front"
            axis.annotate(
                words,
                (1.0, len(names) - 1 - y),
                xycoords=("axes fraction", "data"),
                xytext=(6, 0),
                textcoords="offset points",
                fontsize=8,
                color=MUTED,
                va="center",
            )
    axes[-1].set_xlabel(f"MDE ({unit})", color=INK)
    handles = [
        axes[0].plot([], [], marker=marker(k), color=colour(k), linestyle="none",
                     label=m.label)[0]
        for k, m in enumerate(result.models)
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper left", ncol=4, frameon=False, fontsize=9.5,
                  labelcolor=INK)  # fmt: skip
    return figure


def published_figure(result: BenchmarkResult) -> Figure | None:
    """Draw the MDE beside the published ones; None unless the images are the same."""
    if not comparable(result):
        return None
    rows: list[tuple[str, float, tuple[float, ...], float, int | None]] = [
        (p.model, p.mean, p.runs, p.deviation, None) for p in PUBLISHED
    ]
    overall = result.groups[result.groups["grouping"] == "all"].set_index("model")
    for k, model in enumerate(result.models):
        mde = float(overall.loc[model.label, "mde"])
        if np.isfinite(mde):
            rows.append((model.label, mde, (), float("nan"), k))
    rows.sort(key=lambda r: -r[1])
    figure = new_figure(9.6, 0.36 * len(rows) + 0.9)
    axis = figure.subplots()
    dress_axes(axis)
    for y, (_, mean, runs, deviation, own) in enumerate(rows):
        at = len(rows) - 1 - y
        if np.isfinite(deviation) and not runs:
            axis.plot([mean - deviation, mean + deviation], [at, at], color=MUTED, linewidth=1.5)
        axis.plot(runs, [at] * len(runs), linestyle="none", marker=".", color=MUTED, markersize=7)
        if own is None:
            axis.plot(mean, at, marker="|", color=INK, markersize=15, markeredgewidth=2.4)
        else:
            axis.plot(mean, at, marker=marker(own), color=colour(own), markersize=9)
        axis.annotate(f"{mean:.0f}", (1, at), xycoords=("axes fraction", "data"), xytext=(6, 0),
                      textcoords="offset points", va="center", fontsize=9, color=INK)  # fmt: skip
    axis.set_yticks(range(len(rows) - 1, -1, -1), [r[0] for r in rows])
    for label, row in zip(axis.get_yticklabels(), rows, strict=True):
        if row[4] is not None:
            label.set_fontweight("bold")
            label.set_color(colour(row[4]))
    axis.set_xlim(0, None)
    axis.set_xlabel("MDE on the test images (m); bar: mean, dots: runs, line: ± 1 standard "
                    "deviation", color=INK)  # fmt: skip
    return figure


def calibration_figure(result: BenchmarkResult, facts: dict[str, dict[str, Any]]) -> Figure | None:
    """Draw observed against stated coverage, and each front's distance against its interval."""
    if not facts:
        return None
    unit, least = result.selection.unit, _LEAST[result.selection.unit]
    figure = new_figure(10.5, 4.7)
    left, right = figure.subplots(1, 2)
    dress_axes(left, "Part of the true front within the intervals")
    dress_axes(right, "Each front: distance against its interval")
    left.plot([0, 100], [0, 100], color=MUTED, linewidth=1)
    ends = []
    for k, model in enumerate(result.models):
        label = model.label
        if label not in facts:
            continue
        one = facts[label]
        levels = 100 * np.array(one["levels"])
        left.plot(levels, 100 * np.array(one["stated"]), color=colour(k), linewidth=1.6,
                  linestyle=(0, (2, 1.5)), label=f"{label}, as stated")  # fmt: skip
        if np.isfinite(one["cross"]).all():
            left.plot(levels, 100 * np.array(one["cross"]), color=colour(k), linewidth=2.2,
                      label=f"{label}, calibrated on other images")  # fmt: skip
        known = [e for e in model.fronts if e is not None]
        factor = model.calibration.factor(0.9)
        stated = np.array([factor * e.stated for e in known])
        found = np.array([max(float(e.distance.mean()), least) for e in known])
        ends += [stated.min(), stated.max(), found.min(), found.max()]
        right.plot(stated, found, linestyle="none", marker=marker(k), color=colour(k), markersize=6,
                   alpha=0.7, markeredgecolor="white", markeredgewidth=0.4)  # fmt: skip
    left.plot(90, 90, marker="s", markersize=9, markerfacecolor="none", markeredgecolor=INK)
    left.set_xlim(0, 100)
    left.set_ylim(0, 100)
    left.set_xlabel("probability of the interval (%)", color=INK)
    left.set_ylabel("true front within it (%)", color=INK)
    left.legend(fontsize=8.5, frameon=False, labelcolor=INK, loc="upper left")
    low, high = min(ends) * 0.8, max(ends) * 1.25
    right.plot([low, high], [low, high], color=MUTED, linewidth=1)
    right.annotate("as stated", (high, high), xytext=(-44, -10), ha="right",
                   textcoords="offset points", fontsize=8, color=MUTED)  # fmt: skip
    _logarithmic(right, "x")
    _logarithmic(right, "y")
    right.set_xlim(low, high)
    right.set_ylim(low, high)
    right.set_xlabel(f"mean half width of the 90 % interval ({unit})", color=INK)
    right.set_ylabel(f"mean distance of the true front ({unit})", color=INK)
    return figure


def _ranked(result: BenchmarkResult, label: str) -> tuple[list[int], list[int]]:
    """Return the rows of the worst and of the best images of a model; no front is worst."""
    own = result.of(label)
    own = own[own["true_front"]]
    order = own["mde"].fillna(np.inf).sort_values(kind="stable").index.to_list()
    count = min(_SHOWN, max(1, len(order) // 2))
    return order[::-1][:count], order[:count]


def extremes_figure(result: BenchmarkResult, gallery: Gallery, label: str) -> Figure | None:
    """Draw the worst (above) and the best images of a model."""
    own = result.of(label)
    worst, best = _ranked(result, label) if own["true_front"].any() else ([], [])
    if not worst:
        return None
    columns = len(worst)
    figure = new_figure(2.9 * columns, 6.6)
    axes = figure.subplots(2, columns, squeeze=False)
    for row, (title, members) in enumerate((("worst", worst), ("best", best))):
        for column, index in enumerate(members):
            facts, axis = own.loc[index], axes[row, column]
            picture = Image.open(io.BytesIO(gallery.thumbnails[label, facts["image"]]))
            axis.imshow(np.asarray(picture), interpolation="lanczos")
            axis.set_axis_off()
            axis.set_anchor("NW")
            if facts["front_found"]:
                words = f"MDE {distance_text(facts['mde'], result.selection.unit)}"
            else:
                words = "no front"
            head = f"{facts['glacier']}, {facts['date']}, {facts['satellite']}"
            axis.set_title(f"{head}\n{title}: {words}", fontsize=8.5, color=INK, loc="left")
    return figure


_Maker = Callable[[], Figure | None]


def all_figures(
    result: BenchmarkResult, gallery: Gallery, facts: dict[str, dict[str, Any]]
) -> dict[str, bytes]:
    """Draw every figure for which there are data: PNG bytes by name."""
    makers: dict[str, _Maker] = {
        "published": lambda: published_figure(result),
        "errors": lambda: error_figure(result),
        "groups": lambda: group_figure(result),
        "calibration": lambda: calibration_figure(result, facts),
    }
    for model in result.models:
        label = model.label
        makers[f"extremes-{label}"] = lambda label=label: extremes_figure(result, gallery, label)  # type: ignore[misc]
    found = {}
    for name, make in makers.items():
        figure = make()
        if figure is not None:
            found[name] = figure_png(figure)
    return found
