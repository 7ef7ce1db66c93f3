"""All dates of a glacier smoothed together, for the rows of a benchmark beside the single dates."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from affine import Affine

from icefront.datasets.caffe import CaffeDataset
from icefront.errors import IcefrontError
from icefront.evaluation.predictions import Prediction, read_probabilities
from icefront.evaluation.protocol import least_length, protocol_front
from icefront.extraction.series_fronts import DISAGREEMENT, in_series
from icefront.fronts import distance_errors
from icefront.fronts.uncertainty import front_logit, uncertainty_along
from icefront.grid import PixelSize, mean_side, pixel_sides
from icefront.scenes.resampling import resample_to
from icefront.scenes.scene import Scene
from icefront.series.agreement import smooth_series
from icefront.series.byte_series import ByteSeries
from icefront.series.estimation import common_error_px, estimate_rates
from icefront.series.lattice import WHOLE, to_bytes
from icefront.zones import GLACIER, N_ZONES, NO_DATA, OCEAN, likeliest

SAME_EXTENT = 0.02
"""By how much the extents of the images of one frame differ at most, as a fraction."""

_log = logging.getLogger(__name__)


def frames_of(dataset: CaffeDataset) -> dict[str, tuple[int, int]]:
    """Return the frame of each glacier: the shape that most of its images have.

    Files in CaFFe's layout say nothing about their place on the map. Images of one shape, or of one
    extent in metres, are taken to show the same place.

    Parameters
    ----------
    dataset : CaffeDataset

    Returns
    -------
    dict of str to (int, int)
        H and W by glacier.

    Raises
    ------
    IcefrontError
        If the images of a glacier differ in shape and extent.
    """
    frames = {}
    by_glacier: dict[str, list[int]] = {}
    for number, sample in enumerate(dataset.samples):
        by_glacier.setdefault(sample.glacier, []).append(number)
    for glacier, numbers in by_glacier.items():
        shapes = [tuple(dataset.samples[number].shape) for number in numbers]
        usual = Counter(shapes).most_common(1)[0][0]
        first = numbers[shapes.index(usual)]
        extent = _extent(usual, dataset.pixel_size_m(first))
        for number, shape in zip(numbers, shapes, strict=True):
            size = dataset.pixel_size_m(number)
            own = _extent(shape, size)
            same = size is not None and np.allclose(own, extent, rtol=SAME_EXTENT, atol=0)
            if shape != usual and not same:
                raise IcefrontError(
                    f"The images of {glacier} do not share one frame ({dataset.samples[first].name}"
                    f" has {usual[1]}×{usual[0]} pixels, {dataset.samples[number].name} "
                    f"{shape[1]}×{shape[0]} and another extent), so that its dates cannot be "
                    "compared: leave out --through-time, or choose other images by --glacier and "
                    "--sensor."
                )
        frames[glacier] = (int(usual[0]), int(usual[1]))
    return frames


def _extent(shape: tuple[int, ...], pixel_size: PixelSize) -> tuple[float, float]:
    rows, columns = (1.0, 1.0) if pixel_size is None else pixel_sides(pixel_size)
    return shape[0] * rows, shape[1] * columns


def smoothed_predictions(
    dataset: CaffeDataset,
    frames: Mapping[str, tuple[int, int]],
    kept: Path,
    *,
    progress: bool = False,
) -> Iterator[tuple[int, Prediction]]:
    """Smooth the dates of each glacier together.

    Parameters
    ----------
    dataset : CaffeDataset
    frames : mapping
        From `frames_of`.
    kept : Path
        Folder with the single-date predictions of a model and their probabilities; images without
        any take no part.
    progress : bool
        Show bars on stderr, if that is a terminal.

    Yields
    ------
    int
        Number of an image in the data set. Images whose date is years from all others of their
        glacier are left out.
    Prediction
        On the grid of the image.
    """
    for glacier, frame in frames.items():
        numbers = [
            number
            for number, sample in enumerate(dataset.samples)
            if sample.glacier == glacier and read_probabilities(kept, sample.name) is not None
        ]
        near = in_series([dataset.samples[number].date for number in numbers])
        numbers = list(itertools.compress(numbers, near))
        if len(numbers) > 1:
            yield from _smoothed(dataset, numbers, frame, kept, progress)


def _smoothed(
    dataset: CaffeDataset,
    numbers: list[int],
    frame: tuple[int, int],
    kept: Path,
    progress: bool,
) -> Iterator[tuple[int, Prediction]]:
    samples = [dataset.samples[number] for number in numbers]
    count = len(samples)
    with ByteSeries(count, frame, kept) as single, ByteSeries(count, frame, kept) as smoothed:
        for place, sample in enumerate(samples):
            values = read_probabilities(kept, sample.name)
            assert values is not None
            single[place, :, slice(0, frame[0])] = _brought(values, frame)
        dates = [sample.date for sample in samples]
        rates = estimate_rates(single, dates)
        smooth_series(single, dates, rates=rates, fill=True, out=smoothed, progress=progress)
        common = common_error_px(count, rates)
        distances = []
        for place, (number, sample) in enumerate(zip(numbers, samples, strict=True)):
            size = dataset.pixel_size_m(number)
            alone, through = (
                protocol_front(likeliest(_brought(found, sample.shape).astype(np.float32)), size)
                for found in (single.date(place), _with_gaps(smoothed, single, place))
            )
            errors = distance_errors(through, alone, 1.0 if size is None else size)
            if errors.size:
                distances.append(float(errors.mean()))
        apart = DISAGREEMENT * float(np.median(distances)) if distances else 0.0
        for place, (number, sample) in enumerate(zip(numbers, samples, strict=True)):
            values = _brought(_with_gaps(smoothed, single, place), sample.shape)
            size = dataset.pixel_size_m(number)
            side = 1.0 if size is None else mean_side(size)
            yield number, _prediction(values, size, float(np.hypot(apart, common * side)))


def _with_gaps(smoothed: ByteSeries, single: ByteSeries, place: int) -> np.ndarray:
    """Return a smoothed date, without the places where its image has no data."""
    values = smoothed.date(place)
    gaps = single.date(place)[NO_DATA] == WHOLE
    values[:, gaps] = 0
    values[NO_DATA, gaps] = WHOLE
    return values


def _brought(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bring probabilities uint8 (4, h, w) to another shape of the same extent."""
    if values.shape[1:] == tuple(shape):
        return values
    height, width = values.shape[1:]
    blank = np.zeros((height, width), np.float32)
    scale = Affine.scale(width / shape[1], height / shape[0])
    target = Scene(np.zeros(shape, np.float32), scale)
    return to_bytes(resample_to(values.astype(np.float32) / WHOLE, Scene(blank), target))


def _prediction(values: np.ndarray, pixel_size: PixelSize, apart: float) -> Prediction:
    """Return a prediction from smoothed probabilities uint8 (4, H, W)."""
    probabilities = values.astype(np.float32) / WHOLE
    zones = likeliest(probabilities)
    front = np.flatnonzero(protocol_front(zones, pixel_size, None, least_length(pixel_size)))
    points = np.stack(np.divmod(front, zones.shape[1]), axis=1).astype(float)
    sides = (1.0, 1.0) if pixel_size is None else pixel_sides(pixel_size)
    logit = front_logit(probabilities[GLACIER], probabilities[OCEAN])
    return Prediction(
        zones,
        front,
        uncertainty_along(logit, points, sides).astype(np.float32),
        np.full(len(front), apart, np.float32),
        np.full(N_ZONES, np.nan),
    )
