"""Commands that score models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from icefront.cli.options import Out, Overwrite, echo, job, settings_options
from icefront.errors import IcefrontError


@job
@settings_options("windows", "precision", "exact", "device")
def benchmark(
    data: Annotated[Path, typer.Option(help="Folder in the layout of CaFFe.", show_default=False)],
    out: Out,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Name of a model or path of a checkpoint; may be given several times."),
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of zones that another program predicted, PNG in CaFFe's greys."),
    ] = None,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Score all models together too, with uncertainty.")
    ] = False,
    symmetries: Annotated[
        int, typer.Option(help="Of the ensemble: 1, 4 rotations, or 8 with reflections.")
    ] = 8,
    split: Annotated[str, typer.Option(help="test, train or validation.")] = "test",
    glacier: Annotated[
        list[str] | None, typer.Option(help="Only this one; may be given several times.")
    ] = None,
    sensor: Annotated[
        list[str] | None, typer.Option(help="Only this one; may be given several times.")
    ] = None,
    pixel_size: Annotated[
        str,
        typer.Option(
            help="name (as the names say), pixels, metres such as 20 or 73.7x61.8; auto finds out."
        ),
    ] = "auto",
    hemisphere: Annotated[
        str | None, typer.Option(help="north or south, for the season of glaciers beyond CaFFe.")
    ] = None,
    native: Annotated[
        bool, typer.Option("--native", help="No resampling to the model's pixel size.")
    ] = False,
    through_time: Annotated[
        bool,
        typer.Option(
            "--through-time/--no-through-time",
            help="Score also all dates of a glacier smoothed together, beside the single dates.",
        ),
    ] = False,
    calibration: Annotated[
        Path | None, typer.Option(help="calibration.json of an earlier benchmark.")
    ] = None,
    scenes: Annotated[bool, typer.Option(help="Draw every scene.")] = True,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep finished predictions, score them again.")
    ] = False,
    overwrite: Overwrite = False,
    *,
    settings: dict[str, Any],
) -> None:
    """Score models by the CaFFe protocol: tables, figures, a report."""
    from icefront.extraction.settings import parse_pixel_size

    words = ("auto", "name")
    size = pixel_size if pixel_size in words else parse_pixel_size(pixel_size)
    if hemisphere not in (None, "north", "south"):
        raise IcefrontError(f"There is no hemisphere {hemisphere!r}; give north or south.")
    if resume and overwrite:
        raise IcefrontError("--resume keeps predictions and --overwrite discards them; give one.")

    from icefront.evaluation.benchmark import benchmark as run
    from icefront.evaluation.benchmark_models import BenchmarkSettings
    from icefront.evaluation.report import headline
    from icefront.recipes import validated

    result = run(
        data,
        out,
        models=model or (),
        given=predictions or (),
        ensemble=ensemble,
        symmetries=symmetries,
        split=split,  # type: ignore[arg-type]
        glaciers=glacier or (),
        sensors=sensor or (),
        pixel_size=None if size == "pixels" else size,  # type: ignore[arg-type]
        hemisphere=hemisphere,  # type: ignore[arg-type]
        settings=validated(
            {**settings, "native": native, "through_time": through_time},
            BenchmarkSettings,
            "The settings",
        ),
        calibration=calibration,
        scenes=scenes,
        resume=resume,
        overwrite=overwrite,
    )
    for note in result.selection.notes:
        echo(note, err=True)
    for sentence in result.selection.left_out:
        echo(f"Left out: {sentence}.", err=True)
    for line in headline(result):
        echo(line)
    echo(f"Look at {out / 'report.html'}")
