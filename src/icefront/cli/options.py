"""What the commands share: options, and how a mistake is told to the user."""

from __future__ import annotations

import errno
import inspect
import logging
import math
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icefront.errors import IcefrontError
from icefront.extraction.settings import ExtractionSettings
from icefront.text import printable

if TYPE_CHECKING:
    from rich.table import Table

Out = Annotated[Path, typer.Option(help="Folder for the results.", show_default=False)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files of an earlier run.")]
Model = Annotated[
    str | None,
    typer.Option(help="Name of a model or path of a checkpoint; default: the packaged one."),
]
Crs = Annotated[
    str | None,
    typer.Option(help="CRS of files that state none, or a wrong one, such as EPSG:3413."),
]
DateColumn = Annotated[
    str | None, typer.Option(help="Column of the dates, if it is not found by itself.")
]
DayFirst = Annotated[
    bool | None,
    typer.Option(
        "--day-first/--month-first",
        help="Whether 02/06/2018 is in June or in February, where no row of the column proves it.",
        show_default=False,
    ),
]


def echo(text: object, *, err: bool = False) -> None:
    """Print a line; what would steer the terminal is shown as its codes."""
    typer.echo(printable(str(text)), err=err)


def echo_table(table: Table) -> None:
    """Print a table whole: a terminal wraps what is wider, and a file takes any width."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console()
    console.width = max(
        console.width, Measurement.get(console, console.options.update(width=1_000), table).maximum
    )
    console.print(table)


class _Echo(logging.Handler):
    """Prints records on what is stderr at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        echo(self.format(record), err=True)


def tell_log() -> None:
    """Print on stderr what the program logs about its decisions."""
    logger = logging.getLogger("icefront")
    if not any(isinstance(handler, _Echo) for handler in logger.handlers):
        logger.addHandler(_Echo())
    logger.setLevel(logging.INFO)


def refused(error: OSError) -> str:
    """Return the sentence about a file, or the output itself, that the system refuses."""
    reason = error.strerror or str(error)
    if error.filename is None:
        return f"The output cannot be written ({reason}): make room, or send it elsewhere."
    name = os.fsdecode(error.filename)
    return f"{name} cannot be read or written ({reason}): check its name, its rights and the disk."


def job(command: Callable[..., None]) -> Callable[..., None]:
    """Make a mistake a user can mend one sentence and exit code 2, and an interruption 130."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except IcefrontError as error:
            echo(str(error), err=True)
            raise typer.Exit(2) from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # Whoever read the output has enough: no mistake.
            echo(refused(error), err=True)
            raise typer.Exit(2) from None
        except MemoryError:
            echo("Memory is not enough for this: use smaller images, or fewer at once.", err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            echo("Interrupted.", err=True)
            raise typer.Exit(130) from None

    return run


def place_of(text: str) -> tuple[float, float]:
    """Read an option such as ``--inland X,Y``."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = math.nan
    if not math.isfinite(x) or not math.isfinite(y):
        raise IcefrontError(
            f"A place of {text!r} is not understood: give x,y in the CRS of the fronts."
        )
    return x, y


_SHORTHANDS = {
    "tta": "Average over flips and rotations; the same as --symmetries 8.",
    "exact": "As published, to the digit: --windows card --precision float32; much slower.",
}


def settings_options(
    *names: str, **helps: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of `ExtractionSettings`, and the settings as one argument.

    Parameters
    ----------
    *names : str
        Fields that become options; all fields and shorthands if none is named.
    **helps : str
        Help texts other than those of the fields.

    Returns
    -------
    decorator
        Of a command with a keyword argument ``settings``: a dictionary of what was asked for.
    """
    # What a scene is comes before how it is predicted, which the settings inherit.
    own = ExtractionSettings.__annotations__
    fields = sorted(ExtractionSettings.model_fields, key=lambda name: name not in own)
    chosen = names or (*fields, *_SHORTHANDS)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(*args: Any, **options: Any) -> None:
            asked = {name: options.pop(name) for name in chosen}
            # What was not asked for is left to a configuration, and then to the defaults.
            settings = {
                name: value
                for name, value in asked.items()
                if value is not None and not (name in _SHORTHANDS and value is False)
            }
            command(*args, **options, settings=settings)

        given = [
            parameter
            for name, parameter in inspect.signature(command, eval_str=True).parameters.items()
            if name != "settings"
        ]
        added = [_option(name, helps.get(name)) for name in chosen]
        run.__signature__ = inspect.Signature([*given, *added])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in (*given, *added)}
        del run.__wrapped__  # type: ignore[attr-defined]
        return run

    return decorate


def _option(name: str, help_text: str | None) -> inspect.Parameter:
    """Make an option of a field: text, which the settings read, a number or a flag."""
    flag = "--" + name.replace("_", "-")
    kind: Any
    if name in _SHORTHANDS:
        kind, default = bool, False
        info = typer.Option(flag, help=help_text or _SHORTHANDS[name])
    else:
        field = ExtractionSettings.model_fields[name]
        if field.annotation is bool:
            flag = f"{flag}/--no-{flag.removeprefix('--')}"
        kinds = {"symmetries": int, "through_time": bool}
        kind, default = kinds.get(name, str) | None, None
        # None tells a value that was asked for from the default; the help shows the default.
        shown = False if field.default is None else str(field.default)
        info = typer.Option(flag, help=help_text or field.description, show_default=shown)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, info],
    )
