"""The command line: one thin command per job, a file per group of jobs.

The rooms are imported inside the commands: torch alone takes seconds, and `--help` needs none.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from contextlib import suppress
from typing import Annotated

import typer

from icefront.cli.acquire import AREA_SETTINGS, acquire, glaciers, search
from icefront.cli.adapt import adapt
from icefront.cli.annotators import annotators
from icefront.cli.archive import archive
from icefront.cli.benchmark import benchmark
from icefront.cli.compare import compare
from icefront.cli.download import download
from icefront.cli.experiment import experiment
from icefront.cli.extract import demo, extract, info, models
from icefront.cli.monitor import monitor
from icefront.cli.options import echo, refused
from icefront.cli.pretrain import pretrain
from icefront.cli.projects import correct, products, review, run, status
from icefront.cli.simulate import simulate
from icefront.cli.train import train, train_head
from icefront.cli.view import view

app = typer.Typer(
    name="icefront",
    help="Calving fronts of glaciers from SAR images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from icefront import __version__

        typer.echo(f"icefront {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


for command in (
    extract,
    info,
    models,
    train,
    train_head,
    pretrain,
    adapt,
    benchmark,
    annotators,
    compare,
    download,
    demo,
    glaciers,
    view,
    acquire,
    archive,
):
    app.command()(command)
app.command(context_settings=AREA_SETTINGS)(search)
app.add_typer(simulate, name="simulate")
app.add_typer(experiment, name="experiment")
for command in (run, status, products, review, correct):
    monitor.command()(command)
app.add_typer(monitor, name="monitor")


def main() -> None:
    """Run the command line."""
    # A stop from outside must clean up like Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not sys.warnoptions:
        # What libraries warn of is for programmers; what concerns a result is in our own notes.
        warnings.simplefilter("ignore")
        os.environ["PYTHONWARNINGS"] = "ignore"
    try:
        app()
    except OSError as error:
        # What is printed outside of a job, such as a help page.
        with suppress(OSError):
            echo(refused(error), err=True)
        sys.exit(2)
    finally:
        _let_go_of_output()


def _let_go_of_output() -> None:
    """Drop what cannot be written, which Python would try again when it ends, and complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
