"""The family: names, cards, checkpoints of ours, the compact members."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import icefront
from icefront.errors import IcefrontError
from icefront.models import MEMBERS, build, list_models
from icefront.models.checkpoints import write_own
from icefront.models.compact import CompactConfig, CompactTyrion


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    card = replace(MEMBERS["unet"], architecture={"family": "unet", "widths": [4, 8]})
    return build(card).eval()


@pytest.mark.parametrize("half", [False, True])
def test_own_checkpoints_come_back(small, tmp_path: Path, half: bool) -> None:
    path = tmp_path / "mine.safetensors"
    card = replace(small.card, name="mine", pixel_size_m=70.0, scores={"mde": 1.5})
    written = write_own(path, small, card, half=half)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.json", "mine.safetensors"]
    again = icefront.load_model(path)
    assert again.card == written
    x = torch.rand(1, 1, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(again(x), small(x), atol=2e-2 if half else 0)
    assert all(v.dtype != torch.float16 for v in again.state_dict().values())


def test_a_checkpoint_without_its_card_or_with_other_weights(small, tmp_path: Path) -> None:
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
def test_names_that_give_no_model(name: str, words: str) -> None:
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
def test_compact_members_take_any_multiple_of_16(size: tuple[int, int]) -> None:
    network = CompactTyrion(CompactConfig(widths=(4, 8, 16), depth=1, num_heads=2)).eval()
    with torch.inference_mode():
        assert network(torch.rand(1, 1, *size)).shape == (1, 4, *size)


def test_attention_starts_as_the_identity_and_is_learned() -> None:
    """Zeroed closing norms: blocks pass their input on, and still receive gradients."""
    network = CompactTyrion(CompactConfig(widths=(4, 8, 16), depth=2, num_heads=2)).train()
    stage = network.encoder.encoder.layers[0]
    tokens = torch.rand(1, 256, 32)
    assert torch.allclose(stage.blocks[1](tokens, (16, 16))[0], tokens, atol=1e-6)
    network(torch.rand(2, 1, 256, 256)).square().mean().backward()
    assert all(float(b.layernorm_after.weight.grad.abs().sum()) > 0 for b in stage.blocks)


def test_no_data_is_told_from_dark_water() -> None:
    """The network is given where the image is exactly zero, so the step to it is seen."""
    torch.manual_seed(0)
    network = CompactTyrion(CompactConfig(widths=(4, 8, 16), depth=1, num_heads=2)).eval()
    with torch.inference_mode():
        black = network(torch.zeros(1, 1, 64, 64))
        dark = network(torch.full((1, 1, 64, 64), 1e-4))
    assert float((black - dark).abs().max()) > 1e-2


def test_gradients_reach_every_parameter() -> None:
    network = build("tyrion-mini").train()
    network(torch.rand(2, 1, 64, 64)).square().mean().backward()
    dead = [k for k, p in network.named_parameters() if p.grad is None]
    assert dead == []
