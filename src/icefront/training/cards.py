"""What checkpoints of training and of pretraining say alike: card, provenance, recipe."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from icefront import __version__
from icefront.errors import IcefrontError
from icefront.models.card import ModelCard
from icefront.models.registry import MODELS
from icefront.models.starting_weights import StartingWeights
from icefront.training.config import RunConfig


def card_of_member(config: RunConfig) -> ModelCard:
    """Return the card of the member that a recipe names, with the architecture of the recipe.

    Raises
    ------
    IcefrontError
        If the family has no such member.
    """
    if config.model not in MODELS:
        raise IcefrontError(
            f"There is no model named {config.model!r}; the family has {', '.join(MODELS)}."
        )
    member = MODELS[config.model]
    return replace(
        member,
        name=config.name,
        architecture={**member.architecture, **config.architecture},
        input_mapping=config.input_mapping or member.input_mapping,
        scores={},
    )


def run_provenance(config: RunConfig, start: StartingWeights) -> dict[str, Any]:
    """Return the origin of the parameters, versions, processor, seed and the portable recipe."""
    return {
        "icefront": __version__,
        "torch": torch.__version__,
        "processor": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "init": start.origin,
        "parameters_from": start.parts,
        "seed": config.seed,
        "recipe": portable_recipe(config),
    }


def portable_recipe(config: RunConfig) -> dict[str, Any]:
    """Return the keys of a recipe without what belongs to one machine, paths as mere names."""
    recipe = config.model_dump(mode="json", exclude={"out", "workers", "devices"})
    data = recipe["data"]
    recipe["data"] = {
        **data,
        **{k: Path(data[k]).name for k in ("root", "textures") if data.get(k)},
    }
    if recipe["init"] not in (None, "imagenet"):
        recipe["init"] = Path(recipe["init"]).name
    return recipe
