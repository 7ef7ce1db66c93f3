"""The attention encoder of the family: Swin Transformer V2 (Liu et al. 2022, arXiv:2111.09883)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import Swinv2Backbone


def swin_encoder(*, depths: list[int], **options: Any) -> Swinv2Backbone:
    """Build a Swin-V2 encoder that gives the features of all its stages.

    Parameters
    ----------
    depths : list of int
        Blocks of each stage.
    **options
        The other options of `transformers.Swinv2Config`.
    """
    # It takes seconds to load, which only networks with this encoder shall cost.
    from transformers import Swinv2Backbone, Swinv2Config

    stages = [f"stage{i + 1}" for i in range(len(depths))]
    options |= {"depths": depths, "out_features": stages}
    return Swinv2Backbone(Swinv2Config(**options))
