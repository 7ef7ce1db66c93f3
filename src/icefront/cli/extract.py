"""Commands that read scenes: extract, info, models, demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icefront.cli.options import Model, Out, Overwrite, echo, echo_table, job, settings_options
from icefront.errors import failure

if TYPE_CHECKING:
    from icefront.extraction.pipeline import SceneReport


@job
@settings_options()
def extract(
    scenes: Annotated[
        list[str], typer.Argument(metavar="SCENE...", help="SAR images.", show_default=False)
    ],
    out: Out,
    model: Model = None,
    overwrite: Overwrite = False,
    *,
    settings: dict[str, Any],
) -> None:
    """Extract the calving front of each scene, as a map layer with uncertainty and pictures."""
    from icefront.extraction.settings import extraction_settings
    from icefront.files.atomic import check_folder

    chosen = extraction_settings(settings)
    check_folder(out, overwrite=overwrite)
    chosen = chosen.model_copy(update={"aoi": chosen.area(), "outline": chosen.outlines()})

    from icefront.extraction.pipeline import extract_scenes

    report = extract_scenes(
        scenes, out, model=model, settings=chosen, overwrite=overwrite, on_scene=_tell_scene
    )
    revised = sum(scene.single_date is not None for scene in report.scenes)
    if revised:
        echo(f"{revised} fronts were redrawn so that the dates of a glacier agree (docs/series.md)")
    if report.files:
        echo(f"{len(report.files)} files are in {out}")
    raise typer.Exit(report.exit_code)


def _tell_scene(report: SceneReport) -> None:
    """Print one line about a scene, its notes on stderr."""
    if report.front is None:
        echo(report.error, err=True)
        return
    for note in report.notes:
        echo(f"{Path(report.path).name}: {note}", err=True)
    echo(f"{Path(report.path).name}: {report.sentence()} [{report.seconds:.0f} s]")


@job
@settings_options("band", "radiometry", "pixel_size")
def info(
    scenes: Annotated[
        list[str], typer.Argument(metavar="SCENE...", help="SAR images.", show_default=False)
    ],
    *,
    settings: dict[str, Any],
) -> None:
    """Say what the program sees in a file."""
    from icefront.extraction.settings import extraction_settings
    from icefront.scenes.access import folders_of, input_folders
    from icefront.scenes.describe import describe

    chosen = extraction_settings(settings)
    failed = 0
    for scene in scenes:
        try:
            with input_folders(folders_of(scenes)):
                facts = describe(
                    scene,
                    band=chosen.band,
                    radiometry=chosen.radiometry,
                    pixel_size_m=chosen.pixel_size,
                )
        except Exception as error:
            echo(failure(scene, error), err=True)
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
        echo(f"{name.replace('_', ' '):16} {value}")
    for note in facts["notes"]:
        echo(f"  {note}")


@job
def models() -> None:
    """List the models there are."""
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
    echo_table(table)


@job
def demo(out: Out, model: Model = None, overwrite: Overwrite = False) -> None:
    """Simulate three years of a glacier, extract its fronts, and say how far off they are."""
    from icefront.demo.demonstration import make_demo

    report = make_demo(out, model=model, overwrite=overwrite)
    distances = zip(report.distances_m, report.single_distances_m, strict=True)
    for scene, (distance, alone) in zip(report.scenes, distances, strict=True):
        off = "" if distance is None else f", {distance:.0f} m from the truth"
        if alone is not None and off:
            off += f" ({alone:.0f} m alone)"
        echo(f"{scene.path}: {scene.sentence()}{off}")
    if report.median_m is None:
        echo("No front was found.")
    else:
        alone_m = f", {report.single_median_m:.0f} m where each date stands alone"
        echo(f"Median distance to the true fronts: {report.median_m:.0f} m{alone_m}")
    echo(f"Look at {report.picture}, and on a map: icefront view {report.run.project}")
