"""From the grid a model worked on to the grid of the scene."""

from __future__ import annotations

import numpy as np

from icefront.grid import pixel_sides
from icefront.scenes.resampling import resample_to
from icefront.scenes.scene import Scene
from icefront.zones import N_ZONES, NO_DATA


def wanted_size(scene: Scene, pixel_size_m: float | None, tolerance: float = 0.05) -> float | None:
    """Return the pixel size a scene must be resampled to for a model, or None if it need not be.

    Parameters
    ----------
    scene : Scene
        Its pixel size may be one number, rows and columns, or unknown.
    pixel_size_m : float or None
        What the model asks for, in metres; None takes scenes as they are.
    tolerance : float
        Relative difference that is left as it is.
    """
    if pixel_size_m is None or scene.pixel_size_m is None:
        return None
    ratios = np.array(pixel_sides(scene.pixel_size_m)) / pixel_size_m
    return pixel_size_m if (abs(ratios - 1) > tolerance).any() else None


def zones_on_scene(probabilities: np.ndarray, for_model: Scene, scene: Scene) -> np.ndarray:
    """Bring zone probabilities to a scene's grid and take the likeliest zone.

    One zone at a time: the four maps never exist together on the finer grid.

    Parameters
    ----------
    probabilities : float32 (4, h, w)
        On the grid of `for_model`.
    for_model : Scene
        The scene as the model took it.
    scene : Scene
        The scene as it was read; where it has no data the zone is 0.

    Returns
    -------
    uint8 (H, W)
        Zone codes on the grid of `scene`.
    """
    if for_model is scene:
        zones = probabilities.argmax(axis=0).astype(np.uint8)
    else:
        zones = np.zeros(scene.shape, np.uint8)
        most = np.full(scene.shape, -1, np.float32)
        for code in range(N_ZONES):
            (value,) = resample_to(probabilities[code : code + 1], for_model, scene)
            better = value > most
            most[better] = value[better]
            zones[better] = code
    zones[~np.isfinite(scene.image)] = NO_DATA
    return zones
