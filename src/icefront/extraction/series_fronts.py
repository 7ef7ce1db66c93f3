"""The scenes of one glacier to fronts that agree with each other through time."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
from pyproj import CRS
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from icefront.errors import IcefrontError
from icefront.fronts.area_of_interest import AreaOfInterest
from icefront.fronts.distances import mean_distance, points_along
from icefront.fronts.ends import log_odds_of
from icefront.fronts.lines import END_COLUMNS, DrawnFront, draw_front
from icefront.fronts.regions import dilate
from icefront.grid import Grid, working_crs
from icefront.scenes.scene import Scene
from icefront.series.agreement import smooth_series
from icefront.series.byte_series import ByteSeries
from icefront.series.estimation import common_error_px, estimate_rates
from icefront.series.lattice import (
    WHOLE,
    lattice_grid,
    map_onto,
    nowhere,
    onto,
    window_of,
    zones_onto,
)
from icefront.series.rates import ChangeRates
from icefront.series.smoothing import days_of
from icefront.series.steady_sample import steady_sample
from icefront.series.still_boundary import still_boundary
from icefront.zones import GLACIER, N_ZONES, NO_DATA, OCEAN, ROCK, likeliest

if TYPE_CHECKING:
    from icefront.inference.predict import Predicted

_log = logging.getLogger(__name__)

THROUGH_TIME_COLUMNS = ("through_time", "interpolated", "moved_m")
"""Columns of fronts that the pass through time drew."""

USUAL_DATES = 50
"""Number of dates whose mean is taken for what is usual at a place."""

BESIDE_PX = 6
"""A front is drawn from probabilities this close to both glacier and ocean, in pixels."""

BOUNDARY_PX = 2
"""A front probability tells something this close to the boundary of its date, in pixels."""

ALONE_DAYS = 730
"""A date this long before or after all others has no part in a series, in days."""

INTERPOLATED_DAYS = 45
"""Where a date has no data, a front is drawn only if one at most this far from it has, in days."""

DISAGREEMENT = 1.0
"""Standard deviation of a front through time, as a multiple of the median distance between it and
the front of its date alone; what the dates have in common (`common_error_px`) is added to it."""

DISAGREEMENT_DATES = 40
"""Number of dates at which that distance is measured."""

WITNESSES = 100
"""Number of dates that say together where shore is."""

SMOOTHED, PROVISIONAL = "smoothed", "provisional"
"""What the column ``through_time`` says of a front: other dates before and after are known, or only
before; empty where a date's image stands alone."""


@dataclass(frozen=True)
class DatedZones:
    """Zone probabilities of one scene on its part of the lattice.

    Attributes
    ----------
    name : str
        Of the scene.
    date : datetime.date
    grid : Grid
        Part of the lattice of the glacier.
    read : callable
        Returns the probabilities, uint8 (4, h, w), 255 for 1.
    glacier, sensor, polarisation, orbit : str or None
    read_front : callable
        Returns the front probability, uint8 (h, w), 255 for 1, or None where the model gave none.
    """

    name: str
    date: dt.date
    grid: Grid
    read: Callable[[], np.ndarray]
    glacier: str | None = None
    sensor: str | None = None
    polarisation: str | None = None
    orbit: str | None = None
    read_front: Callable[[], np.ndarray | None] = lambda: None


@dataclass(frozen=True)
class SmoothedDate:
    """What the pass through time gives for one date.

    Attributes
    ----------
    index : int
        Of the date among those given.
    front : GeoDataFrame
        One row, as `icefront.extract_front` gives it, with ``through_time`` (``smoothed``, or
        ``provisional`` where no later date is known yet) and ``interpolated`` (fraction of the
        line where the date has no data, drawn from the dates around it).
    probabilities : uint8 (4, H, W)
        On `grid`; 0 for no data where any date has some.
    grid : Grid
    shore : GeoDataFrame
        As `icefront.fronts.extract_shore` gives it.
    fingerprint : str
        Of everything that the front was drawn from: equal ones give equal fronts.
    """

    index: int
    front: gpd.GeoDataFrame
    probabilities: np.ndarray
    grid: Grid
    shore: gpd.GeoDataFrame
    fingerprint: str = ""


def glacier_crs(crs: CRS, scene: Grid) -> CRS:
    """Return the projected CRS of a glacier's lattice: that of the table, or one in metres."""
    return crs if crs.is_projected else working_crs(*scene.centre_lonlat())


def zones_on_lattice(predicted: Predicted, crs: CRS) -> tuple[np.ndarray, Grid]:
    """Bring what a model says about a scene onto the lattice of its glacier.

    Parameters
    ----------
    predicted : Predicted
        Of a scene with a CRS.
    crs : pyproj.CRS
        Of the lattice.

    Returns
    -------
    uint8 (4, h, w) or (5, h, w)
        255 for 1; zones, then the front where the model tells.
    Grid
        The part of the lattice that the scene covers, in pixels of the size that the model saw.
    """
    seen = predicted.for_model
    probabilities = np.array(predicted.probabilities, dtype=np.float32)
    probabilities[:, ~seen.valid] = 0
    probabilities[NO_DATA, ~seen.valid] = 1
    grid = lattice_grid([seen.grid], crs, float(round(seen.grid.side_m or 1.0, 3)))
    values = onto(probabilities, seen.grid, grid)
    if predicted.front is not None:
        front = map_onto(predicted.front, seen.grid, grid)
        values = np.concatenate([values, front[None]])
    return values, grid


def smooth_dates(
    members: Sequence[DatedZones],
    *,
    corrections: Mapping[int, np.ndarray] | None = None,
    rates: ChangeRates | None = None,
    aoi: AreaOfInterest | None = None,
    outline: AreaOfInterest | None = None,
    folder: Path | None = None,
    wanted: Callable[[int, str], bool] | None = None,
    progress: bool = False,
) -> Iterator[SmoothedDate]:
    """Make the zones of all dates of a glacier agree, and draw their fronts.

    Parameters
    ----------
    members : sequence of DatedZones
        At least one, all in one CRS.
    corrections : mapping, optional
        As for `icefront.through_time`, on `series_grid` of the members.
    rates : ChangeRates, optional
        Estimated from the dates by default.
    aoi : polygons, optional
        Outside of which no front is drawn.
    outline : polygons, optional
        As for `icefront.extract_front`.
    folder : Path, optional
        Where temporary files lie.
    wanted : callable, optional
        Tells from the index and the `SmoothedDate.fingerprint` whether the front of a date is to be
        drawn; other dates are left out.
    progress : bool
        Show a bar on stderr, if that is a terminal.

    Yields
    ------
    SmoothedDate
        In the order of the members.
    """
    grid = series_grid(members)
    dates = [member.date for member in members]
    count = len(members)
    with (
        ByteSeries(count, grid.shape, folder) as single,
        ByteSeries(count, grid.shape, folder) as smoothed,
    ):
        every = slice(0, grid.height)
        data = _DataMasks(members, grid.shape)
        evidence = _FrontEvidence(members, grid)
        for index, member in enumerate(members):
            values = nowhere(grid)
            rows, columns = window_of(member.grid, grid)
            values[:, rows, columns] = member.read()
            single[index, :, every] = values
            data.add(values[NO_DATA] < WHOLE)
            evidence.add(index, values)
        rates = rates or estimate_rates(single, dates)
        smooth_series(
            single,
            dates,
            corrections=corrections,
            rates=rates,
            fill=True,
            out=smoothed,
            progress=progress,
        )
        pencil = _Pencil(members, grid, evidence, aoi, outline)
        evidence.still = still_boundary(smoothed, dates)
        common = common_error_px(count, rates) * grid.transform.a
        apart = float(np.hypot(_disagreement(pencil, single, smoothed, data), common))
        apart = float(f"{apart:.2g}")  # it is not known better, and most dates stay as they are
        newest, lattice = max(dates), repr(grid)
        for index, member in enumerate(members):
            whole = smoothed.date(index)
            probabilities = near_meeting(whole)
            status = PROVISIONAL if member.date == newest else SMOOTHED
            parts = (probabilities, data.digest(index), evidence.digest(index))
            fingerprint = _fingerprint(lattice, apart, status, *parts)
            if wanted is not None and not wanted(index, fingerprint):
                continue
            drawn = pencil.draw(index, probabilities, data.near(index), apart)
            drawn.row["through_time"] = status
            drawn.row["interpolated"] = _fraction_on(drawn.line, ~data.of(index), grid)
            yield SmoothedDate(index, drawn.front, whole, grid, drawn.shore, fingerprint)


def _fingerprint(*parts: object) -> str:
    """Return a digest of arrays and of values by what they show of themselves."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()


def near_meeting(probabilities: np.ndarray) -> np.ndarray:
    """Return what a front is drawn from: probabilities where glacier meets ocean, zones elsewhere.

    A front depends on the probabilities beside it and on the zones of all places. Where rock and
    glacier are hard to tell apart, every new date changes the last digit of dates years away: that
    does not move a front.

    Parameters
    ----------
    probabilities : uint8 (4, H, W)

    Returns
    -------
    uint8 (4, H, W)
        With the same zones, and elsewhere only which of glacier and ocean is likelier.
    """
    zones = likeliest(probabilities)
    known = dilate(zones == OCEAN, BESIDE_PX) & dilate(zones == GLACIER, BESIDE_PX)
    glacier = probabilities[GLACIER] >= probabilities[OCEAN]
    found = np.empty_like(probabilities)
    for code in range(N_ZONES):
        plain = (zones == code) * np.uint8(WHOLE - WHOLE // 4)
        if code in (GLACIER, OCEAN):
            plain += (glacier == (code == GLACIER)) * np.uint8(WHOLE // 4)
        found[code] = np.where(known, probabilities[code], plain)
    return found


def zones_on_scene(probabilities: np.ndarray, grid: Grid, scene: Scene) -> np.ndarray:
    """Return the likeliest zones of a smoothed date on the pixels of its scene, for pictures.

    Parameters
    ----------
    probabilities : uint8 (4, H, W)
        On `grid`, as `SmoothedDate` has them.
    grid : Grid
    scene : Scene
        With a CRS.

    Returns
    -------
    uint8 (h, w)
        Zone codes; no data where the scene has none.
    """
    zones = zones_onto(likeliest(probabilities), grid, scene.grid)
    zones[~scene.valid] = NO_DATA
    return zones


def in_series(dates: Sequence[dt.date]) -> list[bool]:
    """Tell for each date whether another one is near enough to tell something about it.

    A glacier has moved on after `ALONE_DAYS`; what a date that long before or after all others
    shows stands alone.
    """
    days = np.array([date.toordinal() for date in dates])
    known = np.unique(days)
    gaps = np.diff(known)
    near = np.minimum(np.append(gaps, np.inf), np.insert(gaps.astype(float), 0, np.inf))
    return [bool(near[np.searchsorted(known, day)] <= ALONE_DAYS) for day in days]


def on_one_lattice(members: Sequence[DatedZones]) -> list[bool]:
    """Tell for each scene whether its pixels are those of most scenes: the others take no part."""
    kinds = [(str(member.grid.crs), member.grid.transform.a) for member in members]
    usual = max(dict.fromkeys(kinds), key=kinds.count, default=None)
    return [kind == usual for kind in kinds]


class GlacierSeries:
    """Gathers the scenes of each glacier while they are extracted, then revises their fronts.

    Scenes without glacier, date or CRS stay as they are, as do glaciers with a single date.
    """

    def __init__(self) -> None:
        self._crs: dict[str, CRS] = {}
        self._members: dict[str, list[tuple[int, DatedZones]]] = {}

    def crs_of(self, scene: Scene) -> CRS | None:
        """Return the CRS of the lattice of a scene's glacier: that of its first scene."""
        if scene.glacier is None or scene.date is None or scene.crs is None:
            return None
        return self._crs.setdefault(scene.glacier, scene.crs)

    def add(self, index: int, scene: Scene, lattice: tuple[np.ndarray, Grid] | None) -> None:
        """Add a scene with its probabilities on the lattice; `index` names it in the result."""
        if lattice is None:
            return
        assert scene.glacier is not None
        assert scene.date is not None
        values, grid = lattice
        front = values[N_ZONES] if len(values) > N_ZONES else None
        member = DatedZones(
            scene.name,
            scene.date,
            grid,
            lambda: values[:N_ZONES],
            scene.glacier,
            scene.sensor,
            scene.polarisation,
            scene.orbit,
            lambda: front,
        )
        self._members.setdefault(scene.glacier, []).append((index, member))

    def revised(
        self,
        aoi: AreaOfInterest | None = None,
        outline: AreaOfInterest | None = None,
        *,
        progress: bool = False,
    ) -> Iterator[tuple[int, SmoothedDate]]:
        """Yield what the pass gives for each scene of a glacier with several dates.

        Yields
        ------
        int
            The index of the scene.
        SmoothedDate
            In the CRS of the lattice.
        """
        for glacier, found in self._members.items():
            usual = on_one_lattice([member for _, member in found])
            found = list(itertools.compress(found, usual))
            near = in_series([member.date for _, member in found])
            found = list(itertools.compress(found, near))
            if not found:
                continue
            indices, members = zip(*found, strict=True)
            try:
                for done in smooth_dates(members, aoi=aoi, outline=outline, progress=progress):
                    yield indices[done.index], done
            except IcefrontError as error:
                _log.warning("%s stays as its dates alone: %s", glacier, error)


def with_front_through_time(
    single: gpd.GeoDataFrame, through: gpd.GeoDataFrame
) -> gpd.GeoDataFrame:
    """Return the row of a scene with its front through time in place of the single-date one.

    Parameters
    ----------
    single : GeoDataFrame
        The row that the scene alone gave.
    through : GeoDataFrame
        `SmoothedDate.front`; in any CRS.

    Returns
    -------
    GeoDataFrame
        `single` with another line, length, uncertainty, flag and reason, and the columns
        ``through_time``, ``interpolated`` and ``moved_m`` (mean distance of the two lines).
    """
    assert through.crs is not None
    spacing = float(through["pixel_size_m"].iloc[0])
    moved = mean_distance(
        single.geometry.to_crs(through.crs).iloc[0], through.geometry.iloc[0], spacing
    )
    row = single.set_geometry(through.geometry.to_crs(single.crs).to_numpy(), crs=single.crs)
    names = ("length_m", "uncertainty_m", *END_COLUMNS, "flag", "reason")
    for name in (*names, "through_time", "interpolated"):
        if name in through:
            row[name] = through[name].to_numpy()
    row["moved_m"] = moved
    return row


def series_grid(members: Sequence[DatedZones]) -> Grid:
    """Return the part of the lattice that holds all dates of a glacier.

    Raises
    ------
    IcefrontError
        If they do not lie on one map.
    """
    first = members[0].grid
    assert first.crs is not None
    return lattice_grid([member.grid for member in members], first.crs, first.transform.a)


def usual_probabilities(members: Sequence[DatedZones]) -> np.ndarray:
    """Return the mean of the zone probabilities of the dates, float32 (4, H, W).

    Where no date has data, it is no data. Of a long series every so many dates are taken.
    """
    grid = series_grid(members)
    total = np.zeros((N_ZONES, *grid.shape), np.float32)
    step = max(1, len(members) // USUAL_DATES)
    for member in members[::step]:
        rows, columns = window_of(member.grid, grid)
        total[ROCK:, rows, columns] += member.read()[ROCK:]
    weight = total.sum(axis=0)
    total[NO_DATA, weight == 0] = 1
    return total / np.maximum(weight + total[NO_DATA], 1)


class _FrontEvidence:
    """What the front probabilities of the dates say of places on the boundary.

    A shore stays where it is, so that each date whose boundary runs there is a witness (of a long
    series some do); and what never moves while the rest of the boundary does is shore.

    Attributes
    ----------
    still : float (H, W) or None
        From `icefront.series.still_boundary.still_boundary`, once the dates are smoothed.
    """

    def __init__(self, members: Sequence[DatedZones], grid: Grid) -> None:
        self._members, self._grid = members, grid
        self._sum = np.zeros(grid.shape, np.float32)
        self._count = np.zeros(grid.shape, np.uint16)
        self._bits: dict[int, np.ndarray] = {}
        days = days_of([member.date for member in members])
        self._witnesses = frozenset(steady_sample(days, WITNESSES).tolist())
        self.still: np.ndarray | None = None
        self._still_alone: np.ndarray | None = None
        self._digest_alone: str | None = None

    def add(self, index: int, zones: np.ndarray) -> None:
        """Add a date with its probabilities, uint8 (4, H, W)."""
        log_odds = self._own(index)
        if log_odds is None:
            return
        found = zones.argmax(axis=0)
        near = np.ones((2 * BOUNDARY_PX + 1,) * 2, bool)
        boundary = ndimage.binary_dilation(found == GLACIER, near)
        boundary &= ndimage.binary_dilation(found == OCEAN, near)
        if index in self._witnesses:
            self._sum[boundary] += log_odds[boundary]
            self._count[boundary] += 1
        self._bits[index] = np.packbits(boundary)

    def of(self, index: int) -> np.ndarray | None:
        """Return the front probability for a date, float32 (H, W); None if no date has one.

        Where its own boundary runs, its own log odds and the mean of all dates count alike.
        """
        if not self._bits:
            if self.still is not None and self._still_alone is None:
                self._still_alone = _probability(self.still)
            return self._still_alone
        mean = self._sum / np.maximum(self._count, 1)
        own = self._own(index)
        if own is not None:
            size = self._count.size
            boundary = np.unpackbits(self._bits[index], count=size).view(bool)
            boundary = boundary.reshape(self._count.shape)
            mean = np.where(boundary, (own + mean) / 2, np.where(self._count > 0, mean, own))
        return _probability(mean if self.still is None else mean + self.still)

    def digest(self, index: int) -> str:
        """Return a digest of what `of` gives for a date."""
        if self._bits:
            return _fingerprint(self.of(index))
        if self._digest_alone is None:
            self._digest_alone = _fingerprint(self.of(index))
        return self._digest_alone

    def _own(self, index: int) -> np.ndarray | None:
        member = self._members[index]
        values = member.read_front()
        if values is None:
            return None
        found = np.zeros(self._grid.shape, np.float32)
        found[window_of(member.grid, self._grid)] = log_odds_of(values / np.float32(WHOLE))
        return found


def _probability(log_odds: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-log_odds)), np.float32)


@dataclass(frozen=True)
class _Pencil:
    """Draws the fronts of the dates of a glacier from probabilities in 8 bits."""

    members: Sequence[DatedZones]
    grid: Grid
    evidence: _FrontEvidence
    aoi: AreaOfInterest | None
    outline: AreaOfInterest | None

    def draw(
        self,
        index: int,
        probabilities: np.ndarray,
        seen: np.ndarray,
        disagreement_m: float = 0.0,
    ) -> DrawnFront:
        """Draw the front and the shore of one date where it was seen, bool (H, W)."""
        member, grid = self.members[index], self.grid
        scene = Scene(
            np.where(seen, np.float32(0), np.float32(np.nan)),
            grid.transform,
            grid.crs,
            grid.pixel_size_m,
            name=member.name,
            glacier=member.glacier,
            date=member.date,
            sensor=member.sensor,
            orbit=member.orbit,
            polarisation=member.polarisation,
        )
        return draw_front(
            probabilities.astype(np.float32) / WHOLE,
            scene,
            aoi=self.aoi,
            front=self.evidence.of(index),
            outline=self.outline,
            side_m=grid.side_m,
            disagreement_m=disagreement_m,
        )


class _DataMasks:
    """Where each date has data, a bit a pixel."""

    def __init__(self, members: Sequence[DatedZones], shape: tuple[int, int]) -> None:
        self._days = np.array([member.date.toordinal() for member in members])
        self._shape = shape
        self._bits: list[np.ndarray] = []

    def add(self, mask: np.ndarray) -> None:
        """Add the mask of the next date, bool (H, W)."""
        self._bits.append(np.packbits(mask))

    def of(self, index: int) -> np.ndarray:
        """Return where a date has data, bool (H, W)."""
        return self._unpacked(self._bits[index])

    def near(self, index: int) -> np.ndarray:
        """Return where a date, or one at most `INTERPOLATED_DAYS` from it, has data."""
        return self._unpacked(self._near(index))

    def digest(self, index: int) -> str:
        """Return a digest of what `of` and `near` give for a date."""
        return _fingerprint(self._bits[index], self._near(index))

    def _near(self, index: int) -> np.ndarray:
        close = np.flatnonzero(np.abs(self._days - self._days[index]) <= INTERPOLATED_DAYS)
        return np.asarray(np.bitwise_or.reduce([self._bits[i] for i in close]))

    def _unpacked(self, bits: np.ndarray) -> np.ndarray:
        count = self._shape[0] * self._shape[1]
        return np.unpackbits(bits, count=count).view(bool).reshape(self._shape)


def _disagreement(
    pencil: _Pencil, single: ByteSeries, smoothed: ByteSeries, data: _DataMasks
) -> float:
    """Return the standard deviation of fronts that the disagreement of the dates shows, in metres.

    The smoothed probabilities are steep, since many dates agree, but the images err alike. How far
    the fronts of single dates lie from those through time, in the median, says how much: see
    `DISAGREEMENT`.
    """
    apart = []
    days = days_of([member.date for member in pencil.members])
    for index in steady_sample(days, DISAGREEMENT_DATES).tolist():
        alone, through = (
            pencil.draw(index, series.date(index), data.of(index)).line
            for series in (single, smoothed)
        )
        distance = mean_distance(alone, through, pencil.grid.transform.a)
        if np.isfinite(distance):
            apart.append(distance)
    return DISAGREEMENT * float(np.median(apart)) if apart else 0.0


def _fraction_on(line: BaseGeometry, mask: np.ndarray, grid: Grid) -> float:
    """Return the fraction of a line that lies on pixels of a mask; 0 without a line."""
    points = points_along(line, grid.side_on_map)
    if not len(points):
        return 0.0
    places = np.rint(np.stack(grid.rowcol(*points.T))).astype(int)
    rows, columns = np.clip(places, 0, np.array([grid.height, grid.width])[:, None] - 1)
    return float(mask[rows, columns].mean())
