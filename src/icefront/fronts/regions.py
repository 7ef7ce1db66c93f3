"""The glacier and the ocean between which a front is drawn, cleaned for that purpose.

The protocol's cleaning (`icefront.fronts.cleaning`) serves to compare with published numbers; it
keeps slivers and bergs at the edge of an image, which nobody would draw as a front.
"""

from __future__ import annotations

import numpy as np

from icefront.fronts.components import components
from icefront.zones import GLACIER, NO_DATA, OCEAN, ROCK

SLIVER_PX = 3
"""Strips of glacier or ocean thinner than this are not taken for real, in pixels."""

EDGE_PX = 2
"""No front is drawn this close to the image edge or to pixels without data, in pixels."""

SECOND_OCEAN = 0.1
"""Fraction of the main ocean's area from which another part, cut off by missing data, counts."""

SPECK_PX = 36
"""Patches of rock or no data smaller than this are taken for glacier or ocean, in pixels."""


def front_regions(
    zones: np.ndarray,
    glacier_likelier: np.ndarray,
    valid: np.ndarray,
    min_length_px: float,
    area: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Reduce zones to the glacier and the ocean that can share a front.

    In this order: specks of rock or no data become glacier or ocean, what is likelier there; land
    enclosed by the ocean (bergs, islands) becomes ocean unless it is the largest land; ocean away
    from the main ocean becomes glacier, unless missing data alone cut it off; strips of glacier
    or ocean thinner than 3 pixels are blocked if they lie along rock or no data, otherwise the
    other zone takes them; islands and oceans again; glaciers smaller than a square of the least
    front length are blocked.

    Parameters
    ----------
    zones : uint8 (H, W)
        Class codes 0 to 3.
    glacier_likelier : bool (H, W)
        Where glacier is likelier than ocean.
    valid : bool (H, W)
        Where the scene holds data.
    min_length_px : float
        The least length of a piece of front, in pixels.
    area : bool (H, W), optional
        Where the front is looked for: the main ocean is then that with most pixels there, not the
        largest one.

    Returns
    -------
    regions : uint8 (H, W)
        2 glacier, 3 ocean; 0 and 1 where no front can be: rock, no data and what was blocked.
    drawable : bool (H, W)
        The pixels between whose centres a line may run: glacier or ocean, away from the image
        edge and from missing data.
    """
    regions = zones.copy()
    regions[~valid] = NO_DATA
    outside = None if valid.all() else ~valid
    flat = regions.reshape(-1)
    barren = components(regions < GLACIER)
    specks = barren.pixels(barren.areas < SPECK_PX)
    specks = specks[valid.reshape(-1)[specks]]
    flat[specks] = np.where(glacier_likelier.reshape(-1)[specks], GLACIER, OCEAN)
    _one_ocean(regions, outside, area)
    for zone, other in ((GLACIER, OCEAN), (OCEAN, GLACIER)):
        _without_slivers(regions, zone, other)
    _one_ocean(regions, outside, area)
    glaciers = components(regions == GLACIER)
    flat[glaciers.pixels(glaciers.areas < min_length_px**2)] = ROCK
    return regions, _drawable(regions, valid)


def _drawable(regions: np.ndarray, valid: np.ndarray) -> np.ndarray:
    inside = regions >= GLACIER
    if not valid.all():
        inside &= ~dilate(~valid, EDGE_PX)
    inside[:EDGE_PX] = False
    inside[-EDGE_PX:] = False
    inside[:, :EDGE_PX] = False
    inside[:, -EDGE_PX:] = False
    return inside


def dilate(mask: np.ndarray, steps: int) -> np.ndarray:
    """Grow a mask by `steps` pixels in all eight directions, bool (H, W)."""
    grown = mask.copy()
    for _ in range(steps):
        before = grown.copy()
        grown[1:] |= before[:-1]
        grown[:-1] |= before[1:]
        before = grown.copy()
        grown[:, 1:] |= before[:, :-1]
        grown[:, :-1] |= before[:, 1:]
    return grown


def _one_ocean(regions: np.ndarray, outside: np.ndarray | None, area: np.ndarray | None) -> None:
    flat = regions.reshape(-1)
    border = np.zeros(regions.shape, dtype=bool)
    border[[0, -1]] = border[:, [0, -1]] = True
    land = regions != OCEAN
    if outside is not None:
        land &= ~outside
        border |= dilate(outside, 1)
    lands = components(land)
    enclosed = ~lands.touching(border)
    enclosed &= np.arange(lands.count) != lands.largest
    flat[lands.pixels(enclosed)] = OCEAN

    oceans = components(regions == OCEAN)
    if oceans.count < 2:
        return
    main = oceans.largest
    if area is not None and (within := oceans.areas_in(area)).any():
        main = int(within.argmax())
    lost = np.arange(oceans.count) != main
    large = oceans.areas >= SECOND_OCEAN * oceans.areas[main]
    if outside is not None and large.sum() > 1:
        bridged = components((regions == OCEAN) | outside)
        home = bridged.touching(oceans.mask(~lost))
        lost &= ~(large & oceans.touching(bridged.mask(home)))
    flat[oceans.pixels(lost)] = GLACIER


def _without_slivers(regions: np.ndarray, zone: int, other: int) -> None:
    mask = regions == zone
    core = dilate(_erode(mask), 1)
    # What is thin is given back near the core, so that corners stay where they are.
    slivers = components(mask & ~dilate(core, SLIVER_PX - 1))
    beside_rock = slivers.touching(dilate(regions < GLACIER, 1))
    flat = regions.reshape(-1)
    flat[slivers.pixels(beside_rock)] = ROCK
    flat[slivers.pixels(~beside_rock)] = other


def _erode(mask: np.ndarray) -> np.ndarray:
    """Shrink a mask by one pixel in all eight directions, but not from the image edge."""
    return ~dilate(~mask, 1)
