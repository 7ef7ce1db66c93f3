"""Over forty kills with signal 9 at random moments, over the commands that write."""

from __future__ import annotations

import functools
import http.server
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
import yaml

from icefront.models.card import ModelCard
from icefront.models.checkpoints import write_own
from icefront.models.registry import build
from icefront.simulation.archives import simulate_caffe
from tests.helpers.kills import (
    Command,
    Whole,
    draw_small_gallery,
    fetch_from,
    know_grey_levels,
    load_beforehand,
    run_killed,
    run_whole,
    show_small_demo,
)
from tests.helpers.scenes import ORIGIN, SIZE_M
from tests.helpers.simulated_annotators import write_study
from tests.helpers.simulated_caffe import make_caffe
from tests.helpers.simulated_projects import config, made_fronts, write_series
from tests.helpers.simulated_ssl4sar import make_ssl4sar

KILLS = {
    "extract": 4,
    "monitor run": 5,
    "monitor correct": 2,
    "monitor products": 4,
    "monitor review": 2,
    "monitor measure": 2,
    "monitor import": 2,
    "simulate caffe": 3,
    "simulate ssl4sar": 2,
    "simulate scenes": 2,
    "simulate gallery": 1,
    "train": 4,
    "pretrain": 3,
    "benchmark": 3,
    "compare": 1,
    "annotators": 1,
    "download": 2,
    "demo": 2,
    "experiment": 2,
}
assert sum(KILLS.values()) >= 40

load_beforehand(
    "icefront.annotators.report",
    "icefront.demo.demonstration",
    "icefront.evaluation.benchmark",
    "icefront.evaluation.comparison_report",
    "icefront.pretraining.experiment",
    "icefront.pretraining.run",
    "icefront.products.folder",
    "icefront.products.review_pages",
    "icefront.simulation.archives",
    "icefront.simulation.gallery",
    "icefront.training.run",
)

LEARNING = {"epochs": 3, "crops_per_epoch": 8, "batch": 4, "workers": 0, "window": 64}
UNET = {"model": "unet", "architecture": {"widths": [4, 8]}}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kills")


@pytest.fixture(scope="module")
def server(work: Path) -> Iterator[str]:
    """Serve a small archive from this machine."""
    folder = work / "served"
    folder.mkdir()
    with zipfile.ZipFile(folder / "data_raw.zip", "w") as packed:
        for number in range(20):
            content = np.random.default_rng(number).bytes(200_000)
            packed.writestr(f"data_raw/{number}.bin", content)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_address[1]}/"
    listening.shutdown()
    listening.server_close()


@pytest.fixture(scope="module")
def commands(work: Path, server: str) -> dict[str, Command]:
    """Return all commands with their inputs."""
    inputs = work / "inputs"
    scenes = [str(path) for path in write_series(inputs / "scenes", 4)]
    source = str(config(inputs))
    fronts = inputs / "fronts.gpkg"
    made_fronts().drop(columns="name").to_file(fronts)
    caffe = make_caffe(inputs / "caffe")
    archive = make_ssl4sar(inputs / "ssl4sar")
    test = inputs / "test"
    chosen = {"glaciers": ["Mapple"], "fraction": 0.01, "coarser": 14, "progress": False}
    simulate_caffe(test, **chosen)  # type: ignore[arg-type]
    network = build({"family": "unet", "widths": [4, 8]})
    card = ModelCard("small", network.card.architecture, window=64, target=32, stride=16)
    write_own(inputs / "small.safetensors", network, card)
    people = {"Ada": (20.0, 8.0), "Bo": (-20.0, 8.0), "Cem": (0.0, 8.0)}
    write_study(inputs / "people", 3, people)
    project = _project(work, source)
    drawn = inputs / "drawn.gpkg"
    _front_by_hand().to_file(drawn)

    def home(name: str) -> Path:
        return work / name.replace(" ", "-") / "home"

    def recipe(name: str, values: dict) -> str:
        path = inputs / f"{name}.yaml"
        text = yaml.safe_dump({"name": "small", "out": str(home(name) / "out"), **values})
        path.write_text(text)
        return str(path)

    def simple(name: str, *call: object, **more: object) -> Command:
        """Return a command that is simply run again."""
        words = [str(word) for word in call]
        return Command(words, [words], **{"out": home(name) / "out", **more})  # type: ignore[arg-type]

    training = {
        **LEARNING,
        **UNET,
        "target": 32,
        "stride": 16,
        "data": {
            "root": str(caffe),
            "test_glaciers": ["SI"],
            "pixel_size_m": None,
            "min_length_m": 4,
        },
    }
    pretraining = {
        **LEARNING,
        "method": "optsimmim",
        "model": "tyrion",
        "architecture": {
            "image_size": 64,
            "embed_dim": 32,
            "depths": [1, 1],
            "num_heads": [1, 2],
            "window_size": 4,
            "groups": 8,
        },
        "init": None,
        "data": {"root": str(archive), "stride": 32, "windows": 3},
        "pictures_every": 1,
    }
    question = {
        "out": str(home("experiment")),
        "name": "out",
        "archive": {"root": str(archive)},
        "pretraining": {**pretraining, "epochs": 1},
        "training": {
            **training,
            "epochs": 1,
            "model": "tyrion",
            "architecture": pretraining["architecture"],
        },
        "starts": {"random": {}, "optsimmim": {"pretraining": {}}},
        "references": ["random"],
        "seeds": [0],
    }
    answer = ["experiment", "pretraining", "--config", str(inputs / "experiment.yaml")]
    (inputs / "experiment.yaml").write_text(yaml.safe_dump(question))
    learn = ["train", "--config", recipe("train", training)]
    before = ["pretrain", "--config", recipe("pretrain", pretraining)]
    score = ["benchmark", "--data", test, "--model", inputs / "small.safetensors", "--out"]
    score = [str(word) for word in [*score, home("benchmark") / "out"]]
    simulate = ("--coarser", 16, "--out")
    found = [
        simple(
            "extract", "extract", *scenes[:2], "--out", home("extract") / "out",
            "--radiometry", "grey", prepare=know_grey_levels, exact=r"_zones\.tif$",
        ),
        simple(
            "monitor run", "monitor", "run", source, "--out", home("monitor run") / "out",
            "--workers", 2, prepare=know_grey_levels, exact=r"_zones\.tif$",
        ),
        simple(
            "monitor correct", "monitor", "correct", home("monitor correct") / "out",
            "--fronts", drawn, "--by", "Ada", start=project.parent,
        ),
        simple(
            "monitor products", "monitor", "products", home("monitor products"),
            start=project, out=home("monitor products") / "products", exact=r"fronts\.geojson$",
        ),
        simple(
            "monitor review", "monitor", "review", home("monitor review"), "--count", 3,
            start=project, out=home("monitor review") / "review",
        ),
        simple(
            "monitor measure", "monitor", "measure", fronts, "--inland", "450000,8750000",
            "--out", home("monitor measure") / "out",
        ),
        simple(
            "monitor import", "monitor", "import", fronts,
            "--out", home("monitor import") / "out.gpkg", out=home("monitor import") / "out.gpkg",
        ),
        simple(
            "simulate caffe", "simulate", "caffe", "--fraction", 0.01, "--glacier", "Mapple",
            *simulate, home("simulate caffe") / "out", "--workers", 2, exact=".",
        ),
        simple(
            "simulate ssl4sar", "simulate", "ssl4sar", "--images", 4, "--glacier", "Kronebreen",
            *simulate, home("simulate ssl4sar") / "out", exact=".",
        ),
        simple(
            "simulate scenes", "simulate", "scenes", "--glacier", "Kronebreen", "--count", 4,
            "--pixel-size", 150, "--out", home("simulate scenes") / "out", exact=r"\.(tif|json)$",
        ),
        simple(
            "simulate gallery", "simulate", "gallery",
            "--out", home("simulate gallery") / "sheet.png",
            out=home("simulate gallery") / "sheet.png", prepare=draw_small_gallery, exact=".",
        ),
        Command(learn, [[*learn, "--resume"], learn], home("train") / "out"),
        Command(before, [[*before, "--resume"], before], home("pretrain") / "out"),
        Command(
            score, [[*score, "--resume"]], home("benchmark") / "out",
            exact=r"predictions/.*\.png$",
        ),
        simple("compare", "compare", "--published", "--out", home("compare") / "out"),
        simple(
            "annotators", "annotators", "--data", inputs / "people", "--pictures", 2,
            "--flow", inputs / "people" / "flow.gpkg", "--out", home("annotators") / "out",
        ),
        simple(
            "download", "download", "caffe", "--yes", "--out", home("download") / "out",
            prepare=functools.partial(fetch_from, server), exact="data_raw/",
        ),
        simple(
            "demo", "demo", "--out", home("demo") / "out", "--overwrite",
            prepare=show_small_demo, exact=r"^scenes/.*\.(tif|json)$|_zones\.tif$",
        ),
        simple("experiment", *answer),
    ]  # fmt: skip
    return dict(zip(KILLS, found, strict=True))


def _project(work: Path, source: str) -> Path:
    """Return a project that is done."""
    out = work / "project" / "home" / "out"
    call = ["monitor", "run", source, "--out", str(out), "--workers", "1"]
    run_whole(Command(call, [], out, prepare=know_grey_levels), work / "project")
    return out


def _front_by_hand() -> gpd.GeoDataFrame:
    """Return a front on the second date of the project, from one wall of the fjord to the other."""
    x, top = ORIGIN[0] + 100 * SIZE_M, ORIGIN[1]
    line = shapely.LineString([(x, top - 28 * SIZE_M), (x, top - 122 * SIZE_M)])
    found = {"glacier": ["Crane"], "date": ["2018-01-29"]}
    return gpd.GeoDataFrame(found, geometry=[line], crs=3413)


@pytest.fixture(scope="module")
def wholes() -> dict[str, Whole]:
    """Keep the runs that nobody kills, one of each command."""
    return {}


@pytest.mark.parametrize(
    ("name", "number"), [(name, k) for name, count in KILLS.items() for k in range(count)]
)
def test_a_command_that_is_killed_loses_nothing_and_leaves_nothing(
    name: str, number: int, work: Path, commands: dict[str, Command], wholes: dict[str, Whole]
) -> None:
    command, folder = commands[name], work / name.replace(" ", "-")
    if name not in wholes:
        wholes[name] = run_whole(command, folder)
    run_killed(command, wholes[name], f"{name} {number}", folder)
