"""Processes that each hold a model and extract one scene at a time.

A pool of the standard library breaks as a whole when one of its processes is killed. Here each
worker has its own pipe: its end is noticed at once, costs the one scene it had, and another worker
takes its place. A cluster of Dask workers can stand in for the processes of this machine.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing as mp
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import geopandas as gpd
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from icefront.errors import FullDiskError, IcefrontError, failure
from icefront.extraction.series_fronts import glacier_crs
from icefront.extraction.settings import ExtractionSettings
from icefront.files.atomic import explained_writing, writing
from icefront.projects.catalogue import FAILED, RESULTS, plain, scene_folder, state_of
from icefront.projects.probabilities import SUFFIX as PROBABILITIES
from icefront.projects.probabilities import write_probabilities
from icefront.scenes.access import input_folders

if TYPE_CHECKING:
    from torch import nn

    from icefront.scenes.scene import Scene

_GO_ON = "move the project to another disk; scenes that are done stay, and the next run goes on"

MOST_WORKERS = 16
"""Processes that a run starts at most where nobody said how many."""

_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Job:
    """What is the same for all scenes of a run.

    Attributes
    ----------
    load : callable
        Returns the network; must be picklable.
    settings : ExtractionSettings
        How a scene is extracted; area and glacier are each task's own.
    folder : Path
        The project.
    zones : bool
        Whether zone rasters are kept.
    threads : int
        Of torch in each process; 0 leaves it to torch.
    inputs : tuple of str
        Folders that the user named, in which virtual rasters find their parts.
    crs : str or None
        Of the project, if the probabilities of each scene are kept for the pass through time.
    own : dict
        By glacier: returns the network of those that have one of their own; picklable.
    """

    load: Callable[[], nn.Module]
    settings: ExtractionSettings
    folder: Path
    zones: bool = True
    threads: int = 1
    inputs: tuple[str, ...] = ()
    crs: str | None = None
    own: Mapping[str, Callable[[], nn.Module]] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One scene to extract.

    Attributes
    ----------
    fid : int
        Of its row.
    path, name : str
        The file, and the name of the files written for it.
    glacier, date, sensor : str or None
        As the catalogue has them; they win over what the file says.
    settings : str
        Digest.
    area, outline : GeoDataFrame or None
    """

    fid: int
    path: str
    name: str
    glacier: str | None
    date: str | None
    sensor: str | None
    settings: str
    area: gpd.GeoDataFrame | None = None
    outline: gpd.GeoDataFrame | None = None


@dataclass(frozen=True)
class Outcome:
    """The outcome of a task.

    Attributes
    ----------
    task : Task
    values : dict
        Columns of the catalogue, ``state`` among them.
    line : LineString, MultiLineString or None
    crs : str or None
        Of the lines, as WKT or a code.
    shore : (LineString or MultiLineString, float) or None
        What the front leaves out, and its length in metres.
    fatal : str or None
        Why no further scene can be done, such as a full disk.
    """

    task: Task
    values: dict[str, Any]
    line: BaseGeometry | None = None
    crs: str | None = None
    fatal: str | None = None
    shore: tuple[BaseGeometry, float] | None = None


class Workers(Protocol):
    """What extracts scenes: processes of this machine, or a cluster."""

    def free(self) -> bool:
        """Tell whether another task can be taken."""

    def busy(self) -> bool:
        """Tell whether any task is under way."""

    def submit(self, task: Task) -> None:
        """Start a task."""

    def next(self) -> Outcome:
        """Wait for a task to end, well or not."""

    def close(self, *, now: bool = False) -> None:
        """End the workers, in the middle of their tasks if `now`."""


def default_workers(device: str) -> int:
    """Return how many processes a run starts: one a core, and one only where there is a GPU.

    In a job of SLURM the cores are those of the task (``SLURM_CPUS_PER_TASK``), on a machine whose
    other cores belong to other jobs.
    """
    import torch

    if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    granted = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if granted.isdecimal():
        cores = min(cores or 1, int(granted))
    return max(1, min(cores or 1, MOST_WORKERS))


# --- in a worker ----------------------------------------------------------------------------


def work(task: Task, network: nn.Module, job: Job) -> Outcome:
    """Extract a scene, write its files, and return the values of its row."""
    about = signature(Path(task.path))
    try:
        load = job.own.get(task.glacier or "")
        if load is not None:
            network = _network_of(load, 0, job.settings.device)
        values, line, shore = _extracted(task, about, network, job)
        return Outcome(task, values, line, values["crs"], shore=shore)
    except FullDiskError as error:
        return Outcome(task, about, fatal=str(error))
    except Exception as error:
        # Whatever is wrong with one scene must not stop the others.
        return Outcome(task, {**about, "state": FAILED, "error": failure(task.path, error)})


def _extracted(
    task: Task, about: dict[str, Any], network: nn.Module, job: Job
) -> tuple[dict[str, Any], BaseGeometry | None, tuple[BaseGeometry, float] | None]:
    """Extract a scene and write its files; return the values of its row, its line and shore."""
    from icefront.extraction.outputs import write_zones
    from icefront.extraction.pipeline import extract_scene
    from icefront.models.card import card_of

    begun = time.monotonic()
    own = {"aoi": task.area, "outline": task.outline, "glacier": task.glacier}
    with input_folders(job.inputs):
        done = extract_scene(
            task.path,
            network,
            job.settings.model_copy(update=own),
            lattice_of=None if job.crs is None else partial(_lattice_crs, job.crs),
        )
    if done.scene.crs is None:
        raise IcefrontError(
            f"{task.path} has no coordinate system, so that its front has no place on the "
            "map: georeference it."
        )
    row = done.front.iloc[0]
    line = row[done.front.geometry.name]
    crs = done.scene.crs
    code = crs.to_epsg()
    values = about | {name: plain(row[name]) for name in RESULTS if name in row.index}
    values |= {
        "state": state_of(str(row["flag"])),
        "crs": f"EPSG:{code}" if code else crs.to_wkt(),
        "radiometry": done.scene.radiometry,
        "notes": "\n".join(done.notes) or None,
        "date": task.date or plain(done.scene.date),
        "sensor": task.sensor or done.scene.sensor,
        "seconds": round(time.monotonic() - begun, 2),
    }
    with explained_writing(job.folder, remedy=_GO_ON):
        folder = scene_folder(job.folder, task.glacier)
        if job.zones:
            with writing(folder / f"{task.name}_zones.tif", remedy=_GO_ON) as part:
                write_zones(part, done.zones, done.scene, card_of(network))
        if done.lattice is not None:
            write_probabilities(
                folder / f"{task.name}{PROBABILITIES}",
                *done.lattice,
                {"SCENE": Path(task.path).stem, "MODEL_SHA256": card_of(network).sha256 or ""},
            )
        record = {
            "scene": Path(task.path).stem,
            "glacier": task.glacier,
            "source": "icefront",
            "path": task.path,
            "name": task.name,
            "settings": task.settings,
            **values,
            "line": None if line.is_empty else line.wkt,
        }
        with writing(folder / f"{task.name}.json", remedy=_GO_ON) as part:
            part.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
    shore = None
    if len(done.shore):
        shore = done.shore.geometry.iloc[0], float(done.shore["length_m"].iloc[0])
    return values, None if line.is_empty else line, shore


def _lattice_crs(project: str, scene: Scene) -> CRS:
    return glacier_crs(CRS.from_user_input(project), scene.grid)


def signature(path: Path) -> dict[str, Any]:
    """Size, time and SHA-256 of a file; nothing for what is no file."""
    try:
        about = path.stat()
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except (OSError, ValueError):  # a zero byte in a name
        return {}
    return {
        "size_bytes": about.st_size,
        "mtime_ns": about.st_mtime_ns,
        "sha256": digest.hexdigest(),
    }


def _serve(pipe: Connection, job: Job) -> None:
    """Work on one task after another until the pipe closes: what a worker process does."""
    # Ctrl-C reaches all processes of a terminal; who ends the workers is the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        from icefront.inference.precision import ready

        if job.threads:
            import torch

            torch.set_num_threads(job.threads)
        network = ready(job.load(), job.settings.device)
    except Exception as error:
        pipe.send(f"The model cannot be loaded ({' '.join(str(error).split())}).")
        return
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        pipe.send(None)
        while (task := pipe.recv()) is not None:
            pipe.send(work(task, network, job))
    # All files are closed: taking torch apart would only cost seconds.
    os._exit(0)


# --- processes of this machine --------------------------------------------------------------


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: Task | None = None
    ready: bool = False


class Processes:
    """Workers that are processes of this machine, each with its own model.

    Parameters
    ----------
    job : Job
    count : int
        How many at most; one is started when there is something for it to do.
    """

    def __init__(self, job: Job, count: int) -> None:
        self.job, self.count = job, count
        self.workers: list[_Worker] = []
        # A fork would copy the threads' locks of torch and GDAL in whatever state they are.
        self.context = mp.get_context("spawn")

    def free(self) -> bool:
        """Tell whether another task can be taken."""
        return len(self._busy()) < self.count

    def busy(self) -> bool:
        """Tell whether any task is under way."""
        return bool(self._busy())

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self.workers if worker.task is not None]

    def submit(self, task: Task) -> None:
        """Give a task to an idle worker, or to a new one."""
        for worker in [w for w in self.workers if w.task is None]:
            with suppress(OSError):
                worker.pipe.send(task)
                worker.task = task
                return
            self._drop(worker)
        worker = self._start()
        # It waits in the pipe until the model is loaded.
        worker.pipe.send(task)
        worker.task = task

    def _start(self) -> _Worker:
        ours, theirs = self.context.Pipe()
        process = self.context.Process(target=_serve, args=(theirs, self.job), daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self.workers.append(worker)
        return worker

    def next(self) -> Outcome:
        """Wait for a task to end, well or not."""
        while True:
            busy = self._busy()
            by_handle: dict[object, _Worker] = {worker.pipe: worker for worker in busy}
            by_handle |= {worker.process.sentinel: worker for worker in busy}
            ready = wait(list(by_handle))  # type: ignore[arg-type]
            worker = by_handle[ready[0]]
            try:
                # A worker may have answered and died since: read before counting it as dead.
                said = worker.pipe.recv() if worker.pipe.poll() else EOFError()
            except (EOFError, OSError) as error:
                said = error
            outcome = self._heard(worker, said)
            if outcome is not None:
                return outcome

    def _heard(self, worker: _Worker, said: object) -> Outcome | None:
        task = worker.task
        assert task is not None
        if said is None:
            worker.ready = True
            return None
        if isinstance(said, Outcome):
            worker.task = None
            return said
        if isinstance(said, str):
            self._drop(worker)
            return Outcome(task, {}, fatal=said)
        self._drop(worker)
        how = _how_it_ended(worker.process.exitcode)
        if not worker.ready:
            return Outcome(task, {}, fatal=f"A worker {how} before it had loaded the model.")
        return Outcome(
            task,
            {
                "state": FAILED,
                **_size_and_time(task.path),
                "error": f"{task.path}: its worker {how}.",
            },
        )

    def _drop(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.pipe.close()
        worker.process.join(_PATIENCE_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()

    def close(self, *, now: bool = False) -> None:
        """End the workers, in the middle of their tasks if `now`."""
        for worker in self.workers:
            with suppress(OSError):
                if now:
                    worker.process.kill()
                else:
                    worker.pipe.send(None)
        for worker in list(self.workers):
            self._drop(worker)


def _size_and_time(path: str) -> dict[str, Any]:
    try:
        about = os.stat(path)
    except OSError:
        return {}
    return {"size_bytes": about.st_size, "mtime_ns": about.st_mtime_ns}


def _how_it_ended(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return (
            "was killed (signal 9), most likely because memory ran out; cut the scene, use coarser "
            "pixels or fewer --workers, and give --retry"
        )
    if code is not None and code < 0:
        return f"crashed (signal {-code}); check the file and give --retry"
    return f"ended by itself (exit code {code}); check the file and give --retry"


# --- a cluster ------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _network_of(load: Callable[[], nn.Module], threads: int, device: str) -> nn.Module:
    import torch

    from icefront.inference.precision import ready

    if threads:
        torch.set_num_threads(threads)
    return ready(load(), device)


def work_anywhere(task: Task, job: Job) -> Outcome:
    """Extract a scene in whatever process this is, which keeps its model."""
    return work(task, _network_of(job.load, job.threads, job.settings.device), job)


class Cluster:
    """Workers of a Dask cluster, which see the same files under the same names.

    A scene whose worker is killed is given to other workers as often as the scheduler allows
    (``distributed.scheduler.allowed-failures``, 3 by default): the one that was killed may have
    been at the end of its time, or had its memory taken by another program.

    Parameters
    ----------
    job : Job
    address : str
        Of the scheduler, such as ``tcp://10.0.0.5:8786``.

    Raises
    ------
    IcefrontError
        If Dask is not installed, no scheduler answers, or its workers have several threads each.
    """

    def __init__(self, job: Job, address: str) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise IcefrontError(
                "A cluster needs Dask: install it with 'pip install icefront[cluster]'."
            ) from error
        self.job, self.address = job, address
        # What Dask logs of lost connections is said in one sentence of our own.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        try:
            self.client = Client(address, timeout=_PATIENCE_S)
        except (OSError, ValueError) as error:
            raise IcefrontError(
                f"No Dask scheduler answers at {address}: start one with 'dask scheduler'."
            ) from error
        threads = max(self.client.nthreads().values(), default=1)
        if threads > 1:
            self.client.close()
            raise IcefrontError(
                f"The workers at {address} have {threads} threads each, which would share one "
                "network: start them with --nthreads 1 and more --nworkers."
            )
        self.tasks: dict[Any, Task] = {}

    def free(self) -> bool:
        """Tell whether another task can be taken: each worker has one."""
        with self._answering():
            return len(self.tasks) < max(1, len(self.client.nthreads()))

    def busy(self) -> bool:
        """Tell whether any task is under way."""
        return bool(self.tasks)

    def submit(self, task: Task) -> None:
        """Send a task to the cluster."""
        with self._answering():
            future = self.client.submit(work_anywhere, task, self.job, pure=False, retries=0)
        self.tasks[future] = task

    def next(self) -> Outcome:
        """Wait for a task to end, well or not."""
        from distributed import KilledWorker
        from distributed import wait as wait_for

        with self._answering():
            done = wait_for(list(self.tasks), return_when="FIRST_COMPLETED").done
        future = next(iter(done))
        task = self.tasks.pop(future)
        try:
            return future.result()  # type: ignore[no-any-return]
        except KilledWorker as error:
            return self._failed(
                task,
                f"its workers in the cluster were killed {error.allowed_failures + 1} times, most "
                "likely because memory ran out or the file makes them crash",
            )
        except Exception as error:
            if self.client.status != "running":
                raise self._gone() from error
            return self._failed(task, failure("its worker in the cluster", error).rstrip("."))

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever Dask raises when a connection is lost
            raise self._gone() from error

    def _gone(self) -> IcefrontError:
        return IcefrontError(
            f"The Dask scheduler at {self.address} is gone: start it and its workers again and run "
            "the same command; every scene reported done is kept."
        )

    def _failed(self, task: Task, why: str) -> Outcome:
        error = f"{task.path}: {why}; check the file and give --retry."
        return Outcome(task, {"state": FAILED, **_size_and_time(task.path), "error": error})

    def close(self, *, now: bool = False) -> None:
        """Disconnect from the cluster; cancel the tasks under way if `now`."""
        with suppress(Exception):  # the scheduler may be gone
            if now:
                self.client.cancel(list(self.tasks))
            self.client.close()
