"""Comparison of models by their runs, and by their images where those are known.

From tables of images also follows how much the result depends on the choice of the images and of
the glaciers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from icefront.errors import IcefrontError
from icefront.evaluation.run_tables import ModelRuns
from icefront.evaluation.significance import (
    RESAMPLES,
    bootstrap_mde,
    cohens_d,
    glass_delta,
    holm,
    levene_permutation,
    mann_whitney,
)

CONFIDENCE = 0.95
_FEW_GLACIERS = 5
"""With fewer clusters a bootstrap interval over them is only an indication."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval, in metres."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.1f} to {self.high:.1f}"


@dataclass(frozen=True)
class ModelSummary:
    """What is known of one model.

    Attributes
    ----------
    name : str
    runs : int
    mean_m, sd_m, best_m, worst_m : float
        Of the MDEs of the runs; the standard deviation has the divisor R − 1, NaN for one run.
    without_front : float or None
        Images without a front, mean over the runs; None where only MDEs are known.
    over_images, over_glaciers : Interval or None
        Bootstrap intervals of the mean MDE; None where only MDEs are known.
    """

    name: str
    runs: int
    mean_m: float
    sd_m: float
    best_m: float
    worst_m: float
    without_front: float | None = None
    over_images: Interval | None = None
    over_glaciers: Interval | None = None


@dataclass(frozen=True)
class PairResult:
    """How a challenger stands against a baseline.

    Attributes
    ----------
    baseline, challenger : str
    difference_m : float
        Mean MDE of the baseline − mean MDE of the challenger; positive if the challenger is better.
    u, p : float
        Mann-Whitney U of the baseline (pairs of runs in which its MDE is the larger, ties half) and
        the one-sided p-value against "the challenger is not better".
    p_holm : float
        The same after Holm's correction for all pairs of the comparison.
    superiority : float
        U over the number of pairs of runs: how often a run of the challenger is the better one.
    levene, levene_p : float
        Levene's statistic about the medians (Brown-Forsythe) and its permutation p-value; NaN with
        fewer than three runs on either side.
    cohens_d : float
        Difference over the pooled standard deviation of both.
    glass_delta : float
        Difference over the standard deviation of the baseline alone.
    over_images, over_glaciers : Interval or None
        Bootstrap intervals of the difference, on the same images.
    """

    baseline: str
    challenger: str
    difference_m: float
    u: float
    p: float
    p_holm: float
    superiority: float
    levene: float
    levene_p: float
    cohens_d: float
    glass_delta: float
    over_images: Interval | None = None
    over_glaciers: Interval | None = None


@dataclass(frozen=True)
class Comparison:
    """All models, all pairs, and what to mind."""

    models: tuple[ModelSummary, ...]
    pairs: tuple[PairResult, ...]
    runs: tuple[ModelRuns, ...]
    notes: tuple[str, ...] = ()
    resamples: int = RESAMPLES
    seed: int = 0


def compare_pair(baseline: ModelRuns, challenger: ModelRuns, *, seed: int = 0) -> PairResult:
    """Compare the MDEs of the runs of two models.

    Parameters
    ----------
    baseline, challenger : ModelRuns
        A run without any front (MDE NaN) ranks as the worst; the difference is then of the other
        runs, and effect sizes and Levene's test are NaN.
    seed : int
        Of the permutations.

    Returns
    -------
    PairResult
        As the only pair: `p_holm` is `p`, without intervals.
    """
    a, b = (np.nan_to_num(model.mdes, nan=np.inf) for model in (baseline, challenger))
    u, p = mann_whitney(a, b)
    means = [v[np.isfinite(v)].mean() if np.isfinite(v).any() else math.nan for v in (a, b)]
    whole = bool(np.isfinite(a).all() and np.isfinite(b).all())
    levene, levene_p = levene_permutation(a, b, seed) if whole else (math.nan, math.nan)
    return PairResult(
        baseline=baseline.name,
        challenger=challenger.name,
        difference_m=float(means[0] - means[1]),
        u=u,
        p=p,
        p_holm=p,
        superiority=u / (len(a) * len(b)),
        levene=levene,
        levene_p=levene_p,
        cohens_d=cohens_d(a, b) if whole else math.nan,
        glass_delta=glass_delta(a, b) if whole else math.nan,
    )


def _interval(values: np.ndarray) -> Interval:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))


def compare(
    models: Sequence[ModelRuns],
    *,
    baseline: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare models by their runs, and by their images where those are known.

    Parameters
    ----------
    models : sequence of ModelRuns
        In the order of the question: of two models the earlier one is the baseline, the later one
        is asked to be better. The direction of the one-sided test is thus fixed before the numbers
        are seen.
    baseline : str, optional
        Compare this one with all others only.
    resamples : int
        Of the bootstrap.
    seed : int

    Returns
    -------
    Comparison

    Raises
    ------
    IcefrontError
        If there are fewer than two models, two of one name, no such baseline, or no common images.
    """
    names = [model.name for model in models]
    if len(names) < 2:
        raise IcefrontError("One model cannot be compared: name at least two, each with its runs.")
    for name in names:
        if names.count(name) > 1:
            raise IcefrontError(f"Two models are named {name!r}: give them different names.")
    if baseline is not None and baseline not in names:
        raise IcefrontError(f"There is no model {baseline!r}; there are {', '.join(names)}.")
    if resamples < 100:
        raise IcefrontError(f"{resamples} resamples give no interval; give 100 or more.")
    notes: list[str] = []
    draws = _draws(models, resamples, seed, notes)
    summaries = tuple(_summary(model, draws) for model in models)
    pairs = [
        (a, b)
        for i, a in enumerate(models)
        for b in models[i + 1 :]
        if baseline is None or baseline in (a.name, b.name)
    ]
    if baseline is not None:
        pairs = [(a, b) if a.name == baseline else (b, a) for a, b in pairs]
    tested = [compare_pair(a, b, seed=seed) for a, b in pairs]
    results = []
    for pair, p_holm in zip(tested, holm([pair.p for pair in tested]), strict=True):
        over = {
            level: _interval(of_model[pair.baseline] - of_model[pair.challenger])
            for level, of_model in draws.items()
            if pair.baseline in of_model and pair.challenger in of_model
        }
        results.append(
            replace(
                pair,
                p_holm=float(p_holm),
                over_images=over.get("over_images"),
                over_glaciers=over.get("over_glaciers"),
            )
        )
    for a, b in pairs:
        least = 1 / math.comb(len(a.mdes) + len(b.mdes), len(a.mdes))
        if least >= 0.05:
            notes.append(
                f"{a.name} and {b.name} have {len(a.mdes)} and {len(b.mdes)} runs: p cannot fall "
                f"below {least:.2f}, however far apart they are."
            )
    return Comparison(
        summaries, tuple(results), tuple(models), tuple(notes), resamples=resamples, seed=seed
    )


def _draws(
    models: Sequence[ModelRuns], resamples: int, seed: int, notes: list[str]
) -> dict[str, dict[str, np.ndarray]]:
    """Bootstrap the mean MDE of every model with images, on the images that all of them share."""
    known = [model for model in models if model.images is not None]
    if not known:
        return {}
    shared: set[str] | None = None
    every: set[str] = set()
    for model in known:
        assert model.images is not None
        for _, run in model.images.groupby("run", sort=False):
            found = set(run["image"])
            every |= found
            shared = found if shared is None else shared & found
    if not shared:
        raise IcefrontError("The tables have no image in common: compare runs on the same images.")
    if len(every) > len(shared):
        notes.append(
            f"Intervals are over the {len(shared)} images that all runs share; "
            f"{len(every) - len(shared)} others are left out of them."
        )
    images = sorted(shared)
    assert known[0].images is not None
    glaciers = known[0].images.drop_duplicates("image").set_index("image")["glacier"].loc[images]
    codes, names = pd.factorize(glaciers)
    levels = {"over_images": np.arange(len(images)), "over_glaciers": np.asarray(codes)}
    if len(names) < _FEW_GLACIERS:
        notes.append(
            f"The intervals over glaciers rest on {len(names)} glacier{'s' * (len(names) != 1)} "
            f"({', '.join(map(str, names))}): with fewer than {_FEW_GLACIERS} they only indicate "
            "how the glaciers differ."
        )
    drawn: dict[str, dict[str, np.ndarray]] = {level: {} for level in levels}
    for model in known:
        assert model.images is not None
        sums, counts = (
            model.images.pivot(index="run", columns="image", values=column)[images].to_numpy(float)
            for column in ("distance_sum_m", "distance_count")
        )
        for level, clusters in levels.items():
            # One seed for all models: the same images are drawn for each, which pairs them.
            mdes = bootstrap_mde(sums, counts, clusters, resamples=resamples, seed=seed)
            drawn[level][model.name] = mdes.mean(axis=1)
    return drawn


def _summary(model: ModelRuns, draws: dict[str, dict[str, np.ndarray]]) -> ModelSummary:
    mdes = model.mdes
    intervals = {
        level: _interval(of_model[model.name])
        for level, of_model in draws.items()
        if model.name in of_model
    }
    without = None
    if model.images is not None:
        missing = model.images["distance_count"].eq(0).groupby(model.images["run"]).sum()
        without = float(missing.mean())
    return ModelSummary(
        name=model.name,
        runs=len(mdes),
        mean_m=float(mdes.mean()),
        sd_m=float(mdes.std(ddof=1)) if len(mdes) > 1 else float("nan"),
        best_m=float(mdes.min()),
        worst_m=float(mdes.max()),
        without_front=without,
        **intervals,
    )
