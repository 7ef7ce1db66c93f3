"""Is one model better than another? Tests, effect sizes and intervals from the MDEs of their runs.

A model is trained several times; each run has one mean distance error (MDE). Runs are given as
numbers, as a table of runs or as tables of images. Of the tables of images also follows how far the
result hangs on the choice of the images and of the glaciers.

Tables are CSV or Parquet.

Table of runs
    One row a run: ``mde_m``; ``model`` where the file is given without a name.
Table of images
    One row an image: ``image``, ``glacier``, ``distance_sum_m`` and ``distance_count`` (sum and
    number of all distances of the image, both ways; 0 and 0 without a front); ``run`` where a file
    has several runs, ``model`` where it is given without a name. Their MDE is the sum of the sums
    over the sum of the counts, as in `icefront.evaluation.pool_mde`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from scipy import stats

from icefront.errors import IcefrontError

Numbers: TypeAlias = Sequence[float] | np.ndarray

IMAGE_COLUMNS = ("image", "glacier", "distance_sum_m", "distance_count")
CONFIDENCE = 0.95
RESAMPLES = 10_000
FEW_GLACIERS = 5
"""With fewer clusters a bootstrap interval over them is only an indication."""


@dataclass(frozen=True)
class ModelRuns:
    """The runs of one model.

    Attributes
    ----------
    name : str
    mdes : float64 (R,)
        MDE of each run in metres.
    images : DataFrame or None
        One row per run and image, with the columns ``run`` and `IMAGE_COLUMNS`; None where only the
        MDEs are known.
    """

    name: str
    mdes: np.ndarray
    images: pd.DataFrame | None = None


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


def mann_whitney(baseline: Numbers, challenger: Numbers) -> tuple[float, float]:
    """One-sided Mann-Whitney U test of "the challenger's MDEs are smaller".

    Parameters
    ----------
    baseline, challenger : sequence of float
        MDEs of runs.

    Returns
    -------
    tuple of float
        U of the baseline and p. Exact: by the distribution of U without ties, by enumeration of all
        ways to share the runs (10,000 random ones if there are more) with ties; NaN if there are
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
    """Levene's test for unequal spread, its p-value by permutation of the runs.

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
        spread = [np.abs(x - np.median(x, axis=axis, keepdims=True)) for x in (a, b)]
        n = [x.shape[axis] for x in spread]
        means = [x.mean(axis=axis) for x in spread]
        grand = (n[0] * means[0] + n[1] * means[1]) / sum(n)
        between = sum(k * (m - grand) ** 2 for k, m in zip(n, means, strict=True))
        within = sum(x.var(axis=axis) * k for x, k in zip(spread, n, strict=True))
        # Where all lie equally far from their median the statistic is endless: keep it comparable.
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
    """Difference of the means over the pooled standard deviation (divisors n − 1).

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
    """Difference of the means over the standard deviation of the baseline (divisor n − 1).

    NaN if the baseline has one run or does not vary.

    Notes
    -----
    Glass 1976, doi:10.3102/0013189X005010003.
    """
    a, b = np.asarray(baseline, float), np.asarray(challenger, float)
    spread = a.std(ddof=1) if len(a) > 1 else 0.0
    return float((a.mean() - b.mean()) / spread) if spread > 0 else float("nan")


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
    tests = [mann_whitney(a.mdes, b.mdes) for a, b in pairs]
    corrected = holm([p for _, p in tests])
    results = []
    for (a, b), (u, p), p_holm in zip(pairs, tests, corrected, strict=True):
        levene, levene_p = levene_permutation(a.mdes, b.mdes, seed)
        intervals = {}
        for level, of_model in draws.items():
            if a.name in of_model and b.name in of_model:
                intervals[level] = _interval(of_model[a.name] - of_model[b.name])
        results.append(
            PairResult(
                baseline=a.name,
                challenger=b.name,
                difference_m=float(a.mdes.mean() - b.mdes.mean()),
                u=u,
                p=p,
                p_holm=float(p_holm),
                superiority=u / (len(a.mdes) * len(b.mdes)),
                levene=levene,
                levene_p=levene_p,
                cohens_d=cohens_d(a.mdes, b.mdes),
                glass_delta=glass_delta(a.mdes, b.mdes),
                **intervals,
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
    if len(names) < FEW_GLACIERS:
        notes.append(
            f"The intervals over glaciers rest on {len(names)} glacier{'s' * (len(names) != 1)} "
            f"({', '.join(map(str, names))}): with fewer than {FEW_GLACIERS} they only indicate "
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


def read_runs(asked: Sequence[str]) -> list[ModelRuns]:
    """Read runs as they are named on the command line.

    Parameters
    ----------
    asked : sequence of str
        ``NAME=ITEM,ITEM,...``, where an item is an MDE in metres or a table; or a table alone,
        which then names its models in a column ``model``. A name may come several times.

    Returns
    -------
    list of ModelRuns
        In the order in which the names first come.

    Raises
    ------
    IcefrontError
        If an item is neither a number nor a table, a table lacks a column or holds values that
        cannot be, or a model has runs with and without images.
    """
    numbers: dict[str, list[float]] = {}
    tables: dict[str, list[pd.DataFrame]] = {}
    for text in asked:
        name, sign, items = text.partition("=")
        if not sign or Path(text).exists():
            _take_table(text, None, numbers, tables)
            continue
        name = name.strip()
        if not name:
            raise IcefrontError(f"The runs {text!r} have no name: write NAME=356.3,338.4 or so.")
        numbers.setdefault(name, [])
        tables.setdefault(name, [])
        for item in filter(None, (part.strip() for part in items.split(","))):
            try:
                value = float(item)
            except ValueError:
                _take_table(item, name, numbers, tables)
                continue
            if not (np.isfinite(value) and value >= 0):
                raise IcefrontError(f"The run {item} of {name!r} is no distance in metres.")
            numbers[name].append(value)
    models = []
    for name, mdes in numbers.items():
        if tables[name] and mdes:
            raise IcefrontError(
                f"The model {name!r} has runs with images and runs without: give it one kind, or "
                "two names."
            )
        if tables[name]:
            models.append(_with_images(name, tables[name]))
        elif mdes:
            models.append(ModelRuns(name, np.array(mdes)))
        else:
            raise IcefrontError(f"The model {name!r} has no runs: write {name}=356.3,338.4 or so.")
    return models


def _with_images(name: str, runs: list[pd.DataFrame]) -> ModelRuns:
    images = pd.concat(
        [run.assign(run=number) for number, run in enumerate(runs)], ignore_index=True
    )
    totals = images.groupby("run")[["distance_sum_m", "distance_count"]].sum()
    empty = totals["distance_count"].eq(0)
    if empty.any():
        raise IcefrontError(
            f"Run {int(empty.idxmax()) + 1} of {name!r} has no front in any image, so no MDE: "
            "leave it out, and say so."
        )
    mdes = (totals["distance_sum_m"] / totals["distance_count"]).to_numpy(float)
    return ModelRuns(name, mdes, images)


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet table.

    Raises
    ------
    IcefrontError
        If it is missing, of another kind, damaged or empty.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise IcefrontError(
            f"{path} is neither a number nor a table: give MDEs in metres, or .csv or .parquet."
        )
    if not path.is_file():
        raise IcefrontError(f"The table {path} does not exist.")
    try:
        table = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise IcefrontError(f"The table {path} is damaged ({reason}).") from None
    if table.empty:
        raise IcefrontError(f"The table {path} has no rows.")
    return table


def _take_table(
    text: str,
    name: str | None,
    numbers: dict[str, list[float]],
    tables: dict[str, list[pd.DataFrame]],
) -> None:
    """Sort the rows of a table into runs of models."""
    path = Path(text)
    table = read_table(path)
    if name is None and "model" not in table:
        raise IcefrontError(f"{path} has no column model: write NAME={path} to name its model.")
    if name is not None:
        groups = [(name, table)]
    else:
        groups = [(str(key), rows) for key, rows in table.groupby("model", sort=False)]
    of_images = set(IMAGE_COLUMNS) <= set(table)
    if not of_images and "mde_m" not in table:
        raise IcefrontError(
            f"{path} has neither the column mde_m (a row a run) nor {', '.join(IMAGE_COLUMNS)} "
            "(a row an image)."
        )
    for model, rows in groups:
        numbers.setdefault(model, [])
        tables.setdefault(model, [])
        if of_images:
            runs = rows.groupby("run", sort=False) if "run" in rows else [(None, rows)]
            tables[model] += [_checked_images(run, path) for _, run in runs]
        else:
            values = pd.to_numeric(rows["mde_m"], errors="coerce")
            if not (np.isfinite(values) & (values >= 0)).all():
                raise IcefrontError(f"{path} has a value in mde_m that is no distance in metres.")
            numbers[model] += values.tolist()


def _checked_images(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    rows = rows[list(IMAGE_COLUMNS)].copy()
    rows["image"] = rows["image"].astype(str)
    twice = rows["image"].duplicated()
    if twice.any():
        raise IcefrontError(
            f"{path} has the image {rows['image'][twice].iloc[0]} twice in one run: name the runs "
            "in a column run."
        )
    for column in ("distance_sum_m", "distance_count"):
        rows[column] = pd.to_numeric(rows[column], errors="coerce")
    sums, counts = rows["distance_sum_m"].fillna(0.0), rows["distance_count"]
    odd = ~(np.isfinite(counts) & (counts >= 0) & np.isfinite(sums) & (sums >= 0))
    odd |= (counts == 0) & (sums > 0)
    if odd.any():
        raise IcefrontError(
            f"{path} has a sum or number of distances that cannot be, at the image "
            f"{rows['image'][odd].iloc[0]}."
        )
    return rows.assign(distance_sum_m=sums)
