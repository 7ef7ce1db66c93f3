"""Tables of the report: the headline, the published rows, the breakdown, the calibration."""

from __future__ import annotations

from typing import Any

import numpy as np

from icefront.evaluation.calibration import (
    LEVELS,
    NORMAL,
    coverage,
    cross_coverage,
    fit,
    within_limits,
)
from icefront.evaluation.groups import GROUPINGS
from icefront.evaluation.published import PUBLISHED, TEST_IMAGES
from icefront.evaluation.results import BenchmarkResult, ModelResult
from icefront.reporting.tables import Table, number_text, percent_text

_LIMITS = {"m": (50, 100, 200, 400, 800), "px": (1, 2, 5, 10, 20)}
"""Distances within which fronts are stated to be, by unit."""

_THIS_RUN = "this run"
"""Source of the rows that are not published."""


def comparable(result: BenchmarkResult) -> bool:
    """Return whether the images are, by glacier and number, CaFFe's test split in metres."""
    chosen = result.selection
    if chosen.unit != "m" or chosen.split != "test" or chosen.simulated:
        return False
    counts = result.of(result.models[0].label)["glacier"].value_counts().to_dict()
    return counts == TEST_IMAGES


def headline(result: BenchmarkResult) -> list[str]:
    """Return a line per model: MDE, images without a front, mean IoU."""
    unit = result.selection.unit
    lines = []
    for row in _overall(result):
        lines.append(
            f"{row['model']}: MDE {number_text(row['mde'], 1)} {unit} over "
            f"{row['images'] - row['without_front'] - row['without_true_front_only']} of "
            f"{row['images']} images, {row['without_front']} without a front; "
            f"mean IoU {number_text(row['iou'], 3)}"
        )
    if result.selection.left_out:
        lines.append(f"{len(result.selection.left_out)} images were left out")
    return lines


def _overall(result: BenchmarkResult) -> list[dict[str, Any]]:
    rows = []
    for model in result.models:
        label = model.label
        groups = result.groups
        row = groups[(groups["model"] == label) & (groups["grouping"] == "all")].iloc[0].to_dict()
        own = result.of(label)
        only = (~own["true_front"]) & own["front_found"]
        row["without_true_front_only"] = int(only.sum())
        rows.append(row)
    return rows


def scores_table(result: BenchmarkResult) -> Table:
    """Return a table with a row per model: distance, images, zone scores."""
    unit = result.selection.unit
    titles = [
        "model",
        f"MDE ({unit})",
        f"median ({unit})",
        "images",
        "without front",
        "precision",
        "recall",
        "F1",
        "IoU",
        "IoU no data",
        "IoU rock",
        "IoU glacier",
        "IoU ocean",
    ]
    rows = []
    for row in _overall(result):
        zone = [number_text(row[f"iou_{z}"], 3) for z in ("no_data", "rock", "glacier", "ocean")]
        means = [number_text(row[name], 3) for name in ("precision", "recall", "f1", "iou")]
        rows.append(
            [
                row["model"],
                number_text(row["mde"], 1),
                number_text(row["median"], 1),
                str(row["images"]),
                str(row["without_front"]),
                *means,
                *zone,
            ]
        )
    return Table(titles, rows)


def published_table(result: BenchmarkResult) -> Table:
    """Return this run's rows and the published ones in one table, the best last."""
    unit = result.selection.unit
    rows: list[tuple[float, list[str]]] = []
    for row in _overall(result):
        rows.append(
            (
                row["mde"] if np.isfinite(row["mde"]) else np.inf,
                [
                    row["model"],
                    number_text(row["mde"], 1) + ("" if unit == "m" else " px"),
                    "",
                    f"{row['without_front']} of {row['images']}",
                    _THIS_RUN,
                ],
            )
        )
    for one in PUBLISHED:
        mde = number_text(one.mean, 1 if one.runs or one.mean % 1 else 0)
        if np.isfinite(one.deviation):
            mde += f" ± {number_text(one.deviation, 1 if one.runs else 0)}"
        words = one.source + (f"; {one.note}" if one.note else "")
        runs = " ".join(f"{v:.1f}" for v in one.runs)
        rows.append((one.mean, [one.model, mde, runs, "", words]))
    if unit == "m":
        rows.sort(key=lambda r: -r[0])
    cells = [row for _, row in rows]
    own = {m.label for m in result.models}
    return Table(
        ["model", "MDE (m)", "runs", "without front", "source"],
        cells,
        numbers=(1, 2, 3),
        bold=[k for k, row in enumerate(cells) if row[0] in own and row[-1] == _THIS_RUN],
    )


def published_words(result: BenchmarkResult) -> str:
    """Say how far the published rows can be compared with these."""
    if comparable(result):
        return (
            "The published rows are means over five runs on the same 122 test images by the same "
            "protocol (as far as the names show: the images of this run are not checked to be "
            "the originals)."
        )
    counts = result.of(result.models[0].label)["glacier"].value_counts()
    images = ", ".join(f"{glacier} {count}" for glacier, count in counts.items())
    in_pixels = "" if result.selection.unit == "m" else ", and in pixels"
    simulated = ", simulated" if result.selection.simulated else ""
    return (
        "The published rows are of CaFFe's 122 test images (Mapple 57, COL 65). This run is of "
        f"other images ({images}, split {result.selection.split}{in_pixels}{simulated}): the "
        "numbers must not be compared with each other."
    )


def group_tables(result: BenchmarkResult) -> list[Table]:
    """Return a table per grouping: MDE, images without a front and IoU per group and model."""
    unit = result.selection.unit
    labels = [m.label for m in result.models]
    tables = []
    for grouping in GROUPINGS[1:]:
        name = " × ".join(grouping)
        part = result.groups[result.groups["grouping"] == name]
        titles = [*grouping, "images"]
        for label in labels:
            titles += [f"{label}: MDE ({unit})", "without front", "IoU"]
        rows = []
        for key, group in part.groupby(list(grouping), sort=True):
            values = key if isinstance(key, tuple) else (key,)
            cells = [*map(str, values), str(int(group["images"].iloc[0]))]
            for label in labels:
                row = group[group["model"] == label].iloc[0]
                cells += [
                    number_text(row["mde"], 1),
                    str(int(row["without_front"])),
                    number_text(row["iou"], 3),
                ]
            rows.append(cells)
        numbers = range(len(grouping), len(titles))
        tables.append(Table(titles, rows, numbers, title=f"By {name}", folded=True))
    return tables


def calibration_of(result: BenchmarkResult, model: ModelResult) -> dict[str, Any] | None:
    """Return the coverage as stated and as calibrated on other images; None where nothing is known.

    Returns
    -------
    dict
        ``levels``, ``stated`` and ``cross`` (observed coverage), ``images``, ``within`` (see
        `within_limits`), ``calibration`` fitted on all images, to be used elsewhere, ``by`` in
        words.
    """
    known = [(k, e) for k, e in enumerate(model.fronts) if e is not None]
    if not known:
        return None
    errors = [e for _, e in known]
    own = result.of(model.label)
    glaciers = [str(own["glacier"].iloc[k]) for k, _ in known]
    limits = _LIMITS[result.selection.unit]
    fitted = fit(errors, f"{len(errors)} images of {', '.join(sorted(set(glaciers)))}")
    return {
        "levels": list(LEVELS),
        "stated": [float(v) for v in coverage(errors, model.calibration)],
        "cross": [float(v) for v in cross_coverage(errors, glaciers)],
        "across": "glaciers" if len(set(glaciers)) > 1 else "fifths of the images",
        "by": model.calibration.source,
        "normal": model.calibration is NORMAL,
        "images": len(errors),
        "within": within_limits(errors, limits, model.calibration),
        "calibration": fitted,
    }


def interval_table(result: BenchmarkResult, facts: dict[str, Any]) -> Table:
    """Return how many of the fronts that are stated to be within a distance are."""
    unit = result.selection.unit
    titles = [f"stated to be within ({unit})", "fronts", "mean distance within", "pixels within"]
    rows = [
        [
            f"{row['within']:g}",
            str(int(row["fronts"])),
            percent_text(row["mean_within"]),
            percent_text(row["pixels_within"]),
        ]
        for row in facts["within"]
    ]
    return Table(titles, rows)


def at_level(facts: dict[str, Any], kind: str, level: float = 0.9) -> float:
    """Return the observed coverage of the interval of a level, by ``stated`` or ``cross``."""
    return float(facts[kind][facts["levels"].index(level)])


def markdown_report(result: BenchmarkResult, facts: dict[str, dict[str, Any]]) -> str:
    """Return the tables of the report in one Markdown text."""
    chosen = result.selection
    parts = ["# Benchmark", _intro(result), scores_table(result).markdown()]
    if chosen.notes:
        parts.append("\n".join(f"- {note}" for note in chosen.notes))
    if chosen.left_out:
        parts.append(f"Left out ({len(chosen.left_out)}):")
        parts.append("\n".join(f"- {sentence}" for sentence in chosen.left_out))
    parts += ["## Beside the published numbers", published_words(result)]
    parts.append(published_table(result).markdown())
    for table in group_tables(result):
        parts += [f"## {table.title}", table.markdown()]
    for label, one in facts.items():
        parts += [f"## Uncertainty of {label}", calibration_words(one)]
        parts.append(interval_table(result, one).markdown())
    return "\n\n".join(parts) + "\n"


def calibration_words(facts: dict[str, Any]) -> str:
    """Describe the calibration of one model in a few sentences."""
    by = "a normal distribution" if facts["normal"] else f"the calibration on {facts['by']}"
    words = (
        f"The 90 % interval by {by} holds {100 * at_level(facts, 'stated'):.0f} % of the true "
        f"front of {facts['images']} images"
    )
    cross = at_level(facts, "cross")
    if np.isfinite(cross):
        words += f"; with factors found on the other {facts['across']}, {100 * cross:.0f} %"
    return (
        words + ". A front is stated to be within a distance if its mean 90 % interval is; images "
        "without a front are not in this."
    )


def _intro(result: BenchmarkResult) -> str:
    chosen = result.selection
    own = result.of(result.models[0].label)
    how = (
        "float32, published windows"
        if result.settings.exact
        else "default windows (about an eighth of the published number)"
    )
    return (
        f"{len(own)} images, split {chosen.split}, {own['glacier'].nunique()} glaciers; distances "
        f"in {'metres' if chosen.unit == 'm' else 'pixels'}; {how}. MDE is the mean over all "
        "distances of all images pooled; images without a predicted front do not enter it and are "
        "counted beside it. Zone scores are of the prediction before cleaning."
    )
