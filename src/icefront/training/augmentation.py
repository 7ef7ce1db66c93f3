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
    ocean_mix: float = Field(0.3, ge=0, le=1)
    ocean_mix_weight: tuple[float, float] = (0.15, 0.30)
    paste: float = Field(0.0, ge=0, le=1)
    level: float = Field(0.0, ge=0, le=1)
    level_range: tuple[float, float] = (0.08, 1.6)
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


def equalise_batch(image: Tensor, bins: int = 256) -> Tensor:
    """Make the histogram of each sample flat; what is exactly 0 (no data) stays 0.

    The same mapping as `icefront.scenes.radiometry.equalise`, on (B, 1, S, S) tensors.
    """
    count = image.shape[0]
    flat = image.reshape(count, -1)
    level = (flat * (bins - 1) + 0.5).long().clamp(0, bins - 1)
    valid = (flat > 0).to(flat.dtype)
    histogram = torch.zeros(count, bins, device=image.device, dtype=flat.dtype)
    histogram.scatter_add_(1, level, valid)
    upper = histogram.cumsum(1)
    rank = (upper - 0.5 * histogram) / upper[:, -1:].clamp_min(1)
    return (rank.gather(1, level) * valid).reshape(image.shape)


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
    image, zones = paste_ocean(image, zones, config, generator)
    gap = image <= 0
    image = mix_ocean(image, zones, config, generator)
    image = level_zones(image, zones, config, generator)
    image = change_radiometry(image, config, generator)
    return image.masked_fill(gap & (zones == NO_DATA).unsqueeze(1), 0.0), zones
