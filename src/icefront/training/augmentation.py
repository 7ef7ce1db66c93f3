"""Augmentation of whole batches, on the device that trains.

The loader hands over plain crops; everything random that follows happens here on tensors, so that
a GPU never waits for it and a laptop needs no worker for it. Flips, quarter turns, zoom,
mixing into the ocean, brightness, gamma and speckle are those of the SSL4SAR recipe (design,
section 6); the others are for scenes whose radiometry or mélange the training images do not show.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from icefront.recipes import Strict
from icefront.zones import GLACIER, NO_DATA, OCEAN


class AugmentationConfig(Strict):
    """Probabilities and ranges of each augmentation; the defaults are the published recipe.

    Each acts on the samples of a batch independently. Names of 0.1.0 that have changed are given in
    parentheses; they go on working.

    Attributes
    ----------
    flip, quarter_turn : float
        Probability of a flip (one axis, at random) and of a rotation by 90, 180 or 270°.
    zoom_probability, zoom : float, (float, float)
        Probability (``zoom_chance``) that the loader draws a crop whose side is a factor from
        `zoom` times the side of the window.
    rotation : float
        Probability of a rotation by any angle (``turn``); corners without image become no data.
    distortion, distortion_size, stretch : float, float, (float, float)
        Probability (``bend``) of a smooth random distortion: a stretch of each axis by a factor
        from `stretch` and a displacement of up to about `distortion_size` (``bend_size``) of the
        window, so that the shapes of the few training glaciers are not memorised. Borders are
        mirrored.
    ocean_mix, ocean_mix_weight : float, (float, float)
        Probability that the ocean is mixed with another image, and the range of its weight.
    paste : float
        Probability that the ocean of another, differently oriented image of the batch is laid over
        a sample, with its label and a rim of the ice around it: new coastlines and fronts from a
        few glaciers (after ClassMix, Olsson et al. 2021, arXiv:2007.07936).
    ocean_brightness, ocean_brightness_range : float, (float, float)
        Probability (``level``) that the ocean is brought to a random multiple (``level_range``,
        uniform in its logarithm) of the glacier's mean brightness and smoothed by a random weight:
        from dark open water to mélange as bright as ice, which only texture and shape tell apart.
    open_water, open_water_range : float, (float, float)
        Probability (``water``) that the ocean, or a part of it with an edge of its own, becomes
        open water: speckle around a smooth mean, a random multiple (``water_range``, uniform in its
        logarithm) of the glacier's mean brightness, with or without the bright bergs of the image.
        Quantised to 8 bit, as dark water is in the images that are distributed.
    grain, grain_std : float, (float, float)
        Probability that a part of the glacier loses its flow lines, more or less, and becomes as
        grainy as mélange, by noise with a standard deviation from `grain_std` (``grain_size``):
        crevassed trunks, which few of the training glaciers show.
    shade, shade_std : float, float
        Probability that a smooth random field brightens and darkens the image (it is the logarithm
        of a power, with the standard deviation `shade_std`, ``shade_size``): wet and dry snow,
        incidence.
    decoy, decoy_range : float, (float, float)
        Probability that the outline of another image's ocean is brightened or darkened, by a power
        from `decoy_range`, without a change of the labels: an edge alone is no front.
    brightness, brightness_range, gamma, gamma_range : float, (float, float)
        Probabilities and ranges of a factor and of a power.
    speckle, speckle_looks : float, (float, float)
        Probability of speckle, gamma distributed with mean one, and the range of its looks.
    """

    renamed_keys: ClassVar[Mapping[str, str]] = {
        "zoom_chance": "zoom_probability",
        "turn": "rotation",
        "bend": "distortion",
        "bend_size": "distortion_size",
        "level": "ocean_brightness",
        "level_range": "ocean_brightness_range",
        "water": "open_water",
        "water_range": "open_water_range",
        "grain_size": "grain_std",
        "shade_size": "shade_std",
    }

    flip: float = Field(0.5, ge=0, le=1)
    quarter_turn: float = Field(0.5, ge=0, le=1)
    zoom_probability: float = Field(0.5, ge=0, le=1)
    zoom: tuple[float, float] = (0.33, 2.83)
    rotation: float = Field(0.0, ge=0, le=1)
    distortion: float = Field(0.0, ge=0, le=1)
    distortion_size: float = Field(0.03, ge=0, le=0.5)
    stretch: tuple[float, float] = (0.75, 1.33)
    ocean_mix: float = Field(0.3, ge=0, le=1)
    ocean_mix_weight: tuple[float, float] = (0.15, 0.30)
    paste: float = Field(0.0, ge=0, le=1)
    ocean_brightness: float = Field(0.0, ge=0, le=1)
    ocean_brightness_range: tuple[float, float] = (0.08, 1.6)
    open_water: float = Field(0.0, ge=0, le=1)
    open_water_range: tuple[float, float] = (0.03, 0.7)
    grain: float = Field(0.0, ge=0, le=1)
    grain_std: tuple[float, float] = (0.1, 0.8)
    shade: float = Field(0.0, ge=0, le=1)
    shade_std: float = Field(0.6, ge=0)
    decoy: float = Field(0.0, ge=0, le=1)
    decoy_range: tuple[float, float] = (0.4, 2.5)
    brightness: float = Field(0.2, ge=0, le=1)
    brightness_range: tuple[float, float] = (0.6, 1.4)
    gamma: float = Field(0.2, ge=0, le=1)
    gamma_range: tuple[float, float] = (0.7, 1.3)
    speckle: float = Field(0.2, ge=0, le=1)
    speckle_looks: tuple[float, float] = (4.0, 40.0)


def _picked(count: int, probability: float, generator: torch.Generator) -> Tensor:
    """Draw which samples are changed, bool (count,)."""
    return torch.rand(count, generator=generator) < probability


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw uniform values, (count,)."""
    return low + (high - low) * torch.rand(count, generator=generator)


def orient(
    image: Tensor, zones: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Flip and turn each sample of a batch.

    Parameters
    ----------
    image : Tensor
        (B, 1, S, S) in 0..1, 0 where there is no data.
    zones : Tensor
        (B, S, S) class codes.

    Returns
    -------
    tuple of Tensor
        The same shapes. Free rotation fills the corners with no data.
    """
    count = image.shape[0]
    quarter = _picked(count, config.quarter_turn, generator)
    turns = torch.where(quarter, torch.randint(1, 4, (count,), generator=generator), 0)
    flips = torch.where(
        _picked(count, config.flip, generator),
        torch.randint(1, 3, (count,), generator=generator),
        0,
    )
    image, zones = image.clone(), zones.clone()
    for i in range(count):
        k, f = int(turns[i]), int(flips[i])
        if k:
            image[i] = torch.rot90(image[i], k, (1, 2))
            zones[i] = torch.rot90(zones[i], k, (0, 1))
        if f:
            image[i] = image[i].flip(f)
            zones[i] = zones[i].flip(f - 1)
    free = _picked(count, config.rotation, generator).nonzero().flatten()
    if len(free):
        angle = _uniform(len(free), -math.pi, math.pi, generator)
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        matrix = torch.stack(
            [torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1
        ).to(image.device)
        index = free.to(image.device)
        picked = image[index]
        grid = F.affine_grid(matrix, list(picked.shape), align_corners=False)
        image[index] = F.grid_sample(picked, grid, mode="bilinear", align_corners=False)
        turned = F.grid_sample(
            zones[index].unsqueeze(1).float(), grid, mode="nearest", align_corners=False
        )
        zones[index] = turned.squeeze(1).to(zones.dtype)
    return image, zones


def _smooth_field(
    count: int, channels: int, nodes: int, side: int, generator: torch.Generator
) -> Tensor:
    """Draw smooth random fields, (count, channels, S, S), with std 1 at their nodes."""
    coarse = torch.randn((count, channels, nodes, nodes), generator=generator)
    return F.interpolate(coarse, (side, side), mode="bicubic", align_corners=True)


def distort(
    image: Tensor, zones: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Stretch and distort some samples smoothly; shapes as in `orient`."""
    picked = _picked(image.shape[0], config.distortion, generator).nonzero().flatten()
    if not len(picked):
        return image, zones
    low, high = (math.log(v) for v in config.stretch)
    factors = torch.exp(_uniform(2 * len(picked), low, high, generator)).reshape(-1, 2)
    zero = torch.zeros(len(picked))
    matrix = torch.stack(
        [torch.stack([factors[:, 0], zero, zero], 1), torch.stack([zero, factors[:, 1], zero], 1)],
        1,
    )
    side = image.shape[-1]
    grid = F.affine_grid(matrix, [len(picked), 1, side, side], align_corners=False)
    # Coordinates run from -1 to 1, so that a fraction of the window is twice itself.
    shift = _smooth_field(len(picked), 2, 5, side, generator) * (2 * config.distortion_size)
    grid = (grid + shift.movedim(1, -1)).to(image.device)
    index = picked.to(image.device)
    image, zones = image.clone(), zones.clone()
    image[index] = F.grid_sample(
        image[index], grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    bent = F.grid_sample(
        zones[index].unsqueeze(1).float(),
        grid,
        mode="nearest",
        padding_mode="reflection",
        align_corners=False,
    )
    zones[index] = bent.squeeze(1).to(zones.dtype)
    return image, zones


def mix_ocean(
    image: Tensor, zones: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> Tensor:
    """Mix another image of the batch into the ocean of some samples, (B, 1, S, S)."""
    count = image.shape[0]
    picked = _picked(count, config.ocean_mix, generator)
    weight = _uniform(count, *config.ocean_mix_weight, generator) * picked
    weights = weight.to(image.device)[:, None, None, None] * (zones == OCEAN).unsqueeze(1)
    return image * (1 - weights) + image.roll(1, 0) * weights


def paste_ocean(
    image: Tensor, zones: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Lay the ocean of the next sample, with eight pixels around it, over some samples.

    The rim keeps the true look of the front, so that the seam lies in ice or rock.
    """
    picked = _picked(image.shape[0], config.paste, generator).to(image.device)
    ocean = (zones.roll(1, 0) == OCEAN).float().unsqueeze(1)
    rim = F.max_pool2d(F.max_pool2d(ocean, (17, 1), 1, (8, 0)), (1, 17), 1, (0, 8))
    cover = (rim > 0) & picked[:, None, None, None]
    image = torch.where(cover, image.roll(1, 0), image)
    return image, torch.where(cover.squeeze(1), zones.roll(1, 0), zones)


def change_ocean_brightness(
    image: Tensor, zones: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> Tensor:
    """Bring the ocean of some samples to another brightness and texture, (B, 1, S, S).

    Gain and smoothing fade over two pixels, so that the network cannot learn the edge of the label.
    """
    count = image.shape[0]
    picked = _picked(count, config.ocean_brightness, generator).to(image.device)
    low, high = (math.log(v) for v in config.ocean_brightness_range)
    factor = torch.exp(_uniform(count, low, high, generator)).to(image.device)
    weight = _uniform(count, 0.0, 1.0, generator).to(image.device)[:, None, None, None]
    ocean = ((zones == OCEAN).unsqueeze(1) & (image > 0)).float()
    ice = ((zones == GLACIER).unsqueeze(1) & (image > 0)).float()
    dims = (1, 2, 3)
    enough = (ocean.sum(dims) > 50) & (ice.sum(dims) > 50) & picked
    mean_ocean = (image * ocean).sum(dims) / ocean.sum(dims).clamp_min(1)
    mean_ice = (image * ice).sum(dims) / ice.sum(dims).clamp_min(1)
    gain = torch.where(enough, factor * mean_ice / mean_ocean.clamp_min(0.02), 1.0).clamp(0.04, 8)
    inside = ((zones == OCEAN).unsqueeze(1) & enough[:, None, None, None]).float()
    inside = F.avg_pool2d(F.avg_pool2d(inside, 3, 1, 1), 3, 1, 1)
    smoothed = torch.where(ocean > 0, image, mean_ocean[:, None, None, None])
    smoothed = F.avg_pool2d(F.avg_pool2d(smoothed, (9, 1), 1, (4, 0)), (1, 9), 1, (0, 4))
    image = torch.where(image > 0, image + inside * weight * (smoothed - image), image)
    return (image * (inside * gain.log()[:, None, None, None]).exp()).clamp(0, 1)


def _grain(image: Tensor, generator: torch.Generator) -> Tensor:
    """Draw noise in the shape of `image`, standard deviation about one: correlated or streaked."""
    count = image.shape[0]
    white = torch.randn(image.shape, generator=generator).to(image.device)
    kind = torch.randint(0, 4, (count,), generator=generator)[:, None, None, None].to(image.device)
    # Means over n pixels have 1/√n of the standard deviation; a little less is restored here.
    soft = 2.0 * F.avg_pool2d(white, 3, 1, 1)
    along = 2.2 * F.avg_pool2d(white, (1, 7), 1, (0, 3))
    across = 2.2 * F.avg_pool2d(white, (7, 1), 1, (3, 0))
    shaped = torch.where(kind == 0, soft, torch.where(kind == 1, along, across))
    mixed = _uniform(count, 0.3, 1.0, generator)[:, None, None, None].to(image.device)
    return torch.where(kind == 3, white, torch.lerp(white, shaped, mixed))


def add_grain(
    image: Tensor, zones: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> Tensor:
    """Make a part of the glacier of some samples grainy, (B, 1, S, S)."""
    count, side, device = image.shape[0], image.shape[-1], image.device
    picked = _picked(count, config.grain, generator)
    std = _uniform(count, *config.grain_std, generator)[:, None, None, None].to(device)
    weight = _uniform(count, 0.0, 1.0, generator)[:, None, None, None].to(device)
    # From a third of the glacier to nearly all of it.
    shift = _uniform(count, 0.0, 1.5, generator)[:, None, None, None]
    where = (2 * (_smooth_field(count, 1, 4, side, generator) + shift)).clamp(0, 1)
    where = (where * picked[:, None, None, None]).to(device) * (zones == GLACIER).unsqueeze(1)
    noise = _grain(image, generator) * std * where
    near = F.avg_pool2d(F.avg_pool2d(image, (9, 1), 1, (4, 0)), (1, 9), 1, (0, 4))
    image = torch.where(image > 0, image + where * weight * (near - image), image)
    return (image * noise.exp()).clamp(0, 1)


def open_water(
    image: Tensor, zones: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> Tensor:
    """Replace the mélange of some samples, or a part of it, by open water, (B, 1, S, S)."""
    count, side, device = image.shape[0], image.shape[-1], image.device

    def per_sample(low: float, high: float) -> Tensor:
        return _uniform(count, low, high, generator)[:, None, None, None].to(device)

    picked = _picked(count, config.open_water, generator)[:, None, None, None].to(device)
    low, high = (math.log(v) for v in config.open_water_range)
    factor = per_sample(low, high).exp()
    # Thresholds below -1.5 leave no ice: water all over the fjord.
    threshold = per_sample(-3.0, 1.0)
    parts = _smooth_field(count, 1, 5, side, generator).to(device) > threshold
    swell = (0.25 * _smooth_field(count, 1, 4, side, generator)).to(device)
    noise = _grain(image, generator) * per_sample(0.05, 0.5)
    bergs = per_sample(0.0, 1.0) < 0.5

    ice = ((zones == GLACIER).unsqueeze(1) & (image > 0)).float()
    dims = (1, 2, 3)
    brightness = (image * ice).sum(dims, keepdim=True) / ice.sum(dims, keepdim=True).clamp_min(1)
    water = brightness * factor * (swell + noise).exp()
    water = (water.clamp(0, 1) * 255).round() / 255
    area = (zones == OCEAN).unsqueeze(1) & parts & picked & (ice.sum(dims, keepdim=True) > 50)
    near = F.avg_pool2d(F.avg_pool2d(image, (15, 1), 1, (7, 0)), (1, 15), 1, (0, 7))
    kept = bergs & (image > 1.5 * near)
    return torch.where(area & ~kept, water, image)


def shade_image(
    image: Tensor, zones: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> Tensor:
    """Lay a smooth field of brightness and the outline of another ocean over some samples."""
    count, device = image.shape[0], image.device
    picked = _picked(count, config.shade, generator)
    field = _smooth_field(count, 1, 4, image.shape[-1], generator) * config.shade_std
    change = (field * picked[:, None, None, None]).to(device)
    low, high = (math.log(v) for v in config.decoy_range)
    step = _uniform(count, low, high, generator) * _picked(count, config.decoy, generator)
    outline = (zones.roll(1, 0).flip(1) == OCEAN).float().unsqueeze(1)
    for _ in range(2):
        outline = F.avg_pool2d(outline, 3, 1, 1, count_include_pad=False)
    change = change + outline * step.to(device)[:, None, None, None]
    # A power stays within 0..1, so that nothing is cut off at the bright end.
    return image ** (-change).exp()


def change_radiometry(
    image: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> Tensor:
    """Change brightness and gamma and add speckle, each in some samples, (B, 1, S, S) in 0..1."""
    count, device = image.shape[0], image.device

    def per_sample(probability: float, low: float, high: float, neutral: float) -> Tensor:
        values = _uniform(count, low, high, generator)
        values = torch.where(_picked(count, probability, generator), values, neutral)
        return values.to(device)[:, None, None, None]

    image = image * per_sample(config.brightness, *config.brightness_range, 1.0)
    image = image.clamp(0, 1) ** per_sample(config.gamma, *config.gamma_range, 1.0)
    speckled = _picked(count, config.speckle, generator).nonzero().flatten()
    if len(speckled):
        looks = _uniform(len(speckled), *config.speckle_looks, generator)
        # For these numbers of looks the gamma distribution is near a log-normal one, which can
        # be drawn from a seeded generator on any device.
        sigma = torch.sqrt(torch.log1p(1 / looks))[:, None, None, None]
        noise = torch.randn((len(speckled), *image.shape[1:]), generator=generator)
        factor = torch.exp(sigma * noise - sigma**2 / 2).to(device)
        index = speckled.to(device)
        image = image.index_copy(0, index, image[index] * factor)
    return image.clamp(0, 1)


def augment(
    image: Tensor, zones: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Apply everything of `config` but the zoom, which the loader has done.

    Parameters
    ----------
    image : Tensor
        (B, 1, S, S) float in 0..1, 0 where there is no data.
    zones : Tensor
        (B, S, S) int64 class codes.
    config : AugmentationConfig
    generator : torch.Generator
        On the CPU; the same seed gives the same augmentation on any device.

    Returns
    -------
    tuple of Tensor
        Image and zones, same shapes.
    """
    image, zones = orient(image, zones, config, generator)
    image, zones = distort(image, zones, config, generator)
    image, zones = paste_ocean(image, zones, config, generator)
    gap = image <= 0
    image = mix_ocean(image, zones, config, generator)
    image = change_ocean_brightness(image, zones, config, generator)
    if config.grain:
        image = add_grain(image, zones, config, generator)
    if config.open_water:
        image = open_water(image, zones, config, generator)
    if config.shade or config.decoy:
        image = shade_image(image, zones, config, generator)
    image = change_radiometry(image, config, generator)
    return image.masked_fill(gap & (zones == NO_DATA).unsqueeze(1), 0.0), zones
