"""Take the pictures of `docs/viewer.md`: look, correct, and the curve after a correction.

    python docs/screenshots/viewer.py docs/images

simulates a glacier, extracts its fronts, opens the page and draws the true front of the worst date.
With `--project FOLDER` what it made before is used again. Needs Chromium and `icefront[servers]`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import geopandas as gpd
import numpy as np
import shapely
from PIL import Image
from playwright.sync_api import sync_playwright

from icefront.projects.run import run_monitoring
from icefront.simulation.archives import simulate_scenes

SIZE = {"width": 1280, "height": 720}
READY = "body[data-ready=yes][data-image=ready][data-curve]"
VERTICES = 9
GLACIER = "Kronebreen"


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--project", type=Path, help="folder that this program made before")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        made = options.project or Path(scratch) / "made"
        if not (made / "project").exists():
            make_project(made)
        project = Path(scratch) / GLACIER
        shutil.copytree(made / "project", project)
        server = subprocess.Popen(
            [sys.executable, "-m", "icefront", "view", str(project), "--no-browser"],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"XDG_CACHE_HOME": scratch},
        )
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=options.chromium, args=["--no-sandbox"]
                )
                page = browser.new_page(viewport=SIZE, color_scheme="dark")
                page.goto(address)
                take(page, made / "scenes" / GLACIER / "truth.gpkg", options.out)
                browser.close()
        finally:
            server.terminate()
            server.wait()


def make_project(folder: Path) -> None:
    """Simulate scenes of three years and extract their fronts, looked for in the terminus box."""
    scenes = folder / "scenes" / GLACIER
    simulate_scenes(
        scenes, GLACIER, seed=0, start=dt.date(2017, 3, 1), end=dt.date(2020, 2, 1), count=20,
        pixel_m=20.0,
    )  # fmt: skip
    gpd.read_file(scenes / "truth.gpkg", layer="box").to_file(folder / "box.gpkg")
    config = folder / "project.yaml"
    config.write_text("scenes: [scenes]\naoi: box.gpkg\n", "utf-8")
    run_monitoring(config, folder / "project", workers=1)


def take(page: Any, truth: Path, out: Path) -> None:
    """Take the pictures from the page of a project."""
    page.wait_for_selector(READY)
    page.wait_for_timeout(1500)
    number = parse_qs(urlparse(page.url).fragment)["g"][0]
    glacier = page.evaluate(
        f"fetch(`/api/glaciers/{number}${{location.search}}`).then((answer) => answer.json())"
    )
    crs = glacier["crs"]["code"]
    lines = gpd.read_file(truth, layer="fronts").to_crs(crs)
    box = gpd.read_file(truth, layer="box").to_crs(crs).geometry.iloc[0]
    lines = lines.set_geometry(lines.intersection(box))
    page.keyboard.press("w")
    page.wait_for_selector(READY)
    keep(page.screenshot(), out / "viewer_look.webp")
    date = page.inner_text("#chip .date")
    line = lines[lines["date"].astype(str).str[:10] == date].geometry.iloc[0]
    line = max(shapely.get_parts(line), key=shapely.length)
    page.keyboard.press("d")
    for part in np.linspace(0, 1, VERTICES):
        place = line.interpolate(part, normalized=True)
        page.mouse.click(*pixel_of(page, place.x, place.y))
    page.keyboard.press("Enter")
    page.keyboard.press("]")
    keep(page.screenshot(), out / "viewer_correct.webp")
    before = page.get_attribute("body", "data-curve")
    page.click("#save")
    page.fill("#name", "Ada")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"body[data-busy=no]:not([data-curve='{before}'])", timeout=120_000)
    page.wait_for_timeout(1000)
    keep(page.locator("footer").screenshot(), out / "viewer_curve.webp")


def pixel_of(page: Any, x: float, y: float) -> tuple[float, float]:
    """Return where on the screen a place of the map is, by the address of the page."""
    values = parse_qs(urlparse(page.url).fragment)
    middle_x, middle_y, size = (float(values[name][0]) for name in "xyr")
    area = page.locator("#map").bounding_box()
    return (
        area["x"] + area["width"] / 2 + (x - middle_x) / size,
        area["y"] + area["height"] / 2 - (y - middle_y) / size,
    )


def keep(png: bytes, path: Path) -> None:
    """Write a picture as WebP: a third of the size of PNG, and no difference to the eye."""
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").save(path, quality=88, method=6)


if __name__ == "__main__":
    main()
