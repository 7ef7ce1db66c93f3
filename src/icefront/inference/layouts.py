"""Which windows a model gets: as published, or as few as do no harm."""

from __future__ import annotations

from icefront.inference.windows import Layout
from icefront.models.card import ModelCard

FAST_TARGET = 3 / 4
"""Side of the centre that counts in the default layout, as a share of the window."""

FAST_STRIDE = 3 / 4
"""Longest step of the default layout, as a share of the window. Even spacing shortens it in nearly
all scenes, so that neighbouring centres overlap."""


def exact_layout(card: ModelCard) -> Layout:
    """The layout that a model's card states; for Tyrion the published one."""
    return Layout(card.window, card.target, card.stride)


def default_layout(card: ModelCard) -> Layout:
    """A layout with an eighth of the windows of the published one.

    The centre that counts is three quarters of the window instead of half of it, and steps are
    up to as long as the centre, so that blending only hides the seams. ``python -m benchmarks
    prediction`` measures what that costs.
    """
    target = 2 * round(card.window * FAST_TARGET / 2)
    return Layout(card.window, target, round(card.window * FAST_STRIDE), even=True)
