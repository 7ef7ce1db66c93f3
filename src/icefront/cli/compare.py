"""The command that asks whether one model is better than another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icefront.cli.options import Overwrite, echo, job


@job
def compare(
    runs: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=ITEM,...",
            help="A model and its runs: MDEs in metres, or CSV or Parquet tables; "
            "or a table with a column model. Earlier ones are baselines of later ones.",
        ),
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Put the published runs on CaFFe before them.")
    ] = False,
    baseline: Annotated[
        str | None, typer.Option(help="Compare only with this model, which is the baseline.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for tables (Markdown, CSV, JSON) and a figure.")
    ] = None,
    resamples: Annotated[int, typer.Option(help="Of the bootstrap.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Say whether models differ: tests, effect sizes and intervals from their runs."""
    from icefront.evaluation.comparison import compare as run
    from icefront.evaluation.comparison_report import (
        model_table,
        pair_table,
        sentences,
        write_comparison,
    )
    from icefront.evaluation.published import PUBLISHED_RUNS
    from icefront.evaluation.run_tables import read_runs
    from icefront.files.atomic import check_folder, staging
    from icefront.reporting.tables import print_table

    if out is not None:
        check_folder(out, overwrite=overwrite)
    asked = []
    if published:
        asked = [f"{name}={','.join(map(str, mdes))}" for name, mdes in PUBLISHED_RUNS.items()]
    result = run(
        read_runs([*asked, *(runs or [])]), baseline=baseline, resamples=resamples, seed=seed
    )
    for table in (model_table(result), pair_table(result)):
        print_table(table, width=180)
    for text in (*sentences(result), *result.notes):
        echo(text)
    if out is not None:
        with staging(out) as unfinished:
            names = write_comparison(result, unfinished)
        echo(f"{', '.join(names)} are in {out}")
