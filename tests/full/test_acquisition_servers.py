"""A real catalogue (stac-fastapi, pgstac, PostGIS) with real items; images are served here."""

from __future__ import annotations

import copy
import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import rasterio
from affine import Affine
from moto.server import ThreadedMotoServer
from pyproj import CRS

from icefront.acquisition.areas import Area, area_of
from icefront.acquisition.catalogues import Catalogue, Product, catalogue_named
from icefront.acquisition.fetch import Settings, acquire
from icefront.acquisition.items import passes_of, read_item
from icefront.acquisition.search import Filters, Found, Recipe, search
from icefront.errors import IcefrontError
from icefront.files import downloads
from icefront.grid import Grid
from icefront.scenes.cog import write_cog
from tests.helpers.catalogue_database import catalogue, database, load, missing_parts
from tests.helpers.file_server import FileServer, file_server
from tests.helpers.simulated_grd import simulated_product

why = missing_parts()
pytestmark = pytest.mark.skipif(bool(why), reason=why)

EW = "S1A_EW_GRDM_1SDH_20221130T014342_20221130T014446_046117_058549"
RTC = "S1A_20200103_17RMJ_ASC"
SEVERNAYA_ZEMLYA = area_of("91,79.5", margin_m=8_000)
FLORIDA = Area("Florida", CRS.from_epsg(32617), (405_000.0, 2_840_000.0, 413_000.0, 2_848_000.0))
POWER = 0.08


@pytest.fixture(scope="module")
def images(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes | Path]:
    """Return what the server sends: a simulated EW product, and a tile of terrain-corrected γ⁰."""
    folder = tmp_path_factory.mktemp("images")
    grid = Grid(5490, 5490, CRS.from_epsg(32617), Affine(20, 0, 399960, 0, -20, 2900040), 20.0)
    values = np.zeros(grid.shape, np.float32)
    values[2000:3500, :1500] = POWER
    write_cog(folder / "Gamma0_VV.tif", values, grid, {})
    source = real_data / "sentinel1_products" / "stactools" / f"{EW}_BB15"
    window = (4000, 3500, 3500, 3500)
    product = simulated_product(source, folder, {"HH": lambda x, y: 0 * x + POWER}, window)
    found: dict[str, bytes | Path] = {"rtc/Gamma0_VV.tif": folder / "Gamma0_VV.tif"}
    for path in product.rglob("*.*"):
        if path.is_file():
            found[f"grd/{path.relative_to(product).as_posix()}"] = path
    return found


@pytest.fixture
def server(images, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(downloads, "PAUSE_S", 0.01)
    with file_server(images) as state:
        yield state


def real_items(folder: Path) -> list[dict[str, Any]]:
    """Return the real items; all that is changed is that each names its collection."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("*.json")):
        content = json.loads(path.read_text())
        answer = content.get("response") if isinstance(content, dict) else None
        more = answer.get("features", []) if isinstance(answer, dict) else []
        for one in [content, *more]:
            if not isinstance(one, dict) or one.get("type") != "Feature":
                continue
            try:
                product = read_item(one).product
            except IcefrontError:
                continue
            names = {"rtc": "sentinel-1-rtc", "grd": "sentinel-1-grd", "s2": "sentinel-2-l2a"}
            found[one["id"]] = one | {"collection": names[product]}
    return list(found.values())


@pytest.fixture(scope="module")
def url(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("catalogue")
    with database() as place:
        load(place, real_items(real_data / "catalogue_responses"), folder)
        with catalogue(place, folder / "log.txt") as address:
            yield address


def found(url: str, area: Area, year: int, product: Product | None = None, **filters: Any) -> Found:
    return search(
        area,
        dt.date(year, 1, 1),
        dt.date(year, 12, 31),
        catalogue=catalogue_named(url),
        product=product,
        filters=Filters(**filters),
    )


def at(recipe: Found | Recipe, base: str, prefix: str = "") -> Recipe:
    """Return a recipe whose images lie under another address, by the paths within the product."""
    items = []
    for one in recipe.passes:
        for item in one.items:
            raw = copy.deepcopy(item.raw)
            for asset in raw["assets"].values():
                name = asset["href"].rpartition("/")[2]
                inner = f"grd/measurement/{name}" if item.product == "grd" else f"rtc/{name}"
                asset["href"] = f"{base}/{prefix}{inner}"
            items.append(read_item(raw))
    return Recipe(recipe.area, recipe.catalogue, tuple(passes_of(items, recipe.area)))


def test_real_items_are_found_where_they_lie(url: str) -> None:
    (ew,) = found(url, SEVERNAYA_ZEMLYA, 2022, "grd").passes
    assert (ew.first.id, ew.first.mode, ew.polarisations) == (EW, "EW", ("HH", "HV"))
    (rtc,) = found(url, FLORIDA, 2020).passes
    assert (rtc.first.id, rtc.first.product) == (RTC, "rtc")
    seam = area_of("76.5,-48.05", margin_m=30_000)
    (slices,) = found(url, seam, 2025, "grd").passes
    assert len(slices.items) >= 2
    (optical,) = found(url, area_of("Columbia"), 2019, "s2", max_cloud_percent=1).passes
    assert optical.first.satellite == "S2B"


def test_filters_that_leave_nothing_are_named(url: str) -> None:
    with pytest.raises(IcefrontError, match=r"No scene is left by --mode IW"):
        found(url, SEVERNAYA_ZEMLYA, 2022, "grd", mode="IW")
    with pytest.raises(IcefrontError, match=r"has no Sentinel-1 GRD over Crane"):
        found(url, area_of("Crane"), 2022, "grd")


def test_a_terrain_corrected_tile_is_fetched(url: str, server: FileServer, tmp_path: Path) -> None:
    recipe = at(found(url, FLORIDA, 2020), server.url)
    done = acquire(recipe, tmp_path / "out", settings=Settings(polarisations=("VV",)))
    assert done.failed == ()
    with rasterio.open(done.written[0]) as raster:
        assert np.allclose(raster.read(1), POWER)
        assert raster.tags()["RELATIVE_ORBIT"] == "121"


def test_a_ground_range_product_is_fetched_whatever_its_server_does(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    recipe = at(found(url, SEVERNAYA_ZEMLYA, 2022, "grd"), server.url)
    # The asset of the annotation names the file on interference instead.
    assert "rfi" in recipe.passes[0].first.raw["assets"]["schema-product-hh"]["href"]
    settings = Settings(pixel_size_m=40, polarisations=("HH",))
    calm = acquire(recipe, tmp_path / "calm", settings=settings)
    assert calm.failed == ()
    with rasterio.open(calm.written[0]) as raster:
        values = raster.read(1)
        assert raster.tags()["MODE"] == "EW"
    assert np.isfinite(values).all()
    assert abs(10 * np.log10(np.median(values) / POWER)) < 0.05
    server.status, server.retry_after = [429, 503, 200][:2], "0"
    server.cut_after = [10_000, 0, 77, 200_000]
    server.shorter = 300_000
    rough = acquire(recipe, tmp_path / "rough", settings=settings)
    assert rough.failed == ()
    assert rough.written[0].read_bytes() == calm.written[0].read_bytes()
    server.shorter, server.ranges = 0, False
    whole = acquire(recipe, tmp_path / "whole", settings=settings)
    assert whole.written[0].read_bytes() == calm.written[0].read_bytes()
    server.ranges, server.gone = True, True
    (failed,) = acquire(recipe, tmp_path / "gone", settings=settings).failed
    assert "does not send" in failed.sentence
    assert list((tmp_path / "gone").iterdir()) == []


def test_images_in_a_bucket_are_read_with_keys(
    url: str, images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    try:
        endpoint = "http://{}:{}".format(*store.get_host_and_port())
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
        client.create_bucket(Bucket="eodata")
        for name in ("rtc/Gamma0_VV.tif",):
            client.upload_file(str(images[name]), "eodata", f"deep/{name}")
        plain = at(found(url, FLORIDA, 2020), "s3://eodata", "deep/")
        settings = Settings(polarisations=("VV",))
        for signing in ("s3", "requester-pays"):
            bucket = Catalogue("bucket", "a bucket", url, signing=signing, s3_endpoint=endpoint)
            done = acquire(replace(plain, catalogue=bucket), tmp_path / signing, settings=settings)
            assert done.failed == ()
            with rasterio.open(done.written[0]) as raster:
                assert np.allclose(raster.read(1), POWER)
        client.delete_object(Bucket="eodata", Key="deep/rtc/Gamma0_VV.tif")
        (failed,) = acquire(
            replace(plain, catalogue=bucket), tmp_path / "none", settings=settings
        ).failed
        assert "HTTP 404" in failed.sentence
        assert "Signature" not in failed.sentence
    finally:
        store.stop()
