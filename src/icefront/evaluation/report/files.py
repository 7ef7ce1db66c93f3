"""The files of a benchmark: tables, summary, figures, page."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from icefront import __version__
from icefront.evaluation.calibration import write_calibration
from icefront.evaluation.report.figures import all_figures
from icefront.evaluation.report.gallery import SCENES, Gallery
from icefront.evaluation.report.tables import (
    calibration_of,
    calibration_words,
    comparable,
    group_tables,
    headline,
    interval_table,
    markdown_report,
    published_table,
    published_words,
    scores_table,
)
from icefront.evaluation.results import BenchmarkResult
from icefront.files.atomic import staging, writing
from icefront.reporting.page import render_page
from icefront.reporting.pictures import data_uri
from icefront.reporting.tables import Table, distance_text, json_values, write_csv

FIGURES = "figures"
_CAPTIONS = {
    "published": "Mean distance error beside the published runs on the same test images.",
    "errors": "Left: fraction of all distances (both ways) below a value. "
    "Right: one dot per image.",
    "groups": "Mean distance error pooled within each group, with its number of images and how "
    "many of them have no predicted front (one number per model).",
    "calibration": "Left: intervals of each probability against the part of the true front within "
    "them; the square marks 90 %. Right: one mark per image; above the line a front is farther "
    "off than stated.",
}


def write_report(result: BenchmarkResult, out: Path, gallery: Gallery) -> None:
    """Write the tables, the figures and the report.

    Parameters
    ----------
    result : BenchmarkResult
    out : Path
        Receives ``report.html`` (self-contained), ``report.md``, ``images.parquet`` and ``.csv``,
        ``groups.parquet`` and ``.csv``, ``summary.json``, ``calibration.json`` (where models state
        an uncertainty) and ``figures/``.
    gallery : Gallery
        With the small pictures of all scenes.

    Raises
    ------
    IcefrontError
        If a file cannot be written.
    """
    facts = {}
    for model in result.models:
        one = calibration_of(result, model)
        if one is not None:
            facts[model.label] = one
    figures = all_figures(result, gallery, facts)
    for name, content in figures.items():
        with writing(out / FIGURES / f"{name}.png") as part:
            part.write_bytes(content)
    with staging(out, lost="its report was not written") as folder:
        for name, table in (("images", result.images), ("groups", result.groups)):
            table.to_parquet(folder / f"{name}.parquet", index=False)
            write_csv(table, folder / f"{name}.csv")
        (folder / "report.md").write_text(markdown_report(result, facts))
        (folder / "summary.json").write_text(
            json.dumps(json_values(_summary(result, facts)), indent=1) + "\n"
        )
        if facts:
            write_calibration(
                folder / "calibration.json", {k: f["calibration"] for k, f in facts.items()}
            )
        (folder / "report.html").write_text(_page(result, facts, figures, gallery))


def _summary(result: BenchmarkResult, facts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the scores for other programs."""
    chosen = result.selection
    overall = result.groups[result.groups["grouping"] == "all"].set_index("model")
    models = {}
    for model in result.models:
        label = model.label
        row = overall.loc[label].to_dict()
        models[label] = {
            "source": model.model.source,
            "sha256": model.model.identity,
            **{k: v for k, v in row.items() if k not in ("grouping", *_KEYS)},
        }
        if label in facts:
            one = facts[label]
            models[label]["calibration"] = {
                k: one[k] for k in ("levels", "stated", "cross", "by", "images", "within")
            }
    return {
        "software": f"icefront {__version__}",
        "data": chosen.dataset.root.name,
        "split": chosen.split,
        "unit": chosen.unit,
        "exact": result.settings.exact,
        "native": result.settings.native,
        "images_scored": len(result.of(result.models[0].label)),
        "images_left_out": len(chosen.left_out),
        "left_out": chosen.left_out,
        "notes": chosen.notes,
        "comparable_with_published": comparable(result),
        "models": models,
    }


_KEYS = ("glacier", "season", "sensor", "resolution")


def _page(
    result: BenchmarkResult,
    facts: dict[str, dict[str, Any]],
    figures: dict[str, bytes],
    gallery: Gallery,
) -> str:
    """Return the report as one HTML page that needs no other file."""
    chosen = result.selection
    labels = [m.label for m in result.models]
    scenes = []
    for name, rows in result.images.groupby("image", sort=True):
        first = rows.iloc[0]
        panels = []
        for _, row in rows.iterrows():
            words = "no front" if row["true_front"] else "no true front"
            if row["distances"]:
                words = f"MDE {distance_text(row['mde'], chosen.unit)}"
            picture = gallery.thumbnails[row["model"], str(name)]
            panels.append((row["model"], words, data_uri(picture, "webp")))
        worst = rows["mde"].fillna(float("inf")).max()
        scenes.append(
            {
                "name": name,
                "glacier": first["glacier"],
                "words": f"{first['date']} · {first['satellite']} · {first['season']}",
                "worst": 1e12 if not math.isfinite(worst) else float(worst),
                "panels": panels,
                "file": f"{SCENES}/{name}.jpg" if gallery.folder is not None else "",
            }
        )
    return render_page(
        "icefront.evaluation.report",
        "report.html",
        version=__version__,
        data=chosen.dataset.root.name,
        split=chosen.split,
        unit=chosen.unit,
        exact=result.settings.exact,
        count=len(scenes),
        glaciers=sorted(result.images["glacier"].unique()),
        headline=headline(result),
        notes=chosen.notes,
        left_out=chosen.left_out,
        models=Table(
            ["model", "from", "SHA-256"],
            [(m.label, m.model.source, m.model.identity[:12]) for m in result.models],
            numbers=(),
            title="Models",
            folded=True,
        ),
        scores=scores_table(result),
        published=published_table(result),
        published_words=published_words(result),
        groups=group_tables(result),
        calibration=[
            (label, calibration_words(one), interval_table(result, one))
            for label, one in facts.items()
        ],
        figures={k: data_uri(v, "png") for k, v in figures.items()},
        captions=_CAPTIONS,
        extremes=[(label, f"extremes-{label}") for label in labels],
        scenes=scenes,
    )
