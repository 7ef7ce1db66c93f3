"""What a model says about itself: how scenes must be prepared for it, where it comes from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

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
