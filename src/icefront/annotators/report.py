"""The files of a study of annotators: tables, consensus fronts, record and figures."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from matplotlib import colormaps
from matplotlib.axes import Axes
from pyproj import CRS, Transformer
from scipy.ndimage import uniform_filter1d
from shapely.geometry.base import BaseGeometry

from icefront import __version__
from icefront.annotators.study import StudiedImage, Study
from icefront.errors import IcefrontError
from icefront.fronts.vector_files import vector_file
from icefront.reporting.pictures import write_figure
from icefront.reporting.scale_bar import draw_scale_bar
from icefront.reporting.style import (
    BLUE,
    DASHED,
    HIGHLIGHT,
    INK,
    MUTED,
    PALETTE_ON_DARK,
    VERMILION,
    dress_axes,
    dress_image_axes,
    line_style,
    new_figure,
    outline,
)
from icefront.reporting.tables import MISSING, Table, json_values, number_text, write_csv
from icefront.scenes.reading import open_scene
from icefront.scenes.scene import Scene

_CONSENSUS_COLOUR, _MODEL_COLOURS = "#ffffff", (HIGHLIGHT, "#ff8c1a", "#b46cff")
_BACKGROUND = "#3b4650"
"""Behind traces without an image."""


def person_table(study: Study) -> Table:
    """Return the table of people and models."""
    unit = study.unit
    head = ["who", "images", f"to the people {unit}", f"to the consensus {unit}"]
    head += [f"bias {unit} (seaward +)", "95 %", f"scatter {unit}"]
    rows = []
    for person in (*study.people, *study.models):
        interval = MISSING
        if math.isfinite(person.bias_low):
            interval = (
                f"{number_text(person.bias_low, sign=True)} to "
                f"{number_text(person.bias_high, sign=True)}"
            )
        rows.append(
            [
                f"{person.name} (model)" if person.model else person.name,
                str(person.images),
                number_text(person.to_people),
                number_text(person.to_consensus),
                number_text(person.bias, sign=True),
                interval,
                number_text(person.scatter),
            ]
        )
    return Table(head, rows, title="People and models")


def _distance_table(study: Study) -> Table:
    names = list(study.matrix.index)
    rows = [
        [a, *("" if a == b else number_text(study.matrix.loc[a, b]) for b in names)] for a in names
    ]
    return Table(["", *names], rows, title=f"Distances, {study.unit}")


def _markdown(study: Study) -> str:
    """Return the study as Markdown."""
    parts = ["# Annotators", "", study.sentence()]
    for table in (person_table(study), _distance_table(study)):
        parts += ["", f"## {table.title}", "", table.markdown()]
    unit = study.unit
    signs = sorted({image.sign_from for image in study.images})
    parts += [
        "",
        f"Agreement: mean over pairs of people {study.agreement:.1f} {unit}, over all their "
        f"distances pooled {study.agreement_pooled:.1f} {unit}. The seaward side is from: "
        f"{', '.join(signs)}. Biases are relative to the consensus, not to the truth. A person's "
        "distance to the consensus is to that of the others.",
        "",
    ]
    if study.problems:
        parts += ["## Left out", "", *(f"- {problem}" for problem in study.problems), ""]
    parts += [f"icefront {__version__}", ""]
    return "\n".join(parts)


def _as_dict(study: Study) -> dict[str, Any]:
    """Return the study as plain types; numbers that are not known are None."""
    found = {
        "icefront": __version__,
        "sentence": study.sentence(),
        "unit": study.unit,
        "agreement": study.agreement,
        "agreement_pooled": study.agreement_pooled,
        "people": [vars(person) for person in study.people],
        "models": [vars(person) for person in study.models],
        "images": [
            {
                "image": image.traced.name,
                "people": sorted(image.traced.people),
                "models": sorted(image.traced.models),
                "disagreement": image.disagreement,
                "seaward_side_from": image.sign_from,
                "consensus_length": image.consensus.line.length,
            }
            for image in study.images
        ],
        "left_out": list(study.problems),
    }
    return dict(json_values(found))


def write_study(
    study: Study, folder: Path, *, images: Path | None = None, pictures: int = 20
) -> list[str]:
    """Write all files of a study.

    Parameters
    ----------
    study : Study
    folder : Path
        An existing folder. It receives ``annotators.md`` and ``.json``, ``people.csv``,
        ``distances.csv`` (the matrix), ``pairs.csv`` (every pair on every image),
        ``consensus.gpkg`` and ``consensus_pixels.gpkg``, ``matrix.png``, ``people.png`` and
        ``traces_IMAGE.png``.
    images : Path, optional
        Folder of the images, to draw the traces on.
    pictures : int
        Number of images whose traces are drawn, first those on which people agree least.

    Returns
    -------
    list of str
        Names of the files.
    """
    (folder / "annotators.md").write_text(_markdown(study), "utf-8")
    text = json.dumps(_as_dict(study), indent=2, ensure_ascii=False)
    (folder / "annotators.json").write_text(text + "\n", "utf-8")
    people = pd.DataFrame([vars(person) for person in (*study.people, *study.models)])
    write_csv(people, folder / "people.csv")
    write_csv(study.matrix, folder / "distances.csv", index=True)
    write_csv(study.pairs, folder / "pairs.csv")
    _write_consensus(study, folder)
    draw_matrix(folder / "matrix.png", study)
    draw_people(folder / "people.png", study)
    hardest = sorted(study.images, key=lambda image: -image.disagreement)[:pictures]
    for image in hardest:
        safe = re.sub(r"[^\w.-]", "_", image.traced.name)
        draw_traces(folder / f"traces_{safe}.png", image, study, images)
    return sorted(path.name for path in folder.iterdir())


def _write_consensus(study: Study, folder: Path) -> None:
    tables: dict[str, list[gpd.GeoDataFrame]] = {"consensus.gpkg": [], "consensus_pixels.gpkg": []}
    for image in study.images:
        line = image.traced.frame.given(image.consensus.line)
        row = {
            "image": image.traced.name,
            "glacier": image.traced.glacier,
            "people": len(image.traced.people),
            "disagreement": image.disagreement,
            "unit": study.unit,
            "seaward_side_from": image.sign_from,
            "icefront_version": __version__,
        }
        table = gpd.GeoDataFrame(pd.DataFrame([row]), geometry=line.to_list(), crs=line.crs)
        tables["consensus_pixels.gpkg" if line.crs is None else "consensus.gpkg"].append(table)
    for name, found in tables.items():
        if found:
            crs = found[0].crs
            same = [table if crs is None else table.to_crs(crs) for table in found]
            joined = gpd.GeoDataFrame(pd.concat(same, ignore_index=True), crs=crs)
            (folder / name).write_bytes(vector_file({"fronts": joined}))


def draw_matrix(path: Path, study: Study) -> None:
    """Draw the matrix of distances as a heat map with its numbers."""
    names = list(study.matrix.index)
    values = study.matrix.to_numpy(float).copy()
    np.fill_diagonal(values, np.nan)
    side = max(4.2, 0.56 * len(names) + 1.6)
    figure = new_figure(side + 1.1, side)
    axis = figure.subplots()
    colours = colormaps["cividis"].with_extremes(bad="#eef1f3")
    shown = axis.imshow(values, cmap=colours, vmin=0, vmax=float(np.nanmax(values)))
    half = float(np.nanmax(values)) / 2
    for row in range(len(names)):
        for column in range(len(names)):
            value = values[row, column]
            if math.isfinite(value):
                colour = "white" if value < half else "black"
                axis.text(
                    column, row, f"{value:.0f}", ha="center", va="center", color=colour, fontsize=9
                )
    axis.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(names)), names)
    axis.tick_params(length=0, labelsize=9.5)
    number = len(study.people)
    for border in (number - 0.5, len(names) - 1.5):
        axis.axhline(border, color="white", linewidth=3)
        axis.axvline(border, color="white", linewidth=3)
    for spine in axis.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(shown, ax=axis, shrink=0.75, pad=0.02)
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.set_label(f"mean distance, {study.unit}")
    axis.set_title(
        f"{number} people agree to {study.agreement:.0f} {study.unit}",
        loc="left",
        fontweight="bold",
        fontsize=12,
    )
    write_figure(figure, path)


def draw_people(path: Path, study: Study) -> None:
    """Draw the bias and scatter of all people and models, and their distance from the others."""
    everybody = [*study.people, *study.models]
    figure = new_figure(11, 1.7 + 0.36 * len(everybody))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.35, 1])
    for row, person in enumerate(everybody):
        colour = VERMILION if person.model else BLUE
        centre = 0.0 if math.isnan(person.bias) else person.bias
        if math.isfinite(person.scatter):
            left.plot(
                [centre - person.scatter, centre + person.scatter],
                [row, row],
                color=colour,
                alpha=0.28,
                linewidth=9,
                solid_capstyle="butt",
            )
        if math.isfinite(person.bias_low):
            left.plot([person.bias_low, person.bias_high], [row, row], color=colour, linewidth=2.4)
        if math.isfinite(person.bias):
            left.plot(person.bias, row, "o", color=colour, markersize=6.5, markeredgecolor="white")
        right.plot(person.to_people, row, "o", color=colour, markersize=7)
        right.plot(
            person.to_consensus, row, "D", color="white", markeredgecolor=colour, markersize=6,
            markeredgewidth=1.6,
        )  # fmt: skip
    left.axvline(0, color=MUTED, linewidth=1, linestyle=DASHED, zorder=0)
    right.axvline(study.agreement, color=BLUE, linewidth=1, linestyle=DASHED, zorder=0)
    left.set_yticks(
        range(len(everybody)), [p.name + (" (model)" if p.model else "") for p in everybody]
    )
    left.set_ylim(len(everybody) - 0.4, -0.6)
    left.set_xlabel(f"inland  ←  offset from the consensus, {study.unit}  →  seaward")
    right.set_xlim(left=0)
    right.set_xlabel(f"mean distance, {study.unit}")
    right.plot([], [], "o", color=INK, label="to the (other) people")
    right.plot(
        [], [], "D", color="white", markeredgecolor=INK, markeredgewidth=1.6,
        label="to the consensus (of the others)",
    )  # fmt: skip
    right.legend(
        frameon=False, fontsize=8.5, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0
    )
    dress_axes(left, "Bias (95 %) and scatter (band)", grid="x")
    dress_axes(right, "Distance", grid="x")
    write_figure(figure, path)


def find_image(name: str, folder: Path) -> Path | None:
    """Find the image of a name in a folder, PNG or TIFF."""
    for ending in (".png", ".tif", ".tiff", ".jp2"):
        path = folder / f"{name}{ending}"
        if path.is_file():
            return path
    return None


def draw_traces(path: Path, image: StudiedImage, study: Study, images: Path | None = None) -> None:
    """Draw all traces of an image, the consensus and the models over it."""
    found = None if images is None else find_image(image.traced.name, images)
    scene = None if found is None else _scene(found, image)
    place = _placing(image, scene)
    everybody = {**image.traced.people, **image.traced.models}
    lines = {name: place(trace.line) for name, trace in everybody.items()}
    middle = place(image.consensus.line)
    bounds = np.array([line.bounds for line in (*lines.values(), middle)])
    low, high = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    boxes = [_widened(low, high, 0.12 * float((high - low).max()))]
    boxes.append(_close_up(image, place, middle))
    shapes = [(box[1] - box[0])[0] / (box[1] - box[0])[1] for box in boxes]
    figure = new_figure(6.4 * sum(shapes) + 2.3, 7.0)
    panels = figure.subplots(1, 2, width_ratios=shapes)
    for number, (axis, (low, high)) in enumerate(zip(panels, boxes, strict=True)):
        axis.set_facecolor(_BACKGROUND)
        if scene is not None:
            _draw_scene(axis, scene, low, high)
        _draw_everybody(axis, image, study, lines, middle, 1.0 if number == 0 else 1.8)
        axis.set_xlim(low[0], high[0])
        axis.set_ylim((low[1], high[1]) if scene is None else (high[1], low[1]))
        axis.set_aspect("equal")
        dress_image_axes(axis)
        draw_scale_bar(axis, _unit_width(image, scene), study.unit)
    (left, bottom), (right, top) = boxes[1]
    panels[0].plot(
        [left, right, right, left, left], [bottom, bottom, top, top, bottom],
        color="white", linewidth=1.1, linestyle=DASHED, zorder=9,
    )  # fmt: skip
    panels[0].set_title(image.traced.name, loc="left", fontsize=11.5, fontweight="bold")
    panels[1].set_title(
        f"where people differ most; on average by {image.disagreement:.0f} {study.unit}",
        loc="left",
        fontsize=10,
    )
    legend = panels[1].legend(
        loc="upper left", bbox_to_anchor=(1.02, 1), frameon=True, fontsize=9.5, borderaxespad=0,
        facecolor=_BACKGROUND, edgecolor="none", labelcolor="white", handlelength=2.6,
    )  # fmt: skip
    legend.set_zorder(10)
    write_figure(figure, path)


def _widened(low: np.ndarray, high: np.ndarray, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Add a margin, and more across a long narrow front: no panel is thinner than 1 to 2."""
    low, high = low - margin, high + margin
    size = high - low
    more = np.maximum(size.max() / 2 - size, 0) / 2
    return low - more, high + more


_CLOSE_UP_FRACTION = 1 / 14
"""Half the side of the close-up, as a fraction of the length of the front."""


def _close_up(
    image: StudiedImage, place: Any, middle: BaseGeometry
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the square about the part of the front on which people differ most."""
    consensus = image.consensus
    offsets = np.stack([consensus.offsets[name] for name in image.traced.people])
    known = np.isfinite(offsets).sum(axis=0) > 1
    deviation = np.zeros(offsets.shape[1])
    deviation[known] = np.nanstd(offsets[:, known], axis=0)
    deviation = uniform_filter1d(deviation, 9, mode="nearest")
    centre = shapely.get_coordinates(
        place(shapely.Point(consensus.transects.origins[int(deviation.argmax())]))
    )[0]
    # In the frame a unit is a metre, in a scene a pixel.
    scale = middle.length / consensus.line.length
    half = max(middle.length * _CLOSE_UP_FRACTION, 5 * scale * image.disagreement)
    return centre - half, centre + half


def _draw_everybody(
    axis: Axes,
    image: StudiedImage,
    study: Study,
    lines: dict[str, BaseGeometry],
    middle: BaseGeometry,
    width: float,
) -> None:
    order = [person.name for person in study.people]
    models = [person.name for person in study.models]
    casing = outline(width + 1.2)
    for name, line in lines.items():
        model = name in image.traced.models
        number = models.index(name) if model else order.index(name)
        colours = _MODEL_COLOURS if model else PALETTE_ON_DARK
        style = "-" if model else line_style(number // len(PALETTE_ON_DARK))
        _draw_line(
            axis, line, name + (" (model)" if model else ""), zorder=5 if model else 3,
            color=colours[number % len(colours)], linewidth=width * (1.4 if model else 1),
            linestyle=style, path_effects=casing,
        )  # fmt: skip
    _draw_line(
        axis, middle, "consensus", color=_CONSENSUS_COLOUR, linewidth=width * 1.5, zorder=4,
        path_effects=outline(width * 1.5 + 1.6, alpha=1),
    )  # fmt: skip


def _scene(path: Path, image: StudiedImage) -> Scene | None:
    """Read an image, or None where it cannot lie under the traces."""
    try:
        scene = open_scene(path)
    except IcefrontError:
        return None
    in_pixels = image.traced.frame.crs is None
    return scene if in_pixels == (scene.crs is None) else None


def _placing(image: StudiedImage, scene: Scene | None) -> Any:
    """Return what takes a line from the frame to pixels of the scene, or leaves it in the frame."""
    frame = image.traced.frame
    if scene is None:
        return lambda line: line
    if frame.sides is not None:
        rows, columns = frame.sides
        return lambda line: shapely.transform(line, lambda xy: xy / (columns, -rows))
    there = Transformer.from_crs(frame.crs, CRS.from_user_input(scene.crs), always_xy=True)
    back = ~scene.transform

    def to_pixels(xy: np.ndarray) -> np.ndarray:
        x, y = there.transform(*xy.T)
        return np.stack([back.a * x + back.b * y + back.c, back.d * x + back.e * y + back.f], 1)

    return lambda line: shapely.transform(line, to_pixels)


def _draw_scene(axis: Axes, scene: Scene, low: np.ndarray, high: np.ndarray) -> None:
    rows, columns = scene.shape
    left, top = np.clip(np.floor(low), 0, (columns - 1, rows - 1)).astype(int)
    right, bottom = np.clip(np.ceil(high), (left + 1, top + 1), (columns, rows)).astype(int)
    part = scene.image[top:bottom, left:right]
    step = max(1, max(part.shape) // 1400)
    part = part[::step, ::step]
    if not np.isfinite(part).any():
        return
    dark, bright = np.nanquantile(part, [0.01, 0.995])
    axis.imshow(
        part, cmap="gray", vmin=dark, vmax=max(bright, dark + 1e-6) * 1.1,
        extent=(float(left), float(right), float(bottom), float(top)), interpolation="bilinear",
    )  # fmt: skip


def _draw_line(axis: Axes, line: BaseGeometry, label: str, **style: Any) -> None:
    for number, piece in enumerate(shapely.get_parts(line)):
        x, y = shapely.get_coordinates(piece).T
        axis.plot(x, y, label=label if number == 0 else None, **style)


def _unit_width(image: StudiedImage, scene: Scene | None) -> float:
    """Return what one unit along x of a picture measures, in the unit of the study."""
    if scene is None:
        return 1.0
    sides = image.traced.frame.sides
    return float(sides[1]) if sides is not None else float(scene.transform.a)


def default_folder(data: Path, asked: Path | None, names: Sequence[str]) -> Path | None:
    """Return the folder that was asked for, or the first of these names in the data that exists."""
    if asked is not None:
        if not asked.is_dir():
            raise IcefrontError(f"{asked} is no folder.")
        return asked
    return next((data / name for name in names if (data / name).is_dir()), None)
