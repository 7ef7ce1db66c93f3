"""Checkpoints on disk: ours (safetensors and JSON) and the official Lightning format.

Nothing that is read here can run code: safetensors hold numbers only, and pickled files go through
PyTorch's restricted reader.
"""

from __future__ import annotations

import argparse
import json
import pickle
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from icefront.errors import IcefrontError
from icefront.files.atomic import NAME_ANOTHER_FOLDER, staging
from icefront.models.card import ModelCard, read_card, sha256_of

OFFICIAL_PREFIX = "swin_unet."
_UNUSED = re.compile(r"temb_proj|^outputt\.")
_BUFFER = re.compile(r"attn_mask$|relative_coords_table$|relative_position_index$")


def write_own(
    path: Path,
    network: nn.Module,
    card: ModelCard,
    *,
    half: bool = False,
    remedy: str = NAME_ANOTHER_FOLDER,
) -> ModelCard:
    """Write a network as ``path`` (``.safetensors``) and its card beside it (``.json``).

    Both appear whole or not at all. `half` stores 16-bit numbers, for weights that travel with the
    package; they are computed with in 32 bits all the same. `remedy` says what the user can do if
    the disk is full. Returns the card with the SHA-256 of the weights.
    """
    path = Path(path)
    state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    if half:
        state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    with staging(path.parent, remedy=remedy, lost=f"{path.name} was not written") as unfinished:
        weights = unfinished / path.name
        weights.write_bytes(save(state))  # save_file would make it the owner's alone
        card = replace(card, sha256=sha256_of(weights))
        text = json.dumps(card.as_dict(), indent=1) + "\n"
        weights.with_suffix(".json").write_text(text)
    return card


def read_own(path: Path) -> tuple[ModelCard, dict[str, Tensor]]:
    """Read a checkpoint of ours.

    Raises
    ------
    IcefrontError
        If the card is missing or damaged, or the weights are not the ones it describes.
    """
    path = Path(path)
    card = read_card(path)
    try:
        state = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise IcefrontError(f"{path} is not a safetensors file: {error}.") from error
    return card, state


def _plain_containers() -> list[Any]:
    """Harmless classes that Lightning checkpoints keep beside the weights."""
    allowed: list[Any] = [argparse.Namespace, np.dtype, np.ndarray]
    allowed += [np._core.multiarray.scalar, np._core.multiarray._reconstruct]  # type: ignore[attr-defined]
    allowed += [type(np.dtype(t)) for t in ("f4", "f8", "i4", "i8", "u1", "?")]
    return allowed


def read_checkpoint(path: Path) -> tuple[dict[str, Any], str]:
    """Read a pickled PyTorch or Lightning checkpoint without executing anything in it.

    Returns
    -------
    tuple
        The mapping of parameter names to tensors (``state_dict`` where there is one) and the
        SHA-256 of the file.

    Raises
    ------
    IcefrontError
        If the file is no checkpoint, or asks for code to be run.
    """
    try:
        with torch.serialization.safe_globals(_plain_containers()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # PyTorch raises the same error for code and for bytes that are no pickle at all.
        found = re.search(r"(?:GLOBAL|global) ([\w.]+)", str(error))
        if found and (zipfile.is_zipfile(path) or "Unsupported" in str(error)):
            raise IcefrontError(
                f"{path} carries code ({found[1]}) and was not opened; ask for a file with "
                "tensors only."
            ) from None
        raise IcefrontError(f"{path} is not a checkpoint of a network.") from None
    except Exception as error:  # damaged bytes fail in many ways inside the reader
        if isinstance(error, PermissionError):
            raise IcefrontError(f"{path} cannot be read: {error.strerror}.") from None
        raise IcefrontError(f"{path} is not a checkpoint of a network.") from None
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not any(isinstance(v, Tensor) for v in state.values()):
        raise IcefrontError(f"{path} holds no network: there are no named tensors in it.")
    return state, sha256_of(path)


def _our_name(official: str) -> str:
    """Name of a parameter in our Tyrion, from its name in the official one."""
    for pattern, ours in (
        (r"^patch_embed\.proj\.", "encoder.embeddings.patch_embeddings.projection."),
        (r"^patch_embed\.norm\.", "encoder.embeddings.norm."),
        (r"^layers\.", "encoder.encoder.layers."),
        (r"\.norm1\.(?=\w+$)", ".layernorm_before."),
        (r"\.norm2\.(?=\w+$)", ".layernorm_after."),
        (r"\.attn\.proj\.", ".attention.output.dense."),
        (r"\.attn\.cpb_mlp\.", ".attention.self.continuous_position_bias_mlp."),
        (r"\.attn\.logit_scale$", ".attention.self.logit_scale"),
        (r"\.attn\.q_bias$", ".attention.self.query.bias"),
        (r"\.attn\.v_bias$", ".attention.self.value.bias"),
        (r"\.mlp\.fc1\.", ".intermediate.dense."),
        (r"\.mlp\.fc2\.", ".output.dense."),
    ):
        if official.startswith("pred_target"):
            break
        official = re.sub(pattern, ours, official)
    found = re.match(r"pred_target\.(\d+)\.(.*)$", official)
    if not found:
        return official
    step, rest = int(found[1]), found[2].replace("up.conv.", "conv.")
    if step == 0:
        return "deepest." + rest.removeprefix("block.")
    if step <= 4:
        return f"steps.{step - 1}.{rest}"
    return ("head." if step == 5 else "classify.") + rest


def read_official(state: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """Translate the official network's parameters to our names.

    Unused parameters (``temb_proj``, ``outputt``) and buffers are dropped: the latter follow from
    the shapes. The joint query-key-value weight is split in three.

    Parameters
    ----------
    state : dict
        Official names, with or without the prefix ``swin_unet.``, to tensors.
    path : Path
        For the message.

    Raises
    ------
    IcefrontError
        If these are not the parameters of the official network.
    """
    ours: dict[str, Tensor] = {}
    for name, value in state.items():
        name = name.removeprefix(OFFICIAL_PREFIX)
        if not isinstance(value, Tensor) or _UNUSED.search(name) or _BUFFER.search(name):
            continue
        if name.endswith(".attn.qkv.weight"):
            base = _our_name(name.replace("qkv.weight", "q_bias")).removesuffix("query.bias")
            for part, weight in zip(("query", "key", "value"), value.chunk(3), strict=True):
                ours[f"{base}{part}.weight"] = weight.contiguous()
        else:
            ours[_our_name(name)] = value
    if "encoder.embeddings.patch_embeddings.projection.weight" not in ours:
        raise IcefrontError(
            f"{path} holds tensors, but not those of the official Tyrion network "
            "(there is no patch_embed.proj.weight)."
        )
    return ours


def load_imagenet_encoder(
    network: nn.Module, source: str = "microsoft/swinv2-tiny-patch4-window16-256"
) -> str:
    """Start the encoder of a full-size Tyrion from its ImageNet weights (needs a network).

    Parameters
    ----------
    network : Tyrion
        Changed in place.
    source : str
        Model on the Hugging Face hub, or a folder with a copy of it.

    Returns
    -------
    str
        `source`, for the provenance.

    Raises
    ------
    IcefrontError
        If the weights cannot be had or do not fit.
    """
    from transformers import Swinv2Backbone

    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, Swinv2Backbone):
        raise IcefrontError(
            "ImageNet weights exist for the encoders of tyrion and tyrion-mini only; set init to "
            "null for others."
        )
    try:
        trained = Swinv2Backbone.from_pretrained(source)
        encoder.load_state_dict(trained.state_dict())
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise IcefrontError(
            f"The ImageNet weights {source!r} could not be taken over ({reason}); check the "
            "connection, or give a folder that holds them."
        ) from error
    return source
