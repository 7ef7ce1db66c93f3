"""Training of the head that tells calving front from shore, on a network that stays as it is.

The network predicts crops, and the head learns at the boundaries of glacier and ocean that it draws
there, right or wrong: its own wrong shores are the hard examples. What lies near the labelled front
is front; what lies away from it, or beyond its ends, is shore; boundaries that are only displaced
from the front do not count. Both kinds weigh the same, so that log odds of 0 favour neither.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from rasterio.features import rasterize
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from icefront.datasets.caffe import CaffeDataset
from icefront.datasets.crops import CropDataset, ZoneCache
from icefront.datasets.landsat_fronts import read_landsat_fronts
from icefront.errors import IcefrontError
from icefront.files.atomic import explained_writing, writing
from icefront.fronts.minimum_length import MIN_LENGTH_PX
from icefront.fronts.regions import dilate, front_regions
from icefront.models.card import ModelCard, card_of, packaged_weights
from icefront.models.checkpoints import write_own
from icefront.models.compact import CompactTyrion, FrontHead
from icefront.models.equalisation import equalise_batch
from icefront.models.registry import build, load_model
from icefront.progress import steps
from icefront.recipes import Strict, read_recipe
from icefront.simulation.samples import random_image
from icefront.training.augmentation import (
    AugmentationConfig,
    change_radiometry,
    distort,
    orient,
)
from icefront.training.loop import write_result
from icefront.zones import GLACIER, OCEAN, likeliest

log = logging.getLogger("icefront.training")

SHORE, FRONT, OPEN = 1, 2, 3
"""What is known of a place on a boundary: shore, front, or neither; 0 is outside of the image."""

NEAR_PX, DISPLACED_PX = 4.0, 25.0
"""A boundary this near to the labelled front is front, and up to the other distance beside it
perhaps displaced, in pixels."""

CELLS = "cells.npz"
WEIGHTS = "last.safetensors"


class FrontHeadConfig(Strict):
    """How a head for the front is trained.

    Attributes
    ----------
    name : str
        Of the run and of the checkpoint.
    model : str or None
        The network that gets the head, as `icefront.load_model` names it; its weights stay.
    root : str
        Folder of a data set in CaFFe's layout, with fronts.
    test_glaciers : list of str
        Left out.
    landsat : str or None
        Folder of Landsat images with fronts (`icefront.datasets.landsat_fronts`).
    landsat_glaciers : list of str
        Those of its glaciers that are trained on; all if none is named.
    landsat_fraction, simulated_fraction : float
        Fractions of the crops that are drawn from Landsat images and from simulated scenes.
    simulated : int
        Number of simulated scenes.
    crops : int
        Crops whose boundaries are learned from.
    augmentation : AugmentationConfig
        Flips, turns, zoom, distortion, brightness, gamma and speckle; the rest is not used.
    hidden : int
        Features between the two layers of the head.
    epochs, batch : int
        Passes over the places on the boundaries, and places in a step.
    learning_rate, weight_decay, dropout, noise, smoothing : float
        `noise` is the standard deviation of what is added to the standardised features.
    half : bool
        Store 16-bit numbers.
    seed : int
    out : str
        Folder of the runs.
    """

    name: str = Field(pattern=r"^[\w.-]+$")
    model: str | None = None
    root: str
    test_glaciers: list[str] = Field([])
    landsat: str | None = None
    landsat_glaciers: list[str] = Field([])
    landsat_fraction: float = Field(0.15, ge=0, le=1)
    simulated: int = Field(0, ge=0)
    simulated_fraction: float = Field(0.2, ge=0, le=1)
    crops: int = Field(1800, gt=0)
    augmentation: AugmentationConfig = AugmentationConfig()  # type: ignore[call-arg]
    hidden: int = Field(32, gt=0)
    epochs: int = Field(1, gt=0)
    batch: int = Field(256, gt=0)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    dropout: float = Field(0.6, ge=0, lt=1)
    noise: float = Field(0.3, ge=0)
    smoothing: float = Field(0.05, ge=0, lt=0.5)
    half: bool = False
    seed: int = 0
    out: str = "runs"

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return Path(self.out) / self.name


@dataclass(frozen=True)
class Cells:
    """Places on boundaries: squares of `FrontHead.cell` pixels.

    Attributes
    ----------
    features : float16 (N, C)
        What the head sees.
    is_front : bool (N,)
    weight : float32 (N,)
        Of each place in the loss: crops with long boundaries count by the root of their number.
    """

    features: np.ndarray
    is_front: np.ndarray
    weight: np.ndarray


def front_labels(front: np.ndarray) -> np.ndarray:
    """Say of each pixel what a boundary there would be.

    Parameters
    ----------
    front : bool (H, W)
        The labelled front.

    Returns
    -------
    uint8 (H, W)
        `SHORE`, `FRONT` or `OPEN`.
    """
    found = np.full(front.shape, SHORE, np.uint8)
    if not front.any():
        return found
    neighbours = ndimage.convolve(front.astype(np.uint8), np.ones((3, 3), np.uint8)) - front
    ends = front & (neighbours <= 1)
    distance, nearest = ndimage.distance_transform_edt(~front, return_indices=True)
    beyond = ends[tuple(nearest)]
    found[(distance <= DISPLACED_PX) & ~beyond] = OPEN
    found[(distance <= NEAR_PX) & beyond] = OPEN
    found[(distance <= NEAR_PX) & ~beyond] = FRONT
    found[distance <= 1.5] = FRONT
    return found


def boundary_cells(network: CompactTyrion, images: Tensor, labels: np.ndarray) -> Iterator[Cells]:
    """Find what a head sees at the boundaries that a network draws, one image after the other.

    Parameters
    ----------
    network : CompactTyrion
        In evaluation mode.
    images : float32 (B, 1, S, S)
        As they enter the network.
    labels : uint8 (B, S, S)
        From `front_labels`; 0 outside of the images.
    """
    with torch.inference_mode():
        logits, features = network.zones_and_front_features(images)
        probabilities = torch.softmax(logits, dim=1).numpy()
        given = features.half().numpy()
    cell = FrontHead.cell
    for zones, seen, label in zip(probabilities, given, labels, strict=True):
        regions, drawable = front_regions(
            likeliest(zones), zones[GLACIER] >= zones[OCEAN], label > 0, MIN_LENGTH_PX
        )
        boundary = (regions == GLACIER) & dilate(regions == OCEAN, 1) & drawable
        rows, columns = label.shape[0] // cell, label.shape[1] // cell
        counts = np.stack(
            [
                (boundary & (label == kind)).reshape(rows, cell, columns, cell).sum(axis=(1, 3))
                for kind in (SHORE, FRONT, OPEN)
            ]
        )
        kinds = np.where(counts.any(axis=0), counts.argmax(axis=0) + SHORE, 0)
        known = (kinds == SHORE) | (kinds == FRONT)
        weight = np.full(known.sum(), 1 / np.sqrt(max(known.sum(), 1)), np.float32)
        yield Cells(seen[:, known].T, kinds[known] == FRONT, weight)


def _scenes(config: FrontHeadConfig, progress: bool) -> list[tuple[float, list[Any]]]:
    """Return images with what is known of their boundaries, uint8 (H, W) each, by kind."""
    data = CaffeDataset(config.root, pixel_size_m=None)
    unknown = sorted(set(config.test_glaciers) - {s.glacier for s in data.samples})
    if unknown:
        raise IcefrontError(f"{config.root} has no glacier {', '.join(unknown)} to leave out.")
    chosen = [
        i
        for i, s in enumerate(data.samples)
        if s.glacier not in config.test_glaciers and s.front is not None
    ]
    if not chosen:
        raise IcefrontError(f"{config.root} leaves no image with a front to learn from.")
    caffe = [(data.image(i), front_labels(data.front(i) > 0)) for i in chosen]
    kinds: list[tuple[float, list[Any]]] = []
    if config.landsat is not None:
        wanted = config.landsat_glaciers
        found = [
            (item.image, front_labels(item.front))
            for item in read_landsat_fronts(config.landsat)
            if not wanted or item.glacier in wanted
        ]
        kinds.append((config.landsat_fraction, found))
    if config.simulated:
        simulated = []
        with steps("simulating", config.simulated, show=progress) as advance:
            for number in range(config.simulated):
                simulated.append(_simulated(number, config.seed))
                advance(1)
        kinds.append((config.simulated_fraction, simulated))
    return [*kinds, (1.0, caffe)]  # what is left of the crops


def _simulated(number: int, seed: int, pixels: int = 320) -> tuple[np.ndarray, np.ndarray]:
    image = random_image(number, seed, pixels=pixels)
    front = np.zeros(image.grey.shape, np.uint8)
    if not image.front.is_empty:
        front = rasterize(
            [(image.front, 1)],
            out_shape=image.grey.shape,
            transform=image.grid.transform,
            all_touched=True,
            dtype=np.uint8,
        )
    return image.grey, front_labels(front > 0)


def gather_cells(
    network: CompactTyrion, config: FrontHeadConfig, *, progress: bool = False
) -> Cells:
    """Collect the places on the boundaries that a network draws in the crops of a recipe."""
    card = card_of(network)
    crops = CropDataset(
        ZoneCache((), ()),
        [],
        card.window,
        zoom=config.augmentation.zoom,
        zoom_probability=config.augmentation.zoom_probability,
        seed=config.seed,
        other_scenes=_scenes(config, progress),
    )
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    found: list[Cells] = []
    with steps("predicting", config.crops, show=progress) as advance:
        for number in range(config.crops):
            image, label = (part[None] for part in crops[number])
            generator = torch.Generator().manual_seed((config.seed << 32) + number)
            image, label = orient(image, label, config.augmentation, generator)
            image, label = distort(image, label, config.augmentation, generator)
            image = change_radiometry(image, config.augmentation, generator)
            if card.input_mapping == "equalised":
                image = equalise_batch(image)
            image = image.contiguous(memory_format=torch.channels_last)
            found += boundary_cells(network, image, label.numpy().astype(np.uint8))
            advance(1)
    return Cells(
        np.concatenate([cells.features for cells in found]),
        np.concatenate([cells.is_front for cells in found]),
        np.concatenate([cells.weight for cells in found]),
    )


def fit_head(cells: Cells, config: FrontHeadConfig, widths: Sequence[int]) -> FrontHead:
    """Fit the two layers of a head to places on boundaries.

    Parameters
    ----------
    cells : Cells
    config : FrontHeadConfig
    widths : sequence of int
        Features of each level.

    Raises
    ------
    IcefrontError
        If the places are all front or all shore.
    """
    if cells.is_front.all() or not cells.is_front.any():
        raise IcefrontError(
            "The boundaries that the network draws are all front, or all shore: give more images."
        )
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    features = torch.from_numpy(cells.features.astype(np.float32))
    answer = torch.from_numpy(cells.is_front).float()
    weight = torch.from_numpy(cells.weight.copy())
    for kind in (0.0, 1.0):
        weight[answer == kind] /= weight[answer == kind].sum()
    weight *= len(weight) / weight.sum()
    mean, std = features.mean(0), features.std(0) + 1e-3
    first, second = nn.Linear(features.shape[1], config.hidden), nn.Linear(config.hidden, 1)
    optimiser = torch.optim.AdamW(
        [*first.parameters(), *second.parameters()],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
    )
    per_epoch = max(1, len(features) // config.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, per_epoch * config.epochs)
    for _ in range(config.epochs):
        order = torch.randperm(len(features), generator=generator)
        for part in order[: per_epoch * config.batch].split(config.batch):
            x = (features[part] - mean) / std
            x = F.dropout(
                x + config.noise * torch.randn(x.shape, generator=generator), config.dropout
            )
            logits = second(F.relu(first(x)))[:, 0]
            target = answer[part] * (1 - 2 * config.smoothing) + config.smoothing
            loss = F.binary_cross_entropy_with_logits(logits, target, weight[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    head = FrontHead(tuple(widths), config.hidden)
    with torch.no_grad():
        # Standardising becomes part of the first layer.
        scaled = first.weight / std
        state = {
            "project.0.bias": first.bias - scaled @ mean,
            "classify.weight": second.weight[:, :, None, None],
            "classify.bias": second.bias,
        }
        for number, part in enumerate(scaled.split(list(widths), dim=1)):
            state[f"project.{number}.weight"] = part[:, :, None, None]
        head.load_state_dict(state)
    return head


def with_head(network: CompactTyrion, head: FrontHead) -> CompactTyrion:
    """Return a network of the same weights with a head, in evaluation mode."""
    card = card_of(network)
    hidden = head.classify.in_channels
    card = replace(card, architecture={**card.architecture, "front_width": hidden}, sha256="")
    found = build(card)
    assert isinstance(found, CompactTyrion)
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("front.")}
    state |= {f"front.{name}": value for name, value in head.state_dict().items()}
    found.load_state_dict(state)
    return found.eval()


def train_front_head(
    recipe: str | Path | FrontHeadConfig,
    overrides: list[str] | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Give a network a head for the front as a recipe says, and write the checkpoint.

    Parameters
    ----------
    recipe : str, Path or FrontHeadConfig
        A YAML file, or what was read from one.
    overrides : list of str, optional
        ``key=value``, for a file.
    resume : bool
        Take what an earlier run of the same name found at the boundaries.
    overwrite : bool
        Start anew where there is such a run.
    progress : bool
        Show bars.

    Returns
    -------
    dict
        ``folder``, ``checkpoint``, ``cells`` and ``fronts`` (their number, and how many of them are
        front).

    Raises
    ------
    IcefrontError
        If the recipe, the data, the network or the folder of the run is not in order.
    """
    config = recipe
    if not isinstance(config, FrontHeadConfig):
        config = read_recipe(recipe, overrides, FrontHeadConfig)  # type: ignore[arg-type]
    kept = config.folder / CELLS
    if config.folder.exists() and not (resume or overwrite) and any(config.folder.iterdir()):
        raise IcefrontError(
            f"{config.folder} holds a run already: go on with --resume, or start anew with "
            "--overwrite."
        )
    network = load_model(config.model)
    if not isinstance(network, CompactTyrion):
        raise IcefrontError(
            f"The model {card_of(network).name} has no features that a head for the front could "
            "be put on: take a member such as tyrion-mini."
        )
    cells = _kept_cells(kept) if resume else None
    with explained_writing(config.folder):
        config.folder.mkdir(parents=True, exist_ok=True)
        if cells is None:
            cells = gather_cells(network, config, progress=progress)
            with writing(kept) as part, part.open("wb") as file:
                np.savez(
                    file, features=cells.features, is_front=cells.is_front, weight=cells.weight
                )
    count = len(cells.is_front)
    log.info("%d places on boundaries, %d of them front", count, cells.is_front.sum())
    found = with_head(network, fit_head(cells, config, network.level_widths))
    card = _card(card_of(found), card_of(network), config)
    path = config.folder / WEIGHTS
    write_own(path, found, card, half=config.half)
    result = {
        "folder": str(config.folder),
        "checkpoint": str(path),
        "cells": count,
        "fronts": int(cells.is_front.sum()),
    }
    write_result(config.folder, result)
    return result


def _kept_cells(path: Path) -> Cells | None:
    if not path.is_file():
        return None
    try:
        with np.load(path) as kept:
            return Cells(kept["features"], kept["is_front"], kept["weight"])
    except (OSError, ValueError, KeyError) as error:
        raise IcefrontError(f"{path} is damaged: start the run anew with --overwrite.") from error


def _card(card: ModelCard, before: ModelCard, config: FrontHeadConfig) -> ModelCard:
    recipe = config.model_dump(mode="json", exclude={"out"})
    for name in ("root", "landsat"):
        recipe[name] = recipe[name] and Path(recipe[name]).name
    named = config.model is None or packaged_weights(config.model) is not None
    recipe["model"] = config.model if named else Path(str(config.model)).name
    about = {"recipe": recipe, "network_sha256": before.sha256}
    return replace(card, provenance={**card.provenance, "front_head": about})
