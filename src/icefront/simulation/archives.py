"""Write simulated images in the layouts of CaFFe and SSL4SAR, and as georeferenced series.

Every file appears when it is whole. An image counts as done when its last file is there, so an
interrupted run goes on where it was. What a file holds depends on the seed and its name alone, not
on the order or the number of workers. What all images of a folder were simulated with is kept in
``simulation.json``; others are not mixed in.
"""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
import os
import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from PIL import Image
from pyproj import CRS
from rasterio.features import rasterize

from icefront import __version__
from icefront.datasets.caffe import SIMULATION_STAMP
from icefront.errors import IcefrontError
from icefront.files.atomic import explained_writing, remove_unfinished, writing
from icefront.fronts.vector_files import vector_file
from icefront.grid import Grid
from icefront.progress import steps
from icefront.scenes.cog import write_cog
from icefront.simulation.glacier import Glacier
from icefront.simulation.optical import CHANNELS, as_archive, sentinel2
from icefront.simulation.presets import Acquisitions, Preset, arctic_presets, caffe_presets, preset
from icefront.simulation.radar import Pass, sensor_named
from icefront.simulation.samples import SimulatedImage, simulate_image
from icefront.simulation.surfaces import Landscape, grid_of
from icefront.zones import ZONE_GREYS


@dataclass(frozen=True)
class Task:
    """One image to simulate: of which glacier and sensor, on which day, under which name."""

    glacier: str
    acquisitions: Acquisitions
    date: dt.date
    orbit: Pass
    name: str
    split: str


def seed_of(seed: int, *words: str) -> int:
    """Derive a seed from words, the same on every machine."""
    return zlib.crc32("/".join([str(seed), *words]).encode())


@lru_cache(maxsize=4)
def landscape_of(name: str, seed: int) -> Landscape:
    """The landscape of a preset; the last four are kept.

    A seed whose front leaves the area is passed over for the next.
    """
    chosen = preset(name)
    for attempt in range(50):
        number = seed_of(seed, name, str(attempt))
        try:
            return Landscape(Glacier(chosen.glacier, number, chosen.first, chosen.last))
        except IcefrontError:
            continue
    raise IcefrontError(f"No glacier like {name!r} could be simulated from the seed {seed}.")


def tasks_of(
    presets: dict[str, Preset], seed: int, fraction: float, coarser: float = 1.0
) -> list[Task]:
    """List the images of presets, thinned to a fraction of them, at least one a sensor.

    Names tell the size of the pixels, which are `coarser` times as large as the sensor's.
    """
    found = []
    for name, chosen in presets.items():
        for images in chosen.acquisitions:
            rng = np.random.default_rng(seed_of(seed, name, images.sensor, str(images.pixel_m)))
            span = (images.last - images.first).days
            count = max(1, round(images.count * fraction))
            days = rng.choice(span + 1, min(count, span + 1), replace=False)
            for day in sorted(days.tolist()):
                date = images.first + dt.timedelta(day)
                orbit: Pass = "ascending" if rng.random() < 0.5 else "descending"
                label = f"{name}_{date}_{images.sensor}_{images.pixel_m * coarser:g}"
                label += f"_{int(rng.integers(1, 6))}_{int(rng.integers(1, 400)):03d}"
                found.append(Task(name, images, date, orbit, label, chosen.split))
    return found


_GO_ON = (
    "name another folder with --out; images that are finished stay, and the same command goes on "
    "after them"
)


def front_mask(image: SimulatedImage) -> np.ndarray:
    """Draw the true front one pixel wide, bool (H, W)."""
    if image.front.is_empty:
        return np.zeros(image.zones.shape, bool)
    drawn = rasterize(
        [(image.front, 1)], image.zones.shape, transform=image.grid.transform, all_touched=False
    )
    return drawn.astype(bool)


# --- layouts: which files an image has, and how they are written ----------------------------


@dataclass(frozen=True)
class _Folder:
    """A folder of images in some layout, and what they are simulated with."""

    out: Path
    layout: str
    seed: int
    coarser: float = 1.0

    def files(self, task: Task) -> tuple[Path, ...]:
        """Return the files of an image in the order of writing; the last tells that all are."""
        if self.layout == "caffe":
            return (
                self.out / "zones" / task.split / f"{task.name}_zones.png",
                self.out / "fronts" / task.split / f"{task.name}_front.png",
                self.out / "bounding_boxes" / f"{task.name}_bounding_box.txt",
                self.out / "sar_images" / task.split / f"{task.name}.png",
            )
        if self.layout == "ssl4sar":
            return (self.out / task.split / f"{task.name}.tif",)
        return (self.out / "truth" / f"{task.name}.json", self.out / f"{task.name}.tif")

    def add(self, task: Task) -> None:
        """Simulate an image and write its files, unless they are there."""
        files = self.files(task)
        if files[-1].exists() and files[0].exists():
            return
        number = seed_of(self.seed, task.name)
        landscape = landscape_of(task.glacier, self.seed)
        sensor = sensor_named(task.acquisitions.sensor)
        pixel = task.acquisitions.pixel_m * self.coarser
        image = simulate_image(landscape, task.date, sensor, pixel, number, task.orbit)
        if self.layout == "caffe":
            _write_caffe(image, *files)
            return
        epsg = landscape.glacier.parameters.epsg
        tags = {"glacier": task.glacier, "date": str(task.date)}
        if self.layout == "ssl4sar":
            _write_raster(files[0], image.grey, image.grid, epsg, tags)
            return
        tags |= {"sensor": sensor.name, "polarisation": sensor.polarisation, "orbit": task.orbit}
        _write_text(files[0], json.dumps(shapely.geometry.mapping(image.front)))
        bands = [f"{sensor.polarisation} sigma0 dB"]
        _write_raster(files[1], image.decibel, image.grid, epsg, tags, bands)


def _write_caffe(image: SimulatedImage, zones: Path, front: Path, box: Path, radar: Path) -> None:
    _write_grey(zones, np.array(ZONE_GREYS, np.uint8)[image.zones])
    mask = front_mask(image).astype(np.uint8) * 255
    _write_grey(front, mask)
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    margin = round(1_500 / image.grid.side_on_map)
    top, bottom, left, right = 0, height - 1, 0, width - 1
    if rows.size:
        top, bottom = max(rows.min() - margin, 0), min(rows.max() + margin, height - 1)
        left, right = max(columns.min() - margin, 0), min(columns.max() + margin, width - 1)
    corners = [(left, bottom), (left, top), (right, top), (right, bottom)]
    text = "Bounding box: left upper, left lower, right lower, right upper\n"
    _write_text(box, text + "".join(f"{x},{y}\n" for x, y in corners))
    _write_grey(radar, image.grey)


def _write_grey(path: Path, values: np.ndarray) -> None:
    with writing(path, remedy=_GO_ON) as part:
        Image.fromarray(values).save(part)


def _write_text(path: Path, text: str) -> None:
    with writing(path, remedy=_GO_ON) as part:
        part.write_text(text)


def _write_raster(
    path: Path,
    values: np.ndarray,
    grid: Grid,
    epsg: int,
    tags: dict[str, str],
    bands: Sequence[str] = (),
) -> None:
    """Write (H, W) or (bands, H, W) as a cloud-optimised GeoTIFF with tags."""
    tags = {"software": f"icefront {__version__} (simulated)", **tags}
    with writing(path, remedy=_GO_ON) as part:
        write_cog(part, values, replace(grid, crs=CRS.from_epsg(epsg)), tags, bands)


def _run(folder: _Folder, tasks: Sequence[Task], workers: int, progress: bool) -> None:
    """Add all images, in this process or in several."""
    with steps("Simulating", len(tasks), show=progress) as advance:
        if workers <= 1:
            for task in tasks:
                folder.add(task)
                advance(1)
            return
        # Neighbours share a glacier, whose landscape a worker makes once.
        with ProcessPoolExecutor(workers, initializer=_end_with_parent) as pool:
            jobs = [pool.submit(folder.add, task) for task in tasks]
            try:
                for job in as_completed(jobs):
                    job.result()
                    advance(1)
            except BrokenProcessPool:
                raise IcefrontError(
                    "A worker was killed, most likely because memory ran out: give fewer "
                    "--workers; images that are finished stay, and the same command goes on after "
                    "them."
                ) from None
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise


def _end_with_parent() -> None:
    """End this worker when the process is killed that started it; a pool would wait for ever."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _check(fraction: float, coarser: float, workers: int) -> None:
    if not 0 < fraction <= 1:
        raise IcefrontError(
            f"A fraction of {fraction:g} of the images cannot be simulated; give 0 to 1."
        )
    if not coarser >= 1:
        raise IcefrontError(
            f"Pixels cannot be {coarser:g} times as large as the sensor's; give 1 or more."
        )
    if workers < 1:
        raise IcefrontError(f"{workers} workers simulate nothing; give 1 or more.")


def _chosen(known: dict[str, Preset], glaciers: Sequence[str] | None) -> dict[str, Preset]:
    unknown = [name for name in glaciers or () if name not in known]
    if unknown:
        raise IcefrontError(
            f"There is no glacier named {unknown[0]!r} here; known are {', '.join(known)}."
        )
    return known if not glaciers else {name: known[name] for name in glaciers}


STAMP = SIMULATION_STAMP
"""File that names what the images of a folder were simulated with."""


def _folders(out: Path, names: Sequence[str], **simulated_with: str | float) -> None:
    """Make the folders; refuse one with images that were simulated with something else.

    What follows from the rest of the parameters is in the names of the files.
    """
    stamp = {"software": f"icefront {__version__}", **simulated_with}
    path = out / STAMP
    if path.exists():
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError):
            found = {}
        if not isinstance(found, dict):
            found = {}
        for what, value in stamp.items():
            if found.get(what) != value:
                raise IcefrontError(
                    f"The folder {out} holds images simulated with {what} {found.get(what)}, not "
                    f"{value}: name another folder, or delete that one."
                )
    with explained_writing(out):
        for name in names:
            (out / name).mkdir(parents=True, exist_ok=True)
            remove_unfinished(out / name)
    _write_text(path, json.dumps(stamp, indent=1) + "\n")


def simulate_caffe(
    out: str | Path,
    *,
    seed: int = 0,
    glaciers: Sequence[str] | None = None,
    fraction: float = 1.0,
    coarser: float = 1.0,
    workers: int = 1,
    progress: bool = True,
) -> list[str]:
    """Write a simulated CaFFe: images, zones, fronts and boxes, training and test.

    Parameters
    ----------
    out : path
        Folder; images that are there already are kept.
    seed : int
    glaciers : sequence of str, optional
        Some of the seven; all by default.
    fraction : float
        Of the images of each sensor.
    coarser : float
        Pixels are this many times as large as the originals', and named so.
    workers : int
        Processes.
    progress : bool

    Returns
    -------
    list of str
        Names of the images.

    Raises
    ------
    IcefrontError
        If a value cannot be, or the folder cannot be written or holds other images.
    """
    _check(fraction, coarser, workers)
    folder = Path(out)
    tasks = tasks_of(_chosen(caffe_presets(), glaciers), seed, fraction, coarser)
    kinds = ("sar_images", "zones", "fronts")
    stamp: dict[str, str | float] = {"layout": "caffe", "seed": seed, "coarser": float(coarser)}
    _folders(
        folder, [f"{k}/{s}" for k in kinds for s in ("train", "test")] + ["bounding_boxes"], **stamp
    )
    _run(_Folder(folder, "caffe", seed, coarser), tasks, workers, progress)
    return [task.name for task in tasks]


def simulate_ssl4sar(
    out: str | Path,
    *,
    seed: int = 0,
    glaciers: Sequence[str] | None = None,
    images: int = 24,
    coarser: float = 1.0,
    workers: int = 1,
    progress: bool = True,
) -> list[str]:
    """Write a simulated SSL4SAR archive: Sentinel-1 series, one Sentinel-2 image a glacier.

    Parameters
    ----------
    out, seed, glaciers, coarser, workers, progress
        As for `simulate_caffe`, of the fourteen Arctic glaciers.
    images : int
        Of each glacier; every tenth is for validation.

    Returns
    -------
    list of str
        Names of the radar images.
    """
    _check(1.0, coarser, workers)
    if images < 1:
        raise IcefrontError(f"{images} images of each glacier make no archive; give 1 or more.")
    folder = Path(out)
    presets = _chosen(arctic_presets(images), glaciers)
    splits = "unlabeled_data_raw_train", "unlabeled_data_raw_val"
    stamp: dict[str, str | float] = {"layout": "ssl4sar", "seed": seed}
    stamp |= {"coarser": float(coarser), "images": images}
    _folders(folder, [*splits, "data_optical"], **stamp)
    tasks = []
    for number, task in enumerate(tasks_of(presets, seed, 1.0)):
        name = f"S1_{task.glacier}_{task.date}"
        tasks.append(replace(task, name=name, split=splits[number % 10 == 9]))
    _run(_Folder(folder, "ssl4sar", seed, coarser), tasks, workers, progress)
    for name, chosen in presets.items():
        year = (chosen.first + (chosen.last - chosen.first) / 2).year
        date = dt.date(year, 7, 25)
        path = folder / "data_optical" / f"{name}_S2_{date}.tif"
        if path.exists():
            continue
        landscape = landscape_of(name, seed)
        grid = grid_of(landscape.glacier, chosen.acquisitions[0].pixel_m * coarser)
        channels = as_archive(sentinel2(landscape, date, grid)[0])
        tags = {"glacier": name, "date": str(date)}
        _write_raster(path, channels, grid, chosen.glacier.epsg, tags, CHANNELS)
    return [task.name for task in tasks]


def simulate_scenes(
    out: str | Path,
    glacier: str,
    *,
    seed: int = 0,
    start: dt.date = dt.date(2017, 1, 1),
    end: dt.date = dt.date(2019, 12, 31),
    count: int = 36,
    sensor: str = "S1",
    pixel_m: float | None = None,
    workers: int = 1,
    progress: bool = True,
) -> list[str]:
    """Write a series of georeferenced scenes of one glacier, and a GeoPackage with its truth.

    Parameters
    ----------
    out : path
        Receives ``NAME.tif`` (COG, σ⁰ in dB) for each scene and ``truth.gpkg`` with the layers
        ``fronts`` (column ``date``), ``box`` and ``centreline``.
    glacier : str
        Name of a preset.
    seed : int
    start, end : datetime.date
    count : int
        Scenes, evenly spaced.
    sensor : str
    pixel_m : float, optional
        The sensor's by default.
    workers : int
    progress : bool

    Returns
    -------
    list of str
        Names of the scenes.

    Raises
    ------
    IcefrontError
        If a value cannot be, or the folder cannot be written or holds other images.
    """
    _check(1.0, 1.0, workers)
    chosen, radar = preset(glacier), sensor_named(sensor)
    size = radar.pixel_m if pixel_m is None else pixel_m
    if not size > 0:
        raise IcefrontError(f"A pixel of {size:g} m cannot be; give a positive size.")
    if count < 1 or end < start:
        raise IcefrontError(
            f"{count} scenes from {start} to {end} cannot be simulated; give 1 or more, and a "
            "start before the end."
        )
    if start < chosen.first or end > chosen.last:
        raise IcefrontError(
            f"The simulated {glacier} exists from {chosen.first} to {chosen.last}; "
            f"{start} to {end} goes beyond."
        )
    folder = Path(out)
    period = f"{start} to {end}, {count} scenes"
    _folders(folder, ["truth"], layout="scenes", seed=seed, pixel_m=float(size), period=period)
    images = Acquisitions(radar.name, size, count, start, end)
    tasks = []
    for number in range(count):
        date = start + (end - start) * number / max(count - 1, 1)
        orbit: Pass = "descending" if number % 2 else "ascending"
        name = f"{glacier}_{date:%Y%m%d}_{radar.name}_{number:03d}"
        tasks.append(Task(glacier, images, date, orbit, name, ""))
    _run(_Folder(folder, "scenes", seed), tasks, workers, progress)
    _write_truth(folder, glacier, seed, tasks)
    return [task.name for task in tasks]


def _write_truth(folder: Path, glacier: str, seed: int, tasks: Sequence[Task]) -> None:
    """Gather the fronts of all scenes, the box and the centreline in one GeoPackage."""
    simulated = landscape_of(glacier, seed).glacier
    fronts = [
        shapely.geometry.shape(json.loads((folder / "truth" / f"{task.name}.json").read_text()))
        for task in tasks
    ]
    rows = {
        "glacier": [glacier] * len(tasks),
        "date": [str(task.date) for task in tasks],
        "scene": [task.name for task in tasks],
        # By this `icefront.measures` knows that they run with the ice on their left.
        "source": ["icefront simulate"] * len(tasks),
    }
    width = simulated.parameters.width_m
    layers = {
        "fronts": gpd.GeoDataFrame(rows, geometry=fronts, crs=simulated.crs),
        "box": gpd.GeoDataFrame(
            {"glacier": [glacier]}, geometry=[simulated.box(2 * width, width)], crs=simulated.crs
        ),
        "centreline": gpd.GeoDataFrame(
            {"glacier": [glacier]}, geometry=[simulated.centreline()], crs=simulated.crs
        ),
    }
    with writing(folder / "truth.gpkg", remedy=_GO_ON) as part:
        part.write_bytes(vector_file(layers))
