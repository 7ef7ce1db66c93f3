"""The validated configuration of a pretraining run; the defaults are the published recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from icefront.recipes import Strict, read_recipe

Method = Literal["optsimmim", "opttranslator"]

_PUBLISHED: dict[str, dict[str, Any]] = {
    "optsimmim": {"optimiser": {"learning_rate": 1e-3}},
    "opttranslator": {"optimiser": {"learning_rate": 5e-3}, "stop_after": 100},
}
"""Where the two methods differ."""


class DataConfig(Strict):
    """Which images are learned from.

    Attributes
    ----------
    root : str
        Folder of an archive in SSL4SAR's layout.
    exclude : list of str
        Glaciers that are left out altogether.
    held_out : list of str
        Glaciers that are not learned from; at the end the reconstruction of them is scored beside
        the mean image and linear regressions.
    validation : "folder" or a share
        The images of ``unlabeled_data_raw_val``, or a share of the others, drawn with the seed.
    stride : int
        Of the validation windows, in pixels.
    windows : int or None
        Use so many validation windows, evenly spread; null for all.
    """

    root: str
    exclude: list[str] = Field([])
    held_out: list[str] = Field([])
    validation: Literal["folder"] | float = "folder"
    stride: int = Field(256, gt=0)
    windows: int | None = Field(None, gt=0)


class MaskConfig(Strict):
    """What OptSimMIM hides.

    Attributes
    ----------
    share : float
        Of the tokens.
    block : int
        Tokens are hidden in squares of so many a side, on a grid (SimMIM, Xie et al. 2022,
        arXiv:2111.09886, hides 32 pixels at a time); 1 as published.
    """

    share: float = Field(0.3, gt=0, lt=1)
    block: int = Field(1, gt=0)


class LossConfig(Strict):
    """What is added to the published loss.

    Attributes
    ----------
    gradient : float
        Weight of the L1 distance between the differences of neighbouring pixels.
    radar : "none", "same" or "other_day"
        A radar image as a further channel of the target: the one that is seen (OptSimMIM only: to
        a translator it would be given) or another of the same glacier, whose speckle and front are
        others.
    radar_weight : float
    """

    gradient: float = Field(0.0, ge=0)
    radar: Literal["none", "same", "other_day"] = "none"
    radar_weight: float = Field(1.0, gt=0)


class OptimiserConfig(Strict):
    """Optimiser and learning rate.

    Attributes
    ----------
    name : "sgd" or "adamw"
    learning_rate
        By default 1e-3 for OptSimMIM, 5e-3 for OptTranslator.
    weight_decay, momentum
    schedule : "plateau", "cosine" or "constant"
        Plateau takes `factor` of the learning rate after `patience` epochs without gain; cosine
        falls to `final` of it over the run.
    warmup_steps : int
        The learning rate rises over these first.
    clip : float or None
        Largest norm of the gradient.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    schedule: Literal["plateau", "cosine", "constant"] = "plateau"
    patience: int = Field(5, gt=0)
    factor: float = Field(0.5, gt=0, lt=1)
    final: float = Field(0.01, ge=0, le=1)
    warmup_steps: int = Field(0, ge=0)
    clip: float | None = Field(None, gt=0)


class PretrainingConfig(Strict):
    """One pretraining run.

    Attributes
    ----------
    name : str
        Of the run and of the checkpoint.
    method : "optsimmim" or "opttranslator"
    model, architecture, init
        As in training; ``init: imagenet`` as published.
    out : str
        Folder of the runs.
    epochs : int
        At most.
    stop_after : int or None
        Epochs without gain after which the run ends; 100 for OptTranslator.
    crops_per_epoch : int or None
        On all devices together; null for eight of each image (76,496 of the published archive).
    batch : int
        On each device.
    window : int
        Side of the crops, in pixels.
    zoom : (float, float)
        Side of the square that is enlarged to the window, over the window's.
    flip : float
        Chance of a flip, for each axis by itself.
    workers, precision, devices, seed
        As in training.
    compile : bool
        Compile the network; worth its minutes in long runs on a GPU.
    pictures_every : int
        Epochs between pictures of reconstructions.
    input_mapping : "grey", "equalised" or null
        Null for the model's own.
    """

    name: str = Field(pattern=r"^[\w.-]+$")
    method: Method
    model: str = "tyrion"
    architecture: dict[str, Any] = Field({})
    init: str | None = "imagenet"
    out: str = "runs"
    data: DataConfig
    mask: MaskConfig = MaskConfig()  # type: ignore[call-arg]
    loss: LossConfig = LossConfig()  # type: ignore[call-arg]
    optimiser: OptimiserConfig
    epochs: int = Field(1000, gt=0)
    stop_after: int | None = Field(None, gt=0)
    crops_per_epoch: int | None = Field(None, gt=0)
    batch: int = Field(32, gt=0)
    window: int = Field(512, gt=0)
    zoom: tuple[float, float] = (0.7, 1.0)
    flip: float = Field(0.5, ge=0, le=1)
    workers: int = Field(8, ge=0)
    precision: Literal["auto", "32", "bf16"] = "auto"
    devices: int | Literal["auto"] = "auto"
    compile: bool = False
    seed: int = 0
    pictures_every: int = Field(5, gt=0)
    input_mapping: Literal["grey", "equalised"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_published(cls, values: Any) -> Any:
        """Fill what was not given with the method's own."""
        method = values.get("method") if isinstance(values, dict) else None
        if method not in _PUBLISHED:
            return values
        published = _PUBLISHED[method]
        filled = {**published, **values}
        if isinstance(filled["optimiser"], dict):
            filled["optimiser"] = {**published["optimiser"], **filled["optimiser"]}
        return filled

    @model_validator(mode="after")
    def _fits(self) -> PretrainingConfig:
        low, high = self.zoom
        if not 0 < low <= high <= 1:
            raise ValueError("zoom has to be two shares of the window, the smaller first")
        if self.method == "opttranslator" and self.loss.radar == "same":
            raise ValueError("loss.radar: same would give a translator its own input; other_day")
        if isinstance(self.data.validation, float) and not 0 < self.data.validation < 1:
            raise ValueError("data.validation has to be 'folder' or a share between 0 and 1")
        return self


def load_config(path: str | Path, overrides: list[str] | None = None) -> PretrainingConfig:
    """Read a YAML recipe and apply ``key=value`` overrides (dots reach inner keys).

    Raises
    ------
    IcefrontError
        If the file is missing or no YAML, a key is unknown, or a value does not fit.
    """
    return read_recipe(path, overrides, PretrainingConfig)
