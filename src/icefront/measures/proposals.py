"""Proposals for a centreline, a box and a width, from the fronts themselves."""

from __future__ import annotations

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS

from icefront.errors import IcefrontError
from icefront.fronts.date_line import box_about, continuous
from icefront.measures.front_tables import check_fronts, lines_in, measuring_crs, reproject
from icefront.measures.ice_side import Evidence

_STEP_FRACTION = 0.25
"""Middles of fronts are gathered over this fraction of the width along the flow."""
_EXTENSION_FRACTION = 0.5
"""The centreline goes on straight beyond the fronts by this fraction of the width."""
_MARGIN_FRACTION = 0.25
"""The box goes beyond the fronts by this fraction of the width."""
_REACHED_BY = 0.9
"""The sides of the box are reached by this fraction of the fronts."""
_INSET_FRACTION = 0.05
"""The sides of the box keep off the ends of the fronts by this fraction of the width."""


def propose_centreline(
    fronts: gpd.GeoDataFrame, inland: tuple[float, float] | None = None
) -> gpd.GeoSeries:
    """Propose a centreline through the middles of the fronts.

    The flow is taken square to the mean direction of the fronts. The middles of all fronts (half
    way along each) are gathered in steps of a quarter of the glacier's width along the flow; the
    line runs through the median of each step, smoothed over its neighbours, and goes on straight by
    half a width at both ends. Where the front has moved by less than two steps it is straight.

    Parameters
    ----------
    fronts : GeoDataFrame
        Lines with a column ``date``, of one glacier.
    inland : (x, y), optional
        A place inland of the fronts, in their CRS. Without it our own fronts tell, or else where
        there is land; never the order in which lines of others were drawn.

    Returns
    -------
    GeoSeries
        One LineString from inland to the sea, in the CRS of the fronts.

    Raises
    ------
    IcefrontError
        If there is no front with a length, or nothing tells on which side of them the ice lies.
    """
    return centreline_of(flow_of(fronts, inland), fronts.crs)


def centreline_of(flow: Flow, crs: object) -> gpd.GeoSeries:
    """Return the proposed centreline of a flow, in a CRS."""
    along, across = (flow.middles @ axis for axis in (flow.ahead, flow.left))
    step = _STEP_FRACTION * flow.width
    bins = np.floor((along - along.min()) / step).astype(int)
    table = pd.DataFrame({"along": along, "across": across}).groupby(bins).median()
    if len(table) > 2:
        table = table.rolling(3, center=True, min_periods=1).mean()
    nodes = table.to_numpy()
    if len(nodes) < 3:
        middle = np.median(across)
        nodes = np.array([[along.min() - step, middle], [along.max() + step, middle]])
    beyond = _EXTENSION_FRACTION * flow.width + step
    few = min(3, len(nodes))
    first, last = (
        _point_beyond(nodes[few - 1], nodes[0], beyond),
        _point_beyond(nodes[-few], nodes[-1], beyond),
    )
    nodes = np.concatenate([[first], nodes, [last]])
    places = nodes[:, :1] * flow.ahead + nodes[:, 1:] * flow.left
    return reproject(
        gpd.GeoSeries([shapely.LineString(places)], crs=flow.crs), CRS.from_user_input(crs)
    )


def propose_box(
    fronts: gpd.GeoDataFrame, inland: tuple[float, float] | None = None
) -> gpd.GeoSeries:
    """Propose a rectangular terminus box.

    Its sides run along the mean flow and are reached by nine fronts in ten, less a twentieth of the
    width so that ends along the shore do not matter; it reaches a quarter of the width beyond the
    innermost and the outermost place of any front between those sides.

    Parameters
    ----------
    fronts : GeoDataFrame
        As for `propose_centreline`.
    inland : (x, y), optional
        Changes nothing: a box has no direction.

    Returns
    -------
    GeoSeries
        One Polygon in the CRS of the fronts.

    Raises
    ------
    IcefrontError
        If there is no front with a length, or they have too little of the glacier's width in
        common.
    """
    return box_of(flow_of(fronts, directed=False), fronts.crs)


def box_of(flow: Flow, crs: object) -> gpd.GeoSeries:
    """Return the proposed box of a flow, in a CRS."""
    along, across, owner = _in_frame(flow.lines, flow)
    by_front = pd.Series(across).groupby(owner)
    right = float(np.quantile(by_front.min(), _REACHED_BY)) + _INSET_FRACTION * flow.width
    left = float(np.quantile(by_front.max(), 1 - _REACHED_BY)) - _INSET_FRACTION * flow.width
    if left - right < 0.2 * flow.width:
        raise IcefrontError(
            "The fronts have too little of the glacier's width in common for a box: draw one, or "
            "leave out the fronts that show a part of it only."
        )
    if not ((across > right) & (across < left)).any():
        # Lines of few vertices have none between the sides.
        along, across, _ = _in_frame(shapely.segmentize(flow.lines, (left - right) / 4), flow)
    within = along[(across > right) & (across < left)]
    margin = _MARGIN_FRACTION * flow.width
    low, high = float(within.min()) - margin, float(within.max()) + margin
    corners = np.array([[low, right], [high, right], [high, left], [low, left]])
    places = corners[:, :1] * flow.ahead + corners[:, 1:] * flow.left
    return reproject(
        gpd.GeoSeries([shapely.Polygon(places)], crs=flow.crs), CRS.from_user_input(crs)
    )


def _in_frame(lines: np.ndarray, flow: Flow) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where the vertices of lines lie along and across the flow, and whose they are."""
    points, owner = shapely.get_coordinates(lines, return_index=True)
    return points @ flow.ahead, points @ flow.left, owner


def propose_width(fronts: gpd.GeoDataFrame) -> float:
    """Propose the width of a curvilinear box: 0.6 of the fronts' median width, in metres.

    A band that is narrower than the glacier is crossed from side to side by every front,
    wherever its ends lie along the shore.
    """
    return width_of(flow_of(fronts, directed=False))


def width_of(flow: Flow) -> float:
    """Return the proposed width of a flow, in metres."""
    return round(0.6 * flow.width, -1)


@dataclass(frozen=True)
class Flow:
    """The frame of a glacier: unit vectors along and across its flow, and what lies in it.

    `decided` says how the side of the ice was, empty where it does not matter.
    """

    crs: object
    lines: np.ndarray
    middles: np.ndarray
    ahead: np.ndarray
    left: np.ndarray
    width: float
    decided: str = ""


def _point_beyond(before: np.ndarray, end: np.ndarray, distance: float) -> np.ndarray:
    """The place at a distance beyond the end of a line."""
    way = end - before
    return end + way / np.hypot(*way) * distance


def flow_of(
    fronts: gpd.GeoDataFrame,
    inland: tuple[float, float] | None = None,
    *,
    centreline: shapely.LineString | None = None,
    directed: bool = True,
) -> Flow:
    """Find the direction of the flow and the width of a glacier from its fronts.

    Parameters
    ----------
    fronts, inland
        As for `propose_centreline`.
    centreline : LineString, optional
        From inland to the sea, in the CRS of the fronts.
    directed : bool
        False if it does not matter which end is inland.
    """
    check_fronts(fronts)
    shown = fronts[shapely.length(fronts.geometry.to_numpy()) > 0]
    if shown.empty:
        raise IcefrontError("No front of the table has a line: nothing can be proposed from it.")
    crs = measuring_crs(shown, box_about(continuous(shown.geometry)), "geodesic")
    lines = lines_in(shown, crs)
    parts, owner = shapely.get_parts(lines, return_index=True)
    # The longest piece stands for a front: strays must not turn it.
    longest = pd.Series(shapely.length(parts)).groupby(owner).idxmax().to_numpy()
    main = parts[longest]
    starts, ends = (shapely.get_coordinates(shapely.get_point(main, i)) for i in (0, -1))
    chords = ends - starts
    angle = np.arctan2(chords[:, 1], chords[:, 0])
    weight = np.hypot(*chords.T)
    # The mean axis of lines that may run either way: double the angles.
    double = np.angle((weight * np.exp(2j * angle)).sum()) / 2
    axis = np.array([np.cos(double), np.sin(double)])
    middles = shapely.get_coordinates(shapely.line_interpolate_point(main, 0.5, normalized=True))
    across, owner = shapely.get_coordinates(lines, return_index=True)
    extent = pd.Series(across @ axis).groupby(owner)
    width = float(np.median(extent.max() - extent.min()))
    if not width > 0:
        raise IcefrontError("The fronts have no width: nothing can be proposed from them.")
    ahead, decided = np.array([-axis[1], axis[0]]), ""
    if directed:
        evidence = Evidence(shown, chords, axis, np.median(middles, axis=0), crs)
        ahead, decided = evidence.ahead(inland, centreline)
    left = np.array([-ahead[1], ahead[0]])
    return Flow(crs, lines, middles, ahead, left, width, decided)
