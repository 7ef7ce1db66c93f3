"""A small glacier that does not exist, seen by a radar that does not exist, with a known front.

Everything is drawn from one seed: a fjord between rock walls lit from the side, a glacier with
flow lines and, towards its front, crevasses, mélange before it and open water beyond, multiplied
by the speckle of a four-look intensity image (gamma distributed, Goodman 1976,
doi:10.1364/JOSA.66.001145).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from affine import Affine
from pyproj import CRS
from scipy import fft, ndimage
from shapely import LineString

PIXEL_SIZE_M = 15.0
SIDE = 1024
"""Rows and columns: about 15 km."""
CRS_OF_DEMO = CRS.from_epsg(3413)
UPPER_LEFT = (-196_000.0, -2_270_000.0)
"""Map coordinates of the scene's corner, on the west coast of Greenland."""
LOOKS = 4


@dataclass(frozen=True)
class DemoScene:
    """A made scene and its truth.

    Attributes
    ----------
    sigma0 : float32 (H, W)
        Backscatter, linear power; NaN outside of the swath.
    transform : affine.Affine
        Pixel corners to map coordinates.
    front : LineString
        The true front in map coordinates, from wall to wall.
    """

    sigma0: np.ndarray
    transform: Affine
    front: LineString


def make_scene(seed: int = 7, side: int = SIDE) -> DemoScene:
    """Make the scene of a seed.

    Parameters
    ----------
    seed : int
        Another seed is another glacier.
    side : int
        Rows and columns; the landscape is stretched to fit.
    """
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:side, :side] / side

    # The fjord runs from left (inland) to right (sea), bends and widens.
    axis = 0.5 + 0.05 * np.sin(5.0 * column[0] + rng.uniform(0, 6))
    half_width = 0.23 + 0.035 * column[0] + 0.012 * _wavy(rng, side)
    across = (row - axis) / half_width
    wall = np.abs(across) + 0.10 * _fractal(rng, side, 1.6)
    fjord = wall < 1

    front_at = 0.52 + 0.05 * np.cos(np.linspace(-2.2, 2.2, side)) + 0.007 * _wavy(rng, side)
    inland = front_at[:, None] - column
    glacier, water = fjord & (inland > 0), fjord & (inland <= 0)

    decibel = _rock(rng, side, wall)
    decibel[glacier] = _ice(rng, side, across, inland)[glacier]
    decibel[water] = _sea(rng, side, -inland)[water]
    cliff = glacier & (inland < 2 / side)
    decibel[cliff] += 5

    sigma0 = 10 ** (decibel / 10) * rng.gamma(LOOKS, 1 / LOOKS, decibel.shape)
    sigma0[row + 0.22 * column < 0.07] = np.nan
    size = PIXEL_SIZE_M * SIDE / side
    transform = Affine(size, 0, UPPER_LEFT[0], 0, -size, UPPER_LEFT[1])
    return DemoScene(
        sigma0.astype(np.float32), transform, _front_line(front_at, fjord, transform, side)
    )


def _front_line(
    front_at: np.ndarray, fjord: np.ndarray, transform: Affine, side: int
) -> LineString:
    """Follow the front through the rows in which it lies in the fjord, nearest the middle."""
    columns = front_at * side
    wet = fjord[np.arange(side), np.clip(columns.astype(int), 0, side - 1)]
    pieces, _ = ndimage.label(wet)
    rows = np.flatnonzero(pieces == pieces[side // 2])
    return LineString([transform * (columns[row], row + 0.5) for row in rows])


def _fractal(
    rng: np.random.Generator, side: int, slope: float, stretch: float = 1.0, coarsest: float = 1.0
) -> np.ndarray:
    """Noise whose amplitude falls with frequency to the power of -slope; mean 0, deviation 1.

    `stretch` draws it out along the rows; nothing is coarser than the side by `coarsest`.
    """
    fy = fft.fftfreq(side)[:, None] * side
    fx = fft.rfftfreq(side)[None, :] * side * stretch
    frequency = np.hypot(fy, fx)
    amplitude = np.where(frequency >= coarsest, np.maximum(frequency, coarsest) ** -slope, 0)
    white = fft.rfft2(rng.normal(size=(side, side)))
    noise = fft.irfft2(white * amplitude, s=(side, side))
    return noise / noise.std()


def _wavy(rng: np.random.Generator, side: int) -> np.ndarray:
    """Rough line of mean 0 and deviation 1."""
    frequency = np.maximum(fft.rfftfreq(side) * side, 1)
    white = fft.rfft(rng.normal(size=side))
    line = fft.irfft(white * np.where(frequency >= 2, frequency**-1.3, 0), side)
    return line / line.std()


def _rock(rng: np.random.Generator, side: int, wall: np.ndarray) -> np.ndarray:
    """Backscatter in dB of mountains: slopes that face the radar shine, the others darken."""
    height = _fractal(rng, side, 2.1) * 1.2 + 3.0 * np.clip(wall - 1, 0, 0.6)
    slope = np.gradient(height, axis=1) + 0.4 * np.gradient(height, axis=0)
    slope /= slope.std()
    lit = -12.5 + 4.0 * slope + 1.2 * np.clip(slope, 0, None) ** 2
    snow = ndimage.gaussian_filter(height, 3) > 1.1
    return np.clip(np.where(snow, lit + 2, lit), -24, 3)


def _ice(rng: np.random.Generator, side: int, across: np.ndarray, inland: np.ndarray) -> np.ndarray:
    """Backscatter in dB of the glacier: flow lines everywhere, crevasses towards the front."""
    flow = _fractal(rng, side, 1.2, stretch=9.0, coarsest=6)
    shear = np.exp(-(((np.abs(across) - 0.9) / 0.1) ** 2))
    crevasses = _fractal(rng, side, 0.6, stretch=0.35, coarsest=40)
    roughness = 0.6 + 2.4 * np.exp(-inland / 0.10)
    return -7.0 + 1.3 * flow + roughness * crevasses + 1.5 * shear


def _sea(rng: np.random.Generator, side: int, seaward: np.ndarray) -> np.ndarray:
    """Backscatter in dB of the sea: floes and bergs, densely packed near the front."""
    sea = -19.5 + 0.8 * _fractal(rng, side, 1.3, stretch=3.0, coarsest=3)
    floes = _fractal(rng, side, 0.9, coarsest=12)
    packed = 0.55 + 5.0 * seaward
    sea = np.where(floes > packed, -12.5 + 1.5 * floes, sea)
    bergs = _fractal(rng, side, 0.7, coarsest=30)
    return np.where(bergs > 2.3 + 3 * seaward, -4.0, sea)
