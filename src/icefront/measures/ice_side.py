"""On which side of a glacier's fronts the ice lies.

The order in which somebody drew the vertices of a line says nothing. The evidence, the best first:
a centreline or a place inland that the user gives; fronts that this program drew from zones of
glacier and ocean, which have the ice on their left; and where the land is.
"""

from __future__ import annotations

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS, Geod

from icefront.errors import IcefrontError
from icefront.measures.land import land_difference

SOURCES = ("icefront", "icefront simulate")
"""What the column ``source`` says of fronts of this program."""

_AGREEMENT = 0.5
"""Own fronts count if their directions agree by this much: 1 if all do, 0 if half of them do."""
_LAND_DIFFERENCE = 0.1
"""There must be more land on one side by this fraction. Of 422 lines of the networks COBRA and
CALFIN's, which run with the ice on their right, it refuses 29 and gets 390 right; the other three
run the other way or along the shore."""

CENTRELINE, PLACE, OWN_FRONTS, LAND = (
    "by the direction of the given centreline",
    "by the place given inland",
    "by the zones from which icefront drew its fronts",
    "by the map of land",
)


def drawn_by_icefront(fronts: pd.DataFrame) -> np.ndarray:
    """Return which fronts of a table are this program's own, bool (N,)."""
    own = np.zeros(len(fronts), bool)
    if "source" in fronts:
        own |= fronts["source"].isin(SOURCES).to_numpy()
    if "icefront_version" in fronts:
        own |= (fronts["icefront_version"].astype("string").fillna("") != "").to_numpy(bool)
    return own


@dataclass(frozen=True)
class Evidence:
    """What is known of a glacier's fronts before the side of the ice is.

    Attributes
    ----------
    fronts : GeoDataFrame
        Those with a line.
    chords : float (N, 2)
        From the first to the last vertex of each, in metres.
    axis : float (2,)
        Their mean direction, either way.
    middle : float (2,)
        The middle of all.
    crs : CRS
        Of chords, axis and middle.
    """

    fronts: gpd.GeoDataFrame
    chords: np.ndarray
    axis: np.ndarray
    middle: np.ndarray
    crs: CRS

    def ahead(
        self, inland: tuple[float, float] | None, centreline: shapely.LineString | None
    ) -> tuple[np.ndarray, str]:
        """Return the unit vector from the ice to the sea, and how it was decided.

        Parameters
        ----------
        inland : (x, y), optional
            A place inland of the fronts, in their CRS.
        centreline : LineString, optional
            From inland to the sea, in the CRS of the fronts.

        Raises
        ------
        IcefrontError
            If nothing tells.
        """
        left = np.array([-self.axis[1], self.axis[0]])
        signs = {
            CENTRELINE: self._by_centreline(centreline, left),
            PLACE: self._by_place(inland, left),
            OWN_FRONTS: self._by_own_fronts(),
            LAND: self._by_land(left),
        }
        known = {by: sign for by, sign in signs.items() if sign}
        if not known:
            raise IcefrontError(self._unknown())
        by, sign = next(iter(known.items()))
        doubts = [other for other, opposite in known.items() if opposite != sign]
        if PLACE in doubts:
            raise IcefrontError(
                f"The centreline{self._whose()} runs towards the place inland {inland}: draw it "
                "from inland to the sea, or give another place."
            )
        if doubts:
            against = " and ".join(other.removeprefix("by ") for other in doubts)
            by += f" ({against} would give the other side)"
        return left * sign, by

    def _by_centreline(self, line: shapely.LineString | None, left: np.ndarray) -> float:
        """+1 if the sea lies to the left of the axis, -1 to the right, 0 if nothing tells."""
        if line is None:
            return 0.0
        ends = self._placed(line)[[0, -1]]
        return float(np.sign((ends[1] - ends[0]) @ left))

    def _by_place(self, inland: tuple[float, float] | None, left: np.ndarray) -> float:
        if inland is None:
            return 0.0
        at = self._placed(shapely.Point(inland))
        if not np.isfinite(at).all():
            raise IcefrontError(
                f"There is no place inland at {inland} in {self.fronts.crs.to_string()}, the CRS "
                "of the fronts: give x,y in that CRS."
            )
        return float(np.sign((self.middle - at[0]) @ left))

    def _placed(self, geometry: shapely.Geometry) -> np.ndarray:
        series = gpd.GeoSeries([geometry], crs=self.fronts.crs).to_crs(self.crs)
        return shapely.get_coordinates(series.iloc[0])

    def _by_own_fronts(self) -> float:
        chords = self.chords[drawn_by_icefront(self.fronts)]
        weight = np.hypot(*chords.T)
        if not weight.sum() > 0:
            return 0.0
        agreement = float((np.sign(chords @ self.axis) * weight).sum() / weight.sum())
        # The ice lies to the left of a line that runs along the axis.
        return -float(np.sign(agreement)) if abs(agreement) >= _AGREEMENT else 0.0

    def _by_land(self, left: np.ndarray) -> float:
        more = land_difference(self.middle, -left, self.crs)
        return float(np.sign(more)) if abs(more) >= _LAND_DIFFERENCE else 0.0

    def _whose(self) -> str:
        names = self.fronts["glacier"].dropna().unique() if "glacier" in self.fronts else []
        return f" of {names[0]}" if len(names) == 1 and names[0] else ""

    def _unknown(self) -> str:
        return (
            f"On which side of the fronts{self._whose()} the ice lies is not known (lines may be "
            "drawn either way, and there is as much land on both sides): name a place inland of "
            f"them with --inland X,Y in {self.fronts.crs.to_string()}, or give a centreline from "
            "inland to the sea."
        )


_POINTS = (
    "north",
    "north-east",
    "east",
    "south-east",
    "south",
    "south-west",
    "west",
    "north-west",
)


def inland_compass(centreline: shapely.LineString, crs: CRS) -> str:
    """Return the point of the compass towards which a centreline's start lies from its end."""
    ends = shapely.MultiPoint(shapely.get_coordinates(centreline)[[0, -1]])
    start, end = gpd.GeoSeries([ends], crs=crs).to_crs(4326).iloc[0].geoms
    azimuth, _, _ = Geod(ellps="WGS84").inv(end.x, end.y, start.x, start.y)
    return _POINTS[round((azimuth % 360) / 45) % 8]
