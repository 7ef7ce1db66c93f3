"""OptTranslator: tell the optical image from the whole radar image (Gourmelon et al. 2025)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from icefront.models.card import InputMapping
from icefront.pretraining.config import PretrainingConfig
from icefront.pretraining.module import Pretraining


class OptTranslator(Pretraining):
    """A radar image in, its optical image out; L1 everywhere."""

    method: ClassVar[str] = "opttranslator"

    def __init__(
        self,
        network: nn.Module,
        config: PretrainingConfig,
        mapping: InputMapping = "grey",
        steps_per_epoch: int = 1,
    ) -> None:
        super().__init__(network, config, mapping, steps_per_epoch)
        self.heads = nn.Conv2d(self.width, self.outputs, 1)

    def reconstruct(self, radar: Tensor, masked: Tensor | None = None) -> Tensor:
        """Map radar images (B, 1, S, S) to (B, outputs, S, S); nothing is ever masked."""
        return self.heads(self.network.features(radar))  # type: ignore[operator]
