"""A small archive in SSL4SAR's layout, made from smooth random fields, for tests."""

from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin
from scipy import ndimage

GLACIERS = ("Alpha", "Beta", "Gamma")
SHAPE = (96, 88)


def write_raster(path: Path, values: np.ndarray, *, west: float = 500_000.0) -> None:
    """Write (bands, H, W) on a grid of 20 m."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=values.shape[1],
        width=values.shape[2],
        count=values.shape[0],
        dtype=values.dtype.name,
        crs="EPSG:32633",
        transform=from_origin(west, 8_700_000, 20, 20),
    ) as target:
        target.write(values)


def ground(seed: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Return what both sensors see, float64 (H, W) in 0..1."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 6)
    return (field - field.min()) / (field.max() - field.min())


def optical_of(field: np.ndarray, bands: int = 14) -> np.ndarray:
    """Return channels that follow from the ground, uint8 (bands, H, W), each up to 255."""
    powers = np.linspace(0.5, 2.5, bands)[:, None, None]
    return np.rint(255 * field[None] ** powers).astype(np.uint8)


def make_ssl4sar(
    root: Path,
    glaciers: tuple[str, ...] = GLACIERS,
    images: int = 4,
    shape: tuple[int, int] = SHAPE,
) -> Path:
    """Write a series and an optical image of each glacier; the last image is for validation."""
    for number, glacier in enumerate(glaciers):
        field = ground(number, shape)
        write_raster(root / "data_optical" / f"{glacier}_S2_2018-07-25.tif", optical_of(field))
        rng = np.random.default_rng(100 + number)
        for day in range(images):
            part = "val" if day == images - 1 else "train"
            speckle = rng.gamma(6, 1 / 6, shape)
            grey = np.clip((30 + 160 * (1 - field)) * speckle, 1, 255).astype(np.uint8)
            name = f"S1_{glacier}_2018-0{day + 1}-10.tif"
            write_raster(root / f"unlabeled_data_raw_{part}" / name, grey[None])
    return root
