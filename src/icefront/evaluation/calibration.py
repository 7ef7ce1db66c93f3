"""Calibration of the uncertainty of fronts: coverage of intervals, and factors that correct it.

A front pixel is stated to lie within z(p) u of its place with probability p, u being its standard
deviation and z(p) the factor of a normal distribution. Coverage is the fraction of the *true* front
that lies within the interval of the nearest predicted pixel. Errors of segmentation have longer
tails than a normal distribution; the factors that are right on other images replace z(p).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import KDTree
from scipy.stats import norm

from icefront.errors import IcefrontError
from icefront.grid import PixelSize, pixel_sides

LEVELS = (*(round(0.05 * k, 2) for k in range(1, 20)), 0.99)
"""Probabilities of the intervals."""

_FOLDS = 5
"""Parts into which the images of a single glacier are divided for cross-validation."""


@dataclass(frozen=True)
class FrontErrors:
    """Distances of the true front of one image, and their stated uncertainty.

    Attributes
    ----------
    distance : float64 (T,)
        From each true pixel to the nearest predicted one, in metres or pixels.
    uncertainty : float64 (T,)
        Standard deviation stated there, in the same unit.
    stated : float
        Mean of the standard deviation along the predicted front.
    """

    distance: np.ndarray
    uncertainty: np.ndarray
    stated: float


@dataclass(frozen=True)
class Calibration:
    """Half widths of intervals in standard deviations, by probability.

    Attributes
    ----------
    levels, factors : tuple of float
    images : int
        From how many; 0 for the normal distribution.
    source : str
        In words.
    """

    levels: tuple[float, ...]
    factors: tuple[float, ...]
    images: int
    source: str

    def factor(self, level: float) -> float:
        """Return the half width of the interval of a probability, in standard deviations."""
        return float(np.interp(level, self.levels, self.factors))


NORMAL = Calibration(
    LEVELS, tuple(float(norm.ppf((1 + p) / 2)) for p in LEVELS), 0, "normal distribution"
)
"""Assumed where no calibration is given."""


def front_errors(
    predicted: np.ndarray, true: np.ndarray, uncertainty: np.ndarray, pixel_size_m: PixelSize
) -> FrontErrors | None:
    """Gather what calibration needs from one image.

    Parameters
    ----------
    predicted, true : bool (H, W)
        The fronts, inside the box.
    uncertainty : float (P,)
        Standard deviation of each predicted pixel, in reading order.
    pixel_size_m : float, (float, float) or None

    Returns
    -------
    FrontErrors or None
        None if a front is missing or nothing is known about the uncertainty.
    """
    if not (predicted.any() and true.any()) or not np.isfinite(uncertainty).all():
        return None
    sides = pixel_sides(1.0 if pixel_size_m is None else pixel_size_m)
    known, wanted = (np.argwhere(front) * np.array(sides) for front in (predicted, true))
    distance, nearest = KDTree(known).query(wanted)
    return FrontErrors(distance, uncertainty[nearest], float(uncertainty.mean()))


def fit(errors: Sequence[FrontErrors], source: str) -> Calibration:
    """Find the right factors of the intervals: quantiles of distance over standard deviation.

    All images have the same weight, whatever the length of their fronts.

    Raises
    ------
    IcefrontError
        If there are no fronts.
    """
    if not errors:
        raise IcefrontError("There are no fronts to calibrate an uncertainty with.")
    ratios = np.concatenate([e.distance / e.uncertainty for e in errors])
    weights = np.concatenate([np.full(len(e.distance), 1 / len(e.distance)) for e in errors])
    order = np.argsort(ratios)
    fraction = np.cumsum(weights[order]) / weights.sum()
    where = np.minimum(np.searchsorted(fraction, LEVELS), len(order) - 1)
    factors = ratios[order][where]
    return Calibration(LEVELS, tuple(float(f) for f in factors), len(errors), source)


def coverage(errors: Sequence[FrontErrors], calibration: Calibration = NORMAL) -> np.ndarray:
    """Return the fraction of true front pixels within the interval of each of `LEVELS`."""
    if not errors:
        return np.full(len(LEVELS), np.nan)
    return _held(errors, [calibration] * len(errors)).mean(axis=1)


def cross_coverage(errors: Sequence[FrontErrors], groups: Sequence[str]) -> np.ndarray:
    """Return the coverage with factors found on other images only.

    Parameters
    ----------
    errors : sequence of FrontErrors
    groups : sequence of str
        Of each image, such as its glacier: the factors of a group come from all others. Where
        there is one group only, every fifth image is one.

    Returns
    -------
    float64 (L,)
        NaN if there are fewer than two images.
    """
    if len(errors) < 2:
        return np.full(len(LEVELS), np.nan)
    parts = list(groups)
    if len(set(parts)) < 2:
        parts = [str(k % _FOLDS) for k in range(len(errors))]
    fitted = {
        part: fit([e for e, p in zip(errors, parts, strict=True) if p != part], "others")
        for part in set(parts)
    }
    return _held(errors, [fitted[p] for p in parts]).mean(axis=1)


def _held(errors: Sequence[FrontErrors], calibrations: Sequence[Calibration]) -> np.ndarray:
    """Return which true pixels lie within which interval, bool (L, all pixels)."""
    parts = []
    for one, calibration in zip(errors, calibrations, strict=True):
        factors = np.array([calibration.factor(p) for p in LEVELS])
        parts.append(one.distance <= factors[:, None] * one.uncertainty)
    return np.concatenate(parts, axis=1)


def within_limits(
    errors: Sequence[FrontErrors],
    limits: Sequence[float],
    calibration: Calibration = NORMAL,
    level: float = 0.9,
) -> list[dict[str, float]]:
    """Count the fronts that are stated to be within a distance, and those of them that are.

    Parameters
    ----------
    errors : sequence of FrontErrors
    limits : sequence of float
        Distances in metres or pixels.
    calibration : Calibration
    level : float
        A front is stated to be within a distance if its mean interval of this probability is.

    Returns
    -------
    list of dict
        For each distance: ``within``, ``fronts`` (number stated to be), ``mean_within``
        (fraction of those whose mean distance from the true front is), ``pixels_within`` (fraction
        of their true pixels).
    """
    rows = []
    for limit in limits:
        stated = [e for e in errors if calibration.factor(level) * e.stated <= limit]
        pixels = np.concatenate([e.distance for e in stated]) if stated else np.empty(0)
        rows.append(
            {
                "within": float(limit),
                "fronts": len(stated),
                "mean_within": _fraction([e.distance.mean() <= limit for e in stated]),
                "pixels_within": _fraction(pixels <= limit),
            }
        )
    return rows


def _fraction(held: Any) -> float:
    values = np.asarray(held, dtype=np.float64)
    return float(values.mean()) if values.size else float("nan")


def write_calibration(path: Path, calibrations: dict[str, Calibration]) -> None:
    """Write the calibration of each model as JSON."""
    path.write_text(json.dumps({k: asdict(c) for k, c in calibrations.items()}, indent=1) + "\n")


def read_calibration(path: str | Path) -> dict[str, Calibration]:
    """Read what `write_calibration` wrote, by the label of the model.

    Raises
    ------
    IcefrontError
        If the file is missing or something else.
    """
    try:
        content = json.loads(Path(path).read_text())
        found = {
            str(label): Calibration(
                tuple(float(v) for v in one["levels"]),
                tuple(float(v) for v in one["factors"]),
                int(one["images"]),
                str(one["source"]),
            )
            for label, one in content.items()
        }
        if any(len(c.levels) != len(c.factors) or len(c.levels) < 2 for c in found.values()):
            raise ValueError("levels and factors do not match")
    except FileNotFoundError:
        raise IcefrontError(f"The calibration {path} does not exist.") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise IcefrontError(
            f"{path} is not a calibration ({error}): give the calibration.json of a benchmark."
        ) from None
    return found
