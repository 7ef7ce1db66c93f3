"""Every scene with true and predicted front and box, drawn while the benchmark runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from icefront.evaluation.report.overlay import PREDICTED_COLOUR, TRUE_COLOUR, overlay
from icefront.evaluation.results import ScoredImage
from icefront.grid import mean_side, pixel_sides
from icefront.reporting.pictures import image_bytes, write_figure
from icefront.reporting.scale_bar import draw_scale_bar
from icefront.reporting.style import DASHED, INK, MUTED, new_figure
from icefront.reporting.tables import distance_text

SCENES = "scenes"
THUMBNAIL = 360
"""Longer side of the small pictures in the report, in pixels."""

THUMBNAIL_QUALITY = 40
"""Of the small pictures, WebP: a page of many models and images stays small."""

_PANEL = 1000
"""Longer side of a scene in its own picture, in pixels."""

_COLUMNS = 3
_LEVEL = 0.9


class Gallery:
    """Draws scenes to files and keeps small pictures of them.

    Parameters
    ----------
    folder : Path or None
        Scenes are drawn into ``scenes/`` of it; None keeps the small pictures only.
    unit : str
        Of distances, "m" or "px".
    """

    def __init__(self, folder: Path | None, unit: str) -> None:
        self.folder, self.unit = folder, unit
        self.thumbnails: dict[tuple[str, str], bytes] = {}

    def add(self, scored: ScoredImage) -> None:
        """Draw one scene."""
        captions, panels = [], []
        for result, prediction, score in scored.scores:
            label = result.label
            half = prediction.uncertainty(score.predicted) * result.calibration.factor(_LEVEL)
            if scored.pixel_size is not None:
                half = half / mean_side(scored.pixel_size)
            band = half if np.isfinite(half).all() and half.size else None
            arguments = (scored.image, score.true, score.predicted, scored.box)
            small = overlay(*arguments, THUMBNAIL, band)
            self.thumbnails[label, scored.sample.name] = image_bytes(
                small, "webp", quality=THUMBNAIL_QUALITY
            )
            if self.folder is None:
                continue
            panels.append((overlay(*arguments, _PANEL, band), band is not None))
            if score.errors.size:
                words = f"MDE {distance_text(float(score.errors.mean()), self.unit)}"
            else:
                words = "no front" if score.true.any() else "no true front"
            captions.append(f"{label}: {words}")
        if self.folder is not None:
            target = self.folder / SCENES
            target.mkdir(parents=True, exist_ok=True)
            _draw(target / f"{scored.sample.name}.jpg", scored, panels, captions)


def _draw(
    path: Path,
    scored: ScoredImage,
    panels: list[tuple[np.ndarray, bool]],
    captions: list[str],
) -> None:
    count = len(panels)
    columns = min(count, _COLUMNS)
    rows = -(-count // columns)
    height, width = panels[0][0].shape[:2]
    dpi = 150
    wide, high = width / dpi, height / dpi
    gap, head, foot = 0.12, 0.62, 0.46
    across = max(columns * wide + (columns + 1) * gap, 5.6)
    down = rows * (high + 0.32) + head + foot
    figure = new_figure(across, down, dpi=dpi, layout=None)
    for number, ((picture, _), caption) in enumerate(zip(panels, captions, strict=True)):
        row, column = divmod(number, columns)
        left = gap + column * (wide + gap)
        bottom = down - head - (row + 1) * (high + 0.32) + 0.06
        axis = figure.add_axes((left / across, bottom / down, wide / across, high / down))
        axis.imshow(picture, interpolation="none", aspect="auto")
        axis.set_axis_off()
        axis.set_title(caption, fontsize=9, color=INK, loc="left", pad=4)
        if number == 0:
            sides = scored.pixel_size
            side = 1.0 if sides is None else pixel_sides(sides)[1]
            per_pixel = scored.image.shape[1] / picture.shape[1] * side
            draw_scale_bar(axis, per_pixel, "px" if sides is None else "m", fontsize=8.5)
    sample = scored.sample
    title = f"{sample.glacier}  ·  {sample.date.day} {sample.date:%B %Y}  ·  {sample.sensor}"
    figure.text(gap / across, 1 - 0.10 / down, title, fontsize=12.5, fontweight="bold", va="top",
                color=INK)  # fmt: skip
    figure.text(gap / across, 1 - 0.36 / down, sample.name, fontsize=8, va="top", color=MUTED)
    _legend(figure, scored.box is not None, any(b for _, b in panels))
    write_figure(figure, path, pil_kwargs={"quality": 90, "subsampling": 0})


def _legend(figure: Figure, boxed: bool, band: bool) -> None:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=TRUE_COLOUR, linewidth=3, label="true front"),
        Line2D([], [], color=PREDICTED_COLOUR, linewidth=3, label="predicted"),
        Patch(facecolor="white", edgecolor=MUTED, label="both", linewidth=0.8),
    ]
    if band:
        handles.append(Patch(facecolor=PREDICTED_COLOUR, alpha=0.35, label="90 % interval"))
    if boxed:
        handles.append(Line2D([], [], color=MUTED, linewidth=1.4, linestyle=DASHED, label="box"))
    figure.legend(
        handles=handles, loc="lower left", ncol=len(handles), fontsize=8.5, frameon=False,
        bbox_to_anchor=(0.0, 0.0), handlelength=1.6, columnspacing=1.4, labelcolor=INK,
    )  # fmt: skip
