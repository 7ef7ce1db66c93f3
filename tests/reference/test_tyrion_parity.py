"""The network against recorded outputs of the official implementation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import icefront
from icefront.errors import IcefrontError
from icefront.models.registry import build, count_parameters
from tests.helpers.fill_parameters import fill, image
from tests.helpers.paths import REFERENCE


def official_state() -> dict[str, torch.Tensor]:
    shapes = json.loads((REFERENCE / "tyrion_state_dict.json").read_text())["parameters"]
    return {k: torch.from_numpy(fill(k, tuple(s))) for k, s in shapes.items()}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An official-format Lightning file: prefixed keys, no buffers, harmless company."""
    path = tmp_path_factory.mktemp("official") / "tyrion.ckpt"
    state = {f"swin_unet.{k}": v for k, v in official_state().items()}
    company = {"epoch": 3, "global_step": 12, "hyper_parameters": {"lr": 0.01}}
    torch.save({"state_dict": state, **company}, path)
    return path


def test_official_checkpoint_gives_the_recorded_logits(checkpoint: Path) -> None:
    recorded = np.load(REFERENCE / "tyrion_forward_a.npz")
    network = icefront.load_model(checkpoint)
    x = torch.from_numpy(image(int(recorded["input_seed"])))
    with torch.inference_mode():
        logits = network(x).numpy()
        maps = network.encoder(x.expand(-1, 3, -1, -1)).feature_maps
    every_8 = next(recorded[k] for k in recorded.files if "logits" in k and recorded[k].ndim >= 3)
    ours = logits[..., ::8, ::8].reshape(every_8.shape)
    assert np.abs(ours - every_8).max() < 1e-3
    assert len(maps) == 4
    assert network.card.sha256


def test_buffers_in_the_file_change_nothing(checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    buffers = json.loads((REFERENCE / "tyrion_state_dict.json").read_text())["buffers"]
    for name, shape in buffers.items():
        content["state_dict"][f"swin_unet.{name}"] = torch.zeros(shape)
    torch.save(content, tmp_path / "with.ckpt")
    a = icefront.load_model(checkpoint).state_dict()
    b = icefront.load_model(tmp_path / "with.ckpt").state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_sizes_of_the_family() -> None:
    used = sum(
        v.numel() for k, v in official_state().items() if "temb" not in k and "outputt" not in k
    )
    assert count_parameters("tyrion") == used
    assert count_parameters("unet") == pytest.approx(1.9e6, rel=0.03)


class _Code:
    def __reduce__(self):  # what a hostile file would ask for
        return (print, ("executed",))


def test_a_checkpoint_with_code_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.ckpt"
    torch.save({"state_dict": {"a": torch.zeros(1)}, "x": _Code()}, path)
    with pytest.raises(IcefrontError, match="carries code"):
        icefront.load_model(path)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x04junk", b"PK\x03\x04"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.ckpt"
    path.write_bytes(content)
    with pytest.raises(IcefrontError, match="not a checkpoint"):
        icefront.load_model(path)


def test_other_tensors_are_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"layer.weight": torch.zeros(2)}}, tmp_path / "other.ckpt")
    with pytest.raises(IcefrontError, match="official Tyrion"):
        icefront.load_model(tmp_path / "other.ckpt")


def test_members_run_at_their_window() -> None:
    for name in ("tyrion-mini", "unet"):
        network = build(name).eval()
        with torch.inference_mode():
            assert network(torch.rand(1, 1, 256, 256)).shape == (1, 4, 256, 256)
