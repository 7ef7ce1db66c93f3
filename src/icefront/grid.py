"""Where a raster lies: its CRS, its pixels on the map and their size on the ground.

Pixels are counted in rows and columns from the upper left corner of the image; pixel centres are
whole numbers, so that the image reaches from -0.5 to height - 0.5 and to width - 0.5.

Which CRS a grid in metres has, if none is given:

- NSIDC Sea Ice Polar Stereographic North, EPSG:3413, north of 60° N;
- Antarctic Polar Stereographic, EPSG:3031, south of 60° S;
- the UTM zone of the place (WGS 84) elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import shapely
from affine import Affine
from numpy.typing import ArrayLike
from pyproj import CRS, Transformer

from icefront.errors import IcefrontError

__all__ = ["Grid", "PixelSize", "common_crs", "working_crs"]

PixelSize = float | tuple[float, float] | None
"""Side of a pixel in metres: one number, (rows, columns), or None where it is unknown (pixels)."""

POLAR_LATITUDE = 60.0
"""Poleward of this latitude in degrees, grids are polar stereographic."""

NORTH_POLAR, SOUTH_POLAR = CRS.from_epsg(3413), CRS.from_epsg(3031)
"""Polar stereographic CRS of the Arctic and the Antarctic (NSIDC, SCAR)."""

WGS84 = CRS.from_epsg(4326)
"""Longitude and latitude in degrees."""


def pixel_sides(pixel_size_m: float | tuple[float, float]) -> tuple[float, float]:
    """Return height and width of a pixel in metres, from one number or (rows, columns).

    Raises
    ------
    IcefrontError
        If a side is not a positive finite number.
    """
    sides = np.broadcast_to(np.asarray(pixel_size_m, dtype=np.float64), (2,))
    if not (np.isfinite(sides).all() and (sides > 0).all()):
        raise IcefrontError(
            f"The pixel size {pixel_size_m} is not a positive number of metres; give one number "
            "or rows and columns."
        )
    return float(sides[0]), float(sides[1])


def mean_side(pixel_size_m: float | tuple[float, float]) -> float:
    """Return the side of the square of the same area as a pixel, in metres."""
    rows, columns = pixel_sides(pixel_size_m)
    return rows if rows == columns else float(np.sqrt(rows * columns))


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a raster lie.

    Attributes
    ----------
    height, width : int
        Size in pixels.
    crs : pyproj.CRS or None
        Coordinate system of the map; None if the raster is not georeferenced.
    transform : affine.Affine
        Pixel corner (column, row) to map coordinates; without CRS to the pixels of the file.
    pixel_size_m : float, (float, float) or None
        Side of a pixel in metres, one number or (rows, columns); None where nobody stated it.
    """

    height: int
    width: int
    crs: CRS | None = None
    transform: Affine = field(default_factory=Affine.identity)
    pixel_size_m: PixelSize = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    @property
    def sides_m(self) -> tuple[float, float] | None:
        """Sides of a pixel in metres (rows, columns); None if they are not known.

        Where no size is stated they follow from the transform, in the unit of the CRS.
        """
        if self.pixel_size_m is not None:
            return pixel_sides(self.pixel_size_m)
        if self.crs is None:
            return None
        a, b, _, d, e = self.transform[:5]
        metres = self.crs.axis_info[0].unit_conversion_factor
        return float(np.hypot(b, e)) * metres, float(np.hypot(a, d)) * metres

    @property
    def side_m(self) -> float | None:
        """Side of the square of the same area as a pixel in metres; None if it is not known."""
        sides = self.sides_m
        return None if sides is None else mean_side(sides)

    @property
    def side_on_map(self) -> float:
        """The same in the unit of the map, or in pixels of the file for a grid without CRS."""
        return float(np.sqrt(abs(self.transform.determinant)))

    def xy(self, rows: ArrayLike, columns: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return map coordinates of places in the image (pixel centres are whole numbers)."""
        a, b, c, d, e, f = self.transform[:6]
        row, column = np.asarray(rows) + 0.5, np.asarray(columns) + 0.5
        return a * column + b * row + c, d * column + e * row + f

    def rowcol(self, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and columns of map coordinates, float64 (pixel centres are whole numbers)."""
        a, b, c, d, e, f = (~self.transform)[:6]
        x, y = np.asarray(x), np.asarray(y)
        return d * x + e * y + f - 0.5, a * x + b * y + c - 0.5

    def outline(self) -> shapely.Polygon:
        """Return the border of the raster in map coordinates."""
        rows = np.array([0, 0, self.height, self.height]) - 0.5
        columns = np.array([0, self.width, self.width, 0]) - 0.5
        return shapely.Polygon(np.stack(self.xy(rows, columns), axis=1))

    def centre_lonlat(self) -> tuple[float, float]:
        """Return longitude and latitude of the centre in degrees (WGS 84).

        Raises
        ------
        IcefrontError
            If the grid has no CRS.
        """
        if self.crs is None:
            raise IcefrontError("An image without coordinate system has no longitude and latitude.")
        x, y = self.xy(self.height / 2 - 0.5, self.width / 2 - 0.5)
        longitude, latitude = Transformer.from_crs(self.crs, WGS84, always_xy=True).transform(x, y)
        return float(longitude), float(latitude)

    def resampled(self, pixel_size_m: float) -> Grid:
        """Return the grid of square pixels of another size over the same ground.

        The upper left corner stays; the others move by less than half a new pixel.

        Raises
        ------
        IcefrontError
            If the pixel size of this grid is unknown, or `pixel_size_m` is not positive.
        """
        sides = self.sides_m
        if sides is None:
            raise IcefrontError(
                f"the pixel size is unknown, so it cannot be resampled to {pixel_size_m:g} m; "
                "state it with pixel_size_m."
            )
        if not (math.isfinite(pixel_size_m) and pixel_size_m > 0):
            raise IcefrontError(f"a pixel size must be positive, not {pixel_size_m!r}.")
        rows, columns = pixel_size_m / sides[0], pixel_size_m / sides[1]
        return replace(
            self,
            height=max(1, round(self.height / rows)),
            width=max(1, round(self.width / columns)),
            transform=composed(self.transform, Affine.scale(columns, rows)),
            pixel_size_m=float(pixel_size_m),
        )

    def part(self, rows: slice, columns: slice) -> Grid:
        """Return the grid of some rows and columns; both slices have a start and a stop."""
        return replace(
            self,
            height=rows.stop - rows.start,
            width=columns.stop - columns.start,
            transform=composed(self.transform, Affine.translation(columns.start, rows.start)),
        )

    def difference(self, other: Grid) -> str | None:
        """Say how another grid differs, in a few words; None if it is the same.

        Grids are the same if their corners lie within half a pixel of each other. Where one has no
        CRS only the sizes are compared.
        """
        if self.shape != other.shape:
            sizes = (f"{height}×{width}" for height, width in (self.shape, other.shape))
            return " pixels against ".join(sizes)
        if self.crs is None or other.crs is None:
            return None
        if self.crs != other.crs:
            return f"{crs_name(self.crs)} against {crs_name(other.crs)}"
        rows, columns = np.array([0, self.height]) - 0.5, np.array([0, self.width]) - 0.5
        far = np.abs(np.subtract(self.xy(rows, columns), other.xy(rows, columns))).max()
        pixel = abs(other.transform.a) + abs(other.transform.b)
        return f"shifted by {far / pixel:.1f} pixels" if far > 0.5 * pixel else None


def composed(outer: Affine, inner: Affine) -> Affine:
    """Return outer after inner; the operator for it differs between versions of affine."""
    matrix = np.reshape(tuple(outer), (3, 3)) @ np.reshape(tuple(inner), (3, 3))
    return Affine(*(float(value) for value in matrix.ravel()[:6]))


def crs_name(crs: CRS) -> str:
    """Return the EPSG code of a CRS, or its name where it has none."""
    epsg = crs.to_epsg()
    return f"EPSG:{epsg}" if epsg else f"'{crs.name}'"


def working_crs(longitude: float, latitude: float) -> CRS:
    """Return the CRS in metres for a place in degrees: polar stereographic or UTM."""
    if latitude > POLAR_LATITUDE:
        return NORTH_POLAR
    if latitude < -POLAR_LATITUDE:
        return SOUTH_POLAR
    zone = int((longitude + 180.0) % 360.0 // 6.0) + 1
    return CRS.from_epsg((32600 if latitude >= 0 else 32700) + zone)


def common_crs(
    systems: Iterable[CRS | None],
    latitudes: Iterable[float | None],
    *,
    only_epsg: bool = False,
) -> CRS:
    """Choose the CRS in which several scenes stand together in one table or project.

    Parameters
    ----------
    systems : iterable of pyproj.CRS or None
        Of the scenes; None for those without.
    latitudes : iterable of float or None
        Of the scenes' centres, in degrees; None where unknown.
    only_epsg : bool
        Take a shared CRS only if it has an EPSG code.

    Returns
    -------
    pyproj.CRS
        The projected CRS of all scenes if they share one; else EPSG:3413 or EPSG:3031 if all lie
        on that polar cap; else EPSG:4326.
    """
    known = [CRS.from_user_input(system) for system in systems if system is not None]
    if known and known[0].is_projected and all(system == known[0] for system in known):
        if not only_epsg:
            return known[0]
        if (code := known[0].to_epsg()) is not None:
            return CRS.from_epsg(code)
    places = [latitude for latitude in latitudes if latitude is not None]
    if places and min(places) >= POLAR_LATITUDE:
        return NORTH_POLAR
    if places and max(places) <= -POLAR_LATITUDE:
        return SOUTH_POLAR
    return WGS84
