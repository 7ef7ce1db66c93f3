"""The mean distance error of a set of images (CaFFe protocol)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class PooledMDE(NamedTuple):
    """Mean distance error of a set of images; report all three numbers.

    Attributes
    ----------
    mde : float
        Mean of all distances of all images, in the unit of the distances; NaN if there are none.
    images_without_front : int
        Images that have no distances, because a front is missing; they do not enter the mean.
    images : int
        All images.
    """

    mde: float
    images_without_front: int
    images: int


def pool_mde(errors: Iterable[np.ndarray]) -> PooledMDE:
    """Pool the distances of all images: long fronts weigh more than short ones.

    Parameters
    ----------
    errors : iterable of float (N_i,)
        The distances of each image, from `icefront.fronts.distance_errors`; empty where a front is
        missing.

    Returns
    -------
    PooledMDE
        The mean, the number of images without a front and the number of images.

    Notes
    -----
    The evaluation protocol of CaFFe: Gourmelon et al. 2022, doi:10.5194/essd-14-4287-2022.
    """
    arrays = [np.asarray(e, dtype=np.float64) for e in errors]
    pooled = np.concatenate(arrays) if arrays else np.empty(0)
    missing = sum(a.size == 0 for a in arrays)
    return PooledMDE(float(pooled.mean()) if pooled.size else float("nan"), missing, len(arrays))
