"""Augmentation of whole batches, on the device that trains.

The loader hands over plain crops; everything random that follows happens here on tensors, so that
a GPU is never kept waiting by it and a laptop needs no worker for it. Flips, quarter turns, zoom,
mixing into the ocean, brightness, gamma and speckle are those of the SSL4SAR recipe (design,
section 6); free rotation, levelling and flat histograms are ours, for scenes whose radiometry or
mélange the training images do not show.
"""

from __future__ import annotations

import math

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F

from icefront.zones import GLACIER, NO_DATA, OCEAN


class AugmentationConfig(BaseModel):
    """Chances and ranges of each augmentation; the defaults are the published recipe.

    Attributes
    ----------
    flip, quarter_turn : float
        Chance of a flip (one axis, at random) and of a turn by 90, 180 or 270°.
    zoom : (float, float)
        Side of the crop over the side of the window; used by the loader, with chance `zoom_chance`.
    turn : float
        Chance of a free rotation; corners without image become no data.
    bend : float
        Chance of a smooth random distortion: a stretch of each axis by a factor from `stretch`
        and a displacement of up to about `bend_size` of the window, so that the shape of the few
        training glaciers is not what is learned. Borders are mirrored.
    ocean_mix : float
        Chance that the ocean is mixed with another image, by a weight from `ocean_mix_weight`.
    paste : float
        Chance that the ocean of another, differently oriented image of the batch is laid over a
        sample, with its label and a rim of the ice around it: new coastlines and fronts from a
        few glaciers (after ClassMix, Olsson et al. 2021, arXiv:2007.07936).
    level : float
        Chance that the ocean is brought to a random share (`level_range`, uniform in its
        logarithm) of the glacier's mean brightness and smoothed by a random weight: from dark open
        water to mélange as bright as ice, which has to be told by texture and shape.
    water : float
        Chance that the ocean, or a part of it with an edge of its own, becomes open water: speckle
        around a smooth mean, `water_range` times the glacier's mean brightness (uniform in its
        logarithm), with or without the bright bergs that were there. Quantised to 8 bit, as dark
        water is in the images that are distributed.
    grain : float
        Chance that a part of the glacier loses its flow lines, more or less, and becomes as grainy
        as mélange, by noise of a spread from `grain_size`: crevassed trunks, which few of the
        training glaciers show.
    shade : float
        Chance that a smooth random field brightens and darkens the image (it is the logarithm
        of a power, with a spread of `shade_size`): wet and dry snow, incidence; no place keeps
        its brightness.
    decoy : float
        Chance that the outline of another image's ocean is brightened or darkened here, by a
        power from `decoy_range`, without a change of the labels: an edge alone is no front.
    brightness, gamma, speckle : float
        Chances; ranges in the attributes of similar name. Speckle is gamma distributed with
        `speckle_looks` looks and mean one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    flip: float = Field(0.5, ge=0, le=1)
    quarter_turn: float = Field(0.5, ge=0, le=1)
    zoom_chance: float = Field(0.5, ge=0, le=1)
    zoom: tuple[float, float] = (0.33, 2.83)
    turn: float = Field(0.0, ge=0, le=1)
    bend: float = Field(0.0, ge=0, le=1)
    bend_size: float = Field(0.03, ge=0, le=0.5)
    stretch: tuple[float, float] = (0.75, 1.33)
    ocean_mix: float = Field(0.3, ge=0, le=1)
    ocean_mix_weight: tuple[float, float] = (0.15, 0.30)
    paste: float = Field(0.0, ge=0, le=1)
    level: float = Field(0.0, ge=0, le=1)
    level_range: tuple[float, float] = (0.08, 1.6)
    water: float = Field(0.0, ge=0, le=1)
    water_range: tuple[float, float] = (0.03, 0.7)
    grain: float = Field(0.0, ge=0, le=1)
    grain_size: tuple[float, float] = (0.1, 0.8)
    shade: float = Field(0.0, ge=0, le=1)
    shade_size: float = Field(0.6, ge=0)
    decoy: float = Field(0.0, ge=0, le=1)
    decoy_range: tuple[float, float] = (0.4, 2.5)
    brightness: float = Field(0.2, ge=0, le=1)
    brightness_range: tuple[float, float] = (0.6, 1.4)
    gamma: float = Field(0.2, ge=0, le=1)
    gamma_range: tuple[float, float] = (0.7, 1.3)
    speckle: float = Field(0.2, ge=0, le=1)
    speckle_looks: tuple[float, float] = (4.0, 40.0)


def _chance(count: int, p: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) < p


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
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
    quarter = _chance(count, config.quarter_turn, generator)
    turns = torch.where(quarter, torch.randint(1, 4, (count,), generator=generator), 0)
    flips = torch.where(
        _chance(count, config.flip, generator),
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
    free = _chance(count, config.turn, generator).nonzero().flatten()
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
    """Smooth random fields, (count, channels, S, S), of spread one at their nodes."""
    coarse = torch.randn((count, channels, nodes, nodes), generator=generator)
    return F.interpolate(coarse, (side, side), mode="bicubic", align_corners=True)


def bend(
    image: Tensor, zones: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Stretch and distort some samples smoothly; shapes as in `orient`."""
    picked = _chance(image.shape[0], config.bend, generator).nonzero().flatten()
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
    # Coordinates run from -1 to 1, so that a share of the window is twice itself.
    shift = _smooth_field(len(picked), 2, 5, side, generator) * (2 * config.bend_size)
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
    picked = _chance(count, config.ocean_mix, generator)
    weight = _uniform(count, *config.ocean_mix_weight, generator) * picked
    share = weight.to(image.device)[:, None, None, None] * (zones == OCEAN).unsqueeze(1)
    return image * (1 - share) + image.roll(1, 0) * share


def paste_ocean(
    image: Tensor, zones: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Lay the ocean of the next sample, with eight pixels around it, over some samples.

    The rim keeps the true look of the front, so that the seam lies in ice or rock.
    """
    picked = _chance(image.shape[0], config.paste, generator).to(image.device)
    ocean = (zones.roll(1, 0) == OCEAN).float().unsqueeze(1)
    rim = F.max_pool2d(F.max_pool2d(ocean, (17, 1), 1, (8, 0)), (1, 17), 1, (0, 8))
    cover = (rim > 0) & picked[:, None, None, None]
    image = torch.where(cover, image.roll(1, 0), image)
    return image, torch.where(cover.squeeze(1), zones.roll(1, 0), zones)


def level_zones(
    image: Tensor, zones: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> Tensor:
    """Bring the ocean of some samples to another brightness and texture, (B, 1, S, S).

    Gain and smoothing fade over two pixels, lest the edge of a label become the feature that is
    learned.
    """
    count = image.shape[0]
    picked = _chance(count, config.level, generator).to(image.device)
    low, high = (math.log(v) for v in config.level_range)
    share = torch.exp(_uniform(count, low, high, generator)).to(image.device)
    calm = _uniform(count, 0.0, 1.0, generator).to(image.device)[:, None, None, None]
    ocean = ((zones == OCEAN).unsqueeze(1) & (image > 0)).float()
    ice = ((zones == GLACIER).unsqueeze(1) & (image > 0)).float()
    dims = (1, 2, 3)
    enough = (ocean.sum(dims) > 50) & (ice.sum(dims) > 50) & picked
    mean_ocean = (image * ocean).sum(dims) / ocean.sum(dims).clamp_min(1)
    mean_ice = (image * ice).sum(dims) / ice.sum(dims).clamp_min(1)
    gain = torch.where(enough, share * mean_ice / mean_ocean.clamp_min(0.02), 1.0).clamp(0.04, 8)
    inside = ((zones == OCEAN).unsqueeze(1) & enough[:, None, None, None]).float()
    inside = F.avg_pool2d(F.avg_pool2d(inside, 3, 1, 1), 3, 1, 1)
    calmed = torch.where(ocean > 0, image, mean_ocean[:, None, None, None])
    calmed = F.avg_pool2d(F.avg_pool2d(calmed, (9, 1), 1, (4, 0)), (1, 9), 1, (0, 4))
    image = torch.where(image > 0, image + inside * calm * (calmed - image), image)
    return (image * (inside * gain.log()[:, None, None, None]).exp()).clamp(0, 1)


def _grain(image: Tensor, generator: torch.Generator) -> Tensor:
    """Noise of spread about one in the shape of `image`: correlated, or streaked like crevasses."""
    count = image.shape[0]
    white = torch.randn(image.shape, generator=generator).to(image.device)
    kind = torch.randint(0, 4, (count,), generator=generator)[:, None, None, None].to(image.device)
    # Means over n pixels have 1/√n of the spread; somewhat less is left here, on purpose.
    soft = 2.0 * F.avg_pool2d(white, 3, 1, 1)
    along = 2.2 * F.avg_pool2d(white, (1, 7), 1, (0, 3))
    across = 2.2 * F.avg_pool2d(white, (7, 1), 1, (3, 0))
    shaped = torch.where(kind == 0, soft, torch.where(kind == 1, along, across))
    mixed = _uniform(count, 0.3, 1.0, generator)[:, None, None, None].to(image.device)
    return torch.where(kind == 3, white, torch.lerp(white, shaped, mixed))


def roughen_ice(
    image: Tensor, zones: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> Tensor:
    """Make a part of the glacier of some samples grainy, (B, 1, S, S)."""
    count, side, device = image.shape[0], image.shape[-1], image.device
    picked = _chance(count, config.grain, generator)
    spread = _uniform(count, *config.grain_size, generator)[:, None, None, None].to(device)
    calm = _uniform(count, 0.0, 1.0, generator)[:, None, None, None].to(device)
    # From a third of the glacier to nearly all of it.
    shift = _uniform(count, 0.0, 1.5, generator)[:, None, None, None]
    where = (2 * (_smooth_field(count, 1, 4, side, generator) + shift)).clamp(0, 1)
    where = (where * picked[:, None, None, None]).to(device) * (zones == GLACIER).unsqueeze(1)
    noise = _grain(image, generator) * spread * where
    near = F.avg_pool2d(F.avg_pool2d(image, (9, 1), 1, (4, 0)), (1, 9), 1, (0, 4))
    image = torch.where(image > 0, image + where * calm * (near - image), image)
    return (image * noise.exp()).clamp(0, 1)


def open_water(
    image: Tensor, zones: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> Tensor:
    """Melt the mélange of some samples, wholly or in part, (B, 1, S, S)."""
    count, side, device = image.shape[0], image.shape[-1], image.device

    def per_sample(low: float, high: float) -> Tensor:
        return _uniform(count, low, high, generator)[:, None, None, None].to(device)

    picked = _chance(count, config.water, generator)[:, None, None, None].to(device)
    low, high = (math.log(v) for v in config.water_range)
    share = per_sample(low, high).exp()
    # Thresholds below -1.5 leave no ice: water all over the fjord.
    threshold = per_sample(-3.0, 1.0)
    parts = _smooth_field(count, 1, 5, side, generator).to(device) > threshold
    swell = (0.25 * _smooth_field(count, 1, 4, side, generator)).to(device)
    noise = _grain(image, generator) * per_sample(0.05, 0.5)
    bergs = per_sample(0.0, 1.0) < 0.5

    ice = ((zones == GLACIER).unsqueeze(1) & (image > 0)).float()
    dims = (1, 2, 3)
    brightness = (image * ice).sum(dims, keepdim=True) / ice.sum(dims, keepdim=True).clamp_min(1)
    water = brightness * share * (swell + noise).exp()
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
    picked = _chance(count, config.shade, generator)
    field = _smooth_field(count, 1, 4, image.shape[-1], generator) * config.shade_size
    change = (field * picked[:, None, None, None]).to(device)
    low, high = (math.log(v) for v in config.decoy_range)
    step = _uniform(count, low, high, generator) * _chance(count, config.decoy, generator)
    outline = (zones.roll(1, 0).flip(1) == OCEAN).float().unsqueeze(1)
    for _ in range(2):
        outline = F.avg_pool2d(outline, 3, 1, 1, count_include_pad=False)
    change = change + outline * step.to(device)[:, None, None, None]
    # A power stays within 0..1, so that nothing is cut off at the bright end.
    return image ** (-change).exp()


def change_radiometry(
    image: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> Tensor:
    """Brightness, gamma and speckle, each for some samples, (B, 1, S, S) in 0..1."""
    count, device = image.shape[0], image.device

    def per_sample(p: float, low: float, high: float, neutral: float) -> Tensor:
        values = _uniform(count, low, high, generator)
        values = torch.where(_chance(count, p, generator), values, neutral)
        return values.to(device)[:, None, None, None]

    image = image * per_sample(config.brightness, *config.brightness_range, 1.0)
    image = image.clamp(0, 1) ** per_sample(config.gamma, *config.gamma_range, 1.0)
    speckled = _chance(count, config.speckle, generator).nonzero().flatten()
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
    image, zones = bend(image, zones, config, generator)
    image, zones = paste_ocean(image, zones, config, generator)
    gap = image <= 0
    image = mix_ocean(image, zones, config, generator)
    image = level_zones(image, zones, config, generator)
    if config.grain:
        image = roughen_ice(image, zones, config, generator)
    if config.water:
        image = open_water(image, zones, config, generator)
    if config.shade or config.decoy:
        image = shade_image(image, zones, config, generator)
    image = change_radiometry(image, config, generator)
    return image.masked_fill(gap & (zones == NO_DATA).unsqueeze(1), 0.0), zones
