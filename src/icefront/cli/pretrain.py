"""The command that learns from unlabelled archives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icefront.cli.options import echo, job, tell_log


@job
def pretrain(
    config: Annotated[Path, typer.Option(help="The recipe, a YAML file.", show_default=False)],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrule a value.")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="GLACIER", help="Leave a glacier out; may be given several times."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start such a run anew.")] = False,
) -> None:
    """Pretrain a model on radar series with one optical image each, without labels."""
    from icefront.pretraining.run import pretrain as run

    tell_log()
    result = run(config, set_, resume=resume, overwrite=overwrite, exclude=exclude or ())
    echo(
        f"{result['best']}: validation loss {result['best_loss']:.4f} after {result['epochs']} "
        "epochs"
    )
