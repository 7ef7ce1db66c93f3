"""The command that compiles an archive for pretraining."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icefront.cli.options import echo, job, tell_log


@job
def archive(
    glaciers: Annotated[
        Path,
        typer.Argument(
            metavar="GLACIERS.yaml",
            help="Glaciers, dates and catalogue, see docs/archives.md.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of the archive; what is there stays.", show_default=False)
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a key: --set images=40; repeatable."),
    ] = None,
    allow_test_glaciers: Annotated[
        bool,
        typer.Option("--allow-test-glaciers", help="Take glaciers of CaFFe's test split, too."),
    ] = False,
    workers: Annotated[int, typer.Option(help="Scenes that are fetched at a time.")] = 4,
) -> None:
    """Compile an archive for pretraining: Sentinel-1 series and a Sentinel-2 image a glacier."""
    from icefront.acquisition.archive import ArchiveConfig, compile_archive
    from icefront.recipes import read_recipe

    tell_log()
    config = read_recipe(glaciers, overrides, ArchiveConfig)
    compiled = compile_archive(
        config, out, allow_test_glaciers=allow_test_glaciers, workers=workers
    )
    for line in compiled.lines:
        echo(line, err=True)
    for name, count in compiled.written.items():
        echo(f"{name}: {count} radar images added")
    echo(f"The archive {out} can be learned from: icefront pretrain with data.root={out}")
