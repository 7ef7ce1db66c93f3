"""A glacier that does not exist: its valley, fjord, branches, islands, and its front at any time.

Everything that has a truth is geometry in map coordinates (metres in a projected CRS): the walls of
the fjord, the line of the front, islands and nunataks. Rasters are made from it afterwards, on any
grid, so the truth does not depend on a pixel.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import numpy as np
import shapely
from pyproj import CRS
from shapely import LineString, MultiLineString, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import split, unary_union

from icefront.errors import IcefrontError
from icefront.simulation.calving import FrontHistory, FrontParameters
from icefront.simulation.noise import rough_line

_NODES = 400
"""Points along a centreline."""
_ACROSS = 241
"""Points across a front."""


@dataclass(frozen=True)
class Side:
    """A further branch with a front of its own, or a tributary that ends in the trunk.

    Attributes
    ----------
    joins_at : float
        Where its centreline meets that of the trunk, in trunk half-widths seaward of the trunk's
        front (negative: inland).
    angle_deg : float
        Between both flows there; positive comes from the left, seen with the trunk's flow.
    width_m : float
    front : FrontParameters or None
        None for a tributary.
    """

    joins_at: float
    angle_deg: float
    width_m: float
    front: FrontParameters | None = None


@dataclass(frozen=True)
class GlacierParameters:
    """What makes one glacier.

    Attributes
    ----------
    name : str
    epsg : int
        Projected CRS in metres.
    centre : (float, float)
        Map coordinates of the middle of the area, about where the front is.
    extent_m : (float, float)
        Height and width of the area.
    flow_deg : float
        Direction of the flow at the front, anticlockwise from the x axis.
    bend_deg : float
        By how much the trunk turns on its way through the area.
    width_m : float
        Of the trunk at its front.
    widening : float
        Relative growth of the width over the area.
    sides : tuple of Side
    front : FrontParameters
    cliff_m : float
        Height of the ice cliff.
    relief_m : float
        Height of the mountains above the fjord.
    ridge_m : float
        Distance between their ridges.
    plateau : float
        Fraction of them that is a plateau.
    upland_ice : float
        Fraction of the mountains under ice.
    wall_ice : float
        Fraction of the fjord's walls at which the upland ice comes down to the water.
    dry_regions : float
        How far bare rock keeps to regions of its own rather than to steep faces; 1 is evenly.
    islands, nunataks : int
    lake : bool
        Fresh water: no tide, little mélange, ice cover in winter.
    melange_m : float
        How far mélange reaches before the front in a mean winter; summer has a third.
    southern : bool
        Seasons of the southern hemisphere.
    """

    name: str = "Simulated"
    epsg: int = 3413
    centre: tuple[float, float] = (-190_000.0, -2_275_000.0)
    extent_m: tuple[float, float] = (18_000.0, 18_000.0)
    flow_deg: float = 0.0
    bend_deg: float = 20.0
    width_m: float = 5_000.0
    widening: float = 0.3
    sides: tuple[Side, ...] = ()
    front: FrontParameters = field(default_factory=FrontParameters)
    cliff_m: float = 60.0
    relief_m: float = 900.0
    ridge_m: float = 3_500.0
    plateau: float = 0.1
    upland_ice: float = 0.3
    wall_ice: float = 0.0
    dry_regions: float = 0.7
    islands: int = 0
    nunataks: int = 0
    lake: bool = False
    melange_m: float = 3_000.0
    southern: bool = False

    def check(self) -> None:
        """Raise `IcefrontError` where no such glacier can exist."""
        height, width = self.extent_m
        for what, value in (
            ("extent", min(height, width)),
            ("width", self.width_m),
            ("relief", self.relief_m),
            ("distance between ridges", self.ridge_m),
            ("cliff", self.cliff_m),
        ):
            if not value > 0:
                raise IcefrontError(
                    f"The glacier {self.name!r} has a {what} of {value:g} m; give a positive one."
                )
        if self.width_m > 0.8 * min(height, width):
            raise IcefrontError(
                f"The glacier {self.name!r} is {self.width_m:g} m wide and does not fit into its "
                f"area of {width:g} x {height:g} m; make the area larger."
            )
        for what, fraction in (
            ("mountains", self.upland_ice),
            ("walls", self.wall_ice),
        ):
            if not 0 <= fraction <= 1:
                raise IcefrontError(
                    f"The glacier {self.name!r} has {fraction:g} of its {what} under ice; give a "
                    "fraction from 0 to 1."
                )
        crs = CRS.from_epsg(self.epsg)
        if not crs.is_projected:
            raise IcefrontError(
                f"The glacier {self.name!r} has the CRS EPSG:{self.epsg}, which is not projected; "
                "give one in metres."
            )


class Branch:
    """A stream of ice in its valley, as geometry.

    Attributes
    ----------
    line : float64 (N, 2)
        Centreline, along the flow.
    along : float64 (N,)
        Distance along it in metres; 0 where the front stands at the start.
    half_width : float64 (N, 2)
        From the centreline to the right and to the left wall, in metres.
    valley : Polygon
        Between its walls.
    """

    def __init__(
        self,
        line: np.ndarray,
        zero: int,
        half_width: np.ndarray,
        history: FrontHistory | None,
    ) -> None:
        self.line, self.half_width, self.history = line, half_width, history
        steps = np.hypot(*np.diff(line, axis=0).T)
        self.along = np.concatenate([[0.0], np.cumsum(steps)])
        self.along -= self.along[zero]
        direction = np.gradient(line, axis=0)
        direction /= np.hypot(*direction.T)[:, None]
        self.direction = direction
        self.normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
        right = line - self.normal * half_width[:, :1]
        left = line + self.normal * half_width[:, 1:]
        valley = Polygon(np.concatenate([right, left[::-1]]))
        if not valley.is_valid:
            parts = shapely.get_parts(shapely.make_valid(valley))
            valley = max(parts, key=lambda part: part.area)
        self.valley = valley

    def place(self, along: np.ndarray, across: np.ndarray) -> np.ndarray:
        """Map coordinates of places given along the flow (m) and across it (-1 to 1), (N, 2)."""
        columns = [np.interp(along, self.along, self.line[:, i]) for i in (0, 1)]
        normal = np.stack([np.interp(along, self.along, self.normal[:, i]) for i in (0, 1)], 1)
        widths = [np.interp(along, self.along, self.half_width[:, i]) for i in (0, 1)]
        reach = np.where(across < 0, widths[0], widths[1]) * across
        return np.stack(columns, axis=1) + normal * reach[:, None]

    def across_line(self, date: dt.date) -> LineString:
        """The front, drawn out beyond both walls."""
        assert self.history is not None
        across = np.linspace(-1.25, 1.25, _ACROSS)
        return LineString(self.place(self.history.position(date, across), across))

    def ice(self, date: dt.date) -> BaseGeometry:
        """The part of the valley that is inland of the front."""
        if self.history is None:
            return self.valley
        # Points where the flow comes from tell inland from seaward.
        origin = shapely.Point(self.line[1])
        parts = list(split(self.valley, self.across_line(date)).geoms)
        return min(parts, key=lambda part: part.distance(origin))


def _polygons(geometry: BaseGeometry) -> BaseGeometry:
    """Leave out the points and lines that cutting areas has left over."""
    parts = shapely.get_parts(geometry)
    return unary_union([part for part in parts if part.geom_type == "Polygon"])


def _thick(geometry: BaseGeometry) -> BaseGeometry:
    """Leave out wedges and slivers so thin that no pixel would show them."""
    solid = geometry.buffer(-25, quad_segs=2).buffer(40, quad_segs=2)
    return _polygons(geometry.intersection(solid))


class Glacier:
    """The geometry of a glacier through time.

    Parameters
    ----------
    parameters : GlacierParameters
    seed : int
    start, end : datetime.date
        Time in which fronts can be asked for.

    Raises
    ------
    IcefrontError
        If the parameters cannot be, or the front leaves the area in that time.

    Examples
    --------
    >>> import datetime as dt
    >>> glacier = Glacier(GlacierParameters(), 1, dt.date(2015, 1, 1), dt.date(2018, 1, 1))
    >>> bool(glacier.calving_front(dt.date(2016, 1, 1)).length > 4000)
    True
    """

    def __init__(
        self, parameters: GlacierParameters, seed: int, start: dt.date, end: dt.date
    ) -> None:
        parameters.check()
        if end < start:
            raise IcefrontError(f"The time from {start} to {end} runs backwards; swap the dates.")
        self.parameters, self.seed, self.start, self.end = parameters, seed, start, end
        rng = np.random.default_rng((seed, 0))
        trunk = self._trunk(rng)
        self.branches = [trunk]
        for number, side in enumerate(parameters.sides):
            self.branches.append(self._side(trunk, side, rng, seed * 1000 + number + 1))
        self.streams = [b for b in self.branches if b.history is not None]
        area = self.area
        for date in (start, end):
            for branch in self.streams:
                middle = shapely.Point(
                    branch.place(branch.history.position(date, np.zeros(1)), np.zeros(1))[0]  # type: ignore[union-attr]
                )
                if not area.contains(middle):
                    raise IcefrontError(
                        f"The front of {parameters.name!r} is outside of its area on {date}; make "
                        "the area larger, the trend smaller or the time shorter."
                    )
        self.fjord = self._fjord()
        self._known_sea: tuple[dt.date, BaseGeometry] | None = None
        self.islands, self.nunataks = self._rocks(rng)

    @property
    def crs(self) -> CRS:
        """CRS of all geometry."""
        return CRS.from_epsg(self.parameters.epsg)

    @property
    def area(self) -> Polygon:
        """The rectangle that scenes of it show."""
        (x, y), (height, width) = self.parameters.centre, self.parameters.extent_m
        return shapely.box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    def _fjord(self) -> BaseGeometry:
        """All valleys in one; the spurs between two of them are rounded."""
        valleys = unary_union([branch.valley for branch in self.branches])
        radius = 0.15 * self.parameters.width_m
        closed = valleys.buffer(radius, quad_segs=4).buffer(-radius, quad_segs=4)
        corners = [
            part.buffer(0.01)
            for part in shapely.get_parts(closed.difference(valleys))
            if part.area > 0.01 * radius**2 and part.distance(self.area) == 0
        ]
        return unary_union([valleys, *corners])

    def _walls(self, rng: np.random.Generator, mean: np.ndarray) -> np.ndarray:
        fine = np.stack([rough_line(rng, mean.size, 1.3, coarsest=5) for _ in range(2)], axis=1)
        bays = np.stack([rough_line(rng, mean.size, 2.0, coarsest=2) for _ in range(2)], axis=1)
        return mean[:, None] * np.clip(1 + 0.05 * fine + 0.22 * bays, 0.5, 2.0)

    def _trunk(self, rng: np.random.Generator) -> Branch:
        p = self.parameters
        length = 1.6 * float(np.hypot(*p.extent_m))
        share = np.linspace(-0.5, 0.5, _NODES)
        turn = np.radians(p.bend_deg) * share
        turn += np.radians(14) * rough_line(rng, _NODES, 2.5, coarsest=2)
        turn -= np.interp(0, share, turn)
        heading = np.radians(p.flow_deg) + turn
        step = length / (_NODES - 1)
        line = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1) * step, axis=0)
        zero = _NODES // 2
        line = line - line[zero] + np.asarray(p.centre)
        half = 0.5 * p.width_m * np.clip(1 + p.widening * 2 * share, 0.5, 2.0)
        history = FrontHistory(p.front, self.seed, self.start, self.end)
        return Branch(line, zero, self._walls(rng, half), history)

    def _side(self, trunk: Branch, side: Side, rng: np.random.Generator, seed: int) -> Branch:
        p = self.parameters
        where = side.joins_at * p.width_m / 2
        end = trunk.place(np.array([where]), np.zeros(1))[0]
        index = int(np.argmin(np.abs(trunk.along - where)))
        flow = np.arctan2(*trunk.direction[index][::-1])
        length = 1.2 * float(np.hypot(*p.extent_m))
        share = np.linspace(0, 1, _NODES)
        turn = np.radians(25) * rough_line(rng, _NODES, 2.0, coarsest=1) * (1 - share)
        heading = flow - np.radians(side.angle_deg) + turn
        step = length / (_NODES - 1)
        line = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1) * step, axis=0)
        line = line - line[-1] + end
        half = np.full(_NODES, side.width_m / 2) * (0.8 + 0.2 * share)
        history, zero = None, _NODES - 1
        if side.front is not None:
            history = FrontHistory(side.front, seed, self.start, self.end)
            # Its front stands where it comes out of its own valley.
            sine = max(abs(np.sin(np.radians(side.angle_deg))), 0.3)
            back = (trunk.half_width[index].mean() + side.width_m / 3) / sine
            zero = max(int(_NODES - 1 - back / step), _NODES // 4)
        return Branch(line, zero, self._walls(rng, half), history)

    def _blob(self, rng: np.random.Generator, centre: np.ndarray, radius: float) -> Polygon:
        angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        shape = np.ones(48)
        for order in range(2, 8):
            phase = rng.uniform(0, 2 * np.pi)
            shape += rng.normal() * 0.45 / order * np.cos(order * angle + phase)
        reach = radius * np.clip(shape, 0.3, 2)
        return Polygon(centre + np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1))

    def _rocks(self, rng: np.random.Generator) -> tuple[BaseGeometry, BaseGeometry]:
        """Islands before the front of the whole time, nunataks behind it."""
        trunk, p = self.branches[0], self.parameters
        assert trunk.history is not None
        dates = [self.start, self.start + (self.end - self.start) / 2, self.end]
        stands = np.concatenate([trunk.history.position(d, np.linspace(-1, 1, 21)) for d in dates])
        margin = 0.12 * p.width_m
        found: list[list[Polygon]] = [[], []]
        for which, count in enumerate((p.islands, p.nunataks)):
            for _ in range(count):
                radius = p.width_m * rng.uniform(0.02, 0.08)
                away = margin + radius * 2 + p.width_m * rng.uniform(0, 0.8)
                along = stands.max() + away if which == 0 else stands.min() - away
                place = trunk.place(np.array([along]), rng.uniform(-0.8, 0.8, 1))[0]
                found[which].append(self._blob(rng, place, radius))
        return unary_union(found[0]), unary_union(found[1])

    def _sea(self, date: dt.date) -> BaseGeometry:
        """The fjord that is not ice, in one piece: water that ice cuts off counts as ice.

        The last one is kept: each product of a date asks for it.
        """
        if self._known_sea is not None and self._known_sea[0] == date:
            return self._known_sea[1]
        ice = unary_union([b.ice(date) for b in self.branches])
        pieces = shapely.get_parts(self.fjord.difference(ice))
        sea = max(pieces, key=lambda piece: piece.intersection(self.area).area)
        found = _thick(sea)  # cracks along a wall are closed
        self._known_sea = (date, found)
        return found

    def ice(self, date: dt.date) -> BaseGeometry:
        """Glacier ice of all branches; nunataks left out."""
        return _thick(self.fjord.difference(self._sea(date)).difference(self.nunataks))

    def water(self, date: dt.date) -> BaseGeometry:
        """The fjord before the ice; islands left out."""
        return _polygons(self._sea(date).difference(self.islands))

    def calving_front(self, date: dt.date) -> MultiLineString:
        """Where the streams end in the water, within the area; walls of ice do not count.

        Returns
        -------
        MultiLineString
            In map coordinates, a piece per stream that reaches the water.
        """
        pieces = []
        water = self.water(date).buffer(1e-3)
        for branch in self.streams:
            drawn = branch.across_line(date).intersection(branch.valley)
            drawn = shapely.line_merge(drawn.intersection(water).intersection(self.area))
            pieces += [part for part in shapely.get_parts(drawn) if part.length > 1.0]
        return MultiLineString([p for p in pieces if isinstance(p, LineString)])

    def centreline(self) -> LineString:
        """Centreline of the trunk within the area, along the flow."""
        inside = LineString(self.branches[0].line).intersection(self.area)
        return max(shapely.get_parts(inside), key=lambda part: part.length)

    def box(self, inland_m: float, seaward_m: float) -> Polygon:
        """Terminus box: from `inland_m` behind to `seaward_m` before the start, off the walls."""
        along = np.linspace(-inland_m, seaward_m, 21)
        sides = [self.branches[0].place(along, np.full(21, edge)) for edge in (-0.85, 0.85)]
        return Polygon(np.concatenate([sides[0], sides[1][::-1]]))
