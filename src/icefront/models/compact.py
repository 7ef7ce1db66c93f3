"""The small model of the family: Swin-V2 attention on a convolutional encoder.

A transformer that starts from 4×4 patches needs more images than a few glaciers give before it
sees texture. Here an EfficientNet-Lite, which ImageNet weights are at hand for, leads down to 1/16
(convolutions first: Xiao et al. 2021, "Early convolutions help transformers see better",
arXiv:2106.14881), Swin-V2 blocks (Liu et al. 2022, arXiv:2111.09883, as `transformers` has them)
look at the whole scene there, and a residual convolutional decoder leads back up over skips, as in
Tyrion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from icefront.errors import IcefrontError
from icefront.models.efficientnet import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    EfficientNetLite,
    features_of,
)
from icefront.models.swin import swin_encoder
from icefront.zones import N_ZONES


@dataclass(frozen=True)
class CompactConfig:
    """Sizes of a compact model.

    Attributes
    ----------
    image_size : int
        Side of the window the encoder is built for, in pixels. Other multiples of 16 run too.
    widths : tuple of int
        Features of the decoder at 1/2, 1/4 and 1/8.
    deep : int
        Features at 1/16, where the attention is; a multiple of `num_heads`.
    depth, num_heads, window_size, mlp_ratio, drop_path
        The Swin-V2 blocks at 1/16; `window_size` in tokens of 16 pixels.
    head_width : int
        Features at full resolution.
    front_width : int
        Hidden features of the head for the front (`FrontHead`); 0 for a network without one.
    stem : str
        Variant of EfficientNet-Lite that leads down to 1/16: ``lite0``, ``lite1`` or ``lite2``.
    """

    image_size: int = 256
    widths: tuple[int, ...] = (16, 32, 64)
    deep: int = 128
    depth: int = 2
    num_heads: int = 4
    window_size: int = 16
    mlp_ratio: float = 4.0
    drop_path: float = 0.0
    head_width: int = 8
    front_width: int = 0
    stem: str = "lite0"


class NormedBlock(nn.Module):
    """Two 3×3 convolutions with BatchNorm around a shortcut (He et al. 2016).

    Maps (B, `width_in`, H, W) to (B, `width_out`, H, W).
    """

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width_out, 3, 1, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width_out)
        self.shortcut: nn.Module = nn.Identity()
        if width_in != width_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(width_in, width_out, 1, bias=False), nn.BatchNorm2d(width_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, `width_in`, H, W) to (B, `width_out`, H, W)."""
        h = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.shortcut(x) + self.norm2(self.conv2(h)))


@dataclass(frozen=True)
class Level:
    """Features of one resolution.

    Attributes
    ----------
    features : float32 (B, C, h, w)
    pixels : int
        Side of one of their pixels in pixels of the image.
    cut : int
        How many of their pixels are left out at each edge.
    """

    features: Tensor
    pixels: int
    cut: int


class FrontHead(nn.Module):
    """How likely the boundary of glacier and ocean at a place is calving front and not shore.

    Two layers on the features of all levels of the decoder, brought to a quarter of the resolution:
    what is shore shows in what lies around a place, not in its pixels.

    Parameters
    ----------
    widths : tuple of int
        Features at 1/16, 1/8, 1/4 and 1/2.
    hidden : int
        Features between the two layers.
    """

    cell = 4
    """Side of the squares that get one answer each, in pixels; between them it is interpolated."""

    def __init__(self, widths: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(
            nn.Conv2d(width, hidden, 1, bias=number == 0) for number, width in enumerate(widths)
        )
        self.classify = nn.Conv2d(hidden, 1, 1)

    def cells(self, levels: Sequence[Level]) -> tuple[Tensor, int]:
        """Return logits (B, 1, h, w) of squares of `cell` pixels, and how many are cut off."""
        size = self.cell
        cut = max(-(-level.cut * level.pixels // size) for level in levels)
        total: Tensor | None = None
        for level, project in zip(levels, self.project, strict=True):
            # A linear map of each pixel: cheaper before interpolation, and the same.
            x = level.features if level.pixels < size else project(level.features)
            x = _at_cells(Level(x, level.pixels, 0))
            x = project(x) if level.pixels < size else x
            x = _without(x, cut - level.cut * level.pixels // size)
            total = x if total is None else total + x
        assert total is not None
        return self.classify(F.relu(total)), cut

    def forward(self, levels: Sequence[Level], margin: int = 0) -> Tensor:
        """Return logits (B, 1, H - 2 `margin`, W - 2 `margin`)."""
        found, cut = self.cells(levels)
        found = F.interpolate(found, scale_factor=self.cell, mode="bilinear", align_corners=False)
        return _without(found, margin - cut * self.cell)


class CompactTyrion(nn.Module):
    """Zones from one SAR window, with a hundredth of the work of `Tyrion`.

    Parameters
    ----------
    config : CompactConfig

    Examples
    --------
    >>> import torch
    >>> from icefront.models.compact import CompactTyrion
    >>> CompactTyrion().eval()(torch.rand(1, 1, 256, 256)).shape
    torch.Size([1, 4, 256, 256])
    """

    def __init__(self, config: CompactConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or CompactConfig()
        skips = features_of(c.stem)
        self.stem = EfficientNetLite(2, c.stem)
        self.bridge = nn.Sequential(
            nn.Conv2d(skips[-1], c.deep, 1, bias=False), nn.BatchNorm2d(c.deep)
        )
        self.encoder = swin_encoder(
            image_size=c.image_size // 16,
            patch_size=1,
            num_channels=c.deep,
            embed_dim=c.deep,
            depths=[c.depth],
            num_heads=[c.num_heads],
            window_size=c.window_size,
            mlp_ratio=c.mlp_ratio,
            drop_path_rate=c.drop_path,
        )
        for stage in self.encoder.encoder.layers:
            # Each block starts as the identity, as Swin-V2 is trained from scratch.
            for block in stage.blocks:  # type: ignore[union-attr]
                for norm in (block.layernorm_before, block.layernorm_after):
                    nn.init.zeros_(norm.weight)
        self.deepest = NormedBlock(c.deep, c.deep)
        steps: list[nn.Module] = []
        below = c.deep
        for width, skip in zip(reversed(c.widths), reversed(skips[:-1]), strict=True):
            steps.append(NormedBlock(below + skip, width))
            below = width
        self.steps = nn.ModuleList(steps)
        self.reduce = nn.Conv2d(below, c.head_width, 1)
        self.head = nn.Conv2d(c.head_width + 2, c.head_width, 3, 1, 1, bias=False)
        self.head_norm = nn.BatchNorm2d(c.head_width)
        self.classify = nn.Conv2d(c.head_width, N_ZONES, 1)
        self.front: FrontHead | None = None
        if c.front_width:
            self.front = FrontHead(self.level_widths, c.front_width)

    token = 4
    """Side of what `features` can mask, in pixels: that of the published network's tokens."""

    def features(self, image: Tensor, masked: Tensor | None = None, margin: int = 0) -> Tensor:
        """Map (B, 1, H, W), sides multiples of 16, to features (B, `head_width`, H, W).

        `masked`, bool (B, H / `token`, W / `token`), masks squares of the image. There is no patch
        embedding whose tokens could be made zeros, so what enters the network in their place is:
        both channels, in the stem and in the head, hold zeros there (mean grey, data). Like a zero
        token they tell nothing of the image and are the same everywhere.

        `margin` leaves out so many pixels at each edge: (B, `head_width`, H - 2 `margin`, …). The
        decoder computes only what the others need of it, and gives them the same values.
        """
        return self._decoded(image, masked, margin)[0]

    def _decoded(
        self, image: Tensor, masked: Tensor | None = None, margin: int = 0
    ) -> tuple[Tensor, list[Level]]:
        """Return what `features` does, and the features of all coarser levels, deepest first."""
        # What is exactly 0 has no data; a channel of its own tells it from dark water.
        full = torch.cat(
            [(image - IMAGENET_MEAN) / IMAGENET_STD, (image <= 0).to(image.dtype)], dim=1
        )
        if masked is not None:
            squares = masked.repeat_interleave(self.token, 1).repeat_interleave(self.token, 2)
            full = full.masked_fill(squares.unsqueeze(1), 0.0)
        *skips, x = self.stem(full)
        x = self.deepest(self.encoder(self.bridge(x)).feature_maps[0])
        levels = [Level(x, 16, 0)]
        done = 0
        for step, skip, cut in zip(
            self.steps, reversed(skips), _cuts(margin, len(skips)), strict=True
        ):
            x = F.interpolate(_without(x, cut // 2 - done), scale_factor=2.0, mode="nearest")
            x = step(torch.cat([x, _without(skip, cut)], dim=1))
            levels.append(Level(x, levels[-1].pixels // 2, cut))
            done = cut
        x = F.interpolate(self.reduce(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        beside = min(margin, _REACH_OF_HEAD)
        x = _without(x, margin - beside - 2 * done)
        x = self.head(torch.cat([x, _without(full, margin - beside)], dim=1))
        return F.relu(self.head_norm(_without(x, beside))), levels

    def zones_and_front(self, image: Tensor, margin: int = 0) -> Tensor:
        """Map (B, 1, H, W) to logits (B, 5, H - 2 `margin`, …): those of the zones, then the front.

        Raises
        ------
        IcefrontError
            If the network has no head for the front.
        """
        if self.front is None:
            raise IcefrontError("This network has no head for the front (front_width is 0).")
        features, levels = self._decoded(image, margin=margin)
        return torch.cat([self.classify(features), self.front(levels, margin)], dim=1)

    @property
    def level_widths(self) -> tuple[int, ...]:
        """Features of the levels that a head for the front sees, deepest first."""
        return (self.config.deep, *reversed(self.config.widths))

    def zones_and_front_features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of the zones and what a head for the front sees.

        The latter is (B, sum of `level_widths`, H / 4, W / 4): features of squares of
        `FrontHead.cell` pixels.
        """
        features, levels = self._decoded(image)
        return self.classify(features), torch.cat([_at_cells(level) for level in levels], dim=1)

    def forward(self, image: Tensor, margin: int = 0) -> Tensor:
        """Map (B, 1, H, W) in 0..1 to logits (B, 4, H - 2 `margin`, W - 2 `margin`)."""
        return self.classify(self.features(image, margin=margin))


def _at_cells(level: Level) -> Tensor:
    """Bring the features of a level to squares of `FrontHead.cell` pixels."""
    size = FrontHead.cell
    if level.pixels < size:
        return F.avg_pool2d(level.features, size // level.pixels)
    scale = level.pixels // size
    if scale == 1:
        return level.features
    return F.interpolate(level.features, scale_factor=scale, mode="bilinear", align_corners=False)


_REACH_OF_HEAD, _REACH_OF_BILINEAR, _REACH_OF_STEP = 1, 1, 2
"""How far a pixel looks beside itself: in one 3×3 convolution, between two pixels, in two."""


def _cuts(margin: int, steps: int) -> list[int]:
    """Return what each step of the decoder can leave out at each edge, in its pixels."""
    cuts: list[int] = []
    spare = (margin - _REACH_OF_HEAD) // 2 - _REACH_OF_BILINEAR
    for _ in range(steps):
        spare = max(spare - _REACH_OF_STEP, 0) // 2
        cuts.append(2 * spare)
    return cuts[::-1]


def _without(x: Tensor, margin: int) -> Tensor:
    """Leave out some pixels at each edge."""
    return x[:, :, margin : x.shape[2] - margin, margin : x.shape[3] - margin] if margin else x
