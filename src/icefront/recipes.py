"""Recipes: YAML files that are validated against a model, an unknown key being an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from icefront.errors import IcefrontError


class Strict(BaseModel):
    """A group of keys; it cannot be changed and has no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Recipe = TypeVar("Recipe", bound=BaseModel)


def read_recipe(path: str | Path, overrides: list[str] | None, kind: type[Recipe]) -> Recipe:
    """Read a YAML recipe and apply ``key=value`` overrides (dots reach inner keys).

    Parameters
    ----------
    path : str or Path
    overrides : list of str, optional
    kind : type
        The pydantic model that the recipe has to fit.

    Raises
    ------
    IcefrontError
        If the file is missing or no YAML, a key is unknown, or a value does not fit.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise IcefrontError(f"The recipe {path} does not exist.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise IcefrontError(f"{path} is not a YAML recipe ({reason}).") from None
    if not isinstance(values, dict):
        raise IcefrontError(f"{path} is not a recipe: a mapping of keys to values is expected.")
    for item in overrides or []:
        _overrule(values, item)
    return validated(values, kind, str(path))


def _overrule(values: dict[str, Any], item: str) -> None:
    key, found, text = item.partition("=")
    if not found:
        raise IcefrontError(f"--set {item!r} is not of the form key=value.")
    inner = values
    *parents, last = key.strip().split(".")
    for parent in parents:
        inner = inner.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise IcefrontError(f"--set {item!r}: {parent} is a value, not a group of keys.")
    try:
        inner[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise IcefrontError(f"--set {item!r}: the value is not YAML.") from None


def validated(values: dict[str, Any], kind: type[Recipe], source: str) -> Recipe:
    """Check plain values against a model; a mistake is told with its place in `source`."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the recipe"
        what = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            what = "there is no such key"
        raise IcefrontError(f"{source}: {where}: {what}.") from None
