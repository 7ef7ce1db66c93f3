"""From what the loader gives to what a method sees: zoom, flips and masks of whole batches.

Zoom and flips run on the device that learns; the loader only copies bytes.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from icefront.datasets.pairs import PairCrops, PairWindows, Sample
from icefront.models.equalisation import equalise_batch


def draw_mask(tokens: int, fraction: float, block: int, rng: np.random.Generator) -> np.ndarray:
    """Choose tokens to mask, bool (tokens, tokens).

    Parameters
    ----------
    tokens : int
        Along a side of the window; a multiple of `block`.
    fraction : float
        Of the squares of `block` × `block` tokens that are masked, rounded to whole squares; all
        are equally probable.
    """
    squares = tokens // block
    masked = np.zeros(squares * squares, bool)
    masked[rng.permutation(masked.size)[: round(fraction * masked.size)]] = True
    return masked.reshape(squares, squares).repeat(block, 0).repeat(block, 1)


class MaskedPairs(Dataset[Sample]):
    """Pairs with ``masked``, bool (tokens, tokens), which depends on seed and number alone.

    Parameters
    ----------
    pairs : PairCrops or PairWindows
    token : int
        Side of a token, in pixels.
    fraction, block
        As for `draw_mask`.
    seed : int
    """

    def __init__(
        self, pairs: PairCrops | PairWindows, token: int, fraction: float, block: int, seed: int
    ) -> None:
        self.pairs, self.token, self.fraction, self.block = pairs, token, fraction, block
        self.seed = seed

    def __len__(self) -> int:
        return len(self.pairs)  # type: ignore[arg-type]

    def __getitem__(self, number: int) -> Sample:
        """Return a sample with its mask."""
        sample = self.pairs[number]
        rng = np.random.default_rng((self.seed, 2, number))
        mask = draw_mask(self.pairs.window // self.token, self.fraction, self.block, rng)
        return {**sample, "masked": torch.from_numpy(mask)}


def prepare(batch: Sample, mapping: Literal["grey", "equalised"]) -> dict[str, Tensor]:
    """Zoom and flip a batch and bring it to what the network expects.

    Parameters
    ----------
    batch : dict
        Stacked samples of `icefront.datasets.pairs.PairCrops`.
    mapping : "grey" or "equalised"
        Of the radar images; optical channels are divided by 255.

    Returns
    -------
    dict
        ``radar`` (B, 1, S, S), ``optical`` (B, 14, S, S), ``other`` (B, 1, S, S) if it was there,
        float32 in 0..1, and ``masked`` as it was.
    """
    names = [name for name in ("radar", "optical", "other") if name in batch]
    stacked = torch.cat([batch[name] for name in names], dim=1)
    window = stacked.shape[-1]
    shown = []
    # Sides and flips are different for each sample; they are read at once, for a GPU waits here.
    sides = batch["side"].tolist()
    flips = batch["flip"].tolist()
    for image, side, flip in zip(stacked, sides, flips, strict=True):
        part = image[:, :side, :side].float()
        if side != window:
            part = F.interpolate(part[None], (window, window), mode="bicubic", align_corners=False)[
                0
            ].clamp(0, 255)
        axes = [axis + 1 for axis in (0, 1) if flip[axis]]
        shown.append(part.flip(axes) if axes else part)
    whole = torch.stack(shown) / 255
    sizes = [batch[name].shape[1] for name in names]
    out = dict(zip(names, whole.split(sizes, dim=1), strict=True))
    for name in ("radar", "other"):
        if name in out and mapping == "equalised":
            out[name] = equalise_batch(out[name].contiguous())
    if "masked" in batch:
        out["masked"] = batch["masked"]
    return out
