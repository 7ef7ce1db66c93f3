"""OptSimMIM: mask tokens of the radar image, reconstruct the optical image there from the rest.

Gourmelon et al. 2025 (SSL4SAR), after SimMIM (Xie et al. 2022, arXiv:2111.09886).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from icefront.pretraining.module import Pretraining, over_pixels, squares_of

EMBEDDED = 96
"""Features of the second patch embedding."""


class TokenHead(nn.Module):
    """From what the decoder gives to the values of each token.

    A 1×1 convolution to three channels, a patch embedding with its LayerNorm, a linear layer to
    `token` · `token` · `outputs` values. Maps (B, `width`, S, S) to (B, `outputs`, S, S).
    """

    def __init__(self, width: int, token: int, outputs: int) -> None:
        super().__init__()
        self.token, self.outputs = token, outputs
        self.reduce = nn.Conv2d(width, 3, 1)
        self.embed = nn.Conv2d(3, EMBEDDED, token, stride=token)
        self.norm = nn.LayerNorm(EMBEDDED)
        self.values = nn.Linear(EMBEDDED, token * token * outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, `width`, S, S) to (B, `outputs`, S, S)."""
        tokens = self.norm(self.embed(self.reduce(x)).movedim(1, -1))
        return squares_of(self.values(tokens), self.outputs, self.token)


class OptSimMIM(Pretraining):
    """Masked tokens in, their optical values out; L1 on the masked tokens only."""

    method: ClassVar[str] = "optsimmim"

    def make_heads(self) -> nn.Module:
        """Build what gives the values of each token."""
        return TokenHead(self.width, int(self.network.token), self.outputs)  # type: ignore[arg-type]

    def reconstruct(self, radar: Tensor, masked: Tensor | None = None) -> Tensor:
        """Map radar images (B, 1, S, S), tokens in `masked` unseen, to (B, outputs, S, S)."""
        if masked is None:
            side = radar.shape[-1] // int(self.network.token)  # type: ignore[arg-type]
            masked = torch.zeros(len(radar), side, side, dtype=torch.bool, device=radar.device)
        return self.heads(self.network.features(radar, masked))  # type: ignore[operator]

    def loss_mask(self, sample: dict[str, Tensor]) -> Tensor | None:
        """Pixels of the masked tokens."""
        return over_pixels(sample["masked"], sample["radar"].shape[-1])
