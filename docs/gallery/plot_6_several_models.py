"""
Compare several models
======================

Training is a draw: the same recipe gives another mean distance error (MDE) each time. Models are
therefore compared by several runs, with tests and intervals.
"""

# %%
# Published runs, and yours
# -------------------------
# An item of `--runs` is an MDE in metres, or the table of a benchmark (``images.csv``), which gives
# intervals over images and glaciers as well. Of two models the one named earlier is the baseline;
# the direction of the test is fixed before the numbers are seen.

import subprocess
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

folder = Path(tempfile.mkdtemp())
done = subprocess.run(
    "icefront compare --published --runs Mine=301.2,295.4,310.0 --out comparison".split(),
    cwd=folder,
    check=True,
    capture_output=True,
    text=True,
)
print(done.stdout)

# %%
# The same as tables
# ------------------

models = pd.read_csv(folder / "comparison/models.csv")
models[["name", "runs", "mean_m", "sd_m", "best_m", "worst_m"]].round(1)

# %%
# A picture of runs and pairs
# ---------------------------
# Three runs of one's own against five say little, however good their mean is.

figure = plt.figure(figsize=(11, 6))
axis = figure.add_axes((0, 0, 1, 1))
axis.imshow(plt.imread(folder / "comparison/comparison.png"))
axis.set_axis_off()
