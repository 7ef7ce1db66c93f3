"""The head for the front on kept-out glaciers: lengths, distances, flags, reliability.

Name a folder with a network for each glacier that never saw it, ``SI.safetensors`` and so on with
their cards, in ``ICEFRONT_LEFT_OUT``. For each, a head is trained by ``configs/front-head.yaml`` on
the other glaciers of ``caffe256`` in ``ICEFRONT_DATA`` (default ``../shared/data``) and measured on
the glacier: without the head, with it, and with the boundary divided as a head would that knows the
labels (`icefront.training.front_head.front_labels`; what may be displaced counts as front). What is
done is kept in ``ICEFRONT_HEADS`` (default ``runs/heads``), so that a run that was stopped goes on.
``ICEFRONT_EVERY=3`` takes every third image. ``python -m benchmarks.head FOLDER`` draws the median
and the worst image of each glacier.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from rasterio.features import rasterize
from scipy.spatial import KDTree
from shapely.geometry.base import BaseGeometry

from icefront.annotators.traces import mask_to_line
from icefront.datasets.caffe import CaffeDataset
from icefront.datasets.landsat_fronts import read_landsat_fronts
from icefront.fronts import extract_front, extract_shore
from icefront.fronts.distances import points_along
from icefront.inference.predict import predict_zones
from icefront.models.registry import load_model
from icefront.scenes.scene import Scene
from icefront.training.front_head import FRONT, SHORE, front_labels, train_front_head
from icefront.zones import ZoneProbabilities

RECIPE = Path(__file__).parents[1] / "configs" / "front-head.yaml"
DATA = Path(os.environ.get("ICEFRONT_DATA", Path(__file__).parents[1] / "../shared/data"))
GLACIERS = ("SI", "DBE", "Crane", "JAC")
LANDSAT = ("Jakobshavn", "Sverdrup")
RATIO, CLOSE_PX, BINS = (0.75, 1.5), 5.0, 10
WAYS = {"without": "without the head", "with": "with it", "labels": "divided by the labels"}


def run() -> list[dict]:
    folder = os.environ.get("ICEFRONT_LEFT_OUT")
    kept = Path(os.environ.get("ICEFRONT_HEADS", "runs/heads"))
    if folder is None:
        return []
    scores = {g: _glacier(g, Path(folder), kept) for g in GLACIERS if _exists(folder, g)}
    rows = []
    for name, found in [*scores.items(), ("all", [s for many in scores.values() for s in many])]:
        rows += _rows(name, found)
    rows += _reliability([s for many in scores.values() for s in many])
    for trained in (None, *LANDSAT):
        rows += _landsat(trained, kept)
    return rows


def _exists(folder: str, glacier: str) -> bool:
    return (Path(folder) / f"{glacier}.safetensors").is_file()


def _head(name: str, kept: Path, **changes: Any) -> Path:
    """Train a head by the recipe, or take the one that is there."""
    path = kept / name / "last.safetensors"
    if not path.is_file():
        where = {"root": DATA / "caffe256", "landsat": DATA / "landsat_fronts/train", "out": kept}
        overrides = [f"{k}={v}" for k, v in {"name": name, **where, **changes}.items()]
        train_front_head(RECIPE, overrides, resume=True)
    return path


def _glacier(glacier: str, left_out: Path, kept: Path) -> list[dict[str, Any]]:
    every = int(os.environ.get("ICEFRONT_EVERY", "1"))
    scored = kept / f"{glacier}_{every}.json"
    if scored.is_file():
        return json.loads(scored.read_text())
    model = left_out / f"{glacier}.safetensors"
    head = _head(f"head-{glacier}", kept, model=model, test_glaciers=f"[{glacier}]")
    network = load_model(head)
    data = CaffeDataset(DATA / "caffe256", pixel_size_m=None)
    found = []
    for i in [i for i, s in enumerate(data.samples) if s.glacier == glacier][::every]:
        probabilities = predict_zones(network, data.scene(i), progress=False)
        found.append(
            {"name": data.names[i], **scores_of(probabilities, data.scene(i), data.front(i) > 0)}
        )
    scored.write_text(json.dumps(found))
    return found


def scores_of(probabilities: ZoneProbabilities, scene: Scene, front: np.ndarray) -> dict[str, Any]:
    """Compare a drawn front with the labelled one, with the head and without it, in pixels."""
    label = mask_to_line(front)
    true = KDTree(np.argwhere(front)[:, ::-1] + 0.5)
    found: dict[str, Any] = {}
    labels = front_labels(front)
    # What a head would say that knows the labels.
    known = np.where(labels == SHORE, 0.1, 0.9)
    zones = np.asarray(probabilities)
    for kind, given, odds in (
        ("with", probabilities, None),
        ("without", zones, None),
        ("labels", zones, known),
    ):
        row = extract_front(given, scene, front=odds).iloc[0]
        traced = mask_to_line(_mask(row.geometry, front.shape))
        points = points_along(row.geometry, 0.5)
        found[kind] = {
            "ratio": traced.length / max(label.length, 1.0),
            "there": float(true.query(points)[0].mean()) if len(points) else None,
            "back": float(KDTree(points).query(true.data)[0].mean()) if len(points) else None,
            "pieces": len(shapely.get_parts(row.geometry)) if len(points) else 0,
            "flag": row.flag,
            "uncertainty": row.uncertainty_px,
            "ends": [row.get("start_std_px", np.nan), row.get("end_std_px", np.nan)],
        }
    boundary = extract_front(zones, scene).geometry.iloc[0]
    places = points_along(boundary, 2.0).astype(int)
    places = places.clip(0, np.array(front.shape[::-1]) - 1)
    kinds = labels[places[:, 1], places[:, 0]]
    assert probabilities.front is not None
    odds = probabilities.front[places[:, 1], places[:, 0]]
    bins = np.minimum((odds * BINS).astype(int), BINS - 1)
    found["reliability"] = [
        [int(((bins == b) & (kinds == kind)).sum()) for kind in (SHORE, FRONT)] for b in range(BINS)
    ]
    return found


def _mask(line: BaseGeometry, shape: tuple[int, ...]) -> np.ndarray:
    if line.is_empty:
        return np.zeros(shape, bool)
    return rasterize([(line.buffer(1.0), 1)], out_shape=shape, dtype=np.uint8).astype(bool)


def _rows(name: str, scores: Sequence[dict[str, Any]]) -> list[dict]:
    rows = []
    for kind, words in WAYS.items():
        found = [s[kind] for s in scores]
        ratio = np.array([f["ratio"] for f in found])
        there, back = (
            np.array([f[way] for f in found if f[way] is not None]) for way in ("there", "back")
        )
        none = np.mean([f["there"] is None for f in found])
        note = f"{name}, {len(found)} images, {words}"
        inside = (ratio >= RATIO[0]) & (ratio <= RATIO[1])
        rows += [
            dict(name="length drawn / labelled", value=np.median(ratio), unit="", note=note),
            dict(name="within 0.75 to 1.5", value=100 * inside.mean(), unit="%", note=note),
            dict(name="drawn to true", value=there.mean(), unit="px", note=note),
            dict(name="true to drawn", value=back.mean(), unit="px", note=note),
            dict(name="images without a front", value=100 * none, unit="%", note=note),
            dict(name="within 5 px", value=100 * (there <= CLOSE_PX).mean(), unit="%", note=note),
        ]
        good = [f for f in found if f["flag"] == "good"]
        close = np.mean([f["there"] <= CLOSE_PX for f in good]) if good else np.nan
        rows += [
            dict(name="flagged good", value=100 * len(good) / len(found), unit="%", note=note),
            dict(name="of these within 5 px", value=100 * close, unit="%", note=note),
        ]
    return rows


def _reliability(scores: Sequence[dict[str, Any]]) -> list[dict]:
    if not scores:
        return []
    counts = np.sum([s["reliability"] for s in scores], axis=0)
    rows = []
    for b, (shore, front) in enumerate(counts):
        if shore + front:
            note = f"{shore + front} places with front probability {b / BINS:g}-{(b + 1) / BINS:g}"
            share = 100 * front / (shore + front)
            rows.append(dict(name="are front", value=share, unit="%", note=note))
    return rows


def _landsat(trained: str | None, kept: Path) -> list[dict]:
    """Test on Landsat: the head of no glacier of it, or of one and tested on the other."""
    scored = kept / f"landsat_{trained}.json"
    tested = [g for g in LANDSAT if g != trained]
    if not scored.is_file():
        changes = {"landsat_glaciers": f"[{trained}]"} if trained else {"landsat": "null"}
        network = load_model(_head(f"head-landsat-{trained}", kept, **changes))
        found = []
        for item in read_landsat_fronts(DATA / "landsat_fronts/train"):
            if item.glacier in tested:
                scene = Scene(item.image.astype(np.float32) / 255, name=item.name)
                probabilities = predict_zones(network, scene, progress=False)
                scores = scores_of(probabilities, scene, item.front)
                found.append({"glacier": item.glacier, "name": item.name, **scores})
        scored.write_text(json.dumps(found))
    rows = []
    for glacier in tested:
        found = [s for s in json.loads(scored.read_text()) if s["glacier"] == glacier]
        for kind in ("without", "with"):
            note = f"Landsat, {glacier}, trained on {trained or 'none'} of it, {kind} the head"
            for way, words in (("there", "drawn to true"), ("back", "true to drawn")):
                values = [np.inf if s[kind][way] is None else s[kind][way] for s in found]
                value = float(np.median(values))
                rows.append(dict(name=f"{words}, median", value=value, unit="px", note=note))
            ratio = np.median([s[kind]["ratio"] for s in found])
            rows.append(dict(name="length drawn / labelled", value=ratio, unit="", note=note))
    return rows


def draw(folder: Path) -> None:
    """Draw the median and the worst image of each glacier, with the truth."""
    from matplotlib.figure import Figure

    kept = Path(os.environ.get("ICEFRONT_HEADS", "runs/heads"))
    every = os.environ.get("ICEFRONT_EVERY", "1")
    data = CaffeDataset(DATA / "caffe256", pixel_size_m=None)
    glaciers = [g for g in GLACIERS if (kept / f"{g}_{every}.json").is_file()]
    figure = Figure(figsize=(3.2 * len(glaciers), 6.8), layout="constrained")
    axes = figure.subplots(2, len(glaciers), squeeze=False)
    for column, glacier in enumerate(glaciers):
        scores = json.loads((kept / f"{glacier}_{every}.json").read_text())
        drawn = [s for s in scores if s["with"]["there"] is not None]
        drawn.sort(key=lambda s: s["with"]["there"] + s["with"]["back"])
        network = load_model(kept / f"head-{glacier}" / "last.safetensors")
        for row, (what, score) in enumerate(
            [("median", drawn[len(drawn) // 2]), ("worst", drawn[-1])]
        ):
            i = data.names.index(score["name"])
            scene, axis = data.scene(i), axes[row, column]
            probabilities = predict_zones(network, scene, progress=False)
            axis.imshow(data.image(i), cmap="gray")
            y, x = np.nonzero(data.front(i) > 0)
            axis.plot(x, y, ".", color="#ffb020", markersize=2)
            for table, colour in (
                (extract_shore(probabilities, scene), "#5f9fff"),
                (extract_front(probabilities, scene), "#3ddc97"),
            ):
                for line in table.geometry:
                    for part in shapely.get_parts(line):
                        axis.plot(*(shapely.get_coordinates(part).T - 0.5), color=colour, lw=1.4)
            there, back = score["with"]["there"], score["with"]["back"]
            axis.set_title(f"{what}: {score['name']}\n{there:.1f} / {back:.1f} px", fontsize=7)
            axis.set_axis_off()
    figure.savefig(folder / "front-head.png", dpi=110)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
