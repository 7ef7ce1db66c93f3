"""Run every benchmark module of this folder and print one table.

``python -m benchmarks [NAME ...]`` runs all modules, or those named. A module has
``run() -> list[dict]`` with the keys ``name``, ``value`` (a number), ``unit`` and ``note``.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import platform
from pathlib import Path

from rich.console import Console
from rich.table import Table


def modules() -> list[str]:
    names = (m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return sorted(n for n in names if not n.startswith("_"))


def main() -> None:
    known = modules()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    names = parser.parse_args().names or known
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")

    console = Console()
    title = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    table = Table(title=title)
    table.add_column("benchmark")
    table.add_column("what")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("note")
    for name in names:
        with console.status(name):
            for row in importlib.import_module(f"benchmarks.{name}").run():
                table.add_row(name, row["name"], f"{row['value']:.4g}", row["unit"], row["note"])
        table.add_section()
    console.print(table)


if __name__ == "__main__":
    main()
