"""The command line: one thin command per job, a file per group of jobs.

The rooms are imported inside the commands: torch alone takes seconds, and `--help` needs none.
"""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from icefront.cli.extract import demo, extract, info, models

for command in (run, products, review):
    monitor.command()(command)
app.add_typer(monitor, name="monitor")


def main() -> None:
    """Run the command line."""
    # A stop from outside must clean up like Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()
