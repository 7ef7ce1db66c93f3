"""Write small files of every kind with icefront 0.1.0, for `tests/commands/data/0.1.0`.

Run with that release, in the root of this repository::

    PYTHONPATH=PATH_OF_0.1.0/src:. python -m tests.helpers.files_of_release_0_1_0 FOLDER
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import torch
import yaml

import icefront
from tests.helpers.scenes import GREYS, GreyLevels, landscape, write_tif

CAFFE_GLACIERS = ("Mapple", "COL")
TINY = {"family": "unet", "widths": [4, 8]}
COMPACT = {"family": "compact", "image_size": 64, "window_size": 4, "depth": 2}
WINDOW = {"window": 64, "target": 32, "stride": 16}


def write_scenes(folder: Path, count: int) -> None:
    """Write scenes of a front that retreats by a pixel each."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image = landscape()
        image[30:-30, : 120 - number] = GREYS[2]
        image[30:-30, 120 - number :] = GREYS[3]
        date = dt.date(2018, 1, 5) + dt.timedelta(24 * number)
        write_tif(folder / f"Crane_{date:%Y%m%d}_S1.tif", image, compress="deflate")


def write_projects(out: Path) -> None:
    """Write a project of a network given from outside, and one of the packaged model."""
    from icefront.monitoring.runs import run_monitoring

    write_scenes(out / "scenes", 4)
    settings = {
        "scenes": ["scenes"],
        "glaciers": {"Crane": {"names": ["crane-glacier"], "aoi": "area.geojson"}},
        "radiometry": "grey",
        "tta": True,
    }
    area = {
        "type": "Polygon",
        "coordinates": [
            [[-196e3, -2270e3], [-190e3, -2270e3], [-190e3, -22745e2], [-196e3, -22745e2]]
        ],
    }
    area["coordinates"][0].append(area["coordinates"][0][0])
    (out / "area.geojson").write_text(
        json.dumps(
            {
                "type": "FeatureCollection",
                "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3413"}},
                "features": [{"type": "Feature", "properties": {}, "geometry": area}],
            }
        )
    )
    (out / "monitoring.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    every = {
        "scenes": ["scenes", "archive/*/S1_*.tif"],
        "table": "table.csv",
        "glaciers": {"Crane": {"names": ["crane-glacier"], "scenes": ["x"], "aoi": "area.geojson"}},
        "aoi": "area.geojson",
        "model": "tyrion-mini",
        "band": 1,
        "radiometry": "grey",
        "pixel_size": 30.0,
        "tta": True,
        "exact": True,
    }
    (out / "monitoring-every-key.yaml").write_text(yaml.safe_dump(every, sort_keys=False))
    options = {"progress": False, "device": "cpu", "workers": 1}
    for name, source, more in (
        ("project", out / "monitoring.yaml", {"loader": GreyLevels}),
        ("project-packaged", out / "scenes", {}),
    ):
        report = run_monitoring(source, out / name, **options, **more)
        print(report.sentence())
    write_products(out)


def write_products(out: Path) -> None:
    """Write the vectors among the products of a project."""
    from icefront.monitoring.products import make_products

    made = make_products(out / "project", out=out / "all", animation=False, progress=False)
    (out / "products").mkdir()
    for name in ("fronts.gpkg", "fronts.geojson", "lines.gpkg"):
        (made.folder / name).replace(out / "products" / name)
    shutil.rmtree(out / "all")


def write_checkpoint(path: Path, seed: int) -> Path:
    """Write a small network of ours."""
    from icefront.models import ModelCard
    from icefront.models.checkpoints import write_own
    from icefront.models.registry import build

    torch.manual_seed(seed)
    network = build(TINY)
    write_own(path, network, ModelCard(path.stem, network.card.architecture, **WINDOW))
    return path


def write_training(out: Path, work: Path) -> None:
    """Write a run that stopped after an epoch, and the result of one that did not."""
    from icefront.training.run import train
    from tests.helpers.simulated_caffe import make_caffe

    recipe = {
        "name": "stopped",
        "model": "unet",
        "architecture": {"widths": [4, 8]},
        "data": {
            "root": str(make_caffe(work / "caffe")),
            "test_glaciers": ["SI"],
            "validation": 0.25,
            "pixel_size_m": None,
            "min_length_m": 4,
        },
        "out": str(work / "runs"),
        "epochs": 2,
        "crops_per_epoch": 8,
        "batch": 4,
        "workers": 0,
        **WINDOW,
        "optimiser": {"name": "adamw", "learning_rate": 2e-3, "schedule": "constant"},
    }
    path = work / "training.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    train(path, ["epochs=1"], progress=False)
    whole = train(path, ["name=whole"], progress=False)
    shutil.copytree(
        work / "runs" / "stopped", out / "runs" / "stopped", ignore=shutil.ignore_patterns("logs")
    )
    (out / "whole-training.json").write_text(json.dumps(whole["test"]["pooled"], indent=1) + "\n")
    recipe["data"]["root"], recipe["out"] = "caffe", "runs"
    (out / "training.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))


def pretraining_recipe(work: Path, name: str, **more: object) -> dict:
    """Return what the recipes of pretraining have in common, with a data set, and more keys."""
    from tests.helpers.simulated_ssl4sar import make_ssl4sar

    return {
        "name": name,
        "model": "unet",
        "architecture": {"widths": [4, 8]},
        "init": None,
        "out": str(work / "runs"),
        "data": {"root": str(make_ssl4sar(work / f"{name}-data")), "stride": 32, "windows": 3},
        "crops_per_epoch": 8,
        "batch": 4,
        "window": 64,
        "workers": 0,
        "pictures_every": 100,
        **more,
    }


def write_pretraining(out: Path, work: Path) -> None:
    """Write the checkpoint that pretraining leaves, and its state."""
    from icefront.pretraining.run import pretrain

    recipe = pretraining_recipe(
        work, "pretrained", method="optsimmim", epochs=2, optimiser={"learning_rate": 0.05}
    )
    path = work / "pretraining.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    pretrain(path, ["epochs=1"], progress=False)
    copy_run(recipe, path, out)


def copy_run(recipe: dict, path: Path, out: Path) -> None:
    """Copy a run and its recipe, whose paths become those of the copy."""
    name = recipe["name"]
    shutil.copytree(
        Path(recipe["out"]) / name,
        out / "runs" / name,
        ignore=shutil.ignore_patterns("logs", "pictures"),
    )
    recipe["data"]["root"], recipe["out"] = "ssl4sar", "runs"
    (out / path.name).write_text(yaml.safe_dump(recipe, sort_keys=False))


def write_stalled_pretraining(out: Path, work: Path) -> None:
    """Write a run stopped after an epoch without gain, and the losses of one that was not."""
    from icefront.pretraining.run import pretrain

    recipe = pretraining_recipe(
        work,
        "stalled",
        method="opttranslator",
        epochs=20,
        stop_after=5,
        optimiser={"learning_rate": 2.0, "patience": 2},
    )
    path = work / "pretraining-stalled.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    pretrain(path, ["epochs=8"], progress=False)
    whole = pretrain(path, ["name=whole-stalled"], progress=False)
    with next((work / "runs" / "whole-stalled").glob("logs/version_*/metrics.csv")).open() as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file) if row["val_loss"]]
    facts = {name: whole[name] for name in ("epochs", "crops", "best_loss")} | {"val_loss": losses}
    (out / "whole-pretraining.json").write_text(json.dumps(facts, indent=1) + "\n")
    copy_run(recipe, path, out)


def write_benchmark(out: Path) -> None:
    """Write a benchmark with an ensemble, a calibration and the predictions it keeps."""
    from icefront.simulation.layouts import simulate_caffe

    from icefront.evaluation.benchmark import benchmark
    from icefront.evaluation.calibration import LEVELS, Calibration, write_calibration

    data = out / "caffe"
    simulate_caffe(data, seed=4, glaciers=CAFFE_GLACIERS, share=0.005, coarser=20, progress=False)
    models = [write_checkpoint(out / f"small-{seed}.safetensors", seed) for seed in range(2)]
    benchmark(
        data,
        out / "benchmark",
        models=models,
        ensemble=True,
        symmetries=1,
        native=True,
        scenes=False,
        progress=False,
    )
    # Networks that have learned nothing draw no fronts to calibrate by.
    factors = tuple(1.5 + 2 * level for level in LEVELS)
    labels = ("small-0", "small-1", "ensemble")
    calibrations = {label: Calibration(LEVELS, factors, 7, "7 images") for label in labels}
    write_calibration(out / "calibration.json", calibrations)
    for name in ("report.html", "report.md", "figures"):
        path = out / "benchmark" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_recipes(out: Path, configs: Path) -> None:
    """Copy the recipes of the release."""
    shutil.copytree(configs, out / "configs")


def main(folder: str) -> None:
    """Write all files into a folder that does not exist."""
    if icefront.__version__ != "0.1.0":
        raise SystemExit(f"this is icefront {icefront.__version__}: run with release 0.1.0")
    release = Path(icefront.__file__).parents[2]
    out = Path(folder).absolute()
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        os.environ["ICEFRONT_CACHE"] = str(work / "cache")
        write_projects(out)
        write_benchmark(out)
        write_training(out, work)
        write_pretraining(out, work)
        write_stalled_pretraining(out, work)
    write_recipes(out, release / "configs")


if __name__ == "__main__":
    main(sys.argv[1])
