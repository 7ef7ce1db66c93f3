"""Validated recipes of training; what recipes of pretraining share with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from icefront.fronts.minimum_length import MIN_LENGTH_M
from icefront.models.card import InputMapping
from icefront.recipes import Strict
from icefront.training.augmentation import AugmentationConfig


class DataConfig(Strict):
    """Which images are trained on, validated with and tested on.

    Attributes
    ----------
    root : str
        Folder of a data set in CaFFe's layout.
    test_glaciers : list of str
        Glaciers of the training split that are kept out of training and scored at the end.
    test_split : bool
        Score the images of ``test/`` at the end instead, within their bounding boxes.
    validation : "official", "none" or float
        10 % as the official code draws them, nothing, or another fraction drawn with the seed.
    pixel_size_m : "name", a number, [rows, columns] or null
        Overrides the resolution in the names; null counts in pixels.
    min_length_m : float
        Shortest piece of front that counts, in the unit of the pixel size.
    clean_labels : bool
        Remove thin false classes of resized labels from what is trained on. Scores are always
        taken against the labels as they are. (0.1.0: ``mend_zones``)
    damaged : "refuse" or "skip"
    train_fraction : float
        Fraction of the training images that is used, drawn with the seed; a smaller one is part of
        a larger one. (0.1.0: ``share``)
    textures : str or None
        Folder of finer patches; mosaics are composed of their textures, see
        `icefront.datasets.texture_mosaics`. Patches of `test_glaciers` are left out.
    mosaics : int
        Number of mosaics.
    mosaic_fraction : float
        Fraction of the crops that is drawn from them. (0.1.0: ``mosaic_share``)
    simulated : int
        Number of simulated scenes (`icefront.simulation`).
    simulated_fraction : float
        Fraction of the crops that is drawn from them; 1 leaves the images of `root` for testing
        only. (0.1.0: ``simulated_share``)
    """

    renamed_keys: ClassVar[Mapping[str, str]] = {
        "mend_zones": "clean_labels",
        "share": "train_fraction",
        "mosaic_share": "mosaic_fraction",
        "simulated_share": "simulated_fraction",
    }

    root: str
    test_glaciers: list[str] = Field([])
    test_split: bool = False
    validation: Literal["official", "none"] | float = "official"
    pixel_size_m: Literal["name"] | float | tuple[float, float] | None = "name"
    min_length_m: float = Field(MIN_LENGTH_M, gt=0)
    clean_labels: bool = False
    damaged: Literal["refuse", "skip"] = "refuse"
    train_fraction: float = Field(1.0, gt=0, le=1)
    textures: str | None = None
    mosaics: int = Field(200, ge=0)
    mosaic_fraction: float = Field(0.2, ge=0, le=1)
    simulated: int = Field(0, ge=0)
    simulated_fraction: float = Field(0.2, ge=0, le=1)


class OptimiserConfig(Strict):
    """Optimiser and learning rate.

    Attributes
    ----------
    name : "sgd" or "adamw"
    learning_rate, weight_decay : float
    momentum : float
        Under AdamW the first beta.
    schedule : "constant" or "cosine"
        Cosine falls to `final` of the learning rate over the run.
    final : float
    warmup_steps : int
        The learning rate rises linearly over these first.
    clip : float or None
        Largest norm of the gradient.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(0.01, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = Field(0, ge=0)
    final: float = Field(0.01, ge=0, le=1)
    clip: float | None = Field(None, ge=0)


class AveragingOptimiserConfig(OptimiserConfig):
    """The same, with a running mean of the weights.

    Attributes
    ----------
    averaging : float
        Decay of the running mean of the weights, which is validated and kept (0: none).
    """

    averaging: float = Field(0.0, ge=0, lt=1)


class RunConfig(Strict):
    """Settings of every run of learning.

    Attributes
    ----------
    name : str
        Of the run and of the checkpoint.
    model : str
        Member of the family.
    architecture : dict
        Options of the member that differ from its defaults.
    init : str or None
        ``imagenet``, a checkpoint to start from, or nothing.
    optimiser : OptimiserConfig
    epochs : int or None
        At most.
    out : str
        Folder of the runs.
    batch : int
        Crops in a step, on each device.
    workers : int
        Processes that read crops.
    precision : "auto", "32" or "bf16"
        "auto" is bf16 on GPUs that have it and 32 bit elsewhere.
    devices : int or "auto"
    seed : int
    input_mapping : "grey", "equalised" or None
        How radar images are prepared; None for the member's own.
    """

    name: str = Field(pattern=r"^[\w.-]+$")
    model: str = "tyrion"
    architecture: dict[str, Any] = Field({})
    init: str | None = None
    optimiser: OptimiserConfig
    epochs: int | None = Field(gt=0)
    out: str = "runs"
    batch: int = Field(128, gt=0)
    workers: int = Field(4, ge=0)
    precision: Literal["auto", "32", "bf16"] = "auto"
    devices: int | Literal["auto"] = "auto"
    seed: int = 0
    input_mapping: InputMapping | None = None

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return Path(self.out) / self.name


class TrainingConfig(RunConfig):
    """One training run: `RunConfig` and the following.

    Attributes
    ----------
    data : DataConfig
    optimiser : AveragingOptimiserConfig
    augmentation : AugmentationConfig
    epochs, minutes : int or None, float or None
        The run ends at whichever comes first; a run by minutes is the same in outline on
        another machine, not in detail.
    crops_per_epoch : int
    validate_every : int
        Epochs between validations.
    whole, window, target, stride, pixel_size_m
        How scenes are prepared for the model; they become part of the checkpoint.
    training_pixel_sizes_m : list
        Likewise; sizes of the training pixels where the names do not tell them.
    smoothing : float
        Label smoothing.
    centre_loss : bool
        The central half of the window counts a second time.
    """

    data: DataConfig
    optimiser: AveragingOptimiserConfig = AveragingOptimiserConfig()  # type: ignore[call-arg]
    augmentation: AugmentationConfig = AugmentationConfig()  # type: ignore[call-arg]
    epochs: int | None = Field(150, gt=0)
    minutes: float | None = Field(None, gt=0)
    crops_per_epoch: int = Field(40_000, gt=0)
    validate_every: int = Field(1, gt=0)
    whole: bool | None = None
    window: int | None = None
    target: int | None = None
    stride: int | None = None
    pixel_size_m: float | None = None
    training_pixel_sizes_m: list[Any] = Field([])
    smoothing: float = Field(0.1, ge=0, lt=1)
    centre_loss: bool = True

    @model_validator(mode="after")
    def _ends(self) -> TrainingConfig:
        if self.epochs is None and self.minutes is None:
            raise ValueError("a run needs an end: give epochs or minutes")
        if self.batch > self.crops_per_epoch:
            raise ValueError("batch is larger than crops_per_epoch")
        return self
