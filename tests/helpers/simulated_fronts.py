"""Glaciers with exact geometry and fronts that are known everywhere, for the measures."""

from __future__ import annotations

import datetime as dt

import geopandas as gpd
import numpy as np
import shapely

from icefront.simulation.calving import FrontHistory, FrontParameters
from icefront.simulation.glacier import Branch

START, END = dt.date(2015, 1, 1), dt.date(2020, 12, 31)
ORIGIN = np.array([-190_000.0, -2_275_000.0])
LENGTH_M, HALF_M = 16_000.0, 2_500.0
MIDDLE_M = LENGTH_M / 2
ACROSS = np.linspace(-1.25, 1.25, 241)
"""Where `Branch.across_line` has its vertices."""


def dates(count: int = 200) -> list[dt.date]:
    return [START + (END - START) * i / (count - 1) for i in range(count)]


def made_branch(
    parameters: FrontParameters, *, radius_m: float | None = None, seed: int = 1
) -> Branch:
    """A valley of constant width, straight or along a circle that turns to the left."""
    along = np.linspace(0, LENGTH_M, 2001)
    line = np.stack([along, np.zeros_like(along)], axis=1)
    if radius_m is not None:
        turn = along / radius_m
        line = radius_m * np.stack([np.sin(turn), 1 - np.cos(turn)], axis=1)
    half = np.full((along.size, 2), HALF_M)
    history = FrontHistory(parameters, seed, START, END)
    return Branch(line + ORIGIN, along.size // 2, half, history)


def made_fronts(branch: Branch, days: list[dt.date]) -> gpd.GeoDataFrame:
    lines = [branch.across_line(day) for day in days]
    return gpd.GeoDataFrame({"date": [str(d) for d in days]}, geometry=lines, crs=3413)


def axis_of(branch: Branch) -> shapely.LineString:
    return shapely.LineString(branch.line)


def true_position(branch: Branch, days: list[dt.date], across: float = 0.0) -> np.ndarray:
    """Metres from the start of the centreline, at a place across the front."""
    assert branch.history is not None
    stands = [branch.history.position(day, ACROSS) for day in days]
    return MIDDLE_M + np.array([np.interp(across, ACROSS, stand) for stand in stands])


def true_mean(
    branch: Branch, days: list[dt.date], width_m: float, radius_m: float | None = None
) -> np.ndarray:
    """Area of glacier in a band about the centreline, over its width.

    In coordinates along (s) and to the left (n) of a circle of radius R, area is (1 - n/R) ds dn,
    so that the area up to a front s(n) is the integral of s(n) (1 - n/R) over the band.
    """
    assert branch.history is not None
    left = np.linspace(-width_m / 2, width_m / 2, 4001)
    bend = 1 - left / radius_m if radius_m else np.ones_like(left)
    areas = []
    for day in days:
        stand = np.interp(left / HALF_M, ACROSS, branch.history.position(day, ACROSS))
        areas.append(np.trapezoid((MIDDLE_M + stand) * bend, left))
    return np.array(areas) / width_m
