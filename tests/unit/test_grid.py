"""Where rasters lie: places in the image and on the map, other pixel sizes, the choice of a CRS."""

import copy
import pickle

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from icefront import IcefrontError, Scene
from icefront.grid import Grid, common_crs, working_crs
from icefront.zones import ZoneProbabilities

UTM, NORTH, SOUTH = (CRS.from_epsg(code) for code in (32622, 3413, 3031))
GEOGRAPHIC = CRS.from_epsg(4326)
WITHOUT_CODE = CRS.from_proj4("+proj=tmerc +lon_0=-51.5 +x_0=7 +datum=WGS84")
TRANSFORM = Affine(10, 0, 5e5, 0, -10, 7.6e6)
GRID = Grid(30, 40, UTM, TRANSFORM, 10.0)


@pytest.mark.parametrize(
    ("longitude", "latitude", "epsg"),
    [
        (-38.2, 66.4, 3413),
        (-60.3, -64.3, 3031),
        (-73.5, -50.0, 32718),
        (7.9, 46.5, 32632),
        (180.0, 10.0, 32601),
        (-180.0, -10.0, 32701),
        (179.9, 10.0, 32660),
    ],
)
def test_the_working_crs_is_polar_stereographic_or_utm(longitude, latitude, epsg):
    assert working_crs(longitude, latitude).to_epsg() == epsg


@pytest.mark.parametrize(
    ("systems", "latitudes", "epsg"),
    [
        ([UTM, UTM], [70, 71], 32622),
        ([UTM, None], [70, None], 32622),
        ([UTM, NORTH], [60, 71], 3413),
        ([UTM, NORTH], [59.9, 71], 4326),
        ([UTM, SOUTH], [-60, -70], 3031),
        ([UTM, SOUTH], [70, -70], 4326),
        ([GEOGRAPHIC, GEOGRAPHIC], [70, 71], 3413),
        ([], [], 4326),
        ([None], [None], 4326),
    ],
)
@pytest.mark.parametrize("only_epsg", [False, True])
def test_several_scenes_share_their_crs_or_that_of_their_polar_cap(
    systems, latitudes, epsg, only_epsg
):
    assert common_crs(systems, latitudes, only_epsg=only_epsg).to_epsg() == epsg


def test_a_shared_crs_without_a_code_is_taken_unless_a_code_is_needed():
    assert common_crs([WITHOUT_CODE] * 2, [70, 71]) == WITHOUT_CODE
    assert common_crs([WITHOUT_CODE] * 2, [70, 71], only_epsg=True) == NORTH


def test_whole_numbers_are_pixel_centres():
    assert GRID.xy(0, 0) == (500_005, 7_599_995)
    assert GRID.rowcol(500_005, 7_599_995) == (0, 0)
    assert GRID.outline().bounds == (500_000, 7_599_700, 500_400, 7_600_000)


@given(
    st.floats(-3, 3), st.floats(0.1, 80), st.floats(0.1, 80), st.floats(-50, 90), st.floats(-9, 90)
)
def test_rowcol_is_the_inverse_of_xy(turn, height, width, row, column):
    turned = Affine.translation(5e5, 7.6e6) @ Affine.rotation(60 * turn)
    grid = Grid(30, 40, UTM, turned @ Affine.scale(width, -height))
    np.testing.assert_allclose(grid.rowcol(*grid.xy(row, column)), (row, column), atol=1e-4)


def test_sides_are_stated_or_follow_from_the_transform():
    assert Grid(5, 5, UTM, TRANSFORM, 12.0).sides_m == (12, 12)
    assert Grid(5, 5, None, pixel_size_m=(20.0, 5.0)).sides_m == (20, 5)
    assert Grid(5, 5, None, pixel_size_m=(20.0, 5.0)).side_m == pytest.approx(10)
    assert Grid(5, 5, UTM, Affine(5, 0, 0, 0, -20, 0)).sides_m == (20, 5)
    feet = Grid(5, 5, CRS.from_epsg(2263), Affine(30, 0, 0, 0, -30, 0))
    assert feet.side_m == pytest.approx(30 * 0.3048, rel=1e-5)
    assert feet.side_on_map == 30
    assert Grid(5, 5).sides_m is Grid(5, 5).side_m is None


def test_the_centre_is_in_degrees():
    expected = Transformer.from_crs(UTM, 4326, always_xy=True).transform(500_200, 7_599_850)
    assert GRID.centre_lonlat() == pytest.approx(expected, abs=1e-12)
    with pytest.raises(IcefrontError, match="without coordinate system"):
        Grid(5, 5).centre_lonlat()


@given(st.integers(1, 300), st.integers(1, 300), st.floats(1, 90))
def test_a_resampled_grid_covers_the_same_ground_within_half_a_pixel(height, width, size):
    grid = Grid(height, width, UTM, TRANSFORM, 10.0)
    other = grid.resampled(size)
    assert (other.pixel_size_m, other.side_on_map) == pytest.approx((size, size))
    assert (other.transform.c, other.transform.f) == (TRANSFORM.c, TRANSFORM.f)
    # At least one pixel stays, however large it is.
    ground = 10 * np.array([height, width])
    slack = np.maximum(size / 2, size - ground) + 1e-6
    assert (np.abs(np.array(other.shape) * size - ground) <= slack).all()


def test_a_grid_without_pixel_size_cannot_be_resampled():
    with pytest.raises(IcefrontError, match="pixel size is unknown"):
        Grid(5, 5).resampled(60.0)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (GRID, None),
        (Grid(30, 40, UTM, Affine(10, 0, 5e5 + 4, 0, -10, 7.6e6 - 4), 10.0), None),
        (Grid(30, 40, None), None),
        (Grid(30, 41, UTM, TRANSFORM, 10.0), "30×40 pixels against 30×41"),
        (Grid(30, 40, NORTH, TRANSFORM, 10.0), "EPSG:32622 against EPSG:3413"),
        (Grid(30, 40, UTM, Affine(10, 0, 5e5, 0, -10, 7.6e6 + 30), 10.0), "shifted by 3.0 pixels"),
        (Grid(30, 40, UTM, Affine(11, 0, 5e5, 0, -10, 7.6e6), 11.0), "shifted by 3.6 pixels"),
    ],
)
def test_grids_differ_by_size_crs_or_place(other, difference):
    assert GRID.difference(other) == difference


def test_a_scene_knows_its_grid():
    scene = Scene(np.zeros((30, 40), np.float32), TRANSFORM, UTM, 10.0)
    assert scene.grid == GRID


def test_zone_probabilities_carry_the_pixel_size_of_the_network():
    values = np.full((4, 6, 8), 0.25)
    probabilities = ZoneProbabilities(values, 60.0)
    assert probabilities.dtype == np.float32
    for derived in (
        probabilities[:, 2:],
        probabilities.copy(),
        copy.deepcopy(probabilities),
        pickle.loads(pickle.dumps(probabilities)),
        probabilities * 2,
    ):
        assert derived.pixel_size_m == 60
    assert type(np.asarray(probabilities)) is np.ndarray
    assert ZoneProbabilities(values).pixel_size_m is None
    assert pickle.loads(pickle.dumps(probabilities.argmax(0))).dtype == np.int64
