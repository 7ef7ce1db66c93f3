"""Seconds and memory of one Sentinel-1 GRD scene of 1000 by 1000 pixels, by us and by sarsen.

The metadata are genuine (``sentinel1_products`` of the real data), the image is simulated; each way
runs in a process of its own, on one thread.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

SIDE, PIXEL_M = 1_000, 20.0
WINDOW = (6_000, 15_000, 2_600, 2_600)


def _files(folder: Path) -> tuple[Path, Path]:
    return next(folder.glob("*.SAFE")), folder / "dem.tif"


def prepare(name: str) -> None:
    """Write the product and a model of hills of 100 to 500 m on the grid of the scene."""
    import numpy as np
    import rasterio
    from affine import Affine
    from pyproj import Transformer
    from tests.helpers.simulated_grd import IW_ROME, Annotated, simulated_product

    folder = Path(name)
    product = simulated_product(
        IW_ROME, folder, {"VV": lambda lon, lat: 0 * lon + 0.1}, WINDOW, height=300.0, looks=4.4
    )
    annotated = Annotated(next((product / "annotation").glob("*.xml")))
    line, pixel, rows, columns = WINDOW
    centre = annotated.ground(np.array([line + rows / 2]), np.array([pixel + columns / 2]), 300.0)
    x, y = Transformer.from_crs(4326, 32633, always_xy=True).transform(
        *(float(at[0, 0]) for at in centre)
    )
    half = SIDE * PIXEL_M / 2
    transform = Affine(PIXEL_M, 0, x - half, 0, -PIXEL_M, y + half)
    at = np.arange(SIDE) * PIXEL_M
    hills = 300 + 200 * np.sin(at / 900)[None, :] * np.cos(at / 1_100)[:, None]
    with rasterio.open(
        folder / "dem.tif", "w", driver="GTiff", height=SIDE, width=SIDE, count=1,
        dtype="float32", crs="EPSG:32633", transform=transform,
    ) as target:  # fmt: skip
        target.write(hills.astype(np.float32), 1)


def ours(folder: Path) -> None:
    """Calibrate and place the scene by the program."""
    import rasterio
    from pyproj import CRS

    from icefront.acquisition import ElevationModel, grd_backscatter, grd_files
    from icefront.grid import Grid

    product, model = _files(folder)
    with rasterio.open(model) as raster:
        grid = Grid(SIDE, SIDE, CRS.from_epsg(32633), raster.transform, PIXEL_M)
    grd_backscatter(grd_files(product), grid, ElevationModel(model, "ellipsoid"))


def theirs(folder: Path) -> None:
    """Do so by sarsen, β⁰ with its noise."""
    import sarsen

    warnings.simplefilter("ignore")
    product, model = _files(folder)
    sarsen.terrain_correction(
        sarsen.Sentinel1SarProduct(str(product), "IW/VV"), str(model),
        output_urlpath=str(folder / "sarsen.tif"), interp_method="linear", chunks=None,
    )  # fmt: skip


def _measured(way: str, folder: Path) -> tuple[float, float]:
    """Run a way in a process of its own: seconds of processor for the second call, and memory."""
    code = f"from benchmarks.geocoding import timed; timed({way!r}, {str(folder)!r})"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    seconds, megabytes = done.stdout.split()[-2:]
    return float(seconds), float(megabytes)


def timed(way: str, folder: str) -> None:
    """Print seconds of processor and megabytes at most; what is loaded once is not counted."""
    function = {"ours": ours, "theirs": theirs}[way]
    function(Path(folder))
    start = time.process_time()
    function(Path(folder))
    seconds = time.process_time() - start
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)


def run() -> list[dict[str, Any]]:
    """Measure both ways; sarsen where it is installed."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own: what a process took counts as taken by those it starts.
        code = f"from benchmarks.geocoding import prepare; prepare({str(folder)!r})"
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
        for way, title in (("ours", "icefront"), ("theirs", "sarsen")):
            try:
                seconds, megabytes = _measured(way, folder)
            except subprocess.CalledProcessError as error:
                note = error.stderr.strip().splitlines()[-1:]
                rows.append(
                    {"name": f"GRD scene, {title}", "value": float("nan"), "unit": "s",
                     "note": "".join(note)}
                )  # fmt: skip
                continue
            note = f"{megabytes:.0f} MB at most; {SIDE}² pixels of {PIXEL_M:g} m, IW"
            rows.append(
                {"name": f"GRD scene, {title}", "value": seconds, "unit": "s", "note": note}
            )
    return rows
