"""The viewer on a project of 20 glaciers and 1,000 fronts: page, change of scene, tiles.

The server is a process of its own, and it and this one share one core. What a person waits for is
measured in a headless Chromium, which has all cores, where it and Playwright are installed.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import rasterio
import shapely
from affine import Affine
from pyproj import CRS

from icefront.grid import Grid
from icefront.projects.catalogue import DONE, LAYER, OWN, blob_of, create, scene_folder
from icefront.projects.probabilities import SUFFIX, write_probabilities

GLACIERS, DATES = 20, 50
SIDE_PX, PIXEL_M = 2_560, 10.0
"""Of each scene: 25.6 km."""
LATTICE_M = 50.0
VERTICES = 150
REPEATS = 60
CHROMIUM = Path("/usr/bin/chromium")
SCREEN = {"width": 1280, "height": 720}
CHANGES = 12
"""Scenes that the browser goes through, to and fro."""
MAP_TILES = (5, 3)
"""Tiles that cover the map of the page on a screen of 1280 × 720."""


def simulate_project(folder: Path) -> None:
    """Write a project whose glaciers have one image each, under a name for each date."""
    rng = np.random.default_rng(0)
    across = np.linspace(-4_000.0, 4_000.0, VERTICES)
    days = np.datetime64("2015-01-05") + 36 * np.arange(DATES)
    (folder / "originals").mkdir()
    with create(folder, CRS.from_epsg(3413)) as catalogue, catalogue.writing():
        for number in range(GLACIERS):
            glacier = f"Glacier {number:02d}"
            left, top = -256_000.0 + 41_000 * number, -2_252_800.0
            image = folder / "originals" / f"{number}.tif"
            _write_image(image, left, top, rng)
            digest = hashlib.sha256(image.read_bytes()).hexdigest()
            kept = scene_folder(folder, glacier)
            kept.mkdir(parents=True)
            zones = kept / f"zones_{number}.tif"
            _write_zones(zones, left, top)
            for k, day in enumerate(days):
                name = f"scene_{number:02d}_{k:03d}"
                os.link(image, folder / "originals" / f"{name}.tif")
                os.link(zones, kept / f"{name}{SUFFIX}")
                x = left + 12_800 - 8 * k + np.cumsum(rng.normal(0, 8, VERTICES))
                line = shapely.linestrings(np.stack([x, across[::-1] + top - 12_800], axis=1))
                catalogue.insert(
                    {
                        "scene": name, "glacier": glacier, "date": str(day), "sensor": "S1",
                        "source": OWN, "state": DONE, "path": f"{folder}/originals/{name}.tif",
                        "name": name, "settings": "0", "size_bytes": image.stat().st_size,
                        "sha256": digest, "pixel_size_m": PIXEL_M, "model_pixel_size_m": LATTICE_M,
                        "length_m": line.length, "uncertainty_m": 40.0, "flag": "good",
                        "model": "made", "finished": "2026-01-01T00:00:00.000Z",
                        "geom": blob_of(line, 3413),
                    }
                )  # fmt: skip


def _write_image(path: Path, left: float, top: float, rng: np.random.Generator) -> None:
    grey = rng.gamma(4, 30, (SIDE_PX, SIDE_PX)).clip(0, 255).astype(np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", width=SIDE_PX, height=SIDE_PX, count=1, dtype="uint8",
        crs="EPSG:3413", transform=Affine(PIXEL_M, 0, left, 0, -PIXEL_M, top),
    ) as raster:  # fmt: skip
        raster.write(grey, 1)


def _write_zones(path: Path, left: float, top: float) -> None:
    count = int(SIDE_PX * PIXEL_M / LATTICE_M)
    values = np.zeros((4, count, count), np.uint8)
    values[2, :, : count // 2] = values[3, :, count // 2 :] = 255
    crs = CRS.from_epsg(3413)
    grid = Grid(count, count, crs, Affine(LATTICE_M, 0, left, 0, -LATTICE_M, top), LATTICE_M)
    write_probabilities(path, values, grid, {})


class Server:
    """The command as a user starts it, on one core."""

    def __init__(self, project: Path, home: Path) -> None:
        core = {min(os.sched_getaffinity(0))}
        os.sched_setaffinity(0, core)
        begin = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "icefront", "view", str(project), "--no-browser"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_CACHE_HOME": str(home), "OMP_NUM_THREADS": "1"},
        )
        assert self.process.stdout is not None
        address = self.process.stdout.readline().strip()
        self.started_s = time.perf_counter() - begin
        self.address = address
        place, self.token = address.removeprefix("http://").split("/?token=")
        self.connection = http.client.HTTPConnection(place)

    def get(self, path: str) -> tuple[bytes, float]:
        """Return an answer and the milliseconds that it took."""
        begin = time.perf_counter()
        self.connection.request("GET", path, headers={"X-Icefront-Token": self.token})
        answer = self.connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (path, answer.status, body[:200])
        return body, 1e3 * (time.perf_counter() - begin)

    def json(self, path: str) -> tuple[dict, float]:
        body, took = self.get(path)
        return json.loads(body), took


def tiles_of(glacier: dict, scene: dict, z: int) -> list[str]:
    """Return the addresses of the tiles that a map shows in the middle of a glacier."""
    tiles = glacier["tiles"]
    side = tiles["size"] * tiles["resolutions"][z]
    left, bottom, right, top = glacier["extent"]
    x, y = int((left + right) / 2 // side), int(-(bottom + top) / 2 // side)
    return [
        tiles["scenes"].format(scene=scene["id"], v=scene["v"], z=z, x=x + i, y=y + j)
        for i in range(-(MAP_TILES[0] // 2), MAP_TILES[0] // 2 + 1)
        for j in range(-(MAP_TILES[1] // 2), MAP_TILES[1] // 2 + 1)
    ]


def run() -> list[dict]:
    rows = []

    def add(name: str, value: float, unit: str = "ms", note: str = "") -> None:
        rows.append({"name": name, "value": value, "unit": unit, "note": note})

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "project"
        folder.mkdir()
        simulate_project(folder)
        own_cores = os.sched_getaffinity(0)
        server = Server(folder, Path(scratch))
        try:
            add("start of the command", 1e3 * server.started_s)
            first = {}
            page = sum(server.get(f"/assets/{server.token}/{name}")[1] for name in page_files())
            page += server.get("/")[1]
            project, first["glaciers"] = server.json("/api/project")
            number = project["glaciers"][3]["id"]
            glacier, first["one glacier"] = server.json(f"/api/glaciers/{number}")
            for name, took in {"files of the page": page, **first}.items():
                add(name, took, note="first time")
            total = page + sum(first.values())
            fronts = sum(known["fronts"] for known in project["glaciers"])
            add("all that the page needs", total, note=f"{fronts} fronts; the bar is 2 s")
            _, took = server.json(f"/api/glaciers/{number}/curve")
            add("curve and grades of a glacier", took, note="first time")
            _, took = server.json(f"/api/glaciers/{number}/walls")
            add("walls of a glacier", took, note="first time")
            scenes, finest = glacier["scenes"], len(glacier["tiles"]["resolutions"]) - 1
            _, took = server.get(tiles_of(glacier, scenes[0], finest)[7])
            add("first tile of a scene", took, note=f"its picture of {SIDE_PX}² px is made")
            for scene in scenes[:3]:
                server.get(tiles_of(glacier, scene, finest)[7])
            while None in to_review(server):
                time.sleep(0.5)  # what is computed in the background
            native = [
                server.get(path)[1]
                for _ in range(REPEATS // 15)
                for path in tiles_of(glacier, scenes[0], finest)
            ]
            add("native tile, median", float(np.median(native)), note="the bar is 10 ms")
            out = [server.get(tiles_of(glacier, scenes[0], 0)[7])[1] for _ in range(REPEATS)]
            add("tile zoomed out, median", float(np.median(out)), note="the bar is 60 ms")
            zones = []
            for path in tiles_of(glacier, scenes[0], finest):
                zoned = path.replace("/api/tiles/", "/api/zones/")
                zones.append(server.get(zoned)[1])
            add("native tile of zones, median", float(np.median(zones)))
            changes = [
                sum(server.get(path)[1] for path in tiles_of(glacier, scene, finest))
                for _ in range(4)
                for scene in scenes[:3]
            ]
            note = f"{MAP_TILES[0]} × {MAP_TILES[1]} native tiles; the bar is 300 ms"
            add("change of scene, median", float(np.median(changes)), note=note)
            add("change of scene, worst", max(changes), note=f"of {len(changes)}")
            os.sched_setaffinity(0, own_cores)
            rows += in_browser(server, number)
        finally:
            server.process.kill()
            server.process.wait()
            os.sched_setaffinity(0, own_cores)
        add("catalogue", (folder / "catalogue.gpkg").stat().st_size / 1e6, "MB", LAYER)
    return rows


WATCH = """
window.moments = {};
new MutationObserver(() => {
  const seen = document.body?.dataset ?? {};
  const note = (name) => { window.moments[name] ??= performance.now(); };
  if (seen.ready === "yes") note("controls");
  if (seen.ready === "yes" && seen.image === "ready") note("image");
  if (seen.ready === "yes" && seen.curve) note("curve");
}).observe(document, { subtree: true, attributes: true });
"""

CHANGE = """(key) => new Promise((resolve) => {
  const { body } = document, before = body.dataset.scene, start = performance.now();
  const watch = new MutationObserver(() => {
    if (body.dataset.scene === before || body.dataset.image !== "ready") return;
    watch.disconnect();
    resolve(performance.now() - start);
  });
  watch.observe(body, { attributes: true });
  body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
})"""


def in_browser(server: Server, number: int) -> list[dict]:
    """Measure what a person waits for before the page."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("Not measured in a browser: Playwright is not installed (pip install playwright).")
        return []
    if not CHROMIUM.exists():
        print(f"Not measured in a browser: there is no {CHROMIUM} (Debian's package chromium).")
        return []
    rows = []

    def add(name: str, value: float, unit: str = "ms", note: str = "") -> None:
        rows.append({"name": f"browser: {name}", "value": value, "unit": unit, "note": note})

    address = f"{server.address}#g={number}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        browser.new_page().close()
        first = _opened(browser, address)
        note = "nothing was asked of this scene before: its picture is made"
        add("first look", first.evaluate("window.moments.image"), note=note)
        for _ in range(CHANGES):
            first.evaluate(CHANGE, "ArrowLeft")
        first.context.close()
        time.sleep(2)  # until its processes are gone, and with them their times
        begin = cpu_s()
        page = _opened(browser, address)
        used = cpu_s() - begin
        moments = page.evaluate("window.moments")
        note = "scene, fronts and controls; nothing in the browser's cache; bar 2 s"
        add("page usable", moments["image"], note=note)
        add("controls and fronts", moments["controls"])
        add("curve and grades", moments["curve"], note="of the glacier that is shown")
        add("page usable, processor", 1e3 * used, note="browser and server together")
        # The pictures are there now, but this browser has seen none of them.
        begin = cpu_s()
        new = [page.evaluate(CHANGE, "ArrowLeft") for _ in range(CHANGES)]
        used = (cpu_s() - begin) / CHANGES
        add("change of scene, median", float(np.median(new)), note="keys at once; bar 300 ms")
        add("change of scene, worst", max(new), note=f"of {CHANGES}")
        add("change of scene, processor", 1e3 * used, note="browser and server together")
        again = [page.evaluate(CHANGE, "ArrowRight") for _ in range(CHANGES)]
        add("the same back, median", float(np.median(again)), note="tiles that were seen before")
        browser.close()
    add("load of the machine", os.getloadavg()[0], "", f"{os.cpu_count()} cores")
    return rows


def _opened(browser: Any, address: str) -> Any:
    """Open the page in a browser without a cache."""
    page = browser.new_context(viewport=SCREEN).new_page()
    page.set_default_timeout(120_000)
    page.add_init_script(WATCH)
    page.goto(address)
    page.wait_for_selector("body[data-ready=yes][data-image=ready][data-curve]")
    return page


def cpu_s() -> float:
    """Return seconds of processor of the server and of the browser with all its processes."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def to_review(server: Server) -> list[int | None]:
    return [known["to_review"] for known in server.json("/api/project")[0]["glaciers"]]


def page_files() -> list[str]:
    from icefront.viewer.application import MEDIA_TYPES, PAGE

    files = [path for path in PAGE.rglob("*") if path.suffix in (".js", ".css", ".svg")]
    assert all(path.suffix in MEDIA_TYPES for path in files)
    return [str(path.relative_to(PAGE)) for path in files]
