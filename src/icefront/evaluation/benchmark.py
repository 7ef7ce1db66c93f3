"""The CaFFe benchmark: models on the images of a split, scored by the protocol.

Every image is read once, predicted by all that take part, scored and drawn; its predictions are
kept as soon as they are there, so that an interrupted run goes on and finished predictions are
scored again without a network. An image that cannot be scored costs a sentence, not the run.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from icefront.datasets.caffe import CaffeSample, read_box
from icefront.errors import IcefrontError
from icefront.evaluation.benchmark_models import Contender, Manner, gather_contenders
from icefront.evaluation.calibration import (
    NORMAL,
    Calibration,
    FrontErrors,
    front_errors,
    read_calibration,
)
from icefront.evaluation.groups import GROUPINGS, Hemisphere, members_of, season_of, sensor_group
from icefront.evaluation.mde import pool_mde
from icefront.evaluation.predictions import Prediction, read_prediction, write_prediction
from icefront.evaluation.protocol import Box, ProtocolScore, score_image
from icefront.evaluation.selection import AskedSize, Selection, Split, select_images
from icefront.evaluation.zone_scores import ZoneScores, average_scores
from icefront.files.atomic import check_folder, explained_writing
from icefront.grid import PixelSize
from icefront.inference.precision import choose_device
from icefront.progress import steps
from icefront.scenes.scene import Scene
from icefront.zones import OCEAN

PREDICTIONS = "predictions"
"""Folder of the kept predictions, one folder per model in it."""

ZONES = ("no_data", "rock", "glacier", "ocean")
SCORES = ("precision", "recall", "f1", "iou")


@dataclass
class ModelResult:
    """What one model scored.

    Attributes
    ----------
    contender : Contender
    errors : list of float64 (N_i,)
        Distances of each image, empty without a front.
    zones : list of ZoneScores
    fronts : list of FrontErrors or None
        For the calibration; None where a front or its uncertainty is missing.
    calibration : Calibration
        By which intervals are stated.
    """

    contender: Contender
    errors: list[np.ndarray] = field(default_factory=list)
    zones: list[ZoneScores] = field(default_factory=list)
    fronts: list[FrontErrors | None] = field(default_factory=list)
    calibration: Calibration = NORMAL


@dataclass
class BenchmarkResult:
    """All that came out of a benchmark.

    Attributes
    ----------
    selection : Selection
        Images, unit, notes and what was left out.
    manner : Manner
    images : DataFrame
        One row per model and image, see `image_row`.
    groups : DataFrame
        One row per model and group, see `group_table`.
    models : list of ModelResult
        In the order of the images, which is that of each model's rows.
    """

    selection: Selection
    manner: Manner
    images: pd.DataFrame
    groups: pd.DataFrame
    models: list[ModelResult]

    def of(self, label: str) -> pd.DataFrame:
        """The rows of one model's images."""
        return self.images[self.images["model"] == label].reset_index(drop=True)


@dataclass(frozen=True)
class ScoredImage:
    """One image with its truth and what each model made of it.

    `fresh` are the predictions that are not kept yet: where, what, and made of what.
    """

    sample: CaffeSample
    image: np.ndarray
    box: Box | None
    true: np.ndarray
    pixel_size: PixelSize
    scores: list[tuple[ModelResult, Prediction, ProtocolScore]]
    fresh: list[tuple[Path, Prediction, dict[str, str]]]


def benchmark(
    data: str | Path,
    out: str | Path,
    *,
    models: Sequence[str | Path] = (),
    given: Sequence[str | Path] = (),
    ensemble: bool = False,
    symmetries: int = 8,
    split: Split = "test",
    glaciers: Sequence[str] = (),
    sensors: Sequence[str] = (),
    pixel_size: AskedSize = "auto",
    hemisphere: Hemisphere | None = None,
    exact: bool = False,
    native: bool = False,
    device: str = "auto",
    calibration: str | Path | None = None,
    scenes: bool = True,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> BenchmarkResult:
    """Score models on a split of CaFFe and write tables, figures and a report.

    Parameters
    ----------
    data : path
        Folder in CaFFe's layout.
    out : path
        Folder for the results, see `icefront.evaluation.report`.
    models : sequence of str or path
        Names of models or paths of checkpoints.
    given : sequence of path
        Folders of zones that other programs predicted.
    ensemble : bool
        All models together take part too, averaged over `symmetries` (1, 4 or 8).
    split, glaciers, sensors, pixel_size
        Which images, and in which unit; see `select_images`.
    hemisphere : "north", "south" or None
        Of glaciers that are not CaFFe's, for the season.
    exact, native, device
        How scenes are predicted; see `Manner`.
    calibration : path, optional
        ``calibration.json`` of an earlier benchmark; intervals are stated by it.
    scenes : bool
        Draw every scene.
    resume : bool
        Take kept predictions of the same models and images; only missing ones are predicted.
    overwrite : bool
        Start anew in a folder of an earlier run.
    progress : bool

    Returns
    -------
    BenchmarkResult

    Raises
    ------
    IcefrontError
        If nothing can be scored, a model cannot be loaded, or the results cannot be written.
    """
    # The report draws what is defined here.
    from icefront.evaluation.report import FIGURES, SCENES, Gallery, write_report

    folder = Path(out)
    if not resume:
        try:
            check_folder(folder, overwrite=overwrite)
        except IcefrontError as error:
            if not (folder / PREDICTIONS).is_dir():
                raise
            raise IcefrontError(
                f"The folder {folder} holds a benchmark: give --resume to keep its predictions "
                "and score them again, or --overwrite to start anew."
            ) from error
    selection = select_images(
        data, split, glaciers=glaciers, sensors=sensors, pixel_size=pixel_size
    )
    stated = {} if calibration is None else read_calibration(calibration)
    contenders = gather_contenders(models, given, ensemble=ensemble, symmetries=symmetries)
    results = [ModelResult(c, calibration=_stated_for(c, stated)) for c in contenders]
    choose_device(device)
    manner = Manner(exact, native, device)
    if overwrite:
        for old in (PREDICTIONS, SCENES, FIGURES):
            shutil.rmtree(folder / old, ignore_errors=True)

    rows: list[dict[str, Any]] = []
    gallery = Gallery(folder if scenes else None, selection.unit)
    with steps("Scoring", len(selection.dataset) * len(contenders), show=progress) as advance:
        for number, sample in enumerate(selection.dataset.samples):
            try:
                scored = _score(selection, number, results, manner, folder, resume)
            except IcefrontError as error:
                selection.left_out.append(str(error).rstrip("."))
                advance(len(contenders))
                continue
            with explained_writing(folder):
                for kept, prediction, facts in scored.fresh:
                    write_prediction(kept, sample.name, prediction, facts)
            for result, prediction, score in scored.scores:
                result.errors.append(score.errors)
                result.zones.append(score.zones)
                result.fronts.append(
                    front_errors(
                        score.predicted,
                        score.true,
                        prediction.uncertainty(score.predicted),
                        scored.pixel_size,
                    )
                )
                rows.append(image_row(scored, result, prediction, score, hemisphere))
            with explained_writing(folder):
                gallery.add(scored)
            advance(len(contenders))
    if not rows:
        raise IcefrontError(
            f"{data} has no image in {split} that could be scored: {selection.left_out[0]}."
        )
    images = pd.DataFrame(rows)
    found = BenchmarkResult(selection, manner, images, group_table(images, results), results)
    _note_oddities(found)
    write_report(found, folder, gallery)
    return found


def _stated_for(contender: Contender, stated: dict[str, Calibration]) -> Calibration:
    if not stated:
        return NORMAL
    if contender.label in stated:
        return stated[contender.label]
    raise IcefrontError(
        f"The calibration is of {', '.join(stated)}, not of {contender.label}; give one of the "
        "same models."
    )


def _score(
    selection: Selection,
    number: int,
    results: Sequence[ModelResult],
    manner: Manner,
    out: Path,
    resume: bool,
) -> ScoredImage:
    """Read an image and its truth, predict it or take what was kept, and score it."""
    dataset = selection.dataset
    sample, size = dataset.samples[number], dataset.pixel_size_m(number)
    image, true_zones = dataset.image(number), dataset.zones(number)
    true = None if sample.front is None else dataset.front(number)
    if true is not None and true.shape != image.shape:
        raise IcefrontError(
            f"{sample.front} is {true.shape[1]}×{true.shape[0]} pixels and its image "
            f"{image.shape[1]}×{image.shape[0]}"
        )
    box = None if sample.box is None else read_box(sample.box, image.shape)
    scene = Scene(
        image.astype(np.float32) / 255,
        pixel_size_m=size,
        name=sample.name,
        glacier=sample.glacier,
        date=sample.date,
        sensor=sample.sensor,
    )
    scores, fresh = [], []
    for result in results:
        contender = result.contender
        kept = out / PREDICTIONS / contender.label
        facts = contender.facts(sample.image, size, manner)
        prediction = None
        if resume and contender.given is None:
            prediction = read_prediction(kept, sample.name, facts)
        if prediction is None or prediction.zones.shape != image.shape:
            prediction = contender.predict(image, scene, manner)
            if contender.given is None:
                fresh.append((kept, prediction, facts))
        score = score_image(prediction.zones, true_zones, true, size, box)
        true = score.true
        scores.append((result, prediction, score))
    assert true is not None
    return ScoredImage(sample, image, box, true, size, scores, fresh)


def image_row(
    scored: ScoredImage,
    result: ModelResult,
    prediction: Prediction,
    score: ProtocolScore,
    hemisphere: Hemisphere | None = None,
) -> dict[str, Any]:
    """One row of the table of images.

    Distances are in metres (``unit`` m) or pixels (px). ``mde`` is the mean over the image's own
    distances, of which there are ``distances``; ``predicted_to_true`` and ``true_to_predicted`` are
    its two directions. ``uncertainty`` is the mean standard deviation along the predicted front,
    ``held_90`` the share of the true front within the 90 % interval. Zone scores are of the
    prediction before cleaning, per class and as the mean of the four.
    """
    sample, errors = scored.sample, score.errors
    predicted = int(score.predicted.sum())
    found = errors.size > 0
    rows_m, columns_m = np.broadcast_to(
        np.nan if scored.pixel_size is None else np.asarray(scored.pixel_size, float), (2,)
    )
    row: dict[str, Any] = {
        "model": result.contender.label,
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
    for name in SCORES:
        row[name] = score.zones.means[name]
        row |= {
            f"{name}_{zone}": float(v)
            for zone, v in zip(ZONES, getattr(score.zones, name), strict=True)
        }
    stated = result.fronts[-1]
    row["uncertainty"] = np.nan if stated is None else stated.stated
    row["held_90"] = np.nan
    if stated is not None:
        factor = result.calibration.factor(0.9)
        row["held_90"] = float((stated.distance <= factor * stated.uncertainty).mean())
    for zone, spread in zip(ZONES, prediction.class_spread, strict=True):
        row[f"spread_{zone}"] = float(spread)
    return row


def group_table(images: pd.DataFrame, results: Sequence[ModelResult]) -> pd.DataFrame:
    """Scores by glacier, season, sensor, resolution and each pair of them.

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
        own = images[images["model"] == result.contender.label].reset_index(drop=True)
        for grouping in GROUPINGS:
            for common, members in members_of(own, grouping):
                errors = [result.errors[k] for k in members]
                pooled = np.concatenate(errors)
                zones = average_scores([result.zones[k] for k in members])
                part = own.iloc[members]
                row: dict[str, Any] = {
                    "model": result.contender.label,
                    "grouping": " × ".join(grouping) or "all",
                    **{k: common.get(k, "") for k in ("glacier", "season", "sensor", "resolution")},
                    "images": len(members),
                    "without_front": int((~part["front_found"]).sum()),
                    "without_true_front": int((~part["true_front"]).sum()),
                    "distances": len(pooled),
                    "mde": pool_mde(errors).mde,
                    "median": float(np.median(pooled)) if pooled.size else np.nan,
                }
                for name in SCORES:
                    row[name] = zones.means[name]
                    values = getattr(zones, name)
                    row |= {f"{name}_{z}": float(v) for z, v in zip(ZONES, values, strict=True)}
                rows.append(row)
    return pd.DataFrame(rows)


def _note_oddities(found: BenchmarkResult) -> None:
    """Say in a sentence each what a reader of the numbers must know."""
    notes = found.selection.notes
    for result in found.models:
        own = found.of(result.contender.label)
        dry = int((~own["ocean_found"]).sum())
        if dry:
            notes.append(
                f"{result.contender.label} predicts no ocean at all in {dry} of {len(own)} images: "
                "they have no front and do not enter its mean."
            )
    first = found.of(found.models[0].contender.label)
    if untrue := int((~first["true_front"]).sum()):
        notes.append(
            f"{untrue} images have no true front (inside the box); they count in the zone scores "
            "only."
        )
    if (first["season"] == "unknown").any():
        unknown = ", ".join(sorted(set(first.loc[first["season"] == "unknown", "glacier"])))
        notes.append(f"The season of {unknown} is unknown: say --hemisphere north or south.")
