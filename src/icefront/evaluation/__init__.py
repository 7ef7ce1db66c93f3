"""Scores: how far predicted zones and fronts are from true ones.

The CaFFe protocol (Gourmelon et al. 2022): zone scores of the prediction before cleaning, per class
and image, and the mean distance error in metres, pooled over all distances of all images and always
reported beside the number of images without a front.
"""

from __future__ import annotations

from icefront.evaluation.mde import PooledMDE, pool_mde
from icefront.evaluation.zone_scores import (
    ZoneScores,
    average_scores,
    confusion_matrix,
    zone_scores,
)

__all__ = [
    "PooledMDE",
    "ZoneScores",
    "average_scores",
    "confusion_matrix",
    "pool_mde",
    "zone_scores",
]
