import math

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from icefront import IcefrontError, Scene
from icefront.scenes import resample, resample_to
from icefront.scenes.working_grid import Georeference, ground_sides_m, working_grid

UTM = CRS.from_epsg(32622)
RNG = np.random.default_rng(2)


def scene(image, size=10.0, crs=UTM):
    image = np.asarray(image, np.float32)
    transform = Affine(10, 0, 5e5, 0, -10, 7.6e6) if crs else Affine.identity()
    return Scene(image=image, transform=transform, crs=crs, pixel_size_m=size, name="simulated")


def test_ground_sides_of_a_geographic_pixel_are_arcs_of_the_ellipsoid():
    native = Georeference(500, 1000, CRS.from_epsg(4326), Affine(2.1e-4, 0, -38, 0, -1.8e-4, 66))
    rows, columns = ground_sides_m(native)
    # Meridian arc and parallel of WGS 84 at the latitude of the centre, in closed form.
    a, e2 = 6378137.0, 0.00669437999014
    latitude = math.radians(66 - 250 * 1.8e-4)
    w = math.sqrt(1 - e2 * math.sin(latitude) ** 2)
    assert rows == pytest.approx(math.radians(1.8e-4) * a * (1 - e2) / w**3, rel=1e-5)
    assert columns == pytest.approx(math.radians(2.1e-4) * a / w * math.cos(latitude), rel=1e-5)


def test_geographic_pixels_become_square_of_their_geometric_mean():
    native = Georeference(
        500, 1000, CRS.from_epsg(4326), Affine(2.1e-4, 0, -38.28, 0, -1.8e-4, 66.41)
    )
    grid, notes = working_grid(native)
    rows, columns = ground_sides_m(native)
    assert grid.crs.to_epsg() == 3413
    assert grid.pixel_size_m == pytest.approx(math.sqrt(rows * columns), rel=5e-3)
    assert grid.transform.a == -grid.transform.e == grid.pixel_size_m
    assert grid.transform.c / grid.pixel_size_m == pytest.approx(
        round(grid.transform.c / grid.pixel_size_m)
    )
    assert len(notes) == 1
    assert "EPSG:3413" in notes[0]


@pytest.mark.parametrize(
    ("crs", "transform", "kept", "epsg"),
    [
        (32622, Affine(10, 0, 5e5, 0, -10, 7.6e6), True, 32622),
        (3413, Affine(40, 0, 3e5, 0, -40, -2.5e6), True, 3413),
        # Rows from south to north, pixels that are not square, a turned grid: same CRS, warped.
        (32622, Affine(10, 0, 5e5, 0, 10, 7.6e6), False, 32622),
        (32622, Affine(10, 0, 5e5, 0, -5, 7.6e6), False, 32622),
        (32622, Affine.translation(5e5, 7.6e6) @ Affine.rotation(20) @ Affine.scale(10, -10),
         False, 32622),
        # Metres of Web Mercator at 69° north are 36 cm long.
        (3857, Affine(10, 0, -5.6e6, 0, -10, 1.07e7), False, 3413),
        # Feet are no metres.
        (2263, Affine(30, 0, 9.8e5, 0, -30, 2.0e5), False, 32618),
    ],
)  # fmt: skip
def test_square_upright_metric_grids_are_kept_and_others_warped(crs, transform, kept, epsg):
    native = Georeference(300, 400, CRS.from_epsg(crs), transform)
    grid, notes = working_grid(native)
    assert (not notes) == kept
    assert grid.crs.to_epsg() == epsg
    if kept:
        assert (grid.transform, grid.height, grid.width) == (transform, 300, 400)
    else:
        assert grid.transform.a == -grid.transform.e > 0
        assert grid.transform.b == grid.transform.d == 0


def test_a_grid_covers_all_of_a_turned_file():
    turned = Affine.translation(5e5, 7.6e6) @ Affine.rotation(30) @ Affine.scale(10, -10)
    native = Georeference(300, 400, UTM, turned)
    grid, _ = working_grid(native)
    corners = [~grid.transform @ (turned @ corner) for corner in
               ((0, 0), (400, 0), (0, 300), (400, 300))]  # fmt: skip
    columns, rows = np.transpose(corners)
    assert columns.min() == pytest.approx(0, abs=1e-6)
    assert rows.min() == pytest.approx(0, abs=1e-6)
    assert grid.width - 1 < columns.max() <= grid.width + 1e-6
    assert grid.height - 1 < rows.max() <= grid.height + 1e-6


def test_coarser_pixels_are_means_over_their_area():
    image = RNG.random((12, 18)).astype(np.float32)
    coarse = resample(scene(image), 30.0)
    expected = image.reshape(4, 3, 6, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(coarse.image, expected, atol=1e-6)
    assert coarse.pixel_size_m == 30
    assert coarse.transform == Affine(30, 0, 5e5, 0, -30, 7.6e6)
    assert coarse.crs == UTM


def test_pixels_larger_by_a_fraction_are_means_over_their_area():
    image = RNG.random((20, 30)).astype(np.float32)
    coarse = resample(scene(image), 25.0)
    halves = np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)
    np.testing.assert_allclose(
        coarse.image, halves.reshape(8, 5, 12, 5).mean(axis=(1, 3)), atol=1e-6
    )


def test_finer_pixels_are_interpolated():
    rows, columns = np.indices((20, 30)) + 0.5
    fine = resample(scene(0.01 * rows + 0.02 * columns), 4.0)
    assert fine.shape == (50, 75)
    rows, columns = (np.indices((50, 75)) + 0.5) * 0.4
    inside = (rows > 0.5) & (rows < 19.5) & (columns > 0.5) & (columns < 29.5)
    np.testing.assert_allclose(
        fine.image[inside], (0.01 * rows + 0.02 * columns)[inside], atol=1e-6
    )


def test_no_data_takes_no_part():
    image = np.full((6, 6), 0.5, np.float32)
    image[:3, :2] = np.nan  # two thirds of the first coarse pixel
    image[3:, :1] = np.nan  # one third of the one below
    coarse = resample(scene(image), 30.0).image
    assert np.isnan(coarse[0, 0])
    np.testing.assert_allclose(coarse[[0, 1, 1], [1, 0, 1]], 0.5, atol=1e-7)


def test_oblong_pixels_become_square():
    image = RNG.random((12, 18)).astype(np.float32)
    result = resample(scene(image, size=(20.0, 10.0), crs=None), 20.0)
    np.testing.assert_allclose(result.image, image.reshape(12, 9, 2).mean(axis=2), atol=1e-6)
    # Without CRS the transform leads to the pixels of the file.
    assert result.transform @ (9, 12) == (18, 12)
    assert result.pixel_size_m == 20


def test_the_same_size_is_the_same_scene_and_unknown_sizes_are_refused():
    ten = scene(RNG.random((5, 5)))
    assert resample(ten, 10.0) is ten
    with pytest.raises(IcefrontError, match="pixel size is unknown"):
        resample(scene(np.ones((5, 5)), size=None, crs=None), 60.0)
    with pytest.raises(IcefrontError, match="must be positive"):
        resample(ten, 0.0)


@given(st.integers(3, 60), st.integers(3, 60), st.floats(3.0, 80.0))
@settings(max_examples=40, deadline=None)
def test_resampling_keeps_a_plane_of_one_value_and_stays_in_range(height, width, size):
    result = resample(scene(np.full((height, width), 0.25)), size)
    np.testing.assert_allclose(result.image, 0.25, atol=1e-6)
    noise = resample(scene(RNG.random((height, width))), size).image
    assert 0 <= noise.min() <= noise.max() <= 1


@pytest.mark.parametrize("size", [4.0, 37.0, 60.0])
def test_a_plane_comes_back_from_other_pixels(size):
    fine = scene(np.zeros((90, 120)))
    coarse = resample(fine, size)
    columns, rows = np.meshgrid(np.arange(coarse.shape[1]), np.arange(coarse.shape[0]))
    x, y = coarse.transform.a * (columns + 0.5), coarse.transform.e * (rows + 0.5)
    plane = np.stack([1e-3 * x, 1e-3 * y, np.ones_like(x)])
    back = resample_to(plane, coarse, fine)
    assert back.shape == (3, 90, 120)
    assert back.dtype == np.float32
    columns, rows = np.meshgrid(np.arange(120), np.arange(90))
    margin = max(1, round(size / 10))
    inner = (slice(margin, -margin - 4), slice(margin, -margin - 4))
    # Interpolation is exact on a plane; means over pieces of pixels to a few hundredths of one.
    atol = 1e-5 if size > 10 else 3e-4
    np.testing.assert_allclose(back[0][inner], 0.01 * (columns + 0.5)[inner], atol=atol)
    np.testing.assert_allclose(back[1][inner], -0.01 * (rows + 0.5)[inner], atol=atol)
    np.testing.assert_allclose(back[2], 1, atol=1e-5)


def test_probabilities_still_sum_to_one_without_crs():
    fine = scene(np.zeros((70, 50)), size=(7.0, 9.0), crs=None)
    coarse = resample(fine, 40.0)
    probabilities = RNG.dirichlet(np.ones(4), coarse.shape).transpose(2, 0, 1)
    back = resample_to(probabilities, coarse, fine)
    np.testing.assert_allclose(back.sum(axis=0), 1, atol=1e-5)
    assert back.min() >= 0


def test_grids_that_do_not_match_are_refused():
    fine, other = scene(np.zeros((20, 20))), scene(np.zeros((20, 20)), crs=CRS.from_epsg(3413))
    maps = np.zeros((4, 20, 20))
    with pytest.raises(IcefrontError, match="different coordinate systems"):
        resample_to(maps, fine, other)
    with pytest.raises(ValueError, match="needed"):
        resample_to(maps[:, :5], fine, fine)
