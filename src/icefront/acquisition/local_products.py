"""Sentinel-1 products that lie on this machine, as a recipe."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from icefront.acquisition.annotations import read_annotation
from icefront.acquisition.areas import Area
from icefront.acquisition.backscatter import GrdFiles
from icefront.acquisition.catalogues import Catalogue
from icefront.acquisition.items import POLARISATIONS, Item, passes_of
from icefront.acquisition.safe_products import NoPolarisationError, grd_files
from icefront.acquisition.search import Recipe


def recipe_of_products(paths: Sequence[Path], area: Area) -> Recipe:
    """Return the recipe for putting products on the grid of an area.

    Parameters
    ----------
    paths : sequence of Path
        SAFE folders, or zip files of them.
    area : Area

    Raises
    ------
    IcefrontError
        If one is missing, damaged or no Sentinel-1 GRD product.
    """
    items = [_item_of(path, area) for path in paths]
    return Recipe(area, Catalogue("local", "this machine", ""), tuple(passes_of(items, area)))


def _item_of(path: Path, area: Area) -> Item:
    files: dict[str, GrdFiles] = {}
    for name in POLARISATIONS:
        with suppress(NoPolarisationError):
            files[name] = grd_files(path, name)
    facts = read_annotation(next(iter(files.values())).annotation).facts
    start = facts.start if facts.start.tzinfo else facts.start.replace(tzinfo=dt.UTC)
    name = path.name.removesuffix(".zip").removesuffix(".SAFE")
    return Item(
        id=name,
        product="grd",
        start=start,
        satellite=facts.platform,
        mode=facts.mode,
        direction="ascending" if facts.orbit_direction.lower() == "ascending" else "descending",
        relative_orbit=facts.relative_orbit,
        absolute_orbit=facts.absolute_orbit,
        images={channel: one.measurement for channel, one in files.items()},
        cloud_percent=None,
        # Whether an image lies beside the area is found when it is put on the grid.
        outline=area.outline,
        size=None,
        key=name,
        processed="",
        raw={},
        local=path,
    )
