"""Networks for prediction only: the same answers to 1e-5, in about half the time.

What depends on the weights alone is computed once and not for every window: batch normalisation is
folded into the convolution before it, the position bias of Swin-V2 is stored, pixels that are
doubled before a convolution are not computed twice, and linear layers that follow each other are
one. All of it is float32.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from icefront.models.compact import CompactTyrion
from icefront.models.efficientnet import SameConv
from icefront.models.tyrion import Tyrion, UpStep
from icefront.models.unet import UNet

if TYPE_CHECKING:
    from transformers.models.swinv2.modeling_swinv2 import Swinv2SelfAttention


def folded(model: nn.Module) -> nn.Module:
    """Return a copy of a network that predicts faster and cannot be trained.

    Parameters
    ----------
    model : nn.Module
        It is not changed. What has nothing to fold shares its weights with the copy.

    Returns
    -------
    nn.Module
        The same answers, but for rounding in float32; images are best given in
        ``torch.channels_last``. The model itself if it is none of the family: only there a norm
        is known to follow the convolution that is registered before it.
    """
    if not isinstance(model, (CompactTyrion, Tyrion, UNet)):
        return model
    shared = {id(t): t for t in (*model.parameters(), *model.buffers())}
    found = copy.deepcopy(model, shared).eval()
    with torch.no_grad():
        _fold(found)
        return FoldedTyrion(found).eval() if isinstance(found, Tyrion) else found


def _fold(module: nn.Module) -> None:
    from transformers.models.swinv2.modeling_swinv2 import Swinv2SelfAttention

    before: tuple[str, nn.Module] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, Swinv2SelfAttention):
            setattr(module, name, _StoredBiasAttention(child))
        elif isinstance(child, nn.BatchNorm2d) and before and isinstance(before[1], nn.Conv2d):
            conv = fuse_conv_bn_eval(before[1], child)
            if isinstance(conv, SameConv):
                conv = _evenly_padded(conv)
            conv.weight.data = conv.weight.contiguous(memory_format=torch.channels_last)
            setattr(module, before[0], conv)
            setattr(module, name, nn.Identity())
        else:
            _fold(child)
        before = name, child


class FoldedTyrion(nn.Module):
    """`Tyrion` for prediction; the centre of a window alone where no more is needed.

    Parameters
    ----------
    model : Tyrion
        In evaluation mode; its parts are taken over and its steps replaced.
    """

    def __init__(self, model: Tyrion) -> None:
        super().__init__()
        steps = [_FoldedUpStep(step) for step in model.steps if isinstance(step, UpStep)]
        model.steps = nn.ModuleList(steps)
        self.head = _FoldedUpStep(model.head, model.classify)
        # Not twice among the parameters.
        model.head = model.classify = nn.Identity()  # type: ignore[assignment]
        self.model = model

    def forward(self, image: Tensor, margin: int = 0) -> Tensor:
        """Map (B, 1, H, W) to logits (B, 4, H - 2 `margin`, W - 2 `margin`)."""
        found: Tensor = self.head(self.model.below_head(image), margin)
        return found


class _FoldedUpStep(nn.Module):
    """A step of Tyrion's decoder; with the linear layer after it as one, if there is one.

    To double pixels and then to convolve by 3 × 3 is one transposed convolution of half the work:
    its kernel is the sum of the 3 × 3 one at four places.
    """

    def __init__(self, step: UpStep, after: nn.Conv2d | None = None) -> None:
        super().__init__()
        self.block, self.factor = step.block, step.factor
        weight, bias = step.conv.weight, step.conv.bias
        assert bias is not None
        if after is not None:
            assert after.bias is not None
            linear = after.weight[:, :, 0, 0]
            weight = torch.einsum("oc,cikl->oikl", linear, weight)
            bias = linear @ bias + after.bias
        side = step.factor + 2
        kernel = weight.new_zeros(weight.shape[1], weight.shape[0], side, side)
        for row in range(step.factor):
            for column in range(step.factor):
                flipped = weight.flip(-1, -2).transpose(0, 1)
                kernel[:, :, row : row + 3, column : column + 3] += flipped
        self.weight, self.bias = nn.Parameter(kernel), nn.Parameter(bias)

    def forward(self, x: Tensor, margin: int = 0) -> Tensor:
        """Map (B, C, H, W) to (B, D, `factor`·H - 2 `margin`, …)."""
        spare = margin // self.factor - 1  # a pixel beside is seen by the convolution
        x = self.block(x) if spare < 1 else self._centre_of_block(x, spare)
        x = F.conv_transpose2d(x, self.weight, self.bias, stride=self.factor, padding=1)
        cut = margin - self.factor * max(spare, 0)
        return x[:, :, cut : x.shape[2] - cut, cut : x.shape[3] - cut] if cut else x

    def _centre_of_block(self, x: Tensor, cut: int) -> Tensor:
        """Return what the block makes of `x` but for its edges: its norms need all of `x`."""
        block = self.block
        h = block.conv1(F.silu(block.norm1(x)))
        h = F.silu(block.norm2(h))
        wider = cut - 1  # the second convolution sees a pixel beside
        h = h[:, :, wider : h.shape[2] - wider, wider : h.shape[3] - wider]
        h = F.conv2d(h, block.conv2.weight, block.conv2.bias)
        x = x[:, :, cut : x.shape[2] - cut, cut : x.shape[3] - cut]
        shortcut: Tensor = block.nin_shortcut(x)
        return shortcut + h


def _evenly_padded(conv: SameConv) -> nn.Conv2d:
    """Return a convolution with padding of its own in place of a padded copy of its input.

    At a stride of 2, images with even sides are padded by one more at the bottom and right than
    at the top and left: a kernel with a first row and column of zeros does the same.
    """
    (kernel, _), (stride, _) = conv.kernel_size, conv.stride
    extra = stride - 1
    found = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        kernel + extra,
        stride,
        kernel // 2,
        groups=conv.groups,
    )
    found.weight = nn.Parameter(F.pad(conv.weight, (extra, 0, extra, 0)))
    found.bias = conv.bias
    return found


class _StoredBiasAttention(nn.Module):
    """Cosine attention of Swin-V2 whose position bias is computed once, (B, N, C) to (B, N, C)."""

    bias: Tensor
    scale: Tensor

    def __init__(self, attention: Swinv2SelfAttention) -> None:
        super().__init__()
        self.heads = attention.num_attention_heads
        self.query, self.key, self.value = attention.query, attention.key, attention.value
        tokens = math.prod(attention.window_size)
        table = attention.continuous_position_bias_mlp(attention.relative_coords_table)
        bias = table.view(-1, self.heads)[attention.relative_position_index.view(-1)]
        bias = bias.view(tokens, tokens, self.heads).permute(2, 0, 1).contiguous()
        self.register_buffer("bias", 16 * torch.sigmoid(bias)[None])
        self.register_buffer("scale", attention.logit_scale.clamp(max=math.log(100)).exp())

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, *_: Any, **__: Any
    ) -> tuple[Tensor]:
        """Attend within windows; a mask, (windows, N, N), holds large negative numbers."""
        count, tokens, width = hidden_states.shape
        query, key, value = (
            layer(hidden_states).view(count, tokens, self.heads, -1).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        bias = self.bias
        if attention_mask is not None:
            bias = bias + attention_mask.repeat(count // len(attention_mask), 1, 1)[:, None]
        found = F.scaled_dot_product_attention(
            F.normalize(query, dim=-1) * self.scale,
            F.normalize(key, dim=-1),
            value,
            attn_mask=bias.to(query.dtype),
            scale=1.0,
        )
        return (found.transpose(1, 2).reshape(count, tokens, width),)
