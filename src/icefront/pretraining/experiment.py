"""Does pretraining help? One command that pretrains, fine-tunes, tests and compares.

Every run has a folder of its own and is left alone once its result is there, so that the experiment
goes on where it was stopped. Runs are counted in crops, never in minutes: on machines of one kind
the same configuration gives the same table.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import pandas as pd
import yaml
from pydantic import Field, model_validator

from icefront import __version__
from icefront.errors import IcefrontError
from icefront.evaluation.comparison import compare_pair
from icefront.evaluation.run_tables import ModelRuns
from icefront.files.atomic import writing
from icefront.pretraining.config import PretrainingConfig
from icefront.pretraining.run import pretrain
from icefront.recipes import KeysOf, Strict, under_new_names, validated
from icefront.reporting.tables import (
    Table,
    json_values,
    number_text,
    percent_text,
    write_csv,
)
from icefront.simulation.archives import simulate_ssl4sar
from icefront.training.config import RunConfig, TrainingConfig
from icefront.training.loop import RECIPE, RESULT
from icefront.training.run import train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger("icefront.experiment")


class ArchiveConfig(Strict):
    """The unlabelled images: an archive that is there, or one that is simulated first.

    Attributes
    ----------
    root : str or None
        Folder of an archive; null simulates one in the folder of the experiment.
    images : int
        Of each of the fourteen simulated glaciers.
    coarser : float
        Pixel size of the simulated images over that of Sentinel-1.
    seed : int
        Of the simulation.
    """

    root: str | None = None
    images: int = Field(12, gt=0)
    coarser: float = Field(3.0, ge=1)
    seed: int = 0


class StartConfig(Strict):
    """What fine-tuning starts from.

    Attributes
    ----------
    init : str or None
        As in training; for a start with pretraining, what that one starts from.
    pretraining : dict or None
        Keys of a pretraining recipe, beside those that all have; null for none.
    """

    init: str | None = None
    pretraining: Annotated[dict[str, Any] | None, KeysOf(PretrainingConfig)] = None


class ExperimentConfig(Strict):
    """The experiment.

    Attributes
    ----------
    name, out : str
        The folder is OUT/NAME.
    archive : ArchiveConfig
    pretraining, training : dict
        What all pretraining runs and all training runs share: keys of their recipes.
    starts : dict of StartConfig
        By name, in the order of the table.
    references : list of str
        Starts that the others are compared with.
    fractions : list of float
        Fractions of the labels that are trained on. (0.1.0: ``shares``)
    seeds : list of int
        Of fine-tuning: which labels, which crops, which random parameters. Pretraining has one.
    """

    renamed_keys: ClassVar[Mapping[str, str]] = {
        "shares": "fractions",
    }

    name: str = Field(pattern=r"^[\w.-]+$")
    out: str = "runs"
    archive: ArchiveConfig = ArchiveConfig()  # type: ignore[call-arg]
    pretraining: Annotated[dict[str, Any], KeysOf(PretrainingConfig)] = Field({})
    training: Annotated[dict[str, Any], KeysOf(TrainingConfig)]
    starts: dict[str, StartConfig]
    references: list[str]
    fractions: list[float] = Field([1.0], min_length=1)
    seeds: list[int] = Field([0, 1, 2, 3, 4], min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> ExperimentConfig:
        if unknown := [name for name in self.references if name not in self.starts]:
            raise ValueError(f"there is no start {unknown[0]!r} to compare with")
        if self.training.get("minutes") is not None:
            raise ValueError("training.minutes: runs by minutes differ from each other; use epochs")
        return self


def _merged(common: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Lay one tree of keys over another."""
    out = dict(common)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = _merged(out[key], value) if both else value
    return out


def pretraining_recipe(config: ExperimentConfig, start: str, root: Path) -> PretrainingConfig:
    """Compose the recipe by which a start is pretrained."""
    chosen = config.starts[start]
    values = _merged(
        under_new_names(config.pretraining, PretrainingConfig),
        under_new_names(chosen.pretraining or {}, PretrainingConfig),
    )
    values |= {"name": start, "init": chosen.init, "out": str(_folder(config) / "pretraining")}
    values["data"] = {**values.get("data", {}), "root": str(root)}
    return validated(values, PretrainingConfig, f"the start {start}")


def training_recipe(
    config: ExperimentConfig, start: str, fraction: float, seed: int, init: str | None
) -> TrainingConfig:
    """Compose the recipe of one fine-tuning run."""
    own = {
        "name": f"{start}-{fraction:g}-{seed}",
        "out": str(_folder(config) / "training"),
        "init": init,
        "seed": seed,
        "data": {"train_fraction": fraction},
    }
    values = _merged(under_new_names(config.training, TrainingConfig), own)
    return validated({**values, "minutes": None}, TrainingConfig, "training")


def _folder(config: ExperimentConfig) -> Path:
    return Path(config.out) / config.name


def _finished(recipe: RunConfig) -> dict[str, Any] | None:
    """Result of a run that ended, None for one that has to be run or resumed.

    Raises
    ------
    IcefrontError
        If the folder holds a run of another recipe.
    """
    out = recipe.folder
    try:
        stored = yaml.safe_load((out / RECIPE).read_text())
    except (OSError, yaml.YAMLError):
        return None
    if not isinstance(stored, dict):
        return None
    try:
        same = validated(stored, type(recipe), str(out / RECIPE)) == recipe
    except IcefrontError:
        same = False
    if not same:
        raise IcefrontError(
            f"{out} holds a run by another recipe; give the experiment another name, or delete "
            "that folder."
        )
    try:
        return json.loads((out / RESULT).read_text())
    except (OSError, ValueError):
        return None


def run_experiment(config: ExperimentConfig, *, progress: bool = True) -> dict[str, Any]:
    """Run all that is not there yet, and write the report.

    Parameters
    ----------
    config : ExperimentConfig
    progress : bool
        Show bars.

    Returns
    -------
    dict
        ``runs`` (a dict for each fine-tuning run), ``pretraining`` (results by start), ``summary``
        (a dict for each start and fraction), ``warnings``, ``folder``. The folder receives them as
        ``report.json``, and ``runs.csv``, ``table.md`` and ``figure.png``.

    Raises
    ------
    IcefrontError
        If the configuration, the data or a folder is not in order.
    """
    folder = _folder(config)
    archive = config.archive
    root = Path(archive.root) if archive.root is not None else folder / "archive"
    # All recipes are composed before anything runs: a mistake in the last one would cost hours.
    recipes = {
        name: pretraining_recipe(config, name, root)
        for name, start in config.starts.items()
        if start.pretraining is not None
    }
    for name in config.starts:
        training_recipe(config, name, config.fractions[0], config.seeds[0], None)
    if archive.root is None:
        simulate_ssl4sar(
            root,
            seed=archive.seed,
            images=archive.images,
            coarser=archive.coarser,
            progress=progress,
        )
    inits = {name: start.init for name, start in config.starts.items()}
    pretrained: dict[str, Any] = {}
    for name, recipe in recipes.items():
        pretrained[name] = _finished(recipe) or _run(pretrain, recipe, progress)
        inits[name] = str(recipe.folder / "best.safetensors")

    runs = []
    # Seeds are the outer loop: after a part of the time every start has runs to compare.
    for seed in config.seeds:
        for fraction in config.fractions:
            for name, init in inits.items():
                tuning = training_recipe(config, name, fraction, seed, init)
                result = _finished(tuning) or _run(train, tuning, progress)
                runs.append(_row(name, fraction, seed, result))
                report(config, runs, pretrained)
    return report(config, runs, pretrained)


def _run(run: Callable[..., dict[str, Any]], recipe: RunConfig, progress: bool) -> dict[str, Any]:
    """Run a recipe, or go on where its run was stopped."""
    log.info("%s", recipe.name)
    return run(recipe, resume=(recipe.folder / RECIPE).is_file(), progress=progress)


def _row(start: str, fraction: float, seed: int, result: dict[str, Any]) -> dict[str, Any]:
    if "test" not in result:
        raise IcefrontError(
            f"The run {result['folder']} was not tested; set training.data.test_glaciers or "
            "training.data.test_split."
        )
    pooled = result["test"]["pooled"]
    return {
        "start": start,
        "fraction": fraction,
        "seed": seed,
        **{k: pooled[k] for k in ("mde", "mde_from_zones", "mean_iou", "images", "without_front")},
        "crops": result["crops"],
        "minutes": result["minutes"],
        "warnings": result.get("warnings", []),
    }


# report -------------------------------------------------------------------------------------------


def summarise_runs(
    runs: Iterable[dict[str, Any]], starts: Sequence[str], references: Sequence[str]
) -> list[dict[str, Any]]:
    """Gather runs by fraction and start, and compare each start with the references.

    Returns
    -------
    list of dict
        ``fraction``, ``start``, ``mde`` (of each run, by seed), their ``mean`` and ``std``,
        ``mean_iou``, ``without_front`` (fraction of the images) and ``against``: from each
        reference to what `compare_runs` returns.
    """
    rows = sorted(runs, key=lambda r: (r["fraction"], starts.index(r["start"]), r["seed"]))
    groups: dict[tuple[float, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["fraction"], row["start"]), []).append(row)

    def errors(fraction: float, start: str) -> list[float]:
        return [_number(r["mde"]) for r in groups.get((fraction, start), [])]

    found = []
    for (fraction, start), members in groups.items():
        values = errors(fraction, start)
        against: dict[str, dict[str, float]] = {}
        for reference in references:
            if reference != start and (theirs := errors(fraction, reference)):
                against[reference] = compare_runs(theirs, values)
        images = sum(r["images"] for r in members)
        found.append(
            {
                "fraction": fraction,
                "start": start,
                "mde": values,
                "mean": float(np.mean(values)),
                "std": float(np.std(values, ddof=1)) if len(values) > 1 else math.nan,
                "mean_iou": float(np.mean([r["mean_iou"] for r in members])),
                "without_front": sum(r["without_front"] for r in members) / max(images, 1),
                "against": against,
            }
        )
    return found


def compare_runs(reference: Sequence[float], runs: Sequence[float]) -> dict[str, float]:
    """Test whether the MDEs of runs are smaller than those of a reference.

    A run without any front (NaN) ranks as the worst.

    Returns
    -------
    dict
        ``u`` and ``p`` of `icefront.evaluation.comparison.compare_pair` (one-sided);
        ``effect``, the rank-biserial correlation from -1 to 1, where 1 says that every run is
        better than every one of the reference.

    Examples
    --------
    >>> compare_runs([4, 5, 6], [1, 2, 3])["effect"]
    1.0
    """
    a, b = (np.asarray(v, float) for v in (reference, runs))
    pair = compare_pair(ModelRuns("reference", a), ModelRuns("runs", b))
    return {
        "u": pair.u,
        "p": pair.p,
        "effect": 2 * pair.superiority - 1,
        "d": pair.cohens_d,
        "difference": -pair.difference_m,
    }


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def table(summary: Sequence[dict[str, Any]], references: Sequence[str]) -> str:
    """Write the summary as a Markdown table."""
    heads = ["labels", "start", "MDE of each run", "MDE", "mean IoU", "without front"]
    heads += [f"against {name}: Δ, p, effect" for name in references]
    rows = []
    for row in summary:
        cells = [
            percent_text(row["fraction"]),
            row["start"],
            " ".join(number_text(v, 2) for v in row["mde"]),
            f"{number_text(row['mean'], 2)} ± {number_text(row['std'], 2)}",
            number_text(row["mean_iou"], 3),
            percent_text(row["without_front"], 1),
        ]
        for name in references:
            c = row["against"].get(name, {})
            values = [
                number_text(c.get("difference"), 2, sign=True),
                number_text(c.get("p"), 3),
                number_text(c.get("effect"), 2, sign=True),
            ]
            cells.append(", ".join(values) if c else "")
        rows.append(cells)
    return Table(heads, rows, numbers=range(2, len(heads))).markdown() + "\n"


def figure(summary: Sequence[dict[str, Any]], unit: str) -> Figure:
    """Draw every run as a dot and the means as bars, a panel for each fraction of the labels."""
    from matplotlib.figure import Figure

    fractions = sorted({row["fraction"] for row in summary})
    drawn = Figure(figsize=(1 + 3.6 * len(fractions), 4), layout="constrained")
    axes = drawn.subplots(1, len(fractions), sharey=True, squeeze=False)[0]
    for axis, fraction in zip(axes, fractions, strict=True):
        rows = [row for row in summary if row["fraction"] == fraction]
        for place, row in enumerate(rows):
            offsets = np.linspace(-0.12, 0.12, len(row["mde"])) if len(row["mde"]) > 1 else [0.0]
            axis.plot(place + np.asarray(offsets), row["mde"], "o", ms=5, alpha=0.8)
            axis.hlines(row["mean"], place - 0.28, place + 0.28, colors="black")
        axis.set_xticks(range(len(rows)), [row["start"] for row in rows], rotation=30, ha="right")
        axis.set_title(f"{fraction:.0%} of the labels", fontsize=10)
        axis.grid(axis="y", alpha=0.3)
    axes[0].set_ylabel(f"mean distance error ({unit})")
    return drawn


def report(
    config: ExperimentConfig, runs: list[dict[str, Any]], pretrained: dict[str, Any]
) -> dict[str, Any]:
    """Write the runs so far into the folder of the experiment, and return them with a summary."""
    folder = _folder(config)
    summary = summarise_runs(runs, list(config.starts), config.references)
    warned = sorted({w for r in (*pretrained.values(), *runs) for w in r.get("warnings", [])})
    found = {
        "icefront": __version__,
        "folder": str(folder),
        "config": config.model_dump(mode="json"),
        "warnings": warned,
        "pretraining": pretrained,
        "runs": runs,
        "summary": summary,
    }
    in_pixels = config.training.get("data", {}).get("pixel_size_m", "name") is None
    unit = "pixels" if in_pixels else "m"
    text = "".join(f"**{warning}**\n\n" for warning in warned)
    text += table(summary, config.references)
    text += (
        f"\nMDE in {unit}: all runs by seed, mean ± standard deviation. Δ: difference of the means;"
        "\np: Mann-Whitney U, one-sided; effect: rank-biserial correlation, 1 where every run is "
        "better.\n"
    )
    with writing(folder / "report.json") as part:
        part.write_text(json.dumps(json_values(found), indent=1) + "\n")
    with writing(folder / "table.md") as part:
        part.write_text(text)
    with writing(folder / "runs.csv") as part:
        write_csv(pd.DataFrame(runs).drop(columns="warnings"), part)
    with writing(folder / "figure.png") as part:
        figure(summary, unit).savefig(part, dpi=120)
    return found
