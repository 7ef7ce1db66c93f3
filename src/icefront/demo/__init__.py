"""The main job on a simulated series whose true fronts are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icefront.lazy import on_first_use

if TYPE_CHECKING:
    from icefront.demo.demonstration import DemoReport, make_demo

__all__ = ["DemoReport", "make_demo"]

__getattr__ = on_first_use(
    __name__,
    {
        "demonstration": ["DemoReport", "make_demo"],
    },
)
