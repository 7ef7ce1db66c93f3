"""How good each front is, and which a person should look at first.

Each of four criteria gives a penalty, which is 1 at the limit of what is good:

- *span*: does it reach across the fjord, and is it no longer than a front can be?
- *uncertainty*: does the network know the place to a few pixels?
- *neighbours*: do the fronts before or after it say the same?
- *members*: do other models, or other sources of the same day, draw the same line?

The grade is that of the worst: A good, B fair, C doubtful, D most likely wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from icefront.fronts.distances import mean_distance
from icefront.fronts.quality import CHECK
from icefront.measures.front_tables import measuring_crs
from icefront.timeseries.outliers import NEIGHBOURS, REACH_DAYS, noise_of
from icefront.timeseries.trend import days_of

GRADES = ("A", "B", "C", "D")
_LIMITS = (1.0, 1.5, 2.5)
"""Penalty up to which a front has the grades A, B and C."""

_FULL_SPAN = 0.9
"""A good front spans this fraction of the fjord's width between the sides of the box."""
_LONGEST = 2.5
"""A good front is at most this many times as long as the fjord is wide."""
_GOOD_PX = 4.0
"""A good front is known to this many pixels of the grid it was drawn on."""
_GOOD_FRACTION = 0.05
"""Where the pixels are unknown: to this fraction of the fjord's width."""
_GOOD_SIGMAS = 2.0
"""A good front is off from its neighbours by at most this many standard deviations."""
_GOOD_MEMBERS = 2.0
"""Lines of members that agree are apart by at most this many uncertainties."""
_FLAGGED = 1.2
"""Penalty of a front that was flagged when it was drawn, and meets all criteria."""

_ENOUGH, _WIDEST = 8, 0.9
"""From this number of fronts on the fjord is no wider than this fraction of them reaches."""

_CRITERIA = ("span", "uncertainty", "neighbours", "members")


def grade_fronts(
    fronts: gpd.GeoDataFrame,
    lines: gpd.GeoDataFrame | None = None,
    measured: pd.DataFrame | None = None,
    members: Sequence[gpd.GeoDataFrame] = (),
) -> pd.DataFrame:
    """Grade each front.

    Parameters
    ----------
    fronts : GeoDataFrame
        With ``glacier``, ``date``, ``uncertainty_m``, ``flag`` and, of our own,
        ``model_pixel_size_m`` and ``scene``.
    lines : GeoDataFrame, optional
        From `icefront.measures.reference_lines`: width and box of each glacier.
    measured : DataFrame, optional
        ``front`` (label of the row in `fronts`), ``position_m`` and ``uncertainty_m`` by one
        method.
    members : sequence of GeoDataFrame
        Fronts of the same scenes by other models; matched by ``glacier`` and ``scene``.

    Returns
    -------
    DataFrame
        With the index of `fronts`: ``grade`` (A to D), ``penalty`` (0 and more), ``span_fraction``,
        ``off_sigmas``, ``members_m`` (NaN where unknown) and ``why`` (a phrase for each
        question that is not answered well, the worst first; empty for grade A).
    """
    count = len(fronts)
    table = pd.DataFrame(
        {
            "span_fraction": np.full(count, np.nan),
            "off_sigmas": np.full(count, np.nan),
            "members_m": np.full(count, np.nan),
        },
        index=fronts.index,
    )
    length_ratio = pd.Series(np.nan, index=fronts.index)
    width = pd.Series(np.nan, index=fronts.index)
    if lines is not None:
        for _, row in lines.iterrows():
            mine = fronts[fronts["glacier"].fillna("").astype(str) == str(row["glacier"])]
            if mine.empty:
                continue
            fraction, ratio = _spans(mine, row, lines)
            table.loc[mine.index, "span_fraction"] = fraction
            length_ratio[mine.index] = ratio
            width[mine.index] = float(row["width_m"])
    if measured is not None:
        table.loc[measured["front"], "off_sigmas"] = disagreement(measured)
    if members:
        table["members_m"] = _between_members(fronts, members)

    uncertainty = _numbers(fronts, "uncertainty_m")
    pixel = _numbers(fronts, "model_pixel_size_m")
    pixel = np.where(np.isnan(pixel), _numbers(fronts, "pixel_size_m"), pixel)
    allowed = np.where(np.isnan(pixel), _GOOD_FRACTION * width, _GOOD_PX * pixel)
    short = (1 - table["span_fraction"].to_numpy()) / (1 - _FULL_SPAN)
    penalty = {
        # Half a fjord is five times as much missing as is good, but no sure error.
        "span": np.fmax(np.sqrt(np.maximum(short, 0)), length_ratio.to_numpy() / _LONGEST),
        "uncertainty": uncertainty / allowed,
        "neighbours": table["off_sigmas"].to_numpy() / _GOOD_SIGMAS,
        "members": table["members_m"].to_numpy()
        / (_GOOD_MEMBERS * np.fmax(uncertainty, np.nan_to_num(pixel))),
    }
    phrases = {
        "span": [
            _span_words(fraction, ratio)
            for fraction, ratio in zip(table["span_fraction"], length_ratio, strict=True)
        ],
        "uncertainty": [f"uncertain by {value:.0f} m" for value in uncertainty],
        "neighbours": [
            f"{value:.1f} σ off its neighbours in time" for value in table["off_sigmas"]
        ],
        "members": [f"{value:.0f} m from the other members" for value in table["members_m"]],
    }
    scores = np.stack([np.nan_to_num(penalty[name]) for name in _CRITERIA])
    worst = scores.max(axis=0)
    flagged = (fronts["flag"] == CHECK).to_numpy() if "flag" in fronts else np.zeros(count, bool)
    worst = np.where(flagged, np.maximum(worst, _FLAGGED), worst)
    table["penalty"] = worst.round(3)
    table["grade"] = [GRADES[int(np.searchsorted(_LIMITS, value))] for value in worst]
    why = []
    for number in range(count):
        order = [k for k in np.argsort(-scores[:, number]) if scores[k, number] > _LIMITS[0]]
        words = [phrases[_CRITERIA[k]][number] for k in order]
        if flagged[number] and not words:
            words = [str(fronts["reason"].iloc[number] or "flagged when it was drawn")]
        why.append("; ".join(words))
    table["why"] = why
    return table[["grade", "penalty", "span_fraction", "off_sigmas", "members_m", "why"]]


def _numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    if name not in table:
        return np.full(len(table), np.nan)
    return pd.to_numeric(table[name], errors="coerce").to_numpy(float)


def _span_words(fraction: float, ratio: float) -> str:
    if ratio / _LONGEST > np.sqrt(max(1 - fraction, 0) / (1 - _FULL_SPAN)):
        return f"{ratio:.1f} times as long as the fjord is wide"
    return f"spans {100 * fraction:.0f} % of the fjord"


def _spans(
    fronts: gpd.GeoDataFrame, row: pd.Series, lines: gpd.GeoDataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Fraction of the fjord's width that each front spans inside of the box, and length over width.

    The span is taken square to the centreline's way through the box; where pieces leave gaps, only
    what is covered counts. The width is the box's, or that of the widest fronts if they are less.
    """
    crs = measuring_crs(fronts, row["centreline"], "geodesic")
    box, axis = (
        gpd.GeoSeries([row[name]], crs=lines.crs).to_crs(crs).iloc[0]
        for name in ("box", "centreline")
    )
    within = axis.intersection(box)
    ends = shapely.get_coordinates(axis if within.is_empty else within)[[0, -1]]
    flow = ends[1] - ends[0]
    across = np.array([-flow[1], flow[0]]) / np.hypot(*flow)
    width = float(np.ptp(shapely.get_coordinates(box) @ across))
    inside = [line.intersection(box) for line in fronts.geometry.to_crs(crs)]
    spans = np.array([_covered(line, across) for line in inside])
    if spans.size >= _ENOUGH:
        # A box may be drawn wider than the fjord: fronts are held against the widest of their own.
        width = min(width, float(np.quantile(spans, _WIDEST)))
    lengths = np.array([line.length for line in inside])
    return np.minimum(spans / width, 1.0), lengths / width


def _covered(line: BaseGeometry, across: np.ndarray) -> float:
    """Length of the projection of a line onto a direction."""
    intervals = []
    for part in shapely.get_parts(line):
        if part.geom_type == "LineString" and not part.is_empty:
            on = shapely.get_coordinates(part) @ across
            intervals.append((on.min(), on.max()))
    total, reached = 0.0, -np.inf
    for low, high in sorted(intervals):
        total += max(high - max(low, reached), 0.0)
        reached = max(reached, high)
    return total


def disagreement(measured: pd.DataFrame) -> np.ndarray:
    """Return by how many standard deviations positions differ from their neighbours in time.

    As for outliers (`icefront.timeseries.outliers.find_outliers`) a position is held against the
    medians of up to three before and after it; the nearer one counts, and nothing if it lies
    between the two, so that calving itself is no disagreement. At the ends of a series the one side
    that there is counts half.

    Parameters
    ----------
    measured : DataFrame
        ``glacier``, ``date``, ``position_m`` and ``uncertainty_m``.

    Returns
    -------
    float (N,)
        0 and more; NaN without a position or neighbours.
    """
    result = pd.Series(np.nan, index=measured.index)
    known = measured[measured["position_m"].notna()]
    for _, mine in known.groupby(
        known["glacier"].fillna("") if "glacier" in known else "", sort=False
    ):
        mine = mine.sort_values("date", kind="stable")
        days = days_of(mine["date"].to_numpy())
        position = mine["position_m"].to_numpy(float)
        own = np.nan_to_num(pd.to_numeric(mine["uncertainty_m"], errors="coerce").to_numpy(float))
        noise = noise_of(days, position)
        if not np.isfinite(noise):
            continue
        for i in range(len(mine)):
            near = np.abs(days - days[i]) <= REACH_DAYS
            before = np.flatnonzero(near[:i])[-NEIGHBOURS:]
            after = i + 1 + np.flatnonzero(near[i + 1 :])[:NEIGHBOURS]
            off = [position[i] - np.median(position[side]) for side in (before, after) if side.size]
            if not off:
                continue
            nearest = min(abs(value) for value in off)
            if len(off) == 2 and off[0] * off[1] <= 0:
                nearest = 0.0
            if len(off) == 1:
                nearest /= 2
            result[mine.index[i]] = nearest / np.hypot(own[i], noise)
    return result.to_numpy()


def _between_members(fronts: gpd.GeoDataFrame, members: Sequence[gpd.GeoDataFrame]) -> np.ndarray:
    """Mean distance of each front to those of the same scene by other models, in metres."""
    keys = ["glacier", "scene"]
    others: dict[tuple[str, str], list[BaseGeometry]] = {}
    for table in members:
        for row in table.to_crs(fronts.crs).itertuples():
            if row.geometry is not None and not row.geometry.is_empty:
                others.setdefault((str(row.glacier), str(row.scene)), []).append(row.geometry)
    found = np.full(len(fronts), np.nan)
    for number, (glacier, scene) in enumerate(
        fronts[keys].astype(str).itertuples(index=False, name=None)
    ):
        lines = others.get((glacier, scene), [])
        mine = fronts.geometry.iloc[number]
        if not lines or mine is None or mine.is_empty:
            continue
        plane = measuring_crs(fronts, mine, "geodesic")
        own, *them = gpd.GeoSeries([mine, *lines], crs=fronts.crs).to_crs(plane)
        spacing = max(own.length / 500, 1.0)
        found[number] = float(np.mean([mean_distance(own, line, spacing) for line in them]))
    return found
