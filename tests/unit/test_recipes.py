"""The recipes of the published rows: valid, as published, and different in their start only."""

from __future__ import annotations

import pytest

from icefront.training.config import load_config
from tests.helpers.paths import CONFIGS

STARTS = {
    "tyrion-none": None,
    "tyrion": "imagenet",
    "tyrion-optsimmim": "runs/optsimmim/best.safetensors",
    "tyrion-opttranslator": "runs/opttranslator/best.safetensors",
}


@pytest.mark.parametrize("name", STARTS)
def test_the_recipes_differ_in_their_start_only(name: str) -> None:
    recipe = load_config(CONFIGS / f"{name}.yaml")
    assert recipe.name == name
    assert recipe.init == STARTS[name]
    known = load_config(CONFIGS / "tyrion.yaml")
    assert recipe.model_dump(exclude={"name", "init"}) == known.model_dump(exclude={"name", "init"})


def test_the_recipe_is_the_published_one() -> None:
    recipe = load_config(CONFIGS / "tyrion.yaml")
    assert (recipe.epochs, recipe.crops_per_epoch, recipe.batch) == (150, 40_000, 128)
    assert recipe.optimiser.name == "sgd"
    assert recipe.optimiser.learning_rate == 0.01
    assert recipe.optimiser.momentum == 0.9
    assert recipe.optimiser.weight_decay == 1e-4
    assert recipe.optimiser.schedule == "constant"
    assert recipe.smoothing == 0.1
    assert recipe.data.validation == "official"
