"""From a search to the products of a project with nothing but a catalogue on this machine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from pyproj import CRS
from typer.testing import CliRunner

from icefront.acquisition.search import read_recipe_of_scenes
from icefront.cli import app
from icefront.files import downloads
from icefront.grid import Grid
from icefront.scenes.cog import write_cog
from icefront.simulation.archives import simulate_scenes
from tests.helpers.catalogue_database import catalogue, database, load, missing_parts
from tests.helpers.file_server import FileServer, file_server
from tests.helpers.kills import (
    Command,
    Whole,
    load_beforehand,
    run_killed,
    run_whole,
)
from tests.helpers.stac_server import radar_item

why = missing_parts()
pytestmark = pytest.mark.skipif(bool(why), reason=why)

load_beforehand("icefront.acquisition.fetch", "icefront.acquisition.search")

ORBITS = ((90, "descending"), (127, "ascending"), (54, "descending"))
DATES = 12
PIXEL_M = 40.0


@dataclass
class Local:
    """A catalogue with its images, and the recipe of what was found in it."""

    url: str
    images: FileServer
    recipe: Path
    folder: Path


def image_of(scene: Path, target: Path, factor: float) -> Grid:
    """Write a simulated scene, in dB, as terrain-corrected power; return where it lies."""
    with rasterio.open(scene) as raster:
        decibel = raster.read(1)
        crs = CRS.from_wkt(raster.crs.to_wkt())
        grid = Grid(raster.height, raster.width, crs, raster.transform, raster.res[0])
    power = np.power(10.0, decibel / 10, dtype=np.float32) * np.float32(factor)
    write_cog(target, np.where(np.isfinite(power), power, np.float32(0)), grid, {})
    return grid


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    folder = tmp_path_factory.mktemp("local")
    simulate_scenes(
        folder / "simulated", "Helheim", count=DATES, start=dt.date(2018, 1, 10),
        end=dt.date(2018, 12, 10), pixel_m=PIXEL_M, progress=False,
    )  # fmt: skip
    (folder / "images").mkdir()
    served: dict[str, bytes | Path] = {}
    items = []
    with file_server() as images:
        for number, scene in enumerate(sorted((folder / "simulated").glob("*.tif"))):
            with rasterio.open(scene) as raster:
                day = raster.tags()["date"]
            orbit, direction = ORBITS[number % len(ORBITS)]
            assets = {}
            for channel, factor in (("hh", 1.0), ("hv", 0.15)):
                name = f"{number}-{channel}.tif"
                grid = image_of(scene, folder / "images" / name, factor)
                served[name] = folder / "images" / name
                assets[channel] = f"{images.url}/{name}"
            outline = gpd.GeoSeries([grid.outline().segmentize(500)], crs=grid.crs).to_crs(4326)[0]
            items.append(
                radar_item(
                    f"S1{'AB'[number % 2]}_scene{number}", f"{day}T20:00:00Z", outline, assets,
                    orbit=orbit, direction=direction,
                )
            )  # fmt: skip
        optical = radar_item(
            "S2A_MSIL2A_local", "2018-07-10T15:00:00Z", outline, {}, collection="sentinel-2-l2a"
        )
        optical["properties"] = {
            "datetime": "2018-07-10T15:00:00Z",
            "platform": "sentinel-2a",
            "s2:product_type": "S2MSI2A",
            "eo:cloud_cover": 3.0,
        }
        optical["assets"] = {"B04": {"href": f"{images.url}/B04.tif"}}
        images.files.update(served)
        with database() as place:
            load(place, [*items, optical], folder)
            with catalogue(place, folder / "log.txt") as url:
                yield Local(url, images, folder / "scenes.json", folder)


def run(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def found(local: Local) -> Local:
    days = ("--start", "2018-01-01", "--end", "2018-12-31", "--catalogue", local.url)
    text = run("search", "Helheim", *days, "--margin", 3000, "--save", local.recipe)
    assert "12 passes in 12 images of Sentinel-1 RTC, 3 orbits" in text
    optical = run("search", "Helheim", *days, "--product", "s2", "--max-cloud", 10)
    assert "1 passes in 1 images of Sentinel-2 L2A" in optical
    return local


def blocks_of(path: Path, grid: Grid) -> int:
    """Return the bytes of the blocks of an image that show a grid."""
    with rasterio.open(path) as raster:
        box = gpd.GeoSeries([grid.outline().segmentize(500)], crs=grid.crs).to_crs(raster.crs)[0]
        columns, rows = ~raster.transform * tuple(map(np.array, box.exterior.xy))
        height, width = raster.block_shapes[0]
        top, left = (
            max(0, int(axis.min()) // size) for axis, size in ((rows, height), (columns, width))
        )
        bottom = min(raster.height - 1, int(rows.max())) // height
        right = min(raster.width - 1, int(columns.max())) // width
        return sum(
            int(raster.get_tag_item(f"BLOCK_SIZE_{column}_{row}", "TIFF", bidx=1) or 0)
            for row in range(top, bottom + 1)
            for column in range(left, right + 1)
        )


def test_a_series_goes_from_the_search_to_the_products(found: Local) -> None:
    scenes, project = found.folder / "scenes", found.folder / "project"
    before = found.images.sent
    text = run("acquire", found.recipe, "--out", scenes, "--pixel-size", PIXEL_M)
    assert "24 scenes written" in text
    grid = read_recipe_of_scenes(found.recipe).area.grid(PIXEL_M)
    held = sum(blocks_of(path, grid) for path in sorted((found.folder / "images").glob("*.tif")))
    read = found.images.sent - before
    print(f"bytes read: {read}, windows hold {held}: {read / held:.3f}")
    assert read <= 1.3 * held
    run("monitor", "run", scenes, "--out", project, "--workers", 1)
    run("monitor", "products", project)
    dates = gpd.read_file(project / "catalogue.gpkg")
    assert len(dates) == DATES
    assert set(dates["polarisation"]) == {"HH"}
    assert {str(orbit) for orbit in dates["orbit"]} == {f"{orbit:03d}" for orbit, _ in ORBITS}
    assert (project / "products" / "report.html").exists()


@pytest.fixture(scope="module")
def command(found: Local) -> Command:
    out = found.folder / "killed" / "home" / "out"
    call = ["acquire", str(found.recipe), "--out", str(out), "--pixel-size", str(PIXEL_M)]
    call += ["--workers", "2"]
    return Command(call, [call], out, exact=r"\.tif$")


@pytest.fixture(scope="module")
def whole(command: Command, found: Local) -> Whole:
    return run_whole(command, found.folder / "killed")


@pytest.mark.parametrize("number", range(10))
def test_a_killed_run_is_resumed_to_the_same_files(
    number: int, command: Command, whole: Whole, found: Local
) -> None:
    assert len(whole.files) == 2 * DATES
    run_killed(command, whole, f"acquire {number}", found.folder / "killed")


def test_a_catalogue_that_goes_away_is_told(
    found: Local, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(downloads, "PAUSE_S", 0.0)
    found.images.gone = True
    try:
        done = CliRunner().invoke(app, ["acquire", str(found.recipe), "--out", str(tmp_path / "a")])
    finally:
        found.images.gone = False
    assert done.exit_code == 2
    assert done.stderr.count("does not send") == 2 * DATES
    assert list((tmp_path / "a").iterdir()) == []
