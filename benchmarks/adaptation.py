"""A network that learns a site by itself: what it gains on CaFFe's glaciers.

Without a label, and with the zones of five dates given, which enter the pass and the training; the
errors with them are those of the other dates. Needs networks that never saw a glacier: see
``benchmarks/_left_out.py``. The images of the other glaciers are replayed. ``ICEFRONT_SEEDS``
(default ``0,1``) and ``ICEFRONT_CROPS`` (default: that of the command) say how often and how long.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time

import numpy as np

from benchmarks._left_out import VIEWS, LeftOutGlacier, images, networks, predicted_view, results
from icefront.datasets.caffe import CaffeDataset
from icefront.files.atomic import writing
from icefront.series.agreement import smooth_series
from icefront.series.evidence import SILENT
from icefront.training.adaptation import (
    AdaptationConfig,
    adapt_network,
    agreement,
    dates_kept_out,
    pass_without,
    sure_zones,
)
from icefront.zones import NO_DATA

CORRECTED = (0, 5)
"""Numbers of dates whose zones are given."""

NAMES = {
    "single": "single, before",
    "through": "through time, before",
    "views": "single, over 8 views",
    "views_through": "through time, over 8 views",
    "single_after": "single, adapted",
    "through_after": "through time, adapted",
}


def run() -> list[dict]:
    config = AdaptationConfig()
    if crops := os.environ.get("ICEFRONT_CROPS"):
        config = config.model_copy(update={"crops": int(crops)})
    seeds = [int(seed) for seed in os.environ.get("ICEFRONT_SEEDS", "0,1").split(",")]
    rows = []
    found: dict[str, list[float]] = {}
    for path in networks():
        glacier = LeftOutGlacier(path)
        for seed, count in itertools.product(seeds, CORRECTED):
            scores = _kept(glacier, config.model_copy(update={"seed": seed}), count)
            note = f"seed {seed}, {scores['minutes']:.1f} CPU minutes, {scores['images']} images"
            given = f", {count} corrected" if count else ""
            for key, name in NAMES.items():
                found.setdefault(name + given, []).append(scores[key])
                rows.append(
                    dict(
                        name=f"{path.stem}, {name}{given}", value=scores[key], unit="px", note=note
                    )
                )
            for key in ("agreement", "agreement_after"):
                rows.append(
                    dict(
                        name=f"{path.stem}, {key}{given}", value=scores[key], unit="IoU", note=note
                    )
                )
    rows += [
        dict(
            name=f"mean, {name}",
            value=float(np.mean(values)),
            unit="px",
            note=f"of {len(values)} networks",
        )
        for name, values in found.items()
    ]
    return rows


def _kept(glacier: LeftOutGlacier, config: AdaptationConfig, count: int) -> dict:
    """Return the scores of a glacier and seed with so many corrections, measured now or before."""
    facts = json.dumps(
        [glacier.network.card.sha256, config.model_dump(), count],  # type: ignore[union-attr]
        sort_keys=True,
    )
    digest = hashlib.sha256(facts.encode()).hexdigest()[:8]
    file = results() / f"adaptation-{glacier.name}-{config.seed}-{count}-{digest}.json"
    if not file.exists():
        scores = _measured(glacier, config, count)
        with writing(file) as part:
            part.write_text(json.dumps(scores))
    return json.loads(file.read_text())


def _measured(glacier: LeftOutGlacier, config: AdaptationConfig, count: int) -> dict:
    dataset, dates = glacier.dataset, glacier.dates
    others = CaffeDataset(images(), exclude=[glacier.name], pixel_size_m=None, clean_labels=True)
    single, views = glacier.over(1), glacier.over(VIEWS)
    drawn = glacier.drawn(count)
    scored = sorted(set(range(len(dates))) - set(drawn))
    begun = time.process_time()
    kept = dates_kept_out(dates, sorted(drawn))
    smoothed = pass_without(views, dates, kept, corrections=drawn)
    site = [
        (dataset.image(i), sure_zones(smoothed[i], config.sure))
        for i in range(len(dataset))
        if i not in kept
        and agreement(views[i].argmax(axis=0), smoothed[i].argmax(axis=0)) >= config.least_agreement
        for _ in range(config.corrected_weight if i in drawn else 1)
    ]
    replay = [(others.image(i), others.zones(i)) for i in range(len(others))]
    adapted = adapt_network(glacier.network, site, replay, config)
    minutes = (time.process_time() - begun) / 60
    adapted.card = glacier.network.card  # type: ignore[assignment]
    after = np.stack([predicted_view(adapted, dataset, i) for i in range(len(dataset))])
    references = {i: sure_zones(smoothed[i], config.sure) for i in kept}
    for i in set(kept) & set(drawn):
        silent = (drawn[i] == NO_DATA) | (drawn[i] == SILENT)
        references[i] = np.where(silent, references[i], drawn[i])

    def agreed(series: np.ndarray) -> float:
        pairs = references.items()
        return float(np.mean([agreement(series[i].argmax(axis=0), zones) for i, zones in pairs]))

    def alone(series: np.ndarray) -> float:
        return glacier.error(series.argmax(axis=1), scored)

    def through(series: np.ndarray) -> float:
        passed = smooth_series(glacier.with_gaps(series), dates, corrections=drawn, fill=True)
        return glacier.error(glacier.zones(passed), scored)

    return {
        "images": len(dataset),
        "minutes": minutes,
        "single": alone(single),
        "through": through(single),
        "views": alone(views),
        "views_through": through(views),
        "single_after": alone(after),
        "through_after": through(after),
        "agreement": agreed(single),
        "agreement_after": agreed(after),
    }
