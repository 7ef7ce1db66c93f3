"""A model and a scene to the probabilities of its zones, on the scene's own grid."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from icefront.inference.precision import choose_device, precision
from icefront.inference.symmetries import SymmetryAverage
from icefront.inference.windows import Layout, Network, blend_windows
from icefront.models.card import ModelCard
from icefront.scenes.radiometry import equalise
from icefront.scenes.scene import Scene

BATCHES = {"cpu": 1, "mps": 4, "cuda": 16}
"""Windows at once by kind of device: a processor gains nothing from more, and memory is spared."""


def card_of(model: nn.Module) -> ModelCard:
    """Return a model's card; that of the default windows for a network without one."""
    card = getattr(model, "card", None)
    if isinstance(card, ModelCard):
        return card
    return ModelCard(name=type(model).__name__, architecture={})


def predict_zones(
    model: nn.Module,
    scene: Scene,
    *,
    stride: int | None = None,
    layout: Layout | None = None,
    tta: bool = False,
    device: str = "auto",
    exact: bool = False,
    progress: bool = True,
) -> np.ndarray:
    """Predict the probabilities of the four zones of a scene, on the grid of the scene as it is.

    Parameters
    ----------
    model : torch.nn.Module
        From (B, 1, window, window) in 0..1 to logits (B, 4, window, window). Its card, if it has
        one, tells windows, stride and the mapping of the input.
    scene : Scene
        Image in 0..1 with NaN for no data, which enters the network as 0.
    stride : int, optional
        Step of the windows in pixels, instead of the card's. A given stride also makes a model
        that may take a scene as one go by windows.
    layout : Layout, optional
        Of the windows, instead of the card's; a scene that may be taken as one still is.
    tta : bool
        Average over the eight flips and rotations of each window (eight times the time).
    device : str
        ``auto`` or a torch device.
    exact : bool
        Compute in float32; otherwise bfloat16 where the device is faster with it.
    progress : bool
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    float32 (4, H, W)
        Probabilities of no data, rock, glacier, ocean; they sum to 1 everywhere, also where the
        scene has no data.

    Raises
    ------
    IcefrontError
        If the device does not exist or the stride leaves gaps.
    """
    card = card_of(model)
    image = prepared(scene, card)
    chosen = layout or Layout(card.window, card.target, card.stride)
    where = choose_device(device)
    network: Network = SymmetryAverage(model) if tta else model
    with evaluating(model, where), precision(where, exact=exact):
        if card.whole and stride is None and max(image.shape) <= card.window:
            return predict_whole(image, network, window=card.window, device=where)
        return blend_windows(
            image,
            network,
            window=chosen.window,
            target=chosen.target,
            stride=chosen.stride if stride is None else stride,
            coarse=chosen.coarse,
            batch=BATCHES.get(where.type, 1),
            device=where,
            progress=progress,
        )


def prepared(scene: Scene, card: ModelCard) -> np.ndarray:
    """The image of a scene as a model takes it, float32 (H, W) in 0..1 with NaN for no data."""
    return equalise(scene.image) if card.input_mapping == "equalised" else scene.image


def predict_whole(
    image: np.ndarray, network: Network, *, window: int, device: str | torch.device = "cpu"
) -> np.ndarray:
    """Predict an image that fits into one window, centred in it and surrounded by no data.

    Parameters
    ----------
    image : float (H, W)
        Grey values in 0..1 with NaN for no data, at most `window` on each side.
    network : callable
        From (1, 1, window, window) to logits (1, 4, window, window).
    window : int
        Side of the window in pixels.
    device : str or torch.device
        Where the window is put for the network.

    Returns
    -------
    float32 (4, H, W)
        Probabilities of the zones.
    """
    height, width = image.shape
    top, left = (window - height) // 2, (window - width) // 2
    inside = np.s_[top : top + height, left : left + width]
    given = np.zeros((1, 1, window, window), np.float32)
    given[0, 0][inside] = np.nan_to_num(image, nan=0.0)
    with torch.inference_mode():
        logits = network(torch.from_numpy(given).to(device)).float()
        zones = torch.softmax(logits[0], dim=0).cpu().numpy()
    return np.ascontiguousarray(zones[:, inside[0], inside[1]])


@contextmanager
def evaluating(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Put a model on a device in evaluation mode, and afterwards back to where it was."""
    modes = {module: module.training for module in model.modules()}
    parameter = next(model.parameters(), None)
    home = None if parameter is None else parameter.device
    model.eval().to(device)
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
        if home is not None:
            model.to(home)
