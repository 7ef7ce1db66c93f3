"""Commands that follow glaciers through time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icefront.cli.options import (
    Crs,
    DateColumn,
    DayFirst,
    Out,
    Overwrite,
    echo,
    job,
    place_of,
)
from icefront.errors import IcefrontError

if TYPE_CHECKING:
    import geopandas as gpd

monitor = typer.Typer(
    help="Follow glaciers through time: position, area, rate, season.", no_args_is_help=True
)

Glacier = Annotated[str | None, typer.Option(help="Name, instead of the file's.")]


@monitor.command("measure")
@job
def measure(
    fronts: Annotated[
        list[Path],
        typer.Argument(metavar="FRONTS...", help="Files or folders of fronts.", show_default=False),
    ],
    out: Out,
    centreline: Annotated[
        Path | None,
        typer.Option(help="A line from inland to the sea; proposed from the fronts by default."),
    ] = None,
    box: Annotated[
        Path | None, typer.Option(help="Terminus box; proposed from the fronts by default.")
    ] = None,
    width: Annotated[
        float | None, typer.Option(help="Width of the curvilinear box in metres.")
    ] = None,
    inland: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y",
            help="A place inland of the fronts in their CRS, where neither a centreline nor the "
            "map of land tells on which side the ice is.",
        ),
    ] = None,
    parallels: Annotated[int, typer.Option(help="Number of parallel centrelines.")] = 9,
    plane: Annotated[
        str,
        typer.Option(
            help="geodesic: metres on the ellipsoid; projected: metres of the fronts' CRS, as in "
            "MaQiT (older names: ground, map)."
        ),
    ] = "geodesic",
    table_format: Annotated[str, typer.Option("--format", help="csv or parquet.")] = "csv",
    glacier: Glacier = None,
    date_column: DateColumn = None,
    day_first: DayFirst = None,
    crs: Crs = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure fronts by all methods: tables of positions, areas, trends, seasons and calving."""
    from icefront.files.atomic import check_folder, staging
    from icefront.fronts.external_fronts import read_lines
    from icefront.measures import measure_each
    from icefront.measures.front_tables import plane_named
    from icefront.products.measure_files import check_format, tables_of, write_measures
    from icefront.timeseries.series import trend_text

    check_format(table_format)
    measured_in = plane_named(plane)
    check_folder(out, overwrite=overwrite)
    table = _read(fronts, glacier=glacier, date_column=date_column, day_first=day_first, crs=crs)
    lines, measured, unmeasured = measure_each(
        table,
        centreline=None if centreline is None else read_lines(centreline, "centreline", crs=crs),
        box=None if box is None else read_lines(box, "box", crs=crs),
        width_m=width,
        inland=None if inland is None else place_of(inland),
        parallels=parallels,
        plane=measured_in,
    )
    notes = [*table.attrs.get("notes", ()), *unmeasured]
    measured = measured.drop(columns="front")
    tables = tables_of(measured)
    record = {
        "fronts": [str(path) for path in fronts],
        "centreline": centreline,
        "box": box,
        "plane": measured_in,
        "parallels": parallels,
        "ice_side": dict(zip(lines["glacier"], lines["ice_side"], strict=True)),
        "notes": notes,
    }
    with staging(out) as unfinished:
        names = write_measures(unfinished, tables, lines, record, form=table_format)
    for note in notes:
        echo(note, err=True)
    for line in lines.itertuples():
        echo(f"{line.glacier or 'The glacier'}: ice to the {line.ice_side}")
    for row in tables["trends"].to_dict("records"):
        name = ", ".join(filter(None, (row.get("glacier"), row["method"])))
        echo(f"{name}: {trend_text(row)}")
    echo(f"{len(names)} files are in {out}")


@monitor.command("import")
@job
def import_fronts(
    fronts: Annotated[
        list[Path],
        typer.Argument(
            metavar="FRONTS...",
            help="Shapefiles, GeoJSON, GeoPackages, or folders of such.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The table to write: a .gpkg or .geojson.", show_default=False)
    ],
    source: Annotated[
        str | None, typer.Option(help="Name of the data set, instead of what its columns say.")
    ] = None,
    glacier: Glacier = None,
    date_column: DateColumn = None,
    day_first: DayFirst = None,
    crs: Crs = None,
    overwrite: Overwrite = False,
) -> None:
    """Bring fronts from elsewhere into one table: TermPicks, CALFIN, CCI, GEEDiT, any lines."""
    from icefront.files.atomic import remove_unfinished
    from icefront.fronts.external_fronts import write_fronts

    remove_unfinished(out.parent)
    if out.exists() and not overwrite:
        raise IcefrontError(f"{out} is there already: name another file, or give --overwrite.")
    table = _read(
        fronts,
        source=source,
        glacier=glacier,
        date_column=date_column,
        day_first=day_first,
        crs=crs,
    )
    write_fronts(table, out)
    for note in table.attrs.get("notes", []):
        echo(note, err=True)
    counts = table.groupby("source", dropna=False).size()
    listed = ", ".join(f"{count} from {name}" for name, count in counts.items())
    echo(f"{len(table)} fronts ({listed}) are in {out}")


def _read(paths: list[Path], **options: Any) -> gpd.GeoDataFrame:
    """Read files and folders of fronts into one table."""
    from icefront.fronts import join_fronts, read_fronts

    tables = [read_fronts(path, **options) for path in paths]
    return tables[0] if len(tables) == 1 else join_fronts(tables)
