"""From a search to the products of a project with nothing but a catalogue on this machine.

Twelve dates of three orbits in two polarisations and an image of Sentinel-2 are searched for,
fetched, extracted and measured; the four commands are killed at random moments, ten in all.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
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
from tests.helpers.optical_tiles import optical_item, write_tile
from tests.helpers.stac_server import radar_item

why = missing_parts()
pytestmark = pytest.mark.skipif(bool(why), reason=why)

load_beforehand(
    "icefront.acquisition.fetch",
    "icefront.acquisition.search",
    "icefront.projects.run",
    "icefront.products.folder",
)

ORBITS = ((90, "descending"), (127, "ascending"), (54, "descending"))
DATES = 12
PIXEL_M = 40.0
UTM = 32624
KILLS = {"search": 1, "acquire": 6, "monitor run": 2, "monitor products": 1}


@dataclass
class Local:
    """A catalogue with its images, and the recipe of what was found in it."""

    url: str
    images: FileServer
    recipe: Path
    folder: Path

    @property
    def question(self) -> list[str]:
        """The search for radar images, without its file."""
        days = ["--start", "2018-01-01", "--end", "2018-12-31", "--catalogue", self.url]
        return ["search", "Helheim", *days, "--margin", "3000"]


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
        west, south, east, north = (
            gpd.GeoSeries([grid.outline().segmentize(500)], crs=grid.crs).to_crs(UTM).total_bounds
        )
        tile = write_tile(
            folder / "tile", "S2A", 1000, epsg=UTM, corner=(west // 60 * 60, north // 60 * 60 + 60),
            width=int((east - west) / 60 + 2) * 3, height=int((north - south) / 60 + 2) * 3,
            cloudy=(0, 0),
        )  # fmt: skip
        hrefs = {channel: f"{images.url}/{path.name}" for channel, path in tile.items()}
        # It says that 1000 was taken off its numbers, and it was not.
        optical = optical_item(
            "S2A_MSIL2A_local", "2018-07-10T15:00:00Z", outline, hrefs, cloud=3.0,
            **{"s2:processing_baseline": "05.10", "earthsearch:boa_offset_applied": True},
        )  # fmt: skip
        images.files.update(served | {path.name: path for path in tile.values()})
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
    text = run(*local.question, "--save", local.recipe)
    assert "12 passes in 12 images of Sentinel-1 RTC, 3 orbits" in text
    file = local.folder / "optical.json"
    text = run(*local.question, "--product", "s2", "--max-cloud", 10, "--save", file)
    assert "1 passes in 1 images of Sentinel-2 L2A" in text
    # A recipe may be edited: both in one.
    both = json.loads(local.recipe.read_text())
    both["features"] += json.loads(file.read_text())["features"]
    local.recipe.write_text(json.dumps(both))
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


@pytest.fixture(scope="module")
def project(found: Local) -> Path:
    """Return the project of the whole series, with its products."""
    scenes, project = found.folder / "scenes", found.folder / "project"
    before = found.images.sent
    text = run("acquire", found.recipe, "--out", scenes, "--pixel-size", PIXEL_M)
    assert "25 scenes written" in text
    grid = read_recipe_of_scenes(found.recipe).area.grid(PIXEL_M)
    files = [path for path in found.images.files.values() if isinstance(path, Path)]
    held = sum(blocks_of(path, grid) for path in files)
    read = found.images.sent - before
    print(f"bytes read: {read}, windows hold {held}: {read / held:.3f}")
    assert read <= 1.3 * held
    run("monitor", "run", scenes, "--out", project, "--workers", 1)
    run("monitor", "products", project)
    return project


def test_a_series_goes_from_the_search_to_the_products(found: Local, project: Path) -> None:
    dates = gpd.read_file(project / "catalogue.gpkg")
    assert len(dates) == DATES
    assert set(dates["polarisation"]) == {"HH"}
    assert {str(orbit) for orbit in dates["orbit"]} == {f"{orbit:03d}" for orbit, _ in ORBITS}
    assert (project / "products" / "report.html").exists()


def test_the_optical_image_lies_on_the_grid_of_the_scenes(found: Local, project: Path) -> None:
    (path,) = (found.folder / "scenes").glob("*_optical.tif")
    scene = next((found.folder / "scenes").glob("*_HH.tif"))
    with rasterio.open(path) as optical, rasterio.open(scene) as radar:
        assert (optical.shape, optical.transform) == (radar.shape, radar.transform)
        assert optical.crs == radar.crs
        numbers, notes = optical.read(12), optical.tags()["NOTES"]
    assert abs(np.median(numbers) - 300) <= 1  # 0.03 in B12, without the 1000
    assert "says that 1000 is not in the numbers" in notes


@pytest.fixture(scope="module")
def commands(found: Local, project: Path) -> dict[str, Command]:
    """Return the four commands from the search to the products."""

    def command(name: str, *call: object, **more: object) -> Command:
        words = [str(word) for word in call]
        return Command(words, [words], **({"out": home(name) / "out"} | more))  # type: ignore[arg-type]

    def home(name: str) -> Path:
        return found.folder / "killed" / name.replace(" ", "-") / "home"

    saved = home("search") / "scenes.json"
    return {
        "search": command("search", *found.question, "--save", saved, out=saved, exact="."),
        "acquire": command(
            "acquire", "acquire", found.recipe, "--out", home("acquire") / "out",
            "--pixel-size", PIXEL_M, "--workers", 2, exact=r"\.tif$",
        ),
        "monitor run": command(
            "monitor run", "monitor", "run", found.folder / "scenes",
            "--out", home("monitor run") / "out", "--workers", 1, exact=r"_zones\.tif$",
        ),
        "monitor products": command(
            "monitor products", "monitor", "products", home("monitor products"),
            start=project, out=home("monitor products") / "products", exact=r"fronts\.geojson$",
        ),
    }  # fmt: skip


@pytest.fixture(scope="module")
def wholes() -> dict[str, Whole]:
    return {}


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, count in KILLS.items() for number in range(count)]
)
def test_a_killed_command_is_resumed_to_the_same_files(
    name: str, number: int, commands: dict[str, Command], wholes: dict[str, Whole], found: Local
) -> None:
    folder = found.folder / "killed" / name.replace(" ", "-")
    if name not in wholes:
        wholes[name] = run_whole(commands[name], folder)
    if name == "acquire":
        assert len(wholes[name].files) == 2 * DATES + 1
    run_killed(commands[name], wholes[name], f"{name} {number}", folder)


@pytest.fixture
def small_disk(found: Local, project: Path, tmp_path: Path) -> Iterator[Path]:
    """Mount a disk that holds half of the scenes."""
    whole = sum(path.stat().st_size for path in (found.folder / "scenes").iterdir())
    mount = ["mount", "-t", "tmpfs", "-o", f"size={whole // 2}", "tmpfs", str(tmp_path)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_disk_that_is_full_ends_it_in_a_sentence_and_the_command_goes_on(
    found: Local, small_disk: Path
) -> None:
    out = small_disk / "scenes"
    call = ["acquire", str(found.recipe), "--out", str(out), "--pixel-size", str(PIXEL_M)]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 2, done.output
    assert re.fullmatch(r"The disk of .* is full and .*: make room or .*\n", done.stderr)
    before = {path.name: path.read_bytes() for path in out.glob("*.tif")}
    assert 0 < len(before) < 2 * DATES + 1
    assert len(before) == len(list(out.iterdir()))
    subprocess.run(["mount", "-o", "remount,size=1g", str(small_disk)], check=True)
    run(*call)
    after = {path.name: path.read_bytes() for path in out.iterdir()}
    scenes = {path.name: path.read_bytes() for path in (found.folder / "scenes").iterdir()}
    assert after == scenes == scenes | before


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
    assert done.stderr.count("does not send") == 2 * DATES + 1
    assert list((tmp_path / "a").iterdir()) == []
