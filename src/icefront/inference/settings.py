"""How a scene goes through a network: the settings that every command shares.

The command line, YAML and Python read the same names and the same help texts from here.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from icefront.recipes import Strict

Windows = Literal["default", "card"]
Precision = Literal["auto", "float32", "bfloat16", "fast"]


SHORTHANDS: dict[str, dict[str, Any]] = {
    "tta": {"symmetries": 8},
    "exact": {"windows": "card", "precision": "float32"},
}
"""Names that stand for values of several fields, where they are true."""


class PredictionSettings(Strict):
    """How probabilities are predicted.

    Two shorthands are accepted beside the fields: ``tta=True`` is ``symmetries=8``, and
    ``exact=True`` is ``windows="card", precision="float32"``.

    Attributes
    ----------
    windows : "default" or "card"
        Which windows the network sees: the default layout, or those that the model's card states
        (for Tyrion the published ones).
    symmetries : 1, 4 or 8
        Each window as it is, in its four rotations, or in these and their mirror images;
        probabilities are averaged.
    precision : "auto", "float32", "bfloat16" or "fast"
        ``auto`` is bfloat16 on GPUs that are fast in it, else float32. ``fast`` is bfloat16 also on
        processors on which a measurement found it faster; it is remembered.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    """

    windows: Windows = Field(
        "default", description="Windows of the network: default, or card as the model states them."
    )
    symmetries: Literal[1, 4, 8] = Field(
        1, description="Average over 1, 4 (rotations) or 8 (and reflections) views of each window."
    )
    precision: Precision = Field("auto", description="auto, float32, bfloat16 or fast.")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N.")

    @model_validator(mode="before")
    @classmethod
    def _shorthands(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = dict(values)
        for name, meaning in SHORTHANDS.items():
            given = values.pop(name, None)
            if given not in (None, True, False):
                raise ValueError(f"{name} is true or false, not {given!r}")
            if not given:
                continue
            for field, value in meaning.items():
                if values.get(field, value) != value:
                    raise ValueError(
                        f"{name} means {field}={value}, but {field}={values[field]} was asked for"
                    )
                values[field] = value
        return values

    @property
    def exact(self) -> bool:
        """Whether prediction is as published: the card's windows, in float32."""
        return self.windows == "card" and self.precision == "float32"
