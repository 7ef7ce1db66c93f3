"""The series as an animated GIF: each scene with its front, and the curve as it grows.

Written by Pillow with one palette for all frames and a longer last frame. matplotlib's PillowWriter
has neither: colours of lines change from frame to frame, and the file is 2.4 times as large.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.patheffects import withStroke
from PIL import Image

from icefront.products.figures import (
    DATES,
    Background,
    date_colours,
    dress_year_axis,
    grown_bounds,
    metric_crs,
    origin_of,
    read_background,
    window_of,
)
from icefront.progress import steps
from icefront.projects.results import METHOD, ProjectResults
from icefront.reporting.pictures import missing_glyphs_ignored
from icefront.reporting.scale_bar import draw_scale_bar
from icefront.reporting.style import (
    HIGHLIGHT,
    INK,
    MUTED,
    drawn_text,
    dress_axes,
    dress_image_axes,
    new_figure,
)

MOST_FRAMES = 60
FRAME_MS = 220
LAST_MS = 1800
DPI = 100


def write_animation(
    results: ProjectResults,
    glacier: str,
    path: Path,
    *,
    fallback: Background | None = None,
    frames: int = MOST_FRAMES,
    progress: bool = False,
) -> int:
    """Write a GIF of a glacier's series.

    Parameters
    ----------
    results : ProjectResults
    glacier : str
    path : Path
    fallback : Background, optional
        Picture behind fronts whose own scene cannot be read.
    frames : int
        At most this number of dates is shown, evenly chosen.
    progress : bool

    Returns
    -------
    int
        Number of frames.
    """
    palette = _palette()
    drawn = [
        frame.quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in _frames(results, glacier, fallback, frames, progress)
    ]
    content = io.BytesIO()
    drawn[0].save(
        content, "GIF", save_all=True, append_images=drawn[1:], loop=0, disposal=1,
        duration=[FRAME_MS] * (len(drawn) - 1) + [LAST_MS],
    )  # fmt: skip
    path.write_bytes(content.getvalue())
    return len(drawn)


def _palette() -> Image.Image:
    """Return an image with the one palette of all frames: scenes are grey, only lines have colour.

    A palette gathered from a frame has few of the colours that lines need, and they would flicker.
    """
    greys = np.repeat(np.linspace(0, 255, 128)[:, None], 3, axis=1)
    front = 255 * np.array(to_rgb(HIGHLIGHT))
    weights = np.linspace(0, 1, 9)[1:, None]
    blends = [(1 - weights) * grey + weights * front for grey in (0.0, 128.0, 255.0)]
    dates = 255 * DATES(np.linspace(0, 1, 24))[:, :3]
    pale = [(1 - weight) * 128 + weight * dates for weight in (0.35, 0.7, 1.0)]
    colours = np.concatenate([greys, *blends, *pale, [255 * np.array(to_rgb(INK))]])
    table = np.zeros((256, 3), np.uint8)
    table[: len(colours)] = np.round(colours)
    image = Image.new("P", (1, 1))
    image.putpalette(table.tobytes())
    return image


def _frames(
    results: ProjectResults, glacier: str, fallback: Background | None, most: int, progress: bool
) -> Iterator[Image.Image]:
    series = results.series[glacier][METHOD]
    table = series.table[series.table["position_m"].notna() & ~series.table["outlier"]]
    table = table.reset_index(drop=True)
    chosen = np.unique(np.round(np.linspace(0, len(table) - 1, min(most, len(table)))).astype(int))
    window = window_of(results, glacier)
    crs = fallback.crs if fallback is not None else metric_crs(results, glacier)
    bounds = grown_bounds(window.to_crs(crs).total_bounds)
    if fallback is not None:
        west, east, south, north = fallback.extent
        bounds = (
            max(bounds[0], west),
            max(bounds[1], south),
            min(bounds[2], east),
            min(bounds[3], north),
        )
    fronts = results.fronts.geometry.to_crs(crs)
    colours = date_colours(table["date"].to_numpy("datetime64[D]").astype(float))
    aspect = (bounds[3] - bounds[1]) / (bounds[2] - bounds[0])
    tall = float(np.clip(6.4 * aspect, 3.4, 6.4))
    with steps(f"Animation of {glacier}", len(chosen), show=progress) as advance:
        for place in chosen:
            row = table.iloc[int(place)]
            own = _own_scene(results, row, window)
            frame = _draw(
                table, int(place), own if own is not None and own.crs == crs else fallback, bounds,
                fronts, colours, glacier, tall, origin_of(series),
            )  # fmt: skip
            advance(1)
            yield frame


def _own_scene(results: ProjectResults, row: pd.Series, window: gpd.GeoSeries) -> Background | None:
    path = results.fronts["path"].get(row["front"]) if "path" in results.fronts else None
    return read_background(path, window) if isinstance(path, str) else None


def _draw(
    table: pd.DataFrame,
    place: int,
    background: Background | None,
    bounds: tuple[float, float, float, float],
    fronts: gpd.GeoSeries,
    colours: np.ndarray,
    glacier: str,
    tall: float,
    origin: float,
) -> Image.Image:
    figure = new_figure(6.4, tall + 2.3, dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    scenery, curve = figure.subplots(2, 1, height_ratios=[tall, 1.7])
    if background is not None:
        scenery.imshow(background.image, cmap="gray", vmin=0, vmax=255, extent=background.extent)
    for number in range(max(place - 12, 0), place + 1):
        newest = number == place
        line = fronts[table["front"].iloc[number]]
        effects = [withStroke(linewidth=4.2, foreground="white", alpha=0.85)] if newest else []
        for piece in shapely.get_parts(line):
            x, y = shapely.get_coordinates(piece).T
            scenery.plot(
                x, y, color=HIGHLIGHT if newest else colours[number],
                linewidth=2.2 if newest else 1.0,
                alpha=1.0 if newest else 0.25 + 0.5 * (number - place + 12) / 12,
                path_effects=effects, solid_capstyle="round",
            )  # fmt: skip
    scenery.set_xlim(bounds[0], bounds[2])
    scenery.set_ylim(bounds[1], bounds[3])
    scenery.set_aspect("equal")
    dress_image_axes(scenery)
    draw_scale_bar(scenery)
    date = table["date"].iloc[place]
    name = drawn_text(glacier) or "Glacier"
    scenery.set_title(name, loc="left", fontsize=13, fontweight="bold", color=INK)
    scenery.set_title(f"{date.day} {date:%B %Y}", loc="right", fontsize=13, color=INK)
    dress_axes(curve)
    position = table["position_m"].to_numpy() - origin
    curve.plot(table["date"], position, color="#c5ced6", linewidth=1.0)
    curve.plot(table["date"][: place + 1], position[: place + 1], color=INK, linewidth=1.6)
    curve.plot(date, position[place], marker="o", color=HIGHLIGHT, markersize=7)
    curve.set_ylabel("position, m", fontsize=10, color=INK)
    curve.tick_params(labelsize=9, colors=MUTED, labelcolor=INK)
    dress_year_axis(curve)
    with missing_glyphs_ignored():
        canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
