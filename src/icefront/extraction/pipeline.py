"""One or many scenes to fronts on disk."""

from __future__ import annotations

import datetime as dt
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from torch import nn

from icefront import __version__
from icefront.errors import IcefrontError
from icefront.extraction.outputs import (
    RUN_JSON,
    run_record,
    write_record,
    write_tables,
    write_zones,
)
from icefront.extraction.quicklook import draw_quicklook
from icefront.files.atomic import check_folder, explained_writing, staging
from icefront.fronts.area_of_interest import area_in_scene
from icefront.fronts.lines import extract_front
from icefront.grid import PixelSize, mean_side
from icefront.inference.grids import wanted_size, zones_on_scene
from icefront.inference.predict import card_of, predict_zones
from icefront.models.card import ModelCard
from icefront.models.registry import load_model
from icefront.scenes.reading import open_scene
from icefront.scenes.resampling import resample
from icefront.scenes.scene import Scene
from icefront.scenes.working_grid import AskedPixelSize


@dataclass(frozen=True)
class SceneReport:
    """What became of one scene.

    Attributes
    ----------
    path : str
        The scene's file, or another name GDAL understands.
    front : GeoDataFrame or None
        Its row of the table of fronts; None if the scene failed.
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
        report: dict[str, Any] = {"scene": Path(self.path).stem, "path": self.path}
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


@dataclass(frozen=True)
class _Job:
    """What is the same for all scenes of a run."""

    model: nn.Module
    area: gpd.GeoDataFrame | None
    band: int | str | None
    radiometry: str
    pixel_size_m: AskedPixelSize
    tta: bool
    exact: bool
    device: str
    glacier: str | None
    date: dt.date | None
    progress: bool

    def parameters(self) -> dict[str, Any]:
        """Return what the user asked for as plain types, for the record of the run."""
        asked = {item.name: getattr(self, item.name) for item in fields(self)}
        del asked["model"], asked["progress"]
        if self.area is not None:
            crs = None if self.area.crs is None else self.area.crs.to_string()
            asked["area"] = {"crs": crs, "wkt": self.area.union_all().wkt}
        return asked


def extract_scenes(
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    model: nn.Module | str | Path | None = None,
    aoi: gpd.GeoDataFrame | None = None,
    band: int | str | None = None,
    radiometry: str = "auto",
    pixel_size: AskedPixelSize = None,
    tta: bool = False,
    exact: bool = False,
    device: str = "auto",
    glacier: str | None = None,
    date: dt.date | None = None,
    overwrite: bool = False,
    progress: bool = True,
    on_scene: Callable[[SceneReport], None] | None = None,
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
    aoi : GeoDataFrame, optional
        Polygons, in any CRS, outside of which no front is drawn.
    band : int or str, optional
        Band of the files: number from 1, description or polarisation.
    radiometry : str
        A mapping of `icefront.scenes.radiometry`, or ``auto``.
    pixel_size : float, (float, float) or "pixels", optional
        As `pixel_size_m` of `icefront.open_scene`.
    tta, exact, device
        As for `icefront.predict_zones`.
    glacier, date
        Instead of what the files say.
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
    network = model if isinstance(model, nn.Module) else load_model(model)
    job = _Job(
        model=network,
        area=aoi,
        band=band,
        radiometry=radiometry,
        pixel_size_m=pixel_size,
        tta=tta,
        exact=exact,
        device=device,
        glacier=glacier,
        date=date,
        progress=progress,
    )
    begun = time.monotonic()
    started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    reports: list[SceneReport] = []
    with staging(folder) as unfinished:
        for path, name in zip(files, distinct_names(files), strict=True):
            report = _extract_one(path, name, job, unfinished, folder)
            reports.append(report)
            if on_scene is not None:
                on_scene(report)
        done = [report for report in reports if report.front is not None]
        names: list[str] = []
        if done:
            with explained_writing(folder):
                tables = [report.front for report in done if report.front is not None]
                write_tables(tables, [report.facts["latitude"] for report in done], unfinished)
                names = sorted([*(file.name for file in unfinished.iterdir()), RUN_JSON])
                record = run_record(
                    card=card_of(network),
                    parameters=job.parameters(),
                    scenes=[report.as_dict() for report in reports],
                    files=names,
                    started=started,
                    seconds=time.monotonic() - begun,
                )
                write_record(unfinished / RUN_JSON, record)
    return ExtractionReport(folder, tuple(reports), tuple(folder / name for name in names))


def distinct_names(paths: Sequence[str]) -> list[str]:
    """Name the products of each scene by its file's stem, numbered where stems are the same.

    Names differ also where a file system does not tell upper from lower case.
    """
    stems = [re.sub(r'[<>:"/\\|?*]', "_", Path(path).stem) for path in paths]
    reserved = {stem.casefold() for stem in stems}
    taken: set[str] = set()
    names = []
    for stem in stems:
        name, number = stem, 1
        while name.casefold() in taken or (number > 1 and name.casefold() in reserved):
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


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
    notes : tuple of str
        What was decided on the way, a sentence each.
    facts : dict
        Grids and radiometry, plain types.
    """

    scene: Scene
    zones: np.ndarray
    front: gpd.GeoDataFrame
    notes: tuple[str, ...]
    facts: dict[str, Any]


def extract_scene(
    path: str | Path,
    *,
    model: nn.Module,
    aoi: gpd.GeoDataFrame | None = None,
    band: int | str | None = None,
    radiometry: str = "auto",
    pixel_size: AskedPixelSize = None,
    tta: bool = False,
    exact: bool = False,
    device: str = "auto",
    glacier: str | None = None,
    date: dt.date | None = None,
    progress: bool = False,
) -> Extraction:
    """Extract the calving front of one scene; nothing is written.

    Parameters
    ----------
    path : path
        The scene's file.
    model : nn.Module
        A network of ours.
    aoi, band, radiometry, pixel_size, tta, exact, device, glacier, date, progress
        As for `extract_scenes`.

    Returns
    -------
    Extraction

    Raises
    ------
    IcefrontError
        If the scene cannot be read, lies outside of the area or does not fit into memory.
    """
    job = _Job(
        model=model,
        area=aoi,
        band=band,
        radiometry=radiometry,
        pixel_size_m=pixel_size,
        tta=tta,
        exact=exact,
        device=device,
        glacier=glacier,
        date=date,
        progress=progress,
    )
    return _extracted(os.fspath(path), job)


def _extracted(path: str, job: _Job) -> Extraction:
    try:
        scene = _opened(path, job)
        for_model, note = _prepared(scene, job)
        if job.area is not None:
            area_in_scene(job.area, for_model)  # Refused before the network runs.
        probabilities = predict_zones(
            job.model,
            for_model,
            tta=job.tta,
            device=job.device,
            exact=job.exact,
            progress=job.progress,
        )
        front = extract_front(probabilities, for_model, aoi=job.area)
        zones = zones_on_scene(probabilities, for_model, scene)
    except MemoryError as error:
        raise IcefrontError(
            f"{path} does not fit into memory: cut the scene or use coarser pixels."
        ) from error
    return Extraction(
        scene=scene,
        zones=zones,
        front=_identified(front, scene, card_of(job.model)),
        notes=(*scene.notes, *([note] if note else [])),
        facts=_facts(scene, for_model),
    )


def _extract_one(path: str, name: str, job: _Job, unfinished: Path, out: Path) -> SceneReport:
    """Extract the front of one scene and write its own files; what is wrong with it is reported."""
    begun = time.monotonic()
    try:
        done = _extracted(path, job)
    except IcefrontError as error:
        return SceneReport(path, error=str(error))
    files = {"zones": f"{name}_zones.tif", "quicklook": f"{name}_quicklook.png"}
    with explained_writing(out):
        write_zones(unfinished / files["zones"], done.zones, done.scene, card_of(job.model))
        draw_quicklook(unfinished / files["quicklook"], done.scene, done.zones, done.front)
    return SceneReport(
        path=path,
        front=done.front,
        notes=done.notes,
        files=files,
        seconds=time.monotonic() - begun,
        facts=done.facts,
    )


def _opened(path: str, job: _Job) -> Scene:
    scene = open_scene(
        path, band=job.band, pixel_size_m=job.pixel_size_m, radiometry=job.radiometry
    )
    return replace(
        scene,
        glacier=scene.glacier if job.glacier is None else job.glacier,
        date=scene.date if job.date is None else job.date,
    )


def _prepared(scene: Scene, job: _Job) -> tuple[Scene, str | None]:
    """Return the scene as the model wants it, and what was done to it in one sentence."""
    card = card_of(job.model)
    size = wanted_size(scene, card.pixel_size_m)
    if size is None:
        if card.pixel_size_m is not None and scene.pixel_size_m is None:
            return scene, (
                f"The pixel size is unknown, so the scene was taken as it is; the model "
                f"{card.name} was trained at {card.pixel_size_m:g} m."
            )
        return scene, None
    resampled = resample(scene, size)
    rows, columns = resampled.shape
    return resampled, (
        f"For the model {card.name} the scene was resampled from "
        f"{_size_in_words(scene.pixel_size_m)} to {size:g} m ({rows} x {columns} pixels)."
    )


def _size_in_words(size: PixelSize) -> str:
    if size is None:
        return "pixels of unknown size"
    if isinstance(size, tuple):
        return f"{size[0]:.4g} x {size[1]:.4g} m"
    return f"{size:.4g} m"


def _identified(front: gpd.GeoDataFrame, scene: Scene, card: ModelCard) -> gpd.GeoDataFrame:
    """Say in a front's row which file it is of, on which grid it was drawn, and by what."""
    drawn_at = front["pixel_size_m"].iloc[0]
    size = scene.pixel_size_m
    front = front.assign(
        pixel_size_m=drawn_at if size is None else mean_side(size),
        model_pixel_size_m=drawn_at,
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
