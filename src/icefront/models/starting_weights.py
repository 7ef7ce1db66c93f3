"""Starting weights of a network: random, from ImageNet, or from a checkpoint."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from icefront.errors import IcefrontError
from icefront.models.card import ModelCard
from icefront.models.checkpoints import load_imagenet_encoder
from icefront.models.compact import CompactTyrion
from icefront.models.efficientnet import load_imagenet
from icefront.models.registry import PRETRAINED, load_model

log = logging.getLogger("icefront.models")

_RANDOM = "fresh"
_CLASSES = "classify."
"""Prefix of the parameters that pretraining does not touch: those that tell zones apart."""


@dataclass(frozen=True)
class StartingWeights:
    """Where the parameters of a network come from.

    Attributes
    ----------
    origin : str
        In one phrase.
    parts : dict
        From the parts of the network (``encoder``, ``steps``, …) to where their parameters come
        from; ``fresh`` are those that start at random.
    pretraining : dict
        What the checkpoint of a pretraining says about itself, else empty.
    """

    origin: str
    parts: dict[str, str]
    pretraining: dict[str, Any] = field(default_factory=dict)

    def sentence(self) -> str:
        """Name the parts by origin: ``from ImageNet: stem; fresh: bridge, encoder``."""
        by_origin: dict[str, list[str]] = {}
        for part, origin in self.parts.items():
            by_origin.setdefault(origin, []).append(part)
        return "; ".join(
            f"{origin if origin == _RANDOM else f'from {origin}'}: {', '.join(parts)}"
            for origin, parts in by_origin.items()
        )


def load_starting_weights(network: nn.Module, init: str | None, model: str) -> StartingWeights:
    """Load the weights with which a recipe starts into a new network, changed in place.

    Parameters
    ----------
    network : nn.Module
    init : str or None
        None, ``imagenet``, a model with packaged weights, or a checkpoint. Of one of
        `icefront.pretraining` encoder and decoder are taken over, all of both; of others every
        parameter that fits.
    model : str
        Name of the model, for messages.

    Raises
    ------
    IcefrontError
        If the weights cannot be had or do not fit.
    """
    if init is None:
        return StartingWeights("random", _parts(network, set(), ""))
    if init == "imagenet":
        if isinstance(network, CompactTyrion):
            origin = load_imagenet(network.stem)
            taken = {f"stem.{name}" for name in network.stem.state_dict()}
        else:
            origin = f"ImageNet encoder {load_imagenet_encoder(network)}"
            taken = {k for k in network.state_dict() if k.startswith("encoder.")}
        return StartingWeights(origin, _parts(network, taken, "ImageNet"))
    donor = load_model(init, pretrained=True)
    card: ModelCard = donor.card  # type: ignore[assignment]
    pretrained = card.provenance.get("stage") == PRETRAINED
    own = network.state_dict()
    offered = donor.state_dict()
    if pretrained:
        offered = {k: v for k, v in offered.items() if not k.startswith(_CLASSES)}
    fitting = {k: v for k, v in offered.items() if k in own and v.shape == own[k].shape}
    needed = {k for k in own if not k.startswith(_CLASSES)}
    if pretrained and needed - set(fitting):
        odd = min(needed - set(fitting))
        raise IcefrontError(
            f"{init} was pretrained for another architecture "
            f"({card.architecture.get('family')}) than the model {model!r}: "
            f"{len(needed - set(fitting))} parameters do not fit, for example {odd}; set model and "
            "architecture as in its pretraining."
        )
    if not fitting:
        raise IcefrontError(f"{init} shares no parameters with the model {model!r}.")
    network.load_state_dict(fitting, strict=False)
    name = f"{card.name} {card.sha256[:12]}".strip()
    record = card.provenance if pretrained else {}
    if pretrained:
        name = f"{name} ({record.get('method')}, epoch {record.get('epoch')})"
    return StartingWeights(name, _parts(network, set(fitting), Path(init).name), dict(record))


def _parts(network: nn.Module, taken: set[str], origin: str) -> dict[str, str]:
    """Say for each part of the network where its parameters come from."""
    names = list(network.state_dict())
    every = Counter(name.split(".")[0] for name in names)
    of_donor = Counter(name.split(".")[0] for name in taken)
    return {
        part: _RANDOM
        if not of_donor[part]
        else origin
        if of_donor[part] == count
        else f"{origin} ({of_donor[part]} of {count} tensors)"
        for part, count in every.items()
    }
