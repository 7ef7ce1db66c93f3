"""Networks for prediction only: the same answers to 1e-5, in about half the time.

What depends on the weights alone is computed once and not for every window: batch normalisation is
folded into the convolution before it, and the position bias of Swin-V2 is stored. All of it is
float32, in an order of operations that depends on no processor.
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
from icefront.models.tyrion import Tyrion
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
    return found


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
