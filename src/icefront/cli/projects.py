"""Commands of a monitoring project: run, status, review, correct, products."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icefront.cli.options import (
    Crs,
    DateColumn,
    DayFirst,
    Model,
    echo,
    job,
    place_of,
    settings_options,
)
from icefront.errors import IcefrontError

if TYPE_CHECKING:
    import geopandas as gpd

    from icefront.projects.corrections import Correction
    from icefront.projects.run import SceneOutcome
    from icefront.timeseries.series import Series

Project = Annotated[
    Path, typer.Argument(metavar="PROJECT", help="Folder of a project.", show_default=False)
]


@job
@settings_options(
    aoi="Polygons in which fronts are drawn; a column 'glacier' tells whose.",
)
def run(
    source: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG|FOLDER", help="Folder of scenes, or a YAML file.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the project.", show_default=False)],
    model: Model = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes; default: one a core, one with a GPU.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler that does the work.")
    ] = None,
    no_zones: Annotated[bool, typer.Option("--no-zones", help="Keep no zone rasters.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try failed scenes again.")] = False,
    renew: Annotated[
        bool, typer.Option("--renew", help="Redo what another model or other settings written.")
    ] = False,
    day_first: DayFirst = None,
    *,
    settings: dict[str, Any],
) -> None:
    """Extract the fronts of all scenes that have none yet; go on where a run stopped."""
    from icefront.projects.run import run_monitoring

    report = run_monitoring(
        source,
        out,
        model=model,
        workers=workers,
        cluster=cluster,
        zones=not no_zones,
        retry=retry,
        renew=renew,
        on_scene=_tell,
        day_first=day_first,
        **settings,
    )
    for note in report.notes:
        echo(note, err=True)
    echo(report.sentence())
    for sentence in report.offers:
        echo(sentence)
    raise typer.Exit(report.exit_code)


def _tell(outcome: SceneOutcome) -> None:
    echo(outcome.sentence(), err=outcome.error is not None)


Imported = Annotated[
    list[Path] | None,
    typer.Option(
        "--fronts", help="Fronts from elsewhere beside our own; may be given several times."
    ),
]
Centreline = Annotated[
    Path | None,
    typer.Option(help="Centreline from inland to the sea; column 'glacier' for several."),
]
BoxFile = Annotated[Path | None, typer.Option(help="Terminus box; column 'glacier' for several.")]
Width = Annotated[float | None, typer.Option(help="Width of the curvilinear box in metres.")]
Inland = Annotated[
    str | None,
    typer.Option(metavar="X,Y", help="A place inland of the fronts, if nothing else tells."),
]
Members = Annotated[
    list[Path] | None,
    typer.Option("--member", help="Project of another model on the same scenes; several times."),
]


@job
def products(
    project: Project,
    out: Annotated[Path | None, typer.Option(help="Folder; default: PROJECT/products.")] = None,
    fronts: Imported = None,
    centreline: Centreline = None,
    box: BoxFile = None,
    width: Width = None,
    inland: Inland = None,
    member: Members = None,
    glacier: Annotated[
        list[str] | None, typer.Option("--glacier", help="Only this one; several times.")
    ] = None,
    no_animation: Annotated[
        bool, typer.Option("--no-animation", help="Leave the animations out; much faster.")
    ] = False,
    date_column: DateColumn = None,
    day_first: DayFirst = None,
    crs: Crs = None,
) -> None:
    """Write maps, curves, tables, NetCDF, animations and the report of a project."""
    from icefront.fronts.external_fronts import read_fronts
    from icefront.products.folder import make_products
    from icefront.products.report import REPORT

    written = make_products(
        project,
        out=out,
        imported=[
            read_fronts(path, date_column=date_column, day_first=day_first, crs=crs)
            for path in fronts or ()
        ],
        centreline=_lines(centreline, "centreline", crs),
        box=_lines(box, "box", crs),
        width_m=width,
        inland=None if inland is None else place_of(inland),
        members=member or (),
        glaciers=glacier or (),
        animation=not no_animation,
    )
    for note in written.results.notes:
        echo(note, err=True)
    sides = written.results.lines.set_index("glacier")["ice_side"]
    for name, by_method in written.results.series.items():
        echo(f"{_trend(name, by_method)} Ice to the {sides[name]}.")
    for one in written.results.without_series().itertuples():
        scenes = f"{one.scenes} scenes ({one.states})" if one.scenes else f"{one.fronts} fronts"
        echo(f"{one.glacier or 'The glacier without a name'}: no series from {scenes}.")
    echo(f"{len(written.files)} files are in {written.folder}; look at {written.folder / REPORT}")


@job
def status(project: Project) -> None:
    """Tell what is done and what failed, how fast it goes and how long it still takes."""
    from icefront.projects.status import status_of

    for line in status_of(project).sentences():
        echo(line)


@job
def review(
    project: Project,
    out: Annotated[Path | None, typer.Option(help="Folder; default: PROJECT/review.")] = None,
    count: Annotated[int, typer.Option(help="How many are shown and drawn.")] = 20,
    accept: Annotated[
        list[str] | None, typer.Option("--accept", help="This front is right; several times.")
    ] = None,
    reject: Annotated[
        list[str] | None, typer.Option("--reject", help="This front is wrong: in no series.")
    ] = None,
    undo: Annotated[
        list[str] | None, typer.Option("--undo", help="Take back the verdict on this one.")
    ] = None,
    centreline: Centreline = None,
    box: BoxFile = None,
    width: Width = None,
    inland: Inland = None,
    member: Members = None,
    crs: Crs = None,
) -> None:
    """List the fronts a person should look at first, with pictures; keep what the person says."""
    from icefront.products.review_pages import REVIEW, write_review
    from icefront.projects.results import REJECTED, load_results
    from icefront.projects.review import ACCEPTED, judge

    verdicts = [(accept, ACCEPTED), (reject, REJECTED), (undo, None)]
    for names, verdict in verdicts:
        if names:
            judge(project, names, verdict)
            echo(f"{len(names)} scenes: {verdict or 'verdict taken back'}.")
    if any(names for names, _ in verdicts):
        return
    results = load_results(
        project,
        centreline=_lines(centreline, "centreline", crs),
        box=_lines(box, "box", crs),
        width_m=width,
        inland=None if inland is None else place_of(inland),
        members=member or (),
    )
    folder = out or project / REVIEW
    table = write_review(results, folder, count)
    for row in table.head(count).itertuples():
        date = "no date" if row.date is None or row.date != row.date else f"{row.date:%Y-%m-%d}"
        grade = row.grade if row.state == "done" else row.state
        echo(f"{row.rank:3d}  {grade}  {date}  {row.name}: {row.why}")
    echo(f"{len(table)} to look at; pictures and review.csv are in {folder}")


@job
def correct(
    project: Project,
    fronts: Annotated[
        Path | None,
        typer.Option(help="Hand-drawn fronts with their dates, from one wall to the other."),
    ] = None,
    person: Annotated[
        str | None, typer.Option("--by", help="Who drew them; default: the user.")
    ] = None,
    undo: Annotated[
        list[int] | None, typer.Option("--undo", help="Take this correction back; several times.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the corrections there are.")] = False,
    glacier: Annotated[str | None, typer.Option(help="Name, instead of the file's.")] = None,
    date_column: DateColumn = None,
    day_first: DayFirst = None,
    crs: Crs = None,
) -> None:
    """Let hand-drawn fronts win on their dates and teach the dates around them."""
    from icefront.fronts.external_fronts import read_fronts
    from icefront.projects.catalogue import Catalogue
    from icefront.projects.corrections import list_corrections
    from icefront.projects.smoothing import correct_project

    if sum((fronts is not None, bool(undo), show)) != 1:
        raise IcefrontError("Give --fronts FILE, --undo NUMBER or --list.")
    if show:
        with Catalogue(project) as catalogue:
            found = list_corrections(catalogue)
        for item in found:
            echo(_correction_line(item))
        echo(f"{len(found)} corrections in {project}")
        return
    table = None
    if fronts is not None:
        table = read_fronts(
            fronts, glacier=glacier, date_column=date_column, day_first=day_first, crs=crs
        )
        for note in table.attrs.get("notes", []):
            echo(note, err=True)
    changed, report = correct_project(project, table, person=person, file=fronts, undo=undo or ())
    for item in changed:
        echo(f"{'taken back' if undo else 'added'}: {_correction_line(item)}")
    for note in report.notes:
        echo(note, err=True)
    echo(f"{report.redrawn} fronts were redrawn")


def _correction_line(correction: Correction) -> str:
    name = correction.glacier or "the glacier"
    return (
        f"{correction.number:4d}  {correction.date}  {name}, by {correction.person or 'unknown'}, "
        f"{correction.added[:10]}"
    )


def _lines(path: Path | None, what: str, crs: str | None) -> gpd.GeoDataFrame | None:
    from icefront.fronts.external_fronts import read_lines

    return None if path is None else read_lines(path, what, crs=crs)


def _trend(glacier: str, by_method: dict[str, Series]) -> str:
    """Return the trend of a glacier as a sentence."""
    from icefront.projects.results import METHOD
    from icefront.timeseries.series import summary, trend_text

    row = summary(by_method[METHOD])
    return f"{glacier or 'The glacier'}: {row['dates']} dates, {trend_text(row)}."
