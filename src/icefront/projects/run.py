"""Runs: the scenes of all glaciers to fronts in the catalogue, as often and as long as it takes.

A run finds the scenes, puts those that are new, changed or unfinished down as such, and takes one
after another until none is left. Everything it knows is in the catalogue, so that it can be stopped
at any moment, even by force, and the next run goes on. Several runs share the work of a project.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from icefront import __version__
from icefront.errors import IcefrontError, failure
from icefront.extraction.settings import ExtractionSettings
from icefront.files.atomic import contents, explained_writing, remove_unfinished, writing
from icefront.files.names import distinct_names, is_text, not_text, shown
from icefront.fronts.date_line import in_crs
from icefront.glaciers import Spellings, is_processing_word
from icefront.grid import common_crs
from icefront.inference.settings import SHORTHANDS
from icefront.models.card import ModelCard, card_of, stored_card
from icefront.progress import steps
from icefront.projects import catalogue as catalogues
from icefront.projects.adapted_models import offers
from icefront.projects.catalogue import (
    CATALOGUE,
    DONE,
    FAILED,
    NEW,
    NO_FRONT,
    OWN,
    RESULTS,
    RUNNING,
    RUNS,
    SCENES,
    Catalogue,
)
from icefront.projects.config import Areas, MonitoringConfig, read_config, settings_digest
from icefront.projects.judgements import restore_judgements
from icefront.projects.scene_files import (
    Header,
    Listed,
    list_scenes,
    named_folders,
    read_header,
)
from icefront.projects.scene_names import POLARISATIONS, glacier_of, one_of_each_pass
from icefront.projects.smoothing import restore_single_dates, smooth_project
from icefront.projects.workers import (
    Cluster,
    Job,
    Outcome,
    Processes,
    Task,
    Workers,
    default_workers,
    signature,
)
from icefront.recipes import validated
from icefront.scenes.access import input_folders

if TYPE_CHECKING:
    from torch import nn

CRS_SAMPLE = 200
"""Scenes, evenly among all, whose headers choose the CRS of a new project."""

_NOTHING = object()

BATCH = 32
"""New scenes whose headers are read at once, between those that are handed out."""


@dataclass(frozen=True)
class Loader:
    """Loads a model by its name in whatever process asks."""

    name: str | None = None

    def __call__(self) -> nn.Module:
        """Return the network."""
        from icefront.models.registry import load_model

        return load_model(self.name)


@dataclass(frozen=True)
class SceneOutcome:
    """What became of one scene, for callers that watch the run.

    Attributes
    ----------
    name, path : str
    glacier, date : str or None
    state : str
        ``done``, ``no front`` or ``failed``.
    length_m, uncertainty_m : float or None
    flag, error : str or None
    """

    name: str
    path: str
    glacier: str | None
    date: str | None
    state: str
    length_m: float | None = None
    uncertainty_m: float | None = None
    flag: str | None = None
    error: str | None = None

    def sentence(self) -> str:
        """Return it in one line."""
        if self.state == FAILED:
            return str(self.error)
        if self.state == NO_FRONT:
            return f"{self.name}: no front"
        return (
            f"{self.name}: front of {self.length_m:.0f} ± {self.uncertainty_m:.0f} m, {self.flag}"
        )


@dataclass
class RunReport:
    """What a run did.

    Attributes
    ----------
    project : Path
    run : str
        Its identity.
    found : int
        Scenes that are watched.
    already : int
        Of those, done before.
    done, no_front, failed : int
        What became of the others in this run.
    elsewhere : int
        Scenes another run still works on.
    redrawn : int
        Fronts that the pass through time drew anew.
    notes : list of str
        What was noticed, a sentence each.
    offers : list of str
        Which other models fit its glaciers, a sentence each.
    seconds : float
    """

    project: Path
    run: str
    found: int = 0
    already: int = 0
    done: int = 0
    no_front: int = 0
    failed: int = 0
    elsewhere: int = 0
    redrawn: int = 0
    notes: list[str] = field(default_factory=list)
    offers: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 if no scene failed in this run, 2 if all did and none was done before, else 1."""
        if not self.failed:
            return 0
        return 1 if self.done or self.no_front or self.already else 2

    def sentence(self) -> str:
        """Return it in one line."""
        parts = [f"{self.done} fronts", f"{self.no_front} without a front", f"{self.failed} failed"]
        text = f"{self.found} scenes: {self.already} were there already; now " + ", ".join(parts)
        if self.elsewhere:
            text += f"; {self.elsewhere} are with another run"
        if self.redrawn:
            text += f"; {self.redrawn} fronts redrawn through time"
        return text + "."


def run_monitoring(
    source: str | Path,
    out: str | Path,
    *,
    model: str | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    zones: bool = True,
    retry: bool = False,
    renew: bool = False,
    progress: bool = True,
    on_scene: Callable[[SceneOutcome], None] | None = None,
    loader: Callable[[], nn.Module] | None = None,
    start_workers: Callable[[Job, int], Workers] = Processes,
    **settings: Any,
) -> RunReport:
    """Extract the fronts of all scenes that have none yet, and keep them in a catalogue.

    Parameters
    ----------
    source : path
        A folder of scenes, or a YAML file (`icefront.projects.config.MonitoringConfig`).
    out : path
        The project: a folder, created if it does not exist.
    model : str, optional
        As for ``icefront extract``; it wins over the configuration.
    workers : int, optional
        Processes; by default one a core, one only with a GPU.
    cluster : str, optional
        Address of a Dask scheduler, whose workers do the work instead.
    zones : bool
        Keep the zones of each scene as a raster.
    retry : bool
        Try scenes again that failed.
    renew : bool
        Extract scenes anew that were extracted with another model or other settings.
    progress : bool
        Show a bar on stderr, if that is a terminal.
    on_scene : callable, optional
        Called when a scene is done and in the catalogue.
    loader : callable, optional
        Returns the network instead of `model`; must be picklable.
    start_workers : callable, optional
        Returns the workers for a job and their largest number; processes of this machine by
        default. `cluster` wins over it.
    **settings
        Fields of `icefront.extraction.settings.ExtractionSettings`; they win over the
        configuration.

    Returns
    -------
    RunReport

    Raises
    ------
    IcefrontError
        If the source cannot be read, no scene is found, the model cannot be loaded, the project
        holds fronts of other settings, the disk is full, or the catalogue is damaged. What was
        reported done is kept in any case.
    """
    begun = time.monotonic()
    folder = Path(out)
    config, root = read_config(source)
    config = overruled(config, model=model, **settings)
    if workers is not None and workers < 1:
        raise IcefrontError(f"{workers} workers extract nothing; give 1 or more.")
    listed = list_scenes(config, root, folder)
    if not listed:
        raise IcefrontError(f"No scene was found in {source}: name a folder with GeoTIFFs.")
    areas = Areas(config, root)
    load = loader or Loader(_model_of(config.model, root))
    # Loading a network takes seconds, which a run without anything to do need not spend.
    card = (None if loader else stored_card(_model_of(config.model, root))) or card_of(load())
    own = {
        glacier: Loader(_model_of(about.model, root))
        for glacier, about in config.glaciers.items()
        if about.model is not None
    }
    cards = {glacier: stored_card(its.name) or card_of(its()) for glacier, its in own.items()}
    extraction = config.extraction()
    parameters = _parameters(card, extraction)
    of_glacier = {glacier: _parameters(its, extraction) for glacier, its in cards.items()}
    _prepare(folder)
    run = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
    report = RunReport(folder, run, found=len(listed))
    inputs = named_folders(config, root)
    headers: dict[Path, Header] = {}
    with (
        input_folders(inputs),
        _opened(folder, listed, headers, report) as catalogue,
        catalogues.holding(folder, run),
    ):
        listed = _watched(catalogue, listed, config, report)
        if catalogue.release_dead():
            report.notes.append("A run before this one was cut off; its scenes are done again.")
        if catalogues.live_runs(folder) == [run]:
            _sweep(folder)
        plan = _plan(
            catalogue,
            listed,
            headers,
            config,
            areas,
            lambda glacier: of_glacier.get(glacier or "", parameters),
            report,
            retry,
            renew,
        )
        report.failed += len(plan.refused)
        if on_scene is not None:
            for values in plan.refused:
                on_scene(_outcome(values))
        # Beside the catalogue, for the commands that come after this one.
        _write_record(folder, report, config, root, parameters, begun)
        (waiting,) = catalogue.db.execute(
            f"SELECT count(*) FROM {catalogues.LAYER} WHERE state = ?", (NEW,)
        ).fetchone()
        waiting += plan.new
        count = min(workers or default_workers(extraction.device), waiting) if waiting else 1
        job = Job(
            load=load,
            settings=extraction,
            folder=folder.absolute(),
            zones=zones,
            threads=1 if count > 1 or workers is not None else 0,
            inputs=inputs,
            crs=catalogue.crs.to_wkt() if extraction.through_time else None,
            own=own,
        )
        pool: Workers = Cluster(job, cluster) if cluster else start_workers(job, count)
        try:
            with steps("Scenes", waiting, show=progress) as advance:
                _work_off(catalogue, pool, run, plan, areas, report, advance, on_scene)
        except BaseException:
            pool.close(now=True)
            catalogue.release(run)
            _write_record(folder, report, config, root, parameters, begun)
            raise
        pool.close()
        if extraction.through_time:
            passed = smooth_project(catalogue, areas, progress=progress)
            report.redrawn = passed.redrawn
            report.notes += passed.notes
        else:
            restore_single_dates(catalogue)
        if waiting or report.redrawn:
            catalogue.note_extent()
        report.offers = offers(catalogue, card, cards)
        report.elsewhere = catalogue.counts().get(RUNNING, 0)
        _write_record(folder, report, config, root, parameters, begun)
    report.seconds = time.monotonic() - begun
    return report


def overruled(config: MonitoringConfig, **asked: Any) -> MonitoringConfig:
    """Let what was asked for on the command line win over the configuration."""
    changes = {
        name: value
        for name, value in asked.items()
        if value is not None and not (name in SHORTHANDS and value is False)
    }
    if not isinstance(changes.get("aoi", ""), (str, Path)):
        raise IcefrontError(
            "The area of interest of a project is a file, so that later runs find it: write the "
            "polygons to one and give its path."
        )
    if not isinstance(changes.get("outline", ""), (str, Path)):
        raise IcefrontError(
            "The outlines of a project are a file, so that later runs find it: write the polygons "
            "to one and give its path."
        )
    for name in ("aoi", "outline", "model"):
        if name in changes and (name != "model" or os.path.exists(changes[name])):
            changes[name] = os.path.abspath(changes[name])
    if not changes:
        return config
    # A shorthand such as `tta` wins over what it stands for in the file.
    values = config.model_dump()
    for name, meaning in SHORTHANDS.items():
        if name in changes:
            values |= meaning
    return validated(values | changes, MonitoringConfig, "The settings")


def _decisive(settings: ExtractionSettings) -> dict[str, Any]:
    """Return what a front depends on beside its scene, model and area, as plain types.

    Version 0.1.0 knew the first five keys, and fronts with the same digest go on being valid: the
    others are named only where they are not implied.
    """
    tta = settings.symmetries == 8
    found = {
        "band": settings.band,
        "radiometry": settings.radiometry,
        "pixel_size": settings.pixel_size,
        "tta": tta,
        "exact": settings.exact,
    }
    if not tta and settings.symmetries != 1:
        found["symmetries"] = settings.symmetries
    if not settings.exact and (settings.windows, settings.precision) != ("default", "auto"):
        found |= {"windows": settings.windows, "precision": settings.precision}
    return found


def _parameters(card: ModelCard, settings: ExtractionSettings) -> dict[str, Any]:
    """Return what a front depends on beside its scene and area, as plain types."""
    return {"model": card.name, "model_sha256": card.sha256, **_decisive(settings)}


def _model_of(model: str | None, root: Path) -> str | None:
    """Return the model's name, or the path of a checkpoint beside the configuration."""
    if model is not None and os.path.exists(root / model):
        return str((root / model).absolute())
    return model


def _prepare(folder: Path) -> None:
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise IcefrontError(f"{folder} is a file: name a folder for the project.")
    known = os.path.isdir(folder) and contents(folder)
    if known and not any((folder / name).exists() for name in (CATALOGUE, SCENES, RUNS)):
        raise IcefrontError(
            f"The folder {folder} is not empty and no project: name another one with --out."
        )
    with explained_writing(folder):
        for name in (SCENES, RUNS):
            (folder / name).mkdir(parents=True, exist_ok=True)


def _opened(
    folder: Path, listed: list[Listed], headers: dict[Path, Header], report: RunReport
) -> Catalogue:
    """Open the catalogue; the headers that choose the CRS of a new one are kept."""
    if (folder / CATALOGUE).exists():
        return Catalogue(folder)
    headers |= {item.path: read_header(item) for item in listed[:: 1 + len(listed) // CRS_SAMPLE]}
    crs = common_crs(
        (header.crs for header in headers.values()),
        (header.latitude for header in headers.values()),
        only_epsg=True,
    )
    catalogue = catalogues.create(folder, crs)
    restored = catalogues.restore(catalogue)
    if restored:
        report.notes.append(f"The catalogue was rebuilt from the records of {restored} scenes.")
        verdicts, corrections = restore_judgements(catalogue)
        if verdicts or corrections:
            report.notes.append(f"{verdicts} verdicts and {corrections} corrections are back.")
    return catalogue


def _sweep(folder: Path) -> None:
    """Remove what killed workers left unfinished, and the locks of killed runs."""
    for kept in (folder / SCENES).glob("*/"):
        remove_unfinished(kept)
    for lock in (folder / RUNS).glob("*.lock"):
        if not catalogues.is_alive(folder, lock.stem):
            lock.unlink(missing_ok=True)


def _watched(
    catalogue: Catalogue, listed: list[Listed], config: MonitoringConfig, report: RunReport
) -> list[Listed]:
    """Leave out other polarisations of a pass; note what names of the project are wrong."""
    kept = catalogue.paths()
    words = [name for name in catalogue.glaciers() if is_processing_word(name)]
    if words:
        report.notes.append(
            f"The project has scenes under {', '.join(map(repr, words))}, which is no glacier: "
            "name theirs in a table, or start another project."
        )
    asked = config.band if isinstance(config.band, str) else None
    found = one_of_each_pass(listed, kept, preferred=asked)
    if len(found) < len(listed):
        report.notes.append(
            f"{len(listed) - len(found)} images of passes in other polarisations are left out "
            f"(the first of {', '.join(POLARISATIONS)} is taken)."
        )
    report.found = len(found)
    return found


# --- what is to be done ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    """What a run has to do.

    Attributes
    ----------
    digests : dict
        Of the settings by glacier; it grows while new scenes are added.
    adding : iterator
        Each step puts some more new scenes down in the catalogue.
    new : int
        Number of new scenes, put down or not.
    refused : list of dict
        Rows of new scenes that can never be extracted.
    """

    digests: dict[str | None, str]
    adding: Iterator[None]
    new: int
    refused: list[dict[str, Any]]


def _plan(
    catalogue: Catalogue,
    listed: list[Listed],
    headers: dict[Path, Header],
    config: MonitoringConfig,
    areas: Areas,
    parameters: Callable[[str | None], dict[str, Any]],
    report: RunReport,
    retry: bool,
    renew: bool,
) -> _Plan:
    """Bring the catalogue's rows up to date with the files, but for the rows of new scenes.

    Raises
    ------
    IcefrontError
        If fronts were extracted with other settings and shall not be extracted anew.
    """
    digests: dict[str | None, str] = {}

    def digest_of(glacier: str | None) -> str:
        if glacier not in digests:
            digests[glacier] = settings_digest(parameters(glacier), areas.digest(glacier))
        return digests[glacier]

    spellings = Spellings([*config.glaciers, *catalogue.glaciers()])

    def name_glacier(item: Listed, named: str | None) -> str | None:
        glacier = config.glacier or glacier_of(item, named, config)
        return None if glacier is None else spellings.of(glacier)

    # Hashes and headers are read outside of transactions: another run may be waiting.
    changes: list[tuple[int, dict[str, Any]]] = []
    new: list[tuple[Listed, str]] = []
    refused: list[dict[str, Any]] = []
    stems = distinct_names([str(item.path) for item in listed])
    other = changed = failed = 0
    for item, stem in zip(listed, stems, strict=True):
        item = replace(item, date=config.date or item.date)
        row = catalogue.row_of(shown(item.path))
        if not is_text(item.path):
            refused += [] if row else [_unreadable(item, stem)]
            report.already += row is not None
            continue
        if row is None:
            row = _moved(catalogue, item)
        if row is None:
            new.append((item, stem))
            continue
        glacier = name_glacier(item, row["glacier"])
        update, is_changed, is_other = _compared(row, item, glacier, digest_of, retry, renew)
        changed += is_changed
        other += is_other
        if update:
            changes.append((row["fid"], update))
        if update.get("state", row["state"]) in (DONE, NO_FRONT, FAILED):
            report.already += 1
        failed += update.get("state", row["state"]) == FAILED
    if other:
        raise IcefrontError(
            f"{other} scenes of {catalogue.folder} were extracted with another model, area or "
            "other settings: name another project, or give --renew to extract them anew."
        )
    if changed:
        report.notes.append(f"{changed} files have changed since and are extracted anew.")
    if failed:
        report.notes.append(
            f"{failed} failed before with these settings; give --retry to try again."
        )
    with catalogue.writing():
        for fid, values in changes:
            catalogue.update(fid, values)
    _insert(catalogue, refused)

    def add() -> Iterator[None]:
        for start in range(0, len(new), BATCH):
            rows = []
            for item, stem in new[start : start + BATCH]:
                header = headers.get(item.path) or read_header(item)
                glacier = name_glacier(item, header.metadata.glacier)
                rows.append(_new_row(item, header, glacier, stem, digest_of(glacier)))
            _insert(catalogue, rows)
            yield

    if not new and not digests:
        digest_of(None)
    return _Plan(digests, add(), len(new), refused)


def _insert(catalogue: Catalogue, rows: list[dict[str, Any]]) -> None:
    """Add rows, but for those that another run has added since."""
    with catalogue.writing():
        for values in rows:
            if catalogue.row_of(values["path"]) is None:
                values["name"] = catalogue.free_name(values["name"])
                catalogue.insert(values)


def _new_row(
    item: Listed, header: Header, glacier: str | None, stem: str, digest: str
) -> dict[str, Any]:
    known = header.metadata
    date = item.date or known.date
    return {
        "scene": item.path.stem,
        "glacier": glacier,
        "date": None if date is None else date.isoformat(),
        "sensor": item.sensor or known.sensor,
        "source": OWN,
        "state": NEW,
        "path": str(item.path),
        "name": stem,
        "settings": digest,
    }


def _unreadable(item: Listed, stem: str) -> dict[str, Any]:
    """Return the row of a scene whose path is no text."""
    path = shown(item.path)
    return {
        "scene": Path(path).stem,
        "source": OWN,
        "state": FAILED,
        "path": path,
        "name": stem,
        "error": not_text(item.path),
    }


def _compared(
    row: Any,
    item: Listed,
    glacier: str | None,
    digest_of: Callable[[str | None], str],
    retry: bool,
    renew: bool,
) -> tuple[dict[str, Any], bool, bool]:
    """Return how a row must change, whether its file has changed, and whether its settings have."""
    update: dict[str, Any] = {}
    if str(item.path) != row["path"]:
        update["path"] = str(item.path)
    stated = {
        "glacier": glacier,
        "date": None if item.date is None else item.date.isoformat(),
        "sensor": item.sensor,
    }
    update |= {name: value for name, value in stated.items() if value and value != row[name]}
    digest = digest_of(update.get("glacier", row["glacier"]))
    if row["state"] == RUNNING:
        return {}, False, False
    finished = row["state"] in (DONE, NO_FRONT)
    changed = _has_changed(item.path, row, update)
    other = finished and not changed and digest != row["settings"]
    failed = row["state"] == FAILED and (retry or digest != row["settings"])
    again = changed or failed or (other and renew)
    if again:
        update |= {"state": NEW, "error": None}
    if digest != row["settings"] and not (other and not renew):
        update["settings"] = digest
    return update, changed and finished, other and not renew


def _has_changed(path: Path, row: Any, update: dict[str, Any]) -> bool:
    """Tell whether a file is another one than was read; note its time if only that is new."""
    if row["state"] == NEW:
        return False
    try:
        about = path.stat()
    except (OSError, ValueError):
        return False  # Gone: what was extracted from it stays.
    if (about.st_size, about.st_mtime_ns) == (row["size_bytes"], row["mtime_ns"]):
        return False
    if row["sha256"] is not None and about.st_size == row["size_bytes"]:
        now = signature(path)
        if now.get("sha256") == row["sha256"]:
            update["mtime_ns"] = now["mtime_ns"]
            return False
    return True


def _moved(catalogue: Catalogue, item: Listed) -> Any:
    """Return the row of a file that lay elsewhere and is the same, or None."""
    try:
        size = item.path.stat().st_size
    except (OSError, ValueError):
        return None
    for row in catalogue.rows("scene = ? AND size_bytes = ?", (item.path.stem, size)):
        gone = row["sha256"] is not None and not Path(row["path"]).exists()
        if gone and signature(item.path).get("sha256") == row["sha256"]:
            return row
    return None


# --- doing it -------------------------------------------------------------------------------


def _work_off(
    catalogue: Catalogue,
    pool: Workers,
    run: str,
    plan: _Plan,
    areas: Areas,
    report: RunReport,
    advance: Callable[[int], None],
    on_scene: Callable[[SceneOutcome], None] | None,
) -> None:
    """Hand out scenes and put down what becomes of them until none is left."""
    left = True
    while True:
        while left and pool.free():
            row = catalogue.claim(run, list(plan.digests.values()))
            if row is not None:
                pool.submit(_task_of(row, areas))
            elif next(plan.adding, _NOTHING) is _NOTHING:
                left = False
        if not pool.busy():
            return
        next(plan.adding, None)  # while the workers are at theirs
        outcome = pool.next()
        if outcome.fatal is not None:
            raise IcefrontError(outcome.fatal)
        scene = _put_down(catalogue, run, outcome)
        if scene is None:
            continue
        report.done += scene.state == DONE
        report.no_front += scene.state == NO_FRONT
        report.failed += scene.state == FAILED
        advance(1)
        if on_scene is not None:
            on_scene(scene)


def _task_of(row: Any, areas: Areas) -> Task:
    return Task(
        fid=row["fid"],
        path=row["path"],
        name=row["name"],
        glacier=row["glacier"],
        date=row["date"],
        sensor=row["sensor"],
        settings=row["settings"],
        area=areas.of(row["glacier"]),
        outline=areas.outline,
    )


def _put_down(catalogue: Catalogue, run: str, outcome: Outcome) -> SceneOutcome | None:
    """Write an outcome into the catalogue; None if the scene is another run's by now."""
    task = outcome.task
    values, line, shore = dict(outcome.values), outcome.line, outcome.shore
    try:
        if line is not None:
            line = _on_project(line, str(outcome.crs), catalogue, task.path)
        if shore is not None:
            beside = _on_project(shore[0], str(outcome.crs), catalogue, task.path)
            shore = beside, shore[1]
    except Exception as error:
        values, line, shore = _as_failed(values, failure(task.path, error)), None, None
    values["finished"] = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    if not catalogue.finish(task.fid, run, values, line, shore):
        return None
    return _outcome(vars(task) | values)


def _outcome(values: Mapping[str, Any]) -> SceneOutcome:
    """Return what callers get to know of a row."""
    found: dict[str, Any] = {item.name: values.get(item.name) for item in fields(SceneOutcome)}
    return SceneOutcome(**found)


def _as_failed(values: dict[str, Any], error: str) -> dict[str, Any]:
    kept = {name: value for name, value in values.items() if name not in RESULTS}
    return kept | {"state": FAILED, "error": error}


def _on_project(line: BaseGeometry, crs: str, catalogue: Catalogue, path: str) -> BaseGeometry:
    """Return a line in the CRS of the project.

    Raises
    ------
    IcefrontError
        If it has no place there.
    """
    moved = in_crs(gpd.GeoSeries([line], crs=crs), catalogue.crs).iloc[0]
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        raise IcefrontError(
            f"{path} lies too far from the other scenes for their map ({catalogue.crs.name}): make "
            "a project of its own."
        )
    return moved


def _write_record(
    folder: Path,
    report: RunReport,
    config: MonitoringConfig,
    root: Path,
    parameters: dict[str, Any],
    begun: float,
) -> None:
    """Write what the run was asked and did as JSON, whole or not at all."""
    record = {
        "run": report.run,
        "icefront": __version__,
        "python": platform.python_version(),
        "seconds": round(time.monotonic() - begun, 1),
        "config": config.model_dump(mode="json"),
        "root": str(root.absolute()),
        "parameters": parameters,
        "found": report.found,
        "already": report.already,
        "done": report.done,
        "no_front": report.no_front,
        "failed": report.failed,
        "notes": report.notes,
    }
    text = json.dumps(record, indent=1, default=str, ensure_ascii=False)
    with writing(folder / RUNS / f"{report.run}.json") as part:
        part.write_text(text + "\n", "utf-8")
