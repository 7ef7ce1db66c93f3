"""Sketches: small made SAR images with their zones, drawn at random for training.

A few glaciers teach a network their own coastlines and their own ocean. A sketch has a coast, ice,
rock, water and mélange of random shape, brightness and texture, at the scale of the squeezed CaFFe
images (256 pixels across 15 to 20 km): domain randomisation (Tobin et al. 2017, arXiv:1703.06907)
rather than physics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich.progress import track
from scipy import fft, ndimage

from icefront.zones import GLACIER, NO_DATA, OCEAN, ROCK


def fractal(rng: np.random.Generator, size: int, slope: float, stretch: float = 1.0) -> np.ndarray:
    """Random field with the power spectrum k^-slope, mean 0 and standard deviation 1.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : int
    slope : float
        2 is rough, 4 is smooth.
    stretch : float
        Correlation along the rows over that across them.

    Returns
    -------
    float32 (size, size)
    """
    ky = fft.fftfreq(size)[:, None]
    kx = fft.rfftfreq(size)[None, :] * stretch
    k2 = np.maximum(kx**2 + ky**2, (0.7 / size) ** 2)
    spectrum = rng.normal(size=k2.shape) + 1j * rng.normal(size=k2.shape)
    field = fft.irfft2(spectrum * k2 ** (-slope / 4), s=(size, size))
    field -= field.mean()
    return (field / field.std()).astype(np.float32)


@dataclass(frozen=True)
class _Coast:
    """Signed fields of a coast, in pixels: what is ocean, and how far it is to the front."""

    ocean: np.ndarray  # bool
    trunk: np.ndarray  # bool: ice that flows to the front
    from_walls: np.ndarray  # distance beyond the fjord's walls, negative inside the fjord
    along: np.ndarray  # coordinate along the flow, growing to the ocean
    across: np.ndarray


def _coast(rng: np.random.Generator, size: int) -> _Coast:
    y, x = np.mgrid[:size, :size].astype(np.float32)
    x, y = x - size * rng.uniform(0.3, 0.7), y - size * rng.uniform(0.35, 0.65)
    if rng.random() < 0.6:  # a fjord, whose walls and axis wind
        winding = ndimage.gaussian_filter1d(rng.normal(size=size), size / 6, mode="wrap")
        winding *= size * rng.uniform(0, 0.12) / max(np.abs(winding).max(), 1e-6)
        half = size * rng.uniform(0.08, 0.35)
        widths = ndimage.gaussian_filter1d(rng.normal(size=size), size / 12, mode="wrap")
        widths *= half * rng.uniform(0.1, 0.5) / max(np.abs(widths).max(), 1e-6)
        opening = rng.uniform(-0.1, 0.5) * np.clip(x, 0, None)
        across = y - winding[None, :]
        rough = fractal(rng, size, 3.0) * rng.uniform(1, 6)
        from_walls = np.abs(across) - half - widths[None, :] - opening + rough
    else:  # an open coast: ice meets the sea along most of it
        across = y
        from_walls = np.full((size, size), -float(size), np.float32)
    bend = rng.uniform(-0.8, 0.8) * across**2 / (size * rng.uniform(0.3, 1.2))
    along = x + bend + fractal(rng, size, 3.2) * rng.uniform(1, 0.06 * size)
    fjord = from_walls < 0
    ocean = fjord & (along > 0)
    return _Coast(ocean, fjord & ~ocean, from_walls, along, across)


def _hills(rng: np.random.Generator, size: int) -> np.ndarray:
    """Slopes as a side-looking radar shades them: bright towards it, dark away from it."""
    relief = fractal(rng, size, rng.uniform(2.6, 3.4))
    angle = rng.uniform(0, 2 * np.pi)
    dy, dx = np.gradient(relief)
    slope = dx * np.cos(angle) + dy * np.sin(angle)
    return slope / slope.std()


def _ocean(rng: np.random.Generator, coast: _Coast, ice: float) -> np.ndarray:
    """Backscatter of water, mélange and bergs."""
    size = len(coast.ocean)
    level = ice * 10 ** rng.uniform(-1.3, -0.1)
    water = level * np.exp(rng.uniform(0, 0.4) * fractal(rng, size, 3.0))
    grain = fractal(rng, size, rng.uniform(0.3, 2.0))
    floes = fractal(rng, size, rng.uniform(1.5, 2.8))
    mélange = ice * rng.uniform(0.5, 1.4) * np.exp(rng.uniform(0.05, 0.35) * grain)
    edge = rng.uniform(-1.2, 1.2)
    mélange = mélange * np.where(floes > edge, 1.0, rng.uniform(0.6, 1.3))
    kind = rng.random()
    if kind < 0.3:
        cover = np.zeros_like(grain)
    elif kind < 0.7:
        cover = np.ones_like(grain)
    else:  # mélange before the front, water beyond
        reach = size * rng.uniform(0.03, 0.5)
        cover = (coast.along + 12 * floes < reach).astype(np.float32)
    sea = cover * mélange + (1 - cover) * water
    for _ in range(rng.poisson(6) if rng.random() < 0.7 else 0):  # bergs
        radius = size * min(0.012 * rng.pareto(1.6) + 0.006, 0.06)
        centre = rng.uniform(0, size, 2)
        yy, xx = np.ogrid[:size, :size]
        stretch, turn = rng.uniform(0.4, 1.0), rng.uniform(0, np.pi)
        u = (yy - centre[0]) * np.cos(turn) + (xx - centre[1]) * np.sin(turn)
        v = (xx - centre[1]) * np.cos(turn) - (yy - centre[0]) * np.sin(turn)
        shape = np.hypot(u, v / stretch) / radius + 0.15 * grain
        sea = np.where(shape < 1, ice * rng.uniform(0.4, 1.5), sea)
        sea = np.where((shape >= 1) & (shape < 1.2), sea * rng.uniform(0.3, 1.0), sea)
    return sea


def _ice(rng: np.random.Generator, coast: _Coast, ice: float, hills: np.ndarray) -> np.ndarray:
    """Backscatter of the trunk with flow lines and crevasses, and of the snow around it."""
    size = len(coast.ocean)
    streaks = fractal(rng, size, rng.uniform(1.5, 2.5), stretch=rng.uniform(3, 12))
    trunk = ice * np.exp(
        rng.uniform(0.05, 0.3) * streaks + rng.uniform(0, 0.3) * fractal(rng, size, 3)
    )
    waves = coast.along / rng.uniform(3, 9) + 1.5 * fractal(rng, size, 3.0)
    zone = np.exp(np.minimum(coast.along, 0) / (size * rng.uniform(0.04, 0.6)))
    crevasses = rng.uniform(0, 0.5) * zone * np.sin(2 * np.pi * waves)
    trunk = trunk * np.exp(crevasses + rng.uniform(0, 0.3) * zone * fractal(rng, size, 1.0))
    snow = ice * 10 ** rng.uniform(-0.3, 0.5) * np.exp(rng.uniform(0.1, 0.9) * hills)
    snow = snow * np.exp(rng.uniform(0, 0.4) * fractal(rng, size, 3))
    fade = np.clip(coast.from_walls / rng.uniform(1, 12), 0, 1)
    return trunk * (1 - fade) + snow * fade


def sketch(rng: np.random.Generator, size: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Draw one made scene.

    Parameters
    ----------
    rng : numpy.random.Generator
        The same state gives the same sketch.
    size : int
        Side in pixels.

    Returns
    -------
    image : uint8 (size, size)
        As an 8-bit SAR image, 0 where there is no data.
    zones : uint8 (size, size)
        Class codes.
    """
    coast = _coast(rng, size)
    hills = _hills(rng, size)
    ice = rng.uniform(0.12, 0.5)
    image = np.where(coast.ocean, _ocean(rng, coast, ice), _ice(rng, coast, ice, hills))
    zones = np.where(coast.ocean, OCEAN, GLACIER).astype(np.uint8)

    beyond = coast.from_walls > 0
    patches = fractal(rng, size, rng.uniform(2.2, 3.2))
    near_walls = np.exp(-np.clip(coast.from_walls, 0, None) / (size * rng.uniform(0.03, 0.4)))
    bare = patches + rng.uniform(0, 2.5) * near_walls > rng.uniform(0.8, 2.5)
    if not beyond.any():
        beyond = ~coast.ocean & (coast.along < -size * 0.1)
        bare = patches > rng.uniform(1.2, 2.5)
    rock = beyond & bare
    rough = np.exp(rng.uniform(0.4, 1.1) * _hills(rng, size) + 0.3 * fractal(rng, size, 1.0))
    image = np.where(rock, ice * 10 ** rng.uniform(-0.6, 0.4) * rough, image)
    zones[rock] = ROCK

    front = ndimage.binary_dilation(coast.ocean, iterations=int(rng.integers(1, 3))) & coast.trunk
    if rng.random() < 0.6:  # a cliff: bright towards the radar or in its own shadow
        image = np.where(front, image * 10 ** rng.uniform(-0.4, 0.5), image)
    image = ndimage.gaussian_filter(image, rng.uniform(0, 0.8))
    looks = 10 ** rng.uniform(0.5, 1.9)
    image = image * rng.gamma(looks, 1 / looks, image.shape)

    shadow = beyond & (ndimage.gaussian_filter(hills, rng.uniform(1, 4)) < -rng.uniform(0.6, 2.5))
    if rng.random() < 0.4:  # the edge of the swath
        angle = rng.uniform(0, 2 * np.pi)
        y, x = np.mgrid[:size, :size] - size / 2
        shadow |= x * np.cos(angle) + y * np.sin(angle) > size * rng.uniform(0.25, 0.6)
    grey = np.clip(255 * image, 1, 255)
    grey[shadow], zones[shadow] = 0, NO_DATA
    return grey.astype(np.uint8), zones


def sketches(
    count: int, size: int = 256, seed: int = 0, *, progress: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Draw many sketches; number `i` depends on the seed and `i` alone.

    Returns
    -------
    tuple of uint8 (count, size, size)
        Images and zones.
    """
    images = np.empty((count, size, size), np.uint8)
    zones = np.empty_like(images)
    for i in track(range(count), "Sketching", disable=not progress, transient=True):
        images[i], zones[i] = sketch(np.random.default_rng((seed, i)), size)
    return images, zones
