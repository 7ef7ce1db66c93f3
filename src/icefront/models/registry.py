"""The family of models: which there are, how they are built, where their weights come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from icefront.errors import IcefrontError
from icefront.models.card import DEFAULT, PRETRAINED, ModelCard, packaged_weights
from icefront.models.checkpoints import read_checkpoint, read_official, read_own
from icefront.models.compact import CompactConfig, CompactTyrion
from icefront.models.tyrion import Tyrion, TyrionConfig
from icefront.models.unet import UNet, UNetConfig

_SQUEEZED: dict[str, Any] = {"window": 256, "target": 128, "stride": 64, "whole": True}

MODELS: dict[str, ModelCard] = {
    "tyrion": ModelCard("tyrion", {"family": "tyrion", **asdict(TyrionConfig())}),
    "tyrion-mini": ModelCard(
        "tyrion-mini",
        {"family": "compact", **asdict(CompactConfig())},
        input_mapping="equalised",
        **_SQUEEZED,
    ),
    "unet": ModelCard(
        "unet",
        {"family": "unet", **asdict(UNetConfig())},
        input_mapping="equalised",
        **_SQUEEZED,
    ),
}
"""Models by name, as cards without weights."""

_FAMILIES: dict[str, tuple[Callable[[Any], nn.Module], Callable[..., Any]]] = {
    "tyrion": (Tyrion, TyrionConfig),
    "compact": (CompactTyrion, CompactConfig),
    "unet": (UNet, UNetConfig),
}


def build(model: str | dict[str, Any] | ModelCard) -> nn.Module:
    """Build a network with fresh weights.

    Parameters
    ----------
    model : str, dict or ModelCard
        Name of a model, an architecture (``family`` and options), or a card.

    Returns
    -------
    nn.Module
        From (B, 1, H, W) in 0..1 to logits (B, 4, H, W); its card is the attribute ``card``.

    Raises
    ------
    IcefrontError
        If there is no such model, family or option.
    """
    if isinstance(model, str):
        if model not in MODELS:
            raise IcefrontError(
                f"There is no model named {model!r}; the family has {', '.join(MODELS)}."
            )
        card = MODELS[model]
    elif isinstance(model, dict):
        card = ModelCard(str(model.get("family", "custom")), model)
    else:
        card = model
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in card.architecture.items()}
    family = options.pop("family", None)
    if not isinstance(family, str) or family not in _FAMILIES:
        raise IcefrontError(
            f"The model {card.name!r} has the family {family!r}; known are {', '.join(_FAMILIES)}."
        )
    make, configure = _FAMILIES[family]
    try:
        network = make(configure(**options))
    except (TypeError, ValueError, RuntimeError) as error:
        raise IcefrontError(
            f"The architecture of the model {card.name!r} cannot be built: {error}."
        ) from error
    network.card = card  # type: ignore[assignment]
    return network


def load_model(name_or_path: str | Path | None = None, *, pretrained: bool = False) -> nn.Module:
    """Load a trained model.

    Parameters
    ----------
    name_or_path : str or Path, optional
        Nothing for the packaged default; the name of a model with packaged weights; a
        checkpoint of ours (``.safetensors`` with its ``.json`` beside it); or a Lightning
        checkpoint in the format of the official Tyrion release. Nothing in a file is executed.
    pretrained : bool
        Accept a network that was pretrained only: the zones it gives are random.

    Returns
    -------
    nn.Module
        In evaluation mode, from (B, 1, H, W) in 0..1 to logits (B, 4, H, W), with its
        `ModelCard` as the attribute ``card``.

    Raises
    ------
    IcefrontError
        If there is no such model, or the file is not a checkpoint or carries code.

    Examples
    --------
    >>> import icefront
    >>> model = icefront.load_model()
    >>> model.card.window
    256
    """
    name = str(name_or_path) if name_or_path is not None else DEFAULT
    path = packaged_weights(name) if name in MODELS else None
    if path is None:
        path = Path(name)
        if name in MODELS and not path.exists():
            raise IcefrontError(
                f"The model {name!r} comes without weights; name a checkpoint of it, or train one "
                "with 'icefront train'."
            )
    if not path.exists():
        raise IcefrontError(
            f"There is no model or checkpoint {name!r}; 'icefront models' lists the models."
        )
    if path.is_dir():
        raise IcefrontError(f"{path} is a folder; name the checkpoint file in it.")
    if path.suffix == ".safetensors":
        card, state = read_own(path)
        if card.provenance.get("stage") == PRETRAINED and not pretrained:
            raise IcefrontError(
                f"{path} was pretrained only and cannot predict zones yet; fine-tune it first: "
                f"icefront train --init {path}."
            )
        network = build(card)
    else:
        state, sha256 = read_checkpoint(path)
        state = read_official(state, path)
        card = replace(
            MODELS["tyrion"],
            name=path.stem,
            sha256=sha256,
            provenance={"format": "official Lightning checkpoint", "file": path.name},
        )
        network = build(card)
    own = network.state_dict()
    resized = [k for k, v in state.items() if k in own and v.shape != own[k].shape]
    if resized:
        raise IcefrontError(
            f"{path} does not fit the architecture that it names: {len(resized)} parameters have "
            f"other shapes, for example {resized[0]}."
        )
    missing, unexpected = network.load_state_dict(state, strict=False)
    if missing or unexpected:
        odd = (list(missing) or list(unexpected))[0]
        raise IcefrontError(
            f"{path} does not fit the architecture that it names: {len(missing)} parameters are "
            f"missing and {len(unexpected)} are unknown, for example {odd}."
        )
    return network.eval()


def list_models() -> list[ModelCard]:
    """List the family, each with the card of its packaged weights where there are any."""
    cards = []
    for name, card in MODELS.items():
        path = packaged_weights(name)
        cards.append(card if path is None else read_own(path)[0])
    return cards


def count_parameters(model: str | dict[str, Any] | ModelCard) -> int:
    """Count the parameters of a model, without allocating them."""
    import torch

    with torch.device("meta"):
        return sum(p.numel() for p in build(model).parameters())
