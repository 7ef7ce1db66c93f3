"""Every scene with true and predicted front and box, drawn while the benchmark runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from icefront.evaluation.report.overlay import jpeg, overlay
from icefront.evaluation.report.style import (
    INK,
    MUTED,
    PREDICTED_COLOUR,
    TRUE_COLOUR,
    measure,
)
from icefront.files.atomic import writing
from icefront.grid import mean_side

if TYPE_CHECKING:
    from icefront.evaluation.benchmark import ScoredImage

SCENES = "scenes"
THUMBNAIL = 360
"""Longer side of the small pictures in the report, in pixels."""

PANEL = 1000
"""Longer side of a scene in its own picture, in pixels."""

COLUMNS = 3
LEVEL = 0.9


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of one model's front in one scene, JPEG bytes."""

    model: str
    image: str
    picture: bytes


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
            label = result.contender.label
            half = prediction.uncertainty(score.predicted) * result.calibration.factor(LEVEL)
            if scored.pixel_size is not None:
                half = half / mean_side(scored.pixel_size)
            band = half if np.isfinite(half).all() and half.size else None
            arguments = (scored.image, score.true, score.predicted, scored.box)
            small = overlay(*arguments, THUMBNAIL, band)
            self.thumbnails[label, scored.sample.name] = jpeg(small)
            if self.folder is None:
                continue
            panels.append((overlay(*arguments, PANEL, band), band is not None))
            if score.errors.size:
                words = f"MDE {measure(float(score.errors.mean()), self.unit)}"
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
    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    height, width = panels[0][0].shape[:2]
    dpi = 150
    wide, high = width / dpi, height / dpi
    gap, head, foot = 0.12, 0.62, 0.46
    across = max(columns * wide + (columns + 1) * gap, 5.6)
    down = rows * (high + 0.32) + head + foot
    figure = Figure(figsize=(across, down), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    for number, ((picture, _), caption) in enumerate(zip(panels, captions, strict=True)):
        row, column = divmod(number, columns)
        left = gap + column * (wide + gap)
        bottom = down - head - (row + 1) * (high + 0.32) + 0.06
        axis = figure.add_axes((left / across, bottom / down, wide / across, high / down))
        axis.imshow(picture, interpolation="none", aspect="auto")
        axis.set_axis_off()
        axis.set_title(caption, fontsize=9, color=INK, loc="left", pad=4)
        if number == 0:
            _scale_bar(axis, scored, picture.shape[:2])
    sample = scored.sample
    title = f"{sample.glacier}  ·  {sample.date.day} {sample.date:%B %Y}  ·  {sample.sensor}"
    figure.text(gap / across, 1 - 0.10 / down, title, fontsize=12.5, fontweight="bold", va="top",
                color=INK)  # fmt: skip
    figure.text(gap / across, 1 - 0.36 / down, sample.name, fontsize=8, va="top", color=MUTED)
    _legend(figure, scored.box is not None, any(b for _, b in panels))
    with writing(path) as part:
        figure.savefig(part, format="jpeg", pil_kwargs={"quality": 90, "subsampling": 0})


def _legend(figure: Figure, boxed: bool, band: bool) -> None:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=TRUE_COLOUR, linewidth=3, label="true front"),
        Line2D([], [], color=PREDICTED_COLOUR, linewidth=3, label="predicted"),
        Patch(facecolor="white", edgecolor=MUTED, label="both", linewidth=0.8),
    ]
    if band:
        handles.append(Patch(facecolor=PREDICTED_COLOUR, alpha=0.35, label="90 % interval"))
    if boxed:
        handles.append(
            Line2D([], [], color=MUTED, linewidth=1.4, linestyle=(0, (4, 3)), label="box")
        )
    figure.legend(
        handles=handles, loc="lower left", ncol=len(handles), fontsize=8.5, frameon=False,
        bbox_to_anchor=(0.0, 0.0), handlelength=1.6, columnspacing=1.4, labelcolor=INK,
    )  # fmt: skip


def _scale_bar(axis: object, scored: ScoredImage, shape: tuple[int, ...]) -> None:
    """Draw a round length at the lower left of a panel."""
    size = scored.pixel_size
    side = 1.0 if size is None else float(np.broadcast_to(np.asarray(size, float), (2,))[1])
    per_pixel = scored.image.shape[1] / shape[1] * side
    wanted = 0.22 * shape[1] * per_pixel
    decade = 10 ** np.floor(np.log10(wanted))
    length = max(step for step in (1, 2, 5) if step * decade <= wanted) * decade
    if size is None:
        words = f"{length:g} px"
    else:
        words = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    x, y, end = 0.03 * shape[1], 0.965 * shape[0], 0.03 * shape[1] + length / per_pixel
    axis.plot([x, end], [y, y], color="#11161c", linewidth=6, solid_capstyle="butt")  # type: ignore[attr-defined]
    axis.plot([x, end], [y, y], color="white", linewidth=3, solid_capstyle="butt")  # type: ignore[attr-defined]
    axis.text(  # type: ignore[attr-defined]
        (x + end) / 2, y - 0.012 * shape[0], words, color="white", fontsize=8.5, ha="center",
        va="bottom", fontweight="bold", bbox={"facecolor": "#11161c", "alpha": 0.55, "pad": 1.5,
        "linewidth": 0},
    )  # fmt: skip
