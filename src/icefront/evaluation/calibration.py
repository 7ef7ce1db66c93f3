"""Is a front where its uncertainty says? Coverage of intervals, and what makes them true.

A front pixel is said to lie within z(p) u of its place with probability p, u being its standard
deviation and z(p) the factor of a normal distribution. Coverage is the share of the *true* front
that does lie within the interval of the nearest predicted pixel. Errors of segmentation have longer
tails than a normal distribution; the factors that would have held on other images replace z(p).
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
"""Probabilities of the intervals that are looked at."""

FOLDS = 5
"""Parts of a set of one glacier that is calibrated against itself."""


@dataclass(frozen=True)
class FrontErrors:
    """Distances of the true front of one image, and what was said about them.

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
        """Half width of the interval of a probability, in standard deviations."""
        return float(np.interp(level, self.levels, self.factors))


NORMAL = Calibration(
    LEVELS, tuple(float(norm.ppf((1 + p) / 2)) for p in LEVELS), 0, "normal distribution"
)
"""What is assumed as long as nothing was measured."""


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
    """Find the factors that would have held: quantiles of distance over standard deviation.

    Images count alike, whatever the length of their fronts: a long one must not decide alone.

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
    share = np.cumsum(weights[order]) / weights.sum()
    where = np.minimum(np.searchsorted(share, LEVELS), len(order) - 1)
    factors = ratios[order][where]
    return Calibration(LEVELS, tuple(float(f) for f in factors), len(errors), source)


def coverage(errors: Sequence[FrontErrors], calibration: Calibration = NORMAL) -> np.ndarray:
    """Share of all true front pixels within the interval of each of `LEVELS`, float64 (L,)."""
    if not errors:
        return np.full(len(LEVELS), np.nan)
    return _held(errors, [calibration] * len(errors)).mean(axis=1)


def cross_coverage(errors: Sequence[FrontErrors], groups: Sequence[str]) -> np.ndarray:
    """Coverage with factors found on other images only, float64 (L,).

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
        parts = [str(k % FOLDS) for k in range(len(errors))]
    fitted = {
        part: fit([e for e, p in zip(errors, parts, strict=True) if p != part], "others")
        for part in set(parts)
    }
    return _held(errors, [fitted[p] for p in parts]).mean(axis=1)


def _held(errors: Sequence[FrontErrors], calibrations: Sequence[Calibration]) -> np.ndarray:
    """Which true pixels lie within which interval, bool (L, all pixels)."""
    parts = []
    for one, calibration in zip(errors, calibrations, strict=True):
        factors = np.array([calibration.factor(p) for p in LEVELS])
        parts.append(one.distance <= factors[:, None] * one.uncertainty)
    return np.concatenate(parts, axis=1)


def said_and_done(
    errors: Sequence[FrontErrors],
    limits: Sequence[float],
    calibration: Calibration = NORMAL,
    level: float = 0.9,
) -> list[dict[str, float]]:
    """Of the fronts said to be within u, how many are?

    Parameters
    ----------
    errors : sequence of FrontErrors
    limits : sequence of float
        Values of u, in metres or pixels.
    calibration : Calibration
    level : float
        A front is said to be within u if its mean interval of this probability is.

    Returns
    -------
    list of dict
        For each u: ``within``, ``fronts`` (said to be), ``mean_within`` (of those, the share whose
        mean distance from the true front is), ``pixels_within`` (share of their true pixels).
    """
    rows = []
    for limit in limits:
        said = [e for e in errors if calibration.factor(level) * e.stated <= limit]
        pixels = np.concatenate([e.distance for e in said]) if said else np.empty(0)
        rows.append(
            {
                "within": float(limit),
                "fronts": len(said),
                "mean_within": _share([e.distance.mean() <= limit for e in said]),
                "pixels_within": _share(pixels <= limit),
            }
        )
    return rows


def _share(held: Any) -> float:
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
