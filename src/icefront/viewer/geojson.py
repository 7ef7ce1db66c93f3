"""GeoJSON, on whatever map: lines in one CRS, rounded, with what is said of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import shapely
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

Answer = dict[str, Any]
"""What becomes an object of JSON."""


class Mover:
    """Brings lines from one CRS into another and rounds their coordinates."""

    def __init__(self, source: CRS, target: CRS, decimals: int = 1) -> None:
        same = source == target
        self._move = None if same else Transformer.from_crs(source, target, always_xy=True)
        self._decimals = decimals

    def __call__(self, line: BaseGeometry) -> BaseGeometry:
        """Return a line or polygon in the other CRS."""

        def moved(xy: np.ndarray) -> np.ndarray:
            if self._move is not None:
                xy = np.stack(self._move.transform(*xy.T), axis=1)
            return np.round(xy, self._decimals)

        return shapely.transform(line, moved)


def feature(line: BaseGeometry, facts: Answer) -> Answer:
    """Return a line with what is said of it."""
    return {"type": "Feature", "geometry": geometry(line), "properties": facts}


def geometry(shape: BaseGeometry) -> Answer:
    """Return a shape."""
    return json.loads(shapely.to_geojson(shape))  # type: ignore[no-any-return]


def collection(features: list[Answer]) -> Answer:
    """Return several features as one."""
    return {"type": "FeatureCollection", "features": features}


def finite(value: Any) -> float | None:
    """Return a number as JSON takes it: None for NaN, infinity and what is missing."""
    return None if value is None or not np.isfinite(value) else float(value)
