"""The validated configuration of a training run: an unknown key is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from icefront.fronts.minimum_length import MIN_LENGTH_M
from icefront.recipes import Strict, read_recipe
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
    validation : "official", "none" or a share
        10 % as the official code draws them, nothing, or another share drawn with the seed.
    pixel_size_m : "name", a number, [rows, columns] or null
        Overrides the resolution in the names; null counts in pixels.
    min_length_m : float
        Shortest piece of front that counts, in the unit of the pixel size.
    mend_zones : bool
        Remove thin false classes of resized labels from what is trained on. Scores are always
        taken against the labels as they are.
    damaged : "refuse" or "skip"
    share : float
        Share of the training images that is used, drawn with the seed; a smaller share is part of
        a larger one.
    textures : str or None
        Folder of finer patches; mosaics are made of their textures, see
        `icefront.datasets.texture_mosaics`. Patches of `test_glaciers` are left out.
    mosaics, mosaic_share : int, float
        How many, and the share of the crops that is drawn from them.
    simulated, simulated_share : int, float
        Simulated scenes (`icefront.simulation`): how many, and the share of the crops that is
        drawn from them; a share of 1 leaves the images of `root` for testing only.
    """

    root: str
    test_glaciers: list[str] = Field([])
    test_split: bool = False
    validation: Literal["official", "none"] | float = "official"
    pixel_size_m: Literal["name"] | float | tuple[float, float] | None = "name"
    min_length_m: float = Field(MIN_LENGTH_M, gt=0)
    mend_zones: bool = False
    damaged: Literal["refuse", "skip"] = "refuse"
    share: float = Field(1.0, gt=0, le=1)
    textures: str | None = None
    mosaics: int = Field(200, ge=0)
    mosaic_share: float = Field(0.2, ge=0, le=1)
    simulated: int = Field(0, ge=0)
    simulated_share: float = Field(0.2, ge=0, le=1)


class OptimiserConfig(Strict):
    """Optimiser and learning rate.

    Attributes
    ----------
    name : "sgd" or "adamw"
    learning_rate, weight_decay, momentum
    schedule : "constant" or "cosine"
        Cosine falls to `final` of the learning rate over the run, after `warmup_steps`.
    clip : float or None
        Largest norm of the gradient.
    averaging : float
        Decay of the running mean of the weights that is validated and kept (0: none).
    """

    name: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(0.01, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = Field(0, ge=0)
    final: float = Field(0.01, ge=0, le=1)
    clip: float | None = None
    averaging: float = Field(0.0, ge=0, lt=1)


class TrainingConfig(Strict):
    """One training run.

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
    out : str
        Folder of the run.
    epochs, minutes
        The run ends at whichever comes first; a run by minutes is the same in outline on
        another machine, not in detail.
    crops_per_epoch, batch, workers, precision, devices, seed
        As the names say; `precision` "auto" is bf16 on GPUs that have it and 32 bit elsewhere.
    validate_every : int
        Epochs between validations.
    input_mapping, whole, window, target, stride, pixel_size_m
        How scenes are prepared for the model; they become part of the checkpoint.
    training_pixel_sizes_m : list
        Likewise; sizes of the training pixels where the names do not tell them.
    smoothing : float
        Label smoothing.
    centre_loss : bool
        The central half of the window counts a second time.
    """

    name: str = Field(pattern=r"^[\w.-]+$")
    model: str = "tyrion"
    architecture: dict[str, Any] = Field({})
    init: str | None = None
    out: str = "runs"
    data: DataConfig
    optimiser: OptimiserConfig = OptimiserConfig()
    augmentation: AugmentationConfig = AugmentationConfig()  # type: ignore[call-arg]
    epochs: int | None = Field(150, gt=0)
    minutes: float | None = Field(None, gt=0)
    crops_per_epoch: int = Field(40_000, gt=0)
    batch: int = Field(128, gt=0)
    workers: int = Field(4, ge=0)
    precision: Literal["auto", "32", "bf16"] = "auto"
    devices: int | Literal["auto"] = "auto"
    seed: int = 0
    validate_every: int = Field(1, gt=0)
    input_mapping: Literal["grey", "equalised"] | None = None
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


def load_config(path: str | Path, overrides: list[str] | None = None) -> TrainingConfig:
    """Read a YAML recipe and apply ``key=value`` overrides (dots reach inner keys).

    Raises
    ------
    IcefrontError
        If the file is missing or no YAML, a key is unknown, or a value does not fit.
    """
    return read_recipe(path, overrides, TrainingConfig)
