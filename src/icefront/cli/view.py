"""The command that shows a project on a page, to look at and to correct."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icefront.cli.options import echo, job
from icefront.errors import IcefrontError


@job
def view(
    project: Annotated[
        Path, typer.Argument(metavar="PROJECT", help="Folder of a project.", show_default=False)
    ],
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of the server; default: a free one.")
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address of the page.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the page into this folder instead, to look at without a server."),
    ] = None,
) -> None:
    """Look at the fronts of a project on a map, correct them, and see their neighbours follow."""
    if export is not None:
        from icefront.viewer.export import export_project

        written = export_project(project, export)
        for note in written.notes:
            echo(note, err=True)
        echo(f"Open {written.page}")
        return
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise IcefrontError(
            "The viewer needs starlette and uvicorn: pip install 'icefront[viewer]'."
        ) from None
    from icefront.viewer.server import view_project

    view_project(project, port=port, browser=not no_browser)
