"""The files of a comparison of models: tables, Markdown, CSV, JSON and a figure."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from icefront import __version__
from icefront.evaluation.comparison import CONFIDENCE, Comparison, Interval
from icefront.reporting.pictures import write_figure
from icefront.reporting.style import BLUE, DASHED, INK, MUTED, VERMILION, dress_axes, new_figure
from icefront.reporting.tables import MISSING, Table, json_values, number_text, write_csv


def model_table(result: Comparison) -> Table:
    """Return the table of models."""
    head = ["model", "runs", "MDE m", "best", "worst"]
    with_images = any(model.over_images for model in result.models)
    if with_images:
        head += ["images without front", "95 % over images", "95 % over glaciers"]
    rows = []
    for model in result.models:
        deviation = "" if np.isnan(model.sd_m) else f" ± {number_text(model.sd_m, 1)}"
        row = [model.name, str(model.runs), f"{number_text(model.mean_m, 1)}{deviation}"]
        row += [number_text(model.best_m, 1), number_text(model.worst_m, 1)]
        if with_images:
            missing = model.without_front
            row += [MISSING if missing is None else f"{missing:g}"]
            row += [_text(model.over_images), _text(model.over_glaciers)]
        rows.append(row)
    return Table(head, rows, title="Models")


def pair_table(result: Comparison) -> Table:
    """Return the table of pairs."""
    head = ["baseline → challenger", "better by m", "U", "p", "p (Holm)"]
    head += ["Levene p", "Cohen's d", "Glass's Δ"]
    with_images = any(pair.over_images for pair in result.pairs)
    if with_images:
        head += ["95 % over images", "95 % over glaciers"]
    rows = []
    for pair in result.pairs:
        row = [f"{pair.baseline} → {pair.challenger}", number_text(pair.difference_m, 1)]
        row += [f"{pair.u:g}", _p(pair.p), _p(pair.p_holm), _p(pair.levene_p)]
        row += [number_text(pair.cohens_d, 2), number_text(pair.glass_delta, 2)]
        if with_images:
            row += [_text(pair.over_images), _text(pair.over_glaciers)]
        rows.append(row)
    return Table(head, rows, title="Pairs")


def _text(interval: Interval | None) -> str:
    return MISSING if interval is None else str(interval)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else number_text(value, 3)


def sentences(result: Comparison) -> list[str]:
    """Return a sentence for each pair: which is better, by how much, and is it significant."""
    found = []
    for pair in result.pairs:
        better = "better" if pair.difference_m > 0 else "worse"
        verdict = "significant" if pair.p < 0.05 else "not significant"
        if pair.p < 0.05 <= pair.p_holm:
            verdict = f"significant alone, but not among {len(result.pairs)} comparisons"
        found.append(
            f"{pair.challenger} is {abs(pair.difference_m):.0f} m {better} than {pair.baseline}: "
            f"{verdict} at 5 % (U = {pair.u:g}, one-sided p = {_p(pair.p)})."
        )
    return found


def _markdown(result: Comparison) -> str:
    """Return the comparison as Markdown."""
    parts = ["# Comparison of models", ""]
    for table in (model_table(result), pair_table(result)):
        parts += [f"## {table.title}", "", table.markdown(), ""]
    parts += [f"- {text}" for text in (*sentences(result), *result.notes)]
    parts += [
        "",
        "MDE: mean distance error, mean ± standard deviation over the runs. U and p: Mann-Whitney, "
        "one-sided, exact; Holm: corrected for the number of pairs. Levene: by permutation. "
        "Cohen's d: over the pooled standard deviation; Glass's Δ: over that of the baseline. "
        f"Intervals: percentile bootstrap, {result.resamples} resamples, seed {result.seed}. "
        f"icefront {__version__}.",
        "",
    ]
    return "\n".join(parts)


def _as_dict(result: Comparison) -> dict[str, Any]:
    """Return the comparison as plain types; numbers that are not known are None."""
    found = {
        "icefront": __version__,
        "confidence": CONFIDENCE,
        "resamples": result.resamples,
        "seed": result.seed,
        "models": [
            {**dataclasses.asdict(model), "mdes_m": runs.mdes}
            for model, runs in zip(result.models, result.runs, strict=True)
        ],
        "pairs": [dataclasses.asdict(pair) for pair in result.pairs],
        "notes": list(result.notes),
    }
    return dict(json_values(found))


def write_comparison(result: Comparison, folder: Path) -> list[str]:
    """Write ``comparison.md``, ``.json``, ``.png``, ``models.csv`` and ``pairs.csv``.

    Parameters
    ----------
    result : Comparison
    folder : Path
        An existing folder.

    Returns
    -------
    list of str
        Names of the files.
    """
    (folder / "comparison.md").write_text(_markdown(result), "utf-8")
    text = json.dumps(_as_dict(result), indent=2, ensure_ascii=False)
    (folder / "comparison.json").write_text(text + "\n", "utf-8")
    for name, items in (("models.csv", result.models), ("pairs.csv", result.pairs)):
        rows = [
            {
                key: value
                for field, content in dataclasses.asdict(item).items()  # type: ignore[call-overload]
                for key, value in _flat(field, content)
            }
            for item in items
        ]
        write_csv(pd.DataFrame(rows), folder / name)
    write_figure(comparison_figure(result), folder / "comparison.png")
    return ["comparison.json", "comparison.md", "comparison.png", "models.csv", "pairs.csv"]


def _flat(name: str, value: Any) -> list[tuple[str, Any]]:
    if name.startswith("over_"):
        ends = value or {"low": None, "high": None}
        return [(f"{name}_{end}_m", ends[end]) for end in ("low", "high")]
    return [(name, value)]


def comparison_figure(result: Comparison) -> Figure:
    """Draw the runs of each model, and the difference of each pair with its intervals."""
    models, pairs = result.runs, result.pairs
    with_images = any(pair.over_images for pair in pairs)
    rows = max(len(models), len(pairs))
    figure = new_figure(12.5, 1.7 + 0.52 * rows)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.05])
    for row, (model, summary) in enumerate(zip(models, result.models, strict=True)):
        shifts = np.linspace(-0.13, 0.13, len(model.mdes)) if len(model.mdes) > 1 else np.zeros(1)
        left.plot(
            model.mdes, row + shifts, "o", color=MUTED, markersize=6.5, alpha=0.75,
            markeredgecolor="white", markeredgewidth=0.6, label="a run" if row == 0 else None,
        )  # fmt: skip
        left.plot(
            [summary.mean_m] * 2, [row - 0.26, row + 0.26], color=INK, linewidth=2.6,
            label="mean" if row == 0 else None, solid_capstyle="round",
        )  # fmt: skip
        left.annotate(
            f"{summary.mean_m:.0f}", (summary.mean_m, row - 0.26), xytext=(0, 3), ha="center",
            textcoords="offset points", fontsize=9.5, color=INK, fontweight="bold",
        )  # fmt: skip
    left.set_yticks(range(len(models)), [model.name for model in models])
    left.set_ylim(len(models) - 0.45, -0.65)
    left.set_xlabel("mean distance error, m")
    left.legend(
        frameon=False,
        fontsize=9,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=2,
        borderaxespad=0,
    )

    for row, pair in enumerate(pairs):
        ranges = ((pair.over_images, BLUE, 0.12), (pair.over_glaciers, VERMILION, 0.24))
        for interval, colour, shift in ranges:
            if interval is not None:
                right.plot(
                    [interval.low, interval.high], [row + shift] * 2, color=colour, linewidth=3,
                    solid_capstyle="butt",
                )  # fmt: skip
        right.plot(pair.difference_m, row, "D", color=INK, markersize=6.5)
        right.annotate(
            f"p = {pair.p:.3f}" if pair.p >= 0.001 else "p < 0.001", (pair.difference_m, row),
            xytext=(0, 6), textcoords="offset points", fontsize=9, ha="center", color=INK,
        )  # fmt: skip
    right.axvline(0, color=MUTED, linewidth=1, linestyle=DASHED, zorder=0)
    right.set_yticks(range(len(pairs)), [f"{pair.baseline}\n→ {pair.challenger}" for pair in pairs])
    right.set_ylim(len(pairs) - 0.45, -0.65)
    right.set_xlabel("MDE of the baseline − MDE of the challenger, m  (positive: better)")
    if with_images:
        right.plot([], [], color=BLUE, linewidth=3, label="95 % over images")
        right.plot([], [], color=VERMILION, linewidth=3, label="95 % over glaciers")
        right.legend(
            frameon=False,
            fontsize=9,
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=2,
            borderaxespad=0,
        )
    for axes, title in ((left, "Runs"), (right, "Pairs")):
        dress_axes(axes, title, grid="x")
        axes.margins(x=0.09)
    return figure
