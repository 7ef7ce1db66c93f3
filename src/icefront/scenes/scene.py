"""The Scene: one SAR image on its grid, ready for a network."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS

from icefront.grid import Grid, PixelSize


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
