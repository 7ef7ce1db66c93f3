"""Quicklooks: a picture of a scene with its zones, front and uncertainty, for a first look."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as MatplotlibPath
from matplotlib.text import Text
from shapely import affinity
from shapely.geometry.base import BaseGeometry

from icefront.grid import pixel_sides
from icefront.reporting.pictures import write_figure
from icefront.reporting.scale_bar import draw_scale_bar
from icefront.reporting.style import (
    DARK,
    DASHED,
    HIGHLIGHT,
    LIGHT,
    dress_image_axes,
    new_figure,
    outline,
)
from icefront.scenes.scene import Scene
from icefront.zones import GLACIER, NO_DATA, OCEAN, ROCK

_TINTS = {GLACIER: "#7fd4ff", OCEAN: "#1f5fff", ROCK: "#c8914b"}
_TINT_STRENGTH = {GLACIER: 0.20, OCEAN: 0.26, ROCK: 0.14}
_FLAG_COLOURS = {"good": "#3ddc97"}
_CHECK_COLOUR = "#ffb020"

_LONGEST_SIDE = 1400
"""Pixels of the picture; larger scenes are averaged down."""

_CLOSE_UP_BELOW = 0.4
"""A front that spans less of the scene's longer side than this gets a close-up beside the scene."""


def draw_quicklook(path: Path, scene: Scene, zones: np.ndarray, front: gpd.GeoDataFrame) -> None:
    """Draw a scene, its zones as a thin tint, and its front with the band of its uncertainty.

    Parameters
    ----------
    path : Path
        The PNG file to write.
    scene : Scene
        Image and grid.
    zones : uint8 (H, W)
        Zone codes on the scene's grid.
    front : GeoDataFrame
        The scene's row of the table of fronts, in the scene's CRS or in pixels.
    """
    row = front.iloc[0]
    to_pixels = ~scene.transform
    line = affinity.affine_transform(
        row[front.geometry.name],
        [to_pixels.a, to_pixels.b, to_pixels.d, to_pixels.e, to_pixels.c, to_pixels.f],
    )
    side = _side_in_pixels(scene)
    picture, factor = _tinted(scene, zones)
    boxes = [(0.0, 0.0, float(scene.shape[1]), float(scene.shape[0]))]
    close_up = _close_up(line, scene.shape)
    if close_up is not None:
        boxes.append(close_up)

    figure = _figure(boxes)
    shapes = [(box[3] - box[1], box[2] - box[0]) for box in boxes]
    panels = figure.subplots(
        1,
        len(boxes),
        squeeze=False,
        width_ratios=[width / height for height, width in shapes],
    )[0]
    uncertainty = _number(row.get("uncertainty_m" if scene.pixel_size_m else "uncertainty_px"))
    unit: Literal["m", "px"] = "px"
    column_m = 1.0
    if scene.pixel_size_m is not None:
        # Where rows and columns differ, a horizontal bar measures columns.
        unit, column_m = "m", pixel_sides(scene.pixel_size_m)[1]
    for panel, box in zip(panels, boxes, strict=True):
        _draw_panel(panel, picture, factor, scene.shape, box)
        _draw_front(panel, line, None if uncertainty is None else uncertainty / side)
        draw_scale_bar(panel, column_m, unit)
    if close_up is not None:
        left, top, right, bottom = close_up
        panels[0].plot(
            [left, right, right, left, left],
            [top, top, bottom, bottom, top],
            color=LIGHT,
            linewidth=0.9,
            linestyle=DASHED,
        )
    _write_titles(figure, scene, row)
    write_figure(figure, path)


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if np.isfinite(number) else None


def _side_in_pixels(scene: Scene) -> float:
    """Return the mean side of a pixel in metres, or 1 where its size is unknown."""
    if scene.pixel_size_m is None:
        return 1.0
    return float(np.mean(np.asarray(scene.pixel_size_m, float)))


def _tinted(scene: Scene, zones: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the picture, float32 RGB, and how many pixels of the scene one of it stands for."""
    factor = max(1, int(np.ceil(max(scene.shape) / _LONGEST_SIDE)))
    grey = _averaged(scene.image, factor)
    valid = np.isfinite(grey)
    low, high = np.quantile(grey[valid], [0.01, 0.99]) if valid.any() else (0.0, 1.0)
    stretched = np.clip((grey - low) / max(high - low, 1e-6), 0, 1)
    picture = np.repeat(np.where(valid, stretched, 0)[..., None], 3, axis=2).astype(np.float32)
    small = zones[factor // 2 :: factor, factor // 2 :: factor]
    small = small[: grey.shape[0], : grey.shape[1]]
    small = np.pad(
        small, [(0, grey.shape[i] - small.shape[i]) for i in (0, 1)], constant_values=NO_DATA
    )
    for code, colour in _TINTS.items():
        strength = _TINT_STRENGTH[code]
        here = (small == code) & valid
        picture[here] = (1 - strength) * picture[here] + strength * np.array(to_rgb(colour))
    picture[~valid] = to_rgb(DARK)
    return picture, factor


def _averaged(image: np.ndarray, factor: int) -> np.ndarray:
    """Average the valid pixels of each square of `factor` pixels; NaN where there are none."""
    if factor == 1:
        return image
    rows, columns = (-(-side // factor) for side in image.shape)
    result = np.empty((rows, columns), np.float32)
    edges = np.arange(0, image.shape[1], factor)
    for row in range(rows):
        band = image[row * factor : (row + 1) * factor]
        valid = np.isfinite(band)
        total = np.add.reduceat(np.where(valid, band, 0).sum(axis=0), edges)
        count = np.add.reduceat(valid.sum(axis=0), edges)
        result[row] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return result


def _close_up(
    line: BaseGeometry, shape: tuple[int, int]
) -> tuple[float, float, float, float] | None:
    """Return the box around a front that is small in its scene: left, top, right, bottom."""
    if line.is_empty:
        return None
    left, top, right, bottom = line.bounds
    extent = max(right - left, bottom - top)
    if extent >= _CLOSE_UP_BELOW * max(shape):
        return None
    half = max(0.8 * extent, 30.0)
    x = min(max((left + right) / 2, half), max(shape[1] - half, half))
    y = min(max((top + bottom) / 2, half), max(shape[0] - half, half))
    return (
        max(x - half, 0),
        max(y - half, 0),
        min(x + half, float(shape[1])),
        min(y + half, float(shape[0])),
    )


def _figure(boxes: list[tuple[float, float, float, float]]) -> Figure:
    """Return a figure in which each box has its true shape below two lines of text."""
    aspects = [(right - left) / (bottom - top) for left, top, right, bottom in boxes]
    height = min(7.2, 13.0 / sum(aspects)) if sum(aspects) > 1 else 7.2
    height = max(height, 3.0)
    width = max(height * sum(aspects) + 0.2 * (len(boxes) + 1), 6.2)
    head = 0.85
    total = height + head + 0.2
    figure = new_figure(width, total, dpi=130, facecolor=DARK, layout=None)
    figure.subplots_adjust(
        left=0.2 / width,
        right=1 - 0.2 / width,
        bottom=0.2 / total,
        top=1 - head / total,
        wspace=0.03,
    )
    return figure


def _draw_panel(
    panel: Axes,
    picture: np.ndarray,
    factor: int,
    shape: tuple[int, int],
    box: tuple[float, float, float, float],
) -> None:
    extent = (0.0, picture.shape[1] * float(factor), picture.shape[0] * float(factor), 0.0)
    panel.imshow(picture, extent=extent, interpolation="nearest")
    left, top, right, bottom = box
    panel.set_xlim(left, right)
    panel.set_ylim(bottom, top)
    dress_image_axes(panel)


def _draw_front(panel: Axes, line: BaseGeometry, uncertainty: float | None) -> None:
    if line.is_empty:
        return
    if uncertainty is not None and uncertainty > 0:
        panel.add_patch(
            PathPatch(
                _outline_path(line.buffer(uncertainty, cap_style="flat")),
                facecolor=HIGHLIGHT,
                alpha=0.28,
                linewidth=0,
            )
        )
    for piece in getattr(line, "geoms", [line]):
        x, y = np.asarray(piece.coords)[:, :2].T
        panel.plot(
            x, y, color=HIGHLIGHT, linewidth=1.9, solid_capstyle="round", path_effects=outline(3.4)
        )


def _outline_path(area: BaseGeometry) -> MatplotlibPath:
    """Return the rings of polygons as one path."""
    rings = [
        ring
        for polygon in shapely.get_parts(area)
        for ring in (polygon.exterior, *polygon.interiors)
    ]
    return MatplotlibPath.make_compound_path(
        *(MatplotlibPath(shapely.get_coordinates(ring), closed=True) for ring in rings)
    )


def _write_titles(figure: Figure, scene: Scene, row: Any) -> None:
    width, height = figure.get_size_inches()
    x = 0.2 / width
    about = [
        scene.glacier,
        None if scene.date is None else f"{scene.date.day} {scene.date:%B %Y}",
        scene.sensor,
    ]
    known = [text for text in about if text]
    title = "  ·  ".join(known) if known else scene.name
    figure.text(
        x, 1 - 0.2 / height, title, color=LIGHT, fontsize=15, fontweight="bold", va="top", ha="left"
    )
    flag = str(row["flag"])
    facts = []
    if not row.geometry.is_empty:
        unit, scale = ("km", 1000) if scene.pixel_size_m else ("px", 1)
        of = "m" if scene.pixel_size_m else "px"
        facts.append(f"front of {row[f'length_{of}'] / scale:.4g} {unit}")
        if _number(row[f"uncertainty_{of}"]) is not None:
            facts.append(f"± {row[f'uncertainty_{of}']:.0f} {of}")
    line = 1 - 0.52 / height
    style: dict[str, Any] = {"fontsize": 11, "va": "top", "ha": "left"}
    facts_text = figure.text(x, line, "  ".join(facts), color=LIGHT, **style)
    after = _right_edge(facts_text, figure) + 0.12 / width if facts else x
    colour = _FLAG_COLOURS.get(flag, _CHECK_COLOUR)
    flag_text = figure.text(after, line, flag, color=colour, fontweight="bold", **style)
    reason = str(row["reason"] or "")
    if reason:
        after = _right_edge(flag_text, figure) + 0.12 / width
        words = figure.text(after, line - 0.02 / height, reason, color=colour, **style)
        words.set_fontsize(9.5)
        while reason and _right_edge(words, figure) > 1 - x:
            reason = reason[:-1]
            words.set_text(reason.rstrip() + "…")


def _right_edge(text: Text, figure: Figure) -> float:
    """Return where a text ends, as a fraction of the figure's width."""
    return float(text.get_window_extent().x1 / figure.bbox.width)
