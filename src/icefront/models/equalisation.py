"""How batches of scenes are brought to what a model expects, on the device that runs it."""

from __future__ import annotations

import torch
from torch import Tensor


def equalise_batch(image: Tensor, bins: int = 256) -> Tensor:
    """Make the histogram of each sample flat; what is exactly 0 (no data) stays 0.

    The same mapping as `icefront.scenes.radiometry.equalise`, on (B, 1, S, S) tensors.
    """
    count = image.shape[0]
    flat = image.reshape(count, -1)
    level = (flat * (bins - 1) + 0.5).long().clamp(0, bins - 1)
    valid = (flat > 0).to(flat.dtype)
    histogram = torch.zeros(count, bins, device=image.device, dtype=flat.dtype)
    histogram.scatter_add_(1, level, valid)
    upper = histogram.cumsum(1)
    rank = (upper - 0.5 * histogram) / upper[:, -1:].clamp_min(1)
    return (rank.gather(1, level) * valid).reshape(image.shape)
