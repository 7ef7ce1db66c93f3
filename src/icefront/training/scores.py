"""Scores of a network on whole scenes of a data set, as validation and test report them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.progress import track
from torch import nn

from icefront.datasets.caffe import CaffeDataset
from icefront.evaluation import ZoneScores, average_scores, pool_mde
from icefront.evaluation.protocol import protocol_front, score_image
from icefront.fronts import distance_errors
from icefront.fronts.minimum_length import MIN_LENGTH_M
from icefront.grid import PixelSize
from icefront.inference.predict import likeliest_zones, predict_zones


@dataclass(frozen=True)
class ImageScore:
    """What one image scored.

    Attributes
    ----------
    name, glacier : str
    zones : ZoneScores
        Of the prediction before cleaning, against the label as it is on disk.
    errors : float64 (N,)
        Distances to the front label, both ways, in metres (or pixels); empty without a front.
    errors_from_zones : float64 (N,)
        The same against the front that the true zones give by the same cleaning and extraction.
    """

    name: str
    glacier: str
    zones: ZoneScores
    errors: np.ndarray
    errors_from_zones: np.ndarray


def score_images(
    network: nn.Module,
    dataset: CaffeDataset,
    indices: Sequence[int] | None = None,
    *,
    min_length_m: float = MIN_LENGTH_M,
    tta: bool = False,
    exact: bool = True,
    progress: bool = False,
) -> list[ImageScore]:
    """Predict whole scenes and score zones and fronts by the CaFFe protocol.

    Parameters
    ----------
    network : nn.Module
        With its card.
    dataset : CaffeDataset
        Its labels are used as they are on disk: open it without `clean_labels`.
    indices : sequence of int, optional
        Images to score; all by default.
    min_length_m : float
        Shortest piece of front, in metres (pixels where the set has no pixel size).

    Returns
    -------
    list of ImageScore
    """
    scores = []
    chosen = range(len(dataset)) if indices is None else indices
    for i in track(chosen, "Scoring", disable=not progress, transient=True):
        sample, true = dataset.samples[i], dataset.zones(i)
        size: PixelSize = dataset.pixel_size_m(i)
        scene = dataset.scene(i)
        probabilities = predict_zones(network, scene, tta=tta, exact=exact, progress=False)
        zones = likeliest_zones(probabilities, scene, bare=exact)
        unit = 1.0 if size is None else size
        box = dataset.box(i)
        from_zones = protocol_front(true, size, box, min_length_m)
        label = dataset.front(i) if sample.front is not None else from_zones
        score = score_image(zones, true, label, size, box, min_length_m)
        scores.append(
            ImageScore(
                sample.name,
                sample.glacier,
                score.zones,
                score.errors,
                distance_errors(score.predicted, from_zones, unit),
            )
        )
    return scores


def summarise(scores: Sequence[ImageScore]) -> dict[str, Any]:
    """Pool the scores of images, in plain types.

    Returns
    -------
    dict
        ``images``, ``without_front``, ``mde`` and ``mde_from_zones`` (pooled over all distances),
        ``mean_iou``, ``iou`` per class.
    """
    pooled = pool_mde([s.errors for s in scores])
    zones = average_scores([s.zones for s in scores])
    return {
        "images": pooled.images,
        "without_front": pooled.images_without_front,
        "mde": pooled.mde,
        "mde_from_zones": pool_mde([s.errors_from_zones for s in scores]).mde,
        "mean_iou": zones.means["iou"],
        "iou": [float(v) for v in zones.iou],
    }
