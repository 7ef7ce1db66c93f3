"""Whether one set of runs is better than another, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Comparison:
    """Runs against reference runs by the Mann-Whitney U test (Mann and Whitney 1947).

    Attributes
    ----------
    u : float
        Pairs of a run and a reference run in which the run has the larger value; ties count ½.
    p : float
        Two-sided; exact for small samples without ties.
    effect : float
        Rank-biserial correlation, -1 to 1: the share of pairs in which the run has the smaller
        value less the share in which it has the larger. 1 says that every run is below every
        reference run.
    difference : float
        Mean of the runs less mean of the reference.
    """

    u: float
    p: float
    effect: float
    difference: float


def compare_runs(runs: Sequence[float], reference: Sequence[float]) -> Comparison | None:
    """Compare two samples of a score that is better when smaller.

    Values that are not finite (a run without any front) rank as the worst. None is returned where
    one of the samples is empty.

    Examples
    --------
    >>> compare_runs([1, 2, 3], [4, 5, 6]).effect
    1.0
    """
    if not len(runs) or not len(reference):
        return None
    a, b = (np.nan_to_num(np.asarray(v, float), nan=np.inf) for v in (runs, reference))
    test = stats.mannwhitneyu(a, b, alternative="two-sided")
    u = float(test.statistic)
    finite = [float(v[np.isfinite(v)].mean()) if np.isfinite(v).any() else np.nan for v in (a, b)]
    return Comparison(u, float(test.pvalue), 1 - 2 * u / (len(a) * len(b)), finite[0] - finite[1])
