"""Glaciers of CaFFe and networks that never saw them: what is predicted is kept on disk.

Name a folder with a network for each glacier, ``SI.safetensors`` and so on with their cards, in
``ICEFRONT_LEFT_OUT``; the images are those of ``caffe256`` in ``ICEFRONT_DATA`` (default
``../shared/data``). Predictions and results are kept in ``ICEFRONT_RESULTS`` (default: beside the
networks), so that a benchmark goes on where it was stopped.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from torch import nn

from icefront.datasets.caffe import CaffeDataset
from icefront.evaluation import pool_mde
from icefront.evaluation.protocol import protocol_front
from icefront.files.atomic import writing
from icefront.fronts import distance_errors
from icefront.inference.predict import predict_zones
from icefront.models.registry import load_model
from icefront.zones import NO_DATA, ROCK

MIN_LENGTH_PX = 12
VIEWS = 8


def images() -> Path:
    """Return the folder of the images."""
    return Path(os.environ.get("ICEFRONT_DATA", "../shared/data")) / "caffe256"


def networks() -> list[Path]:
    """Return the networks, none where no folder is named."""
    folder = os.environ.get("ICEFRONT_LEFT_OUT")
    return sorted(Path(folder).glob("*.safetensors")) if folder else []


def results() -> Path:
    """Return the folder that keeps predictions and results."""
    folder = os.environ.get("ICEFRONT_RESULTS") or os.environ["ICEFRONT_LEFT_OUT"]
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)


class LeftOutGlacier:
    """The images of one glacier and what a network that never saw it says of them.

    Attributes
    ----------
    name : str
    dataset : CaffeDataset
    network : nn.Module
    dates : list of datetime.date
    gaps : bool (T, H, W)
        Where an image has no data or is masked.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self.dataset = CaffeDataset(images(), glaciers=[self.name], pixel_size_m=None)
        self.network = load_model(path)
        self.dates = [sample.date for sample in self.dataset.samples]
        alone = self.view(0)
        self.gaps = np.stack(
            [
                ~self.dataset.scene(i).valid
                | ((self.dataset.image(i) == 0) & (alone[i].argmax(axis=0) == NO_DATA))
                for i in range(len(self.dataset))
            ]
        )

    def view(self, number: int) -> np.ndarray:
        """Return the probabilities of all images, turned or mirrored, uint8 (T, 4, H, W).

        They lie as the images do. The views are those of `icefront.inference.symmetries.views`;
        0 is the image as it is.
        """
        facts = self.network.card.sha256[:8]  # type: ignore[union-attr]
        path = results() / f"{self.name}-{facts}-view{number}.npy"
        if not path.exists():
            values = np.stack(
                [
                    np.rint(255 * predicted_view(self.network, self.dataset, i, number))
                    for i in range(len(self.dataset))
                ]
            ).astype(np.uint8)
            with writing(path) as part, part.open("wb") as file:
                np.save(file, values)
        return np.load(path, mmap_mode="r")

    def over(self, views: int) -> np.ndarray:
        """Return the mean of the first views, float32 (T, 4, H, W)."""
        total = self.view(0).astype(np.float32)
        for number in range(1, views):
            total += self.view(number)
        return total / (255 * views)

    def with_gaps(self, found: np.ndarray) -> np.ndarray:
        """Return probabilities that sum to 1, no data in the gaps and practically only there."""
        found = found.copy()
        found[:, NO_DATA] = np.where(self.gaps, 1, np.minimum(found[:, NO_DATA], 0.996))
        rest = found[:, ROCK:].sum(axis=1)
        found[:, ROCK:] *= ((1 - found[:, NO_DATA]) / np.maximum(rest, 1e-9))[:, None]
        return found

    def zones(self, smoothed: np.ndarray) -> np.ndarray:
        """Return the zones of smoothed probabilities, the gaps as they are, (T, H, W)."""
        return np.where(self.gaps, NO_DATA, smoothed[:, ROCK:].argmax(axis=1) + ROCK)

    def drawn(self, count: int) -> dict[int, np.ndarray]:
        """Return the true zones of so many dates, spread evenly through time, by their index."""
        by_date = np.argsort(np.array(self.dates, "M8[D]"), kind="stable")
        chosen = by_date[np.linspace(0, len(self.dates) - 1, count + 2).astype(int)[1:-1]]
        return {int(i): self.dataset.zones(int(i)) for i in chosen}

    def error(self, zones: np.ndarray, scored: Iterable[int] | None = None) -> float:
        """Return the mean distance error in pixels of 256, pooled over images."""
        errors = []
        for i in range(len(self.dataset)) if scored is None else scored:
            front = protocol_front(zones[i].astype(np.uint8), 1.0, None, MIN_LENGTH_PX)
            errors.append(distance_errors(front, self.dataset.front(i), 1.0))
        return float(pool_mde(errors).mde)


def predicted_view(
    network: nn.Module, dataset: CaffeDataset, index: int, number: int = 0
) -> np.ndarray:
    """Return what a network says of one view of an image, float32 (4, H, W)."""
    scene = dataset.scene(index)
    mirrored, quarter = divmod(number, 4)
    image = scene.image[:, ::-1] if mirrored else scene.image
    turned = dataclasses.replace(scene, image=np.ascontiguousarray(np.rot90(image, quarter)))
    found = np.asarray(predict_zones(network, turned, exact=True, progress=False))
    found = np.rot90(found, -quarter, (-2, -1))
    return found[..., ::-1] if mirrored else found
