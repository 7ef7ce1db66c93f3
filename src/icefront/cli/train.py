"""Commands that make models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icefront.cli.options import echo, job, tell_log


@job
def train(
    config: Annotated[Path, typer.Option(help="The recipe, a YAML file.", show_default=False)],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrule a value.")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            help="Start from this checkpoint: of one of 'icefront pretrain' encoder and decoder "
            "are taken over. The same as --set init=...",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start such a run anew.")] = False,
) -> None:
    """Train a model from a recipe."""
    from icefront.training.run import train as run

    tell_log()
    overrides = [*(set_ or []), *([] if init is None else [f"init={init}"])]
    run(config, overrides, resume=resume, overwrite=overwrite)


@job
def train_head(
    config: Annotated[Path, typer.Option(help="The recipe, a YAML file.", show_default=False)],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrule a value.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Take what such a run found at the boundaries.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start such a run anew.")] = False,
) -> None:
    """Give a network a head that tells calving front from shore; its other weights stay."""
    from icefront.training.front_head import train_front_head

    tell_log()
    found = train_front_head(config, set_, resume=resume, overwrite=overwrite)
    echo(f"{found['checkpoint']}: learned at {found['cells']} places on boundaries")
