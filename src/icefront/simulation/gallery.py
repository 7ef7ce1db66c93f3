"""A sheet of simulated scenes: each sensor in each season, with true zones and front."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import shapely

from icefront.progress import steps
from icefront.reporting.pictures import write_figure
from icefront.reporting.style import HIGHLIGHT, new_figure
from icefront.simulation.radar import SENSORS
from icefront.simulation.samples import random_landscape, simulate_image
from icefront.zones import ZONE_COLOURS

_SEASONS = {"winter": 45, "spring": 135, "summer": 215, "autumn": 290}
"""Days of the year in the north; half a year later in the south."""


def draw_gallery(
    path: str | Path, *, seed: int = 0, pixels: int = 600, progress: bool = True
) -> Path:
    """Draw every sensor in every season, a glacier for each sensor.

    Parameters
    ----------
    path : path
        The PNG file to write.
    seed : int
    pixels : int
        Along the longer side of each scene, before it is drawn.
    progress : bool

    Returns
    -------
    Path

    Raises
    ------
    IcefrontError
        If the file cannot be written.
    """
    path = Path(path)
    names = [name for name in SENSORS if name != "TDX"]  # the twin of TerraSAR-X
    figure = new_figure(2.4 * 2 * len(_SEASONS), 2.5 * len(names), dpi=66)
    panels = figure.subplots(len(names), 2 * len(_SEASONS), squeeze=False)
    colours = np.array(ZONE_COLOURS, np.uint8)
    with steps("Drawing", len(names) * len(_SEASONS), show=progress) as advance:
        for row, name in enumerate(names):
            landscape = random_landscape(seed * 1_000_003 + 17 * row)
            southern = landscape.glacier.parameters.southern
            for column, (season, day) in enumerate(_SEASONS.items()):
                shifted = (day + 182) % 365 if southern else day
                date = dt.date(2016, 1, 1) + dt.timedelta(shifted)
                pixel = max(
                    max(landscape.glacier.parameters.extent_m) / pixels, SENSORS[name].pixel_m
                )
                image = simulate_image(landscape, date, SENSORS[name], pixel, seed)
                left, right = panels[row, 2 * column], panels[row, 2 * column + 1]
                left.imshow(image.grey, cmap="gray", vmin=0, vmax=255)
                right.imshow(colours[image.zones])
                for piece in shapely.get_parts(image.front):
                    x, y = ~image.grid.transform * shapely.get_coordinates(piece).T
                    right.plot(x - 0.5, y - 0.5, color=HIGHLIGHT, linewidth=1.2)
                left.set_title(f"{name}, {season}", fontsize=9)
                for panel in (left, right):
                    panel.set_axis_off()
                advance(1)
    write_figure(figure, path)
    return path
