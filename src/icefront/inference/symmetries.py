"""Test-time augmentation over the eight symmetries of a square window."""

from __future__ import annotations

from collections.abc import Callable

import torch


class SymmetryAverage:
    """A network that averages its probabilities over the flips and rotations of each window.

    Averaging inside each window rather than over whole maps keeps the memory of one map.

    Parameters
    ----------
    network : callable
        From windows (B, 1, side, side) to logits (B, 4, side, side).
    """

    def __init__(self, network: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.network = network

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """Return the logarithm of the mean probabilities: logits of them, (B, 4, side, side)."""
        total: torch.Tensor | None = None
        for flipped in (False, True):
            seen = windows.flip(-1) if flipped else windows
            for quarter in range(4):
                zones = torch.softmax(self.network(seen.rot90(quarter, (-2, -1))).float(), dim=1)
                zones = zones.rot90(-quarter, (-2, -1))
                zones = zones.flip(-1) if flipped else zones
                total = zones if total is None else total + zones
        assert total is not None
        return torch.log((total / 8).clamp_min(torch.finfo(torch.float32).tiny))
