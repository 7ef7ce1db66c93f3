"""One or many scenes to fronts: the one way that every command and Python take."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
from pyproj import CRS
from torch import nn

from icefront import __version__
from icefront.errors import FullDiskError, IcefrontError, failure
from icefront.extraction.outputs import (
    RUN_JSON,
    joined,
    run_record,
    table_files,
    write_record,
    write_tables,
    write_zones,
)
from icefront.extraction.quicklook import draw_quicklook
from icefront.extraction.series_fronts import (
    GlacierSeries,
    with_front_through_time,
    zones_on_lattice,
    zones_on_scene,
)
from icefront.extraction.settings import ExtractionSettings, extraction_settings
from icefront.extraction.surroundings import needed_part
from icefront.files.atomic import NOTHING_WRITTEN, check_folder, explained_writing, staging
from icefront.files.names import distinct_names, is_text, not_text, shown
from icefront.fronts.area_of_interest import AreaOfInterest, area_in_scene
from icefront.fronts.lines import draw_front
from icefront.grid import Grid, mean_side
from icefront.inference.precision import kept_ready
from icefront.inference.predict import predict
from icefront.memory import check_memory
from icefront.models.card import ModelCard, card_of
from icefront.models.registry import load_model
from icefront.scenes.access import folders_of, input_folders
from icefront.scenes.data_arrays import scene_from_xarray
from icefront.scenes.reading import open_scene
from icefront.scenes.scene import Scene
from icefront.scenes.working_grid import Part

if TYPE_CHECKING:
    import xarray as xr

    SceneLike = str | os.PathLike[str] | Scene | xr.DataArray


# Measured beside the image itself, for each of its pixels and each that the model sees.
_BYTES_OF_SCENE = 4
_BYTES_OF_MODEL = 36


@dataclass(frozen=True)
class SceneReport:
    """What became of one scene.

    Attributes
    ----------
    path : str
        The scene's file, or another name GDAL understands.
    front : GeoDataFrame or None
        Its row of the table of fronts; None if the scene failed.
    shore : GeoDataFrame or None
        What its front leaves out: see `icefront.fronts.extract_shore`.
    single_date : GeoDataFrame or None
        The row that its image alone gave, where the pass through time gave another front.
    notes : tuple of str
        What was decided on the way, a sentence each.
    error : str or None
        Why the scene failed.
    files : dict
        Names of the scene's own files in the output folder: ``zones`` and ``quicklook``.
    seconds : float
        How long it took.
    """

    path: str
    front: gpd.GeoDataFrame | None = None
    shore: gpd.GeoDataFrame | None = None
    single_date: gpd.GeoDataFrame | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    def sentence(self) -> str:
        """Return what was found, or why nothing was, in one sentence."""
        if self.front is None:
            return str(self.error)
        row = self.front.iloc[0]
        reason = f" ({row['reason']})" if row["reason"] else ""
        if row.geometry.is_empty:
            return f"{row['flag']}{reason}"
        unit = "px" if pd.isna(row["length_m"]) else "m"
        length, uncertainty = row[f"length_{unit}"], row[f"uncertainty_{unit}"]
        return f"front of {length:.0f} ± {uncertainty:.0f} {unit}, {row['flag']}{reason}"

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain types, for the record of the run."""
        path = shown(self.path)
        report: dict[str, Any] = {"scene": Path(path).stem, "path": path}
        if self.front is None:
            return {**report, "error": self.error}
        row = self.front.iloc[0]
        return {
            **report,
            **self.facts,
            "flag": row["flag"],
            "reason": row["reason"],
            "notes": list(self.notes),
            "files": self.files,
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True)
class ExtractionReport:
    """What became of a run.

    Attributes
    ----------
    out : Path
        The output folder; it does not exist if all scenes failed and it did not exist before.
    scenes : tuple of SceneReport
        In the order they were given.
    files : tuple of Path
        All files that were written.
    """

    out: Path
    scenes: tuple[SceneReport, ...]
    files: tuple[Path, ...] = ()

    @property
    def failed(self) -> tuple[SceneReport, ...]:
        """The scenes that failed."""
        return tuple(scene for scene in self.scenes if scene.front is None)

    @property
    def exit_code(self) -> int:
        """0 if all scenes were done, 1 if some failed, 2 if all did."""
        if not self.failed:
            return 0
        return 2 if len(self.failed) == len(self.scenes) else 1


def extract(
    scene: SceneLike | Sequence[SceneLike],
    model: nn.Module | str | Path | None = None,
    **settings: Any,
) -> gpd.GeoDataFrame:
    """Extract the calving front of a scene, or of several.

    Parameters
    ----------
    scene : path, Scene, xarray.DataArray, or a list of them
        Image files; scenes as `icefront.open_scene` gives them; arrays (y, x) with rioxarray's
        CRS.
    model : nn.Module, str, Path or None
        A network, or what `icefront.load_model` takes; None is the packaged default.
    **settings
        Fields of `icefront.extraction.settings.ExtractionSettings`, named as the options of
        ``icefront extract``: ``band``, ``radiometry``, ``pixel_size``, ``aoi``, ``glacier``,
        ``date``, ``windows``, ``symmetries``, ``precision``, ``device``, ``tta``, ``exact``.
        The first three are about files and arrays.

    Returns
    -------
    GeoDataFrame
        A row per scene, as ``icefront extract`` writes them (see docs/extract.md): the front as a
        line in the CRS that all scenes share (else polar stereographic or EPSG:4326; without CRS
        in pixels of the file), its length, uncertainty, flag, and the model's identity. The dates
        of one glacier agree with each other unless ``through_time=False``.

    Raises
    ------
    IcefrontError
        If a scene, the model or a setting is not what it should be.

    Examples
    --------
    >>> import numpy as np
    >>> import icefront
    >>> grey = np.random.default_rng(0).gamma(4, 0.1, (120, 160)).clip(0, 1)
    >>> scene = icefront.Scene(grey.astype(np.float32), name="speckle", pixel_size_m=55.0)
    >>> table = icefront.extract(scene)
    >>> table["scene"].item(), table["model"].item()
    ('speckle', 'tyrion-mini')
    """
    scenes: list[Any] = list(scene) if isinstance(scene, (list, tuple)) else [scene]
    if not scenes:
        raise IcefrontError("No scene was given: name at least one image.")
    chosen = extraction_settings(settings)
    chosen = chosen.model_copy(update={"aoi": chosen.area(), "outline": chosen.outlines()})
    network = model if isinstance(model, nn.Module) else load_model(model)
    fronts, latitudes = [], []
    series = GlacierSeries()
    lattice_of = series.crs_of if chosen.through_time and len(scenes) > 1 else None
    with input_folders(folders_of(scenes)), kept_ready(network, chosen.device):
        for index, item in enumerate(scenes):
            done = extract_scene(item, network, chosen, lattice_of=lattice_of)
            series.add(index, done.scene, done.lattice)
            fronts.append(done.front)
            latitudes.append(done.facts["latitude"])
    for index, through in series.revised(chosen.aoi, chosen.outline):
        fronts[index] = with_front_through_time(fronts[index], through.front)
    if len({front.crs is None for front in fronts}) > 1:
        raise IcefrontError(
            "Some scenes have a coordinate system and some have none: extract them apart, since "
            "lines in metres and in pixels do not fit into one table."
        )
    return joined(fronts, latitudes)


def extract_scenes(
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    model: nn.Module | str | Path | None = None,
    settings: ExtractionSettings | None = None,
    overwrite: bool = False,
    progress: bool = True,
    on_scene: Callable[[SceneReport], None] | None = None,
    **choices: Any,
) -> ExtractionReport:
    """Extract the calving fronts of scenes and write them, their zones and pictures to a folder.

    Parameters
    ----------
    paths : sequence of path
        Scene files. One that fails does not stop the others.
    out : path
        The folder for the results; all files appear in it at the end, or none.
    model : nn.Module, str, Path or None
        A network, or what `icefront.load_model` takes; None is the packaged default.
    settings : ExtractionSettings, optional
        What decides about the fronts; or give its fields by name:
    **choices
        As the settings of `extract`.
    overwrite : bool
        Replace files of an earlier run; other files are left alone.
    progress : bool
        Show bars on stderr, if that is a terminal.
    on_scene : callable, optional
        Called with the report of each scene as soon as it is done.

    Returns
    -------
    ExtractionReport
        What became of each scene, and the exit code.

    Raises
    ------
    IcefrontError
        If the folder must not be written, the model cannot be loaded or the disk is full; nothing
        is written then. What is wrong with a single scene is in the report instead.
    """
    folder = Path(out)
    files = [os.fspath(path) for path in paths]
    if not files:
        raise IcefrontError("No scene was named: name at least one image file.")
    check_folder(folder, overwrite=overwrite)
    chosen = extraction_settings(choices) if settings is None else settings
    chosen = chosen.model_copy(update={"aoi": chosen.area(), "outline": chosen.outlines()})
    network = model if isinstance(model, nn.Module) else load_model(model)
    begun = time.monotonic()
    started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    reports: list[SceneReport] = []
    series = GlacierSeries()
    with input_folders(folders_of(files)), staging(folder, explain=False) as unfinished:
        with kept_ready(network, chosen.device):
            for path, name in zip(files, distinct_names(files), strict=True):
                report = _extract_to(
                    path, name, network, chosen, unfinished, folder, progress, series, len(reports)
                )
                reports.append(report)
                if on_scene is not None:
                    on_scene(report)
        card = card_of(network)
        _revise(reports, series, chosen, card, unfinished, folder, progress)
        done = [report for report in reports if report.front is not None]
        names: list[str] = []
        if done:
            with explained_writing(folder, lost=NOTHING_WRITTEN):
                tables = [report.front for report in done if report.front is not None]
                latitudes = [report.facts["latitude"] for report in done]
                single = [report.single_date for report in done if report.single_date is not None]
                shores = [report.shore for report in done if report.shore is not None]
                write_tables(tables, latitudes, unfinished, single, shores)
                names = sorted([*(file.name for file in unfinished.iterdir()), RUN_JSON])
                record = run_record(
                    card=card_of(network),
                    parameters=chosen.record(),
                    scenes=[report.as_dict() for report in reports],
                    files=names,
                    started=started,
                    seconds=time.monotonic() - begun,
                )
                write_record(unfinished / RUN_JSON, record)
    return ExtractionReport(folder, tuple(reports), tuple(folder / name for name in names))


@dataclass(frozen=True)
class Extraction:
    """The front of one scene and what it was drawn from.

    Attributes
    ----------
    scene : Scene
        As it was read.
    zones : uint8 (H, W)
        Zone codes on the scene's grid.
    front : GeoDataFrame
        One row, as `icefront.extract_front` gives it, with the model's identity.
    shore : GeoDataFrame
        As `icefront.fronts.extract_shore` gives it.
    notes : tuple of str
        What was decided on the way, a sentence each.
    facts : dict
        Grids and radiometry, plain types.
    lattice : (uint8 (4, h, w), Grid) or None
        Probabilities on the lattice of the glacier, where they were asked for.
    """

    scene: Scene
    zones: np.ndarray
    front: gpd.GeoDataFrame
    shore: gpd.GeoDataFrame
    notes: tuple[str, ...]
    facts: dict[str, Any]
    lattice: tuple[np.ndarray, Grid] | None = None


def extract_scene(
    scene: SceneLike,
    model: nn.Module,
    settings: ExtractionSettings | None = None,
    *,
    lattice_of: Callable[[Scene], CRS | None] | None = None,
    progress: bool = False,
) -> Extraction:
    """Extract the calving front of one scene; nothing is written.

    Parameters
    ----------
    scene : path, Scene or xarray.DataArray
    model : nn.Module
        A network with its card.
    settings : ExtractionSettings, optional
        The defaults if they are not given.
    lattice_of : callable, optional
        Returns the CRS of the lattice on which the probabilities are given too, or None.
    progress : bool
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    Extraction

    Raises
    ------
    IcefrontError
        If the scene cannot be read, lies outside of the area or does not fit into memory.
    """
    settings = settings or ExtractionSettings()
    card = card_of(model)
    try:
        area = settings.area()
        # An area that does not touch the scene is refused before the network runs.
        opened = open_needed(scene, settings, area, card)
        outline = settings.outlines()
        if outline is not None:
            area_in_scene(outline, opened, "outline")
        _check_memory(opened, card)
        predicted = predict([model], opened, settings, progress=progress)
        zones, probabilities, on = predicted.for_front(bare=settings.exact)
        drawn = draw_front(
            probabilities,
            on,
            aoi=area,
            front=probabilities.front,
            outline=outline,
            side_m=opened.grid.side_m,
        )
        crs = None if lattice_of is None or opened.crs is None else lattice_of(opened)
        lattice = None if crs is None else zones_on_lattice(predicted, crs)
    except MemoryError as error:
        raise IcefrontError(
            f"{_name_of(scene)} does not fit into memory: cut the scene or use coarser pixels."
        ) from error
    return Extraction(
        scene=opened,
        zones=zones,
        front=_identified(drawn.front, opened, predicted.for_model, card),
        shore=drawn.shore,
        notes=(*opened.notes, *([predicted.note] if predicted.note else [])),
        facts=_facts(opened, predicted.for_model),
        lattice=lattice,
    )


def _extract_to(
    path: str,
    name: str,
    model: nn.Module,
    settings: ExtractionSettings,
    unfinished: Path,
    out: Path,
    progress: bool,
    series: GlacierSeries,
    index: int,
) -> SceneReport:
    """Extract the front of one scene and write its own files; what is wrong with it is reported."""
    begun = time.monotonic()
    files = {"zones": f"{name}_zones.tif", "quicklook": f"{name}_quicklook.png"}
    lattice_of = series.crs_of if settings.through_time else None
    try:
        done = extract_scene(path, model, settings, lattice_of=lattice_of, progress=progress)
        with explained_writing(out, lost=NOTHING_WRITTEN):
            write_zones(unfinished / files["zones"], done.zones, done.scene, card_of(model))
            draw_quicklook(unfinished / files["quicklook"], done.scene, done.zones, done.front)
        # Its row fails here if at all, not when the rows of all scenes are written.
        table_files([done.front], [done.facts["latitude"]])
    except FullDiskError:
        raise
    except Exception as error:
        # Whatever is wrong with one scene must not stop the others.
        for file in files.values():
            (unfinished / file).unlink(missing_ok=True)
        return SceneReport(path, error=shown(failure(path, error)))
    series.add(index, done.scene, done.lattice)
    return SceneReport(
        path=path,
        front=done.front,
        shore=done.shore,
        notes=done.notes,
        files=files,
        seconds=time.monotonic() - begun,
        facts=done.facts,
    )


def _revise(
    reports: list[SceneReport],
    series: GlacierSeries,
    settings: ExtractionSettings,
    card: ModelCard,
    unfinished: Path,
    out: Path,
    progress: bool,
) -> None:
    """Put fronts through time in place of single-date ones."""
    with explained_writing(out, lost=NOTHING_WRITTEN):
        for index, through in series.revised(settings.aoi, settings.outline, progress=progress):
            report = reports[index]
            assert report.front is not None
            front = with_front_through_time(report.front, through.front)
            reports[index] = replace(
                report, front=front, shore=through.shore, single_date=report.front
            )
            # A scene that has gone since keeps the picture of its date alone.
            with suppress(IcefrontError):
                scene = open_needed(report.path, settings, settings.aoi, card)
                zones = zones_on_scene(through.probabilities, through.grid, scene)
                draw_quicklook(unfinished / report.files["quicklook"], scene, zones, front)


def open_needed(
    scene: SceneLike, settings: ExtractionSettings, area: AreaOfInterest | None, card: ModelCard
) -> Scene:
    """Return what a model needs of a scene, a file or an array, with the user's own facts.

    Parameters
    ----------
    scene : path, Scene or DataArray
    settings : ExtractionSettings
    area : polygons, optional
        The area of interest; the part of the scene around it is returned, see
        `icefront.extraction.surroundings.needed_part`.
    card : ModelCard

    Raises
    ------
    IcefrontError
        As `icefront.open_scene`, or if the area does not touch the scene.
    """
    notes: list[str] = []
    part = None
    if area is not None:
        part = partial(_part, area, settings, card, Path(_name_of(scene)).stem, notes)
    if isinstance(scene, Scene):
        asked = [
            name
            for name, default in (("band", None), ("radiometry", "auto"), ("pixel_size", None))
            if getattr(settings, name) != default
        ]
        if asked:
            raise IcefrontError(
                f"{scene.name} is an open scene, for which {' and '.join(asked)} cannot be chosen "
                "any more: give it to icefront.open_scene."
            )
        opened = _cut(scene, part)
    elif isinstance(scene, (str, os.PathLike)):
        if not is_text(scene):
            raise IcefrontError(not_text(scene))
        opened = open_scene(
            scene,
            band=settings.band,
            pixel_size_m=settings.pixel_size,
            radiometry=settings.radiometry,
            part=part,
        )
    else:
        import xarray as xr

        if not isinstance(scene, xr.DataArray):
            raise IcefrontError(
                f"A value of the type {type(scene).__name__} is no scene: give the path of an "
                "image, a Scene, or an xarray.DataArray with a CRS."
            )
        opened = scene_from_xarray(
            scene, pixel_size_m=settings.pixel_size, radiometry=settings.radiometry
        )
        opened = _cut(opened, part)
    return replace(
        opened,
        glacier=opened.glacier if settings.glacier is None else settings.glacier,
        date=opened.date if settings.date is None else settings.date,
        notes=(*opened.notes, *notes),
    )


def _part(
    area: AreaOfInterest,
    settings: ExtractionSettings,
    card: ModelCard,
    name: str,
    notes: list[str],
    grid: Grid,
) -> tuple[slice, slice] | None:
    """Return the rows and columns that are needed; all of them where prediction is exact."""
    part = needed_part(area, grid, card, name)
    if part is None or settings.exact:
        notes.clear()
        return None
    rows, columns = part
    # Asked anew on another grid, the last answer counts.
    notes[:] = [
        f"Of {grid.height} x {grid.width} pixels only rows {rows.start} to {rows.stop - 1} and "
        f"columns {columns.start} to {columns.stop - 1} were taken, around the area of interest."
    ]
    return part


def _cut(scene: Scene, part: Part | None) -> Scene:
    needed = None if part is None else part(scene.grid)
    return scene if needed is None else scene.part(*needed)


def _check_memory(scene: Scene, card: ModelCard) -> None:
    """Refuse a scene whose maps do not fit into memory, before any of them is made."""
    pixels = seen = float(scene.image.size)
    sides = scene.grid.sides_m
    if sides is not None and card.pixel_size_m is not None:
        seen *= sides[0] * sides[1] / card.pixel_size_m**2
    check_memory(
        int(_BYTES_OF_SCENE * pixels + _BYTES_OF_MODEL * seen),
        f"The front of {scene.path or scene.name}, {scene.shape[0]} x {scene.shape[1]} pixels,",
        "cut the scene, or give a larger pixel size",
    )


def _name_of(scene: SceneLike) -> str:
    return os.fspath(scene) if isinstance(scene, (str, os.PathLike)) else str(scene.name)


def _identified(
    front: gpd.GeoDataFrame, scene: Scene, for_model: Scene, card: ModelCard
) -> gpd.GeoDataFrame:
    """Say in a front's row on which grid it was drawn, and by what."""
    seen_at = for_model.pixel_size_m
    front = front.assign(
        model_pixel_size_m=front["pixel_size_m"] if seen_at is None else mean_side(seen_at),
        model=card.name,
        model_sha256=card.sha256,
        icefront_version=__version__,
    )
    geometry = front.geometry.name
    others = [column for column in front.columns if column not in ("scene", geometry)]
    return front[["scene", *others, geometry]]


def _facts(scene: Scene, for_model: Scene) -> dict[str, Any]:
    """What a scene's grid was, for the record of the run."""
    return {
        "crs": None if scene.crs is None else scene.crs.to_string(),
        "latitude": None if scene.crs is None else round(scene.grid.centre_lonlat()[1], 4),
        "shape": scene.shape,
        "pixel_size_m": scene.pixel_size_m,
        "shape_for_model": for_model.shape,
        "pixel_size_for_model_m": for_model.pixel_size_m,
        "radiometry": scene.radiometry,
    }
