"""Tyrion: a Swin Transformer V2 encoder with a residual convolutional decoder.

The network of the SSL4SAR study (Gourmelon et al. 2025), built on the encoder of Liu et al. 2022
("Swin Transformer V2", arXiv:2111.09883) as `transformers` has it. Models for small machines are
in `icefront.models.compact`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from icefront.models.swin import swin_encoder
from icefront.zones import N_ZONES


@dataclass(frozen=True)
class TyrionConfig:
    """Sizes of the network; the defaults are the published network.

    Attributes
    ----------
    image_size : int
        Side of the window the encoder is built for, in pixels. Other sizes run too.
    patch_size, embed_dim, depths, num_heads, window_size, mlp_ratio
        The encoder (Swin-V2 tiny by default); `window_size` in tokens.
    pretrained_window_sizes : tuple of int
        Windows the position bias was learned at, per stage; zeros for the same windows.
    drop_path : float
        Stochastic depth of the encoder.
    groups : int
        Groups of the decoder's GroupNorm.
    dropout : float
        Before the second convolution of each residual block.
    """

    image_size: int = 512
    patch_size: int = 4
    embed_dim: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_heads: tuple[int, ...] = (3, 6, 12, 24)
    window_size: int = 16
    mlp_ratio: float = 4.0
    pretrained_window_sizes: tuple[int, ...] = (0, 0, 0, 0)
    drop_path: float = 0.0
    groups: int = 32
    dropout: float = 0.1


class ResidualBlock(nn.Module):
    """GroupNorm, x·sigmoid(x) and 3×3 convolution, twice, around a shortcut.

    Maps (B, `width_in`, H, W) to (B, `width_out`, H, W).
    """

    def __init__(self, width_in: int, width_out: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, width_in, eps=1e-6)
        self.conv1 = nn.Conv2d(width_in, width_out, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, width_out, eps=1e-6)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1)
        self.nin_shortcut: nn.Module = (
            nn.Identity() if width_in == width_out else nn.Conv2d(width_in, width_out, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, `width_in`, H, W) to (B, `width_out`, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(self.dropout(F.silu(self.norm2(h))))
        return self.nin_shortcut(x) + h


class UpStep(nn.Module):
    """One decoder step: residual block, nearest ×2, 3×3 convolution."""

    def __init__(
        self, width_in: int, width_out: int, groups: int, dropout: float, factor: int = 2
    ) -> None:
        super().__init__()
        self.block = ResidualBlock(width_in, width_out, groups, dropout)
        self.conv = nn.Conv2d(width_out, width_out, 3, padding=1)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, `width_in`, H, W) to (B, `width_out`, `factor`·H, `factor`·W)."""
        x = F.interpolate(self.block(x), scale_factor=float(self.factor), mode="nearest")
        return self.conv(x)


class Tyrion(nn.Module):
    """Zones from one SAR window.

    Parameters
    ----------
    config : TyrionConfig
        Defaults to the published network, 50 M parameters.

    Examples
    --------
    >>> import torch
    >>> from icefront.models.tyrion import Tyrion, TyrionConfig
    >>> config = TyrionConfig(image_size=64, embed_dim=32, depths=(1, 1), num_heads=(1, 2))
    >>> Tyrion(config).eval()(torch.rand(1, 1, 64, 64)).shape
    torch.Size([1, 4, 64, 64])
    """

    def __init__(self, config: TyrionConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or TyrionConfig()
        n = len(c.depths)
        self.encoder = swin_encoder(
            image_size=c.image_size,
            patch_size=c.patch_size,
            num_channels=3,
            embed_dim=c.embed_dim,
            depths=list(c.depths),
            num_heads=list(c.num_heads),
            window_size=c.window_size,
            mlp_ratio=c.mlp_ratio,
            pretrained_window_sizes=list(c.pretrained_window_sizes),
            drop_path_rate=c.drop_path,
        )
        # As in the official encoder the bias of the patch embedding does not start at zero. If it
        # did, patches without data would be zero vectors, and the cosine attention, which divides
        # by their length, would send gradients of 1e10 back.
        self.encoder.embeddings.patch_embeddings.projection.reset_parameters()
        widths = [c.embed_dim * 2**i for i in range(n)]
        self.deepest = ResidualBlock(widths[-1], widths[-1], c.groups, c.dropout)
        steps: list[nn.Module] = []
        below = widths[-1]
        for i in reversed(range(n)):
            out = max(widths[i] // 2, c.embed_dim)
            steps.append(UpStep(below + widths[i], out, c.groups, c.dropout))
            below = out
        self.steps = nn.ModuleList(steps)
        # The encoder's tokens are `patch_size` pixels wide, and the last of the steps above has
        # doubled them once; the head brings what is left back to full resolution.
        self.head = UpStep(below, below, c.groups, c.dropout, factor=c.patch_size // 2)
        self.classify = nn.Conv2d(below, N_ZONES, 1)

    @property
    def token(self) -> int:
        """Side of what `features` can mask, in pixels."""
        return self.config.patch_size

    def features(self, image: Tensor, masked: Tensor | None = None) -> Tensor:
        """Return what the decoder makes of an image, before the classes.

        Parameters
        ----------
        image : Tensor
            (B, 1, H, W) in 0..1; H and W multiples of 32 for the published sizes.
        masked : Tensor, optional
            bool (B, H / `token`, W / `token`): tokens that are zeros after the patch embedding.

        Returns
        -------
        Tensor
            (B, width of the head, H, W).
        """
        return self.head(self.below_head(image, masked))

    def below_head(self, image: Tensor, masked: Tensor | None = None) -> Tensor:
        """Return what the head gets, (B, width of the head, H / 2, W / 2) as published."""
        pixels = image.expand(-1, 3, -1, -1)
        if masked is None:
            maps = self.encoder(pixels).feature_maps
        else:
            # What `Swinv2Backbone.forward` does, with the mask in between.
            tokens, size = self.encoder.embeddings(pixels)
            maps = self.encoder.encoder(
                tokens.masked_fill(masked.flatten(1)[..., None], 0.0),
                size,
                output_hidden_states=True,
                output_hidden_states_before_downsampling=True,
                return_dict=True,
            ).reshaped_hidden_states[1:]
        x = self.deepest(maps[-1])
        for step, skip in zip(self.steps, reversed(maps), strict=True):
            x = step(torch.cat([x, skip], dim=1))
        return x

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 1, H, W) in 0..1 to logits (B, 4, H, W)."""
        return self.classify(self.features(image))
