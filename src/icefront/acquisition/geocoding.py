"""Terrain correction: which line and pixel of a GRD image shows each pixel of a map grid.

The range-Doppler equations are solved at a few nodes of the grid, at three heights, with the
state vectors of the satellite. Between nodes and heights, time and slant range change smoothly: a
cubic spline over the map and a parabola over height meet them within centimetres. Ground range,
which jumps from record to record of the annotation, is taken from them at every pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pyproj import Transformer
from scipy.interpolate import RectBivariateSpline

from icefront.acquisition.annotations import Annotation
from icefront.acquisition.orbits import earth_fixed
from icefront.errors import IcefrontError
from icefront.grid import WGS84, Grid

_NODE_PIXELS = 25
_NODE_M = 1_000.0
_FEWEST_NODES = 4
_MARGIN_PIXELS = 1
_LEAST_SPAN_M = 100.0


@dataclass(frozen=True)
class Geometry:
    """Where in a radar image the places of a grid are, for any height.

    Attributes
    ----------
    annotation : Annotation
    middle_m, half_span_m : float
        Heights are counted from the middle in half spans.
    seconds, slant_range_m : tuple of RectBivariateSpline
        Coefficients of height (its powers 0, 1 and 2) over rows and columns of the grid.
    """

    annotation: Annotation
    middle_m: float
    half_span_m: float
    seconds: tuple[RectBivariateSpline, ...]
    slant_range_m: tuple[RectBivariateSpline, ...]

    def at(self, rows: np.ndarray, heights_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return lines and pixels of the radar image.

        Parameters
        ----------
        rows : int (R,)
            Rows of the grid, in order.
        heights_m : float (R, W)
            Heights above the ellipsoid of these rows.

        Returns
        -------
        lines, pixels : float64 (R, W)
            The centre of the first is 0; NaN where the satellite did not pass.
        """
        columns = np.arange(heights_m.shape[1])
        scaled = (heights_m.astype(np.float64) - self.middle_m) / self.half_span_m

        def evaluated(splines: tuple[RectBivariateSpline, ...]) -> np.ndarray:
            first, second, third = (spline(rows, columns) for spline in splines)
            return first + scaled * (second + scaled * third)

        seconds = evaluated(self.seconds)
        pixels = self.annotation.pixels(seconds, evaluated(self.slant_range_m))
        return self.annotation.lines(seconds), pixels


def geometry_of(annotation: Annotation, grid: Grid, heights_m: np.ndarray) -> Geometry:
    """Solve the range-Doppler equations on the nodes of a grid.

    Parameters
    ----------
    annotation : Annotation
    grid : Grid
        With a projected CRS.
    heights_m : float (H, W)
        Heights above the ellipsoid; their lowest and highest bound the parabola.

    Raises
    ------
    IcefrontError
        If the grid has no CRS, or the satellite did not pass it within the orbit of the product.
    """
    if grid.crs is None or not grid.crs.is_projected:
        raise IcefrontError("A scene is put on a grid with a projected coordinate system only.")
    low, high = float(np.nanmin(heights_m)), float(np.nanmax(heights_m))
    middle, half = (low + high) / 2, max((high - low) / 2, _LEAST_SPAN_M)
    side = grid.side_m
    assert side is not None
    step = max(1.0, min(_NODE_PIXELS, _NODE_M / side))
    rows, columns = (
        np.linspace(
            -_MARGIN_PIXELS, n - 1 + _MARGIN_PIXELS, max(_FEWEST_NODES, math.ceil(n / step) + 1)
        )
        for n in grid.shape
    )
    x, y = grid.xy(rows[:, None], columns[None, :])
    longitude, latitude = Transformer.from_crs(grid.crs, WGS84, always_xy=True).transform(x, y)
    levels = [
        annotation.orbit.look(
            earth_fixed(longitude, latitude, np.full(x.shape, middle + offset * half)),
            annotation.height * annotation.line_s / 2,
        )
        for offset in (-1, 0, 1)
    ]
    if not all(np.isfinite(seconds).all() for seconds, _ in levels):
        raise IcefrontError(
            "The satellite did not pass the grid within the orbit of this product: the scene lies "
            "elsewhere."
        )

    def splines(values: list[np.ndarray]) -> tuple[RectBivariateSpline, ...]:
        below, at, above = values
        powers = (at, (above - below) / 2, (above + below) / 2 - at)
        return tuple(RectBivariateSpline(rows, columns, power) for power in powers)

    return Geometry(
        annotation,
        middle,
        half,
        splines([seconds for seconds, _ in levels]),
        splines([slant_range for _, slant_range in levels]),
    )
