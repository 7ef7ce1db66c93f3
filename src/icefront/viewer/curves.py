"""The curve of a glacier for the page: positions, fit, events, grades, and what to review."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from pyproj import CRS

from icefront.errors import IcefrontError
from icefront.projects.results import METHOD, compute_results
from icefront.projects.review import list_for_review
from icefront.timeseries.grades import grade_fronts
from icefront.timeseries.series import Series, summary, trend_text
from icefront.timeseries.trend import dates_of_days, days_of
from icefront.viewer.geojson import Answer, Mover, collection, feature, finite

_TREND_POINTS = 25
"""The trend is straight, but the edges of its interval are not."""
_SEASON_POINTS = 400
_SEASON_STEP_DAYS = 10.0


def _day(value: Any) -> str:
    return str(pd.Timestamp(value).date())


def curve_of(fronts: gpd.GeoDataFrame, rows: Mapping[int, Mapping[str, Any]], crs: CRS) -> Answer:
    """Return grades, what to review, and the series of one glacier.

    Parameters
    ----------
    fronts : GeoDataFrame
        Of the glacier, from `icefront.projects.Catalogue.table`.
    rows : mapping
        Of all its scenes in the catalogue, by their number.
    crs : pyproj.CRS
        Of the lines of reference.
    """
    empty: Answer = {
        "note": None, "grades": {}, "review": [], "points": [], "trend": [], "season": [],
        "events": [], "summary": "", "lines": collection([]),
    }  # fmt: skip
    fid_of = {row["name"]: fid for fid, row in rows.items()}
    scenes = pd.DataFrame(list(rows.values()))
    if fronts.empty:
        review = _left_out(scenes, fid_of)
        return empty | {"note": "There is no front yet.", "review": review}
    fronts = fronts.assign(date=pd.to_datetime(fronts["date"]).astype("datetime64[s]"))
    fronts = fronts.reset_index(drop=True)
    try:
        results = compute_results(fronts, scenes=scenes)
    except IcefrontError as error:
        graded = fronts.join(grade_fronts(fronts))
        return empty | {"note": str(error), "grades": _grades(graded)}
    (by_method,) = results.series.values()
    series = by_method[METHOD]
    review = [
        {"scene": fid_of[row.name], "why": row.why}
        for row in list_for_review(results)[["name", "why"]].itertuples(index=False)
        if row.name in fid_of
    ]
    return {
        "note": " ".join(results.notes) or None,
        "grades": _grades(results.fronts),
        "review": review,
        "points": _points(series, results.fronts),
        **_fit(series),
        "events": [
            {
                "before": _day(row.before),
                "after": _day(row.after),
                "drop_m": finite(row.drop_m),
                "uncertainty_m": finite(row.uncertainty_m),
            }
            for row in series.events.itertuples()
        ],
        "summary": trend_text(summary(series)),
        "lines": _reference_lines(results.lines, crs),
    }


def _left_out(scenes: pd.DataFrame, fid_of: Mapping[str, int]) -> list[Answer]:
    """Return scenes without a front to look at, where there is no front at all."""
    return [
        {"scene": fid_of[row["name"]], "why": row["error"] or row["reason"] or row["state"]}
        for row in scenes.to_dict("records")
        if row["state"] not in ("new", "running") and not row["verdict"]
    ]


def _grades(fronts: pd.DataFrame) -> Answer:
    return {
        str(row["fid"]): {
            "grade": row["grade"],
            "why": row["why"],
            "penalty": finite(row["penalty"]),
        }
        for row in fronts[["fid", "grade", "why", "penalty"]].to_dict("records")
    }


def _points(series: Series, fronts: pd.DataFrame) -> list[Answer]:
    points = []
    for row in series.table.to_dict("records"):
        position = finite(row["position_m"])
        if position is None:
            continue
        points.append(
            {
                "scene": int(fronts["fid"].loc[row["front"]]),
                "date": _day(row["date"]),
                "position_m": round(position, 1),
                "uncertainty_m": finite(row["uncertainty_m"]),
                "outlier": bool(row["outlier"]),
                "grade": fronts["grade"].loc[row["front"]],
            }
        )
    return points


def _fit(series: Series) -> Answer:
    """Return trend, with its 95 % interval, and season as points of their lines."""
    days = days_of(series.table["date"].to_numpy())
    if series.fit.coefficients.size == 0 or len(days) < 2 or days[-1] <= days[0]:
        return {"trend": [], "season": []}
    first, last = float(days[0]), float(days[-1])
    places = np.linspace(first, last, _TREND_POINTS)
    trend = _at(series, places, season=False)
    for point, low, high in zip(trend, *series.fit.trend_interval(places), strict=True):
        point |= {"low": round(float(low), 1), "high": round(float(high), 1)}
    answer = {"trend": trend, "season": []}
    if np.isfinite(series.fit.amplitude):
        count = int(np.clip((last - first) / _SEASON_STEP_DAYS, 2, _SEASON_POINTS))
        answer["season"] = _at(series, np.linspace(first, last, count), season=True)
    return answer


def _at(series: Series, days: np.ndarray, *, season: bool) -> list[Answer]:
    places = series.fit.position(days, season=season)
    return [
        {"date": _day(date), "position_m": round(float(place), 1)}
        for date, place in zip(dates_of_days(days), places, strict=True)
    ]


def _reference_lines(lines: gpd.GeoDataFrame, crs: CRS) -> Answer:
    """Return centreline and box in the CRS of the glacier."""
    features = []
    for row in lines.to_dict("records"):
        for kind in ("centreline", "box"):
            moved = Mover(lines.crs, crs)(row[kind])
            facts = {"kind": kind, "proposed": bool(row[f"{kind}_proposed"])}
            features.append(feature(moved, facts))
    return collection(features)
