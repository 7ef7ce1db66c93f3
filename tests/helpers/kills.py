"""Commands that are killed with signal 9 at some moment, and what must hold afterwards."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyogrio
import rasterio
import torch
import xarray as xr
from PIL import Image
from safetensors import safe_open

from icefront.cli import main
from icefront.datasets import sources
from icefront.demo import demonstration
from icefront.extraction import pipeline
from icefront.files.atomic import STAGING_PREFIX
from icefront.files.downloads import RemoteFile
from icefront.models.checkpoints import read_own
from icefront.projects import run as runs
from icefront.simulation import gallery
from tests.helpers.scenes import GreyLevels
from tests.helpers.simulated_projects import Inline

# Forked from a process in which libraries are loaded: a kill at a random moment shall meet a
# command that works.
_CHILDREN = multiprocessing.get_context("forkserver")


def load_beforehand(*modules: str) -> None:
    """Name modules that are loaded in the process that all commands are forked from."""
    _CHILDREN.set_forkserver_preload([__name__, *modules])


load_beforehand()

PATIENCE_S = 120.0


@dataclass(frozen=True)
class Command:
    """A command that writes, and the calls that go on after it was killed.

    Attributes
    ----------
    arguments : sequence of str
        The call that is killed.
    again : sequence of sequence of str
        Calls that go on, tried one after another until one succeeds. The others may only refuse
        with one sentence.
    out : Path
        What the command writes: a folder, or a file.
    start : Path or None
        A folder whose content is in the parent of `out` before.
    prepare : callable or None
        Called in the process of the command, such as to put a small network in place of a large.
    exact : str
        Pattern of the files that equal those of a run that nobody killed, to the byte.
    loose : str
        Pattern of the files that are added to line by line, so that their end may be missing.
    """

    arguments: Sequence[str]
    again: Sequence[Sequence[str]]
    out: Path
    start: Path | None = None
    prepare: Callable[[], None] | None = None
    exact: str = r"$^"
    loose: str = r"(^|/)logs/|\.jsonl$"


@dataclass
class Whole:
    """What a run leaves that nobody killed."""

    seconds: float
    files: dict[str, bytes] = field(repr=False)


def run_whole(command: Command, folder: Path) -> Whole:
    """Run a command to its end in a folder of its own."""
    _place(command)
    begun = time.monotonic()
    code, text = finish(start(command, command.arguments, folder / "log.txt"))
    assert code == 0, text
    return Whole(time.monotonic() - begun, contents(command.out))


def run_killed(command: Command, whole: Whole, seed: str, folder: Path) -> float:
    """Kill a command at a random moment, check what it left, and let it go on.

    Returns the moment in seconds.
    """
    moment = random.Random(seed).random() * whole.seconds
    _place(command)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    log = folder / "log.txt"
    process = start(command, command.arguments, log)
    process.join(moment)
    if process.pid is not None and process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    _wait_for_workers(process)
    reported = log.read_text() if log.exists() else ""
    left = contents(command.out)
    for name in left:
        if not re.search(command.loose, name):
            read_whole(_path(command, name))
    _check_reported(command, reported)
    outputs = []
    for arguments in command.again:
        code, text = finish(start(command, arguments, folder / "again.txt"))
        assert "Traceback" not in text, text
        outputs.append(text)
        if code == 0:
            break
        if re.search("is not empty|is there already", text):
            break  # it was killed after all files were in their places
    else:
        raise AssertionError(outputs)
    found = contents(command.out)
    assert _same_each_time(found) == _same_each_time(whole.files), (moment, outputs)
    for name, content in found.items():
        read_whole(_path(command, name))
        if re.search(command.exact, name):
            assert content == whole.files[name], name
    assert leftovers(folder) == []
    return moment


def _place(command: Command) -> None:
    """Put the folder of a command into its first state."""
    home = command.out.parent
    shutil.rmtree(home, ignore_errors=True)
    if command.start is None:
        home.mkdir(parents=True)
    else:
        shutil.copytree(command.start, home)


def _same_each_time(names: Iterable[str]) -> set[str]:
    """Return the names that do not tell the time or the number of a call."""
    return {name for name in names if not re.search(r"(^|/)(runs|logs)/", name)}


def _path(command: Command, name: str) -> Path:
    return command.out / name if command.out.is_dir() else command.out


def contents(out: Path) -> dict[str, bytes]:
    """Return the visible files of a folder, or a file, by name; of large ones only the name."""
    if out.is_file():
        return {out.name: out.read_bytes()}
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(out).parts)
    }


def leftovers(folder: Path) -> list[str]:
    """List what unfinished writing left anywhere below a folder."""
    return [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.name.startswith(STAGING_PREFIX)
        or re.search(r"\.part(\.|$)|-(journal|wal)$", path.name)
        or path.parent.name == "tmp"
    ]


def _check_reported(command: Command, reported: str) -> None:
    """Check that scenes a run reported as done are done in its catalogue."""
    catalogue = command.out / "catalogue.gpkg"
    if not catalogue.exists():
        return
    done = pyogrio.read_dataframe(catalogue, read_geometry=False, where="state = 'done'")
    lines = re.findall(r"^(\S+): front of", reported, re.MULTILINE)
    assert set(lines) <= set(done["name"])


def read_whole(path: Path) -> None:
    """Read a file to its end by the library of its format; its errors pass."""
    kind = path.suffix
    assert path.stat().st_size > 0 or kind == ".lock", path
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind in (".png", ".gif"):
            with Image.open(path) as image:
                image.load()
        elif kind == ".tif":
            with rasterio.open(path) as raster:
                raster.read()
        elif kind in (".gpkg", ".geojson", ".shp"):
            for layer, _ in pyogrio.list_layers(path):
                pyogrio.read_dataframe(path, layer=layer)
        elif kind == ".json":
            json.loads(path.read_text())
        elif kind == ".csv":
            pd.read_csv(path)
        elif kind == ".parquet":
            pd.read_parquet(path)
        elif kind == ".nc":
            with xr.open_dataset(path) as series:
                series.load()
        elif kind == ".npz":
            with np.load(path) as arrays:
                assert [arrays[name] for name in arrays.files]
        elif kind == ".safetensors":
            with safe_open(path, "np") as weights:
                assert [weights.get_tensor(name) for name in weights.keys()]  # noqa: SIM118
            if path.with_suffix(".json").exists() and not path.stem.endswith("heads"):
                read_own(path)
        elif kind == ".ckpt":
            torch.load(path, map_location="cpu", weights_only=True)
        elif kind == ".zip":
            assert zipfile.ZipFile(path).testzip() is None
        elif kind == ".html":
            assert path.read_text().rstrip().endswith("</html>")


# --- what stands in for large networks and for servers ----------------------------------------


def know_grey_levels() -> None:
    """Let commands use a network that knows the zones of small scenes by their greys."""
    pipeline.load_model = lambda name: GreyLevels()
    runs.Loader = lambda name: GreyLevels  # type: ignore[assignment,misc]


def show_small_demo() -> None:
    """Let the demonstration work on three small scenes, with the same network."""
    runs.Loader = lambda name: GreyLevels  # type: ignore[assignment,misc]
    demonstration.PIXEL_SIZE_M = 150.0
    _by_default(demonstration.make_demo, scenes=3, start_workers=Inline)


def draw_small_gallery() -> None:
    """Let the sheet have two sensors with small scenes."""
    gallery.SENSORS = {name: gallery.SENSORS[name] for name in ("S1", "ERS")}  # type: ignore[misc]
    _by_default(gallery.draw_gallery, pixels=100)


def _by_default(function: Callable, **values: Any) -> None:
    function.__kwdefaults__ |= values  # type: ignore[attr-defined]


def fetch_from(address: str) -> None:
    """Let the command fetch a small archive from a server of this machine."""
    files = (RemoteFile("data_raw.zip", address + "data_raw.zip"),)
    sources.SOURCES["caffe"] = replace(sources.SOURCES["caffe"], files=files)


# --- processes --------------------------------------------------------------------------------


def start(command: Command, arguments: Sequence[str], log: Path) -> BaseProcess:
    """Start a call in a process of its own, whose output goes to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    process = _CHILDREN.Process(target=_call, args=(list(arguments), log, command.prepare))
    process.start()
    process.log = log  # type: ignore[attr-defined]
    return process


def finish(process: BaseProcess) -> tuple[int | None, str]:
    """Wait for a call; return its exit code and its output."""
    process.join(PATIENCE_S)
    alive = process.is_alive()
    if alive:
        process.kill()
        process.join()
    text = process.log.read_text()  # type: ignore[attr-defined]
    assert not alive, text
    return process.exitcode, text


def _call(arguments: list[str], log: Path, prepare: Callable[[], None] | None) -> None:
    os.setsid()
    # Workers are started as on the command line, not as this process was.
    multiprocessing.set_start_method(None, force=True)
    with log.open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    folder = log.parent
    os.environ["ICEFRONT_CACHE"] = str(folder / "cache")
    # PyTorch makes this folder among the temporary ones, and leaves it there.
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "cache" / "torch")
    (folder / "tmp").mkdir(exist_ok=True)
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder / "tmp")
    if prepare is not None:
        prepare()
    sys.argv = ["icefront", *arguments]
    main()


def _wait_for_workers(process: BaseProcess) -> None:
    """Wait until the workers of a killed process have ended, which they must by themselves."""
    until = time.monotonic() + 30
    while (alive := _group(process.pid)) and time.monotonic() < until:
        time.sleep(0.05)
    for number in alive:
        os.kill(number, signal.SIGKILL)
    assert not alive, "workers outlive the process that started them"


def _group(leader: int | None) -> list[int]:
    """List the live processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            facts = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(facts[3]) == leader and facts[0] not in "ZX":
            found.append(int(folder.name))
    return found
