"""Fetching scenes: the windows of an area from images on servers, as files for `monitor run`.

Of radar images each pass becomes a file a polarisation; of the Sentinel-2 passes of a recipe the
clearest of summer becomes one.
"""

from __future__ import annotations

import glob
import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from icefront import __version__
from icefront.acquisition.annotations import Radiometry
from icefront.acquisition.areas import Area
from icefront.acquisition.backscatter import GrdFiles, grd_backscatter
from icefront.acquisition.heights import ConstantHeight, Heights
from icefront.acquisition.items import POLARISATIONS, Item, Pass
from icefront.acquisition.optical import channels_of, optical_channels, write_optical
from icefront.acquisition.optical_choice import choose_pass, summer_months
from icefront.acquisition.remote_images import Source
from icefront.acquisition.safe_products import grd_files, names_beside
from icefront.acquisition.search import Recipe
from icefront.acquisition.signing import Signer, check_keys, signer_of
from icefront.errors import FullDiskError, IcefrontError, failure
from icefront.files.atomic import check_folder, explained_writing, remove_unfinished, writing
from icefront.files.downloads import readable
from icefront.files.names import file_name
from icefront.files.ranges import Traffic
from icefront.grid import Grid
from icefront.progress import steps
from icefront.scenes.cog import write_cog

DEFAULT_PIXEL_M = 20.0
"""Side of a pixel, as most images of CaFFe have."""

MOST_WORKERS = 16

SCRATCH = ".icefront-downloads"
"""Hidden folder in which whole files lie while they are fetched."""

_RECIPE_TAG = "ICEFRONT_ACQUISITION"
_FORMAT = 1
_GO_ON = (
    "name another folder with --out; scenes that are finished stay, and the same command goes on"
)


@dataclass(frozen=True)
class Settings:
    """How scenes are made.

    Attributes
    ----------
    pixel_size_m : float
    polarisations : tuple of str
        Those that are wanted; empty for all there are.
    radiometry : "sigma0", "gamma0" or "beta0"
        Of GRD images; RTC images are gamma0 of their terrain.
    heights : Heights
        Of the ground under GRD images.
    """

    pixel_size_m: float = DEFAULT_PIXEL_M
    polarisations: tuple[str, ...] = ()
    radiometry: Radiometry = "sigma0"
    heights: Heights = field(default_factory=ConstantHeight)

    def __post_init__(self) -> None:
        unknown = [name for name in self.polarisations if name not in POLARISATIONS]
        if unknown:
            raise IcefrontError(
                f"The polarisation {unknown[0]!r} is unknown: give one of "
                f"{', '.join(POLARISATIONS)}."
            )


@dataclass(frozen=True)
class Failure:
    """A scene that was not fetched, and why in one sentence."""

    scene: str
    sentence: str


@dataclass(frozen=True)
class Acquired:
    """What a run fetched.

    Attributes
    ----------
    written : tuple of Path
        In the order of time; the optical image last.
    present : tuple of Path
        Those that were there before.
    failed : tuple of Failure
    received : int
        Bytes that came from servers.
    notes : tuple of str
        What was decided, a sentence each.
    """

    written: tuple[Path, ...]
    present: tuple[Path, ...]
    failed: tuple[Failure, ...]
    received: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Task:
    """One file to make: a polarisation of a pass."""

    one: Pass
    polarisation: str
    path: Path
    identity: str


@dataclass(frozen=True)
class _OpticalTask:
    """The optical image: the clearest of some Sentinel-2 passes."""

    passes: tuple[Pass, ...]
    name: str
    identity: str
    path: Path | None
    """Where it was made before."""


def acquire(
    recipe: Recipe,
    out: Path,
    *,
    settings: Settings | None = None,
    workers: int = 4,
    overwrite: bool = False,
    signer: Signer | None = None,
    progress: bool = True,
) -> Acquired:
    """Fetch the scenes of a recipe, each as a Cloud Optimised GeoTIFF on the grid of its area.

    Parameters
    ----------
    recipe : Recipe
        See `icefront.acquisition.search.read_recipe_of_scenes`.
    out : Path
        Folder of the scenes, one file for each pass and polarisation, and one of 14 channels
        (``GLACIER_TIME_SATELLITE_optical.tif``) if the recipe has Sentinel-2 images: the pass of
        summer that shows most of the area. Those that are there are not fetched again.
    settings : Settings, optional
    workers : int
        Scenes that are fetched at a time.
    overwrite : bool
        Fetch anew what is there.
    signer : callable, optional
        Returns the address of a file as it can be read; by default what the catalogue needs.
    progress : bool

    Returns
    -------
    Acquired
        A scene that failed is told there, and the others are made.

    Raises
    ------
    IcefrontError
        If nothing can be fetched at all: keys are missing, the disk is full, or the folder holds
        the same scenes made otherwise.
    """
    settings = settings or Settings()
    if not 1 <= workers <= MOST_WORKERS:
        raise IcefrontError(f"{workers} workers are not possible: give 1 to {MOST_WORKERS}.")
    grid = recipe.area.grid(settings.pixel_size_m)
    notes: list[str] = []
    tasks = _tasks(recipe, out, grid, settings, notes)
    optical = _optical_task(recipe, out, grid, notes, overwrite=overwrite)
    if not tasks and optical is None:
        reason = f" ({notes[0]})" if notes else ""
        raise IcefrontError(f"The recipe holds no scene that can be fetched{reason}.")
    check_folder(out, overwrite=True)
    with explained_writing(out, remedy=_GO_ON):
        out.mkdir(parents=True, exist_ok=True)
        remove_unfinished(out)
    there = {task.path for task in tasks if not overwrite and _is_there(task)}
    present = [task for task in tasks if task.path in there]
    missing = [task for task in tasks if task.path not in there]
    traffic = Traffic()
    signer = signer or signer_of(recipe.catalogue)
    hrefs = [item.images[task.polarisation] for task in missing for item in task.one.items]
    make = _Maker(Source(signer, traffic, out / SCRATCH), recipe, grid, settings)
    jobs = {task.path.stem: partial(make, task) for task in missing}
    kept = tuple(task.path for task in present)
    if optical is not None and optical.path is not None:
        kept = (*kept, optical.path)
    elif optical is not None:
        hrefs += _channel_addresses(optical.passes)
        jobs[optical.name] = partial(make.optical, optical, out, overwrite=overwrite)
    check_keys(recipe.catalogue, hrefs, signer)
    with steps(
        "Fetching scenes",
        len(jobs),
        show=progress,
        note=lambda: readable(traffic.received),
    ) as advance:
        written, failed = _run(jobs, workers, advance, traffic)
    scratch = out / SCRATCH
    with explained_writing(out, remedy=_GO_ON):
        if scratch.exists() and not any(scratch.iterdir()):
            scratch.rmdir()
    return Acquired(
        tuple(written[name] for name in jobs if name in written),
        kept,
        tuple(Failure(name, failed[name]) for name in jobs if name in failed),
        traffic.received,
        (*notes, *sorted(make.notes)),
    )


def _tasks(
    recipe: Recipe, out: Path, grid: Grid, settings: Settings, notes: list[str]
) -> list[_Task]:
    tasks: dict[Path, _Task] = {}
    for one in recipe.passes:
        here = None if one.first.product == "s2" else _over(recipe.area, one, notes)
        if here is None:
            continue
        one = here
        names = [
            name
            for name in one.polarisations
            if not settings.polarisations or name in settings.polarisations
        ]
        if not names:
            wanted = " or ".join(settings.polarisations) or "one that all its images share"
            notes.append(f"{one.first.id} has no polarisation {wanted}.")
        for name in names:
            path = out / f"{_name(recipe.area, one, name)}.tif"
            task = _Task(one, name, path, _identity(recipe.area, one, name, grid, settings))
            if path in tasks:
                notes.append(f"{one.first.id} is there twice.")
            tasks.setdefault(path, task)
    return list(tasks.values())


def _over(area: Area, one: Pass, notes: list[str]) -> Pass | None:
    """Return the images of a pass that show an area; None, with a note, if there are none."""
    here = tuple(item for item in one.items if area.covered_by([item.outline]) > 0)
    if here:
        return replace(one, items=here)
    notes.append(f"{one.first.id} lies beside {area.name}.")
    return None


def _optical_task(
    recipe: Recipe, out: Path, grid: Grid, notes: list[str], *, overwrite: bool
) -> _OpticalTask | None:
    """Return what is to be made of the Sentinel-2 passes of a recipe, None if it has none."""
    area = recipe.area
    passes = [
        here
        for one in recipe.passes
        if one.first.product == "s2" and (here := _over(area, one, notes)) is not None
    ]
    if not passes:
        return None
    months = summer_months(grid)
    of_summer = [one for one in passes if one.first.start.month in months]
    if not of_summer:
        notes.append(
            f"No Sentinel-2 image of {area.name} is of summer (months "
            f"{' and '.join(str(month) for month in months)}): the clearest of all is taken."
        )
    passes = of_summer or passes
    identity = _digest(
        {
            "format": _FORMAT,
            "area": area.to_json(),
            "optical": [item.id for one in passes for item in one.items],
            "pixel_size_m": grid.pixel_size_m,
        }
    )
    name = f"{_word(area)}_optical"
    there = None
    if not overwrite:
        found = sorted(out.glob(f"{glob.escape(_word(area))}_*_optical.tif"))
        there = next((path for path in found if _made_from(path) == identity), None)
    return _OpticalTask(tuple(passes), name, identity, there)


def _channel_addresses(passes: Sequence[Pass]) -> list[str]:
    """Return the addresses of what is read of Sentinel-2 passes; catalogues list more files."""
    found: list[str] = []
    for item in (item for one in passes for item in one.items):
        with suppress(IcefrontError):  # one that lacks a channel is told later
            found += channels_of(item.images).values()
    return found


def _name(area: Area, one: Pass, polarisation: str) -> str:
    return file_name(f"{_word(area)}_{one.label}_{one.first.product}_{polarisation}")


def _word(area: Area) -> str:
    return file_name("-".join(area.name.split()))


def _identity(area: Area, one: Pass, polarisation: str, grid: Grid, settings: Settings) -> str:
    """Return what a file is made from and how, in a few letters."""
    known: dict[str, Any] = {
        "format": _FORMAT,
        "area": area.to_json(),
        "items": [(item.id, item.images[polarisation].partition("?")[0]) for item in one.items],
        "pixel_size_m": grid.pixel_size_m,
    }
    if one.first.product == "grd":
        known |= {"radiometry": settings.radiometry, "heights": repr(settings.heights)}
    return _digest(known)


def _digest(known: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]


def _made_from(path: Path) -> str | None:
    """Return what a file says that it is made from, None if it says nothing."""
    try:
        with rasterio.open(path, driver="GTiff") as raster:
            found = raster.tags().get(_RECIPE_TAG)
    except RasterioError:
        return None
    return None if found is None else str(found)


def _is_there(task: _Task) -> bool:
    """Tell whether a scene was made before.

    Raises
    ------
    IcefrontError
        If a file of its name was made otherwise.
    """
    if not task.path.exists():
        return False
    if _made_from(task.path) == task.identity:
        return True
    raise _made_otherwise(task.path)


def _made_otherwise(path: Path) -> IcefrontError:
    return IcefrontError(
        f"{path} is there, made from other images or in another way: name another folder with "
        "--out, or give --overwrite to make such scenes anew."
    )


def _run(
    jobs: Mapping[str, Callable[[], Path]],
    workers: int,
    advance: Callable[[int], None],
    traffic: Traffic,
) -> tuple[dict[str, Path], dict[str, str]]:
    """Make all files, and return them and what failed; a full disk ends it."""
    written: dict[str, Path] = {}
    failed: dict[str, str] = {}
    with ThreadPoolExecutor(max(1, min(workers, len(jobs)))) as pool:
        names = {pool.submit(make): name for name, make in jobs.items()}
        try:
            for job in as_completed(names):
                name = names[job]
                try:
                    written[name] = job.result()
                except FullDiskError:
                    raise
                except Exception as error:
                    failed[name] = failure(name, error)
                advance(1)
        except BaseException:
            traffic.close()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return written, failed


class _Maker:
    """Makes the files of tasks, and returns where they are."""

    def __init__(self, source: Source, recipe: Recipe, grid: Grid, settings: Settings) -> None:
        self._source = source
        self._recipe = recipe
        self._grid = grid
        self._settings = settings
        self._lock = threading.Lock()
        self.notes: set[str] = set()

    def __call__(self, task: _Task) -> Path:
        """Fetch the windows of a pass, put them together and write them."""
        product = task.one.first.product
        part = self._of_rtc if product == "rtc" else self._of_grd
        name = task.polarisation
        values: np.ndarray | None = None
        told: list[str] = []
        for item in task.one.items:
            found, notes = part(item, name)
            told += [note for note in notes if note not in told]
            if found is None:
                continue
            if values is None:
                values = found
            else:
                np.copyto(values, found, where=np.isnan(values))
        if values is None or not np.isfinite(values).any():
            raise IcefrontError(
                f"The images of {task.path.stem} hold no data over {self._recipe.area.name}."
            )
        with self._lock:
            self.notes.update(told)
        radiometry = "gamma0" if product == "rtc" else self._settings.radiometry
        tags = self._tags(task, radiometry, told)
        with writing(task.path, sync=True, remedy=_GO_ON) as path:
            band = f"{task.polarisation} {radiometry} power"
            write_cog(path, values, self._grid, tags, [band])
        return task.path

    def optical(self, task: _OpticalTask, out: Path, *, overwrite: bool) -> Path:
        """Choose among Sentinel-2 passes, fetch the channels of the clearest and write them."""
        opener = self._source.over(self._grid)
        chosen = choose_pass(task.passes, self._grid, opener)
        channels, told = optical_channels(chosen.images, self._grid, opener)
        first, clear = chosen.images[0], chosen.clear
        one = next(one for one in task.passes if one.first.id == first.name)
        path = out / file_name(f"{_word(self._recipe.area)}_{one.label}_optical.tif")
        if path.exists() and not overwrite:
            raise _made_otherwise(path)
        notes = (
            f"Of {chosen.looked_at} Sentinel-2 passes that of {first.start:%Y-%m-%d} is taken: "
            f"{clear.cloudy:.0%} of {self._recipe.area.name} under cloud, {clear.missing:.0%} not "
            "seen.",
            *chosen.notes,
            *told,
        )
        with self._lock:
            self.notes.update(notes)
        tags = self._of_pass(one) | {"NOTES": "; ".join(notes), _RECIPE_TAG: task.identity}
        with writing(path, sync=True, remedy=_GO_ON) as part:
            write_optical(part, channels, self._grid, tags)
        return path

    def _tags(self, task: _Task, radiometry: str, notes: Sequence[str]) -> dict[str, str]:
        first = task.one.first
        tags = self._of_pass(task.one) | {
            "MODE": first.mode,
            "POLARISATION": task.polarisation,
            "ORBIT_DIRECTION": first.direction or "",
            "RADIOMETRY": f"{radiometry} power",
            "NOTES": "; ".join(notes),
            _RECIPE_TAG: task.identity,
        }
        return {name: value for name, value in tags.items() if value}

    def _of_pass(self, one: Pass) -> dict[str, str]:
        """Return what a file says of the images that it is made from."""
        first = one.first
        orbit = first.relative_orbit
        return {
            "GLACIER": self._recipe.area.name,
            "ACQUISITION_DATE": f"{first.start:%Y-%m-%dT%H:%M:%SZ}",
            "SENSOR": first.satellite[:2],
            "SATELLITE": first.satellite,
            "PRODUCT": first.product,
            "ITEMS": " ".join(item.id for item in one.items),
            "CATALOGUE": self._recipe.catalogue.url,
            "SOFTWARE": f"icefront {__version__}",
            **({} if orbit is None else {"RELATIVE_ORBIT": f"{orbit:03d}"}),
        }

    def _of_rtc(self, item: Item, name: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
        with self._source.image(item.images[name]) as image:
            return image.on_grid(self._grid, positive=True), ()

    def _of_grd(self, item: Item, name: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
        if item.local is not None:
            return self._calibrated(grd_files(item.local, name))
        beside = names_beside(item.images[name])
        with self._source.image(item.images[name]) as image:
            files = GrdFiles(
                name=item.id,
                measurement=image.name,
                annotation=self._source.content(beside.annotation),
                calibration=self._source.content(beside.calibration),
                noise=self._source.content(beside.noise),
            )
            with image.telling():
                return self._calibrated(files)

    def _calibrated(self, files: GrdFiles) -> tuple[np.ndarray, tuple[str, ...]]:
        found = grd_backscatter(
            files, self._grid, self._settings.heights, self._settings.radiometry
        )
        return found.values, found.notes
