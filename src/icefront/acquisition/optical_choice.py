"""Which Sentinel-2 pass of a catalogue shows most of an area: the clearest of a summer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from icefront.acquisition.items import Pass
from icefront.acquisition.optical import Clearness, Opener, OpticalImage, clearest, optical_image
from icefront.errors import IcefrontError
from icefront.grid import Grid

SUMMER = {"north": (7, 8), "south": (1, 2)}
"""Months in which snow is least, by hemisphere."""

MOST_LOOKED_AT = 12
"""Passes whose scene classification is read."""


@dataclass(frozen=True)
class Chosen:
    """The pass that shows most of an area.

    Attributes
    ----------
    images : tuple of OpticalImage
        Its tiles.
    clear : Clearness
        Over the area, by the scene classification.
    looked_at : int
        Passes that were compared.
    notes : tuple of str
        Passes that are of no use, a sentence each.
    """

    images: tuple[OpticalImage, ...]
    clear: Clearness
    looked_at: int
    notes: tuple[str, ...]


def summer_months(grid: Grid) -> tuple[int, ...]:
    """Return the months of summer where a grid lies."""
    _, latitude = grid.centre_lonlat()
    return SUMMER["north" if latitude >= 0 else "south"]


def choose_pass(passes: Sequence[Pass], grid: Grid, opener: Opener) -> Chosen:
    """Choose the pass that shows most of an area, by its scene classification there.

    Parameters
    ----------
    passes : sequence of Pass
        Of Sentinel-2. The catalogue's average of cloud, which is over whole images, only says where
        to look first.
    grid : Grid
        Of the area.
    opener : callable
        Opens an image by its address.

    Raises
    ------
    IcefrontError
        If none is of use, or the best shows less than half of the area.
    """
    images: list[tuple[OpticalImage, ...]] = []
    unfit: list[str] = []
    for one in sorted(passes, key=_stated_cloud):
        if len(images) == MOST_LOOKED_AT:
            break
        try:
            images.append(tuple(optical_image(item.raw) for item in one.items))
        except IcefrontError as error:
            unfit.append(str(error))
    if unfit and not images:
        raise IcefrontError(unfit[0])
    index, clear = clearest(images, grid, opener=opener)
    return Chosen(images[index], clear, len(images), tuple(unfit))


def _stated_cloud(one: Pass) -> tuple[float, dt.datetime, str]:
    stated = [item.cloud_percent for item in one.items if item.cloud_percent is not None]
    return (float(np.mean(stated)) if stated else 100.0), one.first.start, one.first.id
