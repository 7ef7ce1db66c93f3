"""Check, by one step on a copy of a module, which parameters a run cannot train."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch.nn import init

from icefront.datasets.pairs import Sample
from icefront.pretraining.module import Pretraining
from icefront.pretraining.samples import prepare


@dataclass(frozen=True)
class GradientCheck:
    """Names of parameters that are frozen, and of those that no gradient reaches."""

    frozen: tuple[str, ...]
    unreached: tuple[str, ...]

    def sentence(self) -> str:
        """Name both; "every parameter learns" if there are none."""
        parts = [
            f"{word}: {', '.join(names)}"
            for word, names in (("frozen", self.frozen), ("no gradient reaches", self.unreached))
            if names
        ]
        return "; ".join(parts) or "every parameter learns"


def check_gradients(module: Pretraining, batch: Sample) -> GradientCheck:
    """Pass one batch forward and backward through a copy of a module.

    Parameters that are all zeros, such as the norms that make a block begin as the identity, are
    moved a little in the copy: they hold back gradients for a step only.

    Parameters
    ----------
    module : Pretraining
        Left as it is, like the state of the random generators.
    batch : dict
        Samples of the loader.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        probe = copy.deepcopy(module).train()
        with torch.no_grad():
            for parameter in probe.parameters():
                if not parameter.any():
                    init.normal_(parameter, std=0.1)
        loss, _ = probe.loss(prepare(batch, module.mapping))
        loss.backward()
    named = list(probe.named_parameters())
    return GradientCheck(
        tuple(name for name, p in named if not p.requires_grad),
        tuple(
            name for name, p in named if p.requires_grad and (p.grad is None or not p.grad.any())
        ),
    )
