"""Lines drawn from probabilities of known shapes, and what holds for any."""

import datetime as dt

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyproj import CRS, Proj, Transformer
from scipy import ndimage

import icefront
from icefront import IcefrontError
from icefront.fronts import curves, extract_front
from icefront.scenes.scene import Scene
from icefront.zones import GLACIER, GREY_TO_ZONE, OCEAN, ROCK, ZoneProbabilities
from tests.helpers.paths import DATA

SIDE = 160
ROW, COLUMN = np.mgrid[:SIDE, :SIDE].astype(float) + 0.5  # pixel centres in pixel coordinates
POLAR = CRS.from_epsg(3413)
POLAR_GRID = Affine(10, 0, 300_000, 0, -10, -2_600_000)


LAND = COLUMN < 90  # reaches over the straight front, but not across the ocean


def soft(distance, width=1.0):
    """Zone probabilities from the distance to the front (glacier positive), S-shaped across it."""
    glacier = 1 / (1 + np.exp(-distance / width))
    zero = np.zeros_like(glacier)
    return np.stack([zero, zero, glacier, 1 - glacier]).astype(np.float32)


def hard(zones):
    return (zones == np.arange(4)[:, None, None]).astype(np.float32)


def straight(column=70.25):
    """Glacier to the left of a column."""
    return column - COLUMN


def with_zone(probabilities, mask, zone):
    changed = probabilities.copy()
    changed[:, mask] = 0
    changed[zone, mask] = 1
    return changed


def scene_of(probabilities, **keywords):
    image = np.full(probabilities.shape[1:], 0.5, np.float32)
    return Scene(image=image, **keywords)


def front_of(probabilities, aoi=None, **keywords):
    return extract_front(probabilities, scene_of(probabilities, **keywords), aoi=aoi).iloc[0]


def points_of(geometry, step=0.25):
    """Points all along a line, (N, 2) of x and y."""
    return shapely.get_coordinates(geometry.segmentize(step))


# --- sub-pixel accuracy -------------------------------------------------------------------------

SHAPES = {
    "straight": (lambda r, c: 70.3 - c, lambda x, y: 70.3 - x),
    "oblique": (lambda r, c: (60.2 + 0.37 * r - c) / np.hypot(1, 0.37),) * 2,
    "circle": (lambda r, c: 51.3 - np.hypot(r - 78.1, c - 81.7),) * 2,
    "bay": (lambda r, c: np.hypot(r - 78.1, c - 81.7) - 30.4,) * 2,
}


def distance_to(shape, points):
    if shape == "straight":
        return 70.3 - points[:, 0]
    return SHAPES[shape][1](points[:, 1], points[:, 0])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [0.3, 1.0, 4.0])
def test_soft_probabilities_give_the_front_to_a_tenth_of_a_pixel(shape, width):
    front = front_of(soft(SHAPES[shape][0](ROW, COLUMN), width))
    errors = np.abs(distance_to(shape, points_of(front.geometry)))
    assert errors.max() < 0.1
    assert errors.mean() < 0.05


@pytest.mark.parametrize("shape", SHAPES)
def test_hard_zones_give_the_front_to_half_a_pixel(shape):
    zones = np.where(SHAPES[shape][0](ROW, COLUMN) > 0, GLACIER, OCEAN)
    front = front_of(hard(zones))
    errors = np.abs(distance_to(shape, points_of(front.geometry)))
    assert errors.max() < 0.5
    # A straight edge along the rows or columns is known to the pixel and no better.
    assert errors.mean() < (0.5 if shape == "straight" else 0.2)


@pytest.mark.parametrize(("probabilities", "most"), [(soft, 0.1), (None, 0.6)])
def test_a_sine_is_followed(probabilities, most):
    def wave(row):
        return 80 + 9 * np.sin(row / 70 * 2 * np.pi)

    distance = wave(ROW) - COLUMN
    front = front_of(
        soft(distance) if probabilities else hard(np.where(distance > 0, GLACIER, OCEAN))
    )
    rows = np.linspace(-5, SIDE + 5, 4000)
    truth = shapely.LineString(np.stack([wave(rows), rows], 1))
    points = points_of(front.geometry)
    assert shapely.distance(shapely.points(points), truth).max() < most
    assert points[:, 1].min() < 3
    assert points[:, 1].max() > SIDE - 3


def test_the_circle_is_closed_and_has_its_length():
    front = front_of(soft(SHAPES["circle"][0](ROW, COLUMN)))
    assert front.geometry.is_ring
    assert front.geometry.length == pytest.approx(2 * np.pi * 51.3, rel=1e-3)
    assert front.flag == "check"
    assert "closed" in front.reason


def test_no_stairs_remain_of_an_oblique_edge():
    zones = np.where((60.2 + 0.37 * ROW - COLUMN) > 0, GLACIER, OCEAN)
    front = front_of(hard(zones)).geometry
    ends = shapely.LineString([front.coords[0], front.coords[-1]])
    assert front.length < 1.005 * ends.length


# --- uncertainty --------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [0.5, 1.0, 3.0, 10.0])
def test_uncertainty_is_half_of_the_16_to_84_percent_width(width):
    front = front_of(soft(SHAPES["oblique"][0](ROW, COLUMN), width), pixel_size_m=30.0)
    half = width * np.log(0.84 / 0.16)
    assert front.uncertainty_m == pytest.approx(30 * half, rel=0.02)
    assert front.uncertainty_px == pytest.approx(half, rel=0.02)
    assert ("uncertain" in front.reason) == (half > 4)


def test_uncertainty_is_bounded():
    zones = np.where(straight() > 0, GLACIER, OCEAN)
    assert front_of(hard(zones)).uncertainty_px == pytest.approx(1 / np.sqrt(12))
    flat = front_of(soft(straight(), 1000.0))
    assert flat.uncertainty_px == pytest.approx(32)
    assert flat.flag == "check"


def test_uncertainty_follows_the_sides_of_a_pixel():
    across = front_of(soft(straight()), pixel_size_m=(50.0, 20.0))
    along = front_of(soft(straight().T), pixel_size_m=(50.0, 20.0))
    assert across.uncertainty_m == pytest.approx(20 * np.log(0.84 / 0.16), rel=0.02)
    assert along.uncertainty_m == pytest.approx(50 * np.log(0.84 / 0.16), rel=0.02)


# --- what is no front ---------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 10])
def test_a_rock_wall_between_glacier_and_ocean_is_no_front(width):
    wall = np.abs(COLUMN - 70) < width / 2 + 0.5
    front = front_of(with_zone(soft(straight()), wall, ROCK))
    assert front.geometry.is_empty
    assert front.flag == "no front"
    assert front.reason
    assert front.length_m == 0
    assert np.isnan(front.uncertainty_m)


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("zone", [GLACIER, OCEAN])
def test_no_line_runs_along_slivers_beside_rock(width, zone):
    zones = np.full((SIDE, SIDE), ROCK)
    if zone == GLACIER:  # a glacier that ends in a fjord, with a false rim of ice on its walls
        zones[40:120, 70:] = OCEAN
        zones[40 : 40 + width, 70:] = GLACIER
        zones[120 - width : 120, 70:] = GLACIER
    else:  # the ocean reaches in between the ice and the walls
        zones[40:120, :] = OCEAN
    zones[40:120, :70] = np.where(zones[40:120, :70] == OCEAN, OCEAN, GLACIER)
    if zone == OCEAN:
        zones[40 + width : 120 - width, :70] = GLACIER
    front = front_of(hard(zones))
    points = points_of(front.geometry)
    assert front.geometry.geom_type == "LineString"
    assert np.abs(points[:, 0] - 70).max() < 4
    assert 70 < front.geometry.length < 86


def test_islands_bergs_and_lakes_are_left_out():
    plain = soft(straight())
    busy = with_zone(plain, np.hypot(ROW - 30, COLUMN - 120) < 9, GLACIER)
    busy = with_zone(busy, np.hypot(ROW - 90, COLUMN - 110) < 12, ROCK)
    busy = with_zone(busy, np.hypot(ROW - 120, COLUMN - 30) < 10, OCEAN)
    busy = with_zone(busy, (np.hypot(ROW - 20, COLUMN - 158) < 8), GLACIER)  # cut by the edge
    assert front_of(busy).geometry.equals(front_of(plain).geometry)


def test_bergs_touching_the_front_leave_no_spur():
    busy = soft(straight(), 0.5)
    for row in (40, 80, 120):
        busy = with_zone(busy, (np.abs(ROW - row) < 1) & (COLUMN > 60) & (COLUMN < 90), GLACIER)
        busy = with_zone(busy, (np.abs(ROW - row - 15) < 1) & (COLUMN > 45) & (COLUMN < 75), OCEAN)
    points = points_of(front_of(busy).geometry)
    assert np.abs(points[:, 0] - 70.25).max() < 3
    assert np.abs(points[:, 0] - 70.25).mean() < 0.5


@pytest.mark.parametrize("share", [0.05, 0.15])
def test_speckle_does_not_move_the_front(share):
    rng = np.random.default_rng(5)
    probabilities = soft(straight())
    speckle = rng.random(probabilities.shape[1:]) < share
    probabilities[:, speckle] = rng.dirichlet(np.ones(4), int(speckle.sum())).T
    front = front_of(probabilities)
    errors = np.abs(points_of(front.geometry)[:, 0] - 70.25)
    assert front.geometry.geom_type == "LineString"
    assert errors.mean() < 0.5
    assert front.geometry.length == pytest.approx(SIDE - 5, rel=0.1)


@pytest.mark.parametrize("code", range(4))
def test_one_zone_has_no_front(code):
    row = front_of(hard(np.full((SIDE, SIDE), code)))
    assert row.geometry.is_empty
    assert row.flag == "no front"


def test_a_scene_without_data_has_no_front():
    probabilities = soft(straight())
    scene = Scene(image=np.full((SIDE, SIDE), np.nan, np.float32))
    row = extract_front(probabilities, scene).iloc[0]
    assert row.flag == "no front"
    assert "no data" in row.reason


# --- edges and missing data ---------------------------------------------------------------------


def test_nothing_is_drawn_at_the_image_edge():
    points = points_of(front_of(soft(straight())).geometry)
    assert points.min() >= 2
    assert points.max() <= SIDE - 2
    rim = np.full((SIDE, SIDE), GLACIER)
    rim[2:-2, 2:-2] = OCEAN
    assert front_of(hard(rim)).geometry.is_empty


def wedge_scene(slope):
    """Missing data in a wedge that opens to the right, with its tip at column 20."""
    image = np.full((SIDE, SIDE), 0.5, np.float32)
    image[np.abs(ROW - 80) < slope * (COLUMN - 20)] = np.nan
    return Scene(image=image, name="wedge")


def test_a_wedge_without_data_cuts_the_front_in_two():
    scene = wedge_scene(0.3)
    row = extract_front(soft(straight()), scene).iloc[0]
    assert row.geometry.geom_type == "MultiLineString"
    upper, lower = row.geometry.geoms
    assert {p.length > 40 for p in (upper, lower)} == {True}
    points = points_of(row.geometry)
    assert np.abs(points[:, 0] - 70.25).max() < 0.1
    column, line = points.T.astype(int)
    assert ndimage.distance_transform_edt(scene.valid)[line, column].min() >= 2
    assert row.flag == "check"
    assert "2 pieces" in row.reason
    assert "missing data" in row.reason


def test_specks_and_slivers_on_the_front_are_bridged():
    clean = front_of(soft(straight())).geometry
    image = np.full((SIDE, SIDE), 0.5, np.float32)
    image[50, 70] = np.nan
    probabilities = with_zone(soft(straight()), LAND & (np.abs(ROW - 100) < 2), ROCK)
    row = extract_front(probabilities, Scene(image=image)).iloc[0]
    assert row.geometry.geom_type == "LineString"
    assert row.geometry.hausdorff_distance(clean) < 0.1


def test_a_headland_parts_the_front_into_ordered_pieces():
    mask = LAND & ((np.abs(ROW - 50) < 8) | (np.abs(ROW - 100) < 8))
    row = front_of(with_zone(soft(straight()), mask, ROCK))
    middles = [p.interpolate(0.5, normalized=True).y for p in row.geometry.geoms]
    assert len(middles) == 3
    assert middles in (sorted(middles), sorted(middles)[::-1])
    assert "3 pieces" in row.reason


@pytest.mark.parametrize(
    ("rows", "keywords", "found"),
    [
        (18, {}, True),
        (12, {}, False),
        (40, {"pixel_size_m": 20.0}, True),
        (35, {"pixel_size_m": 20.0}, False),
    ],
)
def test_short_pieces_are_dropped(rows, keywords, found):
    probabilities = with_zone(soft(straight()), np.abs(ROW - 80) > rows / 2, ROCK)
    row = front_of(probabilities, **keywords)
    assert row.geometry.is_empty != found
    assert found or "short" in row.reason


# --- direction ----------------------------------------------------------------------------------


def left_of(line, distance):
    """The point to the left of the middle of a line, x right and y up."""
    (x0, y0), (x1, y1) = (
        np.array(line.interpolate(f, normalized=True).coords[0]) for f in (0.49, 0.51)
    )
    normal = np.array([-(y1 - y0), x1 - x0])
    return np.array([x0, y0]) + distance * normal / np.hypot(*normal)


@pytest.mark.parametrize("turns", range(4))
def test_the_glacier_is_on_the_left_of_the_image(turns):
    line = front_of(np.rot90(soft(straight()), turns, axes=(1, 2))).geometry
    up = shapely.transform(line, lambda xy: xy * [1, -1])  # rows run down the image
    x, y = left_of(up, 10)
    zones = np.rot90(straight() > 0, turns)
    assert zones[int(-y), int(x)]


@pytest.mark.parametrize("grid", [POLAR_GRID, Affine(10, 0, 300_000, 0, 10, -2_600_000)])
def test_the_glacier_is_on_the_left_of_the_map(grid):
    row = front_of(soft(straight()), crs=POLAR, transform=grid, pixel_size_m=10.0)
    column, line = ~grid @ left_of(row.geometry, 100)
    assert straight()[int(line), int(column)] > 0


# --- the map ------------------------------------------------------------------------------------


def polar_front(aoi=None):
    return front_of(soft(straight()), aoi, crs=POLAR, transform=POLAR_GRID, pixel_size_m=10.0)


def test_the_line_is_where_the_map_says():
    xy = shapely.get_coordinates(polar_front().geometry)
    np.testing.assert_allclose(xy[:, 0], 300_000 + 10 * 70.25, atol=0.5)
    assert xy[:, 1].max() <= -2_600_000 - 20
    assert xy[:, 1].min() >= -2_600_000 - 10 * (SIDE - 2)


def test_length_is_true_on_the_ground():
    row = polar_front()
    middle = row.geometry.interpolate(0.5, normalized=True)
    lon, lat = Transformer.from_crs(POLAR, 4326, always_xy=True).transform(middle.x, middle.y)
    scale = Proj(POLAR).get_factors(lon, lat).meridional_scale
    assert abs(scale - 1) > 0.01
    assert row.length_m == pytest.approx(row.geometry.length / scale, rel=1e-4)


def test_pixel_size_follows_from_the_grid_if_it_is_not_given():
    row = front_of(soft(straight()), crs=POLAR, transform=POLAR_GRID)
    assert row.pixel_size_m == pytest.approx(10)
    assert row.geometry.equals(polar_front().geometry)


def test_lengths_without_crs():
    row = front_of(soft(straight()), pixel_size_m=(50.0, 20.0))
    assert row.length_m == pytest.approx(50 * row.length_px, rel=1e-6)
    assert row.pixel_size_m == pytest.approx(np.sqrt(1000))
    unknown = front_of(soft(straight()))
    assert np.isnan([unknown.length_m, unknown.uncertainty_m, unknown.pixel_size_m]).all()
    assert unknown.length_px == row.length_px


def test_lines_of_a_resampled_image_are_in_pixels_of_the_file():
    row = front_of(soft(straight()), transform=Affine.scale(3.0, 3.0))
    np.testing.assert_allclose(points_of(row.geometry)[:, 0], 3 * 70.25, atol=0.3)
    assert row.length_px == pytest.approx(3 * front_of(soft(straight())).length_px)
    assert row.uncertainty_px == pytest.approx(3 * 1.658, rel=0.02)


def test_the_row_survives_a_geopackage(tmp_path):
    scene = scene_of(
        soft(straight()),
        crs=POLAR,
        transform=POLAR_GRID,
        pixel_size_m=10.0,
        name="scene-7",
        glacier="Helheim",
        date=dt.date(2018, 6, 2),
        sensor="S1",
        polarisation="HH",
        orbit="061",
    )
    table = icefront.extract_front(soft(straight()), scene)
    table.to_file(tmp_path / "fronts.gpkg", layer="fronts")
    read = gpd.read_file(tmp_path / "fronts.gpkg").iloc[0]
    assert (read.glacier, read.date, read.sensor) == ("Helheim", "2018-06-02", "S1")
    assert (read.polarisation, read.orbit, read.scene) == ("HH", "061", "scene-7")
    assert (read.flag, read.reason) == ("check", table.reason[0])
    assert read.geometry.equals(table.geometry[0])
    assert table.crs == POLAR


def test_a_front_from_wall_to_wall_is_good():
    walls = with_zone(soft(straight()), np.abs(ROW - 80) > 60, ROCK)
    row = front_of(walls)
    assert (row.flag, row.reason) == ("good", "")


def test_a_front_that_is_tiny_in_its_scene_is_to_be_checked():
    distance = 300.25 - np.mgrid[:600, :600][1]
    row_number = np.mgrid[:600, :600][0]
    probabilities = with_zone(soft(distance), np.abs(row_number - 300) > 10, ROCK)
    row = front_of(probabilities)
    assert (row.flag, row.reason) == ("check", "short against the scene")


# --- area of interest ---------------------------------------------------------------------------


def polar_box(x0, y0, x1, y1):
    """A box in pixels of the polar grid, in map coordinates."""
    (left, top), (right, bottom) = POLAR_GRID @ (x0, y0), POLAR_GRID @ (x1, y1)
    return shapely.box(left, bottom, right, top)


def crossing(box):
    """The corners of a box in an order in which two sides cross."""
    corners = shapely.get_coordinates(box)
    return shapely.Polygon(corners[[0, 2, 1, 3]])


def test_an_area_whose_sides_touch_is_the_same_as_its_parts():
    left, right = polar_box(40, 50, 70, 90), polar_box(70, 90, 100, 130)
    ring = shapely.get_coordinates(right)
    places = shapely.get_coordinates(left)
    corner = [300_700.0, -2_600_900.0]
    turned = [
        np.roll(points[:-1], -int(np.argmin(np.abs(points[:-1] - corner).sum(1))), axis=0)
        for points in (places, ring)
    ]
    touching = shapely.Polygon(np.concatenate([*turned, [corner]]))
    assert not touching.is_valid
    expected = polar_front(shapely.union_all([left, right])).geometry
    assert polar_front(touching).geometry.equals(expected)
    overlapping = shapely.MultiPolygon([polar_box(40, 50, 100, 90), polar_box(40, 70, 100, 130)])
    whole = polar_front(polar_box(40, 50, 100, 130)).geometry
    assert polar_front(overlapping).geometry.equals(whole)


def test_the_line_is_clipped_to_a_polygon():
    row = polar_front(polar_box(40, 50, 100, 90))
    assert row.geometry.length == pytest.approx(400, abs=1)
    xy = shapely.get_coordinates(row.geometry)
    assert xy[:, 1].max() == pytest.approx(-2_600_500)
    assert row.flag == "good"


def test_clipped_pieces_stay_in_order_and_direction():
    whole = polar_front().geometry
    row = polar_front(polar_box(40, 20, 100, 60).union(polar_box(40, 90, 100, 130)))
    starts = [whole.project(shapely.Point(p.coords[0])) for p in row.geometry.geoms]
    ends = [whole.project(shapely.Point(p.coords[-1])) for p in row.geometry.geoms]
    assert starts[0] < ends[0] < starts[1] < ends[1]


def test_an_area_in_another_crs_is_reprojected():
    box = polar_box(40, 50, 100, 90)
    degrees = gpd.GeoDataFrame(geometry=[box.segmentize(50)], crs=POLAR).to_crs(4326)
    expected = polar_front(box).geometry
    assert polar_front(degrees).geometry.hausdorff_distance(expected) < 1
    assert polar_front(degrees.geometry).geometry.hausdorff_distance(expected) < 1


def test_an_area_in_pixels():
    row = front_of(soft(straight()), gpd.GeoSeries([shapely.box(50, 30, 90, 70)]))
    assert row.length_px == pytest.approx(40, abs=0.1)


def test_an_area_away_from_the_front_is_no_front():
    row = polar_front(polar_box(100, 50, 150, 90))
    assert row.geometry.is_empty
    assert (row.flag, row.reason) == ("no front", "the front lies outside the area of interest")


def two_oceans():
    """A large ocean on the right, and above the glacier a smaller one with a front of 40 pixels."""
    zones = np.full((SIDE, SIDE), GLACIER, np.uint8)
    zones[70:, 110:] = OCEAN
    zones[:30, 40:80] = OCEAN
    zones[66:70, 100:] = ROCK
    return hard(zones)


def test_the_ocean_of_an_area_of_interest_is_the_one_that_is_looked_for():
    area = gpd.GeoSeries([shapely.box(35, 20, 85, 40)])
    inside = front_of(two_oceans(), area)
    assert inside.length_px == pytest.approx(50, abs=12)
    assert shapely.box(38, 20, 82, 32).contains(inside.geometry)
    whole = front_of(two_oceans())
    assert whole.geometry.bounds[0] > 100


def test_a_long_coast_elsewhere_does_not_hide_the_front_of_an_area():
    zones = np.full((40, 900), GLACIER, np.uint8)
    zones[20:, :860] = OCEAN
    zones[:20, 860:] = ROCK
    zones[20:, 800:815] = ROCK  # cuts the ocean in two
    zones[38:, :] = OCEAN
    area = gpd.GeoSeries([shapely.box(810, 10, 870, 40)])
    assert front_of(hard(zones)).geometry.bounds[2] < 805
    assert front_of(hard(zones), area).length_px == pytest.approx(60, abs=5)


@pytest.mark.parametrize(
    ("area", "sentence"),
    [
        (polar_box(500, 0, 600, 60), "does not touch the scene"),
        (polar_box(SIDE, 0, SIDE + 50, 60), "does not touch the scene"),
        (gpd.GeoSeries([shapely.box(10, -40, 20, -30)], crs=4326), "does not touch the scene"),
        (shapely.LineString([(0, 0), (1, 1)]), "no polygon"),
        (gpd.GeoSeries([], crs=4326), "no polygon"),
        (crossing(polar_box(40, 50, 100, 90)), r"crosses itself near \(300700, -2600700\)"),
        (gpd.GeoSeries([crossing(shapely.box(-38, 66, -37, 67))], crs=4326), "near"),
        (gpd.GeoSeries([shapely.box(3e5, -2.7e6, 4e5, -2.6e6)], crs=4326), "state its CRS"),
        (shapely.Polygon([(0, 0), (9, np.inf), (9, 0)]), "no finite place"),
    ],
)
def test_an_area_that_cannot_be_used_is_refused(area, sentence):
    with pytest.raises(IcefrontError, match=sentence):
        polar_front(area)


def test_an_area_with_a_crs_cannot_clip_pixels():
    area = gpd.GeoSeries([shapely.box(0, 0, 90, 90)], crs=4326)
    with pytest.raises(IcefrontError, match="no CRS"):
        front_of(soft(straight()), area)


def test_probabilities_of_another_grid_are_refused():
    with pytest.raises(IcefrontError, match=r"\(4, 160, 160\)"):
        extract_front(soft(straight()), Scene(image=np.zeros((9, 9), np.float32)))


# --- the grid of the network and the front layer ----------------------------------------------


def wavy(side):
    """A wavy front in pixels of a side in metres, on 2400 m x 2400 m."""
    rows, columns = (np.mgrid[: 2400 // side, : 2400 // side] + 0.5) * side
    return soft(1130 + 90 * np.sin(rows / 300) - columns, 30.0)


def on_fjord(probabilities, side, **keywords):
    transform = Affine(side, 0, 300_000, 0, -side, -2_600_000)
    return scene_of(
        probabilities, crs=POLAR, transform=transform, pixel_size_m=float(side), **keywords
    )


def test_a_line_is_drawn_on_the_pixels_of_the_network_where_those_are_coarser():
    fine, coarse = on_fjord(wavy(10), 10), on_fjord(wavy(60), 60)
    known = ZoneProbabilities(wavy(10), 60.0)
    (by_network,), (by_request,), (on_scene,) = (
        extract_front(known, fine).geometry,
        extract_front(wavy(10), fine, resolution_m=60.0).geometry,
        extract_front(wavy(10), fine).geometry,
    )
    assert by_network.equals(by_request)
    assert extract_front(known, fine, resolution_m=10.0).geometry.iloc[0].equals(on_scene)
    # A line ends at the third pixel from the image edge: of which pixels shows in its ends.
    assert by_network.bounds[1] - on_scene.bounds[1] == pytest.approx(2.5 * 50, abs=1)
    assert on_scene.length > by_network.length
    expected = extract_front(wavy(60), coarse).geometry.iloc[0]
    assert by_network.hausdorff_distance(expected) < 3
    row = extract_front(known, fine).iloc[0]
    assert row.pixel_size_m == 10
    assert row.length_m == pytest.approx(by_network.length, rel=0.03)


@pytest.mark.parametrize("worked", [None, 5.0, 10.0])
def test_finer_or_unknown_pixels_of_the_network_leave_the_scenes_own(worked):
    fine = on_fjord(wavy(10), 10)
    (line,) = extract_front(ZoneProbabilities(wavy(10), worked), fine).geometry
    assert line.equals(extract_front(wavy(10), fine).geometry.iloc[0])


def test_a_line_drawn_on_coarser_pixels_is_in_pixels_of_the_file():
    probabilities = ZoneProbabilities(wavy(10), 60.0)
    scene = scene_of(probabilities, pixel_size_m=10.0)
    row = extract_front(probabilities, scene).iloc[0]
    expected = extract_front(wavy(10), scene).iloc[0]
    assert row.geometry.hausdorff_distance(expected.geometry) < 14
    assert row.length_m == pytest.approx(10 * row.length_px, rel=1e-3)
    assert row.uncertainty_m == pytest.approx(10 * row.uncertainty_px)


def test_a_resolution_without_pixel_size_is_refused():
    with pytest.raises(IcefrontError, match="pixel size is unknown"):
        extract_front(wavy(10), scene_of(wavy(10)), resolution_m=60.0)


@pytest.mark.parametrize("resolution_m", [None, 20.0])
def test_parts_of_the_boundary_that_are_unlikely_to_be_front_are_not_drawn(resolution_m):
    scene = on_fjord(wavy(10), 10)
    front = np.full(scene.shape, 0.9, np.float32)
    front[:120] = 0.1
    (whole,) = extract_front(wavy(10), scene, resolution_m=resolution_m).geometry
    (half,) = extract_front(wavy(10), scene, front=front, resolution_m=resolution_m).geometry
    middle = -2_600_000 - 1200
    assert half.bounds[3] == pytest.approx(middle, abs=15)
    lower = shapely.clip_by_rect(whole, 0, -2_700_000, 1e6, middle - 50)
    assert lower.hausdorff_distance(shapely.clip_by_rect(half, 0, -2.7e6, 1e6, middle - 50)) < 1


def test_a_boundary_that_is_nowhere_likely_to_be_front_is_none():
    scene = on_fjord(wavy(10), 10)
    row = extract_front(wavy(10), scene, front=np.zeros(scene.shape)).iloc[0]
    assert row.flag == "no front"
    assert "likely" in row.reason
    with pytest.raises(IcefrontError, match="front probabilities have the shape"):
        extract_front(wavy(10), scene, front=np.zeros((5, 5)))


# --- laws ---------------------------------------------------------------------------------------


def random_probabilities(seed, size=72):
    """A wild front with bergs, lakes and rock: sometimes in pieces, sometimes none."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:size, :size]
    rough = ndimage.gaussian_filter(rng.normal(size=(2, size, size)), (0, 5, 5)) * 300
    distance = column - size / 2 + rough[0]
    rock = 0.1 * size - row + rough[1]
    logits = np.stack([np.full((size, size), -9.0), 0.7 * rock, 0.4 * distance, -0.4 * distance])
    odds = np.exp(logits - logits.max(0))
    return (odds / odds.sum(0)).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3), st.booleans())
def test_flips_and_rotations_turn_the_line_and_nothing_else(seed, turns, flip):
    probabilities = random_probabilities(seed)
    turned = np.rot90(probabilities, turns, axes=(1, 2))
    turned = turned[:, :, ::-1] if flip else turned
    before, after = front_of(probabilities), front_of(np.ascontiguousarray(turned))
    assert before.flag == after.flag
    if before.geometry.is_empty:
        return

    def turn(xy):
        size = probabilities.shape[1]
        for _ in range(turns):
            xy = np.stack([xy[:, 1], size - xy[:, 0]], 1)
        return np.stack([size - xy[:, 0], xy[:, 1]], 1) if flip else xy

    expected = shapely.transform(before.geometry, turn)
    assert after.geometry.hausdorff_distance(expected) < 0.25
    assert after.length_px == pytest.approx(before.length_px, rel=0.01)
    assert len(shapely.get_parts(after.geometry)) == len(shapely.get_parts(expected))


def without_specks(probabilities):
    """The likeliest zones, with rock of less than 36 pixels given to glacier or ocean."""
    zones = probabilities.argmax(0)
    labels, count = ndimage.label(zones < GLACIER, structure=np.ones((3, 3)))
    small = np.bincount(labels.ravel(), minlength=count + 1) < 36
    small[0] = False
    likelier = np.where(probabilities[GLACIER] >= probabilities[OCEAN], GLACIER, OCEAN)
    return np.where(small[labels], likelier, zones)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
@example(1162)  # a speck of rock between glacier and ocean, along a tenth of the line
@example(2964)
def test_every_line_parts_glacier_from_ocean(seed):
    probabilities = random_probabilities(seed)
    line = front_of(probabilities).geometry
    if line.is_empty:
        return
    assert line.is_simple
    assert min(part.length for part in shapely.get_parts(line)) > 11
    x, y = points_of(line).T
    assert min(x.min(), y.min()) >= 2
    zones = without_specks(probabilities)
    for zone in (GLACIER, OCEAN):
        gaps = ndimage.distance_transform_edt(zones != zone)[y.astype(int), x.astype(int)]
        assert np.quantile(gaps, 0.9) <= 1.5


# --- curves -------------------------------------------------------------------------------------


def test_only_ends_are_joined_to_starts():
    a = np.array([[0.0, 0], [0, 10]])
    b = np.array([[0.0, 13], [0, 20]])
    assert len(curves.join([a, b], 4)) == 1
    assert len(curves.join([b, a], 4)) == 1
    np.testing.assert_array_equal(curves.join([b, a], 4)[0], np.concatenate([a, b]))
    assert len(curves.join([a, b], 2)) == 2
    assert len(curves.join([a, b[::-1]], 4)) == 2


def test_the_nearest_start_is_joined_first():
    a = np.array([[0.0, 0], [0, 10]])
    near, far = np.array([[0.0, 12], [0, 30]]), np.array([[0.0, 14], [9, 30]])
    joined = curves.join([far, a, near], 5)
    assert sorted(len(line) for line in joined) == [2, 4]
    assert any((line[-1] == [0, 30]).all() and len(line) == 4 for line in joined)


def test_an_open_ring_is_closed():
    angle = np.linspace(0.1, 2 * np.pi - 0.1, 50)
    ring = 20 * np.stack([np.cos(angle), np.sin(angle)], 1)
    (closed,) = curves.join([ring], 5)
    assert curves.is_closed(closed)
    assert not curves.is_closed(curves.join([ring], 3)[0])
    half = np.array_split(ring, 2)
    (closed,) = curves.join(half, 5)
    assert curves.is_closed(closed)


def test_pieces_come_in_order_along_the_front():
    pieces = [np.array([[0.0, x], [0, x + 5]]) for x in (0, 20, 40, 60)]
    shuffled = [pieces[i] for i in (2, 0, 3, 1)]
    ordered = curves.in_order(shuffled)
    assert [line[0, 1] for line in ordered] == [0, 20, 40, 60]


def test_smoothing_keeps_ends_bends_and_closure():
    angle = np.linspace(0, 2 * np.pi, 400)
    ring = 20 * np.stack([np.cos(angle), np.sin(angle)], 1)
    ring[-1] = ring[0]
    smooth = curves.smooth(ring, 2.0)
    assert curves.is_closed(smooth)
    assert np.abs(np.hypot(*smooth.T) - 20).max() < 0.01
    arc = ring[:200]
    smooth = curves.smooth(arc, 2.0)
    np.testing.assert_array_equal(smooth[[0, -1]], arc[[0, -1]])


# --- real zones ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "JAC_2013-06-13_TSX_6_1_027",
        "SI_2004-11-09_RSAT_12_5_063",
        "Crane_2009-11-02_TSX_7_3_034",
        "DBE_2008-11-05_TSX_7_2_049",
    ],
)
def test_real_zones_give_the_labelled_front(name):
    skimage_io = pytest.importorskip("skimage.io")
    root = DATA / "caffe256"
    if not root.is_dir():
        pytest.skip(f"no CaFFe data in {root}")
    greys = skimage_io.imread(root / "zones" / "train" / f"{name}_zones.png")
    zones = np.zeros(greys.shape, np.uint8)
    for grey, code in GREY_TO_ZONE.items():
        zones[greys == grey] = code
    line = front_of(hard(zones)).geometry
    label = skimage_io.imread(root / "fronts" / "train" / f"{name}_front.png") > 0
    labelled = shapely.points(np.argwhere(label)[:, ::-1] + 0.5)
    distances = shapely.distance(labelled, line)
    assert np.median(distances) < 1
    assert np.quantile(distances, 0.9) < 3
    x, y = points_of(line).T.astype(int)
    close = ndimage.maximum_filter(zones == GLACIER, 5) & ndimage.maximum_filter(zones == OCEAN, 5)
    assert close[y, x].mean() > 0.98


@pytest.mark.parametrize(("rows", "pieces"), [(18, 1), (24, 2)])
def test_a_piece_below_an_eighth_of_the_longest_is_a_shore(rows: int, pieces: int) -> None:
    """900 m and 1200 m beside 7500 m, both longer than the shortest front."""
    zones = np.full((210, 200), ROCK, np.uint8)
    zones[5:155, :100] = GLACIER
    zones[175 : 175 + rows, :100] = GLACIER
    zones[:, 100:] = OCEAN
    probabilities = np.stack([(zones == code).astype(np.float32) for code in range(4)])
    scene = Scene(np.full(zones.shape, 0.5, np.float32), pixel_size_m=50.0)
    line = extract_front(probabilities, scene).geometry.iloc[0]
    assert len(shapely.get_parts(line)) == pieces
