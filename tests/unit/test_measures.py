"""Measures of fronts against geometry that is known exactly."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import affinity

from icefront.errors import IcefrontError
from icefront.measures import (
    area_change,
    centreline_position,
    curvilinear_box,
    measure,
    measure_each,
    parallel_centrelines,
    propose_box,
    propose_centreline,
    rectilinear_box,
    reference_lines,
)
from icefront.simulation.calving import FrontParameters
from tests.helpers.simulated_fronts import (
    HALF_M,
    axis_of,
    dates,
    made_branch,
    made_fronts,
    true_mean,
    true_position,
)

RETREATING = FrontParameters(trend_m_per_year=-200.0, events_per_year=4.0)
AXIS = shapely.LineString([(0, 0), (10_000, 0)])
BOX = shapely.box(0, -2_000, 10_000, 2_000)
INLAND = (-1_000.0, 0.0)


def table(*lines: shapely.Geometry, crs: object = 32622) -> gpd.GeoDataFrame:
    days = pd.date_range("2015-01-01", periods=len(lines))
    return gpd.GeoDataFrame({"date": days}, geometry=list(lines), crs=crs)


def across(x: float, reach: float = 3_000) -> shapely.LineString:
    return shapely.LineString([(x, -reach), (x, reach)])


@pytest.mark.parametrize("radius_m", [None, 12_000.0])
def test_true_positions_are_recovered(radius_m: float | None) -> None:
    branch, days = made_branch(RETREATING, radius_m=radius_m), dates(60)
    fronts, axis = made_fronts(branch, days), axis_of(branch)
    point = centreline_position(fronts, axis)
    assert np.abs(point["position_m"] - true_position(branch, days)).max() < 0.01
    curved = curvilinear_box(fronts, axis, 4_000)
    true = true_mean(branch, days, 4_000, radius_m)
    assert np.abs(curved["position_m"] - true).max() < 0.1
    assert np.allclose(curved["area_m2"], true * 4_000, rtol=1e-4)
    beside = parallel_centrelines(fronts, axis, 4_000, 5)
    for offset, mine in beside.groupby("offset_m"):
        true = true_position(branch, days, offset / HALF_M)
        assert np.abs(mine["position_m"] - true).max() < 1


def test_a_straight_box_recovers_the_mean_on_the_ground() -> None:
    branch, days = made_branch(RETREATING), dates(40)
    fronts, axis = made_fronts(branch, days), axis_of(branch)
    left = branch.place(np.array([4_000.0, 12_000.0]) - 8_000, np.full(2, 0.8))
    right = branch.place(np.array([4_000.0, 12_000.0]) - 8_000, np.full(2, -0.8))
    box = shapely.Polygon([*right, *left[::-1]])
    true = true_mean(branch, days, 4_000) - 4_000
    on_map = rectilinear_box(fronts, box, axis, plane="projected")
    assert np.abs(on_map["position_m"] - true).max() < 0.01
    # A metre on the ground is longer on the map by its scale there.
    middle = gpd.GeoSeries.from_xy([-182_000], [-2_275_000], crs=3413).to_crs(4326)
    from pyproj import Proj

    scale = Proj(3413).get_factors(middle.x[0], middle.y[0]).meridional_scale
    ground = rectilinear_box(fronts, box, axis)
    assert np.abs(ground["position_m"] - true / scale).max() < 1
    assert np.allclose(ground["area_m2"], true * 4_000 / scale**2, rtol=3e-4)


def test_areas_add_up_and_net_change_is_gain_less_loss() -> None:
    fronts = table(across(4_000), shapely.LineString([(3_000, -3_000), (6_000, 3_000)]))
    found = rectilinear_box(fronts, BOX, INLAND, plane="projected")
    assert found["area_m2"].tolist() == pytest.approx([16e6, 18e6])
    assert found["area_change_km2"].tolist() == pytest.approx([0, 2])
    # The slanted line stands at 3.5 and 5.5 km on the sides and meets the other at y = -1 km.
    change = area_change(fronts, BOX, INLAND, "2015-01-01", "2015-01-02", plane="projected")
    assert change["gained_km2"] == pytest.approx(1.5**2 * 2 / 2 / 2 * 2)
    assert change["lost_km2"] == pytest.approx(0.25)
    assert change["net_km2"] == pytest.approx(2.0)
    with pytest.raises(IcefrontError, match="no front of 2015-02-01"):
        area_change(fronts, BOX, INLAND, "2015-02-01", "2015-01-02")


def test_the_inland_end_decides_what_is_glacier() -> None:
    fronts = table(across(4_000))
    there = rectilinear_box(fronts, BOX, INLAND, plane="projected")["area_m2"][0]
    back = rectilinear_box(fronts, BOX, (11_000.0, 0.0), plane="projected")["area_m2"][0]
    assert (there, back) == pytest.approx((16e6, 24e6))
    along = rectilinear_box(fronts, BOX, AXIS, plane="projected")["area_m2"][0]
    assert along == pytest.approx(16e6)


BAY = shapely.LineString(
    np.array([(4, -3), (4, 1.5), (4, 2.5), (3, 2.5), (3, 1), (2, 1), (2, 2.5)]) * 1_000
)
"""Leaves through the left side at 4 km, comes back inland and leaves again: a bay of 1 km²."""
TONGUE = shapely.LineString(
    np.array([(4, -3), (4, 2.5), (5, 2.5), (5, 1), (6, 1), (6, 2.5)]) * 1_000
)
"""The same seaward: ice of 1 km² at the side."""


@pytest.mark.parametrize(
    ("line", "area_km2", "flag"),
    [
        (across(4_000), 16.0, "good"),
        (BAY, 15.0, "check: crosses the edge of the box 4 times"),
        (TONGUE, 17.0, "check: crosses the edge of the box 4 times"),
        (
            shapely.LineString([(4_000, -1_500), (4_000, 3_000)]),
            16.0,
            "check: ends inside the box, extended by 500 m",
        ),
        (
            shapely.LineString([(4_000, -1_500), (4_000, 1_000)]),
            16.0,
            "check: ends inside the box, extended by 1500 m",
        ),
        (
            shapely.MultiLineString(
                [[(4_000, -3_000), (4_000, -500)], [(5_000, 3_000), (5_000, 0)]]
            ),
            4 * 1.5 + 4.5 * 0.5 + 5 * 2,
            "check: in 2 pieces, 1118 m bridged",
        ),
        (
            shapely.MultiLineString(
                [[(4_000, -3_000), (4_000, 3_000)], [(6_000, 0), (6_500, 100)]]
            ),
            16.0,
            "check: 1 loose piece left out",
        ),
        (
            shapely.MultiLineString(
                [
                    [(4_000, -3_000), (4_000, 3_000)],
                    [(6_000, 0), (6_500, 0), (6_500, 500), (6_000, 0)],
                ]
            ),
            16.0,
            "check: 1 closed line left out",
        ),
        (
            shapely.LineString([(4_000, -3_000), (4_000, 3_000), (7_000, 3_000), (7_000, -3_000)]),
            16.0,
            "check: comes back through the box, its outermost crossing left out",
        ),
        (
            shapely.LineString(
                np.array(
                    [(40, -30), (40, 0), (45, 0), (45, 1), (42, 1), (42, -1), (40, 0.5), (40, 30)]
                )
                * 100
            ),
            None,
            "check: crosses itself",
        ),
        (across(12_000), np.nan, "no position: outside of the box"),
        (shapely.LineString(), np.nan, "no position: no front"),
        (
            shapely.LineString([(3_000, 2_500), (3_000, 1_500), (4_000, 1_500), (4_000, 2_500)]),
            np.nan,
            "no position: does not part the box",
        ),
    ],
)
def test_one_rule_for_lines_that_do_not_simply_cross(
    line: shapely.Geometry, area_km2: float | None, flag: str
) -> None:
    for found in (
        rectilinear_box(table(line), BOX, INLAND, plane="projected"),
        curvilinear_box(table(line), AXIS, 4_000),
        # The direction in which a line was drawn does not matter.
        curvilinear_box(table(line.reverse()), AXIS, 4_000),
    ):
        if area_km2 is not None:
            assert found["area_m2"][0] / 1e6 == pytest.approx(area_km2, nan_ok=True)
            assert found["position_m"][0] == pytest.approx(area_km2 * 250, nan_ok=True)
        else:
            assert found["area_m2"][0] / 1e6 == pytest.approx(16, abs=0.2)
        assert found["flag"][0] == flag


def test_a_fast_rule_for_many_equals_the_polygon() -> None:
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(60):
        y = np.linspace(-2_600, 2_600, 80)
        x = 5_000 + np.cumsum(rng.normal(0, 150, 80))
        lines.append(shapely.LineString(np.stack([x, y], axis=1)))
    found = rectilinear_box(table(*lines), BOX, INLAND, plane="projected")
    for line, area in zip(lines, found["area_m2"], strict=True):
        parts = shapely.get_parts(
            shapely.polygonize(
                [shapely.node(shapely.union_all([BOX.exterior, line.intersection(BOX)]))]
            )
        )
        inland = min(parts, key=lambda part: part.distance(shapely.Point(INLAND)))
        assert area == pytest.approx(inland.area, rel=1e-9)


def test_where_a_centreline_is_crossed() -> None:
    thrice = shapely.LineString(
        [(5_000, -500), (5_000, 100), (4_000, 100), (4_000, -100), (3_000, -100), (3_000, 500)]
    )
    gap = shapely.MultiLineString([[(4_000, -900), (4_000, -100)], [(4_400, 100), (4_400, 900)]])
    fronts = table(across(6_000), thrice, gap, shapely.LineString([(1, 10), (1, 90)]))
    found = centreline_position(fronts, AXIS)
    assert found["position_m"].tolist() == pytest.approx([6_000, 3_000, 4_200, np.nan], nan_ok=True)
    assert found["flag"].tolist() == [
        "good",
        "check: crosses the centreline 3 times",
        "check: bridged at the centreline",
        "no position: does not reach the centreline",
    ]


@settings(max_examples=25, deadline=None)
@given(
    angle=st.floats(0, 360),
    dx=st.floats(-1e5, 1e5),
    dy=st.floats(-1e5, 1e5),
    bend=st.floats(-40, 40),
    seed=st.integers(0, 99),
)
def test_positions_do_not_depend_on_where_and_how_the_glacier_lies(
    angle: float, dx: float, dy: float, bend: float, seed: int
) -> None:
    rng, turn = np.random.default_rng(seed), np.radians(bend)
    bent = 5_000 * np.array([1 + np.cos(turn), np.sin(turn)])
    axis = shapely.LineString([(0, 0), (5_000, 0), bent])
    y = np.linspace(-2_500, 2_500, 30)
    line = shapely.LineString(np.stack([3_500 + rng.normal(0, 100, 30), y], axis=1))

    def moved(geometry: shapely.Geometry) -> shapely.Geometry:
        return affinity.translate(affinity.rotate(geometry, angle, origin=(0, 0)), dx, dy)

    for name, method in {
        "point": lambda f, a: centreline_position(f, a),
        "curved": lambda f, a: curvilinear_box(f, a, 3_000),
    }.items():
        still = method(table(line), axis)["position_m"][0]
        there = method(table(moved(line)), moved(axis))["position_m"][0]
        assert there == pytest.approx(still, abs=1e-3), name


@settings(max_examples=25, deadline=None)
@given(cut=st.floats(-1_500, 1_500), seed=st.integers(0, 999))
def test_the_area_of_a_box_is_that_of_its_halves(cut: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = np.linspace(-2_500, 2_500, 40)
    front = table(shapely.LineString(np.stack([5_000 + rng.normal(0, 300, 40), y], axis=1)))
    areas = [
        rectilinear_box(front, shapely.box(0, low, 10_000, high), INLAND, plane="projected")[
            "area_m2"
        ][0]
        for low, high in ((-2_000, 2_000), (-2_000, cut), (cut, 2_000))
    ]
    assert areas[0] == pytest.approx(areas[1] + areas[2], rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(at=st.floats(1_000, 8_000), ahead=st.floats(1, 1_000))
def test_advance_is_positive(at: float, ahead: float) -> None:
    fronts = table(across(at), across(at + ahead))
    axis = shapely.LineString([(0, 0), (6_000, 0), (10_000, 400)])
    for found in (
        centreline_position(fronts, axis),
        curvilinear_box(fronts, axis, 3_000),
        rectilinear_box(fronts, BOX, axis),
    ):
        assert found["position_m"].diff()[1] > 0
    assert rectilinear_box(fronts, BOX, INLAND, plane="projected")["area_change_km2"][
        1
    ] == pytest.approx(4_000 * ahead / 1e6)


def test_degrees_are_measured_in_the_utm_zone_and_rows_keep_their_order() -> None:
    utm = table(across(504_000), across(503_000), crs=32622)
    utm = utm.set_geometry(utm.translate(0, 7_500_000)).set_index(pd.Index([7, 3]))
    axis = gpd.GeoSeries([shapely.LineString([(500_000, 7.5e6), (510_000, 7.5e6)])], crs=32622)
    degrees = utm.to_crs(4326)
    found = curvilinear_box(degrees, axis, 2_000)
    assert list(found.columns) == ["date", "position_m", "area_m2", "flag"]
    assert found.index.tolist() == [7, 3]
    assert found["position_m"].tolist() == pytest.approx([4_000, 3_000], abs=0.5)
    assert (found["position_m"] * 2_000).tolist() == pytest.approx(found["area_m2"].tolist())


def test_a_proposed_centreline_and_box_serve() -> None:
    branch, days = made_branch(RETREATING, radius_m=15_000), dates(30)
    fronts = made_fronts(branch, days).assign(source="icefront")
    axis, box = propose_centreline(fronts), propose_box(fronts)
    flow = axis.iloc[0]
    start, end = (shapely.Point(flow.coords[i]) for i in (0, -1))
    true = axis_of(branch)
    assert true.project(start) < true.project(end)
    # Where the fronts stand it runs in the middle of the glacier and with the flow.
    at = [line.intersection(flow) for line in fronts.geometry]
    assert max(true.distance(point) for point in at) < 400
    lines = reference_lines(fronts)
    assert lines["box_proposed"].all()
    measured = measure(fronts, lines)
    assert measured["flag"].str.startswith("good").mean() > 0.95
    rates = measured.groupby("method")["position_m"].agg(["first", "last"])
    change = true_mean(branch, days, 4_000)
    assert np.abs((rates["last"] - rates["first"]) - (change[-1] - change[0])).max() < 120
    assert box.iloc[0].area == pytest.approx(lines["box"].iloc[0].area)


def test_glaciers_are_measured_apart() -> None:
    far = affinity.translate(across(3_000), 0, 50_000)
    fronts = table(across(4_000), far, across(5_000), affinity.translate(far, 500, 0))
    fronts["glacier"] = ["one", "two"] * 2
    fronts["uncertainty_m"] = 10.0
    lines = reference_lines(fronts, inland=(-1e5, 0), width_m=2_000)
    found = measure(fronts, lines, plane="projected")
    change = found.groupby(["glacier", "method"])["position_m"].agg(lambda p: p.iloc[1] - p.iloc[0])
    assert change.loc["one"].tolist() == pytest.approx([1_000] * 4)
    assert change.loc["two"].tolist() == pytest.approx([500] * 4)
    with pytest.raises(IcefrontError, match="no column 'glacier'"):
        reference_lines(fronts, box=gpd.GeoSeries([BOX], crs=32622))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.iloc[:0], "is empty"),
        (lambda f: f.set_crs(None, allow_override=True), "has no CRS"),
        (lambda f: f.drop(columns="date"), "no column 'date'"),
        (lambda f: f.assign(date="some day"), "'some day'"),
        (lambda f: f.set_geometry(f.buffer(10)), "is a Polygon"),
        (lambda f: pd.DataFrame(f), "as a GeoDataFrame"),
    ],
)
def test_tables_that_cannot_be_measured(change: object, message: str) -> None:
    fronts = change(table(across(4_000)))  # type: ignore[operator]
    for method in (
        lambda f: centreline_position(f, AXIS),
        lambda f: curvilinear_box(f, AXIS, 4_000),
        lambda f: rectilinear_box(f, BOX, INLAND),
    ):
        with pytest.raises(IcefrontError, match=message):
            method(fronts)


def test_lines_and_boxes_that_cannot_be_used() -> None:
    fronts = table(across(4_000))
    with pytest.raises(IcefrontError, match="0 m wide"):
        curvilinear_box(fronts, AXIS, 0)
    hairpin = shapely.LineString([(0, 0), (5_000, 0), (5_000, 1_000), (0, 1_000)])
    with pytest.raises(IcefrontError, match="overlaps itself"):
        curvilinear_box(fronts, hairpin, 2_500)
    with pytest.raises(IcefrontError, match="crosses itself"):
        curvilinear_box(fronts, shapely.LineString([(0, 0), (9, 9), (9, 0), (0, 9)]), 10)
    with pytest.raises(IcefrontError, match="does not pass through"):
        rectilinear_box(fronts, BOX, affinity.translate(AXIS, 0, 9_000))
    with pytest.raises(IcefrontError, match="not one polygon"):
        rectilinear_box(fronts, BOX.difference(shapely.box(1, 1, 2, 2)), INLAND)
    with pytest.raises(IcefrontError, match="no plane 'air'"):
        curvilinear_box(fronts, AXIS, 100, plane="air")  # type: ignore[arg-type]


def test_fronts_of_two_vertices_and_of_no_length_have_a_box() -> None:
    fronts = table(shapely.LineString([(4_000, -2_000), (4_000, 2_000)]))
    nothing = table(shapely.LineString([(4_000, 0), (4_000, 0)]))
    piece = table(shapely.MultiLineString([fronts.geometry[0], nothing.geometry[0]]))
    (box,) = propose_box(pd.concat([fronts, piece, nothing], ignore_index=True))
    low, _, high, _ = box.bounds
    assert (low, high) == (pytest.approx(3_000, abs=50), pytest.approx(5_000, abs=50))
    with pytest.raises(IcefrontError, match="No front of the table has a line"):
        propose_box(nothing)


def test_an_order_of_dates_holds_for_a_whole_table() -> None:
    days = ["02/06/2018", "14/06/2018"]
    fronts = pd.concat([table(across(4_000)), table(across(5_000))], ignore_index=True)
    fronts = fronts.assign(date=days, glacier=["A", "B"])
    found = centreline_position(fronts, AXIS)
    assert found["date"].dt.strftime("%Y-%m-%d").tolist() == ["2018-06-02", "2018-06-14"]
    _, measured, _ = measure_each(fronts, inland=INLAND)
    assert set(measured["date"].dt.month) == {6}
    with pytest.raises(IcefrontError, match="--day-first or --month-first"):
        centreline_position(fronts[:1], AXIS)
