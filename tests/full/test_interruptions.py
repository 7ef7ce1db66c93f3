"""Runs of learning in processes of their own, stopped as a terminal and as a system stop them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from icefront.training.loop import STATE
from icefront.training.run import train
from tests.helpers.simulated_caffe import make_caffe

RECIPE = """
name: stopped
model: unet
architecture: {widths: [4, 8]}
data: {root: ROOT, test_glaciers: [SI], validation: none, pixel_size_m: null, min_length_m: 4}
out: OUT
epochs: 100000
crops_per_epoch: 8
batch: 4
workers: 2
window: 64
target: 32
stride: 16
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stop", [os.kill, os.killpg])
def test_a_stop_from_outside_ends_a_training_with_130(
    stop: object, number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ICEFRONT_CACHE", str(tmp_path / "cache"))
    recipe = tmp_path / "recipe.yaml"
    out = tmp_path / "runs"
    root = make_caffe(tmp_path / "caffe")
    recipe.write_text(RECIPE.replace("ROOT", str(root)).replace("OUT", str(out)))
    process = subprocess.Popen(
        [sys.executable, "-m", "icefront", "train", "--config", str(recipe)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # As from a terminal: what a background job starts ignores Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        until = time.monotonic() + 120
        while not (out / "stopped" / STATE).exists() and time.monotonic() < until:
            time.sleep(0.1)
        stop(process.pid, number)  # type: ignore[operator]
        lines = process.communicate(timeout=60)[1].splitlines()
    finally:
        process.kill()
    assert process.returncode == 130, lines
    assert lines[-1] == "Interrupted."
    assert not any("Traceback" in line for line in lines)
    assert train(recipe, ["epochs=1", "workers=0"], resume=True, progress=False)["crops"] >= 8
