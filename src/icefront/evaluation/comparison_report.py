"""A comparison of models as table, Markdown, CSV, JSON and figure."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from icefront import __version__
from icefront.evaluation.significance import CONFIDENCE, Comparison, Interval

INK, GREY = "#1b2733", "#8a97a3"
BY_IMAGES, BY_GLACIERS = "#0072b2", "#d55e00"
"""Blue and vermilion of Okabe and Ito, which all readers can tell apart."""


def model_rows(result: Comparison) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of models, as text."""
    head = ["model", "runs", "MDE m", "best", "worst"]
    with_images = any(model.over_images for model in result.models)
    if with_images:
        head += ["images without front", "95 % over images", "95 % over glaciers"]
    rows = []
    for model in result.models:
        spread = "" if math.isnan(model.sd_m) else f" ± {model.sd_m:.1f}"
        row = [model.name, str(model.runs), f"{model.mean_m:.1f}{spread}"]
        row += [f"{model.best_m:.1f}", f"{model.worst_m:.1f}"]
        if with_images:
            missing = model.without_front
            row += ["–" if missing is None else f"{missing:g}"]
            row += [_text(model.over_images), _text(model.over_glaciers)]
        rows.append(row)
    return head, rows


def pair_rows(result: Comparison) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of pairs, as text."""
    head = ["baseline → challenger", "better by m", "U", "p", "p (Holm)"]
    head += ["Levene p", "Cohen's d", "Glass's Δ"]
    with_images = any(pair.over_images for pair in result.pairs)
    if with_images:
        head += ["95 % over images", "95 % over glaciers"]
    rows = []
    for pair in result.pairs:
        row = [f"{pair.baseline} → {pair.challenger}", f"{pair.difference_m:.1f}"]
        row += [f"{pair.u:g}", _p(pair.p), _p(pair.p_holm), _p(pair.levene_p)]
        row += [_number(pair.cohens_d), _number(pair.glass_delta)]
        if with_images:
            row += [_text(pair.over_images), _text(pair.over_glaciers)]
        rows.append(row)
    return head, rows


def _text(interval: Interval | None) -> str:
    return "–" if interval is None else str(interval)


def _p(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def sentences(result: Comparison) -> list[str]:
    """Say of each pair in words what the numbers mean."""
    said = []
    for pair in result.pairs:
        better = "better" if pair.difference_m > 0 else "worse"
        verdict = "significant" if pair.p < 0.05 else "not significant"
        if pair.p < 0.05 <= pair.p_holm:
            verdict = f"significant alone, but not among {len(result.pairs)} comparisons"
        said.append(
            f"{pair.challenger} is {abs(pair.difference_m):.0f} m {better} than {pair.baseline}: "
            f"{verdict} at 5 % (U = {pair.u:g}, one-sided p = {_p(pair.p)})."
        )
    return said


def markdown(result: Comparison) -> str:
    """Return the comparison as Markdown."""
    parts = ["# Comparison of models", ""]
    for title, (head, rows) in (
        ("Models", model_rows(result)),
        ("Pairs", pair_rows(result)),
    ):
        parts += [f"## {title}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        parts += [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows
        ]
        parts.append("")
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


def as_dict(result: Comparison) -> dict[str, Any]:
    """Return the comparison as plain types; numbers that are not known are None."""

    def plain(value: Any) -> Any:
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        return value

    return {
        "icefront": __version__,
        "confidence": CONFIDENCE,
        "resamples": result.resamples,
        "seed": result.seed,
        "models": [
            {**plain(dataclasses.asdict(model)), "mdes_m": runs.mdes.tolist()}
            for model, runs in zip(result.models, result.runs, strict=True)
        ],
        "pairs": [plain(dataclasses.asdict(pair)) for pair in result.pairs],
        "notes": list(result.notes),
    }


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
    (folder / "comparison.md").write_text(markdown(result), "utf-8")
    text = json.dumps(as_dict(result), indent=2, ensure_ascii=False)
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
        pd.DataFrame(rows).to_csv(folder / name, index=False)
    draw_comparison(folder / "comparison.png", result)
    return ["comparison.json", "comparison.md", "comparison.png", "models.csv", "pairs.csv"]


def _flat(name: str, value: Any) -> list[tuple[str, Any]]:
    if name.startswith("over_"):
        ends = value or {"low": None, "high": None}
        return [(f"{name}_{end}_m", ends[end]) for end in ("low", "high")]
    return [(name, value)]


def draw_comparison(path: Path, result: Comparison) -> None:
    """Draw the runs of each model, and the difference of each pair with its intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    models, pairs = result.runs, result.pairs
    with_images = any(pair.over_images for pair in pairs)
    rows = max(len(models), len(pairs))
    figure = Figure(figsize=(12.5, 1.7 + 0.52 * rows), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.05])
    for row, (model, summary) in enumerate(zip(models, result.models, strict=True)):
        spread = np.linspace(-0.13, 0.13, len(model.mdes)) if len(model.mdes) > 1 else np.zeros(1)
        left.plot(
            model.mdes, row + spread, "o", color=GREY, markersize=6.5, alpha=0.75,
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
    left.set_title("Runs", loc="left", fontweight="bold", fontsize=11)
    left.legend(
        frameon=False,
        fontsize=9,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=2,
        borderaxespad=0,
    )

    for row, pair in enumerate(pairs):
        ranges = ((pair.over_images, BY_IMAGES, 0.12), (pair.over_glaciers, BY_GLACIERS, 0.24))
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
    right.axvline(0, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    right.set_yticks(range(len(pairs)), [f"{pair.baseline}\n→ {pair.challenger}" for pair in pairs])
    right.set_ylim(len(pairs) - 0.45, -0.65)
    right.set_xlabel("MDE of the baseline − MDE of the challenger, m  (positive: better)")
    right.set_title("Pairs", loc="left", fontweight="bold", fontsize=11)
    if with_images:
        right.plot([], [], color=BY_IMAGES, linewidth=3, label="95 % over images")
        right.plot([], [], color=BY_GLACIERS, linewidth=3, label="95 % over glaciers")
        right.legend(
            frameon=False,
            fontsize=9,
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=2,
            borderaxespad=0,
        )
    for axis in (left, right):
        axis.tick_params(labelsize=9, length=0)
        axis.grid(axis="x", alpha=0.25)
        axis.margins(x=0.09)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
    figure.savefig(path)
