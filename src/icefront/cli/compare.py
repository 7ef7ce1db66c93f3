"""The command that asks whether one model is better than another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icefront.cli.options import Overwrite, job


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
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from icefront.evaluation.comparison_report import (
        model_rows,
        pair_rows,
        sentences,
        write_comparison,
    )
    from icefront.evaluation.published import PUBLISHED_RUNS
    from icefront.evaluation.significance import compare as run
    from icefront.evaluation.significance import read_runs
    from icefront.files.atomic import check_folder, explained_writing, staging

    if out is not None:
        check_folder(out, overwrite=overwrite)
    asked = []
    if published:
        asked = [f"{name}={','.join(map(str, mdes))}" for name, mdes in PUBLISHED_RUNS.items()]
    result = run(
        read_runs([*asked, *(runs or [])]), baseline=baseline, resamples=resamples, seed=seed
    )
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=180)
    for title, (head, rows) in (("Models", model_rows(result)), ("Pairs", pair_rows(result))):
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for number, name in enumerate(head):
            table.add_column(name, justify="left" if number == 0 else "right")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for text in (*sentences(result), *result.notes):
        typer.echo(text)
    if out is not None:
        with staging(out) as unfinished, explained_writing(out):
            names = write_comparison(result, unfinished)
        typer.echo(f"{', '.join(names)} are in {out}")
