"""Whole pretraining runs on a small simulated archive, and fine-tuning after them."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

import icefront
from icefront.cli import app, main
from icefront.datasets.crops import CropDataset
from icefront.datasets.pairs import PairCrops
from icefront.errors import IcefrontError
from icefront.pretraining import experiment, run
from icefront.pretraining.module import Pretraining
from icefront.pretraining.run import load_pretrained, pretrain
from icefront.recipes import read_recipe
from icefront.training.checkpoints import Checkpoints
from icefront.training.run import train
from tests.helpers.simulated_caffe import make_caffe
from tests.helpers.simulated_ssl4sar import make_ssl4sar

TINY = {
    "image_size": 64,
    "embed_dim": 32,
    "depths": [1, 1],
    "num_heads": [1, 2],
    "window_size": 4,
    "groups": 8,  # with one channel a group, flat images have gradients without end
}
WINDOW = {"window": 64, "target": 32, "stride": 16}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ssl4sar(tmp_path_factory.mktemp("simulated") / "ssl4sar")


@pytest.fixture(scope="module")
def caffe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_caffe(tmp_path_factory.mktemp("simulated") / "caffe")


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICEFRONT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def write(path: Path, values: dict) -> Path:
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def small(folder: Path, archive: Path) -> dict:
    return {
        "name": "small",
        "method": "optsimmim",
        "model": "tyrion",
        "architecture": TINY,
        "init": None,
        "out": str(folder / "runs"),
        "data": {"root": str(archive), "stride": 32, "windows": 3},
        "epochs": 2,
        "crops_per_epoch": 10,
        "batch": 4,
        "window": 64,
        "workers": 0,
        "optimiser": {"learning_rate": 0.05},
        "pictures_every": 100,
    }


@pytest.fixture
def recipe(tmp_path: Path, archive: Path) -> Path:
    return write(tmp_path / "small.yaml", small(tmp_path, archive))


@pytest.fixture
def training(tmp_path: Path, caffe: Path) -> Path:
    values = {
        "name": "tuned",
        "model": "tyrion",
        "architecture": TINY,
        "data": {
            "root": str(caffe),
            "test_glaciers": ["SI"],
            "validation": "none",
            "pixel_size_m": None,
            "min_length_m": 4,
        },
        "out": str(tmp_path / "runs"),
        "epochs": 2,
        "crops_per_epoch": 8,
        "batch": 4,
        "workers": 0,
        **WINDOW,
    }
    return write(tmp_path / "tuned.yaml", values)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return icefront.models.load_model(path, pretrained=True).state_dict()


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def logged(folder: Path, column: str) -> list[float]:
    values = []
    for path in sorted(folder.glob("logs/version_*/metrics.csv")):
        with path.open() as file:
            values += [float(row[column]) for row in csv.DictReader(file) if row.get(column)]
    return values


def test_from_an_archive_to_a_model_by_two_commands(
    recipe: Path, training: Path, tmp_path: Path
) -> None:
    invoke = CliRunner().invoke
    done = invoke(app, ["pretrain", "--config", str(recipe), "--set", "data.held_out=[Gamma]"])
    assert done.exit_code == 0, done.output
    out = tmp_path / "runs" / "small"
    result = json.loads((out / "result.json").read_text())
    assert (result["epochs"], result["crops"]) == (2, 20)
    assert set(result["held_out"]) >= {"reconstruction", "mean image", "regression"}
    assert len(list((out / "pictures").glob("epoch_*.png"))) == 2
    assert list((out / "logs").rglob("events.out.tfevents*"))
    best, last = (
        json.loads((out / f"{name}.json").read_text())["provenance"] for name in ("best", "last")
    )
    assert (best["method"], best["archive"], last["epoch"]) == ("optsimmim", "ssl4sar", 2)
    assert best["glaciers"] == ["Alpha", "Beta"]
    assert len(best["archive_sha256"]) == 64
    assert str(tmp_path) not in json.dumps(best)
    start = out / "best.safetensors"
    options = ["--set", "epochs=1", "--set", "optimiser.learning_rate=1e-12"]
    done = invoke(app, ["train", "--config", str(training), "--init", str(start), *options])
    assert done.exit_code == 0, done.output
    tuned = tmp_path / "runs" / "tuned"
    result = json.loads((tuned / "result.json").read_text())
    assert result["parameters_from"] == {
        **dict.fromkeys(("encoder", "deepest", "steps", "head"), "best.safetensors"),
        "classify": "fresh",
    }
    assert "optsimmim, epoch" in result["init"]
    before, after = weights(start), weights(tuned / "last.safetensors")
    carried = [k for k in before if not k.startswith("classify.")]
    assert all(torch.allclose(before[k], after[k], atol=1e-6) for k in carried)
    card = icefront.load_model(tuned / "last.safetensors").card
    assert card.provenance["pretraining"]["method"] == "optsimmim"


@pytest.mark.parametrize("method", ["optsimmim", "opttranslator"])
def test_the_loss_falls(method: str, recipe: Path, tmp_path: Path) -> None:
    adam = "optimiser={name: adamw, learning_rate: 0.005}"
    more = [f"method={method}", "epochs=5", "crops_per_epoch=24", adam]
    result = pretrain(recipe, more, progress=False)
    losses = logged(Path(result["folder"]), "val_loss")
    assert len(losses) == 5
    assert min(losses[-2:]) < 0.8 * losses[0]
    assert result["best_loss"] == pytest.approx(min(losses), rel=1e-4)


def test_the_small_member_and_every_extra_run(recipe: Path) -> None:
    result = pretrain(
        recipe,
        [
            "model=tyrion-mini",
            "architecture={}",
            "mask={share: 0.5, block: 4}",
            "loss={gradient: 0.5, radar: other_day}",
            "optimiser={name: adamw, schedule: cosine, warmup_steps: 2, clip: 1.0}",
            "precision=bf16",
            "epochs=1",
        ],
        progress=False,
    )
    assert result["unreached"] == []
    assert load_pretrained(result["folder"]).outputs == 15


def test_a_run_ends_after_epochs_without_gain_and_stays_ended(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Pretraining, "validation_step", lambda self, batch, number: self.log("val_loss", 1.0)
    )
    stuck = ["stop_after=2", "epochs=9", "crops_per_epoch=4"]
    first = pretrain(recipe, stuck, progress=False)
    assert first["epochs"] == 3
    again = pretrain(recipe, stuck, resume=True, progress=False)
    assert again["epochs"] == 3


# interruptions ------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
import torch
torch.set_num_threads({threads})
from {module} import {dataset} as Crops
whole = Crops.__getitem__
def until(self, number):
    if number == {number}:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(self, number)
Crops.__getitem__ = until
from {run} import {command}
{command}(sys.argv[1], ["name=killed"], progress=False)
"""


def kill_at(number: int, recipe: Path, **names: str) -> None:
    """Run a command in a process of its own and kill it as it reads a crop."""
    # Sums differ in the last bits with the number of threads.
    code = KILLED.format(number=number, threads=torch.get_num_threads(), **names)
    done = subprocess.run([sys.executable, "-c", code, str(recipe)], capture_output=True)
    assert done.returncode == -9, done.stderr.decode()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> dict:
    """Return the result of a run that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole")
    recipe = write(folder / "whole.yaml", small(folder, archive))
    return pretrain(recipe, progress=False)


def same_result(a: dict, b: dict) -> bool:
    """Compare all that two runs leave behind, to the bit."""
    files = ("best.safetensors", "last.safetensors")
    folders = [Path(r["folder"]) for r in (a, b)]
    assert (a["best_loss"], a["epochs"]) == (b["best_loss"], b["epochs"])
    return all(equal(*(weights(folder / name) for folder in folders)) for name in files)


@pytest.mark.slow
def test_a_killed_pretraining_resumes_to_the_same_result(recipe: Path, whole: dict) -> None:
    names = {"module": "icefront.datasets.pairs", "dataset": "PairCrops"}
    kill_at(16, recipe, **names, run="icefront.pretraining.run", command="pretrain")
    parts = pretrain(recipe, ["name=killed"], resume=True, progress=False)
    assert same_result(whole, parts)


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_result(training: Path) -> None:
    steady = train(training, ["name=steady"], progress=False)
    names = {"module": "icefront.datasets.crops", "dataset": "CropDataset"}
    kill_at(13, training, **names, run="icefront.training.run", command="train")
    parts = train(training, ["name=killed"], resume=True, progress=False)
    assert json.dumps(parts["test"]) == json.dumps(steady["test"])
    assert equal(*(weights(Path(r["folder"]) / "last.safetensors") for r in (steady, parts)))


@pytest.fixture
def _handlers() -> Iterator[None]:
    """Start with the handlers of a terminal: in a background job Ctrl-C is ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize(
    ("command", "dataset", "number"),
    [("train", CropDataset, signal.SIGINT), ("pretrain", PairCrops, signal.SIGTERM)],
)
def test_a_run_that_is_stopped_ends_with_130_and_goes_on(
    command: str,
    dataset: type,
    number: signal.Signals,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = request.getfixturevalue({"train": "training", "pretrain": "recipe"}[command])
    crop = dataset.__getitem__

    def stopping(self: object, index: int) -> object:
        if index == 13:  # in the second epoch
            signal.raise_signal(number)
        return crop(self, index)

    words = ["icefront", command, "--config", str(path), "--set", "name=parts"]
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "__getitem__", stopping)
        patch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 130
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "Interrupted."
    assert not any("Warning" in line or "lightning" in line for line in lines)
    # Lightning has not left Ctrl-C without effect.
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if command == "pretrain":
        parts = pretrain(path, ["name=parts"], resume=True, progress=False)
        assert same_result(request.getfixturevalue("whole"), parts)
    else:
        assert train(path, ["name=parts"], resume=True, progress=False)["crops"] == 16


def test_a_killed_reader_of_images_gets_one_sentence(
    training: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: CropDataset, index: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(CropDataset, "__getitem__", killed)
    with pytest.raises(IcefrontError, match=r"memory is short; set workers to fewer"):
        train(training, ["workers=1"], progress=False)


class _Stop(BaseException):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["first epoch", "checkpoints", "state", "result"])
def test_a_run_stopped_at_an_awkward_moment_resumes(
    moment: str, recipe: Path, whole: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner: object
    owner, name, calls = {
        "first epoch": (Pretraining, "validation_step", 0),  # there is no state yet
        "checkpoints": (Checkpoints, "write", 2),  # the best of epoch 2 is about to be written
        "state": (Checkpoints, "save_state", 1),  # it is written, the state is not
        "result": (run, "fit", 0),  # everything but the result is there
    }[moment]
    inside = getattr(owner, name)
    seen: list[int] = []

    def stopping(*given: object, **named: object) -> object:
        seen.append(1)
        if len(seen) <= calls:
            return inside(*given, **named)
        if moment == "result":
            inside(*given, **named)
        raise _Stop

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, stopping)
        with pytest.raises(_Stop):
            pretrain(recipe, ["name=parts"], progress=False)
    parts = pretrain(recipe, ["name=parts"], resume=True, progress=False)
    assert same_result(whole, parts)


# wrong input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "data.root=nowhere"], "not an SSL4SAR archive"),
        (["--exclude", "Delta"], "no glacier Delta to exclude"),
        (["--set", "data.held_out=[Delta]"], "no glacier Delta to hold out"),
        (["--set", "data.held_out=[Alpha, Beta, Gamma]"], "no images to train on"),
        (["--set", "model=resnet"], "no model named 'resnet'"),
        (["--set", "window=66"], "cannot be masked in squares of 4"),
        (["--set", "init=nowhere.safetensors"], "no model or checkpoint"),
        (["--resume"], "no state.ckpt to resume from"),
    ],
)
def test_a_mistake_gets_one_sentence_and_leaves_nothing(
    options: list[str], words: str, recipe: Path, tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, ["pretrain", "--config", str(recipe), *options])
    assert done.exit_code == 2
    assert words in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "runs").exists()


def test_checkpoints_go_only_where_they_fit(recipe: Path, training: Path, tmp_path: Path) -> None:
    out = Path(pretrain(recipe, ["epochs=1"], progress=False)["folder"])
    start = out / "best.safetensors"
    with pytest.raises(IcefrontError, match="pretrained for another architecture"):
        train(training, [f"init={start}", "architecture.depths=[1, 2]"], progress=False)
    with pytest.raises(IcefrontError, match="pretrained for another architecture"):
        train(training, [f"init={start}", "model=unet", "architecture={}"], progress=False)
    with pytest.raises(IcefrontError, match="pretrained only"):
        icefront.load_model(start)
    with pytest.raises(IcefrontError, match="holds a run already"):
        pretrain(recipe, ["epochs=1"], progress=False)
    (out / "state.ckpt").write_bytes(b"nothing")
    with pytest.raises(IcefrontError, match="is damaged"):
        pretrain(recipe, ["epochs=1"], resume=True, progress=False)


def test_a_leak_stands_in_the_checkpoint_and_in_every_report(
    recipe: Path, training: Path, archive: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(archive, tmp_path / "leaking"))
    for path in sorted(root.rglob("*Beta*")):
        path.rename(path.with_name(path.name.replace("Beta", "Mapple")))
    for path in sorted(root.rglob("*Gamma*")):
        path.rename(path.with_name(path.name.replace("Gamma", "Sjogren")))
    options = [f"data.root={root}", "epochs=1"]
    result = pretrain(recipe, options, progress=False)
    assert "Mapple" in result["warnings"][0]
    start = Path(result["folder"]) / "best.safetensors"
    assert "Mapple" in json.loads(start.with_suffix(".json").read_text())["provenance"]["leakage"]
    tuned = train(training, [f"init={start}", "epochs=1"], progress=False)
    assert ["Mapple" in w or "Sjogren was pretrained on" in w for w in tuned["warnings"]] == [1, 1]
    card = icefront.load_model(Path(tuned["folder"]) / "last.safetensors").card
    assert card.provenance["warnings"] == tuned["warnings"]
    clean = pretrain(recipe, [*options, "name=clean"], exclude=["Mapple"], progress=False)
    assert clean["warnings"] == []


# the experiment -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_experiment_goes_on_where_it_was(
    recipe: Path, training: Path, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped = ("name", "out", "init", "method")
    common = {k: v for k, v in yaml.safe_load(recipe.read_text()).items() if k not in dropped}
    tuning = {k: v for k, v in yaml.safe_load(training.read_text()).items() if k not in dropped}
    path = write(
        tmp_path / "experiment.yaml",
        {
            "name": "tiny",
            "out": str(tmp_path / "experiments"),
            "archive": {"root": str(archive)},
            "pretraining": {**common, "epochs": 1},
            "training": {**tuning, "epochs": 1},
            "starts": {
                "scratch": {"init": None},
                "optsimmim": {"pretraining": {"method": "optsimmim"}},
            },
            "references": ["scratch"],
            "shares": [0.5],
            "seeds": [0, 1],
        },
    )
    config = read_recipe(path, None, experiment.ExperimentConfig)
    real = experiment.train
    calls = []

    def stopping(recipe: object, **options: bool) -> dict:
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(recipe)
        return real(recipe, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(experiment, "train", stopping)
    with pytest.raises(KeyboardInterrupt):
        experiment.run_experiment(config, progress=False)
    folder = tmp_path / "experiments" / "tiny"
    assert len(json.loads((folder / "report.json").read_text())["runs"]) == 3
    monkeypatch.setattr(experiment, "train", real)
    monkeypatch.setattr(experiment, "pretrain", None)  # it is there
    found = experiment.run_experiment(config, progress=False)
    assert [(r["start"], r["seed"]) for r in found["runs"]] == [
        ("scratch", 0),
        ("optsimmim", 0),
        ("scratch", 1),
        ("optsimmim", 1),
    ]
    monkeypatch.setattr(experiment, "train", None)
    again = experiment.run_experiment(config, progress=False)
    assert json.dumps(again["summary"]) == json.dumps(found["summary"])
    row = next(r for r in found["summary"] if r["start"] == "optsimmim")
    assert set(row["against"]["scratch"]) == {"u", "p", "effect", "d", "difference"}
    table = (folder / "table.md").read_text()
    assert "| 50 % | optsimmim |" in table
    assert "nan" not in table
    assert "MDE in pixels" in table
    assert (folder / "figure.png").stat().st_size > 1000
    assert (folder / "runs.csv").read_text().count("\n") == 5
    other = config.model_copy(update={"training": {**config.training, "batch": 2}})
    with pytest.raises(IcefrontError, match="by another recipe"):
        experiment.run_experiment(other, progress=False)


def test_an_experiment_by_minutes_is_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path / "e.yaml",
        {"name": "e", "training": {"minutes": 3}, "starts": {"a": {}}, "references": ["a"]},
    )
    with pytest.raises(IcefrontError, match="differ from each other"):
        read_recipe(path, None, experiment.ExperimentConfig)
    with pytest.raises(IcefrontError, match="no start 'b'"):
        read_recipe(path, ["references=[b]"], experiment.ExperimentConfig)
