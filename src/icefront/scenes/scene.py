"""The Scene: one SAR image on its grid, ready for a network."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from pyproj import CRS

from icefront.grid import Grid, PixelSize

if TYPE_CHECKING:
    import xarray

RADIOMETRY = "icefront_radiometry"
"""Attribute of a DataArray that holds grey values: the mapping that made them."""


@dataclass(frozen=True)
class Scene:
    """One SAR image on a grid of its own, as a network takes it.

    Attributes
    ----------
    image : float32 (H, W)
        Grey values in 0..1, NaN where there is no data (see `icefront.scenes.radiometry`).
    transform : affine.Affine
        Pixel corner (column, row) to map coordinates; the identity for scenes without CRS.
    crs : pyproj.CRS or None
        Projected CRS in metres, or None: then lines are in pixels (x = column, y = row).
    pixel_size_m : float, (float, float) or None
        Side of a pixel in metres, one number or (rows, columns); None if unknown.
    name : str
        Name of the file without its suffix.
    path : Path or None
        The file the scene was read from.
    glacier, date, sensor, orbit, polarisation
        What the tags or the name of the file say, or None.
    radiometry : str
        The mapping to 0..1 that was applied (a name from `icefront.scenes.radiometry`).
    notes : tuple of str
        What was decided while reading, a sentence each.
    """

    image: np.ndarray
    transform: Affine = field(default_factory=Affine.identity)
    crs: CRS | None = None
    pixel_size_m: PixelSize = None
    name: str = "scene"
    path: Path | None = None
    glacier: str | None = None
    date: dt.date | None = None
    sensor: str | None = None
    orbit: str | None = None
    polarisation: str | None = None
    radiometry: str = "grey"
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def grid(self) -> Grid:
        """Where the image lies."""
        return Grid(*self.shape, self.crs, self.transform, self.pixel_size_m)

    @property
    def valid(self) -> np.ndarray:
        """Where there is data, bool (H, W)."""
        return np.isfinite(self.image)

    def part(self, rows: slice, columns: slice) -> Scene:
        """Return some rows and columns as a scene; the pixels are not copied."""
        transform = self.grid.part(rows, columns).transform
        return replace(self, image=self.image[rows, columns], transform=transform)

    def to_xarray(self) -> xarray.DataArray:
        """Return the image as a DataArray with rioxarray's CRS; the values are not copied.

        Returns
        -------
        xarray.DataArray
            float32 (y, x) in 0..1 with NaN for no data, named like the scene. Coordinates are
            pixel centres where the grid is not turned. Attributes: ``pixel_size_m``, ``date``
            (ISO 8601), ``glacier``, ``sensor``, ``orbit`` and ``polarisation`` where they are
            known, ``icefront_radiometry`` (the mapping to 0..1) and ``notes``.

        See Also
        --------
        icefront.scenes.scene_from_xarray : the way back.
        """
        import rioxarray  # noqa: F401  (the accessor ``rio``; takes a second)
        import xarray

        grid = self.grid
        coordinates = {}
        if grid.transform.b == grid.transform.d == 0:
            coordinates = {
                "y": grid.xy(np.arange(grid.height), 0)[1],
                "x": grid.xy(0, np.arange(grid.width))[0],
            }
        facts = {
            "long_name": "SAR grey value",
            "units": "1",
            "pixel_size_m": self.pixel_size_m,
            "date": None if self.date is None else self.date.isoformat(),
            "glacier": self.glacier,
            "sensor": self.sensor,
            "orbit": self.orbit,
            "polarisation": self.polarisation,
            RADIOMETRY: self.radiometry,
            "notes": "\n".join(self.notes),
        }
        data = xarray.DataArray(
            self.image,
            coordinates,
            ("y", "x"),
            self.name,
            {key: value for key, value in facts.items() if value is not None},
        )
        data = data.rio.write_transform(grid.transform)
        return data if grid.crs is None else data.rio.write_crs(grid.crs.to_wkt())
