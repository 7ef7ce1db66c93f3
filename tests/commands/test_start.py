"""What a command loads: torch and the simulator only where a network or a simulation runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from icefront.projects.catalogue import DONE, LAYER, blob_of, create
from tests.helpers.scenes import landscape, write_tif
from tests.helpers.simulated_annotators import write_study
from tests.helpers.simulated_projects import made_fronts

CALL = """
import json, sys
from icefront.cli import app
calls = []
for words in sys.argv[2:]:
    try:
        app(words.split())
    except SystemExit as end:
        calls.append([words, end.code, sorted(sys.modules)])
with open(sys.argv[1], "w") as file:
    json.dump(calls, file)
"""
HEAVY = ("torch", "transformers", "lightning", "icefront.simulation")
"""Loaded by no command that runs no network and simulates nothing."""
LIBRARIES = ("numpy", "scipy", "pandas", "geopandas", "rasterio", "matplotlib", "xarray")
"""Loaded by no help page."""

FACTS = (
    *("scene", "name", "glacier", "sensor", "source", "length_m", "uncertainty_m"),
    *("pixel_size_m", "model_pixel_size_m", "flag", "model"),
)
COMMANDS = (
    *("extract", "info", "models", "train", "pretrain", "benchmark", "annotators", "compare"),
    *("download", "demo", "simulate", "simulate caffe", "experiment pretraining"),
    *("monitor", "monitor run", "monitor measure", "monitor import", "monitor products"),
    *("monitor review", "glaciers", "search", "acquire"),
)

WITHOUT_NETWORK = {
    "--version": 0,
    "info scene.tif": 0,
    "monitor measure fronts.gpkg --out curve": 0,
    "monitor import fronts.gpkg --out all.gpkg": 0,
    "monitor products project --no-animation": 0,
    "monitor run scenes --out project-packaged": 0,
    "monitor status project": 0,
    "monitor review project": 0,
    "view project --export page": 0,
    "monitor review project --reject Crane_20160110": 0,
    "compare --runs ours=300,310,305 --runs theirs=350,340,360 --resamples 100": 0,
    "annotators --data people --flow people/flow.gpkg --out agreement": 0,
    "download caffe --out data": 2,
}
"""Commands that run no network, and their exit codes."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with fronts, the same fronts as a file, a scene, and traces of two people."""
    folder = tmp_path_factory.mktemp("start")
    fronts = made_fronts()
    (folder / "project").mkdir()
    with create(folder / "project", fronts.crs) as catalogue, catalogue.writing():
        for number, front in enumerate(fronts.itertuples()):
            values = {name: getattr(front, name) for name in FACTS}
            values |= {"state": DONE, "date": f"{front.date:%Y-%m-%d}", "path": f"/{number}.tif"}
            catalogue.insert(values)
            catalogue.db.execute(
                f"UPDATE {LAYER} SET geom = ? WHERE name = ?",
                (blob_of(front.geometry, catalogue.srs), front.name),
            )
    fronts.to_file(folder / "fronts.gpkg")
    write_tif(folder / "scene.tif", landscape())
    for name in ("scenes", "project-packaged"):
        shutil.copytree(Path(__file__).parent / "data" / "0.1.0" / name, folder / name)
    write_study(folder / "people", 2, {"Ada": (20.0, 12.0), "Bo": (-20.0, 18.0)})
    return folder


def called(folder: Path, *commands: str) -> list[tuple[str, int, set[str]]]:
    """Run commands in one new process; return each with its exit code and what is loaded then."""
    told = folder / "modules.json"
    done = subprocess.run(
        [sys.executable, "-c", CALL, str(told), *commands],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [(words, code, set(modules)) for words, code, modules in json.loads(told.read_text())]


def test_help_loads_no_library_for_data(folder: Path) -> None:
    calls = called(folder, *(f"{command} --help" for command in ("", *COMMANDS)))
    assert len(calls) == len(COMMANDS) + 1
    for words, code, modules in calls:
        assert code == 0, words
        assert modules.isdisjoint((*HEAVY, *LIBRARIES)), words


def test_commands_without_a_network_load_neither_torch_nor_the_simulator(folder: Path) -> None:
    ended = called(folder, *WITHOUT_NETWORK)
    assert len(ended) == len(WITHOUT_NETWORK)
    for words, code, modules in ended:
        assert code == WITHOUT_NETWORK[words], words
        assert modules.isdisjoint(HEAVY), (words, modules & set(HEAVY))


@pytest.mark.slow
def test_transformers_is_loaded_where_a_swin_network_is_built(folder: Path) -> None:
    loaded = folder / "loaded.json"
    code = f"""
import json, sys
import icefront.evaluation.benchmark
from icefront.models.registry import build
build("unet")
before = "transformers" in sys.modules
build("tyrion-mini")
json.dump([before, "transformers" in sys.modules], open({str(loaded)!r}, "w"))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
    assert json.loads(loaded.read_text()) == [False, True]
