"""The command line: one thin command per job."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icefront.errors import IcefrontError

# The rooms are imported inside the commands: torch alone takes seconds, and `--help` needs none.
if TYPE_CHECKING:
    from icefront.extraction.run import SceneReport

app = typer.Typer(
    name="icefront",
    help="Calving fronts of glaciers from SAR images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Out = Annotated[Path, typer.Option(help="Folder for the results.", show_default=False)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files of an earlier run.")]
Model = Annotated[
    str | None,
    typer.Option(help="Name of a model or path of a checkpoint; default: the packaged one."),
]
Band = Annotated[
    str | None, typer.Option(help="Band of the file: number from 1, name or polarisation.")
]
RadiometryName = Annotated[
    str,
    typer.Option(
        help="What the values are: auto, grey, stretched, power, amplitude, db or dn.",
    ),
]
PixelSizeText = Annotated[
    str | None,
    typer.Option(help="Side of a pixel in metres, rows x columns such as 73.7x61.8, or pixels."),
]


def _job(command: Callable[..., None]) -> Callable[..., None]:
    """Make a mistake a user can mend one sentence and exit code 2, and an interruption 130."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except IcefrontError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(130) from None

    return run


def _version(wanted: bool) -> None:
    if wanted:
        from icefront import __version__

        typer.echo(f"icefront {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


@app.command()
@_job
def extract(
    scenes: Annotated[
        list[str], typer.Argument(metavar="SCENE...", help="SAR images.", show_default=False)
    ],
    out: Out,
    model: Model = None,
    aoi: Annotated[
        Path | None, typer.Option(help="Polygons outside of which no front is drawn; any CRS.")
    ] = None,
    band: Band = None,
    radiometry: RadiometryName = "auto",
    pixel_size: PixelSizeText = None,
    tta: Annotated[
        bool, typer.Option("--tta", help="Average over flips and rotations; eight times slower.")
    ] = False,
    exact: Annotated[bool, typer.Option("--exact", help="Full precision everywhere.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    glacier: Annotated[str | None, typer.Option(help="Name, instead of the file's.")] = None,
    date: Annotated[
        str | None, typer.Option(help="Date such as 2018-06-02, instead of the file's.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Extract the calving front of each scene, as a map layer with uncertainty and pictures."""
    from icefront.extraction.parameters import (
        parse_band,
        parse_date,
        parse_pixel_size,
        read_area,
    )
    from icefront.output import check_folder

    size = None if pixel_size is None else parse_pixel_size(pixel_size)
    day = None if date is None else parse_date(date)
    check_folder(out, overwrite=overwrite)
    area = None if aoi is None else read_area(aoi)

    from icefront.extraction.run import extract_scenes

    report = extract_scenes(
        scenes,
        out,
        model=model,
        aoi=area,
        band=None if band is None else parse_band(band),
        radiometry=radiometry,
        pixel_size=size,
        tta=tta,
        exact=exact,
        device=device,
        glacier=glacier,
        date=day,
        overwrite=overwrite,
        on_scene=_tell_scene,
    )
    if report.files:
        typer.echo(f"{len(report.files)} files are in {out}")
    raise typer.Exit(report.exit_code)


def _tell_scene(report: SceneReport) -> None:
    """Print one line about a scene, its notes on stderr."""
    if report.front is None:
        typer.echo(report.error, err=True)
        return
    for note in report.notes:
        typer.echo(f"{Path(report.path).name}: {note}", err=True)
    typer.echo(f"{Path(report.path).name}: {report.sentence()} [{report.seconds:.0f} s]")


@app.command()
@_job
def info(
    scenes: Annotated[
        list[str], typer.Argument(metavar="SCENE...", help="SAR images.", show_default=False)
    ],
    band: Band = None,
    radiometry: RadiometryName = "auto",
    pixel_size: PixelSizeText = None,
) -> None:
    """Say what the program sees in a file."""
    from icefront.extraction.parameters import parse_band, parse_pixel_size
    from icefront.scenes.describe import describe

    size = None if pixel_size is None else parse_pixel_size(pixel_size)
    failed = 0
    for scene in scenes:
        try:
            facts = describe(
                scene,
                band=None if band is None else parse_band(band),
                radiometry=radiometry,
                pixel_size_m=size,
            )
        except IcefrontError as error:
            typer.echo(str(error), err=True)
            failed += 1
            continue
        _tell_facts(facts)
    raise typer.Exit(0 if not failed else 2 if failed == len(scenes) else 1)


def _tell_facts(facts: dict[str, Any]) -> None:
    """Print what a file holds, a line each."""
    for name, value in facts.items():
        if name == "notes":
            continue
        if isinstance(value, list):
            value = ", ".join(
                f"{item:.6g}" if isinstance(item, float) else str(item) for item in value
            )
        elif isinstance(value, float):
            value = f"{value:.6g}"
        elif value is None:
            value = "-"
        typer.echo(f"{name.replace('_', ' '):16} {value}")
    for note in facts["notes"]:
        typer.echo(f"  {note}")


@app.command()
@_job
def models() -> None:
    """List the models there are."""
    from rich.console import Console
    from rich.table import Table

    from icefront.models.registry import DEFAULT, count_parameters, list_models

    table = Table(box=None, pad_edge=False)
    for title in ("model", "parameters", "window", "input", "trained at", "weights"):
        table.add_column(title)
    for card in list_models():
        size = "any size" if card.pixel_size_m is None else f"{card.pixel_size_m:g} m"
        weights = f"packaged, sha256 {card.sha256[:12]}" if card.sha256 else "none"
        table.add_row(
            f"{card.name} (default)" if card.name == DEFAULT else card.name,
            f"{count_parameters(card) / 1e6:.1f} M",
            f"{card.window}/{card.target}/{card.stride}",
            card.input_mapping,
            size,
            weights,
        )
    Console().print(table)


@app.command()
@_job
def train(
    config: Annotated[Path, typer.Option(help="The recipe, a YAML file.", show_default=False)],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrule a value.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start such a run anew.")] = False,
) -> None:
    """Train a model from a recipe."""
    from icefront.training.run import train as run

    run(config, set_, resume=resume, overwrite=overwrite)


@app.command()
@_job
def demo(out: Out, model: Model = None, overwrite: Overwrite = False) -> None:
    """Simulate three years of a glacier, extract its fronts, and say how far off they are."""
    from icefront.extraction.demo import make_demo

    report = make_demo(out, model=model, overwrite=overwrite)
    for scene, distance in zip(report.run.scenes, report.distances_m, strict=True):
        off = "" if distance is None else f", {distance:.0f} m from the truth"
        typer.echo(f"{Path(scene.path).stem}: {scene.sentence()}{off}")
    if report.median_m is None:
        typer.echo("No front was found.")
    else:
        typer.echo(f"Median distance to the true fronts: {report.median_m:.0f} m")
    typer.echo(f"Look at {report.picture}")


simulate = typer.Typer(
    help="Make glaciers with a known truth: images, zones, fronts.", no_args_is_help=True
)
app.add_typer(simulate, name="simulate")

Seed = Annotated[int, typer.Option(help="Another seed is another world.")]
Glaciers = Annotated[
    list[str] | None, typer.Option("--glacier", help="Only this one; may be given several times.")
]
Coarser = Annotated[float, typer.Option(help="Pixels so many times as large as the sensor's.")]
Workers = Annotated[int, typer.Option(help="Processes that work at once.")]


@simulate.command("caffe")
@_job
def simulate_caffe(
    out: Out,
    seed: Seed = 0,
    glacier: Glaciers = None,
    share: Annotated[float, typer.Option(help="Share of the 681 images.")] = 1.0,
    coarser: Coarser = 1.0,
    workers: Workers = 1,
) -> None:
    """Make a benchmark in the layout of CaFFe: images, zones, fronts, bounding boxes."""
    from icefront.simulation.layouts import simulate_caffe as run

    names = run(out, seed=seed, glaciers=glacier, share=share, coarser=coarser, workers=workers)
    typer.echo(f"{len(names)} images with their truth are in {out}")


@simulate.command("ssl4sar")
@_job
def simulate_ssl4sar(
    out: Out,
    seed: Seed = 0,
    glacier: Glaciers = None,
    images: Annotated[int, typer.Option(help="Radar images of each glacier.")] = 24,
    coarser: Coarser = 1.0,
    workers: Workers = 1,
) -> None:
    """Make an archive in the layout of SSL4SAR: radar series, one optical image a glacier."""
    from icefront.simulation.layouts import simulate_ssl4sar as run

    names = run(out, seed=seed, glaciers=glacier, images=images, coarser=coarser, workers=workers)
    typer.echo(f"{len(names)} radar images and their optical ones are in {out}")


@simulate.command("scenes")
@_job
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
    """Make a georeferenced series of one glacier, with its true fronts in truth.gpkg."""
    from icefront.extraction.parameters import parse_date
    from icefront.simulation.layouts import simulate_scenes as run

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
    typer.echo(f"{len(names)} scenes and truth.gpkg are in {out}")


@simulate.command("gallery")
@_job
def simulate_gallery(
    out: Annotated[Path, typer.Option(help="The PNG file.", show_default=False)], seed: Seed = 0
) -> None:
    """Draw made scenes of every sensor and season with their truth on one sheet."""
    from icefront.simulation.gallery import draw_gallery

    typer.echo(f"Look at {draw_gallery(out, seed=seed)}")


def main() -> None:
    """Run the command line."""
    # A stop from outside must clean up like Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()


if __name__ == "__main__":
    main()
