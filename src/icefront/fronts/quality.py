"""The quality flag of a front: good, to be checked by a person, or no front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from icefront.scenes.scene import Scene

GOOD, CHECK, NO_FRONT = "good", "check", "no front"
"""The flags: nothing speaks against the front, a person should look, there is none."""

UNCERTAIN_PX = 4.0
"""A front with a larger mean standard deviation is to be checked, in pixels."""

SHORT_FRACTION = 0.05
"""A front shorter than this fraction of the scene's side (root of its area) is to be checked."""

LOOSE_END_PX = 6
"""An end this close to the image edge or to missing data was cut off there, in pixels."""


def quality_flag(
    geometry: BaseGeometry,
    ends: Sequence[np.ndarray],
    length: float,
    uncertainty: float,
    scene: Scene,
) -> tuple[str, str]:
    """Return the flag of a front and the reasons for it.

    Parameters
    ----------
    geometry : LineString or MultiLineString
        In the coordinates of the scene, not empty.
    ends : sequence of float (2,)
        x, y of the ends of the pieces that are not closed.
    length, uncertainty : float
        In metres, or in pixels where the size of a pixel is not known.
    scene : Scene
        On the grid on which the front was drawn.

    Returns
    -------
    flag : str
        ``good`` or ``check``.
    reason : str
        Why it is to be checked, clauses separated by semicolons.
    """
    known = scene.grid.side_m
    side = 1.0 if known is None else known
    reasons = []
    if uncertainty > UNCERTAIN_PX * side:
        amount = f"{uncertainty:.1f} pixels" if known is None else f"{uncertainty:.0f} m"
        reasons.append(f"uncertain by {amount} on average")
    if (pieces := len(shapely.get_parts(geometry))) > 1:
        reasons.append(f"in {pieces} pieces")
    if any(is_loose(end, scene) for end in ends):
        reasons.append("cut off by the image edge or by missing data")
    if not ends:
        reasons.append("a closed line")
    if length < SHORT_FRACTION * side * np.sqrt(scene.image.size):
        reasons.append("short against the scene")
    return (CHECK if reasons else GOOD), "; ".join(reasons)


def is_loose(end: np.ndarray, scene: Scene) -> bool:
    """Tell whether an end (x, y) of a front lies at the image edge or at missing data."""
    row, column = scene.grid.rowcol(*end)
    r, c = int(np.floor(row + 0.5)), int(np.floor(column + 0.5))
    rows, columns = scene.shape
    if min(r, c) < LOOSE_END_PX or r >= rows - LOOSE_END_PX or c >= columns - LOOSE_END_PX:
        return True
    near = np.s_[r - LOOSE_END_PX : r + LOOSE_END_PX + 1, c - LOOSE_END_PX : c + LOOSE_END_PX + 1]
    return not np.isfinite(scene.image[near]).all()
