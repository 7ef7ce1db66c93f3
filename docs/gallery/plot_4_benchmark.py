"""
Benchmark a model
=================

Score models on images in the layout of CaFFe, by its protocol: zones, fronts, the mean distance
error (MDE) with the number of images without a front beside it.
"""

# %%
# Images with labels
# ------------------
# Your copy of CaFFe would stand here. These are simulated, with its names, splits, zones, fronts
# and bounding boxes; their pixels are three times as large as the sensors', to be quick.

import subprocess
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd


def run(command: str) -> None:
    """Run a command in the folder and show what it says."""
    done = subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, check=True)
    print(done.stdout)


folder = Path(tempfile.mkdtemp())
run("icefront simulate caffe --out caffe --glacier Mapple --share 0.08 --coarser 3")

# %%
# One command
# -----------
# ``report.html`` shows the tables with the published rows, the figures and every scene.

run("icefront benchmark --data caffe --model tyrion-mini --no-scenes --out scores")
sorted(path.name for path in (folder / "scores").iterdir())

# %%
# The tables are files
# --------------------

images = pd.read_parquet(folder / "scores/images.parquet")
images[["image", "sensor", "season", "mde", "front_found", "iou", "f1"]].round(2)

# %%
# One image far off weighs much in a pooled mean: look at all of them.

figure, axis = plt.subplots(figsize=(8, 0.9 + 0.34 * len(images)), layout="constrained")
found = images[images["front_found"]].sort_values("mde")
axis.barh(found["image"], found["mde"], color="#0072B2")
axis.set_xlabel("mean distance error of the image, m")
axis.grid(axis="x", alpha=0.3)
