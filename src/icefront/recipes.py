"""Settings in YAML files that are validated against a model, an unknown key being an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from icefront.errors import IcefrontError

__all__ = ["Strict", "read_recipe", "read_yaml", "validated"]


class Strict(BaseModel):
    """A group of keys; it cannot be changed and has no others.

    Attributes
    ----------
    renamed_keys : dict, class attribute
        From earlier names of keys, which go on working, to those of today.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    renamed_keys: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _under_new_names(cls, values: Any) -> Any:
        return _renamed(values, cls.renamed_keys) if isinstance(values, dict) else values


def _renamed(values: dict[str, Any], renamed_keys: Mapping[str, str]) -> dict[str, Any]:
    for old, new in renamed_keys.items():
        if old in values and new in values:
            raise ValueError(f"{old} is the earlier name of {new}; give one of them")
    return {renamed_keys.get(key, key): value for key, value in values.items()}


@dataclass(frozen=True)
class KeysOf:
    """Mark a mapping whose keys are validated later: ``Annotated[dict, KeysOf(Model)]``.

    Attributes
    ----------
    model : type of BaseModel
        The model that the keys belong to; their earlier names are understood.
    """

    model: type[BaseModel]


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
    values = read_yaml(path)
    for item in overrides or []:
        _override(values, item, kind)
    return validated(values, kind, str(path))


def read_yaml(path: str | Path, what: str = "recipe") -> dict[str, Any]:
    """Read a YAML file of keys and values; an empty file has none.

    Parameters
    ----------
    path : str or Path
    what : str
        What the file is, for messages.

    Raises
    ------
    IcefrontError
        If the file is missing, no YAML, or something else than a mapping.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise IcefrontError(f"The {what} {path} does not exist.") from None
    except RecursionError:
        raise IcefrontError(f"{path} is not a YAML {what} (it is nested too deeply).") from None
    except (OSError, ValueError, OverflowError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise IcefrontError(f"{path} is not a YAML {what} ({reason}).") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise IcefrontError(f"{path} is not a {what}: a mapping of keys to values is expected.")
    return values


def _override(values: dict[str, Any], item: str, kind: type[BaseModel]) -> None:
    """Set one key, changing `values` in place; it replaces the key under its earlier name, too."""
    key, found, text = item.partition("=")
    if not found:
        raise IcefrontError(f"--set {item!r} is not of the form key=value.")
    inner: Any = values
    group: type[BaseModel] | None = kind
    *parents, last = key.strip().split(".")
    for parent in parents:
        parent = _under_new_name(inner, parent, group)
        inner, group = inner.setdefault(parent, {}), _group_below(group, parent)
        if not isinstance(inner, dict):
            raise IcefrontError(f"--set {item!r}: {parent} is a value, not a group of keys.")
    last = _under_new_name(inner, last, group)
    try:
        inner[last] = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        raise IcefrontError(f"--set {item!r}: the value is not YAML.") from None


def _under_new_name(values: dict[str, Any], key: str, kind: type[BaseModel] | None) -> str:
    """Return the name of a key as of today, and move what the file has under an earlier one."""
    earlier: Mapping[str, str] = getattr(kind, "renamed_keys", {})
    key = earlier.get(key, key)
    for old, new in earlier.items():
        if new == key and old in values:
            values.setdefault(new, values.pop(old))
    return key


def _group_below(kind: type[BaseModel] | None, key: str) -> type[BaseModel] | None:
    """Return the model of a group of keys inside of another, if it is known."""
    field = None if kind is None else kind.model_fields.get(key)
    if field is None:
        return None
    for mark in field.metadata:
        if isinstance(mark, KeysOf):
            return mark.model
    types = (field.annotation, *get_args(field.annotation))
    return next((t for t in types if isinstance(t, type) and issubclass(t, BaseModel)), None)


def under_new_names(values: dict[str, Any], kind: type[BaseModel] | None) -> dict[str, Any]:
    """Return a tree of keys of a model with the names of today.

    Raises
    ------
    ValueError
        If a key is given under both of its names.
    """
    found = _renamed(values, getattr(kind, "renamed_keys", {}))
    return {
        key: under_new_names(value, _group_below(kind, key)) if isinstance(value, dict) else value
        for key, value in found.items()
    }


def validated(values: dict[str, Any], kind: type[Recipe], source: str) -> Recipe:
    """Check plain values against a model; a mistake is told with its place in `source`.

    Raises
    ------
    IcefrontError
        If a key is unknown or missing, or a value does not fit.
    """
    try:
        return kind.model_validate(values)
    except IcefrontError as error:
        raise IcefrontError(f"{source}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}." for part in first["loc"])[:-1]
        what = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            what = "there is no such key"
        place = f"{source}: {where}" if where else source
        raise IcefrontError(f"{place}: {what}.") from None
