"""One polarisation of a genuine Sentinel-1 product by its name, with values of our own."""

import re
import shutil

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint

from icefront.scenes import open_scene
from tests.helpers.paths import DATA

PRODUCT = (
    DATA
    / "sentinel1_products"
    / "stactools"
    / "S1A_EW_GRDM_1SDH_20221130T014342_20221130T014446_046117_058549_BB15"
)
SMALLER = 50

pytestmark = pytest.mark.skipif(not PRODUCT.is_dir(), reason=f"no product at {PRODUCT}")


def small_product(folder):
    """Write the product with every 50th pixel, as if the images were that small."""
    for path in (PRODUCT / "manifest.safe", *PRODUCT.glob("annotation/**/*.xml")):
        copied = folder / path.relative_to(PRODUCT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copied)
    (folder / "measurement").mkdir()
    manifest = (folder / "manifest.safe").read_text()
    short = re.sub(r"s1a-ew-grd-(h[hv])-[\d\-t]+\.(xml|tiff)", r"ew-\1.\2", manifest)
    (folder / "manifest.safe").write_text(short)
    rng = np.random.default_rng(8)
    for polarisation, mean in (("hh", 200), ("hv", 80)):
        annotation = folder / "annotation" / f"ew-{polarisation}.xml"
        text = annotation.read_text().replace(">10487<", ">210<").replace(">10708<", ">215<")
        text = re.sub(r"<(line|pixel)>(\d+)<", lambda m: f"<{m[1]}>{int(m[2]) // SMALLER}<", text)
        points = re.findall(
            r"<line>(\d+)</line>\s*<pixel>(\d+)</pixel>\s*<latitude>([^<]*)</latitude>\s*"
            r"<longitude>([^<]*)<",
            text,
        )
        annotation.write_text(text)
        values = rng.gamma(4, mean / 4, (215, 210)).clip(1, 65535).astype(np.uint16)
        with rasterio.open(
            folder / "measurement" / f"ew-{polarisation}.tiff",
            "w",
            driver="GTiff",
            height=215,
            width=210,
            count=1,
            dtype="uint16",
            crs="EPSG:4326",
            gcps=[
                GroundControlPoint(int(line), int(pixel), float(east), float(north), 0)
                for line, pixel, north, east in points
            ],
        ) as raster:
            raster.write(values, 1)
    return folder


def test_a_polarisation_of_a_product_is_warped_by_its_name(tmp_path):
    product = small_product(tmp_path / "S1A_EW.SAFE")
    name = f"SENTINEL1_CALIB:UNCALIB:{product}/manifest.safe:EW_HV:AMPLITUDE"
    part = open_scene(name, pixel_size_m=20_000)
    alone = open_scene(product / "measurement" / "ew-hv.tiff", pixel_size_m=20_000)
    assert part.polarisation == "HV"
    np.testing.assert_array_equal(part.image, alone.image)
