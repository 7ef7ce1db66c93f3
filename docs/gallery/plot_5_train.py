"""
Train on two images
===================

A recipe says everything about a training run. This one trains a small U-Net on two images for half
a minute: enough to see the parts of a run, not enough for a model.
"""

# %%
# Two labelled images
# -------------------
# In the layout of CaFFe: ``sar_images/``, ``zones/`` and ``fronts/``. Simulated, with pixels of
# 80 m.

import subprocess
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.colors import ListedColormap

import icefront
from icefront.datasets import read_zones

folder = Path(tempfile.mkdtemp())


def run(command: str) -> None:
    """Run a command in the folder and show what it says."""
    done = subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, check=True)
    print(done.stdout)


run("icefront simulate caffe --out caffe --glacier JAC --glacier Crane --share 0.004 --coarser 4")

# %%
# The recipe
# ----------
# A key that does not exist is an error, and every value can be overruled by `--set`.

(folder / "recipe.yaml").write_text("""
name: two-images
model: unet
architecture: {widths: [8, 16, 32, 64]}
out: runs
data: {root: caffe, validation: none, train_fraction: 0.4}
optimiser: {name: adamw, learning_rate: 0.004, schedule: cosine, warmup_steps: 10}
epochs: 12
crops_per_epoch: 64
batch: 8
workers: 0
seed: 1
window: 128
target: 64
stride: 32
input_mapping: equalised
""")
run("icefront train --config recipe.yaml")
sorted(path.name for path in (folder / "runs/two-images").iterdir())

# %%
# What it learned
# ---------------
# The log is a table. The checkpoint is used by its path, here and by every command.

log = pd.read_csv(next((folder / "runs").rglob("metrics.csv")))
loss = log.dropna(subset="train_loss_epoch")
name = next((folder / "caffe/sar_images/train").glob("*.png")).stem
scene = icefront.open_scene(folder / f"caffe/sar_images/train/{name}.png")
model = icefront.load_model(folder / "runs/two-images/last.safetensors")
predicted = icefront.predict_zones(model, scene).argmax(axis=0)
true = read_zones(folder / f"caffe/zones/train/{name}_zones.png")

figure, axes = plt.subplots(1, 4, figsize=(13, 3.4), layout="constrained")
axes[0].plot(loss["epoch"], loss["train_loss_epoch"], marker="o")
axes[0].set(xlabel="epoch", title="training loss")
axes[1].imshow(scene.image, cmap="gray")
axes[1].set_title("image")
colours = ListedColormap(["black", "#c8914b", "#7fd4ff", "#1f5fff"])
for axis, zones, title in zip(axes[2:], (true, predicted), ("true", "predicted"), strict=True):
    axis.imshow(zones, cmap=colours, vmin=0, vmax=3, interpolation="nearest")
    axis.set_title(f"{title} zones")
for axis in axes[1:]:
    axis.set_axis_off()
