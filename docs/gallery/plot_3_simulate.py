"""
Simulate a glacier with a known front
=====================================

Glaciers that do not exist, seen by the radars of CaFFe: to try a model, a setting or a measure on
scenes whose fronts are known exactly.
"""

# %%
# One glacier, three sensors, three seasons
# -----------------------------------------
# Each folder receives georeferenced scenes (backscatter in dB) and ``truth.gpkg`` with the layers
# ``fronts``, ``box`` and ``centreline``. The seed decides everything: the same seed and name give
# the same files on every machine.

import subprocess
import tempfile
from pathlib import Path

import geopandas as gpd
import matplotlib.pyplot as plt
import numpy as np

import icefront

folder = Path(tempfile.mkdtemp())
for sensor in ("S1", "TSX", "ENVISAT"):
    subprocess.run(
        f"icefront simulate scenes --glacier Helheim --seed 2 --sensor {sensor} --count 3"
        f" --start 2018-02-01 --end 2018-10-01 --pixel-size 40 --out {sensor}".split(),
        cwd=folder,
        check=True,
        capture_output=True,
    )
truth = gpd.read_file(folder / "S1/truth.gpkg", layer="fronts")
truth[["glacier", "date", "scene"]]

# %%
# The sensors differ in band, noise, number of looks and angle of view; the seasons in snow, sea
# ice, mélange and the place of the front.

figure, axes = plt.subplots(3, 3, figsize=(10, 11), layout="constrained")
for row, sensor in zip(axes, ("S1", "TSX", "ENVISAT"), strict=True):
    fronts = gpd.read_file(folder / sensor / "truth.gpkg", layer="fronts")
    for axis, (_, front) in zip(row, fronts.iterrows(), strict=True):
        scene = icefront.open_scene(folder / sensor / f"{front.scene}.tif")
        left, top = scene.transform * (0, 0)
        right, bottom = scene.transform * scene.shape[::-1]
        low, high = np.nanquantile(scene.image, [0.01, 0.99])
        axis.imshow(
            scene.image, cmap="gray", vmin=low, vmax=high, extent=(left, right, bottom, top)
        )
        gpd.GeoSeries([front.geometry]).plot(ax=axis, color="#ffd23f", linewidth=1.6)
        axis.set_title(f"{sensor}, {scene.date:%B}", fontsize=11)
        axis.set_axis_off()
