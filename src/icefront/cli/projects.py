"""Commands of a monitoring project: run, review, products."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icefront.cli.options import Model, job

if TYPE_CHECKING:
    from icefront.monitoring.runs import SceneOutcome

Project = Annotated[
    Path, typer.Argument(metavar="PROJECT", help="Folder of a project.", show_default=False)
]


@job
def run(
    source: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG|FOLDER", help="Folder of scenes, or a YAML file.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the project.", show_default=False)],
    model: Model = None,
    aoi: Annotated[
        Path | None,
        typer.Option(help="Polygons in which fronts are drawn; a column 'glacier' tells whose."),
    ] = None,
    tta: Annotated[
        bool, typer.Option("--tta", help="Average over flips and rotations; eight times slower.")
    ] = False,
    exact: Annotated[bool, typer.Option("--exact", help="Full precision everywhere.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(help="Processes; default: one a core, one with a GPU.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler that does the work.")
    ] = None,
    no_zones: Annotated[bool, typer.Option("--no-zones", help="Keep no zone rasters.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try failed scenes again.")] = False,
    renew: Annotated[
        bool, typer.Option("--renew", help="Redo what another model or other settings made.")
    ] = False,
) -> None:
    """Extract the fronts of all scenes that have none yet; go on where a run stopped."""
    from icefront.monitoring.runs import run_monitoring

    report = run_monitoring(
        source,
        out,
        model=model,
        aoi=aoi,
        tta=tta,
        exact=exact,
        device=device,
        workers=workers,
        cluster=cluster,
        zones=not no_zones,
        retry=retry,
        renew=renew,
        on_scene=_tell,
    )
    for note in report.notes:
        typer.echo(note, err=True)
    typer.echo(report.sentence())
    raise typer.Exit(report.exit_code)


def _tell(outcome: SceneOutcome) -> None:
    typer.echo(outcome.sentence(), err=outcome.error is not None)
