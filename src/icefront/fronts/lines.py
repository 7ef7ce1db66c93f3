"""The front of a scene as a line on the map, with its length, uncertainty and quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS, Geod, Transformer
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from icefront.errors import IcefrontError
from icefront.fronts import curves
from icefront.fronts.area_of_interest import AreaOfInterest, area_in_scene
from icefront.fronts.ends import log_odds_of
from icefront.fronts.minimum_length import MIN_LENGTH_M, MIN_LENGTH_PX
from icefront.fronts.outlines import outline_log_odds
from icefront.fronts.quality import NO_FRONT, is_loose, quality_flag
from icefront.fronts.tracing import Evidence, Trace, trace_front
from icefront.grid import Grid
from icefront.scenes.resampling import coarsened, resample, resample_to
from icefront.scenes.scene import Scene
from icefront.zones import N_ZONES

END_COLUMNS = ("start_std_m", "end_std_m")
"""Columns of a front that say how sure its ends are, where something tells front from shore."""


def extract_front(
    probabilities: np.ndarray,
    scene: Scene,
    *,
    aoi: AreaOfInterest | None = None,
    front: np.ndarray | None = None,
    outline: AreaOfInterest | None = None,
    resolution_m: float | None = None,
    disagreement_m: float = 0.0,
) -> gpd.GeoDataFrame:
    """Draw the calving front of a scene.

    The line is the boundary between the largest ocean and the glacier, to a fraction of a pixel,
    where log(P(glacier) / P(ocean)) is zero. It keeps away from rock, from missing data and from
    the image edge, leaves out bergs, islands, lakes and slivers thinner than 3 pixels, bridges gaps
    of up to 6 pixels, and has no piece shorter than 750 m (12 pixels where the size of a pixel is
    not known) or than an eighth of the longest piece. Where front probabilities or outlines tell
    front from shore, the line ends where they change along it (`icefront.fronts.ends`); what is
    left out is what `extract_shore` gives.

    Parameters
    ----------
    probabilities : float (4, H, W)
        Zone probabilities on the grid of the scene, by class code; as a rule an
        `icefront.zones.ZoneProbabilities`, which knows at which pixel size the network worked, and
        the front probabilities where the network gives them.
    scene : Scene
        Grid, missing data and what is known about the image.
    aoi : shapely polygon, GeoDataFrame or GeoSeries, optional
        Area to clip the line to; reprojected to the scene's CRS where it has another one.
    front : float (H, W), optional
        Probability that the boundary at a place is calving front and not shore, on the grid of
        the scene; by default that of `probabilities`, if they have one.
    outline : polygons, optional
        Outlines of glaciers, such as those of the Randolph Glacier Inventory, given as `aoi`: where
        the ice at the boundary lies outside of them, by hundreds of metres, is shore.
    resolution_m : float, optional
        Side of the pixels on which the line is drawn, in metres; probabilities are averaged onto
        them. By default the pixel size at which the network worked, where the probabilities know
        it and it is coarser than the scene, else that of the scene. All lengths in pixels above
        are of these pixels; the line itself is in the coordinates of the scene.
    disagreement_m : float
        Standard deviation of the place of the front that these probabilities do not show, such as
        that of the dates of a series, in metres; it is added in quadrature.

    Returns
    -------
    GeoDataFrame
        One row, in the CRS of the scene (without CRS: x = column and y = row of the file, (0, 0)
        being its upper left corner):

        geometry
            LineString; MultiLineString for several pieces, in order along the front; an empty
            LineString without a front. Vertices follow the front with the glacier on the left as
            one looks at the map (or at the image).
        glacier, date, sensor, polarisation, orbit, scene
            What is known about the image; the date as ``YYYY-MM-DD``.
        pixel_size_m
            Side of a pixel of the scene (of the square of the same area) in metres, NaN if not
            known.
        length_m
            Length on the ground in metres: on the ellipsoid where there is a CRS, else by the pixel
            size, NaN if that is not known; 0 without a front.
        uncertainty_m
            Mean standard deviation of the place of the front, along the line, in metres: half the
            distance over which P(glacier) / (P(glacier) + P(ocean)) goes from 16 % to 84 %, see
            `icefront.fronts.uncertainty.uncertainty_along`. NaN without a front or pixel size.
        start_std_m, end_std_m
            Standard deviation of the place where the front starts and ends, along the boundary of
            glacier and ocean, in metres; NaN where it is cut off by the image edge, missing data
            or the area of interest. Only where front probabilities or outlines are given.
        flag, reason
            ``good``, ``check`` or ``no front``, and why.
        length_px, uncertainty_px, start_std_px, end_std_px
            The same in pixels of the file; only for scenes without CRS.

    Raises
    ------
    IcefrontError
        If the probabilities are not on the grid of the scene, the area of interest does not touch
        it, or a resolution is asked for where the size of a pixel is not known.
    """
    return _drawn(probabilities, scene, aoi, front, outline, resolution_m, disagreement_m).front


def extract_shore(
    probabilities: np.ndarray,
    scene: Scene,
    *,
    aoi: AreaOfInterest | None = None,
    front: np.ndarray | None = None,
    outline: AreaOfInterest | None = None,
    resolution_m: float | None = None,
) -> gpd.GeoDataFrame:
    """Draw what `extract_front` leaves out because it is shore.

    Parameters
    ----------
    probabilities, scene, aoi, front, outline, resolution_m
        As for `extract_front`.

    Returns
    -------
    GeoDataFrame
        One row in the CRS of the scene, with the lines where glacier meets ocean without calving,
        ``glacier``, ``date``, ``sensor``, ``scene`` and ``length_m``; none where there is no shore.

    Raises
    ------
    IcefrontError
        As `extract_front`.
    """
    return _drawn(probabilities, scene, aoi, front, outline, resolution_m, 0.0).shore


@dataclass(frozen=True)
class DrawnFront:
    """What is drawn from probabilities.

    Attributes
    ----------
    line, beside : LineString or MultiLineString
        The front and the shore; empty where there is none.
    row, beside_row : dict
        What the tables say of them.
    crs : pyproj.CRS or None
        Of the scene.
    """

    line: BaseGeometry
    beside: BaseGeometry
    row: dict[str, Any]
    beside_row: dict[str, Any]
    crs: CRS | None

    @property
    def front(self) -> gpd.GeoDataFrame:
        """The front as `extract_front` gives it."""
        return gpd.GeoDataFrame(pd.DataFrame([self.row]), geometry=[self.line], crs=self.crs)

    @property
    def shore(self) -> gpd.GeoDataFrame:
        """The shore as `extract_shore` gives it."""
        table = pd.DataFrame([self.beside_row])
        whole = gpd.GeoDataFrame(table, geometry=[self.beside], crs=self.crs)
        return whole.iloc[:0] if self.beside.is_empty else whole


def _drawn(
    probabilities: np.ndarray,
    scene: Scene,
    aoi: AreaOfInterest | None,
    front: np.ndarray | None,
    outline: AreaOfInterest | None,
    resolution_m: float | None,
    disagreement_m: float,
) -> DrawnFront:
    """Bring probabilities to the pixels on which the front is drawn, and draw it."""
    worked = getattr(probabilities, "pixel_size_m", None)
    if front is None:
        front = getattr(probabilities, "front", None)
    probabilities = np.asarray(probabilities)
    if probabilities.shape != (N_ZONES, *scene.shape):
        raise IcefrontError(
            f"The probabilities have the shape {probabilities.shape}, but {scene.name} needs "
            f"{(N_ZONES, *scene.shape)}; predict on the grid of the scene."
        )
    if front is not None and np.shape(front) != scene.shape:
        raise IcefrontError(
            f"The front probabilities have the shape {np.shape(front)}, but {scene.name} needs "
            f"{scene.shape}; predict on the grid of the scene."
        )
    on = coarsened(scene, worked) if resolution_m is None else resample(scene, resolution_m)
    if on is not scene:
        probabilities = resample_to(probabilities, scene, on)
        if front is not None:
            front = resample_to(np.nan_to_num(front)[None], scene, on)[0]
    return draw_front(
        probabilities,
        on,
        aoi=aoi,
        front=front,
        outline=outline,
        side_m=scene.grid.side_m,
        disagreement_m=disagreement_m,
    )


def draw_front(
    probabilities: np.ndarray,
    scene: Scene,
    *,
    aoi: AreaOfInterest | None = None,
    front: np.ndarray | None = None,
    outline: AreaOfInterest | None = None,
    side_m: float | None = None,
    disagreement_m: float = 0.0,
) -> DrawnFront:
    """Draw the calving front, and the shore, on the pixels of the probabilities.

    Parameters
    ----------
    probabilities : float (4, H, W)
        Zone probabilities by class code.
    scene : Scene
        On the same pixels.
    aoi, front, outline, disagreement_m
        As for `extract_front`.
    side_m : float, optional
        Side of a pixel of the scene as it was given, in metres: the column ``pixel_size_m``.

    Returns
    -------
    DrawnFront

    Raises
    ------
    IcefrontError
        If the area of interest or the outline does not touch the scene.
    """
    area = None if aoi is None else area_in_scene(aoi, scene)
    grid = scene.grid
    known = grid.sides_m is not None
    sides = grid.sides_m or (1.0, 1.0)
    min_length = MIN_LENGTH_M if known else MIN_LENGTH_PX
    evidence = None
    if front is not None or outline is not None:
        evidence = Evidence(
            front=None if front is None else log_odds_of(front),
            outline=None
            if outline is None
            else outline_log_odds(area_in_scene(outline, scene, "outline"), scene),
        )
    looked_for = None
    if area is not None:
        looked_for = rasterize(
            [(area, 1)], scene.shape, transform=scene.transform, all_touched=True, dtype=np.uint8
        ).astype(bool)
    trace = trace_front(probabilities, scene.valid, sides, min_length, evidence, looked_for)
    drawn = _on_map(trace, scene, sides, area, disagreement_m)
    length_m, ground = _ground_length(drawn.geometry, grid)
    if scene.crs is None and known:
        length_m = drawn.length
    if drawn.geometry.is_empty:
        flag, reason = NO_FRONT, drawn.missing
    else:
        flag, reason = quality_flag(
            drawn.geometry, drawn.ends, drawn.length, drawn.uncertainty, scene
        )
    about = {
        "glacier": scene.glacier,
        "date": None if scene.date is None else scene.date.isoformat(),
        "sensor": scene.sensor,
        "polarisation": scene.polarisation,
        "orbit": scene.orbit,
        "scene": scene.name,
    }
    row = {
        **about,
        "pixel_size_m": np.nan if side_m is None else side_m,
        "length_m": length_m if known or drawn.geometry.is_empty else np.nan,
        "uncertainty_m": drawn.uncertainty * ground if known else np.nan,
    }
    stds = dict(zip(("start_std", "end_std"), drawn.end_stds, strict=True))
    if evidence is not None:
        side = grid.side_m
        row |= {f"{name}_m": np.nan if side is None else std * side for name, std in stds.items()}
    row |= {"flag": flag, "reason": reason}
    if scene.crs is None:
        row["length_px"] = drawn.geometry.length
        row["uncertainty_px"] = drawn.uncertainty / (grid.side_m or 1.0) * grid.side_on_map
        if evidence is not None:
            row |= {f"{name}_px": std * grid.side_on_map for name, std in stds.items()}
    shore_m = _ground_length(drawn.shore, grid)[0] if grid.crs is not None else drawn.shore_length
    beside = {**about, "length_m": shore_m if known else np.nan}
    return DrawnFront(drawn.geometry, drawn.shore, row, beside, scene.crs)


@dataclass(frozen=True)
class _Front:
    """A front on the map; lengths and uncertainty in the unit of the sides of a pixel."""

    geometry: BaseGeometry
    ends: tuple[np.ndarray, ...]
    end_stds: tuple[float, float]
    length: float
    uncertainty: float
    missing: str
    shore: BaseGeometry
    shore_length: float


def _on_map(
    trace: Trace,
    scene: Scene,
    sides: tuple[float, float],
    area: BaseGeometry | None,
    disagreement_m: float,
) -> _Front:
    grid = scene.grid
    lines, ends = [], []
    end_stds: list[tuple[float, float]] = []
    length = weighted = 0.0
    for piece in trace.pieces:
        whole = _map_coordinates(piece.line, grid)
        for part in _clipped(whole, area, grid):
            lines.append(part)
            if not curves.is_closed(part):
                ends += [part[0], part[-1]]
            stds = [piece.start_std, piece.end_std]
            for number, end in enumerate((0, -1)):
                # Cut off here, a front goes on who knows how far.
                if not (part[end] == whole[end]).all() or is_loose(part[end], scene):
                    stds[number] = float("nan")
            end_stds.append((stds[0], stds[1]))
        step = np.hypot(*(np.diff(piece.dense, axis=0) * sides).T)
        if area is not None:
            middles = (piece.dense[1:] + piece.dense[:-1]) / 2
            step = step * shapely.contains_xy(area, _map_coordinates(middles, grid))
        length += float(step.sum())
        uncertainty = np.hypot(piece.uncertainty, disagreement_m)
        weighted += float((step * (uncertainty[1:] + uncertainty[:-1]) / 2).sum())
    missing = trace.missing
    if trace.pieces and not lines:
        missing = "the front lies outside the area of interest"
    shore = [
        part
        for line in trace.shore
        for part in _clipped(_map_coordinates(line, grid), area, grid)
        if len(part) > 1
    ]
    outer = (end_stds[0][0], end_stds[-1][1]) if end_stds else (float("nan"), float("nan"))
    if grid.crs is not None and grid.transform.determinant > 0:
        # A grid whose rows run north shows the mirror image of the map.
        lines = [line[::-1] for line in reversed(lines)]
        shore = [line[::-1] for line in reversed(shore)]
        outer = outer[::-1]
    mean = weighted / length if length > 0 else float("nan")
    return _Front(
        geometry=_joined(lines),
        ends=tuple(ends),
        end_stds=outer,
        length=length,
        uncertainty=mean,
        missing=missing,
        shore=_joined(shore),
        shore_length=sum(curves.length(line, sides) for line in trace.shore),
    )


def _joined(lines: list[np.ndarray]) -> BaseGeometry:
    if len(lines) > 1:
        return shapely.MultiLineString(lines)
    return shapely.LineString(lines[0] if lines else None)


def _map_coordinates(points: np.ndarray, grid: Grid) -> np.ndarray:
    return np.stack(grid.xy(points[:, 0], points[:, 1]), axis=1)


def _clipped(line: np.ndarray, area: BaseGeometry | None, grid: Grid) -> list[np.ndarray]:
    """Return the parts of a line inside an area, in the order and direction of the line."""
    if area is None:
        return [line]
    whole = shapely.LineString(line)
    inside = shapely.line_merge(shapely.intersection(whole, area), directed=True)
    parts = []
    for part in shapely.get_parts(inside):
        # Less than a pixel inside is a touch, no front.
        if shapely.get_dimensions(part) == 1 and part.length >= grid.side_on_map:
            first = whole.project(part.interpolate(0.0))
            parts.append((first, shapely.get_coordinates(part)))
    return [coordinates for _, coordinates in sorted(parts, key=lambda part: part[0])]


def ground_length(geometry: BaseGeometry, crs: CRS) -> float:
    """Return the length of a line on the ellipsoid, in metres."""
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    geod = crs.get_geod() or Geod(ellps="WGS84")
    length = 0.0
    for part in shapely.get_parts(geometry):
        length += geod.line_length(*to_degrees.transform(*shapely.get_coordinates(part).T))
    return float(length)


def _ground_length(geometry: BaseGeometry, grid: Grid) -> tuple[float, float]:
    """Return the length on the ellipsoid in metres, and its ratio to that on the map."""
    if grid.crs is None or geometry.is_empty:
        return 0.0, 1.0
    length = ground_length(geometry, grid.crs)
    metres = grid.crs.axis_info[0].unit_conversion_factor
    return length, float(length / (geometry.length * metres))
