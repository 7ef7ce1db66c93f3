"""Test-time augmentation over the eight symmetries of a square window."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from icefront.errors import IcefrontError
from icefront.inference.windows import Network, centre_of, probabilities_of
from icefront.zones import N_ZONES

SYMMETRIES = (1, 4, 8)
"""Numbers of symmetries there are: none but the window itself, rotations, and reflections too."""


def check_symmetries(symmetries: int) -> None:
    """Refuse a number of symmetries that a square does not have.

    Raises
    ------
    IcefrontError
        If it is not 1, 4 or 8.
    """
    if symmetries not in SYMMETRIES:
        raise IcefrontError(
            f"A window has 1, 4 (rotations) or 8 (and reflections) symmetries, not {symmetries}."
        )


def views(
    network: Network, windows: torch.Tensor, symmetries: int = 8, margin: int = 0
) -> Iterator[torch.Tensor]:
    """Probabilities of windows, seen turned and mirrored, each turned back.

    Parameters
    ----------
    network : callable
        From windows (B, 1, side, side) to logits (B, 4 or 5, side, side).
    windows : float32 (B, 1, side, side)
    symmetries : 1, 4 or 8
        The windows as they are; the four rotations; these and their mirror images.
    margin : int
        Pixels to leave out at each edge.

    Yields
    ------
    float32 (B, 4 or 5, side - 2 margin, side - 2 margin)
        Probabilities of the zones, then that of the front where the network has it.

    Raises
    ------
    IcefrontError
        If there are not that many symmetries.
    """
    check_symmetries(symmetries)
    for number in range(symmetries):
        flipped, quarter = divmod(number, 4)
        seen = windows.flip(-1) if flipped else windows
        logits = centre_of(network, seen.rot90(quarter, (-2, -1)), margin)
        found = probabilities_of(logits).rot90(-quarter, (-2, -1))
        yield found.flip(-1) if flipped else found


class SymmetryAverage:
    """A network that averages its probabilities over the flips and rotations of each window.

    Averaging inside each window rather than over whole maps keeps the memory of one map.

    Parameters
    ----------
    network : callable
        From windows (B, 1, side, side) to logits (B, 4 or 5, side, side).
    symmetries : 1, 4 or 8
        See `views`.
    """

    def __init__(self, network: Network, symmetries: int = 8) -> None:
        check_symmetries(symmetries)
        self.network, self.symmetries = network, symmetries

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """Return logits of the mean probabilities, (B, 4 or 5, side, side)."""
        return self.centre(windows, 0)

    def centre(self, windows: torch.Tensor, margin: int) -> torch.Tensor:
        """Return the same without `margin` pixels at each edge."""
        total: torch.Tensor | None = None
        for found in views(self.network, windows, self.symmetries, margin):
            total = found if total is None else total + found
        assert total is not None
        mean = total / self.symmetries
        zones = torch.log(mean[:, :N_ZONES].clamp_min(torch.finfo(torch.float32).tiny))
        return torch.cat([zones, torch.logit(mean[:, N_ZONES:], eps=1e-7)], dim=1)
