"""The command that adapts a network to a glacier of a project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icefront.cli.options import echo, job


@job
def adapt(
    project: Annotated[
        Path, typer.Argument(metavar="PROJECT", help="Folder of a project.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(help="Checkpoint to write (.safetensors).", show_default=False)
    ],
    glacier: Annotated[
        str | None, typer.Option(help="Which one, where the project has several.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="What is adapted; default: the model of the project's newest run."),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            help="Labelled images in CaFFe's layout that are mixed in, so that the network does "
            "not forget; default: simulated scenes."
        ),
    ] = None,
    crops: Annotated[
        int | None, typer.Option(min=8, help="How many crops it learns from.", show_default="640")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same network.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a checkpoint of that name.")
    ] = False,
) -> None:
    """Adapt a network to a glacier by what all its dates agree on; no labels are needed."""
    from icefront.projects.adaptation import adapt_project
    from icefront.training.adaptation import AdaptationConfig

    values = {"seed": seed} | ({} if crops is None else {"crops": crops})
    report = adapt_project(
        project,
        out,
        glacier=glacier,
        model=model,
        replay=replay,
        config=AdaptationConfig.model_validate(values),
        overwrite=overwrite,
    )
    for note in report.notes:
        echo(note, err=True)
    echo(report.sentence())
    raise typer.Exit(0 if report.checkpoint is not None else 1)
