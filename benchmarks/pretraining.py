"""Pretraining: crops of the loader, its memory with 10,000 images on disk, cost beside the step."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import torch
from torch.utils.data import DataLoader

from icefront.datasets.crops import EpochSampler
from icefront.datasets.image_cache import Block
from icefront.datasets.pairs import PairCache, PairCrops
from icefront.models.registry import build
from icefront.pretraining import METHODS, PretrainingConfig
from icefront.pretraining.samples import MaskedPairs, prepare

IMAGES, SIDE, GLACIERS = 10_000, 1_800, 14
EPOCH = 76_496

# In a process of its own: the peak is that of reading crops, the modules' own share taken off.
MEMORY = """
import resource, sys
from pathlib import Path
from benchmarks.pretraining import sparse_cache
from icefront.datasets.pairs import PairCrops
import psutil
crops = PairCrops(sparse_cache(Path(sys.argv[1])), range(int(sys.argv[2])), 512, seed=0)
crops[0]
before = psutil.Process().memory_info().rss
for number in range(600):
    crops[number]
print(before, psutil.Process().memory_info().rss)
"""


def sparse_cache(folder: Path) -> PairCache:
    """Make 10,000 files of the size of real ones; they are sparse and take no room on the disk."""

    def block(name: str, channels: int) -> Block:
        path = folder / name
        if not path.exists():
            with path.open("wb") as file:
                file.truncate(channels * SIDE * SIDE)
        return Block(path, (channels, SIDE, SIDE))

    return PairCache(
        tuple(block(f"radar{i}.bin", 1) for i in range(IMAGES)),
        {str(g): block(f"optical{g}.bin", 14) for g in range(GLACIERS)},
        tuple(str(i % GLACIERS) for i in range(IMAGES)),
        "",
    )


def real_cache(folder: Path) -> PairCache:
    """Make a few files full of numbers, as a page cache would hold them."""
    rng = np.random.default_rng(0)

    def block(name: str, channels: int) -> Block:
        path = folder / name
        rng.integers(0, 256, channels * SIDE * SIDE, np.uint8).tofile(path)
        return Block(path, (channels, SIDE, SIDE))

    radar = tuple(block(f"full{i}.bin", 1) for i in range(28))
    optical = {str(g): block(f"colours{g}.bin", 14) for g in range(4)}
    return PairCache(radar, optical, tuple(str(i % 4) for i in range(28)), "")


def _crops_per_second(cache: PairCache, count: int) -> float:
    crops = MaskedPairs(PairCrops(cache, range(len(cache.radar)), 512), 4, 0.3, 1, 0)
    crops[0]
    begun = time.perf_counter()
    for number in range(count):
        crops[number]
    return count / (time.perf_counter() - begun)


def _config(method: str, window: int, batch: int, **more: object) -> PretrainingConfig:
    values = {"name": "x", "method": method, "data": {"root": "x"}, "window": window}
    return PretrainingConfig.model_validate({**values, "batch": batch, **more})


def _steps(
    cache: PairCache, member: str, method: str, batch: int, window: int, steps: int, workers: int
) -> tuple[float, float]:
    """Seconds of a bare step on one batch that lies on the device, and of one with its loader."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = _config(method, window, batch)
    module = METHODS[method](build(member), config).to(device)
    optimiser = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=1e-3)
    pairs = MaskedPairs(PairCrops(cache, range(len(cache.radar)), window), 4, 0.3, 1, 0)
    loader = DataLoader(
        pairs,
        batch,
        sampler=EpochSampler(batch * (steps + 3)),
        num_workers=workers,
        pin_memory=device.type == "cuda",
    )

    def step(sample: dict[str, torch.Tensor]) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss, _ = module.loss(sample)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    feed = iter(loader)

    def fetch() -> dict[str, torch.Tensor]:
        given = {k: v.to(device, non_blocking=True) for k, v in next(feed).items()}
        return prepare(given, "grey")

    sample = fetch()
    step(sample)
    begun = now()
    for _ in range(steps):
        step(sample)
    bare = (now() - begun) / steps
    step(fetch())
    begun = now()
    for _ in range(steps):
        step(fetch())
    return bare, (now() - begun) / steps


def run() -> list[dict]:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = real_cache(folder)
        rate = _crops_per_second(cache, 200)
        rows.append(
            dict(
                name="loader, 512 px, 1 + 14 channels, with mask",
                value=rate,
                unit="crops/s",
                note="one core, pages in memory",
            )
        )
        cores = os.cpu_count() or 1
        rows.append(
            dict(
                name=f"loader alone, {EPOCH} crops",
                value=EPOCH / rate / 60,
                unit="core minutes",
                note=f"one epoch as published; {cores} cores here",
            )
        )
        for images in (100, IMAGES):
            done = subprocess.run(
                [sys.executable, "-c", MEMORY, name, str(images)],
                check=True,
                capture_output=True,
                text=True,
                cwd=Path(__file__).parent.parent,
            )
            before, after = (int(v) / 1e6 for v in done.stdout.split())
            rows.append(
                dict(
                    name=f"loader memory, {images} images on disk",
                    value=after,
                    unit="MB",
                    note=f"resident; {after - before:+.1f} MB in 600 crops",
                )
            )
        on_gpu = torch.cuda.is_available()
        member, batch, window = ("tyrion", 32, 512) if on_gpu else ("tyrion-mini", 8, 256)
        for method in ("optsimmim", "opttranslator"):
            bare, fed = _steps(
                cache, member, method, batch, window, 20 if on_gpu else 4, 8 if on_gpu else 0
            )
            title = f"{method}, {member}, {batch} × {window} px"
            note = f"{bare * 1e3:.0f} ms bare, {(fed / bare - 1):+.1%} with the loader"
            rows.append(dict(name=title, value=batch / fed, unit="crops/s", note=note))
            if on_gpu:
                memory = torch.cuda.max_memory_allocated() / 1e9
                rows.append(dict(name=f"{title}, memory", value=memory, unit="GB", note="peak"))
        if not on_gpu:
            rows.append(_consumer(cache))
    return rows


def _consumer(cache: PairCache, batch: int = 8, step_s: float = 0.25) -> dict:
    """A consumer that takes a fixed time a batch without a processor, as a GPU does."""
    workers = max(1, (os.cpu_count() or 1) - 1)
    pairs = MaskedPairs(PairCrops(cache, range(len(cache.radar)), 512), 4, 0.3, 1, 0)
    loader = DataLoader(pairs, batch, sampler=EpochSampler(batch * 26), num_workers=workers)
    feed = iter(loader)
    next(feed)
    waited = 0.0
    for _ in range(24):
        time.sleep(step_s)
        begun = time.perf_counter()
        next(feed)
        waited += time.perf_counter() - begun
    return dict(
        name=f"waiting for the loader, {batch} × 512 px every {step_s:g} s",
        value=100 * waited / (24 * step_s),
        unit="%",
        note=f"{workers} worker(s), {psutil.cpu_count()} cores",
    )
