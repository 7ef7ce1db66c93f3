"""Recipes: keys and their earlier names; the published rows, which differ in their start only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from icefront.errors import IcefrontError
from icefront.recipes import Strict, read_recipe, read_yaml
from icefront.training.config import TrainingConfig
from tests.helpers.paths import CONFIGS

STARTS = {
    "tyrion-none": None,
    "tyrion": "imagenet",
    "tyrion-optsimmim": "runs/optsimmim/best.safetensors",
    "tyrion-opttranslator": "runs/opttranslator/best.safetensors",
}


@pytest.mark.parametrize("name", STARTS)
def test_the_recipes_differ_in_their_start_only(name: str) -> None:
    recipe = read_recipe(CONFIGS / f"{name}.yaml", None, TrainingConfig)
    assert recipe.name == name
    assert recipe.init == STARTS[name]
    known = read_recipe(CONFIGS / "tyrion.yaml", None, TrainingConfig)
    assert recipe.model_dump(exclude={"name", "init"}) == known.model_dump(exclude={"name", "init"})


def test_the_recipe_is_the_published_one() -> None:
    recipe = read_recipe(CONFIGS / "tyrion.yaml", None, TrainingConfig)
    assert (recipe.epochs, recipe.crops_per_epoch, recipe.batch) == (150, 40_000, 128)
    assert recipe.optimiser.name == "sgd"
    assert recipe.optimiser.learning_rate == 0.01
    assert recipe.optimiser.momentum == 0.9
    assert recipe.optimiser.weight_decay == 1e-4
    assert recipe.optimiser.schedule == "constant"
    assert recipe.smoothing == 0.1
    assert recipe.data.validation == "official"


class Data(Strict):
    """Keys, one of which had another name."""

    renamed_keys: ClassVar[Mapping[str, str]] = {"mend": "clean"}

    clean: bool = False
    root: str = "here"


class Whole(Strict):
    """A group within a group."""

    data: Data = Data()
    spare: Data | None = None


@pytest.mark.parametrize(
    ("text", "overrides", "clean"),
    [
        ("data: {clean: true}", [], True),
        ("data: {mend: true}", [], True),
        ("data: {mend: true}", ["data.mend=false"], False),
        ("data: {mend: true}", ["data.clean=false"], False),
        ("data: {clean: true}", ["data.mend=false"], False),
        ("data: {root: there}", ["data.mend=true"], True),
        ("", ["data.mend=true"], True),
    ],
)
def test_earlier_names_of_keys_go_on_working(
    text: str, overrides: list[str], clean: bool, tmp_path: Path
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    assert read_recipe(path, overrides, Whole).data.clean is clean
    path.write_text(text.replace("data", "spare"))
    found = read_recipe(path, [o.replace("data", "spare") for o in overrides], Whole).spare
    assert found is not None
    assert found.clean is clean


def test_both_names_of_a_key_and_unknown_keys_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("data: {mend: true, clean: false}")
    with pytest.raises(IcefrontError, match="data: mend is the earlier name of clean"):
        read_recipe(path, [], Whole)
    path.write_text("data: {colour: 3}")
    with pytest.raises(IcefrontError, match=r"data\.colour: there is no such key"):
        read_recipe(path, [], Whole)


def test_a_file_that_is_missing_or_no_mapping_is_named(tmp_path: Path) -> None:
    path = tmp_path / "project.yaml"
    with pytest.raises(IcefrontError, match=r"The project .*project\.yaml does not exist"):
        read_yaml(path, "project")
    path.write_text("- a list")
    with pytest.raises(IcefrontError, match="is not a project: a mapping"):
        read_yaml(path, "project")
    path.write_text("a: [")
    with pytest.raises(IcefrontError, match="is not a YAML project"):
        read_yaml(path, "project")
    path.write_text("")
    assert read_yaml(path) == {}
