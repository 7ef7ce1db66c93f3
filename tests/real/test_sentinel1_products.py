"""GRD products: genuine metadata, images of known scenes, and readings by other ways."""

import datetime as dt
import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS, Transformer
from rasterio.windows import Window
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from icefront.acquisition import ConstantHeight, ElevationModel, grd_backscatter, grd_files
from icefront.acquisition.annotations import read_annotation
from icefront.acquisition.areas import area_of
from icefront.acquisition.heights import geoid_height
from icefront.acquisition.local_products import recipe_of_products
from icefront.acquisition.orbits import earth_fixed
from icefront.errors import IcefrontError
from icefront.grid import Grid
from tests.helpers.simulated_grd import (
    EW,
    IW,
    IW_ROME,
    PRODUCTS,
    STRIPMAP,
    Annotated,
    calibration_at,
    simulated_product,
)

pytestmark = pytest.mark.skipif(not PRODUCTS.is_dir(), reason=f"no products at {PRODUCTS}")


def grid_about(longitude, latitude, crs, pixel_m, side):
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(longitude, latitude)
    half = side * pixel_m / 2
    return Grid(
        side, side, CRS.from_epsg(crs), Affine(pixel_m, 0, x - half, 0, -pixel_m, y + half), pixel_m
    )


def centre_of(product, window, height):
    annotated = Annotated(next((product / "annotation").glob("*.xml")))
    line, pixel, rows, columns = window
    longitude, latitude = annotated.ground(
        np.array([line + rows / 2]), np.array([pixel + columns / 2]), height
    )
    return float(longitude[0, 0]), float(latitude[0, 0])


@pytest.mark.parametrize(
    ("product", "range_m"), [(IW, 0.2), (IW_ROME, 0.2), (STRIPMAP, 0.2), (EW, 0.2)]
)
def test_places_are_where_the_geolocation_grid_says(product, range_m):
    path = next((product / "annotation").glob("*.xml"))
    annotation, grid = read_annotation(path.read_bytes()), Annotated(path).grid
    places = earth_fixed(grid.longitude, grid.latitude, grid.height)
    seconds, slant_range = annotation.orbit.look(places, 0.0)
    off = (annotation.pixels(seconds, slant_range) - grid.pixel) * annotation.spacing_m[1]
    assert np.abs(off).max() < range_m
    # Points are given at whole lines, times to the microsecond: less than a tenth of a line.
    assert np.abs(seconds - grid.seconds).max() < 0.1 * annotation.line_s


LEVELS_DB = np.array([-24.0, -18.0, -12.0, -6.0, 0.0])


def levels(longitude, latitude):
    """Return bands of known σ⁰, 0.02° of latitude each."""
    band = np.floor(latitude / 0.02).astype(int) % len(LEVELS_DB)
    return 10 ** (LEVELS_DB[band] / 10)


@pytest.mark.parametrize(
    ("source", "polarisation", "window", "crs", "pixel_m"),
    [
        (IW, "VH", (8_000, 8_400, 1_000, 900), 32631, 20.0),  # where IW1 meets IW2
        (STRIPMAP, "HH", (5_000, 3_000, 1_000, 1_000), 32632, 20.0),
        (EW, "HV", (1_000, 2_800, 600, 600), 3413, 40.0),  # where noise vectors are ragged
    ],
)
def test_levels_come_back(tmp_path, source, polarisation, window, crs, pixel_m):
    longitude, latitude = centre_of(source, window, 0.0)
    sea = float(geoid_height(np.array([longitude]), np.array([latitude]))[0])
    product = simulated_product(source, tmp_path, {polarisation: levels}, window, height=sea)
    side = int(0.6 * min(window[2], window[3]) * (10 if pixel_m < 40 else 40) / pixel_m)
    grid = grid_about(longitude, latitude, crs, pixel_m, side)
    result = grd_backscatter(grd_files(product, polarisation), grid, ConstantHeight())
    assert result.covered == 1
    assert result.facts.polarisation == polarisation
    x, y = grid.xy(np.arange(side)[:, None], np.arange(side)[None, :])
    lonlat = Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    truth = levels(*lonlat)
    # Away from the steps between bands.
    inner = np.abs(lonlat[1] / 0.02 - np.rint(lonlat[1] / 0.02)) > 0.05
    found, counts = np.unique(truth[inner], return_counts=True)
    assert (counts > 2_000).sum() >= 3
    for level in found[counts > 2_000]:
        power = result.values[inner & (truth == level)].mean(dtype=float)
        assert abs(10 * np.log10(power / level)) < 0.05


@pytest.mark.parametrize(("radiometry", "name"), [("beta0", "betaNought"), ("gamma0", "gamma")])
def test_other_radiometries_differ_by_their_tables(tmp_path, radiometry, name):
    window = (8_000, 8_400, 300, 300)
    centre = centre_of(IW, window, 0.0)
    product = simulated_product(IW, tmp_path, {"VV": lambda x, y: 0 * x + 0.1}, window)
    grid = grid_about(*centre, 32631, 20.0, 50)
    files = grd_files(product, "VV")
    sigma, other = (
        grd_backscatter(files, grid, ConstantHeight(), r) for r in ("sigma0", radiometry)
    )
    (table,) = (product / "annotation/calibration").glob("calibration-*-vv-*.xml")
    here = np.array([8_150]), np.array([8_550])
    expected = calibration_at(table, "sigmaNought", *here) / calibration_at(table, name, *here)
    ratio = np.median(other.values / sigma.values)
    assert ratio == pytest.approx(float(expected[0, 0]) ** 2, rel=2e-3)


def front_of(values, level):
    """Return the column at which each row falls below a level, between pixels."""
    smooth = ndimage.uniform_filter1d(values, 15, axis=0)
    below = smooth < level
    columns = np.array([np.flatnonzero(~row)[-1] for row in below])
    rows = np.arange(len(values))
    upper, lower = smooth[rows, columns], smooth[rows, columns + 1]
    return columns + (upper - level) / (upper - lower)


@pytest.mark.parametrize(("source", "relief_m"), [(IW, 0.0), (IW_ROME, 800.0)])
def test_a_front_comes_back_where_it_was(tmp_path, source, relief_m):
    """A line between ice and sea, under speckle, on flat ground and on a slope of 800 m."""
    polarisation = "VV"
    window = (6_000, 20_000, 700, 700)
    longitude, latitude = centre_of(source, window, 50 + relief_m / 2)
    crs = 32600 + int((longitude + 180) // 6) + 1
    grid = grid_about(longitude, latitude, crs, 20.0, 180)
    to_map = Transformer.from_crs(4326, crs, always_xy=True)
    middle, _ = to_map.transform(longitude, latitude)
    reach = 3_000.0

    def above_sea(x):
        return relief_m * np.clip((x - middle + reach) / (2 * reach), 0, 1)

    def height(lon, lat):
        return geoid_height(lon, lat) + above_sea(to_map.transform(lon, lat)[0])

    def truth(lon, lat):
        x, y = to_map.transform(lon, lat)
        return np.where(x < middle + 300 * np.sin(y / 900), 10**-0.6, 10**-1.6)

    product = simulated_product(
        source, tmp_path, {polarisation: truth}, window, height=height, looks=4.4
    )
    model = tmp_path / "dem.tif"
    wide = grid_about(longitude, latitude, crs, 30.0, 300)
    x, _ = wide.xy(np.arange(300)[:, None], np.arange(300)[None, :])
    with rasterio.open(
        model, "w", driver="GTiff", height=300, width=300, count=1, dtype="float32",
        crs=f"EPSG:{crs}", transform=wide.transform,
    ) as target:  # fmt: skip
        target.write(np.broadcast_to(above_sea(x), (300, 300)).astype(np.float32), 1)
    heights = ElevationModel(model, "egm96") if relief_m else ConstantHeight()
    result = grd_backscatter(grd_files(product, polarisation), grid, heights)
    found = front_of(result.values, (10**-0.6 + 10**-1.6) / 2)
    rows = np.arange(grid.height)
    _, y = grid.xy(rows, 0)
    expected = grid.rowcol(middle + 300 * np.sin(y / 900), y)[1]
    smoothed = ndimage.uniform_filter1d(expected, 15)
    inner = slice(10, -10)
    off = (found - smoothed)[inner]
    assert abs(np.median(off)) < 0.15
    assert np.abs(off).mean() < 0.5


def test_a_wrong_datum_moves_the_ground(tmp_path):
    """The same heights above geoid and ellipsoid: 50 m apart in range, as heights of 50 m are."""
    window = (8_000, 8_400, 600, 600)
    centre = centre_of(IW, window, 48.0)
    product = simulated_product(IW, tmp_path, {"VV": levels}, window, height=48.0)
    grid = grid_about(*centre, 32631, 20.0, 100)
    model = tmp_path / "dem.tif"
    with rasterio.open(
        model, "w", driver="GTiff", height=100, width=100, count=1, dtype="float32",
        crs="EPSG:32631", transform=grid.transform,
    ) as target:  # fmt: skip
        target.write(np.zeros((100, 100), np.float32), 1)
    files = grd_files(product, "VV")
    right, wrong = (
        grd_backscatter(files, grid, ElevationModel(model, datum)).values
        for datum in ("egm2008", "ellipsoid")
    )
    shift, _, _ = phase_cross_correlation(np.log(right), np.log(wrong), upsample_factor=10)
    assert np.hypot(*shift) * 20 > 20


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    return simulated_product(
        IW, tmp_path_factory.mktemp("product"), {"VV": levels}, (8_000, 8_400, 300, 300)
    )


@pytest.fixture(scope="module")
def packed(product):
    target = product.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for path in sorted(product.rglob("*")):
            packed.write(path, path.relative_to(product.parent))
    return target


@pytest.fixture(scope="module")
def grid(product):
    return grid_about(*centre_of(product, (8_000, 8_400, 300, 300), 0.0), 32631, 20.0, 50)


def test_a_zip_gives_what_the_folder_gives(product, packed, grid):
    from_folder = grd_backscatter(grd_files(product, "vv"), grid, ConstantHeight())
    from_zip = grd_backscatter(grd_files(packed, "VV"), grid, ConstantHeight())
    np.testing.assert_array_equal(from_zip.values, from_folder.values)
    assert from_folder.facts.start.date() == dt.date(2021, 8, 9)
    assert (from_folder.facts.platform, from_folder.facts.mode) == ("S1A", "IW")
    assert (from_folder.facts.orbit_direction, from_folder.facts.relative_orbit) == (
        "ascending",
        59,
    )


def test_only_the_window_is_read(product, grid):
    result = grd_backscatter(grd_files(product, "VV"), grid, ConstantHeight())
    # A square kilometre in pixels of 10 m, two bytes each; turned, and with room to interpolate.
    assert result.read_bytes < 2 * 100 * 100 * 2.0


def test_what_is_damaged_is_named(packed, grid, tmp_path):
    damaged = tmp_path / "cut.zip"
    damaged.write_bytes(packed.read_bytes()[:-400])
    with pytest.raises(IcefrontError, match=r"cut\.zip is no zip file or a damaged one"):
        grd_files(damaged, "VV")
    content = bytearray(packed.read_bytes())
    with zipfile.ZipFile(packed) as archive:
        (image,) = (i for i in archive.infolist() if i.filename.endswith(".tiff"))
    middle = image.header_offset + image.compress_size // 2
    content[middle : middle + 4_000] = bytes(4_000)
    damaged.write_bytes(content)
    with pytest.raises(IcefrontError, match=r"cut\.zip"):
        grd_backscatter(grd_files(damaged, "VV"), grid, ConstantHeight())
    content = bytearray(packed.read_bytes())
    with zipfile.ZipFile(packed) as archive:
        (text,) = (i for i in archive.infolist() if re.search("annotation/s1.*vv", i.filename))
    middle = text.header_offset + text.compress_size // 2
    content[middle : middle + 400] = bytes(400)
    damaged.write_bytes(content)
    with pytest.raises(IcefrontError, match=r"cut\.zip is no zip file or a damaged one"):
        recipe_of_products([damaged], area_of("12,42"))


def test_files_of_other_products_are_refused(product, grid):
    files, other = grd_files(product, "VV"), grd_files(IW_ROME)
    with pytest.raises(IcefrontError, match="different products"):
        grd_backscatter(replace(files, measurement=other.measurement), grid, ConstantHeight())
    with pytest.raises(IcefrontError, match="root is <product>"):
        grd_backscatter(replace(files, noise=files.annotation), grid, ConstantHeight())
    with pytest.raises(IcefrontError, match="annotation is damaged"):
        grd_backscatter(replace(files, annotation=files.annotation[:5_000]), grid, ConstantHeight())


def test_what_is_not_there_is_said(product, grid):
    with pytest.raises(IcefrontError, match=r"has no polarisation HH; it has VV"):
        grd_files(product, "HH")
    with pytest.raises(IcefrontError, match="does not exist"):
        grd_files(product / "nothing")
    with pytest.raises(IcefrontError, match="no Sentinel-1 product"):
        grd_files(product / "annotation")
    elsewhere = grid_about(-38.2, 66.4, 3413, 20.0, 50)
    with pytest.raises(IcefrontError, match=r"lies (elsewhere|beside)"):
        grd_backscatter(grd_files(product, "VV"), elsewhere, ConstantHeight())
    with pytest.raises(IcefrontError, match="radiometry 'dB' is unknown"):
        grd_backscatter(grd_files(product, "VV"), grid, ConstantHeight(), "dB")


def test_ground_beside_the_image_has_no_data(product):
    centre = centre_of(product, (8_000, 8_400, 300, 300), 0.0)
    result = grd_backscatter(
        grd_files(product, "VV"), grid_about(*centre, 32631, 20.0, 400), ConstantHeight()
    )
    # 300 by 300 pixels of 10 m are there, the rest of the image is zeros.
    assert result.covered == pytest.approx(150**2 / 400**2, rel=0.05)


def as_early(noise):
    """Return a noise file in the form of processors before version 2.9."""
    text = noise.decode()
    for new, old in (
        ("noiseRangeVectorList", "noiseVectorList"),
        ("noiseRangeVector", "noiseVector"),
        ("noiseRangeLut", "noiseLut"),
    ):
        text = text.replace(new, old)
    return text.encode()


def test_noise_that_early_processors_left_in_the_margin_is_no_data(tmp_path):
    window = (6_000, 0, 400, 400)
    product = simulated_product(IW, tmp_path, {"VV": lambda x, y: 0 * x + 0.05}, window)
    files = grd_files(product, "VV")
    with rasterio.open(files.measurement, "r+") as raster:
        # 60 pixels of 10 m: far below the thermal noise, which is some 50 here.
        margin = np.random.default_rng(0).integers(1, 15, (400, 60), dtype=np.uint16)
        raster.write(margin, 1, window=Window(0, 6_000, 60, 400))
    longitude, latitude = Annotated(next((product / "annotation").glob("*vv*.xml"))).ground(
        np.array([6_200.0]), np.array([100.0]), 0.0
    )
    grid = grid_about(float(longitude[0, 0]), float(latitude[0, 0]), 32631, 10.0, 200)
    kept = grd_backscatter(files, grid, ConstantHeight()).values
    cut = grd_backscatter(
        replace(files, noise=as_early(files.noise)), grid, ConstantHeight()
    ).values
    lost = np.isfinite(kept) & np.isnan(cut)
    # The grid is turned by some degrees; its rows cross 60 pixels of margin.
    assert np.median(lost.sum(axis=1)) == pytest.approx(60, abs=5)
    assert np.nanmin(cut) > 0.02
