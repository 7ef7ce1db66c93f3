"""Small scenes of one glacier and a network that knows their zones by their grey values."""

import numpy as np
import rasterio
import torch
from affine import Affine
from rasterio.crs import CRS
from torch import nn

from icefront.models.card import ModelCard
from icefront.zones import GLACIER, OCEAN, ROCK

GREYS = {ROCK: 40, GLACIER: 210, OCEAN: 120}
NORTH = CRS.from_epsg(3413)
ORIGIN = (-196_000.0, -2_270_000.0)
SIZE_M = 30.0
ROWS, COLUMNS = 150, 200
FRONT_COLUMN = 110


class GreyLevels(nn.Module):
    """A network that knows the zones of the scenes below by their grey value."""

    def __init__(self, pixel_size_m=None):
        super().__init__()
        self.card = ModelCard(
            "grey-levels",
            {},
            window=128,
            target=64,
            stride=32,
            pixel_size_m=pixel_size_m,
            sha256="abc123",
        )

    def forward(self, x):
        levels = [-1.0, *(GREYS[zone] / 255 for zone in (ROCK, GLACIER, OCEAN))]
        return torch.cat([-800 * (x - level) ** 2 for level in levels], 1)


def landscape():
    """Glacier on the left, ocean on the right, rock above and below, as display values."""
    image = np.full((ROWS, COLUMNS), GREYS[OCEAN], np.uint8)
    image[:, :FRONT_COLUMN] = GREYS[GLACIER]
    image[:30] = image[-30:] = GREYS[ROCK]
    return image


def write_tif(path, values, crs=NORTH, origin=ORIGIN, size=SIZE_M, **profile):
    bands = values if values.ndim == 3 else values[None]
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=len(bands),
        height=bands.shape[1],
        width=bands.shape[2],
        dtype=bands.dtype,
        crs=crs,
        transform=Affine(size, 0, origin[0], 0, -size, origin[1]),
        **profile,
    ) as raster:
        raster.write(bands)
    return path
