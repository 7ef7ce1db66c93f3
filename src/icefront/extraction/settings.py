"""What a user decides about an extraction: one validated object, and how words become values.

The command line, YAML and Python read the same names and the same help texts from
`ExtractionSettings`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field, field_validator

from icefront.errors import IcefrontError
from icefront.inference.settings import PredictionSettings
from icefront.recipes import validated

# The command line builds its options from here: what reads files is imported where it is used.
if TYPE_CHECKING:
    from icefront.scenes.working_grid import AskedPixelSize


class ExtractionSettings(PredictionSettings):
    """Everything that decides which front a scene gets, beside the model.

    Attributes
    ----------
    band : int, str or None
        Of a file with several: number from 1, description or polarisation.
    radiometry : str
        ``auto``, or a kind of `icefront.scenes.radiometry`.
    pixel_size : float, (float, float), "pixels" or None
        As `pixel_size_m` of `icefront.open_scene`; in words ``20``, ``73.7x61.8``, ``pixels``.
    aoi : path, GeoDataFrame, shapely polygon or None
        Area of interest: polygons outside of which no front is drawn, in any CRS (a bare polygon:
        in that of the scene).
    outline : path, GeoDataFrame, shapely polygon or None
        Outlines of glaciers, such as those of the Randolph Glacier Inventory: where the ice at the
        boundary lies outside of them is shore.
    glacier, date : str, datetime.date or None
        Instead of what the file says.
    through_time : bool
        Whether the scenes of one glacier are made to agree with each other; a single scene stays
        as it is.
    windows, symmetries, precision, device
        See `icefront.inference.settings.PredictionSettings`, as for ``tta`` and ``exact``.

    Raises
    ------
    IcefrontError
        If a pixel size, a date or a radiometry is not understood.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    band: int | str | None = Field(
        None, description="Band of the file: number from 1, name or polarisation."
    )
    radiometry: str = Field(
        "auto",
        description="What the values are: auto, grey, stretched, power, amplitude, db or dn.",
    )
    pixel_size: Any = Field(
        None,
        description="Side of a pixel in metres, rows x columns such as 73.7x61.8, or pixels.",
    )
    aoi: Any = Field(
        None, description="Polygons outside of which no front is drawn; any vector file and CRS."
    )
    outline: Any = Field(
        None,
        description="Outlines of glaciers; where ice outside of them meets water is shore.",
    )
    glacier: str | None = Field(None, description="Name, instead of the file's.")
    date: dt.date | None = Field(
        None, description="Date such as 2018-06-02, instead of the file's."
    )
    through_time: bool = Field(
        True,
        description="Make the dates of a glacier agree with each other, where there are several.",
    )

    @field_validator("band", mode="before")
    @classmethod
    def _band(cls, value: Any) -> Any:
        return int(value) if isinstance(value, str) and value.isdecimal() else value

    @field_validator("radiometry")
    @classmethod
    def _radiometry(cls, value: str) -> str:
        from icefront.scenes.radiometry import check_kind

        if value != "auto":
            check_kind(value)
        return value

    @field_validator("pixel_size", mode="before")
    @classmethod
    def _pixel_size(cls, value: Any) -> AskedPixelSize:
        from icefront.scenes.survey import check_pixel_size

        return parse_pixel_size(value) if isinstance(value, str) else check_pixel_size(value)

    @field_validator("aoi", "outline")
    @classmethod
    def _polygons(cls, value: Any) -> Any:
        # Tables and polygons have `geom_type`; a file is named by its path.
        if not (value is None or isinstance(value, (str, Path)) or hasattr(value, "geom_type")):
            raise ValueError("give a vector file, a GeoDataFrame or a polygon")
        return value

    @field_validator("date", mode="before")
    @classmethod
    def _date(cls, value: Any) -> Any:
        return parse_date(value) if isinstance(value, str) else value

    def area(self) -> Any:
        """Return the area of interest, read if it is a file, or None.

        Raises
        ------
        IcefrontError
            As `icefront.fronts.area_of_interest.read_area`.
        """
        from icefront.fronts.area_of_interest import read_area

        return read_area(Path(self.aoi)) if isinstance(self.aoi, (str, Path)) else self.aoi

    def outlines(self) -> Any:
        """Return the outlines of glaciers, read if they are a file, or None.

        Raises
        ------
        IcefrontError
            As `icefront.fronts.area_of_interest.read_area`.
        """
        from icefront.fronts.area_of_interest import read_area

        if isinstance(self.outline, (str, Path)):
            return read_area(Path(self.outline), "outline")
        return self.outline

    def record(self) -> dict[str, Any]:
        """Return the settings as plain types, under the names that ``run.json`` has for them."""
        found = self.model_dump(exclude={"aoi", "outline", "pixel_size"})
        found |= {"tta": self.symmetries == 8, "exact": self.exact}
        found["pixel_size_m"] = self.pixel_size
        found["area"] = _recorded(self.aoi)
        found["outline"] = _recorded(self.outline)
        return found


def _recorded(polygons: Any) -> Any:
    """Return the path of polygons, or what they are."""
    if polygons is None or isinstance(polygons, (str, Path)):
        return None if polygons is None else str(polygons)
    crs = getattr(polygons, "crs", None)
    whole = polygons.union_all() if hasattr(polygons, "union_all") else polygons
    return {"crs": crs and crs.to_string(), "wkt": whole.wkt}


def extraction_settings(values: Mapping[str, Any]) -> ExtractionSettings:
    """Check settings given by name.

    Parameters
    ----------
    values : mapping
        Fields of `ExtractionSettings` and its shorthands ``tta`` and ``exact``.

    Raises
    ------
    IcefrontError
        If a name is unknown or a value does not fit.
    """
    return validated(dict(values), ExtractionSettings, "The settings")


def parse_pixel_size(text: str) -> AskedPixelSize:
    """Read a pixel size in metres: ``20``, or ``73.7x61.8`` for rows and columns, or ``pixels``.

    Raises
    ------
    IcefrontError
        If it is neither, or not positive.

    Examples
    --------
    >>> parse_pixel_size("73.7x61.8")
    (73.7, 61.8)
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
