"""The runs of models, read from numbers and from tables of runs or of images.

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

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from icefront.errors import IcefrontError

IMAGE_COLUMNS = ("image", "glacier", "distance_sum_m", "distance_count")


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
            "leave it out, and state that."
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
