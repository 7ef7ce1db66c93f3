"""From a glacier's name to its scenes: search, download, calibration and terrain correction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icefront.lazy import on_first_use

if TYPE_CHECKING:
    from icefront.acquisition.areas import Area, area_of
    from icefront.acquisition.backscatter import Backscatter, GrdFiles, grd_backscatter
    from icefront.acquisition.catalogues import Catalogue, catalogue_named
    from icefront.acquisition.fetch import Acquired, Settings, acquire
    from icefront.acquisition.heights import ConstantHeight, ElevationModel
    from icefront.acquisition.items import Item, Pass
    from icefront.acquisition.safe_products import grd_files
    from icefront.acquisition.search import Filters, Found, Recipe, read_recipe_of_scenes

__all__ = [
    "Acquired",
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
    "Settings",
    "acquire",
    "area_of",
    "catalogue_named",
    "grd_backscatter",
    "grd_files",
    "read_recipe_of_scenes",
]

__getattr__ = on_first_use(
    __name__,
    {
        "areas": ["Area", "area_of"],
        "backscatter": ["Backscatter", "GrdFiles", "grd_backscatter"],
        "catalogues": ["Catalogue", "catalogue_named"],
        "fetch": ["Acquired", "Settings", "acquire"],
        "heights": ["ConstantHeight", "ElevationModel"],
        "items": ["Item", "Pass"],
        "safe_products": ["grd_files"],
        "search": ["Filters", "Found", "Recipe", "read_recipe_of_scenes"],
    },
)
