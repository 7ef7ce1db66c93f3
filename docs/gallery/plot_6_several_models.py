"""
Several models
==============

Networks trained with other seeds draw other fronts. An ensemble averages their probabilities, and
how far they lie apart says how far to trust the line.
"""

# %%
# Three models
# ------------
# The packaged one, and two that went on from its weights for a few steps with different seeds, on
# simulated images of other glaciers.

import subprocess
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import icefront

folder = Path(tempfile.mkdtemp())


def run(command: str) -> None:
    """Run a command in the folder and show what it says."""
    done = subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, check=True)
    print(done.stdout)


run("icefront simulate caffe --out train --glacier JAC --share 0.01 --coarser 3")
(folder / "recipe.yaml").write_text("""
name: seed-1
model: tyrion-mini
init: tyrion-mini
out: runs
data: {root: train, validation: none}
optimiser: {name: adamw, learning_rate: 0.0003}
epochs: 2
crops_per_epoch: 32
batch: 8
workers: 0
seed: 1
pixel_size_m: 55
""")
run("icefront train --config recipe.yaml")
run("icefront train --config recipe.yaml --set seed=2 --set name=seed-2")

# %%
# Score each of them, and all together
# ------------------------------------

run("icefront simulate caffe --out test --glacier COL --share 0.06 --coarser 3")
models = ["tyrion-mini", *(f"runs/seed-{seed}/last.safetensors" for seed in (1, 2))]
run(
    "icefront benchmark --data test --out scores --ensemble --symmetries 1 --no-scenes "
    + " ".join(f"--model {model}" for model in models)
)
images = pd.read_parquet(folder / "scores/images.parquet")
images.pivot(index="image", columns="model", values="mde").round(0)

# %%
# Their fronts on one image
# -------------------------
# Lines that agree are to be trusted more than lines that part.

name = images.groupby("image")["mde"].mean().idxmin()
scene = icefront.open_scene(next((folder / "test/sar_images").rglob(f"{name}.png")))
figure, axis = plt.subplots(figsize=(8, 6), layout="constrained")
axis.imshow(scene.image, cmap="gray")
for model, colour in zip(models, ("#ffd23f", "#3ddc97", "#ff2e63"), strict=True):
    network = icefront.load_model(model if "/" not in model else folder / model)
    front = icefront.extract_front(icefront.predict_zones(network, scene), scene)
    front.plot(ax=axis, color=colour, linewidth=1.8, label=Path(model).parent.name or model)
axis.set_xlim(0, scene.shape[1])
axis.set_ylim(scene.shape[0], 0)
axis.legend(loc="lower right")
axis.set_title(name)
axis.set_axis_off()
