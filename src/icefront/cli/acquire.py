"""The commands from a glacier's name to its scenes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import typer

from icefront.cli.options import Out, Overwrite, echo, echo_table, job

# So that "-38.2,66.4" is a place and no option.
AREA_SETTINGS = {"ignore_unknown_options": True}

_MOST_ROWS = 60


@job
def glaciers(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="Only those whose name, alias or region holds a word."),
    ] = None,
) -> None:
    """List the marine-terminating glaciers that are known by name."""
    from rich.table import Table

    from icefront.acquisition.areas import area_of_glacier
    from icefront.errors import IcefrontError
    from icefront.glaciers import known_glaciers, name_key
    from icefront.grid import crs_name

    wanted = [name_key(word) for word in words or ()]
    table = Table(box=None, pad_edge=False)
    for title in ("glacier", "place", "CRS", "box km", "CaFFe", "region"):
        table.add_column(title, no_wrap=True)
    table.add_column("also called")
    for glacier in known_glaciers():
        texts = [name_key(text) for text in (glacier.name, glacier.region, *glacier.aliases)]
        if wanted and not any(word in text for word in wanted for text in texts):
            continue
        area = area_of_glacier(glacier)
        left, bottom, right, top = area.bounds
        table.add_row(
            glacier.name,
            f"{glacier.longitude:.2f},{glacier.latitude:.2f}",
            crs_name(area.crs),
            f"{(right - left) / 1e3:.0f} × {(top - bottom) / 1e3:.0f}",
            glacier.caffe or "",
            glacier.region,
            ", ".join(glacier.aliases),
        )
    if not table.row_count:
        raise IcefrontError(
            f"No known glacier fits {' '.join(words or ())!r}: a place, a box or a file with a "
            "polygon does as well."
        )
    echo_table(table)


@job
def search(
    where: Annotated[
        str,
        typer.Argument(
            metavar="GLACIER|AREA",
            help="A glacier's name; longitude,latitude; west,south,east,north; WKT; or a file of "
            "polygons.",
            show_default=False,
        ),
    ],
    start: Annotated[str, typer.Option(help="First day, such as 2018-06-01.", show_default=False)],
    end: Annotated[str | None, typer.Option(help="Last day; default: today.")] = None,
    product: Annotated[
        str | None,
        typer.Option(
            help="rtc (terrain-corrected), grd (Sentinel-1) or s2 (Sentinel-2 L2A); default: rtc, "
            "or grd where the catalogue has no rtc."
        ),
    ] = None,
    catalogue: Annotated[
        str,
        typer.Option(
            help="planetary-computer, earth-search, copernicus, or the URL of a STAC API."
        ),
    ] = "planetary-computer",
    collection: Annotated[
        str | None, typer.Option(help="Its collection, where the name does not tell it.")
    ] = None,
    signing: Annotated[
        str | None,
        typer.Option(
            help="How addresses of a URL's catalogue are signed: none, planetary-computer, s3 or "
            "requester-pays.",
        ),
    ] = None,
    months: Annotated[str | None, typer.Option(help="Months that count, such as 6,7,8.")] = None,
    direction: Annotated[str | None, typer.Option(help="ascending or descending.")] = None,
    orbit: Annotated[str | None, typer.Option(help="Relative orbits, such as 90,127.")] = None,
    polarisation: Annotated[str | None, typer.Option(help="HH, HV, VV or VH.")] = None,
    mode: Annotated[str | None, typer.Option(help="IW or EW.")] = None,
    max_cloud: Annotated[
        float | None, typer.Option(help="Most cloud in a Sentinel-2 image, in percent.")
    ] = None,
    min_covered: Annotated[
        float, typer.Option(help="Least fraction of the area that a pass covers.")
    ] = 0.0,
    margin: Annotated[
        float | None,
        typer.Option(help="Ground beside the polygon, or about the place, in metres."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the area is called.")] = None,
    crs: Annotated[
        str | None,
        typer.Option(help="CRS in metres of the scenes; default: polar stereographic or UTM."),
    ] = None,
    max_items: Annotated[int, typer.Option(help="Most images that are looked at.")] = 20_000,
    save: Annotated[
        Path | None,
        typer.Option(help="Write the recipe for icefront acquire, such as scenes.json."),
    ] = None,
) -> None:
    """List the scenes of a glacier in a catalogue, and save them as a recipe."""
    from icefront.acquisition.areas import area_of
    from icefront.acquisition.catalogues import catalogue_named, product_named
    from icefront.acquisition.search import Filters
    from icefront.acquisition.search import search as ask

    area = area_of(where, name=name, margin_m=margin, crs=crs)
    filters = Filters(
        months=_numbers(months, "--months"),
        direction=_direction(direction),
        relative_orbits=_numbers(orbit, "--orbit"),
        polarisation=None if polarisation is None else polarisation.upper(),
        mode=None if mode is None else mode.upper(),
        max_cloud_percent=max_cloud,
        min_covered=min_covered,
    )
    found = ask(
        area,
        _day(start, "--start"),
        dt.datetime.now(dt.UTC).date() if end is None else _day(end, "--end"),
        catalogue=catalogue_named(catalogue, signing),
        product=None if product is None else product_named(product),
        collection=collection,
        filters=filters,
        max_items=max_items,
    )
    _tell(found)
    if save is not None:
        found.save(save)
        echo(f"Saved in {save}: icefront acquire {save} --out FOLDER fetches them.")


@job
def acquire(
    scenes: Annotated[
        list[Path],
        typer.Argument(
            metavar="SCENES...",
            help="A recipe of icefront search --save; or Sentinel-1 GRD products on this machine, "
            "SAFE folders or zips.",
            show_default=False,
        ),
    ],
    out: Out,
    area: Annotated[
        str | None,
        typer.Option(help="Of products on this machine: a glacier or an area, as for search."),
    ] = None,
    pixel_size: Annotated[float, typer.Option(help="Side of a pixel in metres.")] = 20.0,
    polarisation: Annotated[
        str | None, typer.Option(help="Polarisations, such as HH or HH,HV; default: all.")
    ] = None,
    radiometry: Annotated[
        str, typer.Option(help="Of GRD images: sigma0, gamma0 or beta0.")
    ] = "sigma0",
    dem: Annotated[
        Path | None, typer.Option(help="Elevation model for the terrain of GRD images.")
    ] = None,
    dem_datum: Annotated[
        str | None,
        typer.Option(
            help="What its heights are counted from, where its CRS does not say: egm2008 "
            "(Copernicus), ellipsoid (ArcticDEM, REMA) or egm96."
        ),
    ] = None,
    height: Annotated[
        float,
        typer.Option(help="Without --dem: height of all ground above the sea, in metres."),
    ] = 0.0,
    workers: Annotated[int, typer.Option(help="Scenes that are fetched at a time.")] = 4,
    overwrite: Overwrite = False,
) -> None:
    """Fetch scenes as GeoTIFFs of backscatter on the glacier's grid, ready for monitor run.

    Of Sentinel-2 the clearest pass of summer is fetched, as 14 channels on the same grid.
    """
    from icefront.acquisition.areas import area_of
    from icefront.acquisition.fetch import Settings
    from icefront.acquisition.fetch import acquire as fetch
    from icefront.acquisition.local_products import recipe_of_products
    from icefront.acquisition.search import read_recipe_of_scenes
    from icefront.errors import IcefrontError
    from icefront.files.downloads import readable

    recipes = [path for path in scenes if path.suffix.lower() == ".json"]
    if recipes and len(scenes) > 1:
        raise IcefrontError("Give one recipe at a time, or products without a recipe.")
    if recipes:
        if area is not None:
            raise IcefrontError("The recipe states its area: leave --area out.")
        recipe = read_recipe_of_scenes(recipes[0])
    else:
        if area is None:
            raise IcefrontError("Say with --area which glacier or area of the products is meant.")
        recipe = recipe_of_products(scenes, area_of(area))
    settings = Settings(
        pixel_size_m=pixel_size,
        polarisations=tuple(polarisation.upper().split(",")) if polarisation else (),
        radiometry=_radiometry(radiometry),
        heights=_heights(dem, dem_datum, height),
    )
    done = fetch(recipe, out, settings=settings, workers=workers, overwrite=overwrite)
    for note in done.notes:
        echo(note)
    for failed in done.failed:
        echo(failed.sentence, err=True)
    there = f", {len(done.present)} were there" if done.present else ""
    missing = f", {len(done.failed)} failed: the same command tries again" if done.failed else ""
    echo(f"{len(done.written)} scenes written{there}{missing}; {readable(done.received)} fetched.")
    if any(not path.stem.endswith("_optical") for path in (*done.written, *done.present)):
        echo(f"icefront monitor run {out} --out PROJECT goes on from here.")
    if done.failed:
        raise typer.Exit(1 if done.written or done.present else 2)


def _radiometry(text: str) -> Any:
    from typing import get_args

    from icefront.acquisition.annotations import Radiometry
    from icefront.errors import IcefrontError

    known = get_args(Radiometry)
    if text.lower() not in known:
        raise IcefrontError(f"The radiometry {text!r} is unknown: give {', '.join(known)}.")
    return text.lower()


def _heights(dem: Path | None, datum: str | None, height: float) -> Any:
    from icefront.acquisition.heights import DATUMS, ConstantHeight, ElevationModel
    from icefront.errors import IcefrontError

    if datum is not None and datum not in DATUMS:
        raise IcefrontError(f"The datum {datum!r} is unknown: give {', '.join(DATUMS)}.")
    if dem is None:
        if datum is not None:
            raise IcefrontError("--dem-datum is that of an elevation model: give it with --dem.")
        return ConstantHeight(height)
    return ElevationModel(dem, datum)  # type: ignore[arg-type]


def _tell(found: Any) -> None:
    from rich.table import Table

    from icefront.acquisition.catalogues import PRODUCT_NAMES
    from icefront.files.downloads import readable

    optical = found.product == "s2"
    table = Table(box=None, pad_edge=False)
    last = "cloud %" if optical else "polarisations"
    for title in ("time (UTC)", "satellite", "mode", "orbit", "direction", last):
        table.add_column(title, no_wrap=True)
    for title in ("images", "covered", "size"):
        table.add_column(title, justify="right")
    for one in found.passes[:_MOST_ROWS]:
        first = one.first
        clouds = [item.cloud_percent for item in one.items if item.cloud_percent is not None]
        table.add_row(
            f"{first.start:%Y-%m-%d %H:%M}",
            first.satellite,
            first.mode,
            "" if first.relative_orbit is None else f"{first.relative_orbit:03d}",
            first.direction or "",
            (f"{max(clouds):.0f}" if clouds else "") if optical else "+".join(one.polarisations),
            str(len(one.items)),
            f"{one.covered:.0%}",
            "" if one.size is None else readable(one.size),
        )
    echo_table(table)
    if len(found.passes) > _MOST_ROWS:
        echo(f"… and {len(found.passes) - _MOST_ROWS} more.")
    orbits = {(item.relative_orbit, item.direction) for item in found.items if item.relative_orbit}
    left, bottom, right, top = (side / 1e3 for side in found.area.bounds)
    echo(
        f"{len(found.passes)} passes in {len(found.items)} images of "
        f"{PRODUCT_NAMES[found.product]}, {len(orbits)} orbits, over {found.area.name} "
        f"({right - left:.0f} × {top - bottom:.0f} km), in {found.catalogue.title}."
    )
    for note in found.notes:
        echo(note)


def _day(text: str, option: str) -> dt.date:
    from icefront.errors import IcefrontError

    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise IcefrontError(
            f"{option} {text!r} is no date: write year-month-day, such as 2018-06-02."
        ) from None


def _numbers(text: str | None, option: str) -> tuple[int, ...]:
    from icefront.errors import IcefrontError

    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise IcefrontError(
            f"{option} {text!r} are no whole numbers: give such as 6,7,8."
        ) from None


def _direction(text: str | None) -> Any:
    words = {"asc": "ascending", "desc": "descending", "a": "ascending", "d": "descending"}
    return None if text is None else words.get(text.lower(), text.lower())
