"""A network that learns a site by itself: what it gains on CaFFe's glaciers, without a label.

Name a folder with a network for each glacier that never saw it, ``SI.safetensors`` and so on with
their cards, in ``ICEFRONT_LEFT_OUT``; the images are those of ``caffe256`` in ``ICEFRONT_DATA``
(default ``../shared/data``), and those of the other glaciers are replayed. ``ICEFRONT_SEEDS``
(default ``0,1``) and ``ICEFRONT_CROPS`` (default: that of the command) say how often and how long.
Each result is kept in ``ICEFRONT_RESULTS`` (default: beside the networks), so that the benchmark
goes on where it was stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import numpy as np
from torch import nn

from icefront.datasets.caffe import CaffeDataset
from icefront.evaluation import pool_mde
from icefront.evaluation.protocol import protocol_front
from icefront.fronts import distance_errors
from icefront.inference.predict import predict_zones
from icefront.models.registry import load_model
from icefront.series.estimation import estimate_rates
from icefront.series.smoothing import through_time
from icefront.training.adaptation import (
    AdaptationConfig,
    adapt_network,
    agreement,
    dates_kept_out,
    pass_without,
    sure_zones,
)

MIN_LENGTH_PX = 12
NAMES = {
    "single": "single, before",
    "through": "through time, before",
    "views": "single, over 8 views",
    "views_through": "through time, over 8 views",
    "single_after": "single, adapted",
    "through_after": "through time, adapted",
}


def run() -> list[dict]:
    folder = os.environ.get("ICEFRONT_LEFT_OUT")
    if not folder:
        return []
    config = AdaptationConfig()
    if crops := os.environ.get("ICEFRONT_CROPS"):
        config = config.model_copy(update={"crops": int(crops)})
    seeds = [int(seed) for seed in os.environ.get("ICEFRONT_SEEDS", "0,1").split(",")]
    results = Path(os.environ.get("ICEFRONT_RESULTS", folder))
    data = Path(os.environ.get("ICEFRONT_DATA", "../shared/data")) / "caffe256"
    rows = []
    found: dict[str, list[float]] = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        for seed in seeds:
            settings = config.model_copy(update={"seed": seed})
            scores = _kept(path, data, settings, results)
            note = f"seed {seed}, {scores['minutes']:.1f} CPU minutes, {scores['images']} images"
            for key, name in NAMES.items():
                found.setdefault(name, []).append(scores[key])
                rows.append(
                    dict(name=f"{path.stem}, {name}", value=scores[key], unit="px", note=note)
                )
            for key in ("agreement", "agreement_after"):
                rows.append(
                    dict(name=f"{path.stem}, {key}", value=scores[key], unit="IoU", note=note)
                )
    note = f"of {len(found.get(NAMES['single'], []))} networks"
    rows += [
        dict(name=f"mean, {name}", value=float(np.mean(values)), unit="px", note=note)
        for name, values in found.items()
    ]
    return rows


def _kept(path: Path, data: Path, config: AdaptationConfig, results: Path) -> dict:
    """Return the scores of a glacier and seed, measured now or before."""
    facts = json.dumps([load_model(path).card.sha256, config.model_dump()], sort_keys=True)  # type: ignore[union-attr]
    name = f"{path.stem}-{config.seed}-{hashlib.sha256(facts.encode()).hexdigest()[:8]}.json"
    file = results / f"adaptation-{name}"
    if not file.exists():
        scores = _measured(load_model(path), path.stem, data, config)
        results.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(scores))
        part.replace(file)
    return json.loads(file.read_text())


def _measured(network: nn.Module, glacier: str, data: Path, config: AdaptationConfig) -> dict:
    dataset = CaffeDataset(data, glaciers=[glacier], pixel_size_m=None)
    others = CaffeDataset(data, exclude=[glacier], pixel_size_m=None, clean_labels=True)
    dates = [sample.date for sample in dataset.samples]
    single = _predicted(network, dataset)
    views = _predicted(network, dataset, config.views)
    begun = time.process_time()
    kept = dates_kept_out(dates)
    smoothed = pass_without(views, dates, kept)
    site = [
        (dataset.image(i), sure_zones(smoothed[i], config.sure))
        for i in range(len(dataset))
        if i not in kept
        and agreement(views[i].argmax(axis=0), smoothed[i].argmax(axis=0)) >= config.least_agreement
    ]
    replay = [(others.image(i), others.zones(i)) for i in range(len(others))]
    adapted = adapt_network(network, site, replay, config)
    minutes = (time.process_time() - begun) / 60
    adapted.card = network.card  # type: ignore[assignment]
    after = _predicted(adapted, dataset)
    references = {i: sure_zones(smoothed[i], config.sure) for i in kept}

    def agreed(series: np.ndarray) -> float:
        pairs = references.items()
        return float(np.mean([agreement(series[i].argmax(axis=0), zones) for i, zones in pairs]))

    return {
        "images": len(dataset),
        "minutes": minutes,
        "single": _error(single, dataset),
        "through": _error(_through(single, dates), dataset),
        "views": _error(views, dataset),
        "views_through": _error(_through(views, dates), dataset),
        "single_after": _error(after, dataset),
        "through_after": _error(_through(after, dates), dataset),
        "agreement": agreed(single),
        "agreement_after": agreed(after),
    }


def _predicted(network: nn.Module, dataset: CaffeDataset, views: int = 1) -> np.ndarray:
    return np.stack(
        [
            predict_zones(network, dataset.scene(i), exact=True, symmetries=views, progress=False)
            for i in range(len(dataset))
        ]
    )


def _through(series: np.ndarray, dates: list) -> np.ndarray:
    return through_time(series, dates, rates=estimate_rates(series, dates))


def _error(series: np.ndarray, dataset: CaffeDataset) -> float:
    """Return the mean distance error in pixels of 256, pooled over images."""
    errors = []
    for i in range(len(dataset)):
        zones = series[i].argmax(axis=0).astype(np.uint8)
        front = protocol_front(zones, 1.0, None, MIN_LENGTH_PX)
        errors.append(distance_errors(front, dataset.front(i), 1.0))
    return float(pool_mde(errors).mde)
