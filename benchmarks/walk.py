"""How often a scene's way through ``icefront.extract`` comes back to a module that it had left.

Each function of the package counts where it is called for the first time; the modules of these
calls, in their order, are the walk. ``ICEFRONT_SCENE`` names a file, else a simulated one is taken.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from torch import nn

import icefront
from icefront.simulation.archives import simulate_scenes

ROOT = Path(icefront.__file__).parent


def walk_of(scene: Path, model: nn.Module) -> list[tuple[str, str]]:
    """Return module and name of each function of the package, in the order of first calls."""
    seen: dict[Any, tuple[str, str]] = {}

    def called(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        # Names such as <module> and <listcomp> are parts of what surrounds them.
        if event != "call" or code in seen or code.co_name.startswith("<"):
            return
        path = Path(code.co_filename)
        if path.is_relative_to(ROOT):
            seen[code] = (str(path.relative_to(ROOT)), code.co_qualname)

    sys.setprofile(called)
    try:
        icefront.extract(scene, model)
    finally:
        sys.setprofile(None)
    return list(seen.values())


def returns_of(walk: list[tuple[str, str]]) -> list[str]:
    """Return the modules to which a walk comes back, once per return."""
    stays = [module for module, _ in itertools.groupby(walk, key=lambda step: step[0])]
    return [module for number, module in enumerate(stays) if module in stays[:number]]


def run() -> list[dict]:
    with tempfile.TemporaryDirectory() as scratch:
        if "ICEFRONT_SCENE" in os.environ:
            scene = Path(os.environ["ICEFRONT_SCENE"])
        else:
            (name,) = simulate_scenes(scratch, "Kronebreen", count=1, pixel_m=55.0, progress=False)
            scene = Path(scratch) / f"{name}.tif"
        model = icefront.load_model()
        icefront.extract(scene, model)  # so that what is loaded on first use is not counted
        walk = walk_of(scene, model)
    if os.environ.get("ICEFRONT_VERBOSE"):
        for module, name in walk:
            print(f"{module:40} {name}", file=sys.stderr)
    returns = returns_of(walk)
    often = ", ".join(f"{module} {count}" for module, count in Counter(returns).most_common(6))
    note = f"{len({module for module, _ in walk})} files, {len(walk)} functions; {often}"
    return [dict(name="returns to a module", value=len(returns), unit="", note=note)]
