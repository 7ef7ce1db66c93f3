"""Commands that answer a question by many runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icefront.cli.options import echo, job, tell_log

experiment = typer.Typer(help="Answer a question by many runs.", no_args_is_help=True)


@experiment.callback()
def _group() -> None:
    pass


@experiment.command("pretraining")
@job
def experiment_pretraining(
    config: Annotated[Path, typer.Option(help="The experiment, a YAML file.", show_default=False)],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrule a value.")
    ] = None,
) -> None:
    """Test whether pretraining helps: pretrain, fine-tune, test, compare; resumes where it was."""
    from icefront.pretraining.experiment import ExperimentConfig, run_experiment
    from icefront.recipes import read_recipe

    chosen = read_recipe(config, set_, ExperimentConfig)
    tell_log()
    found = run_experiment(chosen)
    for warning in found["warnings"]:
        echo(warning, err=True)
    echo((Path(found["folder"]) / "table.md").read_text())
    echo(f"Look at {Path(found['folder']) / 'figure.png'}")
