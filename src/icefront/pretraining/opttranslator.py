"""OptTranslator: predict the optical image from the whole radar image (Gourmelon et al. 2025)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from icefront.pretraining.module import Pretraining


class OptTranslator(Pretraining):
    """A radar image in, its optical image out; L1 everywhere."""

    method: ClassVar[str] = "opttranslator"

    def make_heads(self) -> nn.Module:
        """Build what gives the channels of each pixel."""
        return nn.Conv2d(self.width, self.outputs, 1)

    def reconstruct(self, radar: Tensor, masked: Tensor | None = None) -> Tensor:
        """Map radar images (B, 1, S, S) to (B, outputs, S, S); nothing is ever masked."""
        return self.heads(self.network.features(radar))  # type: ignore[operator]
