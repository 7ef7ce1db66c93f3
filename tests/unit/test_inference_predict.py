"""What `predict_zones` promises about windows, symmetries, modes and precision."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
import torch
from torch import nn

from icefront import IcefrontError, extract_front, predict_zones
from icefront.extraction import extract_scene
from icefront.inference.precision import choose_device, has_fast_bf16
from icefront.inference.predict import likeliest_zones
from icefront.models.card import ModelCard
from icefront.models.registry import build
from icefront.scenes.resampling import resample, resample_through, resample_to
from icefront.scenes.scene import Scene

CARD = ModelCard(name="small", architecture={}, window=64, target=32, stride=16)


class Lopsided(nn.Module):
    """A network without any symmetry, with dropout that only evaluation mode switches off."""

    def __init__(self, card=CARD):
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Sequential(nn.Conv2d(1, 4, 5, padding=2), nn.Dropout(0.9))
        self.card = card
        self.seen = []
        self.dtypes = set()

    def forward(self, x):
        self.seen.append(x.clone())
        logits = 3 * self.body(x)
        self.dtypes.add(logits.dtype)
        return logits


def scene_of(shape, seed=0):
    return Scene(np.random.default_rng(seed).random(shape, np.float32))


def test_probabilities_on_the_grid_of_the_scene():
    scene = scene_of((70, 45))
    scene.image[:20, :9] = np.nan
    zones = predict_zones(Lopsided(), scene, progress=False)
    assert zones.shape == (4, 70, 45)
    assert zones.dtype == np.float32
    np.testing.assert_allclose(zones.sum(0), 1, atol=1e-5)


def test_a_network_without_a_card_gets_the_published_windows():
    network = Lopsided()
    del network.card
    predict_zones(network, scene_of((300, 420)), progress=False)
    assert sum(len(x) for x in network.seen) == 6
    assert network.seen[0].shape[-2:] == (512, 512)


def test_the_stride_can_be_overruled():
    usual, coarse = Lopsided(), Lopsided()
    predict_zones(usual, scene_of((100, 100)), windows="card", progress=False)
    predict_zones(coarse, scene_of((100, 100)), stride=32, progress=False)
    assert len(coarse.seen) < len(usual.seen)
    with pytest.raises(IcefrontError, match="stride of 33"):
        predict_zones(usual, scene_of((100, 100)), stride=33, progress=False)


def test_a_scene_that_fits_is_centred_in_one_window_of_no_data():
    network = Lopsided(dataclasses.replace(CARD, whole=True))
    scene = scene_of((40, 63))
    scene.image[0, 0] = np.nan
    zones = predict_zones(network, scene, progress=False)
    assert zones.shape == (4, 40, 63)
    (window,) = network.seen
    window = window[0, 0].numpy()
    inside = window[12:52, 0:63]
    np.testing.assert_array_equal(inside, np.nan_to_num(scene.image))
    assert window.sum() == pytest.approx(inside.sum())
    network.eval()
    with torch.no_grad():
        logits = network(torch.from_numpy(window)[None, None])
    expected = torch.softmax(logits, 1)[0, :, 12:52, 0:63].numpy()
    np.testing.assert_allclose(zones, expected, atol=1e-6)


def test_a_scene_that_does_not_fit_goes_by_windows():
    network = Lopsided(dataclasses.replace(CARD, whole=True))
    predict_zones(network, scene_of((40, 65)), progress=False)
    assert len(network.seen) > 1


@pytest.mark.parametrize("quarter", [1, 2])
def test_averaging_over_symmetries_commutes_with_them(quarter):
    network = Lopsided(dataclasses.replace(CARD, whole=True))
    scene = scene_of((64, 64))
    turned = Scene(np.rot90(scene.image[:, ::-1], quarter).copy())
    zones = predict_zones(network, scene, tta=True, progress=False)
    turned_zones = predict_zones(network, turned, tta=True, progress=False)
    expected = np.rot90(zones[:, :, ::-1], quarter, (1, 2))
    np.testing.assert_allclose(turned_zones, expected, atol=1e-5)
    plain = predict_zones(network, turned, progress=False)
    assert abs(plain - expected).max() > 1e-3
    np.testing.assert_allclose(zones.sum(0), 1, atol=1e-5)


def test_the_input_mapping_of_the_card_is_applied():
    network = Lopsided(dataclasses.replace(CARD, whole=True, input_mapping="equalised"))
    scene = Scene(np.random.default_rng(0).random((64, 64), np.float32) ** 2)
    predict_zones(network, scene, progress=False)
    seen = network.seen[0].numpy()
    assert np.quantile(scene.image, 0.5) < 0.3
    np.testing.assert_allclose(np.quantile(seen, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.02)


def test_modes_of_the_model_are_restored():
    network = Lopsided()
    network.train()
    network.body[0].eval()
    first = predict_zones(network, scene_of((64, 64)), progress=False)
    assert [m.training for m in network.modules()] == [True, True, False, True]
    again = predict_zones(network, scene_of((64, 64)), progress=False)
    np.testing.assert_array_equal(first, again)


def test_exact_is_float32_whatever_the_caller_set():
    network = Lopsided()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        predict_zones(network, scene_of((30, 30)), exact=True, device="cpu", progress=False)
    assert network.dtypes == {torch.float32}


def test_processors_compute_in_float32_unless_bf16_is_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert not has_fast_bf16(torch.device("cpu"))
    for precision, dtype in (("auto", torch.float32), ("bfloat16", torch.bfloat16)):
        network = Lopsided()
        zones = predict_zones(
            network, scene_of((30, 30)), device="cpu", precision=precision, progress=False
        )
        assert network.dtypes == {dtype}
        assert zones.dtype == np.float32
        np.testing.assert_allclose(zones.sum(0), 1, atol=1e-5)


def test_folded_networks_predict_what_the_models_do_and_exact_runs_the_model_itself():
    model = build({"family": "compact", "image_size": 64})
    model.card = CARD
    scene, calls = scene_of((110, 130)), []
    model.head_norm.register_forward_hook(lambda *_: calls.append(1))
    fast = predict_zones(model, scene, windows="card", device="cpu", progress=False)
    assert not calls
    exact = predict_zones(model, scene, exact=True, device="cpu", progress=False)
    assert calls
    np.testing.assert_allclose(fast, exact, atol=1e-5)


def test_auto_finds_a_device():
    assert choose_device().type in {"cpu", "cuda", "mps"}


@pytest.mark.parametrize("device", ["cuda:99", "abacus", "meta"])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(IcefrontError, match=device):
        predict_zones(Lopsided(), scene_of((30, 30)), device=device, progress=False)


class Shades(nn.Module):
    """Glacier where it is dark and ocean where it is bright."""

    card = dataclasses.replace(CARD, window=512, whole=True, pixel_size_m=55.0)

    def forward(self, x):
        return torch.cat([-9 + 0 * x, -9 + 0 * x, 8 * (0.5 - x), 8 * (x - 0.5)], 1)


def coast(side: int) -> Scene:
    """A smooth coast on pixels of 10 m, with noise and a corner without data."""
    row, column = np.mgrid[:side, :side].astype(np.float32) / side
    image = 1 / (1 + np.exp(-40 * (column - 0.5 - 0.1 * np.sin(9 * row))))
    image += np.random.default_rng(3).normal(0, 0.05, image.shape)
    image[: side // 7, : side // 9] = np.nan
    return Scene(image.clip(0, 1).astype(np.float32), pixel_size_m=10.0)


@pytest.mark.parametrize("rows", [1, 7, 100, 10_000])
@pytest.mark.parametrize("coarse_m", [55.0, 23.0])
def test_maps_in_strips_are_those_of_the_whole(rows: int, coarse_m: float) -> None:
    scene = coast(301)
    small = resample(scene, 55.0)
    maps = np.random.default_rng(0).random((4, *small.shape), np.float32)
    to = resample(scene, coarse_m)
    whole = resample_to(maps, small, scene)
    fine, coarse = np.full_like(whole, np.nan), np.full((4, *to.shape), np.nan, np.float32)
    for above, values, below, averaged in resample_through(maps, small, scene, to, rows):
        fine[:, above], coarse[:, below] = values, averaged
    np.testing.assert_array_equal(fine, whole)
    np.testing.assert_array_equal(coarse, resample_to(whole, scene, to))


def test_an_extraction_is_step_by_step_the_same_and_takes_few_bytes_a_pixel() -> None:
    scene, model = coast(1500), Shades()
    zones = predict_zones(model, scene, progress=False)
    front = extract_front(zones, scene)
    tracemalloc.start()
    done = extract_scene(scene, model)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert done.front.geometry.iloc[0].equals_exact(front.geometry.iloc[0], 0)
    np.testing.assert_array_equal(done.zones, likeliest_zones(zones, scene))
    # Beside the image, whose pixels have 4 bytes.
    assert peak < 8 * scene.image.size
