"""The loss of supervised training: cross entropy and Dice, of window and centre."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from icefront.series.evidence import SILENT


def smooth_targets(zones: Tensor, classes: int, smoothing: float) -> Tensor:
    """Smooth the labels: `1 - smoothing` on the true class, the rest evenly on the others.

    Unlike PyTorch's ``label_smoothing``, which gives the true class a part of the rest, too.

    Parameters
    ----------
    zones : Tensor
        (B, H, W) int64 class codes.

    Returns
    -------
    Tensor
        (B, classes, H, W) float32, sums to 1.
    """
    hot = F.one_hot(zones, classes).movedim(-1, 1).float()
    return hot * (1 - smoothing) + (1 - hot) * (smoothing / (classes - 1))


def soft_dice_loss(probabilities: Tensor, targets: Tensor) -> Tensor:
    """1 - Dice per class over the whole batch, squares in the denominator, mean of the classes.

    Milletari et al. 2016 (V-Net). Both arguments (B, C, H, W); returns a scalar.
    """
    dims = (0, 2, 3)
    overlap = (probabilities * targets).sum(dims)
    size = (probabilities**2).sum(dims) + (targets**2).sum(dims)
    return (1 - 2 * overlap / size.clamp_min(1e-6)).mean()


def zone_loss(logits: Tensor, zones: Tensor, *, smoothing: float = 0.1, centre: bool) -> Tensor:
    """½ CE + ½ Dice of the window, and of its central half where `centre` is set.

    The SSL4SAR recipe (design, section 6): with a window of 512 and a target of 256 it is
    ½ CE(256) + ½ CE(512) + ½ Dice(256) + ½ Dice(512).

    Parameters
    ----------
    logits : Tensor
        (B, 4, S, S).
    zones : Tensor
        (B, S, S) int64 class codes; `icefront.series.evidence.SILENT` where nothing is known, which
        then does not count.
    smoothing : float
        Fraction of each label that is distributed over the other classes, in both terms of CE.
    centre : bool
        Add the same for the central half of the window.
    """

    def one(logits: Tensor, zones: Tensor) -> Tensor:
        known = zones != SILENT
        whole = bool(known.all())
        zones = zones if whole else zones.masked_fill(~known, 0)
        targets = smooth_targets(zones, logits.shape[1], smoothing)
        entropy = -(targets * F.log_softmax(logits, dim=1)).sum(1)
        hot = F.one_hot(zones, logits.shape[1]).movedim(-1, 1).float()
        probabilities = logits.softmax(1)
        if whole:
            return 0.5 * entropy.mean() + 0.5 * soft_dice_loss(probabilities, hot)
        counts = known.unsqueeze(1)
        mean = (entropy * known).sum() / known.sum().clamp_min(1)
        return 0.5 * mean + 0.5 * soft_dice_loss(probabilities * counts, hot * counts)

    logits = logits.float()
    loss = one(logits, zones)
    if centre:
        side = zones.shape[-1]
        inner = slice(side // 4, side - side // 4)
        loss = loss + one(logits[..., inner, inner], zones[..., inner, inner])
    return loss
