"""`icefront train-head` on a small simulated data set."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import icefront
from icefront.cli import app
from icefront.models.checkpoints import write_own
from icefront.models.registry import MODELS, build
from tests.helpers.simulated_caffe import make_caffe

SMALL = {"widths": (4, 4, 8), "deep": 16, "depth": 1, "num_heads": 2, "image_size": 64}

RECIPE = """
name: head
model: MODEL
root: ROOT
test_glaciers: [SI]
simulated: 1
crops: 12
hidden: 4
out: OUT
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    member = MODELS["tyrion-mini"]
    card = replace(member, architecture={**member.architecture, **SMALL}, window=64, target=32)
    network = build(card)
    # What is bright is glacier, what is dark ocean: so that it draws boundaries to learn at.
    with torch.no_grad():
        for part in (network.head, network.classify):
            part.weight.zero_()
        network.head.weight[0, card.architecture["head_width"]] = 1 / 9
        network.classify.weight[2, 0] = 9
        network.classify.bias.copy_(torch.tensor([-9.0, -9.0, -1.0, 0.0]))
    write_own(tmp_path / "small.safetensors", network, card)
    text = RECIPE.replace("MODEL", str(tmp_path / "small.safetensors"))
    text = text.replace("ROOT", str(make_caffe(tmp_path / "caffe")))
    path = tmp_path / "head.yaml"
    path.write_text(text.replace("OUT", str(tmp_path / "runs")))
    return path


def test_a_head_is_trained_kept_and_taken_up_again(recipe: Path) -> None:
    words = ["train-head", "--config", str(recipe)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    path = recipe.parent / "runs" / "head" / "last.safetensors"
    before = icefront.load_model(recipe.parent / "small.safetensors")
    after = icefront.load_model(path)
    assert after.front is not None
    for name, value in before.state_dict().items():
        assert torch.equal(after.state_dict()[name], value)
    assert after.card.provenance["front_head"]["network_sha256"] == before.card.sha256
    assert str(recipe.parent) not in str(after.card.as_dict())

    again = CliRunner().invoke(app, words)
    assert again.exit_code == 2
    assert "--resume" in again.output
    path.unlink()
    assert CliRunner().invoke(app, [*words, "--resume"]).exit_code == 0
    resumed = icefront.load_model(path)
    assert torch.equal(resumed.front.classify.weight, after.front.classify.weight)


def test_a_network_without_such_features_is_refused_in_one_sentence(recipe: Path) -> None:
    card = replace(MODELS["unet"], architecture={"family": "unet", "widths": (4, 8)})
    write_own(recipe.parent / "small.safetensors", build(card), card)
    done = CliRunner().invoke(app, ["train-head", "--config", str(recipe)])
    assert done.exit_code == 2
    assert "tyrion-mini" in done.output
    assert not (recipe.parent / "runs").exists()
