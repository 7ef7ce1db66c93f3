"""Scenes composed of real textures: crevassed ice, mélange and mountains, cut at other scales.

Squeezed or coarse images do not show what a front looks like up close, and a handful of fine
patches holds few fronts. Here the textures of such patches are laid on either side of simulated
fronts, between valley walls taken from whole scenes; the textures are real, the outlines are not
(in the spirit of ClassMix, Olsson et al. 2021, arXiv:2007.07936).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rasterio.errors import RasterioIOError
from scipy import ndimage

from icefront.errors import IcefrontError
from icefront.scenes.access import open_image
from icefront.zones import GLACIER, NO_DATA, OCEAN

Patch = tuple[np.ndarray, np.ndarray]
"""An image, uint8 (H, W) with 0 for no data, and its zone codes, uint8 (H, W)."""

FACTORS = (2, 3, 4)
"""Patches are averaged over this many pixels: 6.7 m become 13 to 27 m."""

SMALLEST = 160
"""Side of the smallest square of one zone that is taken as a texture, in pixels of its patch."""


@dataclass(frozen=True)
class Textures:
    """Textures that mosaics are composed of.

    Attributes
    ----------
    ice, sea : tuple of uint8 (N, N)
        Squares of glacier and of ocean.
    patches : tuple of (image, zones)
        The patches they come from, those with little data left out.
    """

    ice: tuple[np.ndarray, ...]
    sea: tuple[np.ndarray, ...]
    patches: tuple[Patch, ...]


def largest_square(mask: np.ndarray) -> tuple[slice, slice] | None:
    """Return the largest square of a mask that is true all over, or None if it is true nowhere.

    Parameters
    ----------
    mask : bool (H, W)

    Examples
    --------
    >>> import numpy as np
    >>> mask = np.zeros((8, 8), bool)
    >>> mask[2:7, 1:6] = True
    >>> largest_square(mask)
    (slice(2, 7, None), slice(1, 6, None))
    """
    depth = ndimage.distance_transform_cdt(np.pad(mask, 1), metric="chessboard")[1:-1, 1:-1]
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    reach = int(depth[row, column]) - 1
    if reach < 0:
        return None
    row, column = int(row), int(column)
    return slice(row - reach, row + reach + 1), slice(column - reach, column + reach + 1)


def read_textures(folder: str | Path, exclude: Collection[str] = ()) -> Textures:
    """Read patches, ``NAME.tif`` with ``NAME_zones.tif`` (codes 0 to 3), and cut textures.

    Parameters
    ----------
    folder : path
        The glacier of a patch is its name up to the first underscore.
    exclude : collection of str
        Glaciers to leave out, those that are kept for testing.

    Raises
    ------
    IcefrontError
        If a patch cannot be read or does not fit its zones, or glacier or ocean are missing.
    """
    ice: list[np.ndarray] = []
    sea: list[np.ndarray] = []
    patches: list[Patch] = []
    for zones_path in sorted(Path(folder).glob("*_zones.tif")):
        path = zones_path.with_name(zones_path.name.removesuffix("_zones.tif") + ".tif")
        if path.name.split("_")[0] in exclude:
            continue
        try:
            with open_image(str(path)) as source, open_image(str(zones_path)) as labels:
                image, zones = source.read(1), labels.read(1)
        except RasterioIOError as error:
            raise IcefrontError(f"The patch {path} or its zones cannot be read.") from error
        if image.dtype != np.uint8 or image.shape != zones.shape or zones.max() > OCEAN:
            raise IcefrontError(
                f"The patch {path} must be 8 bit, with zone codes 0 to 3 of the same size."
            )
        if (zones == NO_DATA).mean() < 0.5:
            patches.append((image, zones.astype(np.uint8)))
        for zone, found in ((GLACIER, ice), (OCEAN, sea)):
            square = largest_square(zones == zone)
            if square is not None and square[0].stop - square[0].start >= SMALLEST:
                found.append(image[square])
    if not ice or not sea:
        raise IcefrontError(
            f"{folder} has no patches from which squares of {SMALLEST} pixels of glacier and of "
            "ocean can be cut: leave data.textures out or give another folder."
        )
    return Textures(tuple(ice), tuple(sea), tuple(patches))


def reduce_by(image: np.ndarray, factor: int) -> np.ndarray:
    """Average blocks of `factor` pixels; what does not fill a block is left out. float64."""
    height, width = (side // factor for side in image.shape)
    blocks = image[: height * factor, : width * factor].reshape(height, factor, width, factor)
    return blocks.mean((1, 3))


def _fill(texture: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Fill a square of `side` pixels with a texture, turned, mirrored on and cut at random."""
    texture = np.rot90(texture, int(rng.integers(4)))
    if rng.random() < 0.5:
        texture = texture[::-1]
    texture = np.pad(texture, [(0, max(0, 2 * side - n)) for n in texture.shape], mode="symmetric")
    row, column = (int(rng.integers(n - side + 1)) for n in texture.shape)
    return texture[row : row + side, column : column + side]


def _smooth(nodes: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """Return a smooth random field (side, side); at its nodes the standard deviation is one."""
    coarse = Image.fromarray(rng.normal(size=(nodes, nodes)).astype(np.float32))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))


def _mountains(draw: Callable[[], Patch], side: int, rng: np.random.Generator) -> Patch | None:
    """Enlarge a piece of a scene that shows no ocean; None if none was found."""
    for _ in range(20):
        image, zones = draw()
        piece = min(100, *image.shape)
        row, column = (int(rng.integers(n - piece + 1)) for n in image.shape)
        cut = np.s_[row : row + piece, column : column + piece]
        if (zones[cut] == OCEAN).any():
            continue
        coarse = Image.fromarray(image[cut].astype(np.float32))
        fine = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)).clip(0, 255)
        # Enlarged speckle is blurred; what the sensor would add at this scale is put back.
        fine = fine * rng.gamma(4, 0.25, fine.shape)
        codes = Image.fromarray(zones[cut].astype(np.uint8))
        return fine, np.asarray(codes.resize((side, side), Image.Resampling.NEAREST))
    return None


def mosaic(
    textures: Textures, draw: Callable[[], Patch], side: int, rng: np.random.Generator
) -> Patch:
    """Compose one scene.

    Parameters
    ----------
    textures : Textures
    draw : callable
        Gives a whole scene to cut valley walls from.
    side : int
        Of the mosaic, in pixels.
    rng : numpy.random.Generator

    Returns
    -------
    image, zones : uint8 (side, side)
    """
    factor = int(rng.choice(FACTORS))
    ice, sea = (
        _fill(reduce_by(kind[int(rng.integers(len(kind)))], factor), side, rng)
        for kind in (textures.ice, textures.sea)
    )
    ice = ice * np.exp(0.3 * rng.integers(2) * _smooth(4, side, rng))
    sea = sea * ice.mean() / max(sea.mean(), 1.0) * np.exp(rng.uniform(-1.0, 0.25))

    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    angle = rng.uniform(0, 2 * np.pi)
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    # Positive towards the sea; the front is where it is 0.
    beyond = along - rng.uniform(-0.5, 0.5)
    beyond += 0.12 * _smooth(5, side, rng) + 0.03 * _smooth(24, side, rng)
    zones = np.where(beyond > 0, OCEAN, GLACIER).astype(np.uint8)
    image = np.where(zones == OCEAN, sea, ice)
    if rng.random() < 0.5:  # a cliff that faces the radar or turns away from it
        image = image * np.exp(rng.uniform(-1.2, 1.2) * np.exp(-((beyond / 0.02) ** 2)))
    if rng.random() < 0.6:
        walls = _mountains(draw, side, rng)
        outside = np.abs(across + 0.08 * _smooth(5, side, rng)) > rng.uniform(0.35, 0.8)
        if walls is not None:
            image = np.where(outside, walls[0], image)
            zones = np.where(outside, walls[1], zones)
    return np.where(zones == NO_DATA, 0, image.clip(1, 255)).astype(np.uint8), zones


def mosaics(
    textures: Textures, draw: Callable[[int], Patch], count: int, side: int, seed: int
) -> list[Patch]:
    """Compose scenes, and add the patches themselves at each of `FACTORS`.

    Parameters
    ----------
    textures : Textures
    draw : callable
        From a number, drawn at random below 2³¹, to a whole scene.
    count : int
        How many to compose.
    side, seed : int

    Returns
    -------
    list of (image, zones)
        uint8 each; the patches are smaller than `side`.
    """
    rng = np.random.default_rng(seed)
    found = [
        mosaic(textures, lambda: draw(int(rng.integers(2**31))), side, rng) for _ in range(count)
    ]
    for image, zones in textures.patches:
        for factor in FACTORS:
            fine = reduce_by(image, factor)
            codes = zones[factor // 2 :: factor, factor // 2 :: factor]
            codes = codes[: fine.shape[0], : fine.shape[1]]
            found.append((np.where(codes == NO_DATA, 0, fine).astype(np.uint8), codes))
    return found
