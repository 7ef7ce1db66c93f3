"""What is kept of a prediction, so that scores can be had again without the network.

Zones are a grey PNG as CaFFe's labels are (a few kilobytes; other programs read it), whose text
names the model and the image. Beside it an ``.npz`` keeps the uncertainty of the front pixels and,
for ensembles, the standard deviation of each class at no more than 512 pixels a side, 8 bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from icefront.datasets.caffe import read_zones
from icefront.files.atomic import writing
from icefront.zones import N_ZONES, ZONE_GREYS

_GO_ON = (
    "name another folder with --out; predictions that are written stay, and --resume goes on "
    "after them"
)

_PROBABILITIES = "probabilities"

STD_SIDE = 512
"""Longest side of the kept maps of standard deviations, in pixels."""

STD_FULL = 0.5
"""Standard deviation of a probability that is kept as 255: the largest there can be."""


@dataclass(frozen=True)
class Prediction:
    """A predicted zone map and how sure it is.

    Attributes
    ----------
    zones : uint8 (H, W)
        Class codes on the grid of the image, before cleaning.
    front : int64 (N,)
        Flat indices of its front pixels before the box is applied, ascending.
    width, disagreement : float32 (N,)
        Standard deviation of the place of each, in metres (pixels where they have no size): from
        the probabilities, and from the members of an ensemble (0 for one model). NaN if unknown.
    class_std : float64 (4,)
        Mean over the image of the standard deviation of each class; NaN for one model.
    std : uint8 (4, h, w) or None
        The same as maps, averaged down; 255 is 0.5.
    probabilities : uint8 (4, H, W) or None
        Of the zones, 255 for 1, where the dates of a glacier are to be smoothed together.
    """

    zones: np.ndarray
    front: np.ndarray
    width: np.ndarray
    disagreement: np.ndarray
    class_std: np.ndarray
    std: np.ndarray | None = None
    probabilities: np.ndarray | None = None

    def uncertainty(self, front: np.ndarray) -> np.ndarray:
        """Return the standard deviation of each pixel of a front (H, W) as float64 (P,).

        In reading order, both parts together as if they were independent; NaN for pixels that
        nothing is known of.
        """
        wanted = np.flatnonzero(front)
        found = np.full(len(wanted), np.nan)
        if len(self.front):
            at = np.minimum(np.searchsorted(self.front, wanted), len(self.front) - 1)
            known = self.front[at] == wanted
            both = np.hypot(self.width.astype(np.float64), self.disagreement.astype(np.float64))
            found[known] = both[at[known]]
        return found


def bare(zones: np.ndarray) -> Prediction:
    """Return a prediction of which only the zones are known."""
    nothing = np.empty(0, np.float32)
    return Prediction(zones, np.empty(0, np.int64), nothing, nothing, np.full(N_ZONES, np.nan))


def averaged_std(std: np.ndarray) -> np.ndarray:
    """Average maps (4, H, W) of standard deviations down and keep them in 8 bits."""
    factor = max(1, -(-max(std.shape[1:]) // STD_SIDE))
    rows, columns = (np.arange(0, n, factor) for n in std.shape[1:])
    total = np.add.reduceat(np.add.reduceat(std, rows, axis=1), columns, axis=2)
    counts = np.multiply.outer(
        np.diff(np.append(rows, std.shape[1])), np.diff(np.append(columns, std.shape[2]))
    )
    return np.clip(np.rint(total / counts * (255 / STD_FULL)), 0, 255).astype(np.uint8)


def write_prediction(
    folder: Path, name: str, prediction: Prediction, facts: Mapping[str, str]
) -> None:
    """Keep a prediction as ``NAME.png`` and ``NAME.npz``; the former appears last.

    Parameters
    ----------
    folder : Path
        Created if it does not exist.
    name : str
        Of the image.
    prediction : Prediction
    facts : mapping of str to str
        What it was predicted from and by which model; written into the PNG's text.
    """
    picture = folder / f"{name}.png"
    text = PngImagePlugin.PngInfo()
    for key, value in facts.items():
        text.add_text(key, value)
    greys = np.array(ZONE_GREYS, np.uint8)[prediction.zones]
    arrays: dict[str, Any] = {
        "front": prediction.front.astype(np.int64),
        "width": prediction.width.astype(np.float32),
        "disagreement": prediction.disagreement.astype(np.float32),
        "class_spread": prediction.class_std.astype(np.float64),
    }
    if prediction.std is not None:
        arrays["spread"] = prediction.std
    if prediction.probabilities is not None:
        arrays[_PROBABILITIES] = prediction.probabilities
    with (
        writing(picture, remedy=_GO_ON) as drawn,
        writing(folder / f"{name}.npz", remedy=_GO_ON) as beside,
    ):
        Image.fromarray(greys).save(drawn, format="PNG", pnginfo=text, optimize=False)
        np.savez_compressed(beside, allow_pickle=False, **arrays)
        picture.unlink(missing_ok=True)


def read_probabilities(folder: Path, name: str) -> np.ndarray | None:
    """Read the probabilities that are kept with a prediction, uint8 (4, H, W).

    Returns
    -------
    array or None
        None if none are kept.
    """
    try:
        with np.load(folder / f"{name}.npz", allow_pickle=False) as kept:
            return np.asarray(kept[_PROBABILITIES]) if _PROBABILITIES in kept.files else None
    except Exception:  # damaged bytes fail in many ways inside the readers
        return None


def read_prediction(folder: Path, name: str, facts: Mapping[str, str]) -> Prediction | None:
    """Read a kept prediction, if there is one that follows from the same facts and is whole.

    Parameters
    ----------
    folder, name
        As for `write_prediction`.
    facts : mapping of str to str
        What it must have been predicted from.

    Returns
    -------
    Prediction or None
    """
    picture = folder / f"{name}.png"
    try:
        with Image.open(picture) as file:
            file.load()
            if any(file.info.get(key) != value for key, value in facts.items()):
                return None
        zones = read_zones(picture)
        with np.load(folder / f"{name}.npz", allow_pickle=False) as kept:
            return Prediction(
                zones,
                kept["front"],
                kept["width"],
                kept["disagreement"],
                kept["class_spread"],
                kept["spread"] if "spread" in kept.files else None,
            )
    except Exception:  # damaged bytes fail in many ways inside the readers
        return None
