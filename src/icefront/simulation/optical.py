"""A simulated landscape as Sentinel-2 sees it on a summer day: fourteen channels.

Reflectances follow the shapes of published spectra: snow and ice darken beyond 1 µm the more the
coarser their grains are (Warren 1982, doi:10.1029/RG020i001p00067), rock and debris brighten
slowly, water reflects next to nothing beyond 0.7 µm.
"""

from __future__ import annotations

import datetime as dt

import numpy as np

from icefront.grid import Grid
from icefront.simulation.noise import enlarge, fractal
from icefront.simulation.radar import View, look
from icefront.simulation.surfaces import UPLAND, Landscape, Surfaces, surfaces

CHANNELS = (
    *("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B11", "B12"),
    *("WVP", "SCL"),
)
"""Bands 1 to 12, water vapour and scene classification, in the order of SSL4SAR."""

_SPECTRA = np.array(
    [
        # B1   B2    B3    B4    B5    B6    B7    B8    B8A   B9    B11   B12
        [0.10, 0.11, 0.13, 0.16, 0.17, 0.18, 0.19, 0.20, 0.20, 0.20, 0.24, 0.22],  # rock
        [0.90, 0.90, 0.89, 0.87, 0.86, 0.83, 0.81, 0.80, 0.78, 0.60, 0.12, 0.09],  # upland firn
        [0.62, 0.64, 0.62, 0.55, 0.51, 0.46, 0.42, 0.40, 0.36, 0.22, 0.04, 0.03],  # glacier ice
        [0.16, 0.17, 0.19, 0.21, 0.22, 0.22, 0.23, 0.23, 0.23, 0.22, 0.22, 0.19],  # debris
        [0.07, 0.06, 0.05, 0.03, 0.02, 0.02, 0.02, 0.02, 0.01, 0.01, 0.01, 0.01],  # open water
        [0.55, 0.55, 0.53, 0.49, 0.46, 0.42, 0.39, 0.37, 0.34, 0.22, 0.05, 0.04],  # sea ice
        [0.60, 0.61, 0.59, 0.54, 0.51, 0.47, 0.44, 0.42, 0.39, 0.26, 0.06, 0.05],  # mélange
        [0.78, 0.79, 0.77, 0.73, 0.71, 0.67, 0.64, 0.62, 0.59, 0.43, 0.08, 0.06],  # berg
    ],
    np.float32,
)

_CLASSES = np.array([5, 11, 11, 5, 6, 11, 11, 11], np.uint8)
"""Scene classification of each kind: 5 not vegetated, 6 water, 11 snow or ice."""

_RELIEF = np.array([0.10, 0.03, 0.10, 0.05, 0.15, 0.15, 0.18, 0.05], np.float32)
_CLOUD, _CLOUD_SHADOW, _DARK = 9, 3, 2


def sentinel2(
    landscape: Landscape, date: dt.date, grid: Grid, *, cloud: float = 0.0
) -> tuple[np.ndarray, Surfaces]:
    """See a landscape through Sentinel-2.

    Parameters
    ----------
    landscape : Landscape
    date : datetime.date
        A summer day.
    grid : Grid
    cloud : float
        Share of the scene under cloud, 0 to 1.

    Returns
    -------
    channels : float32 (14, H, W)
        Reflectance of B1 to B8, B8A, B9, B11, B12; water vapour in cm; scene classification code.
    ground : Surfaces
        What lay there.
    """
    ground = surfaces(landscape, date, grid)
    seed = landscape.glacier.seed
    rng = np.random.default_rng((seed, 7, date.toordinal()))
    shape = grid.shape
    # The sun stands in the south, low: lit like a radar from there, but darkening without end.
    sun = View(incidence_deg=float(rng.uniform(48, 62)), range_deg=float(rng.normal(80, 10)))
    light = look(landscape, sun, np.random.default_rng(0))
    land = ground.kinds <= UPLAND
    shade = enlarge(np.exp(np.clip(light.gain_db, -12, 3) * np.float32(np.log(10) / 20)), shape)
    shade = np.where(land, shade, 1).astype(np.float32)
    shadow = land & (enlarge(light.shadow, shape) > 0.5)
    shade[shadow] = 0.25
    shade *= 1 + np.take(_RELIEF, ground.kinds) * ground.relief.clip(-3, 3)
    speck = enlarge(fractal(rng, (512, 512), 0.8, coarsest=8), shape)
    shade *= 1 + 0.03 * speck

    channels = np.empty((len(CHANNELS), *shape), np.float32)
    for i in range(12):
        channels[i] = np.take(_SPECTRA[:, i], ground.kinds) * shade
        # What the air scatters is most in the blue.
        channels[i] += 0.06 * np.exp(-i / 2.0)
    vapour = 0.6 + 0.25 * enlarge(fractal(rng, (64, 64), 1.8), shape)
    channels[12] = (vapour * np.exp(-enlarge(landscape.height, shape) / 2000)).clip(0.05)
    classes = np.take(_CLASSES, ground.kinds).astype(np.float32)
    classes[shadow] = _DARK
    if cloud > 0:
        field = enlarge(fractal(rng, (256, 256), 1.5, coarsest=2), shape)
        level = np.quantile(field[::8, ::8], 1 - min(cloud, 1.0))
        covered = field > level
        thick = np.clip((field - level) / 0.5, 0, 1)
        for i in range(12):
            bright = 0.75 if i < 10 else 0.45
            channels[i] += thick * (bright - channels[i])
        step = max(1, round(300 / grid.side_on_map))
        under = np.roll(covered, (-step, step), (0, 1)) & ~covered
        channels[:12, under] *= 0.6
        classes[covered], classes[under] = _CLOUD, _CLOUD_SHADOW
    channels[13] = classes
    return np.maximum(channels, 0, out=channels), ground


def as_archive(channels: np.ndarray) -> np.ndarray:
    """Scale each channel by its own maximum to 8 bit, as SSL4SAR does; uint8 (14, H, W)."""
    clean = np.nan_to_num(channels)
    top = clean.reshape(len(clean), -1).max(1)
    scaled = clean / np.where(top > 0, top, 1)[:, None, None] * 255
    return np.rint(scaled).astype(np.uint8)
