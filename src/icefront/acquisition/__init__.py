"""From a glacier's name to its scenes: search, download, calibration and terrain correction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icefront.lazy import on_first_use

if TYPE_CHECKING:
    from icefront.acquisition.backscatter import Backscatter, GrdFiles, grd_backscatter
    from icefront.acquisition.heights import ConstantHeight, ElevationModel
    from icefront.acquisition.safe_products import grd_files

__all__ = [
    "Backscatter",
    "ConstantHeight",
    "ElevationModel",
    "GrdFiles",
    "grd_backscatter",
    "grd_files",
]

__getattr__ = on_first_use(
    __name__,
    {
        "backscatter": ["Backscatter", "GrdFiles", "grd_backscatter"],
        "heights": ["ConstantHeight", "ElevationModel"],
        "safe_products": ["grd_files"],
    },
)
