"""Glaciers, sensors and seasons with a known truth; the names below are loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icefront.lazy import on_first_use

if TYPE_CHECKING:
    from icefront.simulation.archives import (
        STAMP,
        simulate_caffe,
        simulate_scenes,
        simulate_ssl4sar,
    )
    from icefront.simulation.calving import FrontHistory, FrontParameters
    from icefront.simulation.glacier import Glacier, GlacierParameters
    from icefront.simulation.presets import arctic_presets, caffe_presets, preset
    from icefront.simulation.radar import SENSORS, Sensor
    from icefront.simulation.samples import SimulatedImage, random_image, simulate_image
    from icefront.simulation.surfaces import Landscape
    from icefront.simulation.torch_dataset import SimulatedScenes

__all__ = [
    "SENSORS",
    "STAMP",
    "FrontHistory",
    "FrontParameters",
    "Glacier",
    "GlacierParameters",
    "Landscape",
    "Sensor",
    "SimulatedImage",
    "SimulatedScenes",
    "arctic_presets",
    "caffe_presets",
    "preset",
    "random_image",
    "simulate_caffe",
    "simulate_image",
    "simulate_scenes",
    "simulate_ssl4sar",
]

__getattr__ = on_first_use(
    __name__,
    {
        "archives": ["STAMP", "simulate_caffe", "simulate_scenes", "simulate_ssl4sar"],
        "calving": ["FrontHistory", "FrontParameters"],
        "glacier": ["Glacier", "GlacierParameters"],
        "presets": ["arctic_presets", "caffe_presets", "preset"],
        "radar": ["SENSORS", "Sensor"],
        "samples": ["SimulatedImage", "random_image", "simulate_image"],
        "surfaces": ["Landscape"],
        "torch_dataset": ["SimulatedScenes"],
    },
)
