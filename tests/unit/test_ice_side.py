"""On which side of fronts the ice lies: never told by the order in which lines were drawn."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import translate

from icefront.errors import IcefrontError
from icefront.measures import measure_each, propose_centreline, reference_lines
from icefront.measures.land import land_difference
from icefront.simulation.calving import FrontParameters
from tests.helpers.simulated_fronts import axis_of, dates, made_branch, made_fronts

RETREATING = FrontParameters(trend_m_per_year=-300.0, events_per_year=0.0, rough_m=10.0)
BRANCH = made_branch(RETREATING)
SHIFT = (-380_000.0, 930_000.0)
FRONTS = made_fronts(BRANCH, dates(6)).pipe(lambda f: f.set_geometry(f.translate(*SHIFT)))
"""Where Harald Moltke Bræ ends, but with the ice in the west: against the map of land."""
AXIS = translate(axis_of(BRANCH), *SHIFT)
INLAND = tuple(AXIS.coords[0])
AT_SEA = FRONTS.set_geometry(FRONTS.translate(-600_000.0, 2_500_000.0))


def reversed_where(fronts: gpd.GeoDataFrame, chosen: list[bool]) -> gpd.GeoDataFrame:
    lines = [
        line.reverse() if turn else line for line, turn in zip(fronts.geometry, chosen, strict=True)
    ]
    return fronts.set_geometry(gpd.GeoSeries(lines, crs=fronts.crs))


def change(fronts: gpd.GeoDataFrame, **given: object) -> pd.Series:
    _, table, _ = measure_each(fronts, **given)  # type: ignore[arg-type]
    return table.groupby("method")["position_m"].agg(lambda p: p.iloc[-1] - p.iloc[0])


@settings(max_examples=3, deadline=None)
@given(st.lists(st.booleans(), min_size=6, max_size=6))
def test_drawing_order_changes_no_measure(turned: list[bool]) -> None:
    lines, straight, _ = measure_each(FRONTS)
    same, found, _ = measure_each(reversed_where(FRONTS, turned))
    assert same["ice_side"].tolist() == lines["ice_side"].tolist()
    assert found["flag"].tolist() == straight["flag"].tolist()
    assert found["position_m"].to_numpy() == pytest.approx(
        straight["position_m"].to_numpy(), abs=1e-3, nan_ok=True
    )


def test_a_place_inland_tells_and_doubt_is_stated() -> None:
    assert (change(FRONTS, inland=INLAND) < -1_000).all()
    lines = reference_lines(FRONTS, inland=INLAND)
    assert "by the place given inland" in lines["ice_side"][0]
    assert "(the map of land would give the other side)" in lines["ice_side"][0]


def test_a_centreline_tells() -> None:
    axis = gpd.GeoSeries([AXIS], crs=3413)
    assert (change(FRONTS, centreline=axis) < -1_000).all()
    assert "by the direction" in reference_lines(FRONTS, centreline=axis)["ice_side"][0]
    assert (change(FRONTS, centreline=axis.reverse()) > 1_000).all()


def test_a_centreline_towards_the_place_inland_is_refused() -> None:
    axis = gpd.GeoSeries([AXIS.reverse()], crs=3413)
    with pytest.raises(IcefrontError, match="runs towards the place inland"):
        reference_lines(FRONTS, centreline=axis, inland=INLAND)


@pytest.mark.parametrize("column", [{"source": "icefront"}, {"icefront_version": "0.1.0"}])
def test_own_fronts_tell_for_those_of_others_too(column: dict[str, str]) -> None:
    others = reversed_where(FRONTS, [True] * 6).assign(**dict.fromkeys(column, None))
    both = pd.concat([FRONTS.assign(**column).iloc[:2], others.iloc[2:]], ignore_index=True)
    assert (change(both) < -1_000).all()
    assert "by the zones" in reference_lines(both)["ice_side"][0]


def test_the_map_of_land_tells() -> None:
    # The same fronts, turned about so that the ice comes from Greenland, east of them.
    turned = FRONTS.set_geometry(FRONTS.rotate(180, origin=AXIS.centroid))
    assert (change(turned) < -1_000).all()
    side = reference_lines(turned)["ice_side"][0]
    assert side.endswith(", by the map of land")
    assert "east" in side


def test_it_is_refused_where_nothing_tells() -> None:
    for call in (reference_lines, propose_centreline):
        with pytest.raises(IcefrontError, match=r"name a place inland of them with --inland X,Y"):
            call(AT_SEA.assign(glacier="Nobody's"))  # type: ignore[operator]
    with pytest.raises(IcefrontError, match=r"no place inland at .* in EPSG:3413"):
        reference_lines(FRONTS, inland=(np.inf, 0.0))


def test_a_glacier_of_which_nothing_is_known_costs_only_itself() -> None:
    both = pd.concat([AT_SEA.assign(glacier="Nobody's"), FRONTS.assign(glacier="One")])
    _, found, notes = measure_each(both.reset_index(drop=True))
    assert set(found["glacier"]) == {"One"}
    assert len(notes) == 1
    assert notes[0].startswith("Nobody's is not measured: On which side")


@pytest.mark.parametrize(
    ("x", "y", "east"),
    [(-570_000.0, -1_345_000.0, True), (310_000.0, -2_577_000.0, False)],
    ids=["Harald Moltke Bræ", "Helheim"],
)
def test_there_is_more_land_inland_of_known_glaciers(x: float, y: float, east: bool) -> None:
    more = land_difference(np.array([x, y]), np.array([1.0, 0.0]), FRONTS.crs)
    assert (more > 0.1) if east else (more < -0.1)
