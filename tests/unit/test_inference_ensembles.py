"""Ensembles: running sums against everything stored; an even layout covers every pixel."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from icefront import IcefrontError
from icefront.inference import Layout, blend_windows, default_layout, predict_ensemble
from icefront.inference.symmetries import views
from icefront.inference.windows import axes_of_windows, axis_of_windows, gaussian
from icefront.models.card import ModelCard
from icefront.scenes.scene import Scene

CARD = ModelCard(name="small", architecture={}, window=32, target=16, stride=8)


class Lopsided(nn.Module):
    """A network without any symmetry."""

    def __init__(self, seed: int, card: ModelCard = CARD) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Conv2d(1, 4, 5, padding=2)
        self.card = card

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 4 * self.body(x)


def scene_of(shape: tuple[int, int], seed: int = 0) -> Scene:
    return Scene(np.random.default_rng(seed).random(shape, np.float32))


def everything(models, image, layout, symmetries):
    """All views of all pixels with their weights, stored one by one."""
    height, width = image.shape
    rows = axis_of_windows(height, layout.window, layout.target, layout.stride, layout.even)
    columns = axis_of_windows(width, layout.window, layout.target, layout.stride, layout.even)
    bell = np.outer(gaussian(layout.target), gaussian(layout.target)).astype(np.float64)
    values, weights = [], []
    for top in rows.starts:
        for left in columns.starts:
            window = image[np.ix_(rows.source[top : top + layout.window],
                                  columns.source[left : left + layout.window])]  # fmt: skip
            given = torch.from_numpy(window.copy())[None, None]
            for model in models:
                with torch.no_grad():
                    for zones in views(model, given, symmetries):
                        m = layout.margin
                        zones = zones[0, :, m : m + layout.target, m : m + layout.target].numpy()
                        odds = np.clip(np.log(zones[2] / zones[3]), -6, 6)
                        value = np.full((5, height + layout.target, width + layout.target), np.nan)
                        weight = np.zeros(value.shape[1:])
                        here = np.s_[..., top : top + layout.target, left : left + layout.target]
                        value[here] = np.concatenate([zones, odds[None]])
                        weight[here] = bell
                        values.append(value[:, :height, :width])
                        weights.append(weight[:height, :width])
    return np.array(values), np.array(weights)


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("symmetries", [1, 4])
def test_running_sums_equal_the_statistics_of_all_views(even: bool, symmetries: int) -> None:
    models = [Lopsided(1), Lopsided(2)]
    scene, layout = scene_of((23, 41)), Layout(32, 16, 12, even)
    found = predict_ensemble(
        models, scene, symmetries=symmetries, layout=layout, exact=True, device="cpu"
    )
    assert found.views == 2 * symmetries
    values, weights = everything(models, scene.image, layout, symmetries)
    total = weights.sum(0)
    mean = (np.nan_to_num(values) * weights[:, None]).sum(0) / total
    off = np.nan_to_num(values - mean) ** 2
    spread = np.sqrt((off * weights[:, None]).sum(0) / total)
    np.testing.assert_allclose(found.mean, mean[:4], atol=2e-5)
    np.testing.assert_allclose(found.spread, spread[:4], atol=5e-4)
    np.testing.assert_allclose(found.logit_spread, spread[4], atol=5e-3)


def test_one_model_without_symmetries_is_the_model() -> None:
    model, scene = Lopsided(3), scene_of((40, 33))
    found = predict_ensemble([model], scene, symmetries=1, exact=True, device="cpu")
    alone = blend_windows(scene.image, model, window=32, target=16, stride=8)
    np.testing.assert_allclose(found.mean, alone, atol=1e-5)


def test_members_that_agree_have_no_spread_and_symmetries_commute() -> None:
    card = dataclasses.replace(CARD, whole=True)
    model, scene = Lopsided(4, card), scene_of((32, 32))
    same = predict_ensemble([model, model], scene, symmetries=1, exact=True, device="cpu")
    assert same.spread.max() < 1e-6
    turned = Scene(np.rot90(scene.image[:, ::-1]).copy())
    a = predict_ensemble([model], scene, exact=True, device="cpu")
    b = predict_ensemble([model], turned, exact=True, device="cpu")
    np.testing.assert_allclose(b.mean, np.rot90(a.mean[:, :, ::-1], 1, (1, 2)), atol=1e-5)
    np.testing.assert_allclose(b.spread, np.rot90(a.spread[:, :, ::-1], 1, (1, 2)), atol=1e-5)


def test_members_that_want_other_scenes_are_refused() -> None:
    other = Lopsided(2, dataclasses.replace(CARD, input_mapping="equalised"))
    with pytest.raises(IcefrontError, match="input_mapping is grey and equalised"):
        predict_ensemble([Lopsided(1), other], scene_of((30, 30)))
    with pytest.raises(IcefrontError, match="at least one"):
        predict_ensemble([], scene_of((30, 30)))
    with pytest.raises(IcefrontError, match="not 3"):
        predict_ensemble([Lopsided(1)], scene_of((30, 30)), symmetries=3)


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 300),
    half=st.integers(1, 30),
    margin=st.integers(0, 20),
    step=st.floats(0.05, 1),
)
def test_even_windows_cover_all_with_steps_no_longer_than_the_stride(
    length: int, half: int, margin: int, step: float
) -> None:
    target = 2 * half
    stride = max(1, int(step * target))
    axis = axis_of_windows(length, target + 2 * margin, target, stride, even=True)
    assert (np.diff(axis.starts) <= stride).all()
    assert axis.weight.min() > 0
    assert axis.starts[-1] + target + 2 * margin <= len(axis.source)
    fewest = 1 + max(0, -(-(length - target) // stride))
    assert len(axis.starts) == fewest


def test_the_default_layout_has_an_eighth_of_the_published_windows() -> None:
    layout = default_layout(ModelCard("tyrion", {}))
    assert layout == Layout(512, 384, 384, even=True)
    rows, columns = axes_of_windows((3000, 3000), layout)
    published = axes_of_windows((3000, 3000), Layout())
    count = len(rows.starts) * len(columns.starts)
    assert len(published[0].starts) * len(published[1].starts) > 8 * count
    small = default_layout(ModelCard("mini", {}, window=256, target=128, stride=64))
    assert small == Layout(256, 192, 192, even=True)
