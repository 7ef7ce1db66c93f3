"""Loss, augmentation and recipes against known answers and laws."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import icefront
from icefront.errors import IcefrontError
from icefront.models.equalisation import equalise_batch
from icefront.pretraining.config import PretrainingConfig
from icefront.pretraining.experiment import ExperimentConfig
from icefront.recipes import read_recipe, validated
from icefront.scenes.radiometry import equalise
from icefront.training.augmentation import (
    AugmentationConfig,
    add_grain,
    augment,
    change_ocean_brightness,
    distort,
    open_water,
    orient,
    paste_ocean,
    shade_image,
)
from icefront.training.config import TrainingConfig
from icefront.training.front_head import FrontHeadConfig
from icefront.training.losses import smooth_targets, soft_dice_loss, zone_loss
from tests.helpers.paths import CONFIGS

QUIET = AugmentationConfig(
    flip=0,
    quarter_turn=0,
    rotation=0,
    ocean_mix=0,
    ocean_brightness=0,
    brightness=0,
    gamma=0,
    speckle=0,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sample(count: int = 4, side: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = seeded(1)
    image = 0.05 + 0.9 * torch.rand((count, 1, side, side), generator=generator)
    zones = torch.full((count, side, side), 2)
    zones[:, :, side // 2 :] = 3
    return image, zones


def test_smoothed_labels_are_those_of_the_recipe() -> None:
    targets = smooth_targets(torch.tensor([[[2]]]), 4, 0.1)[0, :, 0, 0]
    assert torch.allclose(targets, torch.tensor([0.1 / 3, 0.1 / 3, 0.9, 0.1 / 3]))


def test_dice_of_known_maps() -> None:
    true = torch.zeros(1, 2, 1, 4)
    true[0, 0, 0, :2] = 1
    true[0, 1, 0, 2:] = 1
    assert soft_dice_loss(true, true) == pytest.approx(0.0, abs=1e-6)
    half = torch.full_like(true, 0.5)  # 2·(2·½) / (4·¼ + 2) = 2/3 for both classes
    assert soft_dice_loss(half, true) == pytest.approx(1 / 3)


def test_loss_counts_the_centre_a_second_time() -> None:
    zones = torch.zeros(1, 8, 8, dtype=torch.long)
    logits = torch.zeros(1, 4, 8, 8)
    once = zone_loss(logits, zones, centre=False)
    entropy = math.log(4)
    hits = 1 - 2 * 0.25 * 64 / (64 / 16 + 64)
    assert once == pytest.approx(0.5 * entropy + 0.5 * (hits + 3) / 4)
    assert zone_loss(logits, zones, centre=True) > 1.9 * once
    # An error outside the central half does not touch the second term.
    wrong = logits.clone()
    wrong[..., 1, 0, 0] = 5
    inner = zone_loss(wrong, zones, centre=True) - zone_loss(wrong, zones, centre=False)
    assert inner == pytest.approx(float(zone_loss(logits, zones, centre=True) - once), abs=1e-6)


def test_quiet_augmentation_changes_nothing() -> None:
    image, zones = sample()
    new_image, new_zones = augment(image, zones, QUIET, seeded())
    assert torch.equal(new_image, image)
    assert torch.equal(new_zones, zones)


def test_orientation_moves_image_and_zones_together() -> None:
    image, zones = sample(16)
    image = zones.unsqueeze(1).float() / 4 + 0.01 * torch.rand(image.shape, generator=seeded(3))
    config = QUIET.model_copy(update={"flip": 1.0, "quarter_turn": 1.0})
    turned, turned_zones = orient(image, zones, config, seeded(5))
    assert not torch.equal(turned, image)
    assert torch.equal((turned[:, 0] * 4).floor().long(), turned_zones)


def test_free_rotation_fills_corners_with_no_data() -> None:
    image, zones = sample(8)
    turned, turned_zones = orient(
        image, zones, QUIET.model_copy(update={"rotation": 1.0}), seeded(5)
    )
    empty = turned[:, 0] == 0
    assert empty.any()
    assert (turned_zones[empty] == 0).all()
    assert set(turned_zones.unique().tolist()) <= {0, 2, 3}


def test_levelled_mélange_is_as_bright_as_ice() -> None:
    image, zones = sample(32)
    image = torch.where(zones.unsqueeze(1) == 3, image * 0.2, image)
    config = QUIET.model_copy(
        update={"ocean_brightness": 1.0, "ocean_brightness_range": (1.0, 1.0)}
    )
    levelled = change_ocean_brightness(image, zones, config, seeded())
    ice = levelled[:, 0][zones == 2].mean()
    ocean = levelled[:, 0][zones == 3].mean()
    assert 0.7 < ocean / ice < 1.3
    assert torch.equal(
        levelled[:, 0, :, :8], image[:, 0, :, :8]
    )  # the ice away from the edge stays


def test_pasted_ocean_brings_its_label() -> None:
    image, zones = sample(4)
    zones[0] = 1
    image[1] = 0.999
    new_image, new_zones = paste_ocean(
        image, zones, QUIET.model_copy(update={"paste": 1.0}), seeded()
    )
    # sample 1 receives what sample 0 has: no ocean, nothing changes
    assert torch.equal(new_zones[1], zones[1])
    # sample 0 receives the ocean of the last one and a rim of its ice
    assert (new_zones[0, :, 16:] == 3).all()
    assert (new_zones[0, :, 8:16] == 2).all()
    assert (new_zones[0, :, :8] == 1).all()
    assert torch.equal(new_image[0, :, :, 8:], image[3, :, :, 8:])


def test_distortion_moves_image_and_zones_together_and_leaves_no_gap() -> None:
    ramp = torch.linspace(0.1, 0.9, 64)
    image = ramp.expand(8, 1, 64, 64).contiguous()
    zones = torch.where(image[:, 0] < 0.5, 2, 3)
    config = QUIET.model_copy(update={"distortion": 1.0})
    bent, bent_zones = distort(image, zones, config, seeded(2))
    assert not torch.equal(bent, image)
    assert float(bent.min()) > 0
    # the ramp tells where each pixel came from, to half a pixel of the label
    clear = (bent[:, 0] - 0.5).abs() > 0.02
    assert torch.equal(bent_zones[clear], torch.where(bent[:, 0] < 0.5, 2, 3)[clear])


def test_open_water_stays_within_the_ocean_and_has_the_brightness_asked_for() -> None:
    image, zones = sample(64, 64)
    config = QUIET.model_copy(update={"open_water": 1.0, "open_water_range": (0.2, 0.2)})
    wet = open_water(image, zones, config, seeded(4))
    changed = wet != image
    assert not changed[:, 0][zones == 2].any()
    ocean = (zones == 3).unsqueeze(1)
    shares = [float(c[o].float().mean()) for c, o in zip(changed, ocean, strict=True)]
    assert max(shares) > 0.95  # water all over
    assert min(shares) < 0.6  # and in parts
    ice = image[:, 0][zones == 2].mean()
    assert float(wet[changed].median() / ice) == pytest.approx(0.2, rel=0.25)


def test_grain_stays_on_the_glacier_and_reaches_every_part_of_it() -> None:
    image, zones = sample(64, 64)
    config = QUIET.model_copy(update={"grain": 1.0, "grain_std": (0.5, 0.5)})
    grainy = add_grain(image, zones, config, seeded(4))
    changed = (grainy != image)[:, 0]
    assert not changed[zones == 3].any()
    reached = changed.any(0)
    assert float(reached[:, :32].float().mean()) > 0.99
    assert not changed[:, :, :32].all()


def test_shade_changes_brightness_smoothly_and_keeps_no_data() -> None:
    image, zones = torch.full((16, 1, 64, 64), 0.5), torch.full((16, 64, 64), 2)
    image[:, :, :4] = 0
    shaded = shade_image(image, zones, QUIET.model_copy(update={"shade": 1.0}), seeded(6))
    assert (shaded[:, :, :4] == 0).all()
    inside = shaded[:, :, 4:]
    assert float(inside.min()) < 0.4 < 0.6 < float(inside.max()) < 1
    assert float(inside.diff(dim=-1).abs().max()) < 0.05


def test_a_decoy_draws_an_edge_without_a_label() -> None:
    image, zones = sample(2, 64)
    zones[0] = 2  # no ocean here; the other one has some
    config = QUIET.model_copy(update={"decoy": 1.0, "decoy_range": (2.0, 2.0)})
    marked = shade_image(image, zones, config, seeded())
    assert torch.equal(marked[1], image[1])
    assert torch.allclose(marked[0, :, :, 36:], image[0, :, :, 36:] ** 0.5)
    assert torch.equal(marked[0, :, :, :28], image[0, :, :, :28])


def test_the_same_seed_augments_the_same() -> None:
    image, zones = sample(8)
    config = AugmentationConfig(
        rotation=0.5,
        paste=0.5,
        ocean_brightness=0.5,
        distortion=0.5,
        grain=0.5,
        open_water=0.5,
        shade=0.5,
        decoy=0.5,
    )
    a, b = (augment(image, zones, config, seeded(9)) for _ in range(2))
    c = augment(image, zones, config, seeded(10))
    assert torch.equal(a[0], b[0])
    assert torch.equal(a[1], b[1])
    assert not torch.equal(a[0], c[0])
    assert 0 <= float(a[0].min()) <= float(a[0].max()) <= 1


@settings(max_examples=25, deadline=None)
@given(gain=st.floats(0.3, 1.0), seed=st.integers(0, 1000))
def test_flat_histograms_forget_the_gain_and_match_the_scene_mapping(
    gain: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.gamma(3, 0.1, (48, 48)).clip(0.01, 1).astype(np.float32)
    image[:6] = 0
    batch = equalise_batch(torch.from_numpy(np.stack([image, image * gain]))[:, None])[:, 0].numpy()
    assert (batch[:, :6] == 0).all()
    assert np.abs(batch[0] - batch[1]).mean() < 0.02
    assert np.abs(batch[0] - equalise(image)).mean() < 0.02


RECIPE = "name: a\ndata: {root: caffe}\n"


def test_a_recipe_has_the_published_defaults(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(RECIPE)
    config = read_recipe(path, None, TrainingConfig)
    assert (config.optimiser.name, config.optimiser.learning_rate) == ("sgd", 0.01)
    assert (config.batch, config.epochs, config.crops_per_epoch) == (128, 150, 40_000)
    assert config.augmentation.zoom == (0.33, 2.83)
    changed = read_recipe(
        path, ["batch=8", "data.test_glaciers=[SI]", "optimiser.name=adamw"], TrainingConfig
    )
    assert changed.batch == 8
    assert changed.data.test_glaciers == ["SI"]
    assert changed.optimiser.name == "adamw"


@pytest.mark.parametrize(
    ("text", "overrides", "words"),
    [
        (RECIPE + "colour: red\n", [], "colour: there is no such key"),
        (RECIPE, ["optimiser.speed=9"], "optimiser.speed: there is no such key"),
        (RECIPE, ["batch=-1"], "batch"),
        (RECIPE, ["batch"], "key=value"),
        (RECIPE, ["name.x=1"], "name is a value"),
        (RECIPE, ["epochs=null"], "give epochs or minutes"),
        ("- 1\n", [], "mapping"),
        ("a: [", [], "not a YAML"),
    ],
)
def test_a_wrong_recipe_gets_one_sentence(
    tmp_path: Path, text: str, overrides: list[str], words: str
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(IcefrontError, match=words) as caught:
        read_recipe(path, overrides, TrainingConfig)
    assert "\n" not in str(caught.value)


def kind_of(keys: dict) -> type:
    if "starts" in keys:
        return ExperimentConfig
    if "landsat" in keys:
        return FrontHeadConfig
    return PretrainingConfig if "method" in keys else TrainingConfig


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_recipes_in_configs_are_valid(path: Path) -> None:
    keys = yaml.safe_load(path.read_text())
    assert read_recipe(path, None, kind_of(keys)).name


# Keys of 0.1.0 and what they are called now.
RENAMED = {
    TrainingConfig: {
        "data.mend_zones": ("data.clean_labels", True),
        "data.share": ("data.train_fraction", 0.5),
        "data.mosaic_share": ("data.mosaic_fraction", 0.4),
        "data.simulated_share": ("data.simulated_fraction", 0.4),
        "augmentation.zoom_chance": ("augmentation.zoom_probability", 0.7),
        "augmentation.turn": ("augmentation.rotation", 0.3),
        "augmentation.bend": ("augmentation.distortion", 0.4),
        "augmentation.bend_size": ("augmentation.distortion_size", 0.1),
        "augmentation.level": ("augmentation.ocean_brightness", 0.3),
        "augmentation.level_range": ("augmentation.ocean_brightness_range", (0.1, 1.0)),
        "augmentation.water": ("augmentation.open_water", 0.3),
        "augmentation.water_range": ("augmentation.open_water_range", (0.1, 1.0)),
        "augmentation.grain_size": ("augmentation.grain_std", (0.2, 0.4)),
        "augmentation.shade_size": ("augmentation.shade_std", 0.2),
    },
    PretrainingConfig: {"mask.share": ("mask.fraction", 0.4)},
    ExperimentConfig: {
        "shares": ("fractions", [0.3]),
    },
}
PLAIN = {
    TrainingConfig: RECIPE,
    PretrainingConfig: RECIPE + "method: optsimmim\n",
    ExperimentConfig: "name: a\ntraining: {data: {root: caffe}}\nreferences: [a]\n"
    "starts: {a: {pretraining: {method: optsimmim}}}\n",
}
NAMES = [(kind, old, new, value) for kind in RENAMED for old, (new, value) in RENAMED[kind].items()]


def value_of(config: BaseModel, key: str) -> object:
    found: object = config
    for part in key.split("."):
        found = found[part] if isinstance(found, dict) else getattr(found, part)
    return found


@pytest.mark.parametrize(("kind", "old", "new", "value"), NAMES, ids=[n[1] for n in NAMES])
def test_keys_of_0_1_0_go_on_working(
    tmp_path: Path, kind: type[BaseModel], old: str, new: str, value: object
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(PLAIN[kind])
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True).split("\n")[0]
    by_old = read_recipe(path, [f"{old}={text}"], kind)
    assert value_of(by_old, new) == value
    assert by_old == read_recipe(path, [f"{new}={text}"], kind)
    # In a file, and overruled by either name there.
    tree: object = plain
    for part in reversed(old.split(".")):
        tree = {part: tree}
    path.write_text(yaml.safe_dump(merged(yaml.safe_load(PLAIN[kind]), tree)))
    assert read_recipe(path, None, kind) == by_old
    other = read_recipe(path, [f"{new}={text}"], kind)
    assert other == by_old


def merged(common: dict, own: object) -> dict:
    assert isinstance(own, dict)
    return common | {
        k: merged(common[k], v) if isinstance(common.get(k), dict) else v for k, v in own.items()
    }


def test_a_key_under_both_of_its_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("name: a\ndata: {root: caffe, share: 0.1, train_fraction: 0.2}\n")
    with pytest.raises(IcefrontError, match="share is the earlier name of train_fraction"):
        read_recipe(path, None, TrainingConfig)


def test_the_recipe_stored_with_the_packaged_weights_loads() -> None:
    card = json.loads(
        (Path(icefront.__file__).parent / "models/weights/tyrion-mini.json").read_text()
    )
    stored = {**card["provenance"]["recipe"], "out": "runs"}
    config = validated(stored, TrainingConfig, "tyrion-mini.json")
    assert config.data.mosaic_fraction == stored["data"].get("mosaic_share", 0.2)
    assert config.augmentation.zoom_probability == stored["augmentation"]["zoom_chance"]
