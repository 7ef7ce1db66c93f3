"""The plain U-Net (Ronneberger et al. 2015, arXiv:1505.04597), the yardstick of the family."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from icefront.zones import N_ZONES


@dataclass(frozen=True)
class UNetConfig:
    """Features per level, from full resolution to the deepest (1.9 M parameters by default)."""

    widths: tuple[int, ...] = (16, 32, 64, 128, 256)


def _two_convolutions(width_in: int, width_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width_in, width_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(width_out),
        nn.ReLU(inplace=True),
        nn.Conv2d(width_out, width_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(width_out),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """Zones from one SAR window: two 3×3 convolutions a level, max pooling, skips.

    Examples
    --------
    >>> import torch
    >>> from icefront.models.unet import UNet
    >>> UNet().eval()(torch.rand(1, 1, 64, 64)).shape
    torch.Size([1, 4, 64, 64])
    """

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or UNetConfig()
        widths = self.config.widths
        self.down = nn.ModuleList(
            _two_convolutions(a, b) for a, b in zip((1, *widths[:-1]), widths, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(b, a, 2, stride=2)
            for a, b in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.merge = nn.ModuleList(_two_convolutions(2 * a, a) for a in widths[-2::-1])
        self.classify = nn.Conv2d(widths[0], N_ZONES, 1)

    token = 4
    """Side of what `features` can mask, in pixels."""

    def features(self, image: Tensor, masked: Tensor | None = None) -> Tensor:
        """Map (B, 1, H, W), sides multiples of 16, to features (B, 16, H, W).

        `masked`, bool (B, H / `token`, W / `token`): squares that are zeros in the image.
        """
        skips = []
        x = image
        if masked is not None:
            squares = masked.repeat_interleave(self.token, 1).repeat_interleave(self.token, 2)
            x = x.masked_fill(squares.unsqueeze(1), 0.0)
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else self.pool(x))
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, skips[-2::-1], strict=True):
            x = merge(torch.cat([skip, up(x)], dim=1))
        return x

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 1, H, W) in 0..1 to logits (B, 4, H, W)."""
        return self.classify(self.features(image))
