"""From a glacier's name to its scenes: search, download, calibration and terrain correction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icefront.lazy import on_first_use

if TYPE_CHECKING:
    from icefront.acquisition.areas import Area, area_of
    from icefront.acquisition.backscatter import Backscatter, GrdFiles, grd_backscatter
    from icefront.acquisition.catalogues import Catalogue, catalogue_named
    from icefront.acquisition.fetch import Acquired, AcquisitionSettings, acquire
    from icefront.acquisition.heights import ConstantHeight, ElevationModel
    from icefront.acquisition.items import Item, Pass
    from icefront.acquisition.safe_products import grd_files
    from icefront.acquisition.scene_search import (
        Filters,
        Found,
        Recipe,
        read_recipe_of_scenes,
        search,
    )

__all__ = [
    "Acquired",
    "AcquisitionSettings",
    "Area",
    "Backscatter",
    "Catalogue",
    "ConstantHeight",
    "ElevationModel",
    "Filters",
    "Found",
    "GrdFiles",
    "Item",
    "Pass",
    "Recipe",
    "acquire",
    "area_of",
    "catalogue_named",
    "grd_backscatter",
    "grd_files",
    "read_recipe_of_scenes",
    "search",
]

__getattr__ = on_first_use(
    __name__,
    {
        "areas": ["Area", "area_of"],
        "backscatter": ["Backscatter", "GrdFiles", "grd_backscatter"],
        "catalogues": ["Catalogue", "catalogue_named"],
        "fetch": ["Acquired", "AcquisitionSettings", "acquire"],
        "heights": ["ConstantHeight", "ElevationModel"],
        "items": ["Item", "Pass"],
        "safe_products": ["grd_files"],
        "scene_search": ["Filters", "Found", "Recipe", "read_recipe_of_scenes", "search"],
    },
)
