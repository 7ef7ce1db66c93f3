"""What lies on the ground of a simulated glacier on a day: zones, heights and kinds of surface.

`Landscape` holds what does not change (terrain, coordinates along and across the flow); `surfaces`
lays ice, sea ice, mélange, bergs, snow and debris on it for one date, on any grid.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from affine import Affine
from rasterio.features import rasterize, shapes
from scipy import ndimage
from scipy.spatial import cKDTree
from shapely.geometry.base import BaseGeometry

from icefront.grid import Grid
from icefront.simulation.calving import YEAR
from icefront.simulation.glacier import Branch, Glacier
from icefront.simulation.noise import enlarge, fractal
from icefront.simulation.terrain import mountains
from icefront.zones import GLACIER, OCEAN, ROCK

ROCK_FACE, UPLAND, ICE, DEBRIS, WATER, SEA_ICE, MELANGE, BERG = range(8)
KINDS = (
    "rock",
    "upland firn",
    "glacier ice",
    "debris",
    "open water",
    "sea ice",
    "mélange",
    "berg",
)
"""Names of the kinds of surface, by code."""

_TILE = 1024
"""Side of the repeating textures, in cells."""


@dataclass(frozen=True)
class Weather:
    """State of the surfaces on a day, each 0 to 1.

    Attributes
    ----------
    melt : float
        Wet snow and wet ice.
    freeze : float
        Concentration of sea ice, and how far mélange reaches.
    snow : float
        Cover of fresh dry snow on rock.
    wind : float
        Roughness of open water.
    """

    melt: float
    freeze: float
    snow: float
    wind: float


def weather(glacier: Glacier, date: dt.date) -> Weather:
    """Draw the weather of a date: the season, with a spread of its own for each day and year."""
    shift = YEAR / 2 if glacier.parameters.southern else 0.0
    day = date.timetuple().tm_yday + shift
    # Warmest at the end of July, most ice in March.
    warm = float(np.cos(2 * np.pi * (day - 208) / YEAR))
    cold = float(np.cos(2 * np.pi * (day - 75) / YEAR))
    rng = np.random.default_rng((glacier.seed, 2, date.toordinal()))
    year = np.random.default_rng((glacier.seed, 3, date.year)).normal(0, 0.15, 2)
    return Weather(
        melt=float(np.clip(2.2 * (warm - 0.35 + year[0]) + rng.normal(0, 0.15), 0, 1)),
        freeze=float(np.clip(0.55 + 0.6 * cold + year[1] + rng.normal(0, 0.1), 0, 1)),
        snow=float(np.clip(0.5 - 0.8 * warm + rng.normal(0, 0.15), 0, 1)),
        wind=float(rng.uniform(0, 1)),
    )


def grid_of(glacier: Glacier, pixel_m: float) -> Grid:
    """Cover the area of a glacier with pixels of a size."""
    height, width = glacier.parameters.extent_m
    left, _, _, top = glacier.area.bounds
    return Grid(
        max(round(height / pixel_m), 1),
        max(round(width / pixel_m), 1),
        glacier.crs,
        Affine(pixel_m, 0, left, 0, -pixel_m, top),
        float(pixel_m),
    )


@dataclass(frozen=True)
class Surfaces:
    """Rasters of one day on one grid.

    Attributes
    ----------
    grid : Grid
    zones : uint8 (H, W)
        Rock, glacier and ocean; every pixel has one.
    kinds : uint8 (H, W)
        Codes of `KINDS`.
    relief : float32 (H, W)
        Roughness of each surface, mean about 0 and spread about 1: crevasses, flow lines, floes.
    cliff : float32 (H, W)
        1 at the foot of the ice cliff, falling to 0 within a few tens of metres.
    weather : Weather
    """

    grid: Grid
    zones: np.ndarray
    kinds: np.ndarray
    relief: np.ndarray
    cliff: np.ndarray
    weather: Weather


class Landscape:
    """Terrain and flow of a glacier on a coarse grid, made once and used for every date.

    Parameters
    ----------
    glacier : Glacier
    cells : int
        Along the longer side of the area.
    """

    def __init__(self, glacier: Glacier, cells: int = 512) -> None:
        self.glacier = glacier
        self.coarse = grid_of(glacier, max(glacier.parameters.extent_m) / cells)
        rows, columns = self.coarse.shape
        x, y = self.coarse.transform * np.meshgrid(
            np.arange(columns) + 0.5, np.arange(rows) + 0.5, copy=False
        )
        self._x, self._y = np.asarray(x), np.asarray(y)
        self._rng = np.random.default_rng((glacier.seed, 4))
        self.flow = [self._coordinates(branch) for branch in glacier.branches]
        self.height = self._terrain()

    def _coordinates(self, branch: Branch) -> tuple[np.ndarray, np.ndarray]:
        """Metres along the flow and place across it (-1 to 1 between the walls), float32."""
        nearest = cKDTree(branch.line).query(np.stack([self._x.ravel(), self._y.ravel()], 1))[1]
        dx = self._x.ravel() - branch.line[nearest, 0]
        dy = self._y.ravel() - branch.line[nearest, 1]
        direction, normal = branch.direction[nearest], branch.normal[nearest]
        along = branch.along[nearest] + dx * direction[:, 0] + dy * direction[:, 1]
        across = dx * normal[:, 0] + dy * normal[:, 1]
        widths = branch.half_width[nearest]
        across = across / np.where(across < 0, widths[:, 0], widths[:, 1])
        shape = self.coarse.shape
        return along.reshape(shape).astype(np.float32), across.reshape(shape).astype(np.float32)

    @cached_property
    def beyond_walls(self) -> np.ndarray:
        """Distance from the fjord in metres, 0 inside, float32 on the coarse grid."""
        inside = self._mask(self.glacier.fjord, self.coarse)
        distance = ndimage.distance_transform_edt(~inside) * self.coarse.side_on_map
        return distance.astype(np.float32)

    def _mask(self, outline: BaseGeometry, grid: Grid) -> np.ndarray:
        if outline.is_empty:
            return np.zeros(grid.shape, bool)
        return rasterize([(outline, 1)], grid.shape, transform=grid.transform).astype(bool)

    def _terrain(self) -> np.ndarray:
        """Heights in metres: mountains outside of the fjord, rising ice inland, 0 at sea."""
        p = self.glacier.parameters
        peaks = mountains(
            self._rng,
            self.coarse.transform,
            self.coarse.shape,
            relief_m=p.relief_m,
            ridge_m=p.ridge_m,
            plateau=p.plateau,
        )
        # Walls are steep in one place and lean back in another.
        lean = np.exp(0.7 * fractal(self._rng, self.coarse.shape, 2.2, coarsest=2))
        climb = 1 - np.exp(-self.beyond_walls / ((0.2 * p.relief_m + 100) * lean))
        along, across = self.flow[0]
        rise = 0.03 * np.clip(-along, 0, None)
        ice = p.cliff_m + rise - 15 * np.clip(np.abs(across), 0, 1) ** 2
        ice = np.where(along < 0, np.clip(ice, 20, None), 0)
        return np.where(self.beyond_walls > 0, climb * peaks + rise, ice).astype(np.float32)

    @cached_property
    def _shore(self) -> BaseGeometry:
        """Where there is water at some time, and 400 m about it."""
        glacier = self.glacier
        dates = [glacier.start, glacier.start + (glacier.end - glacier.start) / 2, glacier.end]
        return shapely.union_all([glacier.water(date) for date in dates]).buffer(400, quad_segs=2)

    @cached_property
    def upland(self) -> BaseGeometry:
        """Polygons of the mountains that are under ice: flat and high places first.

        Elsewhere than at walls of ice a rim of rock is left along the water.
        """
        p = self.glacier.parameters
        if p.upland_ice <= 0 and p.wall_ice <= 0:
            return shapely.Polygon()
        coarse = self.coarse
        smooth = ndimage.gaussian_filter(self.height, 4)
        steep = ndimage.gaussian_gradient_magnitude(self.height, 1) / coarse.side_on_map
        steep = ndimage.gaussian_filter(steep, 4)  # crests count with their flanks
        rng = np.random.default_rng((self.glacier.seed, 11))
        where, dry = fractal(rng, (64, 64), 1.2), fractal(rng, (64, 64), 1.8)
        # Ice keeps off steep faces (in some ranges it hangs on them), off low ground a little, and
        # off whole regions.
        shy = rng.uniform(0.2, 1.5)
        liking = 0.25 * smooth / (smooth.std() + 1) - shy * steep / (steep.std() + 1e-6)
        liking += p.dry_regions * enlarge(dry, coarse.shape)
        icy = enlarge(where, coarse.shape) >= np.quantile(where, 1 - p.wall_ice)
        rim = 300 * np.exp(enlarge(fractal(rng, (64, 64), 1.0), coarse.shape))
        near = (self.beyond_walls < rim) & self._mask(self._shore, coarse)
        free = (self.beyond_walls > 0) & (icy | ~near)
        if not free.any():
            return shapely.Polygon()
        found = free & (liking >= np.quantile(liking[free], 1 - p.upland_ice))
        found |= icy & near & (p.wall_ice > 0)
        # Faces that are too narrow to be mapped are left to the ice.
        bare = (self.beyond_walls > 0) & ~found
        reach = max(round(max(coarse.shape) / 130), 1)
        ball = np.hypot(*np.ogrid[-reach : reach + 1, -reach : reach + 1]) <= reach + 0.3
        bare = ndimage.binary_opening(bare | (self.beyond_walls == 0), ball)
        found |= (self.beyond_walls > 0) & ~bare
        found = ndimage.median_filter(found.astype(np.uint8), 5).astype(bool)
        # A little into the fjord, whose outline then cuts it off exactly.
        found |= ndimage.binary_dilation(found, iterations=3) & (self.beyond_walls == 0)
        outlines = [
            shapely.geometry.shape(outline)
            for outline, value in shapes(found.astype(np.uint8), found, transform=coarse.transform)
            if value
        ]
        rounded = shapely.union_all(outlines).simplify(coarse.side_on_map)
        land = shapely.make_valid(rounded).difference(self.glacier.fjord)
        # Slivers that no pixel would show are left to the rock.
        thick = land.buffer(-60, quad_segs=2).buffer(80, quad_segs=2)
        land = land.intersection(thick)
        # And so are wedges of rock between ice and water, which would end thinner than a pixel.
        both = shapely.union_all([land, self.glacier.fjord])
        wedges = both.buffer(60, quad_segs=4).buffer(-60, quad_segs=4).difference(both)
        beside = [part for part in shapely.get_parts(wedges) if part.distance(land) < 1]
        return shapely.union_all([land, *beside]).buffer(0.01).difference(self.glacier.fjord)

    def upland_on(self, date: dt.date) -> BaseGeometry:
        """The upland ice with the slivers of a fjord beside ice that are neither ice nor water."""
        glacier = self.glacier
        ice = glacier.ice(date)
        known = [ice, glacier.water(date), glacier.islands, glacier.nunataks]
        rest = shapely.get_parts(glacier.fjord.difference(shapely.union_all(known)))
        near = shapely.union_all([self.upland, ice])
        beside = [part for part in rest if part.area > 1 and part.distance(near) < 1]
        return shapely.union_all([self.upland, *beside])

    def contact(self, date: dt.date) -> BaseGeometry:
        """The line between glacier and ocean within the area: the front and walls of ice.

        Returns
        -------
        LineString or MultiLineString
            In map coordinates; empty where no ice meets water.
        """
        glacier = self.glacier
        shore = glacier.water(date).boundary
        ice = shapely.union_all([glacier.ice(date), self.upland_on(date)]).buffer(0.05)
        line = shapely.line_merge(shore.intersection(ice).intersection(glacier.area))
        pieces = [part for part in shapely.get_parts(line) if part.length > 1.0]
        return shapely.MultiLineString([part for part in pieces if part.geom_type == "LineString"])

    @cached_property
    def textures(self) -> dict[str, np.ndarray]:
        """Repeating textures (1024, 1024), float32, laid out along and across the flow."""
        shape = (_TILE, _TILE)
        crevasses = fractal(self._rng, shape, 0.5, coarsest=40, stretch=0.25)
        return {
            "flow lines": fractal(self._rng, shape, 1.0, coarsest=4, stretch=24.0),
            "crevasses": np.abs(crevasses) ** 1.3 - 0.8,
            "patches": fractal(self._rng, shape, 1.4, coarsest=2),
            "grain": fractal(self._rng, shape, 0.7, coarsest=12),
            "floes": fractal(self._rng, shape, 1.1, coarsest=8),
        }


def _sample(texture: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Look a repeating texture up, nearest cell."""
    mask = _TILE - 1
    return texture[row.astype(np.int32) & mask, column.astype(np.int32) & mask]


def surfaces(landscape: Landscape, date: dt.date, grid: Grid) -> Surfaces:
    """Lay the surfaces of a date on a grid.

    Parameters
    ----------
    landscape : Landscape
    date : datetime.date
    grid : Grid

    Returns
    -------
    Surfaces
    """
    glacier, shape = landscape.glacier, grid.shape
    p = glacier.parameters
    today = weather(glacier, date)
    rng = np.random.default_rng((glacier.seed, 5, date.toordinal()))
    ice, water = glacier.ice(date), glacier.water(date)

    zones = np.full(shape, ROCK, np.uint8)
    layers = [
        (landscape.upland_on(date), GLACIER),
        (ice, GLACIER),
        (water, OCEAN),
        (glacier.islands, ROCK),
        (glacier.nunataks, ROCK),
    ]
    layers = [(outline, code) for outline, code in layers if not outline.is_empty]
    rasterize(layers, out=zones, transform=grid.transform)
    stream = rasterize([(ice, 1)], shape, transform=grid.transform, dtype="uint8").astype(bool)
    sea = zones == OCEAN

    kinds = np.full(shape, ROCK_FACE, np.uint8)
    kinds[zones == GLACIER] = UPLAND
    kinds[stream & (zones == GLACIER)] = ICE
    kinds[sea] = WATER
    relief = enlarge(fractal(rng, (256, 256), 1.2, coarsest=3), shape) * np.float32(0.4)
    relief = relief.copy()

    to_sea = _distance(sea, grid, 3.0) if sea.any() else np.full(shape, 1e9, np.float32)
    _lay_ice(landscape, kinds, relief, to_sea, grid)
    if sea.any():
        from_ice = _distance(stream, grid, 3.0)
        _lay_sea(landscape, date, today, kinds, relief, from_ice, grid, rng)
    reach = np.float32(max(0.5 * p.cliff_m, grid.side_on_map))
    cliff = np.where(kinds == ICE, np.exp(-to_sea / reach), 0).astype(np.float32)
    return Surfaces(grid, zones, kinds, relief, cliff, today)


def _distance(mask: np.ndarray, grid: Grid, factor: float) -> np.ndarray:
    """Distance from a mask in metres, exact near it and coarser by `factor` on fine grids."""
    if grid.side_on_map > 40 or min(mask.shape) < 256:
        return (ndimage.distance_transform_edt(~mask) * grid.side_on_map).astype(np.float32)
    step = int(factor)
    coarse = ndimage.distance_transform_edt(~mask[::step, ::step]) * (grid.side_on_map * step)
    return enlarge(coarse, mask.shape)


def _lay_ice(
    landscape: Landscape,
    kinds: np.ndarray,
    relief: np.ndarray,
    to_sea: np.ndarray,
    grid: Grid,
) -> None:
    """Flow lines, crevasses by strain, moraines; in place."""
    glacier, shape, textures = landscape.glacier, grid.shape, landscape.textures
    p = glacier.parameters
    stream = kinds == ICE
    owner = None
    if len(glacier.branches) > 1:
        # Between its walls the trunk has pushed the others aside.
        places = [np.abs(across) for _, across in landscape.flow]
        places = [places[0], *(np.where(places[0] < 0.9, 9, place) for place in places[1:])]
        nearest = np.argmin(places, axis=0).astype(np.uint8)
        of_cell = (np.arange(n) * c // n for n, c in zip(shape, nearest.shape, strict=True))
        owner = nearest[np.ix_(*of_cell)]
    for number, (along, across) in enumerate(landscape.flow):
        rng = np.random.default_rng((glacier.seed, 6, number))
        own = stream if owner is None else stream & (owner == number)
        rows, columns = np.nonzero(own)
        if rows.size == 0:
            continue
        s = enlarge(along, shape)[rows, columns]
        n = enlarge(across, shape)[rows, columns]
        width = glacier.branches[number].half_width.mean()
        m = n * width
        near = to_sea[rows, columns]
        lines = _sample(textures["flow lines"], m / 25, s / 25)
        # Crevasses lie across the stretched flow: arched where the middle is fastest, and at 45°
        # to the walls in the shear margins.
        arched = s - 0.35 * width * n * n
        cell = max(14.0, 0.6 * grid.side_on_map)
        arcs = _sample(textures["crevasses"], m / cell, arched / cell)
        shear = np.clip((np.abs(n) - 0.72) / 0.2, 0, 1)
        oblique = _sample(textures["crevasses"], (m + np.sign(n) * s) / cell, s / cell + 311)
        patches = _sample(textures["patches"], m / 90, s / 90)
        # From smooth ice with a few crevasses at the front to a trunk that is crushed all over.
        zone = np.exp(rng.uniform(np.log(0.4), np.log(8.0))) * p.width_m
        opened = np.clip(np.exp(-near / zone) + 0.35 * patches - 0.15, 0, 1)
        strength = rng.uniform(0.5, 1.3) * opened * (1 - shear)
        crushed = _sample(textures["grain"], m / 14, s / 14)
        rough = (
            rng.uniform(0.3, 0.9) * lines * np.clip(1 - 0.6 * strength, 0.2, 1)
            + strength * arcs
            + rng.uniform(0.0, 0.8) * strength * crushed
            + 0.9 * shear * oblique
            + rng.uniform(0.1, 0.8) * patches
        )
        # Broken ice is brighter as a whole, too.
        relief[rows, columns] = rough - rough.mean() + rng.uniform(0, 1.2) * opened * (1 - shear)
        for place in rng.uniform(-0.8, 0.8, int(rng.integers(0, 4))):
            wander = 0.03 * _sample(textures["patches"], np.zeros_like(s) + 7, s / 200)
            stripe = np.abs(n - place - wander) < rng.uniform(0.008, 0.025)
            kinds[rows[stripe], columns[stripe]] = DEBRIS


def _lay_sea(
    landscape: Landscape,
    date: dt.date,
    today: Weather,
    kinds: np.ndarray,
    relief: np.ndarray,
    from_ice: np.ndarray,
    grid: Grid,
    rng: np.random.Generator,
) -> None:
    """Mélange before the front, sea ice by the season, bergs over all; in place."""
    glacier, textures = landscape.glacier, landscape.textures
    p = glacier.parameters
    rows, columns = np.nonzero(kinds == WATER)
    distance = from_ice[rows, columns]
    y, x = rows * np.float32(grid.side_on_map), columns * np.float32(grid.side_on_map)
    shift = rng.integers(0, _TILE, 6)
    patches = _sample(textures["patches"], y / 120 + shift[0], x / 120 + shift[1])
    floes = _sample(textures["floes"], y / 18 + shift[2], x / 18 + shift[3])
    grain = _sample(textures["grain"], y / 14 + shift[4], x / 14 + shift[5])

    kind = np.full(rows.size, WATER, np.uint8)
    rough = 0.3 * patches + 0.15 * floes
    # Sea ice: a cover in winter, floes in between.
    level = np.quantile(floes[:: max(1, floes.size // 20_000)], 1 - min(today.freeze, 0.999))
    frozen = floes + 0.5 * patches > level if today.freeze < 0.9 else np.ones(rows.size, bool)
    frozen &= today.freeze > 0.08
    kind[frozen] = SEA_ICE
    rough = np.where(frozen, 0.55 * floes + 0.3 * grain + 0.2 * patches, rough)
    event = next(
        (b.history.last_event(date) for b in glacier.streams if b.history is not None), None
    )
    reach = 0.0 if p.lake else p.melange_m * (0.33 + 0.67 * today.freeze) * rng.lognormal(0, 0.4)
    if event is not None:
        reach += 0.4 * p.melange_m * np.exp(-event[1] / 15)
    packed = distance < reach * (1 + 0.35 * patches)
    loose = ~packed & (floes > 1.2 + 1.2 * (distance - reach) / (reach + 300)) & (reach > 0)
    kind[packed | loose] = MELANGE
    # Brash in one fjord, slabs and swirls of kilometres in another.
    fine, slabs, swirls = rng.uniform((0.6, 0.0, 0.0), (1.1, 0.7, 0.5))
    rough = np.where(packed | loose, fine * grain + slabs * floes + swirls * patches, rough)
    kinds[rows, columns], relief[rows, columns] = kind, rough
    _float_bergs(glacier, date, kinds, relief, from_ice, reach, event is not None, grid, rng)


def _float_bergs(
    glacier: Glacier,
    date: dt.date,
    kinds: np.ndarray,
    relief: np.ndarray,
    from_ice: np.ndarray,
    reach: float,
    calved: bool,
    grid: Grid,
    rng: np.random.Generator,
) -> None:
    """Bergs with areas by a power law of exponent -1.5 (Åström et al. 2021), tabular ones fresh."""
    p = glacier.parameters
    water = kinds >= WATER
    rows, columns = np.nonzero(water[::4, ::4])
    if rows.size == 0:
        return
    area = water.sum() * grid.side_on_map**2
    smallest = max(2.5 * grid.side_on_map, 40.0)
    density = rng.lognormal(-0.5, 1.5) * (0.3 if p.lake else 1.0) * 2.0e-6
    count = int(min(rng.poisson(area * density * (60 / smallest)), 4000))
    sizes = smallest * (1 - rng.random(count)) ** (-1 / rng.uniform(1.0, 1.9))
    sizes = np.minimum(sizes, 0.12 * p.width_m)
    picks = rng.integers(0, rows.size, 3 * count + 1)
    near = from_ice[rows[picks] * 4, columns[picks] * 4]
    weight = np.exp(-np.clip(near - reach, 0, None) / (2 * p.width_m))
    picks = picks[rng.random(picks.size) < weight][:count]
    polygons = []
    for size, pick in zip(sizes, picks, strict=False):
        polygons.append(_floe(rng, columns[pick] * 4.0, rows[pick] * 4.0, size / grid.side_on_map))
    if calved and not p.lake:
        beside = np.flatnonzero(from_ice[rows * 4, columns * 4] < 0.3 * p.width_m)
        for pick in rng.choice(beside, min(4, beside.size), replace=False) if beside.size else ():
            size = rng.uniform(0.06, 0.2) * p.width_m / grid.side_on_map
            polygons.append(_floe(rng, columns[pick] * 4.0, rows[pick] * 4.0, size, slender=2.5))
    if not polygons:
        return
    numbers = rasterize(
        [(polygon, 1 + i % 65_000) for i, polygon in enumerate(polygons)],
        kinds.shape,
        dtype="uint16",
    )
    found = (numbers > 0) & water
    kinds[found] = BERG
    tone = rng.normal(0, rng.uniform(0.5, 2.2), 65_001).astype(np.float32)
    relief[found] = tone[numbers[found]] + 0.3 * relief[found]


def _floe(
    rng: np.random.Generator, x: float, y: float, size: float, slender: float = 1.6
) -> shapely.Polygon:
    """A convex piece with straight sides, about `size` long, in pixels."""
    corners = int(rng.integers(5, 9))
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = size / 2 * rng.uniform(0.7, 1.0, corners)
    turn = rng.uniform(0, np.pi)
    u, v = reach * np.cos(angle), reach * np.sin(angle) / rng.uniform(1, slender)
    points = np.stack([u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)], 1)
    return shapely.convex_hull(shapely.multipoints(points + np.array((x, y))))
