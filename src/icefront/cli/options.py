"""What the commands share: options, and how a mistake is told to the user."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from icefront.errors import IcefrontError

Out = Annotated[Path, typer.Option(help="Folder for the results.", show_default=False)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files of an earlier run.")]
Model = Annotated[
    str | None,
    typer.Option(help="Name of a model or path of a checkpoint; default: the packaged one."),
]
Band = Annotated[
    str | None, typer.Option(help="Band of the file: number from 1, name or polarisation.")
]
RadiometryName = Annotated[
    str,
    typer.Option(
        help="What the values are: auto, grey, stretched, power, amplitude, db or dn.",
    ),
]
PixelSizeText = Annotated[
    str | None,
    typer.Option(help="Side of a pixel in metres, rows x columns such as 73.7x61.8, or pixels."),
]


class _Echo(logging.Handler):
    """Prints records on what is stderr at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record), err=True)


def tell_log() -> None:
    """Print on stderr what the program logs about its decisions."""
    logger = logging.getLogger("icefront")
    if not any(isinstance(handler, _Echo) for handler in logger.handlers):
        logger.addHandler(_Echo())
    logger.setLevel(logging.INFO)


def job(command: Callable[..., None]) -> Callable[..., None]:
    """Make a mistake a user can mend one sentence and exit code 2, and an interruption 130."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except IcefrontError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(130) from None

    return run
