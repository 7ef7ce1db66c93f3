"""How well do people agree on a front, and how close does a model come? (`icefront annotators`)

For images that several people traced: the distance between every two of them, the consensus front,
each person's bias and scatter, and the same for models beside them.

Distance
    Mean distance error as in the CaFFe protocol: from every point of either front to the nearest of
    the other, pooled over both directions and over all images that both drew.
Agreement
    The mean distance over all pairs of people. A model's distance to the people is the mean over
    the people; a person's is the mean over the others.
Consensus
    See `icefront.annotators.consensus`. A person's distance to it is taken to the consensus of the
    others, since the own trace counts in the full one; a model's to the full one.
Bias
    Mean offset from the consensus, positive to the sea. What all people have in common cannot be
    seen: biases are relative to the middle of the people, not to the truth.
Scatter
    Standard deviation about the bias, along the front and from image to image. It comes from the
    variances of the differences of every two people, each of which is the sum of both people's own
    (Grubbs 1948, doi:10.1080/01621459.1948.10483261), so that neither the truth nor the consensus
    is needed for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS, Transformer
from rasterio.errors import RasterioError
from scipy.optimize import nnls
from shapely.geometry.base import BaseGeometry

from icefront.annotators.consensus import (
    Consensus,
    Placed,
    draw_consensus,
    medoid,
    oriented,
    seaward_by_compass,
    seaward_by_flow,
    seaward_by_zones,
    without,
)
from icefront.annotators.traces import ImageFrame, TracedFront, TracedImage
from icefront.datasets.caffe import read_zones
from icefront.errors import IcefrontError
from icefront.fronts.distances import FINER, points_along
from icefront.fronts.vector_files import read_vectors, without_misplaced
from icefront.progress import steps
from icefront.scenes.access import open_image
from icefront.zones import N_ZONES

CONSENSUS = "consensus"
CONFIDENCE = 0.95
RESAMPLES = 2_000
LEAST_IMAGES = 3
"""With fewer images no interval over them is given."""


@dataclass(frozen=True)
class Person:
    """One person, or one model.

    Attributes
    ----------
    name : str
    model : bool
    images : int
        In which they drew a front.
    to_people : float
        Mean distance to the (other) people, in the unit of the study.
    to_consensus : float
        Distance to the consensus (of the others), pooled over images.
    bias : float
        Mean offset, positive to the sea; NaN where the seaward side is not known.
    bias_low, bias_high : float
        95 % interval of the bias by bootstrap over images; NaN with fewer than three images.
    scatter : float
        Standard deviation about the bias; NaN for fewer than three people.
    """

    name: str
    model: bool
    images: int
    to_people: float
    to_consensus: float
    bias: float
    bias_low: float
    bias_high: float
    scatter: float


@dataclass(frozen=True)
class StudiedImage:
    """What came out for one image."""

    traced: TracedImage
    consensus: Consensus
    sign_from: str
    disagreement: float


@dataclass(frozen=True)
class Study:
    """What came out of all images.

    Attributes
    ----------
    images : tuple of StudiedImage
    people, models : tuple of Person
    matrix : DataFrame
        Distances between all people, models and the consensus; NaN where two have no image in
        common. Between a person and the consensus: that of the others.
    pairs : DataFrame
        A row for each image and pair: ``image``, ``first``, ``second``, ``mde``, ``distance_sum``,
        ``distance_count``.
    agreement, agreement_pooled : float
        Mean over pairs of people, and over all their distances pooled.
    unit : str
        ``m`` or ``px``.
    problems : tuple of str
        What was left out and why.
    """

    images: tuple[StudiedImage, ...]
    people: tuple[Person, ...]
    models: tuple[Person, ...]
    matrix: pd.DataFrame
    pairs: pd.DataFrame
    agreement: float
    agreement_pooled: float
    unit: str
    problems: tuple[str, ...] = field(default=())

    def sentence(self) -> str:
        """Return in words how well people agree, and how far off the models are."""
        number = len(self.images)
        unit = self.unit

        def of(value: float) -> str:
            return f"{value:.0f} {unit}" if unit == "m" else f"{value:.1f} {unit}"

        over = "one image" if number == 1 else f"{number} images"
        text = f"{len(self.people)} people agree to {of(self.agreement)} on {over}"
        middle = float(np.nanmean([person.to_consensus for person in self.people]))
        text += f" (each lies {of(middle)} from the consensus of the others)"
        for model in self.models:
            missing = number - model.images
            text += (
                f"; {model.name} lies {of(model.to_people)} off them and "
                f"{of(model.to_consensus)} off their consensus"
            )
            if missing:
                text += f", with no front in {missing} image{'s' * (missing != 1)}"
        return text + "."


@dataclass(frozen=True)
class SeawardSources:
    """What decides the seaward side, in the order in which it is asked.

    Attributes
    ----------
    zones : Path or None
        Folder with zone maps: CaFFe's PNGs, or class codes as GeoTIFF.
    flow : GeoDataFrame or None
        Centrelines drawn along the flow.
    compass : float or None
        Direction of the sea in degrees, clockwise from north, or from up for images in pixels.
    """

    zones: Path | None = None
    flow: gpd.GeoDataFrame | None = None
    compass: float | None = None


def study_annotators(
    images: Sequence[TracedImage],
    *,
    sides: SeawardSources | None = None,
    unit: str = "m",
    problems: Sequence[str] = (),
    seed: int = 0,
    progress: bool = True,
) -> Study:
    """Compare people, their consensus and models.

    Parameters
    ----------
    images : sequence of TracedImage
        From `icefront.annotators.traces.read_traces`.
    sides : SeawardSources, optional
        Without it biases have no sign and are not given.
    unit : str
        ``m`` or ``px``, for words only.
    problems : sequence of str
        What was left out before.
    seed : int
        Of the bootstrap.
    progress : bool

    Returns
    -------
    Study

    Raises
    ------
    IcefrontError
        If there are no images.
    """
    if not images:
        raise IcefrontError("There are no images that several people traced.")
    sides = sides or SeawardSources()
    trouble = list(problems)
    people = list(dict.fromkeys(name for image in images for name in image.people))
    models = list(dict.fromkeys(name for image in images for name in image.models))
    both = sorted(set(people) & set(models))
    if both:
        raise IcefrontError(f"{both[0]!r} is both a person and a model: rename one of them.")
    people.sort()
    rows: list[tuple[str, str, str, float, int]] = []
    studied = []
    with steps("Comparing", len(images), show=progress) as advance:
        for image in images:
            studied.append(_study_image(image, sides, rows, trouble))
            advance(1)
    pairs = pd.DataFrame(
        rows, columns=["image", "first", "second", "distance_sum", "distance_count"]
    )
    pairs.insert(3, "mde", pairs["distance_sum"] / pairs["distance_count"])
    matrix = _matrix(pairs, [*people, *models, CONSENSUS])
    among = matrix.loc[people, people]
    upper = among.to_numpy()[np.triu_indices(len(people), 1)]
    human = pairs[pairs["first"].isin(people) & pairs["second"].isin(people)]
    scatter = _scatters(studied, people, models)
    drawn = {
        name: sum(name in {**i.traced.people, **i.traced.models} for i in studied)
        for name in (*people, *models)
    }

    def person(name: str, model: bool) -> Person:
        others = [other for other in people if other != name]
        bias, low, high = _bias(studied, name, seed)
        return Person(
            name=name,
            model=model,
            images=drawn[name],
            to_people=float(np.nanmean(matrix.loc[name, others])),
            to_consensus=float(matrix.loc[name, CONSENSUS]),
            bias=bias,
            bias_low=low,
            bias_high=high,
            scatter=scatter[name],
        )

    return Study(
        images=tuple(studied),
        people=tuple(person(name, False) for name in people),
        models=tuple(person(name, True) for name in models),
        matrix=matrix,
        pairs=pairs,
        agreement=float(np.nanmean(upper)),
        agreement_pooled=float(human["distance_sum"].sum() / human["distance_count"].sum()),
        unit=unit,
        problems=tuple(trouble),
    )


def _study_image(
    image: TracedImage,
    sides: SeawardSources,
    rows: list[tuple[str, str, str, float, int]],
    problems: list[str],
) -> StudiedImage:
    everybody = {**image.people, **image.models}
    human: dict[tuple[str, str], float] = {}
    for first, second in combinations(everybody, 2):
        distances = everybody[first].distances_to(everybody[second])
        rows.append((image.name, first, second, float(distances.sum()), distances.size))
        if first in image.people and second in image.people:
            human[first, second] = float(distances.mean())
    consensus = draw_consensus(image.people, medoid(human), image.models)
    consensus, sign_from = _with_sign(image, consensus, sides, problems)
    whole = as_trace(consensus.line)
    for name, trace in everybody.items():
        middle: TracedFront | None = whole
        if name in image.people:
            middle = as_trace(without(consensus, image.people, name))
        if middle is not None:
            distances = trace.distances_to(middle)
            rows.append((image.name, name, CONSENSUS, float(distances.sum()), distances.size))
    return StudiedImage(image, consensus, sign_from, float(np.mean(list(human.values()))))


def as_trace(line: BaseGeometry) -> TracedFront | None:
    """Make a trace of a consensus line; None if it is empty."""
    if line.is_empty:
        return None
    spacing = line.length / 500
    return TracedFront(line, points_along(line, spacing), points_along(line, spacing / FINER))


def _with_sign(
    image: TracedImage, consensus: Consensus, sides: SeawardSources, problems: list[str]
) -> tuple[Consensus, str]:
    """Turn the consensus to the sea by the first of the sources that decides."""
    length = consensus.line.length
    if sides.zones is not None:
        try:
            zones_at = zones_of(image.name, image.frame, sides.zones)
        except IcefrontError as error:
            problems.append(str(error))
            zones_at = None
        if zones_at is not None:
            turned = oriented(consensus, seaward_by_zones(consensus, zones_at, length / 20))
            if turned.signed.all():
                return turned, "zones"
    if sides.flow is not None:
        flow = sides.flow
        if image.frame.crs is not None and flow.crs is not None:
            line = flow.to_crs(image.frame.crs).union_all()
        elif image.frame.sides is not None and flow.crs is None:
            factor = np.array([image.frame.sides[1], -image.frame.sides[0]])
            line = shapely.transform(flow.union_all(), lambda xy: xy * factor)
        else:
            line = None
            problems.append(f"{image.name} and the centreline are not in one kind of coordinates.")
        if line is not None and not line.is_empty:
            turned = oriented(consensus, seaward_by_flow(consensus, line))
            if turned.signed.all():
                return turned, "flow"
    if sides.compass is not None:
        turned = oriented(consensus, seaward_by_compass(consensus, sides.compass))
        if turned.signed.all():
            return turned, "compass"
    return consensus, "not known"


def zones_of(name: str, frame: ImageFrame, folder: Path) -> Placed | None:
    """Find the zone map of an image; None if there is none.

    Parameters
    ----------
    name : str
        Of the image; the file is ``NAME.png`` or ``.tif``, with or without ``_zones``.
    frame : ImageFrame
        Of the image.
    folder : Path

    Returns
    -------
    callable or None
        From points in metres of the frame, (N, 2), to zone codes; no data outside of the map.

    Raises
    ------
    IcefrontError
        If the file is damaged or has no georeference where the traces have one.
    """
    for ending in ("_zones.png", "_zones.tif", ".png", ".tif"):
        path = folder / f"{name}{ending}"
        if path.is_file():
            break
    else:
        return None
    if path.suffix == ".png":
        if frame.sides is None:
            raise IcefrontError(f"{path} has no georeference, but the fronts of {name} have one.")
        return partial(_look_up, zones=read_zones(path), sides=frame.sides)
    try:
        with open_image(str(path)) as file:
            zones, transform, crs = file.read(1), file.transform, file.crs
    except RasterioError as error:
        raise IcefrontError(f"{path} cannot be read ({error}).") from None
    if zones.max() >= N_ZONES:
        raise IcefrontError(f"{path} holds the value {zones.max()}: zone codes go from 0 to 3.")
    if frame.sides is not None:
        return partial(_look_up, zones=zones, sides=frame.sides)
    if crs is None:
        raise IcefrontError(f"{path} has no CRS, but the fronts of {name} have one.")
    there = Transformer.from_crs(frame.crs, CRS.from_user_input(crs), always_xy=True)

    def placed(points: np.ndarray) -> np.ndarray:
        columns, rows = ~transform * there.transform(*points.T)
        return _sampled(zones, rows, columns)

    return placed


def _look_up(points: np.ndarray, zones: np.ndarray, sides: tuple[float, float]) -> np.ndarray:
    return _sampled(zones, -points[:, 1] / sides[0], points[:, 0] / sides[1])


def _sampled(zones: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    r, c = np.floor(rows).astype(int), np.floor(columns).astype(int)
    inside = (r >= 0) & (r < zones.shape[0]) & (c >= 0) & (c < zones.shape[1])
    found = np.zeros(len(r), np.uint8)
    found[inside] = zones[r[inside], c[inside]]
    return found


def _matrix(pairs: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    totals = pairs.groupby(["first", "second"])[["distance_sum", "distance_count"]].sum()
    matrix = pd.DataFrame(np.nan, index=list(names), columns=list(names))
    sums = matrix.fillna(0.0)
    counts = sums.copy()
    for (first, second), row in totals.iterrows():  # type: ignore[misc]
        for a, b in ((first, second), (second, first)):
            sums.loc[a, b] += row["distance_sum"]
            counts.loc[a, b] += row["distance_count"]
    matrix = sums / counts.where(counts > 0)
    for name in names:
        matrix.loc[name, name] = 0.0
    return matrix


def _bias(images: Sequence[StudiedImage], name: str, seed: int) -> tuple[float, float, float]:
    """Mean offset over all places with a known seaward side, and its interval over images."""
    sums, counts = [], []
    for image in images:
        offsets = image.consensus.offsets.get(name)
        if offsets is None:
            continue
        known = np.isfinite(offsets) & image.consensus.signed
        if known.any():
            sums.append(offsets[known].sum())
            counts.append(known.sum())
    if not sums:
        return float("nan"), float("nan"), float("nan")
    total, number = np.array(sums), np.array(counts)
    bias = float(total.sum() / number.sum())
    if len(sums) < LEAST_IMAGES:
        return bias, float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(sums), size=(RESAMPLES, len(sums)))
    means = total[drawn].sum(axis=1) / number[drawn].sum(axis=1)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return bias, float(low), float(high)


def _scatters(
    images: Sequence[StudiedImage], people: Sequence[str], models: Sequence[str]
) -> dict[str, float]:
    """Each one's own standard deviation, from the variances of differences of two."""
    signed = [image for image in images if image.consensus.signed.any()]
    names = [*people, *models]
    variances: dict[tuple[str, str], float] = {}
    for first, second in combinations(names, 2):
        found = []
        for image in signed or images:
            offsets = image.consensus.offsets
            if first in offsets and second in offsets:
                difference = offsets[first] - offsets[second]
                known = np.isfinite(difference)
                if signed:
                    known &= image.consensus.signed
                difference = difference[known]
                # Without a common sign a bias cannot be followed from image to image.
                found.append(difference if signed else difference - difference.mean())
        together = np.concatenate(found) if found else np.empty(0)
        if together.size > 1:
            variances[first, second] = float(together.var())
    own = split_variances(people, variances)
    result = {name: float(np.sqrt(own[name])) for name in people}
    for model in models:
        rest = [
            variances[person, model] - own[person]
            for person in people
            if (person, model) in variances and np.isfinite(own[person])
        ]
        result[model] = float(np.sqrt(max(float(np.mean(rest)), 0.0))) if rest else float("nan")
    return result


def split_variances(
    names: Sequence[str], variances: dict[tuple[str, str], float]
) -> dict[str, float]:
    """Split the variances of differences into the parts of the two that differ.

    Parameters
    ----------
    names : sequence of str
        Of whom.
    variances : dict
        Of the difference of two, by their names.

    Returns
    -------
    dict of str to float
        Own variances, none negative, that add up best to those of the differences; NaN where three
        do not hang together.

    Notes
    -----
    Grubbs 1948, doi:10.1080/01621459.1948.10483261, by non-negative least squares.
    """
    pairs = [pair for pair in variances if pair[0] in names and pair[1] in names]
    design = np.zeros((len(pairs), len(names)))
    for row, (first, second) in enumerate(pairs):
        design[row, [names.index(first), names.index(second)]] = 1
    if len(pairs) < len(names) or np.linalg.matrix_rank(design) < len(names):
        return dict.fromkeys(names, float("nan"))
    solution, _ = nnls(design, np.array([variances[pair] for pair in pairs]))
    return dict(zip(names, map(float, solution), strict=True))


def read_flow(path: Path) -> gpd.GeoDataFrame:
    """Read centrelines that are drawn along the flow.

    Raises
    ------
    IcefrontError
        If the file is missing, damaged or holds no lines.
    """
    table = read_vectors(path, "centrelines", preferred="centreline", crs_needed=False)
    if not set(table.geom_type) <= {"LineString", "MultiLineString"}:
        raise IcefrontError(f"{path} holds no lines: draw centrelines along the flow.")
    table, _ = without_misplaced(table, str(path))
    return table
