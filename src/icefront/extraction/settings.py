"""What a user asks for in words: pixel sizes, dates and areas of interest."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import geopandas as gpd

from icefront.errors import IcefrontError
from icefront.scenes.working_grid import AskedPixelSize


def parse_band(text: str) -> int | str:
    """Read a band: its number from 1, or its description or polarisation."""
    return int(text) if text.isdecimal() else text


def parse_pixel_size(text: str) -> AskedPixelSize:
    """Read a pixel size in metres: ``20``, or ``73.7x61.8`` for rows and columns, or ``pixels``.

    Raises
    ------
    IcefrontError
        If it is neither, or not positive.
    """
    if text.lower() == "pixels":
        return "pixels"
    parts = text.lower().replace("×", "x").replace(",", "x").split("x")
    try:
        sizes = [float(part) for part in parts]
    except ValueError:
        sizes = []
    if len(sizes) not in (1, 2) or not all(0 < size < float("inf") for size in sizes):
        raise IcefrontError(
            f"A pixel size of {text!r} is not understood: give metres such as 20, rows and "
            "columns such as 73.7x61.8, or the word pixels."
        )
    return sizes[0] if len(sizes) == 1 else (sizes[0], sizes[1])


def parse_date(text: str) -> dt.date:
    """Read a date: ``2018-06-02`` or ``20180602``.

    Raises
    ------
    IcefrontError
        If it is not a date of the calendar.
    """
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise IcefrontError(
            f"The date {text!r} is not understood: write it as year-month-day, such as 2018-06-02."
        ) from error


def read_area(path: Path) -> gpd.GeoDataFrame:
    """Read an area of interest: one polygon or several, in any vector format and any CRS.

    Raises
    ------
    IcefrontError
        If the file is missing, is no vector file, or has no polygon.
    """
    if not path.exists():
        raise IcefrontError(f"The area of interest {path} does not exist: check the path.")
    try:
        area = gpd.read_file(path)
    except Exception as error:
        raise IcefrontError(
            f"The area of interest {path} cannot be read: give a GeoPackage, GeoJSON or shapefile."
        ) from error
    polygons = isinstance(area, gpd.GeoDataFrame) and area.geom_type.isin(
        ["Polygon", "MultiPolygon"]
    )
    if polygons is False or not polygons.any():
        raise IcefrontError(f"The area of interest {path} has no polygon: draw one.")
    return area[polygons]
