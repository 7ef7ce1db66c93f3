"""The command that measures how well people agree on a front."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from icefront.cli.options import Out, Overwrite, echo, job, settings_options


@job
@settings_options("pixel_size")
def annotators(
    data: Annotated[
        Path,
        typer.Option(
            help="Folder with the fronts: a folder a person, or files with a column annotator.",
            show_default=False,
        ),
    ],
    out: Out,
    fronts: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="Fronts of a model, a file or folder."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images; default: images/ in the data.")
    ] = None,
    zones: Annotated[
        Path | None,
        typer.Option(help="Zone maps, to know the seaward side; default: zones/ in the data."),
    ] = None,
    flow: Annotated[
        Path | None,
        typer.Option(help="Centrelines drawn along the flow, to know the seaward side."),
    ] = None,
    seaward: Annotated[
        float | None,
        typer.Option(help="Direction of the sea in degrees clockwise from north (or up)."),
    ] = None,
    pictures: Annotated[int, typer.Option(help="Number of images whose traces are drawn.")] = 20,
    overwrite: Overwrite = False,
    *,
    settings: dict[str, Any],
) -> None:
    """Measure how well people agree on fronts, and how close models come to them."""
    from icefront.annotators.report import default_folder, person_table, write_study
    from icefront.annotators.study import SeawardSources, read_flow, study_annotators
    from icefront.annotators.traces import read_traces
    from icefront.errors import IcefrontError
    from icefront.extraction.settings import extraction_settings
    from icefront.files.atomic import check_folder, staging
    from icefront.reporting.tables import print_table

    check_folder(out, overwrite=overwrite)
    models = {}
    for text in fronts or []:
        name, sign, path = text.partition("=")
        if not (sign and name and path):
            raise IcefrontError(f"The fronts {text!r} have no name: write NAME={text}.")
        models[name] = path
    size = extraction_settings(settings).pixel_size
    in_pixels = size == "pixels"
    zone_folder = default_folder(data, zones, ("zones",))
    image_folder = default_folder(data, images, ("images", "sar_images"))
    beside = [path for path in (out, zone_folder, image_folder, flow) if path is not None]
    beside += [Path(path) for path in models.values()]
    traced, problems = read_traces(
        data,
        models=models,
        pixel_size_m=None if isinstance(size, str) else size,
        in_pixels=in_pixels,
        ignore=beside,
    )
    sides = SeawardSources(zone_folder, None if flow is None else read_flow(flow), seaward)
    study = study_annotators(
        traced, sides=sides, unit="px" if in_pixels else "m", problems=problems
    )
    with staging(out) as unfinished:
        write_study(study, unfinished, images=image_folder, pictures=pictures)
    print_table(replace(person_table(study), title=""))
    for problem in study.problems:
        echo(f"Left out: {problem}", err=True)
    if any(image.sign_from == "not known" for image in study.images):
        echo(
            "The seaward side is not known in all images, so biases lack there: give --zones, "
            "--flow or --seaward.",
            err=True,
        )
    echo(f"Tables, consensus fronts and pictures are in {out}")
    echo(study.sentence())
