"""Recipes for the packaged network, judged on glaciers that were kept out: one table.

Each of the four glaciers of ``caffe256`` in ``ICEFRONT_DATA`` (default ``../shared/data``) is kept
out in turn, with its native patches and the mosaics of them, and 3,600 crops of the others train a
network by ``configs/tyrion-mini.yaml`` with the changes of a candidate. It is scored on all images
of the glacier, without a box, and on Landsat, which no network has seen. A candidate costs eight
runs of some 13 minutes of one core, so nothing is trained unless ``ICEFRONT_CANDIDATES`` names
some, ``present,averaged`` for example. ``ICEFRONT_SEEDS`` are the seeds (default ``0,1``),
``ICEFRONT_RUNS`` the folder of the runs (default ``runs/kept-out``): a run that was stopped goes on
there, and of all that ended the rows are shown.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import KDTree
from shapely.geometry.base import BaseGeometry

from benchmarks.head import LANDSAT
from icefront.datasets.landsat_fronts import read_landsat_fronts
from icefront.errors import IcefrontError
from icefront.files.atomic import writing
from icefront.fronts import extract_front
from icefront.fronts.distances import points_along
from icefront.inference.predict import predict_zones
from icefront.models.registry import load_model
from icefront.scenes.scene import Scene
from icefront.training.loop import RESULT
from icefront.training.run import train

RECIPE = Path(__file__).parents[1] / "configs" / "tyrion-mini.yaml"
DATA = Path(os.environ.get("ICEFRONT_DATA", Path(__file__).parents[1] / "../shared/data"))
GLACIERS = ("SI", "DBE", "Crane", "JAC")
EPOCHS, CROPS = 9, 400  # 3,600 crops, and a state to go on from after each epoch
WITHOUT_MOSAICS = ("JAC",)
"""The only native patch of another glacier has no square of ocean that is large enough."""

CANDIDATES: dict[str, tuple[str, ...]] = {
    "present": (),
    "lite1sim": (
        "architecture.stem=lite1",
        "data.simulated=400",
        "data.simulated_fraction=0.25",
        "data.mosaic_fraction=0.2",
        "augmentation.zoom=[0.35,1.6]",
        "augmentation.open_water=0.4",
        "augmentation.open_water_range=[0.004,0.7]",
    ),
    # The mean of the weights is of a wider stretch where the learning rate stays high
    # (SWAD: Cha et al. 2021, arXiv:2102.08604).
    "averaged": ("optimiser.final=0.4", "optimiser.averaging=0.996"),
}
"""What each candidate changes in the recipe."""


def run() -> list[dict]:
    named = os.environ.get("ICEFRONT_CANDIDATES")
    asked = named.split(",") if named else []
    seeds = [int(seed) for seed in os.environ.get("ICEFRONT_SEEDS", "0,1").split(",")]
    if not (DATA / "caffe256").is_dir():
        return []
    for name in asked:
        for seed in seeds:
            for glacier in GLACIERS:
                _trained(name, glacier, seed)
    found = {name: _scores(name, seeds) for name in CANDIDATES}
    return [row for name, scores in found.items() if scores for row in _rows(name, scores, found)]


def _folder(name: str, glacier: str, seed: int) -> Path:
    runs = Path(os.environ.get("ICEFRONT_RUNS", "runs/kept-out"))
    return runs / name / f"{glacier}-{seed}"


def overrides_of(name: str, glacier: str, seed: int) -> list[str]:
    """Return what a run changes in the recipe; mosaics need patches of the other glaciers."""
    if name not in CANDIDATES:
        raise IcefrontError(f"There is no candidate {name!r}; there are {', '.join(CANDIDATES)}.")
    folder = _folder(name, glacier, seed)
    changes = [
        f"name={folder.name}",
        f"out={folder.parent}",
        f"seed={seed}",
        f"data.root={DATA / 'caffe256'}",
        f"data.test_glaciers=[{glacier}]",
        "minutes=null",
        f"epochs={EPOCHS}",
        f"crops_per_epoch={CROPS}",
        *CANDIDATES[name],
    ]
    if glacier in WITHOUT_MOSAICS:
        return [*changes, "data.textures=null", "data.mosaic_fraction=0"]
    return [*changes, f"data.textures={DATA / 'caffe_native'}"]


def _trained(name: str, glacier: str, seed: int) -> None:
    """Train and score a network, or go on with one that was stopped."""
    folder = _folder(name, glacier, seed)
    if not (folder / RESULT).is_file():
        begun = (folder / "recipe.yaml").is_file()
        train(RECIPE, overrides_of(name, glacier, seed), resume=begun)


def _scores(name: str, seeds: list[int]) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the scores of the runs of a candidate that have ended."""
    found = {}
    for seed in seeds:
        for glacier in GLACIERS:
            file = _folder(name, glacier, seed) / RESULT
            if file.is_file():
                scores = json.loads(file.read_text())["test"]["pooled"]
                found[glacier, seed] = {**scores, "landsat": _landsat(file.parent)}
    return found


def _landsat(folder: Path) -> dict[str, list[float]]:
    """Return the median distances on Landsat, both ways, in pixels, by glacier."""
    file = folder / "landsat.json"
    if not file.is_file():
        network = load_model(folder / "last.safetensors")
        distances: dict[str, list[tuple[float, float]]] = {}
        for item in _landsat_fronts():
            scene = Scene(item.image.astype(np.float32) / 255, name=item.name)
            probabilities = predict_zones(network, scene, progress=False)
            line = extract_front(probabilities, scene).geometry.iloc[0]
            distances.setdefault(item.glacier, []).append(_both_ways(line, item.front))
        medians = {g: np.median(d, axis=0).tolist() for g, d in distances.items()}
        with writing(file) as part:
            part.write_text(json.dumps(medians))
    return json.loads(file.read_text())


def _both_ways(line: BaseGeometry, front: np.ndarray) -> tuple[float, float]:
    """Return the mean distances drawn to true and true to drawn, in pixels."""
    points = points_along(line, 0.5)
    if not len(points):
        return np.inf, np.inf
    true = KDTree(np.argwhere(front)[:, ::-1] + 0.5)
    return float(true.query(points)[0].mean()), float(KDTree(points).query(true.data)[0].mean())


@cache
def _landsat_fronts() -> list[Any]:
    return list(read_landsat_fronts(DATA / "landsat_fronts/train"))


def _rows(name: str, scores: dict, every: dict) -> list[dict]:
    rows = []
    for glacier in GLACIERS:
        own = {seed: s for (g, seed), s in scores.items() if g == glacier}
        if own:
            values = ", ".join(f"seed {seed}: {s['mde']:.1f} px" for seed, s in own.items())
            value = np.mean([s["mde"] for s in own.values()])
            iou = np.mean([s["mean_iou"] for s in own.values()])
            note = f"{values}; mean IoU {iou:.3f}"
            rows.append(dict(name=f"{name}, {glacier}", value=value, unit="px", note=note))
    # Only runs that both have are compared.
    shared = sorted(set(scores) & set(every["present"])) or sorted(scores)
    ours = np.mean([scores[run]["mde"] for run in shared])
    iou = np.mean([s["mean_iou"] for s in scores.values()])
    missing = sum(s["without_front"] for s in scores.values())
    images = sum(s["images"] for s in scores.values())
    note = f"{len(shared)} runs; mean IoU {iou:.3f}; {100 * missing / images:.1f} % without a front"
    if name != "present" and set(shared) <= set(every["present"]):
        present = np.mean([every["present"][run]["mde"] for run in shared])
        note += f"; {100 * (ours / present - 1):+.0f} % of the present recipe's {present:.1f} px"
    rows.append(dict(name=f"{name}, mean of glaciers", value=ours, unit="px", note=note))
    for glacier in LANDSAT:
        # A network that saw Jakobshavn by radar has seen the glacier.
        own = [s for (g, _), s in scores.items() if g == "JAC" or glacier != "Jakobshavn"]
        if own:
            there, back = np.mean([s["landsat"][glacier] for s in own], axis=0)
            note = f"drawn to true, median; true to drawn {back:.1f} px; {len(own)} networks"
            rows.append(dict(name=f"{name}, Landsat, {glacier}", value=there, unit="px", note=note))
    return rows
