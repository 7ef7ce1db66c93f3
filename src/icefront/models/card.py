"""What a model says about itself: how scenes must be prepared for it, where it comes from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from icefront.errors import IcefrontError

DEFAULT = "tyrion-mini"
"""Model whose packaged weights `icefront.load_model` gives by itself."""

PRETRAINED = "pretraining"
"""What the provenance of a card has as ``stage`` where the network cannot predict zones yet."""

InputMapping = Literal["grey", "equalised"]


@dataclass(frozen=True)
class ModelCard:
    """Identity, preparation of the input and scores of one model.

    Attributes
    ----------
    name : str
        Name in the family (``tyrion``, ``tyrion-mini``, ``unet``) or of the checkpoint.
    architecture : dict
        Everything that is needed to build the network (``family`` and its options).
    window, target, stride : int
        Side of the window that goes in, of its centre that counts, and the step, in pixels.
    whole : bool
        A scene that fits into the window may be taken as one, surrounded by no data.
    input_mapping : "grey" or "equalised"
        Grey values as they are, or with a flat histogram (`icefront.scenes.radiometry.equalise`).
    pixel_size_m : float or None
        Scenes are resampled to this size for the model; None takes them as they are.
    training_pixel_sizes_m : list
        Pixel sizes of the training images, a number or [rows, columns] each.
    provenance, scores : dict
        What it was trained on and how; what it scored on what.
    sha256 : str
        Of the weights file; empty for a network that was never stored.
    """

    name: str
    architecture: dict[str, Any]
    window: int = 512
    target: int = 256
    stride: int = 128
    whole: bool = False
    input_mapping: InputMapping = "grey"
    pixel_size_m: float | None = None
    training_pixel_sizes_m: list[Any] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the card as plain types, for JSON."""
        return asdict(self)


def card_of(model: object) -> ModelCard:
    """Return a model's card; that of the default windows for a network without one."""
    card = getattr(model, "card", None)
    if isinstance(card, ModelCard):
        return card
    return ModelCard(name=type(model).__name__, architecture={})


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def packaged_weights(name: str) -> Path | None:
    """Return the path of the weights of a model that come with the package, or None."""
    path = Path(str(files("icefront.models").joinpath("weights", f"{name}.safetensors")))
    return path if path.is_file() else None


def read_card(path: Path) -> ModelCard:
    """Read the card of a checkpoint of ours; neither its numbers nor PyTorch are loaded.

    Raises
    ------
    IcefrontError
        If the card is missing or damaged, or the weights are not the ones it describes.
    """
    beside = path.with_suffix(".json")
    if not beside.is_file():
        raise IcefrontError(
            f"{path} has no {beside.name} beside it; keep the two files of a checkpoint together."
        )
    try:
        values = json.loads(beside.read_text())
        known = {f.name for f in fields(ModelCard)}
        card = ModelCard(**{k: v for k, v in values.items() if k in known})
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise IcefrontError(f"{beside} is not the card of a model: {error}.") from error
    if card.sha256 and sha256_of(path) != card.sha256:
        raise IcefrontError(
            f"{path} is not the file that {beside.name} describes (another SHA-256); fetch both."
        )
    return card


def stored_card(name_or_path: str | None) -> ModelCard | None:
    """Return the card of a model as `icefront.load_model` names it, without loading the network.

    Returns
    -------
    ModelCard or None
        None where only loading tells: for other checkpoints than whole ones of ours.
    """
    name = DEFAULT if name_or_path is None else name_or_path
    path = (packaged_weights(name) if Path(name).name == name else None) or Path(name)
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    card = read_card(path)
    whole = bool(card.sha256) and card.provenance.get("stage") != PRETRAINED
    return card if whole else None
