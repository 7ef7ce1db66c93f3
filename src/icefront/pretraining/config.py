"""Validated recipes of pretraining; the defaults are those of the publication."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from icefront.recipes import Strict
from icefront.training.config import OptimiserConfig, RunConfig

Method = Literal["optsimmim", "opttranslator"]

_PUBLISHED: dict[str, dict[str, Any]] = {
    "optsimmim": {"optimiser": {"learning_rate": 1e-3}},
    "opttranslator": {"optimiser": {"learning_rate": 5e-3}, "stop_after": 100},
}
"""Defaults in which the two methods differ."""


class ArchiveDataConfig(Strict):
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
    validation : "folder" or float
        The images of ``unlabeled_data_raw_val``, or a fraction of the others, drawn with the seed.
    stride : int
        Of the validation windows, in pixels.
    windows : int or None
        Number of validation windows, evenly spaced; null for all.
    """

    root: str
    exclude: list[str] = Field([])
    held_out: list[str] = Field([])
    validation: Literal["folder"] | float = "folder"
    stride: int = Field(256, gt=0)
    windows: int | None = Field(None, gt=0)


class MaskConfig(Strict):
    """What OptSimMIM masks.

    Attributes
    ----------
    fraction : float
        Fraction of the tokens that is masked. (0.1.0: ``share``)
    block : int
        Side, in tokens, of the squares that are masked, which lie on a grid (SimMIM, Xie et al.
        2022, arXiv:2111.09886, masks 32 pixels at a time); 1 as published.
    """

    renamed_keys: ClassVar[Mapping[str, str]] = {
        "share": "fraction",
    }

    fraction: float = Field(0.3, gt=0, lt=1)
    block: int = Field(1, gt=0)


class LossConfig(Strict):
    """What is added to the published loss.

    Attributes
    ----------
    gradient : float
        Weight of the L1 distance between the differences of neighbouring pixels.
    radar : "none", "same" or "other_day"
        A radar image as a further channel of the target: the input itself (OptSimMIM only: a
        translator would have it given) or another one of the same glacier, with other speckle and
        another front.
    radar_weight : float
    """

    gradient: float = Field(0.0, ge=0)
    radar: Literal["none", "same", "other_day"] = "none"
    radar_weight: float = Field(1.0, gt=0)


class PlateauOptimiserConfig(OptimiserConfig):
    """Optimiser and learning rate: `icefront.training.config.OptimiserConfig` and the following.

    Attributes
    ----------
    learning_rate : float
        By default 1e-3 for OptSimMIM, 5e-3 for OptTranslator.
    schedule : "plateau", "cosine" or "constant"
        Plateau multiplies the learning rate by `factor` after `patience` epochs in a row without a
        lower loss of validation.
    patience : int
    factor : float
    """

    learning_rate: float = Field(gt=0)
    schedule: Literal["plateau", "cosine", "constant"] = "plateau"  # type: ignore[assignment]
    patience: int = Field(5, gt=0)
    factor: float = Field(0.5, gt=0, lt=1)


class PretrainingConfig(RunConfig):
    """One pretraining run: `icefront.training.config.RunConfig` and the following.

    Attributes
    ----------
    method : "optsimmim" or "opttranslator"
    init : str or None
        ``imagenet`` as published.
    data : ArchiveDataConfig
    mask : MaskConfig
    loss : LossConfig
    optimiser : PlateauOptimiserConfig
    epochs : int
        At most.
    stop_after : int or None
        Epochs in a row without a lower loss of validation after which the run ends; 100 for
        OptTranslator.
    crops_per_epoch : int or None
        On all devices together; null for eight of each image (76,496 of the published archive).
    window : int
        Side of the crops, in pixels.
    zoom : (float, float)
        Side of the square that is enlarged to the window, over the window's.
    flip : float
        Probability of a flip, for each axis by itself.
    compile : bool
        Compile the network; worth its minutes in long runs on a GPU.
    pictures_every : int
        Epochs between pictures of reconstructions.
    """

    method: Method
    init: str | None = "imagenet"
    data: ArchiveDataConfig
    mask: MaskConfig = MaskConfig()  # type: ignore[call-arg]
    loss: LossConfig = LossConfig()  # type: ignore[call-arg]
    optimiser: PlateauOptimiserConfig
    epochs: int = Field(1000, gt=0)
    stop_after: int | None = Field(None, gt=0)
    crops_per_epoch: int | None = Field(None, gt=0)
    batch: int = Field(32, gt=0)
    window: int = Field(512, gt=0)
    zoom: tuple[float, float] = (0.7, 1.0)
    flip: float = Field(0.5, ge=0, le=1)
    workers: int = Field(8, ge=0)
    compile: bool = False
    pictures_every: int = Field(5, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _as_published(cls, values: Any) -> Any:
        """Set the defaults of the method."""
        method = values.get("method") if isinstance(values, dict) else None
        if not isinstance(method, str) or method not in _PUBLISHED:
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
            raise ValueError("zoom has to be two fractions of the window, the smaller first")
        if self.method == "opttranslator" and self.loss.radar == "same":
            raise ValueError("loss.radar: same would give a translator its own input; other_day")
        if isinstance(self.data.validation, float) and not 0 < self.data.validation < 1:
            raise ValueError("data.validation has to be 'folder' or a fraction between 0 and 1")
        return self
