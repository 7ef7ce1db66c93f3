"""Heights of the ground above the ellipsoid: of an elevation model, or one height everywhere.

A radar sees a place in range by its height above the ellipsoid; most elevation models give heights
above the geoid, up to 107 m from it. Which of the two a file holds is a fact that it must state or
the user must: it is never guessed. PROJ is not asked, since it leaves heights as they are where its
grids are missing; ``geoid.tif`` holds the geoid EGM96 at every half degree, from the grid of NGA
(public domain) in PROJ's data. Interpolated it is within 0.2 m (99.9 % of places poleward of 55°)
of the full grid, and about half a metre from EGM2008; a metre of height is one to two on the map.

References
----------
Lemoine, F. G. et al. (1998), The development of the joint NASA GSFC and NIMA geopotential model
EGM96, NASA/TP-1998-206861.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
import rasterio
from pyproj import CRS, Transformer
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.warp import reproject
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import map_coordinates, spline_filter

from icefront.errors import IcefrontError
from icefront.grid import WGS84, Grid
from icefront.scenes.raster import opened

VerticalDatum = Literal["egm2008", "egm96", "ellipsoid"]
DATUMS: tuple[str, ...] = get_args(VerticalDatum)
"""What heights are counted from: a geoid, or the ellipsoid WGS 84."""

_BY_CODE: dict[int, VerticalDatum] = {3855: "egm2008", 5773: "egm96"}
_GEOID = Path(__file__).with_name("geoid.tif")
_GEOID_STEP = 0.5
_NODE_M = 5_000.0
_LOWEST_M, _HIGHEST_M = -500.0, 9_000.0


class Heights(Protocol):
    """What gives heights above the ellipsoid on any grid."""

    def on(self, grid: Grid) -> tuple[np.ndarray, str]:
        """Return heights above WGS 84 in metres, float32 (H, W), and a sentence about them."""


@lru_cache(maxsize=1)
def _geoid() -> np.ndarray:
    with rasterio.open(_GEOID) as raster:
        metres = raster.read(1) / 100.0
    # Round the globe, so that splines meet at the antimeridian.
    return spline_filter(np.concatenate([metres[:, -8:], metres, metres[:, :8]], axis=1), order=3)


def geoid_height(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """Return the height of the geoid above the ellipsoid in metres, float64, of degrees."""
    rows = (90.0 - np.asarray(latitude)) / _GEOID_STEP
    columns = (np.asarray(longitude) + 180.0) % 360.0 / _GEOID_STEP + 8
    return map_coordinates(_geoid(), [rows, columns], order=3, prefilter=False, mode="nearest")


def _geoid_on(grid: Grid) -> np.ndarray:
    """Return the geoid on a grid, float32 (H, W): exact every few kilometres, cubic between."""
    side = grid.side_on_map * _metres(grid)
    counts = [max(4, math.ceil(n * side / _NODE_M) + 1) for n in grid.shape]
    rows, columns = (
        np.linspace(0, n - 1 if n > 1 else 1, count)
        for n, count in zip(grid.shape, counts, strict=True)
    )
    x, y = grid.xy(rows[:, None], columns[None, :])
    lonlat = Transformer.from_crs(grid.crs, WGS84, always_xy=True).transform(x, y)
    nodes = geoid_height(*lonlat)
    spline = RectBivariateSpline(rows, columns, nodes)
    return spline(np.arange(grid.height), np.arange(grid.width)).astype(np.float32)


def _metres(grid: Grid) -> float:
    assert grid.crs is not None
    return grid.crs.axis_info[0].unit_conversion_factor


@dataclass(frozen=True)
class ConstantHeight:
    """One height everywhere: for the front itself, which lies at sea level.

    Attributes
    ----------
    height_m : float
        Above the geoid, that is above mean sea level.
    """

    height_m: float = 0.0

    def on(self, grid: Grid) -> tuple[np.ndarray, str]:
        """Return heights above WGS 84 in metres, float32 (H, W), and a sentence about them."""
        return _geoid_on(grid) + np.float32(self.height_m), (
            f"no elevation model: all ground is taken to lie {self.height_m:g} m above the sea, so "
            "that only places at that height are where they belong"
        )


@dataclass(frozen=True)
class ElevationModel:
    """A raster of heights.

    Attributes
    ----------
    path : Path or str
        Any raster with a CRS.
    datum : str, optional
        One of `DATUMS`: EGM2008 for the Copernicus DEM, the ellipsoid for ArcticDEM and REMA, EGM96
        for SRTM. May be left out if the CRS of the file states it.
    """

    path: Path | str
    datum: VerticalDatum | None = None

    def on(self, grid: Grid) -> tuple[np.ndarray, str]:
        """Return heights above WGS 84 in metres, float32 (H, W), and a sentence about them.

        Where the model has no heights, as over the sea, the ground is taken to lie at sea level.

        Raises
        ------
        IcefrontError
            If the file cannot be read or has no CRS, its vertical datum is not known or
            contradicts what was stated, or it lies beside the grid.
        """
        if grid.crs is None:
            raise IcefrontError("Heights are put on a grid with a coordinate system only.")
        heights = np.full(grid.shape, np.nan, np.float32)
        with opened(self.path) as raster:
            if raster.crs is None:
                raise IcefrontError(f"The elevation model {self.path} has no coordinate system.")
            crs = CRS.from_wkt(raster.crs.to_wkt())
            datum = self._datum(crs)
            try:
                # The map alone is warped: GDAL would shift heights, or silently not.
                reproject(
                    rasterio.band(raster, 1),
                    heights,
                    src_crs=_flat(crs).to_wkt(),
                    src_nodata=raster.nodata,
                    dst_crs=grid.crs.to_wkt(),
                    dst_transform=grid.transform,
                    dst_nodata=np.nan,
                    resampling=_resampling(raster.transform, crs, grid),
                )
            except RasterioError as error:
                raise IcefrontError(
                    f"The elevation model {self.path} cannot be read ({error}); fetch it anew."
                ) from None
        heights[(heights < _LOWEST_M) | (heights > _HIGHEST_M)] = np.nan
        known = np.isfinite(heights)
        share = float(known.mean())
        if not share:
            raise IcefrontError(
                f"The elevation model {self.path} lies beside the scene, or has no heights there: "
                "name one that covers it."
            )
        geoid = _geoid_on(grid)
        if datum != "ellipsoid":
            heights += geoid
        np.copyto(heights, geoid, where=~known)
        note = f"heights of {Path(self.path).name} above {_SPOKEN[datum]}"
        if share < 1:
            note += f"; {1 - share:.1%} of the ground has none and is taken to lie at sea level"
        return heights, note

    def _datum(self, crs: CRS) -> VerticalDatum:
        stated = self.datum
        if stated is not None and stated not in DATUMS:
            raise IcefrontError(
                f"The vertical datum {stated!r} is unknown; choose {', '.join(DATUMS)}."
            )
        own = _own_datum(crs)
        if own is not None and stated is not None and own != stated:
            raise IcefrontError(
                f"The heights of {self.path} are above {_SPOKEN[own]} by its coordinate system, "
                f"not above {_SPOKEN[stated]} as stated: leave the datum out."
            )
        datum = own or stated
        if datum is None:
            raise IcefrontError(
                f"{self.path} does not say what its heights are counted from: state the vertical "
                "datum (--dem-datum), egm2008 for the Copernicus DEM, ellipsoid for ArcticDEM and "
                "REMA, egm96 for SRTM."
            )
        return datum


_SPOKEN = {
    "egm2008": "the geoid EGM2008",
    "egm96": "the geoid EGM96",
    "ellipsoid": "the ellipsoid",
}


def _own_datum(crs: CRS) -> VerticalDatum | None:
    """Return the vertical datum that a CRS states, None if it has none or another one."""
    for part in crs.sub_crs_list:
        if part.is_vertical:
            code = part.to_epsg(min_confidence=70)
            name = part.name.upper()
            by_name: VerticalDatum | None = (
                "egm2008" if "EGM2008" in name else "egm96" if "EGM96" in name else None
            )
            return _BY_CODE.get(code or 0, by_name)
    return "ellipsoid" if len(crs.axis_info) == 3 else None


def _flat(crs: CRS) -> CRS:
    """Return the horizontal part of a CRS."""
    return crs.sub_crs_list[0].to_2d() if crs.is_compound else crs.to_2d()


def _resampling(transform: rasterio.Affine, crs: CRS, grid: Grid) -> Resampling:
    """Average where the model is much finer than the grid, as a coarse pixel sees the ground."""
    own = math.sqrt(abs(transform.determinant))
    metres = own * (111_000.0 if _flat(crs).is_geographic else 1.0)
    coarse = grid.side_on_map * _metres(grid) > 2 * metres
    return Resampling.average if coarse else Resampling.bilinear
