"""What a reconstruction has to beat: the mean image, and linear regressions from radar to optical.

Scores are mean absolute differences over all channels, of values in 0..1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from icefront.datasets.pairs import Sample
from icefront.models.card import InputMapping
from icefront.pretraining.module import N_CHANNELS, Pretraining, masked_l1
from icefront.pretraining.samples import prepare

SURROUNDINGS = (9, 33)
"""Sides, in pixels, of the squares whose means the larger regression uses, too."""


def regressors(radar: Tensor, around: bool) -> Tensor:
    """Return what a regression predicts from: one, the image and, if `around`, its local means.

    Maps (B, 1, S, S) to (B, 2 or 4, S, S).
    """
    parts = [torch.ones_like(radar), radar]
    if around:
        parts += [
            F.avg_pool2d(radar, side, 1, side // 2, count_include_pad=False)
            for side in SURROUNDINGS
        ]
    return torch.cat(parts, dim=1)


@dataclass(frozen=True)
class Baselines:
    """Fitted to crops by least squares.

    Attributes
    ----------
    mean : Tensor
        (14,): the mean of each channel.
    pixel, around : Tensor
        (2, 14) and (4, 14): coefficients of `regressors`.
    """

    mean: Tensor
    pixel: Tensor
    around: Tensor

    def predictions(self, radar: Tensor) -> dict[str, Tensor]:
        """Optical images by each of them, (B, 14, S, S), by name."""
        flat = self.mean[None, :, None, None].expand(len(radar), -1, *radar.shape[2:])
        return {
            "mean image": flat,
            "regression": torch.einsum("bkij,kc->bcij", regressors(radar, False), self.pixel),
            "regression with surroundings": torch.einsum(
                "bkij,kc->bcij", regressors(radar, True), self.around
            ),
        }


def fit_baselines(batches: Iterable[Sample], mapping: InputMapping) -> Baselines:
    """Fit all of them to batches of the loader, in double precision."""
    moments, products = torch.zeros(4, 4).double(), torch.zeros(4, N_CHANNELS).double()
    for batch in batches:
        sample = prepare(batch, mapping)
        x = regressors(sample["radar"], True).movedim(1, 0).flatten(1).double()
        y = sample["optical"].movedim(1, 0).flatten(1).double()
        moments += x @ x.T
        products += x @ y.T
    return Baselines(
        (products[0] / moments[0, 0]).float(),
        torch.linalg.lstsq(moments[:2, :2], products[:2]).solution.float(),
        torch.linalg.lstsq(moments, products).solution.float(),
    )


@torch.no_grad()
def score_reconstruction(
    module: Pretraining, windows: Dataset[Sample], baselines: Baselines, *, batch: int = 8
) -> dict[str, float]:
    """Score a module and the baselines on the same pixels, those that its loss is taken over.

    Returns
    -------
    dict
        ``reconstruction``, ``mean image``, ``regression``, ``regression with surroundings``.
    """
    totals: dict[str, float] = {}
    count = 0
    training = module.training
    module.eval()
    for samples in DataLoader(windows, batch_size=batch):
        samples = {k: v.to(module.device) for k, v in samples.items()}
        sample = prepare(samples, module.mapping)
        output = module.reconstruct(sample["radar"], sample.get("masked"))[:, :N_CHANNELS]
        found = {"reconstruction": output.cpu()}
        found |= baselines.predictions(sample["radar"].cpu())
        where = module.loss_mask(sample)
        where = None if where is None else where.cpu()
        n = len(output)
        for name, prediction in found.items():
            error = float(masked_l1(prediction, sample["optical"].cpu(), where))
            totals[name] = totals.get(name, 0.0) + n * error
        count += n
    module.train(training)
    return {name: total / count for name, total in totals.items()}
