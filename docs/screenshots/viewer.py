"""Take the pictures of `docs/viewer.md`: look, correct, and the curve after a correction.

    icefront simulate scenes --out scenes/Kronebreen --glacier Kronebreen --start 2017-03-01 \
        --end 2020-02-01 --count 24 --pixel-size 20
    icefront monitor run scenes --out project
    python docs/screenshots/viewer.py project scenes/Kronebreen/truth.gpkg docs/images

The project is copied; the line that is drawn in it is the true front of the date. Needs Chromium
and `icefront[servers]`.
"""

from __future__ import annotations

import argparse
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

SIZE = {"width": 1280, "height": 720}
READY = "body[data-ready=yes][data-image=ready][data-curve]"
VERTICES = 9


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("truth", type=Path, help="GeoPackage with the true fronts and the box")
    parser.add_argument("out", type=Path)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--glacier", default="Kronebreen")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch) / "project"
        shutil.copytree(options.project, project)
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
                take(page, options)
                browser.close()
        finally:
            server.terminate()
            server.wait()


def take(page: Any, options: argparse.Namespace) -> None:
    """Take the pictures from the page of a project."""
    page.wait_for_selector(READY)
    page.click(f"#glaciers button:has-text('{options.glacier}')")
    page.wait_for_selector(READY)
    page.wait_for_timeout(1500)
    truth = gpd.read_file(options.truth, layer="fronts")
    box = gpd.read_file(options.truth, layer="box").geometry.iloc[0]
    truth = truth.set_geometry(truth.intersection(box))
    page.keyboard.press("w")
    page.wait_for_selector(READY)
    keep(page.screenshot(), options.out / "viewer_look.png")
    date = page.inner_text("#chip .date")
    line = truth[truth["date"].astype(str).str[:10] == date].geometry.iloc[0]
    line = max(shapely.get_parts(line), key=shapely.length)
    page.keyboard.press("d")
    for part in np.linspace(0, 1, VERTICES):
        place = line.interpolate(part, normalized=True)
        page.mouse.click(*pixel_of(page, place.x, place.y))
    page.keyboard.press("Enter")
    page.keyboard.press("]")
    keep(page.screenshot(), options.out / "viewer_correct.png")
    before = page.get_attribute("body", "data-curve")
    page.click("#save")
    page.fill("#name", "Ada")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"body[data-busy=no]:not([data-curve='{before}'])", timeout=120_000)
    page.wait_for_timeout(1000)
    keep(page.locator("footer").screenshot(), options.out / "viewer_curve.png")


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
    """Write a picture with 256 colours: a third of the size, and no difference to the eye."""
    with Image.open(io.BytesIO(png)) as image:
        few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(path, optimize=True)


if __name__ == "__main__":
    main()
