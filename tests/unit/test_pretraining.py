"""OptSimMIM and OptTranslator, step by step as the method says (design, section 6)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from icefront.datasets.pairs import PairCrops, build_pair_cache
from icefront.datasets.ssl4sar import CHANNELS, Ssl4SarArchive
from icefront.errors import IcefrontError
from icefront.models.registry import build
from icefront.pretraining import OptSimMIM, OptTranslator, PretrainingConfig
from icefront.pretraining.baselines import fit_baselines, regressors
from icefront.pretraining.experiment import compare_runs
from icefront.pretraining.gradient_check import check_gradients
from icefront.pretraining.module import (
    Pretraining,
    gradient_l1,
    masked_l1,
    over_pixels,
    squares_of,
)
from icefront.pretraining.samples import MaskedPairs, draw_mask, prepare
from icefront.recipes import read_recipe
from tests.helpers.paths import CONFIGS
from tests.helpers.simulated_ssl4sar import make_ssl4sar

SMALL_TYRION = {
    "family": "tyrion",
    "image_size": 64,
    "embed_dim": 32,
    "depths": [2, 1],
    "num_heads": [1, 2],
    "window_size": 4,
}
SMALL_COMPACT = {"family": "compact", "image_size": 64, "window_size": 4, "depth": 2}
NETWORKS = (SMALL_TYRION, SMALL_COMPACT, {"family": "unet", "widths": [4, 8]})


def config_of(method: str, **more: object) -> PretrainingConfig:
    return PretrainingConfig.model_validate(
        {"name": "x", "method": method, "data": {"root": "x"}, "window": 64, **more}
    )


def module_of(method: str, network: dict = SMALL_TYRION, **more: object) -> Pretraining:
    torch.manual_seed(0)
    kind = {"optsimmim": OptSimMIM, "opttranslator": OptTranslator}[method]
    return kind(build(network), config_of(method, **more))


def sample(count: int = 2, side: int = 64, token: int = 4) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    rng = np.random.default_rng(0)
    masks = [draw_mask(side // token, 0.3, 1, rng) for _ in range(count)]
    return {
        "radar": 0.1 + 0.8 * torch.rand(count, 1, side, side, generator=generator),
        "optical": torch.rand(count, 14, side, side, generator=generator),
        "masked": torch.from_numpy(np.stack(masks)),
    }


# recipes ------------------------------------------------------------------------------------------


def test_the_published_recipes() -> None:
    simmim = read_recipe(CONFIGS / "optsimmim.yaml", None, PretrainingConfig)
    translator = read_recipe(CONFIGS / "opttranslator.yaml", None, PretrainingConfig)
    for config in (simmim, translator):
        o = config.optimiser
        assert (o.name, o.momentum, o.weight_decay) == ("sgd", 0.9, 1e-4)
        assert (o.schedule, o.patience, o.factor) == ("plateau", 5, 0.5)
        assert (config.batch, config.window, config.zoom, config.flip) == (32, 512, (0.7, 1.0), 0.5)
        assert (config.model, config.init, config.epochs) == ("tyrion", "imagenet", 1000)
        assert config.crops_per_epoch is None  # eight of each image
        assert (config.data.validation, config.data.stride) == ("folder", 256)
        assert (config.loss.radar, config.loss.gradient, config.mask.block) == ("none", 0.0, 1)
    assert simmim.mask.fraction == 0.3
    assert (simmim.optimiser.learning_rate, simmim.stop_after) == (1e-3, None)
    assert (translator.optimiser.learning_rate, translator.stop_after) == (5e-3, 100)
    # The defaults of the configuration are the same.
    for config in (simmim, translator):
        plain = config_of(config.method)
        assert plain.optimiser == config.optimiser
        assert plain.stop_after == config.stop_after


def test_all_recipes_are_valid(tmp_path: Path) -> None:
    from icefront.pretraining import experiment

    for name in ("optsimmim-mini", "opttranslator-mini", "days-mini"):
        assert read_recipe(CONFIGS / f"{name}.yaml", None, PretrainingConfig).model == "tyrion-mini"
    for path in CONFIGS.glob("experiment-pretraining*.yaml"):
        config = read_recipe(path, None, experiment.ExperimentConfig)
        for start, chosen in config.starts.items():
            if chosen.pretraining is not None:
                assert experiment.pretraining_recipe(config, start, tmp_path).name == start
            assert (
                experiment.training_recipe(config, start, 0.2, 1, None).data.train_fraction == 0.2
            )


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("mask.share=1.5", "mask.fraction"),
        ("zoom=[1.0, 0.7]", "zoom has to be"),
        ("method=mae", "method"),
        ("colour=red", "there is no such key"),
        ("data.validation=2.0", "data.validation"),
    ],
)
def test_a_wrong_value_is_named(override: str, words: str) -> None:
    with pytest.raises(IcefrontError, match=words):
        read_recipe(CONFIGS / "optsimmim.yaml", [override], PretrainingConfig)


def test_a_translator_is_not_given_its_target() -> None:
    with pytest.raises(IcefrontError, match="its own input"):
        read_recipe(CONFIGS / "opttranslator.yaml", ["loss.radar=same"], PretrainingConfig)


# masks --------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 32), st.sampled_from([1, 2, 4]), st.floats(0.1, 0.9), st.integers(0, 99))
def test_just_the_fraction_asked_for_is_masked_in_whole_blocks(
    squares: int, block: int, share: float, seed: int
) -> None:
    mask = draw_mask(squares * block, share, block, np.random.default_rng(seed))
    assert mask.shape == (squares * block, squares * block)
    blocks = mask.reshape(squares, block, squares, block)
    assert (blocks.any((1, 3)) == blocks.all((1, 3))).all()
    assert blocks.all((1, 3)).sum() == round(share * squares**2)


def test_thirty_percent_of_the_published_tokens() -> None:
    mask = draw_mask(512 // 4, 0.3, 1, np.random.default_rng(0))
    assert mask.sum() == round(0.3 * 128 * 128)


def test_every_token_can_be_hidden_and_seen() -> None:
    masks = [draw_mask(16, 0.3, 1, np.random.default_rng(n)) for n in range(200)]
    often = np.mean(masks, axis=0)
    assert often.min() > 0.15
    assert often.max() < 0.45


@pytest.mark.parametrize("network", NETWORKS)
def test_hidden_tokens_are_not_seen(network: dict) -> None:
    built = build(network).eval()
    one = sample()
    inside = over_pixels(one["masked"], 64)
    other = torch.where(inside, 0.9 - 0.8 * one["radar"], one["radar"])
    with torch.no_grad():
        a, b = (built.features(image, one["masked"]) for image in (one["radar"], other))
        seen = built.features(other)
        nothing = torch.zeros_like(one["masked"])
        whole = built.features(other, nothing)
    assert torch.equal(a, b)
    assert not torch.allclose(a, seen)
    assert torch.allclose(whole, seen, atol=1e-6)


def test_the_mask_token_of_tyrion_is_a_fixed_zero_after_the_patch_embedding() -> None:
    network = build(SMALL_TYRION).eval()
    one = sample()
    passed: list[Tensor] = []
    network.encoder.encoder.register_forward_pre_hook(lambda _, args: passed.append(args[0]))
    network.features(one["radar"], one["masked"])
    network.features(one["radar"])
    masked, plain = passed
    hidden = one["masked"].flatten(1)
    assert (masked[hidden] == 0).all()
    assert torch.equal(masked[~hidden], plain[~hidden])


def test_patches_without_data_do_not_make_gradients_explode() -> None:
    torch.manual_seed(0)
    network = build(SMALL_TYRION)
    image = sample()["radar"]
    image[:, :, :32] = 0
    network(image).square().mean().backward()
    bias = network.encoder.embeddings.patch_embeddings.projection.bias.grad
    assert float(bias.abs().max()) < 10


# samples ------------------------------------------------------------------------------------------


def test_zoom_is_bicubic_and_flips_go_both_ways_for_both_sensors() -> None:
    generator = torch.Generator().manual_seed(0)
    radar = torch.randint(0, 255, (4, 1, 32, 32), generator=generator, dtype=torch.uint8)
    batch = {
        "radar": radar,
        "optical": radar.expand(-1, 14, -1, -1).clone(),
        "side": torch.tensor([32, 32, 32, 24]),
        "flip": torch.tensor([[False, False], [True, False], [False, True], [True, True]]),
    }
    out = prepare(batch, "grey")
    plain = radar.float() / 255
    assert torch.allclose(out["radar"][0], plain[0])
    assert torch.allclose(out["radar"][1], plain[1].flip(1))  # rows
    assert torch.allclose(out["radar"][2], plain[2].flip(2))  # columns
    zoomed = F.interpolate(plain[3:, :, :24, :24], (32, 32), mode="bicubic", align_corners=False)
    assert torch.allclose(out["radar"][3], zoomed[0].clamp(0, 1).flip(1, 2), atol=1e-6)
    assert torch.allclose(out["optical"], out["radar"].expand(-1, 14, -1, -1), atol=1e-6)
    flat = prepare(batch, "equalised")
    assert torch.allclose(flat["optical"], out["optical"])
    assert abs(float(flat["radar"].mean()) - 0.5) < 0.05


# heads and losses ---------------------------------------------------------------------------------


def test_the_head_of_optsimmim_gives_fourteen_channels_of_each_pixel_of_a_token() -> None:
    head = module_of("optsimmim").heads
    assert len(CHANNELS) == 14
    assert head.reduce.out_channels == 3
    assert (head.embed.kernel_size, head.embed.stride) == ((4, 4), (4, 4))
    assert head.norm.normalized_shape == (96,)
    assert head.values.out_features == 4 * 4 * 14
    assert head(torch.rand(1, 32, 16, 16)).shape == (1, 14, 16, 16)


def test_the_head_of_opttranslator_is_one_convolution() -> None:
    head = module_of("opttranslator").heads
    assert (head.kernel_size, head.out_channels) == ((1, 1), 14)


def test_tokens_are_laid_out_where_they_belong() -> None:
    image = torch.arange(2 * 3 * 8 * 12.0).reshape(2, 3, 8, 12)
    tokens = image.reshape(2, 3, 2, 4, 3, 4).permute(0, 2, 4, 3, 5, 1).reshape(2, 2, 3, 48)
    assert torch.equal(squares_of(tokens, 3, 4), image)


def test_the_loss_of_optsimmim_is_taken_on_masked_tokens_only() -> None:
    module = module_of("optsimmim").eval()
    one = sample()
    inside = over_pixels(one["masked"], 64)
    with torch.no_grad():
        before = module.loss(one)[0]
        output = module.reconstruct(one["radar"], one["masked"])
        expected = (output - one["optical"]).abs().permute(0, 2, 3, 1)[inside[:, 0]].mean()
        assert before == pytest.approx(float(expected), rel=1e-5)
        elsewhere = torch.where(inside, one["optical"], 1 - one["optical"])
        assert module.loss({**one, "optical": elsewhere})[0] == pytest.approx(float(before))
        there = torch.where(inside, one["optical"] + 5, one["optical"])
        assert module.loss({**one, "optical": there})[0] > before + 3


def test_the_loss_of_opttranslator_is_taken_everywhere_and_nothing_is_masked() -> None:
    module = module_of("opttranslator").eval()
    one = sample()
    with torch.no_grad():
        output = module.reconstruct(one["radar"], one["masked"])
        assert torch.equal(output, module.reconstruct(one["radar"]))
        assert module.loss(one)[0] == pytest.approx(float((output - one["optical"]).abs().mean()))


def test_what_is_added_to_the_loss() -> None:
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    assert gradient_l1(ramp, torch.zeros_like(ramp), None) == pytest.approx(0.5)  # columns only
    assert gradient_l1(ramp + 3, ramp, None) == 0
    none = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    assert masked_l1(ramp, ramp + 1, none) == 0
    one = {**sample(), "other": torch.rand(2, 1, 64, 64)}
    plain = module_of("opttranslator").eval()
    assert plain.outputs == 14
    more = module_of("opttranslator", loss={"radar": "other_day", "radar_weight": 2.0}).eval()
    assert more.outputs == 15
    with torch.no_grad():
        total, optical = more.loss(one)
        output = more.reconstruct(one["radar"])
        extra = (output[:, 14:] - one["other"]).abs().mean()
        assert total == pytest.approx(float(optical + 2 * extra), rel=1e-5)
        assert optical == pytest.approx(float((output[:, :14] - one["optical"]).abs().mean()))


def test_the_learning_rate_is_halved_after_five_epochs_without_gain() -> None:
    plateau = module_of("opttranslator").configure_optimizers()["lr_scheduler"]["scheduler"]
    losses = [1.0, *[1.0] * 11, 1.0 - 1e-12]
    rates = []
    for loss in losses:
        plateau.step(loss)
        rates.append(plateau.get_last_lr()[0] / 5e-3)
    assert rates == [1.0] * 5 + [0.5] * 5 + [0.25] * 3
    assert plateau.num_bad_epochs == 0  # any gain counts


# gradients ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> PairCrops:
    root = make_ssl4sar(tmp_path_factory.mktemp("simulated") / "ssl4sar")
    cache = build_pair_cache(Ssl4SarArchive(root), tmp_path_factory.mktemp("cache"))
    return PairCrops(cache, range(9), 64, seed=0)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("method", ["optsimmim", "opttranslator"])
def test_gradients_reach_every_parameter_but_those_of_the_zones(
    method: str, network: dict, crops: PairCrops
) -> None:
    module = module_of(method, network)
    batch = torch.utils.data.default_collate([MaskedPairs(crops, 4, 0.3, 1, 0)[i] for i in (0, 1)])
    before = {k: v.clone() for k, v in module.state_dict().items()}
    reach = check_gradients(module, batch)
    assert reach.unreached == ()
    assert reach.frozen == ("network.classify.weight", "network.classify.bias")
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


def test_an_unused_parameter_is_named(crops: PairCrops) -> None:
    module = module_of("opttranslator")
    module.network.forgotten = torch.nn.Linear(3, 3, bias=False)
    module.network.head.requires_grad_(False)
    reach = check_gradients(module, torch.utils.data.default_collate([crops[0], crops[1]]))
    assert reach.unreached == ("network.forgotten.weight",)
    assert "network.head.conv.weight" in reach.frozen
    assert "no gradient reaches: network.forgotten.weight" in reach.sentence()


# yardsticks ---------------------------------------------------------------------------------------


def test_baselines_find_what_is_linear() -> None:
    generator = torch.Generator().manual_seed(0)
    radar = torch.randint(0, 255, (2, 1, 64, 64), generator=generator, dtype=torch.uint8)
    slopes = torch.linspace(0.1, 0.9, 14)[:, None, None]
    optical = (radar.float() * slopes).round().to(torch.uint8)
    batch = {
        "radar": radar,
        "optical": optical,
        "side": torch.tensor([64, 64]),
        "flip": torch.zeros(2, 2, dtype=torch.bool),
    }
    fitted = fit_baselines([batch], "grey")
    assert torch.allclose(fitted.pixel[1], slopes.flatten(), atol=2e-3)
    out = prepare(batch, "grey")
    found = fitted.predictions(out["radar"])
    assert float((found["regression"] - out["optical"]).abs().max()) < 0.01
    assert float((found["regression with surroundings"] - out["optical"]).abs().max()) < 0.01
    flat = found["mean image"]
    assert torch.allclose(flat[0, :, 0, 0], out["optical"].mean((0, 2, 3)), atol=1e-4)
    assert regressors(out["radar"], True).shape == (2, 4, 64, 64)


def test_comparisons_of_runs() -> None:
    better = compare_runs([6, 7, 8, 9, 10], [1, 2, 3, 4, 5])
    assert (better["u"], better["effect"], better["difference"]) == (25, 1, -5)
    assert better["p"] == pytest.approx(1 / 252)  # exact: one order of C(10, 5)
    assert better["d"] == pytest.approx(5 / np.sqrt(2.5))
    assert compare_runs([1, 2], [1, 2])["effect"] == 0
    lost = compare_runs([1, 2], [float("nan"), 3])
    assert lost["effect"] == -1
    assert np.isnan(lost["d"])
