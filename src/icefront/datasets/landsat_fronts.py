"""Landsat images with the calving front as a line, as Mohajerani et al. published them.

Mohajerani et al. 2019, doi:10.3390/rs11010074: one band in 8 bits, turned so that ice flows up the
page, without georeference; only the line is labelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from icefront.errors import IcefrontError

_GLACIERS = {"Jakobshavn": (8, 9, 10), "Sverdrup": (20, 21, 22, 23, 24)}
"""Paths of the Landsat orbits that show a glacier."""


@dataclass(frozen=True)
class LandsatFront:
    """One image with its label.

    Attributes
    ----------
    name, glacier : str
    image : uint8 (H, W)
    front : bool (H, W)
        A line one pixel wide.
    """

    name: str
    glacier: str
    image: np.ndarray
    front: np.ndarray


def read_landsat_fronts(folder: str | Path) -> list[LandsatFront]:
    """Read a folder with ``images/*_Subset.png`` and ``labels_1px/*_Front.png``.

    Raises
    ------
    IcefrontError
        If there are none, or an image has no label.
    """
    paths = sorted((Path(folder) / "images").glob("*_Subset.png"))
    if not paths:
        raise IcefrontError(
            f"{folder} has no images/*_Subset.png: name the folder that holds both."
        )
    found = []
    for path in paths:
        label = path.parent.parent / "labels_1px" / path.name.replace("_Subset", "_Front")
        if not label.is_file():
            raise IcefrontError(f"{path} has no label {label}: complete the folder.")
        with Image.open(path) as image, Image.open(label) as line:
            grey = np.asarray(image.convert("L"))
            front = np.asarray(line.convert("L")) < 128
        orbit = path.name.split("_")[2][:3]
        names = [name for name, paths_of in _GLACIERS.items() if int(orbit) in paths_of]
        found.append(LandsatFront(path.stem, names[0] if names else orbit, grey, front))
    return found
