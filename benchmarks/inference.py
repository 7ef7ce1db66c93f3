"""Memory of a large scene, and the time the full network takes for a megapixel."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from torch import nn

from icefront.inference import predict_zones
from icefront.inference.precision import choose_device, has_fast_bf16
from icefront.models.registry import build
from icefront.scenes.scene import Scene

SIDE = 10_000
TYRION_SIDE = 384


class StandIn(nn.Module):
    """A network that costs nothing beside the windows themselves: four maps from one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([-x, x, 2 * x - 1, 1 - x], 1)


class Counted(nn.Module):
    """A network that counts the windows it sees."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.card = network.card
        self.windows = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.windows += len(x)
        return self.network(x)


def large_scene() -> None:
    """Predict a large scene and print time and peak memory; run in a process of its own."""
    rng = np.random.default_rng(0)
    image = rng.random((SIDE, SIDE), np.float32)
    image[: SIDE // 20] = np.nan
    begun = time.perf_counter()
    zones = predict_zones(StandIn(), Scene(image), device="cpu", progress=False)
    taken = time.perf_counter() - begun
    assert zones.shape == (4, SIDE, SIDE)
    assert abs(float(zones[:, ::997, ::997].sum(0).mean()) - 1) < 1e-4
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kilobytes, macOS bytes.
    print(json.dumps({"seconds": taken, "bytes": peak * (1 if sys.platform == "darwin" else 1024)}))


def tyrion_rows() -> list[dict]:
    """Seconds per megapixel of a large scene, from the time of a window within a small one."""
    network = Counted(build("tyrion"))
    image = np.random.default_rng(1).random((TYRION_SIDE, TYRION_SIDE), np.float32)
    device = choose_device("auto")
    usual = "bfloat16" if has_fast_bf16(device) else "float32: bfloat16 is not faster here"
    rows = []
    for stride, exact in ((128, False), (256, False), (128, True)):
        network.windows = 0
        begun = time.perf_counter()
        predict_zones(network, Scene(image), stride=stride, exact=exact, progress=False)
        taken = time.perf_counter() - begun
        per_window = taken / network.windows
        rows.append(
            dict(
                name=f"Tyrion, stride {stride}{', exact' if exact else ''}",
                value=per_window * 1e6 / stride**2,
                unit="s/megapixel",
                note=f"{device}, {torch.get_num_threads()} threads, "
                f"{'float32' if exact else usual}; {per_window:.2f} s a window "
                f"({network.windows} windows on {TYRION_SIDE} x {TYRION_SIDE})",
            )
        )
    return rows


def bf16_rows() -> list[dict]:
    """How much faster the network is in bfloat16, which decides whether it is used."""
    device = choose_device("auto")
    network = build("tyrion").to(device).eval()
    window = torch.rand(1, 1, 512, 512, device=device)
    times = {}
    with torch.inference_mode():
        for half in (False, True):
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
                network(window)[0, 0, 0, 0].item()
                begun = time.perf_counter()
                for _ in range(3):
                    network(window)[0, 0, 0, 0].item()
                times[half] = (time.perf_counter() - begun) / 3
    return [
        dict(
            name="float32 / bfloat16, Tyrion",
            value=times[False] / times[True],
            unit="times",
            note=f"{device}: {times[False]:.2f} s and {times[True]:.2f} s a window; "
            f"predict_zones uses {'bfloat16' if has_fast_bf16(device) else 'float32'}",
        )
    ]


def run() -> list[dict]:
    command = [sys.executable, "-c", "from benchmarks.inference import large_scene as f; f()"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    large = json.loads(done.stdout)
    note = f"{SIDE} x {SIDE} pixels, stand-in network at 512/256/128"
    return [
        dict(name="predict_zones, peak memory", value=large["bytes"] / 1e9, unit="GB", note=note),
        dict(name="predict_zones, time", value=large["seconds"], unit="s", note=note),
        *bf16_rows(),
        *tyrion_rows(),
    ]
