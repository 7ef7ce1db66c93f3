"""Do the runs of two models differ? Tests, effect sizes and the bootstrap of the MDE.

A model is trained several times; each run has one mean distance error (MDE).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from scipy import stats

Numbers: TypeAlias = Sequence[float] | np.ndarray

RESAMPLES = 10_000
"""Default number of bootstrap resamples."""


def mann_whitney(baseline: Numbers, challenger: Numbers) -> tuple[float, float]:
    """Apply the one-sided Mann-Whitney U test to "the challenger's MDEs are smaller".

    Parameters
    ----------
    baseline, challenger : sequence of float
        MDEs of runs.

    Returns
    -------
    tuple of float
        U of the baseline and p. Exact: by the distribution of U without ties, by enumeration of all
        assignments of the runs (10,000 random ones if there are more) with ties; NaN if there are
        ties and a side has a single run.

    Notes
    -----
    Mann and Whitney 1947, doi:10.1214/aoms/1177730491.
    """
    pooled = np.concatenate([baseline, challenger])
    tied = len(np.unique(pooled)) < len(pooled)
    method: Any = "exact"
    if tied and min(len(baseline), len(challenger)) < 2:
        a, b = np.asarray(baseline)[:, None], np.asarray(challenger)
        return float((a > b).sum() + 0.5 * (a == b).sum()), float("nan")
    if tied:
        method = stats.PermutationMethod(n_resamples=10_000, rng=np.random.default_rng(0))
    result = stats.mannwhitneyu(baseline, challenger, alternative="greater", method=method)
    return float(result.statistic), float(result.pvalue)


def levene_permutation(first: Numbers, second: Numbers, seed: int = 0) -> tuple[float, float]:
    """Apply Levene's test for unequal variances, its p-value by permutation of the runs.

    Parameters
    ----------
    first, second : sequence of float
        MDEs of runs.
    seed : int
        Of the permutations, where there are more than 10,000.

    Returns
    -------
    tuple of float
        Statistic about the medians and p; NaN where a side has fewer than three runs (two lie
        equally far from their median), or no run differs from its median.

    Notes
    -----
    Brown and Forsythe 1974, doi:10.1080/01621459.1974.10482955. What is permuted are the runs, as
    in the published comparison, so that a clear difference of the means weakens the test.
    """
    if min(len(first), len(second)) < 3:
        return float("nan"), float("nan")

    def statistic(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        deviations = [np.abs(x - np.median(x, axis=axis, keepdims=True)) for x in (a, b)]
        n = [x.shape[axis] for x in deviations]
        means = [x.mean(axis=axis) for x in deviations]
        grand = (n[0] * means[0] + n[1] * means[1]) / sum(n)
        between = sum(k * (m - grand) ** 2 for k, m in zip(n, means, strict=True))
        within = sum(x.var(axis=axis) * k for x, k in zip(deviations, n, strict=True))
        # Where all lie equally far from their median the statistic is infinite: keep it comparable.
        return np.asarray((sum(n) - 2) * between / np.maximum(within, np.finfo(float).tiny))

    result = stats.permutation_test(
        (np.asarray(first, float), np.asarray(second, float)),
        statistic,
        permutation_type="independent",
        alternative="greater",
        vectorized=True,
        n_resamples=10_000,
        rng=np.random.default_rng(seed),
    )
    if np.ptp(np.concatenate([first, second])) == 0:
        return float("nan"), float("nan")
    return float(result.statistic), float(result.pvalue)


def cohens_d(baseline: Numbers, challenger: Numbers) -> float:
    """Return the difference of the means over the pooled standard deviation (divisors n − 1).

    NaN if there are fewer than three runs in all or nothing varies.

    Notes
    -----
    Cohen 1988, Statistical Power Analysis for the Behavioral Sciences, equation 2.5.1.
    """
    a, b = np.asarray(baseline, float), np.asarray(challenger, float)
    free = len(a) + len(b) - 2
    if free < 1:
        return float("nan")
    pooled = (((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()) / free
    return float((a.mean() - b.mean()) / np.sqrt(pooled)) if pooled > 0 else float("nan")


def glass_delta(baseline: Numbers, challenger: Numbers) -> float:
    """Return the difference of the means over the baseline's standard deviation (divisor n − 1).

    NaN if the baseline has one run or does not vary.

    Notes
    -----
    Glass 1976, doi:10.3102/0013189X005010003.
    """
    a, b = np.asarray(baseline, float), np.asarray(challenger, float)
    deviation = a.std(ddof=1) if len(a) > 1 else 0.0
    return float((a.mean() - b.mean()) / deviation) if deviation > 0 else float("nan")


def holm(p_values: Numbers) -> np.ndarray:
    """Correct p-values for their number, float64 (N,) (Holm 1979, Scand. J. Stat. 6, 65-70)."""
    p = np.asarray(p_values, float)
    order = np.argsort(p)
    raised = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(raised, 1.0)
    return corrected


def bootstrap_mde(
    sums: np.ndarray,
    counts: np.ndarray,
    clusters: np.ndarray,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> np.ndarray:
    """Draw clusters of images with replacement and pool the MDE of each run anew.

    Parameters
    ----------
    sums, counts : float (R, I)
        Sum in metres and number of the distances of each run and image.
    clusters : integer (I,)
        To which cluster each image belongs, from 0: itself, or its glacier. A cluster comes as a
        whole.
    resamples : int
    seed : int
        The same seed draws the same clusters, so that runs given apart can be compared.

    Returns
    -------
    float64 (B, R)
        Pooled MDE in metres; NaN where the drawn images have no distance.

    Notes
    -----
    Efron 1979, doi:10.1214/aos/1176344552; clusters: Field and Welsh 2007,
    doi:10.1111/j.1467-9868.2007.00593.x.
    """
    number = int(clusters.max()) + 1
    members = np.zeros((len(clusters), number))
    members[np.arange(len(clusters)), clusters] = 1
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(number, np.full(number, 1 / number), size=resamples).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((weights @ (sums @ members).T) / (weights @ (counts @ members).T))
