"""Ensembles: running sums against all stored values; the default layout gives the exact front."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from icefront import IcefrontError
from icefront.inference import (
    Layout,
    blend_windows,
    default_layout,
    exact_layout,
    predict_ensemble,
)
from icefront.inference.network import FoldedNetwork, alike
from icefront.inference.precision import evaluating, kept_ready
from icefront.inference.symmetries import views
from icefront.inference.windows import axis_of_windows, gaussian
from icefront.models.card import ModelCard
from icefront.models.registry import build, load_model
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
    rows = axis_of_windows(height, layout.window, layout.target, layout.stride)
    columns = axis_of_windows(width, layout.window, layout.target, layout.stride)
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


@pytest.mark.parametrize("symmetries", [1, 4])
def test_running_sums_equal_the_statistics_of_all_views(symmetries: int) -> None:
    models = [Lopsided(1), Lopsided(2)]
    scene, layout = scene_of((23, 41)), Layout(32, 16, 12)
    found = predict_ensemble(
        models, scene, symmetries=symmetries, layout=layout, precision="float32", device="cpu"
    )
    assert found.views == 2 * symmetries
    values, weights = everything(models, scene.image, layout, symmetries)
    total = weights.sum(0)
    mean = (np.nan_to_num(values) * weights[:, None]).sum(0) / total
    off = np.nan_to_num(values - mean) ** 2
    spread = np.sqrt((off * weights[:, None]).sum(0) / total)
    np.testing.assert_allclose(found.mean, mean[:4], atol=2e-5)
    np.testing.assert_allclose(found.std, spread[:4], atol=5e-4)
    np.testing.assert_allclose(found.logit_std, spread[4], atol=5e-3)


def test_one_model_without_symmetries_is_the_model() -> None:
    model, scene = Lopsided(3), scene_of((40, 33))
    layout = exact_layout(CARD)
    found = predict_ensemble([model], scene, symmetries=1, layout=layout, device="cpu")
    alone = blend_windows(scene.image, model, window=32, target=16, stride=8)
    np.testing.assert_allclose(found.mean, alone, atol=1e-5)


def test_equal_models_have_no_standard_deviation_and_symmetries_commute() -> None:
    card = dataclasses.replace(CARD, whole=True)
    model, scene = Lopsided(4, card), scene_of((32, 32))
    same = predict_ensemble([model, model], scene, symmetries=1, precision="float32", device="cpu")
    assert same.std.max() < 1e-6
    turned = Scene(np.rot90(scene.image[:, ::-1]).copy())
    a = predict_ensemble([model], scene, precision="float32", device="cpu")
    b = predict_ensemble([model], turned, precision="float32", device="cpu")
    np.testing.assert_allclose(b.mean, np.rot90(a.mean[:, :, ::-1], 1, (1, 2)), atol=1e-5)
    np.testing.assert_allclose(b.std, np.rot90(a.std[:, :, ::-1], 1, (1, 2)), atol=1e-5)


def test_models_that_take_differently_prepared_scenes_are_refused() -> None:
    other = Lopsided(2, dataclasses.replace(CARD, input_mapping="equalised"))
    with pytest.raises(IcefrontError, match="input_mapping is grey and equalised"):
        predict_ensemble([Lopsided(1), other], scene_of((30, 30)))
    with pytest.raises(IcefrontError, match="at least one"):
        predict_ensemble([], scene_of((30, 30)))
    with pytest.raises(IcefrontError, match="not 3"):
        predict_ensemble([Lopsided(1)], scene_of((30, 30)), symmetries=3)


class Zonal(nn.Module):
    """Rock, glacier or ocean by the grey value, less sure off the middle of a window."""

    def __init__(self, card: ModelCard = CARD) -> None:
        super().__init__()
        self.card = card
        self.windows = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.windows += len(x)
        side = torch.linspace(-1, 1, x.shape[-1])
        shift = 0.1 * side[:, None] * side
        value = x + shift
        parts = [-5 + 0 * x, 8 * (0.25 - value), 4 - 16 * (value - 0.5).abs(), 8 * (value - 0.75)]
        return torch.cat(parts, 1)


def front_of(zones: np.ndarray) -> np.ndarray:
    return (zones == 3) & ndimage.binary_dilation(zones == 2)


def bay(shape: tuple[int, int] = (300, 420)) -> Scene:
    """Glacier with an ocean in one corner, smooth between."""
    row, column = np.mgrid[: shape[0], : shape[1]]
    away = np.hypot(row - shape[0], column - 0.6 * shape[1])
    wave = 6 * np.sin(row / 17) * np.cos(column / 23)
    grey = 0.5 + 0.4 / (1 + np.exp((away - 0.3 * shape[0] + wave) / 6))
    return Scene(grey.astype(np.float32))


COARSE = default_layout(CARD)


@pytest.mark.parametrize("shape", [(300, 420), (110, 63), (70, 200)])
def test_the_default_windows_give_the_front_of_all_windows(shape: tuple[int, int]) -> None:
    scene, network = bay(shape), Zonal()
    exact = blend_windows(scene.image, network, window=32, target=16, stride=8)
    all_windows = network.windows
    fast = blend_windows(scene.image, network, window=32, target=16, stride=8, coarse=COARSE.coarse)
    taken = network.windows - all_windows
    np.testing.assert_allclose(fast.sum(0), 1, atol=1e-5)
    near = front_of(exact.argmax(0))
    assert near.any()
    found, around = front_of(fast.argmax(0)), np.ones((3, 3))
    assert not (near & ~ndimage.binary_dilation(found, around)).any()
    assert not (found & ~ndimage.binary_dilation(near, around)).any()
    assert (near != found).sum() < 0.05 * near.sum()
    np.testing.assert_allclose(fast[:, near], exact[:, near], atol=0.02)
    if shape == (300, 420):
        assert taken < all_windows / 3


def test_an_ensemble_takes_the_default_windows_of_a_single_model() -> None:
    scene, network = bay(), Zonal()
    single = blend_windows(
        scene.image, network, window=32, target=16, stride=8, coarse=COARSE.coarse
    )
    before = network.windows
    found = predict_ensemble([network], scene, symmetries=1, device="cpu")
    assert network.windows - before == before
    np.testing.assert_allclose(found.mean, single, atol=2e-3)


def test_without_ocean_only_the_coarse_windows_are_predicted() -> None:
    network, image = Zonal(), np.full((200, 200), 0.5, np.float32)
    blend_windows(image, network, window=32, target=16, stride=8, coarse=4)
    count = len(axis_of_windows(200, 32, 16, 8).starts)
    # The windows from 0, 32, … to 160 reach the end: the last of the lattice is not needed.
    assert network.windows == len(range(0, count, 4)) ** 2


def test_a_coarse_step_longer_than_the_window_is_refused() -> None:
    with pytest.raises(IcefrontError, match="Every 5th window"):
        blend_windows(
            np.zeros((9, 9), np.float32), Zonal(), window=32, target=16, stride=8, coarse=5
        )


def test_the_default_layout_is_that_of_the_card_with_a_coarse_step_of_one_window() -> None:
    assert default_layout(ModelCard("tyrion", {})) == Layout(512, 256, 128, coarse=4)
    small = ModelCard("mini", {}, window=256, target=128, stride=64)
    assert default_layout(small) == Layout(256, 128, 64, coarse=4)
    assert exact_layout(small) == Layout(256, 128, 64)
    wide = ModelCard("wide", {}, window=64, target=64, stride=64)
    assert default_layout(wide) == exact_layout(wide)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_networks_that_are_stacked_give_what_they_give_one_by_one() -> None:
    models = [load_model().eval() for _ in range(2)]
    with torch.no_grad():
        for parameter in models[1].parameters():
            parameter.mul_(1.02)
    for model in models:
        model.card = dataclasses.replace(model.card, whole=False)
    scene = bay((40, 100))
    found = [
        predict_ensemble(
            models,
            scene,
            symmetries=4,
            layout=Layout(64, 64, 64),
            device="cpu",
            stacked=stacked,
            progress=False,
        )
        for stacked in (False, True)
    ]
    assert found[0].std.max() > 1e-3
    for name in ("mean", "std", "logit_std"):
        one_by_one, stacked = (getattr(one, name) for one in found)
        np.testing.assert_allclose(stacked, one_by_one, atol=2e-4)


def test_only_networks_of_one_architecture_are_stacked() -> None:
    mini, other, full = build("tyrion-mini"), build("tyrion-mini"), build("unet")
    folded = [FoldedNetwork(model.eval()) for model in (mini, other, full)]
    assert alike(folded[:2])
    assert not alike(folded[1:])


def test_a_network_is_put_on_its_device_and_folded_once_for_several_scenes() -> None:
    model = build("tyrion-mini").train()
    with kept_ready(model, "cpu"):
        assert not model.training
        with evaluating(model, torch.device("cpu")):
            first = FoldedNetwork(model).network
        with evaluating(model, torch.device("cpu")):
            assert FoldedNetwork(model).network is first
    assert model.training
    with kept_ready(model, "cuda:99"):  # the first scene says that there is none
        assert model.training
