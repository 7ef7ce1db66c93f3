"""Heights above the ellipsoid: the geoid, and elevation models whose datum is a stated fact."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS

from icefront.acquisition import ConstantHeight, ElevationModel
from icefront.acquisition.heights import geoid_height
from icefront.errors import IcefrontError
from icefront.grid import Grid

GRID = Grid(40, 60, CRS.from_epsg(3413), Affine(100, 0, 300_000, 0, -100, -2_570_000), 100.0)


def write_model(path: Path, crs: str, heights: np.ndarray, *, west: float = 299_000.0) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", height=heights.shape[0], width=heights.shape[1], count=1,
        dtype="float32", crs=crs, transform=Affine(100, 0, west, 0, -100, -2_569_000), nodata=-9999,
    ) as target:  # fmt: skip
        target.write(heights.astype(np.float32), 1)
    return path


def test_the_geoid_agrees_with_the_test_points_of_nga():
    # Points and undulations published with the program F477 for EGM96.
    points = np.array(
        [
            (38.6281550, 269.7791550, -31.628),
            (-14.6212170, 305.0211140, -2.969),
            (46.8743190, 102.4487290, -43.575),
            (-23.6174460, 133.8747120, 15.871),
            (38.6254730, 359.9995000, 50.066),
            (-0.4667440, 0.0023000, 17.329),
        ]
    )
    latitude, longitude, height = points.T
    np.testing.assert_allclose(geoid_height(longitude, latitude), height, atol=0.25)


def test_the_geoid_is_smooth_across_the_antimeridian():
    longitude = np.array([179.999, 180.0, -180.0, -179.999])
    heights = geoid_height(longitude, np.full(4, 71.0))
    assert np.ptp(heights) < 0.01


def test_sea_level_is_the_geoid():
    heights, note = ConstantHeight().on(GRID)
    longitude, latitude = GRID.centre_lonlat()
    assert heights.shape == GRID.shape
    here = geoid_height(np.array([longitude]), np.array([latitude]))
    assert heights[20, 30] == pytest.approx(here[0], abs=0.01)
    assert "no elevation model" in note


def test_heights_above_the_geoid_and_the_ellipsoid_differ_by_it(tmp_path):
    path = write_model(tmp_path / "dem.tif", "EPSG:3413", np.full((60, 80), 250.0))
    above_geoid, _ = ElevationModel(path, "egm2008").on(GRID)
    above_ellipsoid, _ = ElevationModel(path, "ellipsoid").on(GRID)
    geoid, _ = ConstantHeight().on(GRID)
    assert (above_ellipsoid == 250).all()
    np.testing.assert_allclose(above_geoid - above_ellipsoid, geoid, atol=1e-3)
    assert np.abs(geoid).min() > 20  # a shift of zero would be seen


@pytest.mark.parametrize(
    ("crs", "shift"), [("EPSG:3413+3855", True), ("EPSG:3413+5773", True), ("EPSG:4979", False)]
)
def test_the_datum_is_taken_from_the_file(tmp_path, crs, shift):
    if crs == "EPSG:4979":
        path = tmp_path / "dem.tif"
        with rasterio.open(
            path, "w", driver="GTiff", height=90, width=180, count=1, dtype="float32",
            crs=CRS.from_epsg(4979).to_wkt(), transform=Affine(2, 0, -180, 0, -2, 90),
        ) as target:  # fmt: skip
            target.write(np.full((90, 180), 250, np.float32), 1)
    else:
        path = write_model(tmp_path / "dem.tif", crs, np.full((60, 80), 250.0))
    heights, _ = ElevationModel(path).on(GRID)
    geoid, _ = ConstantHeight().on(GRID)
    np.testing.assert_allclose(heights, 250 + (geoid if shift else 0), atol=1e-3)


def test_ground_without_heights_lies_at_sea_level(tmp_path):
    model = np.full((60, 80), 250.0)
    model[:, 40:] = -9999
    heights, note = ElevationModel(
        write_model(tmp_path / "dem.tif", "EPSG:3413", model), "egm2008"
    ).on(GRID)
    geoid, _ = ConstantHeight().on(GRID)
    np.testing.assert_allclose(heights[:, 35:], geoid[:, 35:], atol=1e-3)
    np.testing.assert_allclose(heights[:, :28], geoid[:, :28] + 250, atol=1e-3)
    assert "sea level" in note


@pytest.mark.parametrize(
    ("crs", "west", "datum", "words"),
    [
        ("EPSG:3413", 299_000.0, None, "state the vertical datum"),
        ("EPSG:3413+5714", 299_000.0, None, "state the vertical datum"),
        ("EPSG:3413", 9e5, "egm2008", "lies beside the scene"),
        ("EPSG:3413+3855", 299_000.0, "ellipsoid", "not above the ellipsoid as stated"),
        ("EPSG:3413", 299_000.0, "navd88", "unknown"),
    ],
)
def test_a_model_without_datum_or_beside_the_scene_is_refused(tmp_path, crs, west, datum, words):
    path = write_model(tmp_path / "dem.tif", crs, np.full((60, 80), 250.0), west=west)
    with pytest.raises(IcefrontError, match=words) as caught:
        ElevationModel(path, datum).on(GRID)
    assert "dem.tif" in str(caught.value) or datum == "navd88"


def test_a_model_that_is_no_raster_or_has_no_crs_is_refused(tmp_path):
    (tmp_path / "dem.tif").write_bytes(b"no raster")
    with pytest.raises(IcefrontError, match=r"dem\.tif"):
        ElevationModel(tmp_path / "dem.tif", "egm2008").on(GRID)
    write_model(tmp_path / "bare.tif", "", np.full((60, 80), 250.0))
    with pytest.raises(IcefrontError, match="no coordinate system"):
        ElevationModel(tmp_path / "bare.tif", "egm2008").on(GRID)
