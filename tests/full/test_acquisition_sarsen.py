"""The terrain correction beside that of another program: sarsen with xarray-sentinel."""

import warnings

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS, Transformer
from skimage.registration import phase_cross_correlation

from icefront.acquisition import ElevationModel, grd_backscatter, grd_files
from icefront.grid import Grid
from tests.helpers.simulated_grd import IW_ROME, PRODUCTS, Annotated, simulated_product

sarsen = pytest.importorskip("sarsen", reason="sarsen is not installed (extra servers)")

pytestmark = pytest.mark.skipif(not PRODUCTS.is_dir(), reason=f"no products at {PRODUCTS}")

CODE, SIDE, PIXEL_M = 32633, 300, 20.0
WINDOW = (6_000, 15_000, 1_400, 1_400)


def test_places_and_levels_are_those_of_sarsen(tmp_path):
    """On hills of 100 to 500 m, in β⁰ with its noise, which is what sarsen gives."""
    to_map = Transformer.from_crs(4326, CODE, always_xy=True)

    def hills(x, y):
        return 300 + 200 * np.sin(x / 900) * np.cos(y / 1_100)

    def pattern(x, y):
        return 10 ** ((-12 + 5 * np.sin(x / 400) + 5 * np.cos(y / 300)) / 10)

    product = simulated_product(
        IW_ROME,
        tmp_path,
        {"VV": lambda lon, lat: pattern(*to_map.transform(lon, lat))},
        WINDOW,
        height=lambda lon, lat: hills(*to_map.transform(lon, lat)),
    )
    annotated = Annotated(next((product / "annotation").glob("*.xml")))
    line, pixel, rows, columns = WINDOW
    centre = annotated.ground(np.array([line + rows / 2]), np.array([pixel + columns / 2]), 300.0)
    x, y = to_map.transform(*(float(at[0, 0]) for at in centre))
    half = SIDE * PIXEL_M / 2
    transform = Affine(PIXEL_M, 0, x - half, 0, -PIXEL_M, y + half)
    grid = Grid(SIDE, SIDE, CRS.from_epsg(CODE), transform, PIXEL_M)
    x, y = grid.xy(np.arange(SIDE)[:, None], np.arange(SIDE)[None, :])
    model = tmp_path / "dem.tif"
    with rasterio.open(
        model, "w", driver="GTiff", height=SIDE, width=SIDE, count=1, dtype="float32",
        crs=f"EPSG:{CODE}", transform=transform,
    ) as target:  # fmt: skip
        target.write(np.broadcast_to(hills(x, y), grid.shape).astype(np.float32), 1)
    ours = grd_backscatter(
        grd_files(product), grid, ElevationModel(model, "ellipsoid"), "beta0", remove_noise=False
    ).values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = sarsen.terrain_correction(
            sarsen.Sentinel1SarProduct(str(product), "IW/VV"),
            str(model),
            output_urlpath=str(tmp_path / "sarsen.tif"),
            interp_method="linear",
            chunks=None,
        )
    theirs = theirs.sortby("y", ascending=False).to_numpy()
    inner = np.s_[40:-40, 40:-40]
    ratio = 10 * np.log10(ours[inner] / theirs[inner])
    assert abs(np.median(ratio)) < 0.05
    # xarray-sentinel interpolates the polynomials to ground range in time: some metres.
    shift, _, _ = phase_cross_correlation(
        np.log(theirs[inner]), np.log(ours[inner]), upsample_factor=50, normalization=None
    )
    assert np.abs(shift).max() < 0.3
    truth = np.log(pattern(x, y))[inner]
    shift, _, _ = phase_cross_correlation(
        truth, np.log(ours[inner]), upsample_factor=50, normalization=None
    )
    assert np.abs(shift).max() < 0.05
