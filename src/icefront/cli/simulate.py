"""Commands that simulate glaciers with a known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icefront.cli.options import Out, echo, job

simulate = typer.Typer(
    help="Simulate glaciers with a known truth: images, zones, fronts.", no_args_is_help=True
)

Seed = Annotated[int, typer.Option(help="Another seed is another world.")]
Glaciers = Annotated[
    list[str] | None, typer.Option("--glacier", help="Only this one; may be given several times.")
]
Coarser = Annotated[float, typer.Option(help="Pixel size over that of the sensor.")]
Workers = Annotated[int, typer.Option(help="Processes that work at once.")]


@simulate.command("caffe")
@job
def simulate_caffe(
    out: Out,
    seed: Seed = 0,
    glacier: Glaciers = None,
    fraction: Annotated[
        float, typer.Option("--fraction", "--share", help="Fraction of the 681 images.")
    ] = 1.0,
    coarser: Coarser = 1.0,
    workers: Workers = 1,
) -> None:
    """Simulate a benchmark in the layout of CaFFe: images, zones, fronts, bounding boxes."""
    from icefront.simulation.archives import simulate_caffe as run

    names = run(
        out, seed=seed, glaciers=glacier, fraction=fraction, coarser=coarser, workers=workers
    )
    echo(f"{len(names)} images with their truth are in {out}")


@simulate.command("ssl4sar")
@job
def simulate_ssl4sar(
    out: Out,
    seed: Seed = 0,
    glacier: Glaciers = None,
    images: Annotated[int, typer.Option(help="Radar images of each glacier.")] = 24,
    coarser: Coarser = 1.0,
    workers: Workers = 1,
) -> None:
    """Simulate an archive in the layout of SSL4SAR: radar series, one optical image a glacier."""
    from icefront.simulation.archives import simulate_ssl4sar as run

    names = run(out, seed=seed, glaciers=glacier, images=images, coarser=coarser, workers=workers)
    echo(f"{len(names)} radar images and their optical ones are in {out}")


@simulate.command("scenes")
@job
def simulate_scenes(
    out: Out,
    glacier: Annotated[str, typer.Option(help="The glacier to imitate.")] = "Helheim",
    seed: Seed = 0,
    start: Annotated[str, typer.Option(help="First day.")] = "2017-01-01",
    end: Annotated[str, typer.Option(help="Last day.")] = "2019-12-31",
    count: Annotated[int, typer.Option(help="Scenes, evenly spaced.")] = 36,
    sensor: Annotated[str, typer.Option(help="ERS, RSAT, ENVISAT, PALSAR, TSX, TDX or S1.")] = "S1",
    pixel_size: Annotated[
        float | None, typer.Option(help="Side of a pixel in metres; default: the sensor's.")
    ] = None,
    workers: Workers = 1,
) -> None:
    """Simulate a georeferenced series of one glacier, with its true fronts in truth.gpkg."""
    from icefront.extraction.settings import parse_date
    from icefront.simulation.archives import simulate_scenes as run

    names = run(
        out,
        glacier,
        seed=seed,
        start=parse_date(start),
        end=parse_date(end),
        count=count,
        sensor=sensor,
        pixel_m=pixel_size,
        workers=workers,
    )
    echo(f"{len(names)} scenes and truth.gpkg are in {out}")


@simulate.command("gallery")
@job
def simulate_gallery(
    out: Annotated[Path, typer.Option(help="The PNG file.", show_default=False)], seed: Seed = 0
) -> None:
    """Draw simulated scenes of every sensor and season with their truth on one sheet."""
    from icefront.simulation.gallery import draw_gallery

    echo(f"Look at {draw_gallery(out, seed=seed)}")
