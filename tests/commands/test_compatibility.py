"""Files that icefront 0.1.0 wrote go on working (data/0.1.0/README.md says what they are)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner

import icefront
from icefront.cli import app
from icefront.evaluation.calibration import read_calibration
from icefront.pretraining.config import PretrainingConfig
from icefront.pretraining.experiment import ExperimentConfig
from icefront.pretraining.run import pretrain
from icefront.projects.catalogue import DONE, NO_FRONT, Catalogue
from icefront.projects.config import read_config
from icefront.projects.run import run_monitoring
from icefront.recipes import read_recipe
from icefront.training.config import TrainingConfig
from icefront.training.run import train
from tests.helpers.scenes import GREYS, GreyLevels, landscape, write_tif
from tests.helpers.simulated_caffe import make_caffe
from tests.helpers.simulated_ssl4sar import make_ssl4sar

WRITTEN = Path(__file__).parent / "data" / "0.1.0"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a copy of the files: what is opened may be changed."""
    return Path(shutil.copytree(WRITTEN, tmp_path / "old"))


def command(*words: object) -> str:
    """Run a command that must succeed; return what it prints."""
    said = CliRunner().invoke(app, [str(word) for word in words])
    assert said.exit_code == 0, said.output
    return said.output


def rows(project: Path) -> pd.DataFrame:
    with Catalogue(project) as catalogue:
        return catalogue.table([DONE, NO_FRONT]).set_index("scene")


def run(old: Path, **options: object):
    return run_monitoring(
        old / "monitoring.yaml",
        old / "project",
        loader=GreyLevels,
        device="cpu",
        workers=1,
        progress=False,
        **options,
    )


# projects -----------------------------------------------------------------------------------------


def test_a_project_goes_on_without_doing_a_scene_again(old: Path) -> None:
    before = rows(old / "project")
    image = landscape()
    image[30:-30, :100] = GREYS[2]
    image[30:-30, 100:] = GREYS[3]
    write_tif(old / "scenes" / "Crane_20180501_S1.tif", image)
    report = run(old)
    assert (report.found, report.already, report.done, report.failed) == (5, 4, 1, 0)
    after = rows(old / "project")
    kept = after.loc[before.index]
    same = ["state", "length_m", "uncertainty_m", "flag", "finished", "settings", "run"]
    assert kept[same].equals(before[same])
    assert kept.geometry.geom_equals_exact(before.geometry, 0).all()
    assert after["settings"].nunique() == 1
    assert after["state"].tolist() == [DONE] * 5


def test_a_scene_done_again_has_the_front_it_had(old: Path) -> None:
    before = rows(old / "project")
    (old / "project" / "catalogue.gpkg").unlink()
    shutil.rmtree(old / "project" / "scenes")
    assert run(old, through_time=False).done == 4
    after = rows(old / "project").loc[before.index]
    assert after["settings"].equals(before["settings"])
    assert after["length_m"].to_numpy() == pytest.approx(before["length_m"].to_numpy(), rel=0.02)
    apart = after.geometry.hausdorff_distance(before.geometry)
    assert apart.max() < 20


def test_a_project_of_the_packaged_model_is_not_of_other_settings(old: Path) -> None:
    said = command(
        "monitor", "run", old / "scenes", "--out", old / "project-packaged", "--workers", 1
    )
    assert "4 scenes: 4 were there already" in said


def test_products_and_review_of_a_project_are_written(old: Path) -> None:
    project = old / "project"
    command("monitor", "products", project, "--no-animation")
    assert (project / "products" / "report.html").is_file()
    series = pd.read_csv(project / "products" / "series.csv")
    assert series["date"].nunique() == 4
    command("monitor", "review", project, "--reject", "Crane_20180105_S1")
    assert rows(project)["verdict"]["Crane_20180105_S1"] == "rejected"


@pytest.mark.parametrize("name", ["fronts.gpkg", "fronts.geojson"])
def test_fronts_and_lines_among_the_products_are_measured(
    old: Path, tmp_path: Path, name: str
) -> None:
    lines = old / "products" / "lines.gpkg"
    words = ["--centreline", lines, "--box", lines, "--out", tmp_path / "measures"]
    command("monitor", "measure", old / "products" / name, *words)
    series = pd.read_csv(tmp_path / "measures" / "series.csv")
    assert series["date"].nunique() == 4
    assert set(series["glacier"]) == {"Crane"}
    command("monitor", "import", old / "products" / name, "--out", tmp_path / "fronts.gpkg")
    assert gpd.read_file(tmp_path / "fronts.gpkg")["model"].notna().all()
    command("monitor", "products", old / "project", "--no-animation", "--box", lines)


def test_a_lost_catalogue_comes_back_from_the_records(old: Path) -> None:
    before = rows(old / "project")
    (old / "project" / "catalogue.gpkg").unlink()
    report = run(old)
    assert report.done == 0
    assert rows(old / "project")["length_m"].equals(before["length_m"])


def test_every_key_of_a_configuration_is_known_and_counts(old: Path) -> None:
    path = old / "monitoring-every-key.yaml"
    values = yaml.safe_load(path.read_text())
    config, root = read_config(path)
    assert root == old
    assert config.model == "tyrion-mini"
    assert config.glaciers["Crane"].names == ["crane-glacier"]
    assert (config.band, config.radiometry, config.pixel_size) == (1, "grey", 30.0)
    for key in values:
        path.write_text(yaml.safe_dump({name: values[name] for name in values if name != key}))
        assert read_config(path)[0] != config, key


# models -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["small-0.safetensors", "runs/stopped/best_mean_iou.safetensors"])
def test_a_checkpoint_is_loaded_with_its_card(name: str) -> None:
    model = icefront.load_model(WRITTEN / name)
    assert (model.card.window, model.card.target, model.card.stride) == (64, 32, 16)
    zones = model(torch.zeros(1, 1, 64, 64))
    assert zones.shape == (1, 4, 64, 64)


def test_a_pretrained_checkpoint_starts_a_training(old: Path) -> None:
    make_caffe(old / "caffe-training")
    init = old / "runs" / "pretrained" / "best.safetensors"
    result = train(
        old / "training.yaml",
        [
            f"data.root={old / 'caffe-training'}",
            f"out={old / 'new'}",
            "name=tuned",
            "epochs=1",
            f"init={init}",
        ],
        progress=False,
    )
    assert Path(result["folder"], "last.safetensors").is_file()


def test_a_stopped_training_goes_on_to_the_result_of_the_release(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(old)
    shutil.rmtree(old / "caffe")
    make_caffe(old / "caffe")
    command("train", "--config", "training.yaml", "--resume")
    result = json.loads((old / "runs" / "stopped" / "result.json").read_text())
    assert result["crops"] == 16
    whole = json.loads((WRITTEN / "whole-training.json").read_text())
    ours = result["test"]["pooled"]
    assert ours.keys() >= whole.keys()
    for name, value in whole.items():
        if isinstance(value, float) and np.isfinite(value):
            assert ours[name] == pytest.approx(value, rel=1e-3), name


def test_a_stopped_pretraining_goes_on(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(old)
    make_ssl4sar(old / "ssl4sar")
    command("pretrain", "--config", "pretraining.yaml", "--resume")
    result = json.loads((old / "runs" / "pretrained" / "result.json").read_text())
    assert (result["epochs"], result["crops"]) == (2, 16)


def test_a_stalled_pretraining_goes_on_to_the_result_of_the_release(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(old)
    make_ssl4sar(old / "ssl4sar")
    # Stopped after 8 epochs, of which one without gain, with half of the learning rate.
    result = pretrain("pretraining-stalled.yaml", resume=True, progress=False)
    whole = json.loads((WRITTEN / "whole-pretraining.json").read_text())
    assert (result["epochs"], result["crops"]) == (whole["epochs"], whole["crops"])
    assert result["best_loss"] == pytest.approx(whole["best_loss"], rel=1e-3)
    metrics = pd.concat(map(pd.read_csv, old.glob("runs/stalled/logs/version_*/metrics.csv")))
    losses = metrics["val_loss"].dropna()
    assert losses.tolist() == pytest.approx(whole["val_loss"][8:], rel=1e-3)


# recipes ------------------------------------------------------------------------------------------

RECIPES = sorted((WRITTEN / "configs").glob("*.yaml"))


def kind_of(path: Path) -> type:
    values = yaml.safe_load(path.read_text("utf-8"))
    if path.stem.startswith("experiment"):
        return ExperimentConfig
    return PretrainingConfig if "method" in values else TrainingConfig


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_means_what_it_meant(path: Path) -> None:
    config = read_recipe(path, None, kind_of(path))
    values = yaml.safe_load(path.read_text("utf-8"))
    assert config.name == values.get("name", config.name)


def test_there_are_recipes() -> None:
    assert len(RECIPES) == 13


# benchmarks ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_kept_predictions_count_only_by_the_windows_they_were_made_with(old: Path) -> None:
    # The default windows are others since: predictions by the earlier ones are not mixed in.
    out = old / "benchmark"
    before = pd.read_csv(WRITTEN / "benchmark" / "images.csv")
    kept = {path: path.stat().st_mtime_ns for path in (out / "predictions").rglob("*.png")}
    models = [word for n in range(2) for word in ("--model", old / f"small-{n}.safetensors")]
    words = ("--data", old / "caffe", "--out", out, *models, "--native", "--no-scenes", "--resume")
    command("benchmark", *words, "--ensemble", "--symmetries", 1)
    assert kept
    again = {path: path.stat().st_mtime_ns for path in kept}
    assert all(again[path] > time for path, time in kept.items())
    after = pd.read_csv(out / "images.csv")
    assert len(after) == len(before)
    assert {"model", "image", "iou"} <= set(before.columns) & set(after.columns)
    command("benchmark", *words, "--ensemble", "--symmetries", 1)
    assert {path: path.stat().st_mtime_ns for path in kept} == again


def test_a_folder_of_predictions_is_scored_by_a_calibration(old: Path, tmp_path: Path) -> None:
    read = read_calibration(old / "calibration.json")
    assert set(read) == {"small-0", "small-1", "ensemble"}
    assert read["small-0"].factor(0.9) == pytest.approx(1.5 + 2 * 0.9)
    said = command(
        "benchmark",
        *("--data", old / "caffe", "--out", tmp_path / "out", "--no-scenes"),
        *("--predictions", old / "benchmark" / "predictions" / "small-0"),
        *("--calibration", old / "calibration.json"),
    )
    assert "small-0" in said
