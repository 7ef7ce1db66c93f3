"""What a project watches: a folder of scenes, or a YAML file that says more."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Annotated, Any

import geopandas as gpd
from pydantic import BeforeValidator, Field

from icefront.errors import IcefrontError
from icefront.extraction.settings import ExtractionSettings
from icefront.fronts.area_of_interest import read_area
from icefront.glaciers import name_key
from icefront.recipes import Strict, read_yaml, validated


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _by_name(value: Any) -> Any:
    return {str(name): {} for name in value} if isinstance(value, list) else value


_Paths = Annotated[list[str], BeforeValidator(_listed)]
"""Files, folders and patterns; one needs no brackets."""


class GlacierConfig(Strict):
    """What is known of one glacier.

    Attributes
    ----------
    names : list of str
        Other names by which tags, files and folders call it.
    scenes : list of str
        Its files, folders and patterns, whatever they are called.
    aoi : str or None
        Vector file; fronts are drawn inside of its polygons only.
    model : str or None
        Name of a model or path of a checkpoint of its own, such as one that was adapted to it.
    """

    names: list[str] = Field([])
    scenes: _Paths = Field([])
    aoi: str | None = None
    model: str | None = None


class MonitoringConfig(ExtractionSettings):
    """A project. Paths are relative to the configuration's folder.

    Attributes
    ----------
    scenes : list of str
        Files, folders (searched to the bottom) and patterns such as ``archive/*/S1_*.tif``.
    table : str or None
        CSV with a column ``path`` and any of ``glacier``, ``date`` and ``sensor``, which win over
        what the files say.
    day_first : bool or None
        Whether ``02/06/2018`` in the table is in June, where no row of it proves that.
    glaciers : dict
        By name; a list of names will do where nothing else is said of them.
    aoi : str or None
        For all glaciers without one of their own. Where the file has a column ``glacier``, each
        takes its own polygons.
    outline : str or None
        Vector file with outlines of glaciers: where the ice lies outside of them is shore.
    model : str or None
        Name of a model or path of a checkpoint.
    band, radiometry, pixel_size, glacier, date, windows, symmetries, precision, device, tta, exact
        As for ``icefront extract``: see `icefront.extraction.settings.ExtractionSettings`.
    """

    scenes: _Paths = Field([])
    table: str | None = None
    day_first: bool | None = None
    glaciers: Annotated[dict[str, GlacierConfig], BeforeValidator(_by_name)] = Field({})
    model: str | None = None

    def extraction(self) -> ExtractionSettings:
        """Return how a scene is extracted; areas of interest are each glacier's own."""
        fields = ExtractionSettings.model_fields
        own = ("aoi", "outline")
        values = {name: getattr(self, name) for name in fields if name not in own}
        return ExtractionSettings.model_construct(**values, aoi=None, outline=None)


def read_config(source: str | Path) -> tuple[MonitoringConfig, Path]:
    """Read what a project watches.

    Parameters
    ----------
    source : path
        A folder of scenes, or a YAML file.

    Returns
    -------
    MonitoringConfig
    Path
        The folder that its paths are relative to.

    Raises
    ------
    IcefrontError
        If there is no such file or folder, or the file holds an unknown key or a wrong value.
    """
    path = Path(source)
    if os.path.isdir(path):
        return MonitoringConfig(scenes=["."]), path
    if not os.path.exists(path):
        raise IcefrontError(f"{path} does not exist: name a folder of scenes or a YAML file.")
    return validated(read_yaml(path, "configuration"), MonitoringConfig, str(path)), path.parent


class Areas:
    """Areas of interest by glacier, and outlines of glaciers, read once each.

    Parameters
    ----------
    config : MonitoringConfig
    root : Path

    Attributes
    ----------
    outline : GeoDataFrame or None
        For all glaciers.

    Raises
    ------
    IcefrontError
        If a file cannot be read or has no polygon.
    """

    def __init__(self, config: MonitoringConfig, root: Path) -> None:
        self._own = {
            name: read_area(root / about.aoi)
            for name, about in config.glaciers.items()
            if about.aoi is not None
        }
        self._common = None if config.aoi is None else read_area(root / config.aoi)
        self.outline = None
        if config.outline is not None:
            self.outline = read_area(root / config.outline, "outline")
        self._digests: dict[str | None, str] = {}

    def of(self, glacier: str | None) -> gpd.GeoDataFrame | None:
        """Return the polygons for a glacier, or None if its fronts are drawn everywhere."""
        if glacier in self._own:
            return self._own[glacier]
        common = self._common
        if common is None or "glacier" not in common.columns:
            return common
        named = common["glacier"].astype(str).map(name_key) == name_key(str(glacier))
        return common[named] if named.any() else None

    def digest(self, glacier: str | None) -> str:
        """Return what tells one area from another."""
        if glacier not in self._digests:
            area = self.of(glacier)
            text = _text_of(area) + _text_of(self.outline)
            self._digests[glacier] = hashlib.sha256(text.encode()).hexdigest()
        return self._digests[glacier]


def _text_of(area: gpd.GeoDataFrame | None) -> str:
    return "" if area is None else f"{area.crs}{[g.wkt for g in area.geometry]}"


def settings_digest(parameters: dict[str, Any], area: str) -> str:
    """Return what a front depends on beside its scene: two with the same digest are comparable."""
    text = json.dumps({**parameters, "area": area}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
