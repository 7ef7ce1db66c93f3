"""Fronts that several people traced on the same images, read from a folder.

A person's fronts are line files (GeoPackage, GeoJSON, shapefile) or PNG masks.

- Files in a folder of their own belong to the person that the folder is named after.
- A vector file with a column ``annotator`` may hold the fronts of several people.
- The image is named by the column ``image`` or ``scene``, else by the file (without ``_front``).

Lines without a CRS are in pixels of the image: x = column, y = row, from the upper left corner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS
from scipy.ndimage import label
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra, minimum_spanning_tree
from scipy.spatial import KDTree
from shapely.geometry.base import BaseGeometry
from skimage.morphology import skeletonize

from icefront.datasets.caffe import read_grey
from icefront.errors import IcefrontError
from icefront.fronts.distances import FINER, points_along
from icefront.fronts.vector_files import read_vectors, without_misplaced
from icefront.grid import pixel_sides
from icefront.scenes.metadata import from_name

VECTOR_SUFFIXES = (".gpkg", ".geojson", ".json", ".shp")
RESERVED = ("images", "sar_images", "zones")
"""Folders beside those of the people that hold no traces."""

_LARGEST_FRACTION = 0.2
"""A mask with a larger fraction of front pixels is refused."""


@dataclass(frozen=True)
class ImageFrame:
    """Metric coordinates of one image: x to the right or east, y up or north.

    Attributes
    ----------
    crs : pyproj.CRS or None
        Equal-area projection about the image, or None for an image in pixels.
    sides : (float, float) or None
        Height and width of a pixel, for an image in pixels; (1, 1) if their size is not known.
    written : pyproj.CRS or None
        CRS of the traces as they were given, in which results are written.
    """

    crs: CRS | None
    sides: tuple[float, float] | None
    written: CRS | None

    def given(self, line: BaseGeometry) -> gpd.GeoSeries:
        """Bring a line back to the coordinates in which the traces were given."""
        if self.crs is not None:
            return gpd.GeoSeries([line], crs=self.crs).to_crs(self.written)
        assert self.sides is not None
        rows, columns = self.sides
        return gpd.GeoSeries([shapely.transform(line, lambda xy: xy / (columns, -rows))])


@dataclass(frozen=True)
class TracedFront:
    """One front as one person (or model) drew it.

    Attributes
    ----------
    line : LineString or MultiLineString
        In metres of the frame.
    points : float64 (N, 2)
        Where distances start: evenly along a line, or the pixels of a mask.
    ends : float64 (M, 2)
        Where they end: `FINER` times denser along a line, or the same pixels.
    """

    line: BaseGeometry
    points: np.ndarray
    ends: np.ndarray

    @cached_property
    def tree(self) -> KDTree:
        """Search tree of the ends."""
        return KDTree(self.ends)

    def distances_to(self, other: TracedFront) -> np.ndarray:
        """All distances between two traces, both ways, as in the CaFFe protocol; in metres."""
        there = other.tree.query(self.points)[0]
        return np.concatenate([there, self.tree.query(other.points)[0]])


@dataclass(frozen=True)
class TracedImage:
    """One image with what people and models drew on it."""

    name: str
    frame: ImageFrame
    people: dict[str, TracedFront]
    models: dict[str, TracedFront] = field(default_factory=dict)

    @property
    def glacier(self) -> str:
        """From the name, or the name itself."""
        return from_name(self.name).glacier or self.name


@dataclass
class _Raw:
    """A front as it stands in a file."""

    file: Path
    lines: gpd.GeoSeries | None = None
    mask: np.ndarray | None = None


def read_traces(
    folder: str | Path,
    *,
    models: Mapping[str, str | Path] | None = None,
    pixel_size_m: float | tuple[float, float] | None = None,
    in_pixels: bool = False,
    ignore: Sequence[Path] = (),
) -> tuple[list[TracedImage], list[str]]:
    """Read the fronts of all people, and those of models.

    Parameters
    ----------
    folder : path
        As described above.
    models : mapping of str to path, optional
        A file or folder of fronts for each model, named by image like those of people.
    pixel_size_m : float or (float, float), optional
        For traces without CRS: side of a pixel, or (rows, columns), instead of what a CaFFe name
        states.
    in_pixels : bool
        Measure traces without CRS in pixels.
    ignore : sequence of Path
        Files and folders in it that hold no traces.

    Returns
    -------
    list of TracedImage
        Images that at least two people traced, by name.
    list of str
        What was left out and why, a sentence each.

    Raises
    ------
    IcefrontError
        If the folder is missing or no image was traced by two people.
    """
    root = Path(folder)
    if not root.is_dir():
        raise IcefrontError(f"{root} is no folder: name one with the fronts of several people.")
    problems: list[str] = []
    people: dict[tuple[str, str], list[_Raw]] = {}
    left = {Path(path).resolve() for path in ignore} | {(root / n).resolve() for n in RESERVED}
    for file in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
        if hidden or left & {file.resolve(), *file.resolve().parents}:
            continue
        person = None if file.parent == root else file.relative_to(root).parts[0]
        _take(file, person, None, people, problems)
    predicted: dict[tuple[str, str], list[_Raw]] = {}
    for name, path in (models or {}).items():
        source = Path(path)
        if not source.exists():
            raise IcefrontError(f"The fronts of {name!r}, {source}, do not exist.")
        for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
            _take(file, None, name, predicted, problems)
    images: dict[str, dict[str, list[_Raw]]] = {}
    for (image, person), raws in people.items():
        images.setdefault(image, {})[person] = raws
    found = []
    for image in sorted(images):
        drawn = {model: raws for (name, model), raws in predicted.items() if name == image}
        try:
            found.append(
                _traced_image(image, images[image], drawn, pixel_size_m, in_pixels, problems)
            )
        except IcefrontError as error:
            problems.append(str(error))
    if not found:
        why = f" ({problems[0]})" if problems else ""
        raise IcefrontError(
            f"{root} holds no image that two people traced{why}: give each person a folder, or the "
            "files a column annotator."
        )
    return found, problems


def _take(
    file: Path,
    person: str | None,
    model: str | None,
    found: dict[tuple[str, str], list[_Raw]],
    problems: list[str],
) -> None:
    """Sort the content of a file by image and person; files of other kinds are passed over."""
    suffix = file.suffix.lower()
    stem = file.stem.removesuffix("_front").removesuffix("_fronts")
    if not file.is_file() or suffix not in (*VECTOR_SUFFIXES, ".png"):
        return
    try:
        if suffix == ".png":
            owner = model or person
            if owner is None:
                raise IcefrontError(f"{file} names nobody: put each person's masks in a folder.")
            found.setdefault((stem, owner), []).append(_Raw(file, mask=_read_mask(file)))
            return
        table = _read_lines(file, problems)
        for key in ("image", "scene"):
            if key in table:
                names = table[key].astype(str)
                break
        else:
            names = pd.Series(stem, index=table.index)
        if model is not None:
            owners = pd.Series(model, index=table.index)
        elif "annotator" in table:
            owners = table["annotator"].astype(str)
        elif person is not None:
            owners = pd.Series(person, index=table.index)
        else:
            raise IcefrontError(
                f"{file} names nobody: give it a column annotator, or put it in a folder named "
                "after the person."
            )
        for (name, owner), rows in table.groupby([names.to_numpy(), owners.to_numpy()]):
            raw = _Raw(file, lines=rows.geometry)
            found.setdefault((str(name), str(owner)), []).append(raw)
    except IcefrontError as error:
        problems.append(str(error))


def _read_lines(file: Path, problems: list[str]) -> gpd.GeoDataFrame:
    table = read_vectors(file, "lines", preferred="fronts", crs_needed=False, sole=True)
    lines = table.geometry.to_numpy()
    table = table[~(shapely.is_missing(lines) | shapely.is_empty(lines))]
    kinds = set(table.geom_type) - {"LineString", "MultiLineString", "LinearRing"}
    if kinds:
        raise IcefrontError(f"{file} holds {', '.join(sorted(kinds))}, not lines: draw lines.")
    table, left_out = without_misplaced(table, str(file))
    problems += left_out
    return table


def _read_mask(file: Path) -> np.ndarray:
    mask = read_grey(file) > 0
    fraction = float(mask.mean())
    if fraction > _LARGEST_FRACTION:
        raise IcefrontError(
            f"{file} has {fraction:.0%} of its pixels on the front: give a mask of the front, not "
            "of zones."
        )
    return mask


def _traced_image(
    name: str,
    people: dict[str, list[_Raw]],
    models: dict[str, list[_Raw]],
    pixel_size_m: float | tuple[float, float] | None,
    in_pixels: bool,
    problems: list[str],
) -> TracedImage:
    if len(people) < 2:
        raise IcefrontError(f"{name} was traced by {next(iter(people))} alone and is left out.")
    everything = [raw for raws in (*people.values(), *models.values()) for raw in raws]
    mapped = [raw for raw in everything if raw.lines is not None and raw.lines.crs is not None]
    if mapped and len(mapped) < len(everything):
        odd = next(raw for raw in everything if raw not in mapped)
        raise IcefrontError(
            f"{name} is left out: {odd.file} is in pixels and {mapped[0].file} on the map; give "
            "all fronts of an image in one of the two."
        )
    if mapped and in_pixels:
        raise IcefrontError(f"{name} is left out: its fronts are on the map, not in pixels.")
    if mapped:
        frame = _map_frame([raw.lines for raw in mapped if raw.lines is not None])
    elif in_pixels:
        frame = ImageFrame(None, (1.0, 1.0), None)
    else:
        size = pixel_size_m if pixel_size_m is not None else from_name(name).resolution_m
        if size is None:
            raise IcefrontError(
                f"{name} is left out: it has neither a CRS nor a resolution in its name; give "
                "--pixel-size."
            )
        frame = ImageFrame(None, pixel_sides(size), None)
    traces: list[dict[str, TracedFront]] = []
    for group in (people, models):
        drawn: dict[str, TracedFront] = {}
        for owner, raws in group.items():
            trace = _trace(raws, frame)
            if trace is None:
                problems.append(f"{name}: {owner} drew no front.")
            else:
                drawn[owner] = trace
        traces.append(drawn)
    if len(traces[0]) < 2:
        raise IcefrontError(f"{name} has fewer than two fronts of people and is left out.")
    return TracedImage(name, frame, traces[0], traces[1])


def _map_frame(series: Sequence[gpd.GeoSeries]) -> ImageFrame:
    """Make an equal-area projection about the traces: true to scale within a scene."""
    bounds = np.array([s.to_crs(4326).total_bounds for s in series])
    # Across the date line the mean of longitudes is on the other side of the world.
    longitudes = np.radians(bounds[:, [0, 2]].ravel())
    east = np.degrees(np.arctan2(np.sin(longitudes).mean(), np.cos(longitudes).mean()))
    north = float(bounds[:, [1, 3]].mean())
    crs = CRS.from_proj4(f"+proj=laea +lat_0={north:.4f} +lon_0={east:.4f} +datum=WGS84 +units=m")
    return ImageFrame(crs, None, CRS.from_user_input(series[0].crs))


def _trace(raws: Sequence[_Raw], frame: ImageFrame) -> TracedFront | None:
    """Bring what one person drew on one image to metres."""
    lines: list[BaseGeometry] = []
    pixels: list[np.ndarray] = []
    for raw in raws:
        if raw.mask is not None:
            assert frame.sides is not None
            rows, columns = np.nonzero(raw.mask)
            pixels.append(np.stack([columns + 0.5, rows + 0.5], axis=1))
            lines += list(shapely.get_parts(mask_to_line(raw.mask)))
        elif raw.lines is not None:
            series = raw.lines if frame.crs is None else raw.lines.to_crs(frame.crs)
            lines += list(shapely.get_parts(shapely.force_2d(np.asarray(series.array))))
    if frame.sides is not None:
        factor = np.array([frame.sides[1], -frame.sides[0]])
        lines = [shapely.transform(line, lambda xy: xy * factor) for line in lines]
        pixels = [points * factor for points in pixels]
    line = shapely.MultiLineString([part for part in lines if part.length > 0])
    if line.is_empty:
        return None
    if pixels:
        points = np.concatenate(pixels)
        return TracedFront(line, points, points)
    spacing = min(frame.sides) if frame.sides is not None else line.length / 500
    return TracedFront(line, points_along(line, spacing), points_along(line, spacing / FINER))


def mask_to_line(mask: np.ndarray) -> shapely.MultiLineString:
    """Follow the pixels of a front mask.

    Each 8-connected piece gives one line, the longest way through its skeleton; side branches are
    left out.

    Parameters
    ----------
    mask : bool (H, W)

    Returns
    -------
    MultiLineString
        x = column, y = row, pixel centres at halves.
    """
    thin = skeletonize(mask)
    pieces, count = label(thin, np.ones((3, 3)))
    lines = []
    for number in range(1, count + 1):
        points = np.argwhere(pieces == number)
        if len(points) < 2:
            continue
        pairs = KDTree(points).query_pairs(1.5, output_type="ndarray")
        lengths = np.hypot(*(points[pairs[:, 0]] - points[pairs[:, 1]]).T)
        graph = csr_matrix((lengths, pairs.T), shape=(len(points),) * 2)
        tree = minimum_spanning_tree(graph)
        # The longest way through a tree: to the point farthest from any, and from there again.
        start = int(np.argmax(dijkstra(tree, directed=False, indices=0)))
        far, before = dijkstra(tree, directed=False, indices=start, return_predecessors=True)
        way = [int(np.argmax(far))]
        while way[-1] != start:
            way.append(int(before[way[-1]]))
        lines.append(shapely.LineString(points[way][:, ::-1] + 0.5))
    return shapely.MultiLineString(lines)
