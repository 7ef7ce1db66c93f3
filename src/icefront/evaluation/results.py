"""The results of a benchmark: of each model, each image, and as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from icefront.datasets.caffe import CaffeSample
from icefront.evaluation.benchmark_models import BenchmarkModel, BenchmarkSettings
from icefront.evaluation.calibration import NORMAL, Calibration, FrontErrors
from icefront.evaluation.groups import GROUPINGS, members_of, sensor_group
from icefront.evaluation.mde import pool_mde
from icefront.evaluation.predictions import Prediction
from icefront.evaluation.protocol import Box, ProtocolScore
from icefront.evaluation.seasons import Hemisphere, season_of
from icefront.evaluation.selection import Selection
from icefront.evaluation.zone_scores import ZoneScores, average_scores
from icefront.grid import PixelSize
from icefront.zones import OCEAN

_ZONES = ("no_data", "rock", "glacier", "ocean")
_SCORES = ("precision", "recall", "f1", "iou")


@dataclass
class ModelResult:
    """What one model scored.

    Attributes
    ----------
    model : BenchmarkModel
    errors : list of float64 (N_i,)
        Distances of each image, empty without a front.
    zones : list of ZoneScores
    fronts : list of FrontErrors or None
        For the calibration; None where a front or its uncertainty is missing.
    calibration : Calibration
        By which intervals are stated.
    """

    model: BenchmarkModel
    errors: list[np.ndarray] = field(default_factory=list)
    zones: list[ZoneScores] = field(default_factory=list)
    fronts: list[FrontErrors | None] = field(default_factory=list)
    calibration: Calibration = NORMAL

    @property
    def label(self) -> str:
        """Return the name of the model in tables and of its folder."""
        return self.model.label


@dataclass
class BenchmarkResult:
    """All that came out of a benchmark.

    Attributes
    ----------
    selection : Selection
        Images, unit, notes and what was left out.
    settings : BenchmarkSettings
    images : DataFrame
        One row per model and image, see `image_row`.
    groups : DataFrame
        One row per model and group, see `group_table`.
    models : list of ModelResult
        In the order of the images, which is that of each model's rows.
    """

    selection: Selection
    settings: BenchmarkSettings
    images: pd.DataFrame
    groups: pd.DataFrame
    models: list[ModelResult]

    def of(self, label: str) -> pd.DataFrame:
        """Return the rows of one model's images."""
        return self.images[self.images["model"] == label].reset_index(drop=True)


@dataclass(frozen=True)
class ScoredImage:
    """One image with its truth and what each model predicted.

    `fresh` are the predictions that are not kept yet: where, what, and from what.
    """

    sample: CaffeSample
    image: np.ndarray
    box: Box | None
    true: np.ndarray
    pixel_size: PixelSize
    scores: list[tuple[ModelResult, Prediction, ProtocolScore]]
    fresh: list[tuple[Path, Prediction, dict[str, str]]]


def image_row(
    scored: ScoredImage,
    result: ModelResult,
    prediction: Prediction,
    score: ProtocolScore,
    hemisphere: Hemisphere | None = None,
) -> dict[str, Any]:
    """Return one row of the table of images.

    Distances are in metres (``unit`` m) or pixels (px). ``mde`` is the mean over the image's own
    distances, of which there are ``distances``; ``predicted_to_true`` and ``true_to_predicted`` are
    its two directions. ``uncertainty`` is the mean standard deviation along the predicted front,
    ``held_90`` the fraction of the true front within the 90 % interval. Zone scores are of the
    prediction before cleaning, per class and as the mean of the four.
    """
    sample, errors = scored.sample, score.errors
    predicted = int(score.predicted.sum())
    found = errors.size > 0
    rows_m, columns_m = np.broadcast_to(
        np.nan if scored.pixel_size is None else np.asarray(scored.pixel_size, float), (2,)
    )
    row: dict[str, Any] = {
        "model": result.label,
        "image": sample.name,
        "glacier": sample.glacier,
        "date": sample.date.isoformat(),
        "season": season_of(sample.date, sample.glacier, hemisphere),
        "sensor": sensor_group(sample.sensor),
        "satellite": sample.sensor,
        "resolution": f"{sample.resolution_m:g} m",
        "height": scored.image.shape[0],
        "width": scored.image.shape[1],
        "pixel_rows_m": float(rows_m),
        "pixel_columns_m": float(columns_m),
        "unit": "px" if scored.pixel_size is None else "m",
        "front_found": predicted > 0,
        "true_front": bool(score.true.any()),
        "ocean_found": bool((prediction.zones == OCEAN).any()),
        "distances": int(errors.size),
        "mde": float(errors.mean()) if found else np.nan,
        "median": float(np.median(errors)) if found else np.nan,
        "largest": float(errors.max()) if found else np.nan,
        "predicted_to_true": float(errors[:predicted].mean()) if found else np.nan,
        "true_to_predicted": float(errors[predicted:].mean()) if found else np.nan,
    }
    for name in _SCORES:
        row[name] = score.zones.means[name]
        row |= {
            f"{name}_{zone}": float(v)
            for zone, v in zip(_ZONES, getattr(score.zones, name), strict=True)
        }
    stated = result.fronts[-1]
    row["uncertainty"] = np.nan if stated is None else stated.stated
    row["held_90"] = np.nan
    if stated is not None:
        factor = result.calibration.factor(0.9)
        row["held_90"] = float((stated.distance <= factor * stated.uncertainty).mean())
    for zone, deviation in zip(_ZONES, prediction.class_std, strict=True):
        row[f"spread_{zone}"] = float(deviation)
    return row


def group_table(images: pd.DataFrame, results: Sequence[ModelResult]) -> pd.DataFrame:
    """Return the scores by glacier, season, sensor, resolution and each pair of them.

    Parameters
    ----------
    images : DataFrame
        From `image_row`.
    results : sequence of ModelResult

    Returns
    -------
    DataFrame
        Columns ``model``, ``grouping`` (such as ``glacier × season``; ``all``), the kinds,
        ``images``, ``without_front`` (no predicted front), ``without_true_front``, ``distances``,
        ``mde`` (pooled over all distances of the group's images), ``median``, the mean over images
        of each zone score and of each class.
    """
    rows = []
    for result in results:
        own = images[images["model"] == result.label].reset_index(drop=True)
        for grouping in GROUPINGS:
            for common, members in members_of(own, grouping):
                errors = [result.errors[k] for k in members]
                pooled = np.concatenate(errors)
                zones = average_scores([result.zones[k] for k in members])
                part = own.iloc[members]
                row: dict[str, Any] = {
                    "model": result.label,
                    "grouping": " × ".join(grouping) or "all",
                    **{k: common.get(k, "") for k in ("glacier", "season", "sensor", "resolution")},
                    "images": len(members),
                    "without_front": int((~part["front_found"]).sum()),
                    "without_true_front": int((~part["true_front"]).sum()),
                    "distances": len(pooled),
                    "mde": pool_mde(errors).mde,
                    "median": float(np.median(pooled)) if pooled.size else np.nan,
                }
                for name in _SCORES:
                    row[name] = zones.means[name]
                    values = getattr(zones, name)
                    row |= {f"{name}_{z}": float(v) for z, v in zip(_ZONES, values, strict=True)}
                rows.append(row)
    return pd.DataFrame(rows)
