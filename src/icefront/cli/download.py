"""The command that fetches public data and weights."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from icefront.cli.options import Out, echo, job


@job
def download(
    what: Annotated[str, typer.Argument(help="caffe, ssl4sar or weights.", show_default=False)],
    out: Out,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    keep_archives: Annotated[
        bool, typer.Option("--keep-archives", help="Keep archives that were unpacked.")
    ] = False,
) -> None:
    """Fetch public data or weights, after saying size, licence and citation."""
    from icefront.datasets.sources import ask, description, source_named
    from icefront.datasets.sources import download as run
    from icefront.errors import IcefrontError

    source = ask(source_named(what))
    for line in description(source):
        echo(line)
    if not yes:
        if not sys.stdin.isatty():
            raise IcefrontError("Nobody can be asked here: give --yes to fetch it.")
        if not typer.confirm("Fetch it?"):
            echo("Nothing was fetched.")
            return
    result = run(source, out, keep_archives=keep_archives)
    for note in result.notes:
        echo(note)
    echo(f"{', '.join(result.names)}: in {result.folder}, with download.json beside.")
