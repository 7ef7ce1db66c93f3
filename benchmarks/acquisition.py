"""Fetching scenes from a server on this machine: seconds and megabytes a scene of 1000² pixels.

The image is terrain-corrected backscatter in UTM of 3000² pixels of 20 m; the scene is reprojected
to polar stereographic. Seconds are those of this process's processor, the server's part in it
included. A search is one of a thousand items, which a catalogue on this machine sends in pages.
"""

from __future__ import annotations

import datetime as dt
import resource
import tempfile
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from pyproj import CRS
from tests.helpers.file_server import file_server
from tests.helpers.optical_tiles import optical_item, write_tile
from tests.helpers.stac_server import radar_item, stac_server

from icefront.acquisition.areas import Area
from icefront.acquisition.catalogues import Catalogue, catalogue_named
from icefront.acquisition.fetch import acquire
from icefront.acquisition.items import passes_of, read_item
from icefront.acquisition.search import Recipe, search
from icefront.grid import Grid
from icefront.scenes.cog import write_cog

SCENES = 4
AREA = Area("Helheim", CRS.from_epsg(3413), (300_000.0, -2_590_000.0, 320_000.0, -2_570_000.0))


def run() -> list[dict]:
    return [*_fetching(), *_fetching_optical(), *_searching()]


def _fetching() -> list[dict]:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder, file_server() as server:
        grid = Grid(3000, 3000, CRS.from_epsg(32624), Affine(20, 0, 505e3, 0, -20, 7_390e3), 20.0)
        values = rng.gamma(4, 0.05, grid.shape).astype(np.float32)
        path = Path(folder, "hh.tif")
        write_cog(path, values, grid, {})
        server.files["hh.tif"] = path.read_bytes()
        items = [
            radar_item(
                f"S1A_{number}",
                f"2018-06-{number + 1:02d}T20:00:00Z",
                AREA.outline.buffer(0.5),
                {"hh": f"{server.url}/hh.tif"},
            )
            for number in range(SCENES)
        ]
        passes = passes_of([read_item(item) for item in items], AREA)
        recipe = Recipe(AREA, Catalogue("local", "local", server.url), tuple(passes))
        begun, used = time.perf_counter(), time.process_time()
        done = acquire(recipe, Path(folder, "out"), workers=1, progress=False)
        wall, cpu = time.perf_counter() - begun, time.process_time() - used
        assert len(done.written) == SCENES
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    note = f"{'×'.join(map(str, AREA.grid(20).shape))} pixels, bar: 4 s on one core"
    return [
        {"name": "RTC scene, processor", "value": cpu / SCENES, "unit": "s", "note": note},
        {"name": "RTC scene, wall clock", "value": wall / SCENES, "unit": "s", "note": note},
        {
            "name": "RTC scene, fetched",
            "value": done.received / SCENES / 1e6,
            "unit": "MB",
            "note": "float32, deflate; speckle does not compress",
        },
        {"name": "memory at the peak", "value": memory, "unit": "MB", "note": "of the process"},
    ]


def _fetching_optical() -> list[dict]:
    """Choose between two passes of Sentinel-2, and fetch 14 channels of one."""
    with tempfile.TemporaryDirectory() as folder, file_server() as server:
        area = gpd.GeoSeries([AREA.box], crs=AREA.crs).to_crs(32624).total_bounds
        items = []
        for number, cloudy in enumerate([(300, 900), (0, 0)]):
            name = f"S2A_{number}"
            tile = write_tile(
                Path(folder, "tiles"), name, 0, corner=(area[0] // 60 * 60, area[3] // 60 * 60),
                width=1500, height=1500, cloudy=cloudy,
            )  # fmt: skip
            server.files.update({path.name: path for path in tile.values()})
            hrefs = {channel: f"{server.url}/{path.name}" for channel, path in tile.items()}
            outline = AREA.outline.buffer(0.5)
            day = f"2018-07-{number + 3:02d}T15:00:00Z"
            items.append(optical_item(name, day, outline, hrefs))
        passes = passes_of([read_item(item) for item in items], AREA)
        recipe = Recipe(AREA, Catalogue("local", "local", server.url), tuple(passes))
        begun, used = time.perf_counter(), time.process_time()
        done = acquire(recipe, Path(folder, "out"), workers=1, progress=False)
        wall, cpu = time.perf_counter() - begun, time.process_time() - used
        assert [path.name[8:18] for path in done.written] == ["2018-07-04"], done
    note = "one of two passes, 14 channels of 1000×1000 pixels"
    return [
        {"name": "Sentinel-2, processor", "value": cpu, "unit": "s", "note": note},
        {"name": "Sentinel-2, wall clock", "value": wall, "unit": "s", "note": note},
        {"name": "Sentinel-2, fetched", "value": done.received / 1e6, "unit": "MB", "note": note},
    ]


def _searching() -> list[dict]:
    first = dt.datetime(2018, 1, 1)
    items = [
        radar_item(
            f"S1A_{number}",
            f"{first + dt.timedelta(hours=8 * number):%Y-%m-%dT%H:%M:%SZ}",
            shapely.box(-40, 65, -36, 68),
            {"hh": "https://example.org/hh.tif"},
        )
        for number in range(1000)
    ]
    with stac_server(*items) as server:
        begun, used = time.perf_counter(), time.process_time()
        found = search(
            AREA,
            first.date(),
            dt.date(2019, 12, 31),
            catalogue=catalogue_named(server.url),
            progress=False,
        )
        wall, cpu = time.perf_counter() - begun, time.process_time() - used
    assert len(found.passes) == 1000
    note = "a thousand scenes, bar: 10 s"
    return [
        {"name": "search, processor", "value": cpu, "unit": "s", "note": note},
        {"name": "search, wall clock", "value": wall, "unit": "s", "note": note},
    ]
