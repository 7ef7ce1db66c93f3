"""A network at work: its input, its mode, its batches, and a scene that fits into one window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, stack_module_state

from icefront.inference.precision import QuickestWay
from icefront.inference.windows import Network, probabilities_of
from icefront.models.card import ModelCard
from icefront.models.compact import CompactTyrion
from icefront.models.folding import FoldedTyrion, folded
from icefront.models.unet import UNet
from icefront.scenes.radiometry import equalise
from icefront.scenes.scene import Scene

BATCHES = {"cpu": 1, "mps": 4, "cuda": 16}
"""Windows at once by kind of device: a processor gains little from more, and memory is spared."""


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
        From (1, 1, window, window) to logits (1, 4, window, window), or five with the front's.
    window : int
        Side of the window in pixels.
    device : str or torch.device
        Where the window is put for the network.

    Returns
    -------
    float32 (4, H, W) or (5, H, W)
        Probabilities of the zones, then that of the front where the network has it.
    """
    height, width = image.shape
    top, left = (window - height) // 2, (window - width) // 2
    inside = np.s_[top : top + height, left : left + width]
    given = np.zeros((1, 1, window, window), np.float32)
    given[0, 0][inside] = np.nan_to_num(image, nan=0.0)
    with torch.inference_mode():
        logits = network(torch.from_numpy(given).to(device))
        found = probabilities_of(logits)[0].cpu().numpy()
    return np.ascontiguousarray(found[:, inside[0], inside[1]])


def has_front(model: object) -> bool:
    """Tell whether a network gives the probability of the front beside the zones."""
    return getattr(model, "front", None) is not None and hasattr(model, "zones_and_front")


class WithFront:
    """A network with a head for the front, asked for zones and front at once.

    Parameters
    ----------
    model : nn.Module
        One for which `has_front` holds.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """Return logits of windows, (B, 5, side, side)."""
        found: torch.Tensor = self.model.zones_and_front(windows)  # type: ignore[operator]
        return found


def answering(model: nn.Module) -> Network:
    """Return a network as it is, or asked for the front too where it has a head for it."""
    return WithFront(model) if has_front(model) else model


_FOLDED: WeakKeyDictionary[nn.Module, tuple[list[Any], _Centre, QuickestWay]] = WeakKeyDictionary()


def _folded_once(model: nn.Module) -> tuple[_Centre, QuickestWay]:
    """Return what `folded` does; that of the scene before where the weights are still the same.

    Folding takes as long as several windows. Weights are compared by place, by PyTorch's count of
    changes, and by their sums, which tell changes that are not counted.
    """
    tensors = [*model.parameters(), *model.buffers()]
    if any(tensor.is_inference() for tensor in tensors):
        found = _Centre(folded(model)).eval()
        return found, QuickestWay(found)
    with torch.no_grad():
        sums = [tensor.sum(dtype=torch.float64) for tensor in tensors]
        total = torch.stack(sums).tolist() if sums else []
    state = [(id(tensor), tensor.data_ptr(), tensor._version) for tensor in tensors]
    known = _FOLDED.get(model)
    if known is not None and known[0] == [state, total]:
        return known[1:]
    found = _Centre(folded(model)).eval()
    quickest = QuickestWay(found)
    if found.model is not model:
        _FOLDED[model] = [state, total], found, quickest
    return found, quickest


class _Centre(nn.Module):
    """A folded network, from windows and a margin to logits of zones and front."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, windows: torch.Tensor, margin: int = 0) -> torch.Tensor:
        """Return logits without `margin` pixels at each edge of the windows."""
        found: torch.Tensor
        if isinstance(self.model, CompactTyrion):
            windows = windows.contiguous(memory_format=torch.channels_last)
            if self.model.front is not None:
                return self.model.zones_and_front(windows, margin)
            found = self.model(windows, margin)
        elif isinstance(self.model, FoldedTyrion):
            found = self.model(windows, margin)
        else:
            inside = slice(margin, windows.shape[-1] - margin)
            found = self.model(windows)[:, :, inside, inside]
        return found


class FoldedNetwork:
    """A network as all commands run it over windows unless they are told to be exact.

    Its answers are those of the model but for rounding in float32, in about half the time: see
    `icefront.models.folding`. Where only the centre of a window counts, no more is decoded.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode, on its device.
    freezing : bool
        Let it be frozen where that pays, see `icefront.inference.precision.QuickestWay`; its
        weights are in memory twice then.
    """

    def __init__(self, model: nn.Module, *, freezing: bool = False) -> None:
        self.network, self._quickest = _folded_once(model)
        self._freezing = freezing and self.network.model is not model

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """Return logits of windows, of the front too where the network has a head for it."""
        return self.centre(windows, 0)

    def centre(self, windows: torch.Tensor, margin: int) -> torch.Tensor:
        """Return logits without `margin` pixels at each edge of the windows."""
        run = self._quickest if self._freezing else self.network
        found: torch.Tensor = run(windows, margin)
        return found


class StackedNetworks:
    """Folded networks of one architecture that see the same windows at once.

    On a GPU one pass over stacked weights keeps it busier than a pass of each network.

    Parameters
    ----------
    networks : sequence of FoldedNetwork
        For which `alike` holds.
    """

    def __init__(self, networks: Sequence[FoldedNetwork]) -> None:
        modules = [one.network for one in networks]
        self.count = len(modules)
        self._weights = stack_module_state(modules)
        first = modules[0]

        def one(weights: Any, windows: torch.Tensor, margin: int) -> torch.Tensor:
            found: torch.Tensor = functional_call(first, weights, (windows, margin))
            return found

        self._all = torch.vmap(one, in_dims=(0, None, None))

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """Return logits of all windows by the first network, then by the second, and so on."""
        return self.centre(windows, 0)

    def centre(self, windows: torch.Tensor, margin: int) -> torch.Tensor:
        """Return logits (count * B, 4 or 5, …) without `margin` pixels at each edge."""
        found: torch.Tensor = self._all(self._weights, windows, margin).flatten(0, 1)
        return found


def alike(networks: Sequence[FoldedNetwork]) -> bool:
    """Tell whether networks can be stacked: of the family, and different in their weights only.

    The full Tyrion cannot: PyTorch's `vmap` does not map all that it is made of.
    """
    first, *others = (one.network for one in networks)
    if not isinstance(first.model, (CompactTyrion, UNet)):
        return False
    shapes = {name: tensor.shape for name, tensor in first.state_dict().items()}
    return all(
        repr(other) == repr(first)
        and {name: tensor.shape for name, tensor in other.state_dict().items()} == shapes
        for other in others
    )
