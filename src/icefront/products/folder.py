"""The files of a project for other people and other software, replaced as a whole each time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas as gpd
import pandas as pd

from icefront.errors import FullDiskError, failure
from icefront.files.atomic import staging
from icefront.files.names import distinct_names
from icefront.products.animation import write_animation
from icefront.products.figures import figures_of, newest_background
from icefront.products.measure_files import write_lines, write_table
from icefront.products.netcdf import SERIES_NC, write_netcdf
from icefront.products.report import REPORT, write_report
from icefront.products.vectors import write_vectors
from icefront.progress import steps
from icefront.projects.results import METHOD, ProjectResults, load_results
from icefront.reporting.pictures import figure_png
from icefront.timeseries.series import summary

PRODUCTS = "products"
SUMMARY_CSV = "summary.csv"
SERIES_FILES = ("series.csv", "series.parquet")

_MILLIMETRES = "%.3f"


@dataclass(frozen=True)
class Products:
    """What was written.

    Attributes
    ----------
    folder : Path
    files : tuple of Path
    results : ProjectResults
    """

    folder: Path
    files: tuple[Path, ...]
    results: ProjectResults


def make_products(
    project: str | Path,
    *,
    out: str | Path | None = None,
    imported: Sequence[gpd.GeoDataFrame] = (),
    centreline: gpd.GeoDataFrame | None = None,
    box: gpd.GeoDataFrame | None = None,
    width_m: float | None = None,
    inland: tuple[float, float] | None = None,
    members: Sequence[Path] = (),
    glaciers: Sequence[str] = (),
    animation: bool = True,
    progress: bool = True,
) -> Products:
    """Write vectors, series, figures, animations and the report of a project.

    Parameters
    ----------
    project : path
        Folder of a project.
    out : path, optional
        Folder of the products; ``PROJECT/products`` by default. Files of the same names are
        replaced when all new ones are whole.
    imported, centreline, box, width_m, inland, members, glaciers
        As for `icefront.projects.results.load_results`.
    animation : bool
        Write animations, too, which reads every scene again.
    progress : bool

    Returns
    -------
    Products

    Raises
    ------
    IcefrontError
        If there is nothing to measure or the files cannot be written.
    """
    results = load_results(
        Path(project),
        imported=imported,
        centreline=centreline,
        box=box,
        width_m=width_m,
        inland=inland,
        members=members,
        glaciers=glaciers,
    )
    folder = Path(project) / PRODUCTS if out is None else Path(out)
    return write_products(results, folder, animation, progress)


def write_products(
    results: ProjectResults, folder: Path, animation: bool = True, progress: bool = True
) -> Products:
    """Write all products of a project; they appear together, or not at all.

    A glacier whose figures cannot be drawn costs only these: the notes of the results name it.
    """
    with staging(folder) as unfinished:
        write_vectors(results.fronts, unfinished, results.single_dates, results.shores)
        _write_series(results.measured, unfinished)
        write_netcdf(results, unfinished / SERIES_NC)
        write_lines(results.lines, unfinished)
        _write_summary(results, unfinished / SUMMARY_CSV)
        pictures: dict[str, dict[str, Path]] = {}
        animations: dict[str, Path] = {}
        notes = []
        with steps("Glaciers", len(results.series), show=progress) as advance:
            for glacier, stem in _stems(list(results.series)).items():
                pictures[glacier] = {}
                try:
                    background = newest_background(results, glacier)
                    for name, figure in figures_of(results, glacier, background).items():
                        path = unfinished / f"{stem}_{name}.png"
                        path.write_bytes(figure_png(figure))
                        pictures[glacier][name] = path
                    if animation and len(results.series[glacier][METHOD].table) > 1:
                        path = unfinished / f"{stem}.gif"
                        write_animation(results, glacier, path, fallback=background)
                        animations[glacier] = path
                except (OSError, FullDiskError):  # of the folder, not of the glacier
                    raise
                except Exception as error:  # whatever it is, the other glaciers are drawn
                    notes.append(failure(f"Drawing {glacier or 'the glacier'}", error))
                advance(1)
        results = replace(results, notes=(*results.notes, *notes))
        notes = write_report(results, pictures, animations, unfinished / REPORT)
        results = replace(results, notes=(*results.notes, *notes))
        names = sorted(file.name for file in unfinished.iterdir())
    return Products(folder, tuple(folder / name for name in names), results)


def _stems(glaciers: list[str]) -> dict[str, str]:
    """Return names for the files of each glacier, all different."""
    plain = [re.sub(r"[^\w.-]+", "_", glacier).strip("._") or "glacier" for glacier in glaciers]
    # With a suffix, so that what follows a point in a glacier's name is none.
    return dict(zip(glaciers, distinct_names([f"{stem}.png" for stem in plain]), strict=True))


def _write_series(measured: pd.DataFrame, folder: Path) -> None:
    """Write the measures, a row per front and method, as CSV and Parquet."""
    table = measured.drop(columns="front")
    table["date"] = pd.to_datetime(table["date"]).dt.date
    for name in SERIES_FILES:
        write_table(table, folder / name, float_format=_MILLIMETRES)


def _write_summary(results: ProjectResults, path: Path) -> None:
    rows = [
        summary(series) for by_method in results.series.values() for series in by_method.values()
    ]
    write_table(pd.DataFrame(rows), path, float_format=_MILLIMETRES)
