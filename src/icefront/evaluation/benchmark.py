"""The CaFFe benchmark: models on the images of a split, scored by the protocol.

Every image is read once, predicted by every model, scored and drawn; its predictions are
kept as soon as they are there, so that an interrupted run goes on and finished predictions are
scored again without a network. An image that cannot be scored costs a sentence, not the run.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from icefront.datasets.caffe import read_box
from icefront.errors import IcefrontError
from icefront.evaluation.benchmark_models import (
    BenchmarkModel,
    BenchmarkSettings,
    load_benchmark_models,
)
from icefront.evaluation.calibration import (
    NORMAL,
    Calibration,
    front_errors,
    read_calibration,
)
from icefront.evaluation.predictions import Prediction, read_prediction, write_prediction
from icefront.evaluation.protocol import score_image
from icefront.evaluation.report import FIGURES, SCENES, Gallery, write_report
from icefront.evaluation.results import (
    BenchmarkResult,
    ModelResult,
    ScoredImage,
    group_table,
    image_row,
)
from icefront.evaluation.seasons import Hemisphere
from icefront.evaluation.selection import AskedSize, Selection, Split, select_images
from icefront.evaluation.series import frames_of, smoothed_predictions
from icefront.files.atomic import check_folder, explained_writing
from icefront.inference.precision import choose_device
from icefront.progress import steps
from icefront.scenes.scene import Scene

PREDICTIONS = "predictions"
"""Folder of the kept predictions, one folder per model in it."""


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
    settings: BenchmarkSettings | None = None,
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
        All models together are scored too, averaged over `symmetries` (1, 4 or 8).
    split, glaciers, sensors, pixel_size
        Which images, and in which unit; see `select_images`.
    hemisphere : "north", "south" or None
        Of glaciers that are not CaFFe's, for the season.
    settings : BenchmarkSettings, optional
        How images are predicted; the defaults are those of ``icefront extract``. With
        ``through_time`` each model gets a second row, of all dates of a glacier smoothed together;
        the images of a glacier must then share one frame.
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
        If nothing can be scored, a model cannot be loaded, the images of a glacier share no frame
        where dates are to be smoothed together, or the results cannot be written.
    """
    folder = Path(out)
    _check_folder(folder, resume=resume, overwrite=overwrite)
    selection = select_images(
        data, split, glaciers=glaciers, sensors=sensors, pixel_size=pixel_size
    )
    stated = {} if calibration is None else read_calibration(calibration)
    loaded = load_benchmark_models(models, given, ensemble=ensemble, symmetries=symmetries)
    settings = settings or BenchmarkSettings()
    frames = frames_of(selection.dataset) if settings.through_time else {}
    if settings.through_time:
        loaded = _with_smoothed(loaded, selection.notes)
    results = [ModelResult(m, calibration=_stated_for(m, stated)) for m in loaded]
    choose_device(settings.device)
    if overwrite:
        for old in (PREDICTIONS, SCENES, FIGURES):
            shutil.rmtree(folder / old, ignore_errors=True)
    run = _Run(selection, results, settings, folder, resume, hemisphere)
    gallery = Gallery(folder if scenes else None, selection.unit)
    if settings.through_time:
        run.smooth_dates(frames, progress)
    images = run.score_images(gallery, progress)
    if images.empty:
        raise IcefrontError(
            f"{data} has no image in {split} that could be scored: {selection.left_out[0]}."
        )
    found = BenchmarkResult(selection, settings, images, group_table(images, results), results)
    _add_notes(found)
    write_report(found, folder, gallery)
    return found


@dataclass(frozen=True)
class _Run:
    """What the scoring of every image needs."""

    selection: Selection
    results: list[ModelResult]
    settings: BenchmarkSettings
    folder: Path
    resume: bool
    hemisphere: Hemisphere | None

    def smooth_dates(self, frames: dict[str, tuple[int, int]], progress: bool) -> None:
        """Predict all images, then keep what the dates of each glacier say together.

        An image that cannot be predicted takes no part; scoring says why.
        """
        dataset = self.selection.dataset
        single = [r.model for r in self.results if r.model.given is None and not r.model.smooths]
        count = len(dataset.samples)
        with steps("Predicting", count * len(single), show=progress) as advance:
            for number in range(count):
                for model in single:
                    with contextlib.suppress(IcefrontError):
                        self._keep_prediction(model, number)
                    advance(1)
        for model in single:
            kept = self.folder / PREDICTIONS / model.label
            smoothed = model.smoothed()
            shutil.rmtree(self.folder / PREDICTIONS / smoothed.label, ignore_errors=True)
            found = smoothed_predictions(dataset, frames, kept, progress=progress)
            for number, prediction in found:
                facts = self._facts(smoothed, number)
                name = dataset.samples[number].name
                with explained_writing(self.folder):
                    write_prediction(
                        self.folder / PREDICTIONS / smoothed.label, name, prediction, facts
                    )

    def _keep_prediction(self, model: BenchmarkModel, number: int) -> None:
        """Predict an image with one model unless that was done and kept before."""
        scene = self.selection.dataset.scene(number)
        kept, facts = self.folder / PREDICTIONS / model.label, self._facts(model, number)
        prediction, is_new = self._predict(model, scene, kept, facts)
        if is_new:
            with explained_writing(self.folder):
                write_prediction(kept, scene.name, prediction, facts)

    def _facts(self, model: BenchmarkModel, number: int) -> dict[str, str]:
        dataset = self.selection.dataset
        size = dataset.pixel_size_m(number)
        return model.facts(dataset.samples[number].image, size, self.settings)

    def score_images(self, gallery: Gallery, progress: bool) -> pd.DataFrame:
        """Score and draw all images; one that fails costs a sentence in what was left out."""
        rows: list[dict[str, Any]] = []
        samples, models = self.selection.dataset.samples, len(self.results)
        with steps("Scoring", len(samples) * models, show=progress) as advance:
            for number in range(len(samples)):
                try:
                    scored = self._score(number)
                except IcefrontError as error:
                    self.selection.left_out.append(str(error).rstrip("."))
                else:
                    rows += self._add(scored)
                    with explained_writing(self.folder):
                        gallery.add(scored)
                advance(models)
        return pd.DataFrame(rows)

    def _score(self, number: int) -> ScoredImage:
        """Read an image and its truth, predict it or take what was kept, and score it."""
        dataset = self.selection.dataset
        sample, size = dataset.samples[number], dataset.pixel_size_m(number)
        image, true_zones = dataset.image(number), dataset.zones(number)
        true = None if sample.front is None else dataset.front(number)
        if true is not None and true.shape != image.shape:
            raise IcefrontError(
                f"{sample.front} is {true.shape[1]}×{true.shape[0]} pixels and its image "
                f"{image.shape[1]}×{image.shape[0]}"
            )
        box = None if sample.box is None else read_box(sample.box, image.shape)
        scene = dataset.scene(number)
        scores, fresh = [], []
        for result in self.results:
            model = result.model
            kept = self.folder / PREDICTIONS / model.label
            facts = self._facts(model, number)
            prediction, is_new = self._predict(model, scene, kept, facts)
            if is_new:
                fresh.append((kept, prediction, facts))
            score = score_image(prediction.zones, true_zones, true, size, box)
            true = score.true
            scores.append((result, prediction, score))
        assert true is not None
        return ScoredImage(sample, image, box, true, size, scores, fresh)

    def _predict(
        self, model: BenchmarkModel, scene: Scene, kept: Path, facts: dict[str, str]
    ) -> tuple[Prediction, bool]:
        """Take the prediction that was kept, or predict; say whether it is to be kept."""
        if (self.resume or self.settings.through_time) and model.given is None:
            found = read_prediction(kept, scene.name, facts)
            if found is not None and found.zones.shape == scene.shape:
                return found, False
        if model.smooths is not None:
            # Years from all other dates of its glacier: it stands alone.
            alone = self.folder / PREDICTIONS / model.smooths
            found = read_prediction(alone, scene.name, {})
            if found is not None:
                return found, False
        return model.predict(scene, self.settings), model.given is None

    def _add(self, scored: ScoredImage) -> list[dict[str, Any]]:
        """Keep the predictions of an image, add its scores to the models, return its rows."""
        with explained_writing(self.folder):
            for kept, prediction, facts in scored.fresh:
                write_prediction(kept, scored.sample.name, prediction, facts)
        rows = []
        for result, prediction, score in scored.scores:
            uncertainty = prediction.uncertainty(score.predicted)
            result.errors.append(score.errors)
            result.zones.append(score.zones)
            result.fronts.append(
                front_errors(score.predicted, score.true, uncertainty, scored.pixel_size)
            )
            rows.append(image_row(scored, result, prediction, score, self.hemisphere))
        return rows


def _check_folder(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder with files of an earlier run unless the user decides what becomes of them."""
    if resume:
        return
    try:
        check_folder(folder, overwrite=overwrite)
    except IcefrontError as error:
        if not (folder / PREDICTIONS).is_dir():
            raise
        raise IcefrontError(
            f"The folder {folder} holds a benchmark: give --resume to keep its predictions "
            "and score them again, or --overwrite to start anew."
        ) from error


def _with_smoothed(loaded: list[BenchmarkModel], notes: list[str]) -> list[BenchmarkModel]:
    """Put beside each model the row of its dates smoothed together."""
    both = []
    for model in loaded:
        both.append(model)
        if model.given is None:
            both.append(model.smoothed())
        else:
            notes.append(
                f"{model.label} has no row through time: zones alone say nothing of how sure they "
                "are."
            )
    return both


def _stated_for(model: BenchmarkModel, stated: dict[str, Calibration]) -> Calibration:
    if not stated:
        return NORMAL
    if model.label in stated:
        return stated[model.label]
    raise IcefrontError(
        f"The calibration is of {', '.join(stated)}, not of {model.label}; give one of the "
        "same models."
    )


def _add_notes(found: BenchmarkResult) -> None:
    """Add a sentence for each thing that a reader of the numbers must know."""
    notes = found.selection.notes
    for result in found.models:
        own = found.of(result.label)
        dry = int((~own["ocean_found"]).sum())
        if dry:
            notes.append(
                f"{result.label} predicts no ocean at all in {dry} of {len(own)} images: "
                "they have no front and do not enter its mean."
            )
    first = found.of(found.models[0].label)
    if untrue := int((~first["true_front"]).sum()):
        notes.append(
            f"{untrue} images have no true front (inside the box); they count in the zone scores "
            "only."
        )
    if (first["season"] == "unknown").any():
        unknown = ", ".join(sorted(set(first.loc[first["season"] == "unknown", "glacier"])))
        notes.append(f"The season of {unknown} is unknown: give --hemisphere north or south.")
