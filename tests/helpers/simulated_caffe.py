"""A small data set in CaFFe's layout, made from smooth random fields, for tests."""

from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from scipy import ndimage

from icefront.zones import ZONE_GREYS

NAMES = (
    "Crane_2002-11-09_ERS_20_2_061",
    "Crane_2003-01-18_ERS_20_1_061",
    "JAC_2009-06-10_TSX_6_1_005",
    "JAC_2010-02-07_TSX_6_1_005",
    "SI_2013-11-08_TSX_7_2_125",
    "SI_2014-12-22_TSX_7_2_125",
)


def make_caffe(root: Path, size: int = 64, names: tuple[str, ...] = NAMES) -> Path:
    """Write images, zones and fronts; the ocean is dark, its border to the ice is the front."""
    for folder in ("sar_images", "zones", "fronts"):
        (root / folder / "train").mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        rng = np.random.default_rng(k)
        column = np.arange(size)
        wobble = ndimage.gaussian_filter1d(rng.normal(0, 30, size), 8, mode="nearest")
        ocean = column[None, :] > size * 0.55 + wobble[:, None]
        zones = np.where(ocean, 3, 2).astype(np.uint8)
        zones[: size // 8] = 1
        zones[-size // 8 :, : size // 8] = 0
        mean = np.array([0, 200, 140, 40])[zones]
        image = np.clip(mean * rng.gamma(6, 1 / 6, zones.shape), 0, 255).astype(np.uint8)
        front = (zones == 3) & ndimage.binary_dilation(zones == 2)
        greys = np.array(ZONE_GREYS, np.uint8)
        Image.fromarray(image).save(root / "sar_images/train" / f"{name}.png")
        Image.fromarray(greys[zones]).save(root / "zones/train" / f"{name}_zones.png")
        Image.fromarray(front.astype(np.uint8) * 255).save(
            root / "fronts/train" / f"{name}_front.png"
        )
    return root


def write_patch(folder: Path, name: str, image: np.ndarray, zones: np.ndarray) -> None:
    """Write a patch and its zone codes as `icefront.datasets.texture_mosaics` reads them."""
    for suffix, array in (("", image), ("_zones", zones)):
        with rasterio.open(
            folder / f"{name}{suffix}.tif",
            "w",
            driver="GTiff",
            width=array.shape[1],
            height=array.shape[0],
            count=1,
            dtype=array.dtype,
        ) as target:
            target.write(array, 1)
