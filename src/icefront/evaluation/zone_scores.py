"""How well two zone maps agree: precision, recall, F1 and IoU per class (CaFFe protocol)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from icefront.errors import IcefrontError
from icefront.fronts.cleaning import checked_zones
from icefront.zones import N_ZONES


@dataclass(frozen=True)
class ZoneScores:
    """Scores of the zones, one value per class code 0 to 3.

    Attributes
    ----------
    precision, recall, f1, iou : float64 (4,)
        In 0..1; 0 where a class occurs in neither map.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    iou: np.ndarray

    @property
    def means(self) -> dict[str, float]:
        """Mean of each score over the four classes."""
        return {
            name: float(getattr(self, name).mean()) for name in ("precision", "recall", "f1", "iou")
        }


def confusion_matrix(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Count the pixels of each pair of classes.

    Parameters
    ----------
    predicted, true : integer (H, W)
        Class codes 0 to 3.

    Returns
    -------
    int64 (4, 4)
        Pixels by true class (rows) and predicted class (columns).

    Raises
    ------
    IcefrontError
        If the maps differ in shape or hold anything but class codes.
    """
    predicted, true = checked_zones(predicted), checked_zones(true)
    if predicted.shape != true.shape:
        raise IcefrontError(
            f"Predicted zones are {predicted.shape} but the true ones {true.shape}; compare maps "
            "of the same grid."
        )
    pairs = np.bincount((true * np.uint8(N_ZONES) + predicted).reshape(-1), minlength=N_ZONES**2)
    return np.asarray(pairs, dtype=np.int64).reshape(N_ZONES, N_ZONES)


def zone_scores(predicted: np.ndarray, true: np.ndarray) -> ZoneScores:
    """Score the zones of one image, before any cleaning.

    Parameters
    ----------
    predicted, true : integer (H, W)
        Class codes 0 to 3.

    Returns
    -------
    ZoneScores
        With hits TP, false FP and missed FN of a class: precision TP / (TP + FP), recall
        TP / (TP + FN), F1 2 TP / (2 TP + FP + FN), IoU TP / (TP + FP + FN); a quotient 0 / 0 is 0.

    Raises
    ------
    IcefrontError
        If the maps differ in shape or hold anything but class codes.

    Notes
    -----
    The evaluation protocol of CaFFe: Gourmelon et al. 2022, doi:10.5194/essd-14-4287-2022.
    """
    matrix = confusion_matrix(predicted, true)
    hits, n_true, n_predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return ZoneScores(
        precision=_quotient(hits, n_predicted),
        recall=_quotient(hits, n_true),
        f1=_quotient(2 * hits, n_true + n_predicted),
        iou=_quotient(hits, n_true + n_predicted - hits),
    )


def average_scores(scores: Sequence[ZoneScores]) -> ZoneScores:
    """Average each score of each class over images; its `means` are the scores of the set.

    Raises
    ------
    IcefrontError
        If there are no images.
    """
    if not scores:
        raise IcefrontError("There are no images to average zone scores over.")
    return ZoneScores(
        precision=np.mean([s.precision for s in scores], axis=0),
        recall=np.mean([s.recall for s in scores], axis=0),
        f1=np.mean([s.f1 for s in scores], axis=0),
        iou=np.mean([s.iou for s in scores], axis=0),
    )


def _quotient(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
