"""Tests, effect sizes and intervals against published numbers, other libraries and simple cases."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

from icefront.cli import app
from icefront.errors import IcefrontError
from icefront.evaluation import pool_mde
from icefront.evaluation.comparison import compare
from icefront.evaluation.published import PUBLISHED_RUNS
from icefront.evaluation.run_tables import ModelRuns, read_runs
from icefront.evaluation.significance import (
    bootstrap_mde,
    cohens_d,
    glass_delta,
    holm,
    levene_permutation,
    mann_whitney,
)

HOOK, TYRION, SIM, TRANSLATOR = PUBLISHED_RUNS.values()


@pytest.mark.parametrize(
    ("baseline", "challenger", "u", "p"),
    [
        (HOOK, TYRION, 18, 0.155),
        (TYRION, TRANSLATOR, 20, 0.075),
        (TYRION, SIM, 20, 0.075),
        (SIM, TRANSLATOR, 15, 0.345),
    ],
)
def test_the_published_comparison_comes_out(baseline, challenger, u, p):
    found_u, found_p = mann_whitney(baseline, challenger)
    assert found_u == u
    assert round(found_p, 3) == p


def test_ties_are_counted_half_and_the_p_value_is_by_enumeration():
    first, second = [3.0, 4.0, 5.0], [1.0, 3.0, 4.0]
    u, p = mann_whitney(first, second)

    def count(a, b):
        return sum((x > y) + 0.5 * (x == y) for x in a for y in b)

    pooled = first + second
    every = []
    for chosen in combinations(range(6), 3):
        rest = [pooled[i] for i in range(6) if i not in chosen]
        every.append(count([pooled[i] for i in chosen], rest))
    assert u == count(first, second)
    assert p == pytest.approx(np.mean(np.array(every) >= u))


def test_levene_is_that_of_scipy_with_the_p_value_of_all_252_splits():
    statistic, p = levene_permutation(HOOK, TRANSLATOR)
    assert statistic == pytest.approx(stats.levene(HOOK, TRANSLATOR).statistic)
    pooled = np.array(HOOK + TRANSLATOR)
    every = []
    for chosen in combinations(range(10), 5):
        mask = np.isin(np.arange(10), chosen)
        every.append(stats.levene(pooled[mask], pooled[~mask]).statistic)
    assert p == pytest.approx(np.mean(np.array(every) >= statistic - 1e-9))
    assert np.isnan(levene_permutation([1.0, 4.0], [2.0, 3.0, 9.0])).all()
    assert np.isnan(levene_permutation([1.0] * 3, [1.0] * 3)).all()


def test_effect_sizes_are_what_their_names_say():
    a, b = [10.0, 12.0, 14.0], [4.0, 8.0, 12.0]
    assert cohens_d(a, b) == pytest.approx(4 / np.sqrt((8 + 32) / 4))
    assert glass_delta(a, b) == pytest.approx(4 / 2)
    assert np.isnan(glass_delta([10.0], b))
    assert np.isnan(cohens_d([1.0, 1.0], [2.0, 2.0]))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 100))
def test_tests_do_not_depend_on_the_unit(seed, factor):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(300, 40, 5), rng.normal(280, 60, 5)
    assert mann_whitney(a * factor, b * factor) == mann_whitney(a, b)
    assert cohens_d(a * factor, b * factor) == pytest.approx(cohens_d(a, b))


def images_of(seed: int, level: float, glaciers: dict[str, int], runs: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for run in range(runs):
        for glacier, number in glaciers.items():
            for i in range(number):
                count = int(rng.integers(100, 400))
                mean = level * rng.gamma(2, 0.5)
                rows.append((run, f"{glacier}_{i}", glacier, mean * count, count))
    return pd.DataFrame(
        rows, columns=["run", "image", "glacier", "distance_sum_m", "distance_count"]
    )


def test_the_bootstrap_over_images_has_the_known_spread():
    rng = np.random.default_rng(1)
    values = rng.normal(300, 50, 200)
    drawn = bootstrap_mde(values[None] * 10, np.full((1, 200), 10.0), np.arange(200))
    assert drawn.shape == (10_000, 1)
    assert drawn.mean() == pytest.approx(values.mean(), rel=0.005)
    assert drawn.std() == pytest.approx(values.std() / np.sqrt(200), rel=0.05)


def test_clusters_come_as_a_whole():
    sums = np.array([[100.0, 100.0, 900.0, 900.0]])
    drawn = bootstrap_mde(sums, np.ones((1, 4)), np.array([0, 0, 1, 1]), resamples=2000)
    # Two clusters: both, or one of them twice.
    values, times = np.unique(drawn, return_counts=True)
    assert values.tolist() == [100, 500, 900]
    assert times / 2000 == pytest.approx([0.25, 0.5, 0.25], abs=0.04)


def test_nine_of_ten_intervals_over_images_hold_the_true_difference():
    held = 0
    for seed in range(60):
        tables = [images_of(seed + k * 1000, level, {"A": 40}) for k, level in ((1, 300), (2, 200))]
        models = []
        for name, table in zip(("a", "b"), tables, strict=True):
            totals = table.groupby("run")[["distance_sum_m", "distance_count"]].sum()
            mdes = (totals["distance_sum_m"] / totals["distance_count"]).to_numpy()
            models.append(ModelRuns(name, mdes, table))
        interval = compare(models, resamples=400).pairs[0].over_images
        held += interval.low <= 100 <= interval.high
    assert 52 <= held <= 60


def test_a_table_of_images_has_the_mde_of_the_protocol(tmp_path: Path):
    rng = np.random.default_rng(0)
    distances = [rng.gamma(2, 50, n) for n in (30, 200, 0, 7)]
    table = pd.DataFrame(
        {
            "image": list("abcd"),
            "glacier": ["G", "G", "H", "H"],
            "distance_sum_m": [d.sum() for d in distances],
            "distance_count": [d.size for d in distances],
        }
    )
    table.to_csv(tmp_path / "run.csv", index=False)
    (model,) = read_runs([f"m={tmp_path / 'run.csv'}"])
    pooled = pool_mde(distances)
    assert model.mdes == pytest.approx([pooled.mde])
    other = ModelRuns("other", np.array([500.0]), model.images)
    summary = compare([model, other], resamples=200).models[0]
    assert summary.without_front == pooled.images_without_front == 1
    assert summary.over_images.low < pooled.mde < summary.over_images.high


def test_tables_name_their_models_and_runs(tmp_path: Path):
    table = pd.concat(
        [images_of(0, 300, {"A": 5, "B": 4}).assign(model="x"),
         images_of(1, 200, {"A": 5, "B": 3}).assign(model="y")]
    )  # fmt: skip
    table.to_csv(tmp_path / "all.csv", index=False)
    pd.DataFrame({"mde_m": [1.0, 2.0]}).to_csv(tmp_path / "runs.csv", index=False)
    models = read_runs([str(tmp_path / "all.csv"), f"z=7,{tmp_path / 'runs.csv'},8.5"])
    assert [(m.name, len(m.mdes), m.images is None) for m in models] == [
        ("x", 2, False),
        ("y", 2, False),
        ("z", 4, True),
    ]
    assert models[2].mdes.tolist() == [7.0, 1.0, 2.0, 8.5]
    result = compare(models, resamples=200)
    assert any("8 images that all runs share; 1 others" in note for note in result.notes)
    assert any("2 glaciers (A, B)" in note for note in result.notes)
    assert [pair.over_images is None for pair in result.pairs] == [False, True, True]


def test_the_baseline_is_asked_for_or_the_earlier_one():
    models = [ModelRuns(n, np.array(v)) for n, v in (("a", HOOK), ("b", SIM), ("c", TRANSLATOR))]
    pairs = [(p.baseline, p.challenger) for p in compare(models).pairs]
    assert pairs == [("a", "b"), ("a", "c"), ("b", "c")]
    chosen = compare(models, baseline="c").pairs
    assert [(p.baseline, p.challenger) for p in chosen] == [("c", "a"), ("c", "b")]
    assert chosen[0].difference_m == pytest.approx(np.mean(TRANSLATOR) - np.mean(HOOK))


def test_too_few_runs_are_said():
    result = compare([ModelRuns("a", np.array([3.0, 4, 5])), ModelRuns("b", np.array([1.0, 2]))])
    assert result.pairs[0].p == pytest.approx(0.1)
    assert "p cannot fall below 0.10" in result.notes[0]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["a=1,2"], "name at least two"),
        (["a=1,2", "=3"], "have no name"),
        (["a=1,2", "b="], "has no runs"),
        (["a=1,2", "b=nan"], "no distance in metres"),
        (["a=1,2", "b=-4"], "no distance in metres"),
        (["a=1,2", "b=x.txt"], "neither a number nor a table"),
        (["a=1,2", "b=gone.csv"], "does not exist"),
        (["a=1,2", "b=odd.csv"], "neither the column mde_m"),
        (["a=1,2", "odd.csv"], "no column model"),
        (["a=1,2", "b=empty.csv"], "damaged"),
        (["a=1,2", "b=twice.csv"], "twice in one run"),
        (["a=1,2", "b=broken.parquet"], "broken.parquet"),
        (["a=1,2", "b=images.csv,5"], "one kind"),
        (["a=1,2", "b=no_front.csv"], "no front in any image"),
        (["a=1,2", "b=minus.csv"], "cannot be"),
    ],
)
def test_mistakes_are_one_sentence(asked, words, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = images_of(0, 300, {"A": 2}, runs=1).drop(columns="run")
    table.to_csv("images.csv", index=False)
    pd.concat([table, table]).to_csv("twice.csv", index=False)
    table.assign(distance_sum_m=0, distance_count=0).to_csv("no_front.csv", index=False)
    table.assign(distance_count=-1).to_csv("minus.csv", index=False)
    Path("odd.csv").write_text("a,b\n1,2\n")
    Path("empty.csv").write_text("")
    Path("broken.parquet").write_bytes(b"no")
    arguments = [word for text in asked for word in ("--runs", text)]
    result = CliRunner().invoke(app, ["compare", *arguments, "--out", "out"])
    assert result.exit_code == 2
    assert words in result.output
    assert not Path("out").exists()
    assert result.output.strip().count("\n") == 0


def test_unknown_baseline_and_two_of_a_name():
    model = ModelRuns("a", np.array([1.0, 2.0]))
    with pytest.raises(IcefrontError, match="Two models are named 'a'"):
        compare([model, model])
    with pytest.raises(IcefrontError, match="no model 'x'"):
        compare([model, ModelRuns("b", np.array([1.0]))], baseline="x")


def test_the_command_writes_what_it_prints(tmp_path: Path):
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["compare", "--published", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in out.iterdir()) == [
        "comparison.json",
        "comparison.md",
        "comparison.png",
        "models.csv",
        "pairs.csv",
    ]
    record = json.loads((out / "comparison.json").read_text())
    found = {(p["baseline"], p["challenger"]): (p["u"], round(p["p"], 3)) for p in record["pairs"]}
    assert found["HookFormer", "Tyrion, ImageNet"] == (18, 0.155)
    assert found["Tyrion + OptSimMIM", "Tyrion + OptTranslator"] == (15, 0.345)
    table = pd.read_csv(out / "pairs.csv")
    assert len(table) == 6
    text = (out / "comparison.md").read_text()
    assert "| HookFormer → Tyrion, ImageNet | 18.2 | 18 | 0.155 |" in text
    assert "not significant at 5 % (U = 15, one-sided p = 0.345)" in result.output
    again = CliRunner().invoke(app, ["compare", "--published", "--out", str(out)])
    assert again.exit_code == 2
    assert "not empty" in again.output


def test_single_runs_that_tie_have_no_p_value() -> None:
    u, p = mann_whitney([300.0], [300.0])
    assert u == 0.5
    assert np.isnan(p)
