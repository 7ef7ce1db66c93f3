"""
Extract fronts
==============

A SAR image in, the calving front out: by the command, and from Python. Both take the same settings
and draw the same vertices.

The scenes are simulated, so that the true front is known. With scenes of your own, start at the
second step.
"""

# %%
# A glacier and two radar images of it
# ------------------------------------
# ``truth.gpkg`` holds the true fronts, and the terminus box: where the front can be.

import subprocess
import tempfile
from pathlib import Path

import geopandas as gpd
import matplotlib.pyplot as plt
import numpy as np

import icefront

folder = Path(tempfile.mkdtemp())


def run(command: str) -> None:
    """Run a command in the folder and show what it says."""
    done = subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, check=True)
    print(done.stdout.replace(f"{folder}/", ""))


run(
    "icefront simulate scenes --glacier Upernavik --seed 1 --pixel-size 40 --count 2"
    " --start 2018-03-01 --end 2018-06-01 --out scenes"
)
box = gpd.read_file(folder / "scenes/truth.gpkg", layer="box")
box.to_file(folder / "box.gpkg")

# %%
# The command
# -----------
# `--aoi` keeps the front inside the box. ``fronts.gpkg`` opens in any GIS; the folder also holds
# the zones of each scene and a picture.

paths = sorted((folder / "scenes").glob("*.tif"))
run(f"icefront extract {paths[0]} {paths[1]} --aoi box.gpkg --out fronts")
by_command = gpd.read_file(folder / "fronts/fronts.gpkg", layer="fronts")
by_command[["scene", "date", "length_m", "uncertainty_m", "flag"]]

# %%
# Python
# ------
# `icefront.extract` takes a path, an opened scene, an `xarray.DataArray`, or a list of them.

by_python = icefront.extract(paths, aoi=box)
by_python.geometry.geom_equals(by_command.geometry)

# %%
# Look at them
# ------------
# The true front is known here: the extracted one lies a pixel or two of the model's grid (55 m)
# away from it.

truth = gpd.read_file(folder / "scenes/truth.gpkg", layer="fronts").clip(box)
figure, axes = plt.subplots(1, 2, figsize=(10, 5.4), layout="constrained")
for axis, path, front, true in zip(axes, paths, by_python.geometry, truth.geometry, strict=True):
    scene = icefront.open_scene(path)
    left, top = scene.transform * (0, 0)
    right, bottom = scene.transform * scene.shape[::-1]
    low, high = np.nanquantile(scene.image, [0.01, 0.99])
    axis.imshow(scene.image, cmap="gray", vmin=low, vmax=high, extent=(left, right, bottom, top))
    gpd.GeoSeries([true]).plot(ax=axis, color="#ffd23f", linewidth=3, label="true")
    gpd.GeoSeries([front]).plot(ax=axis, color="#ff2e63", linewidth=1.5, label="extracted")
    box.boundary.plot(ax=axis, color="white", linestyle=":", linewidth=1)
    axis.set_title(f"{scene.date:%d %B %Y}")
    axis.set_axis_off()
axes[0].legend(loc="lower left")
