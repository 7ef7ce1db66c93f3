"""Compiling an archive for pretraining, from the names of glaciers to series of images."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import shapely
from pydantic import Field, model_validator

from icefront.acquisition.archive_files import ArchiveFolder, glacier_word
from icefront.acquisition.areas import Area, area_of
from icefront.acquisition.catalogues import Catalogue, catalogue_named
from icefront.acquisition.fetch import SCRATCH, Settings, acquire
from icefront.acquisition.heights import ConstantHeight, ElevationModel, Heights, VerticalDatum
from icefront.acquisition.items import Pass
from icefront.acquisition.optical import optical_channels
from icefront.acquisition.optical_choice import choose_pass, summer_months
from icefront.acquisition.remote_images import Source
from icefront.acquisition.search import Filters, Recipe, search
from icefront.acquisition.signing import Signer, signer_of
from icefront.datasets.ssl4sar import TEST_GLACIERS, shared_glaciers
from icefront.errors import FullDiskError, IcefrontError
from icefront.files.ranges import Traffic
from icefront.glaciers import known_glaciers, name_key
from icefront.recipes import Strict

log = logging.getLogger("icefront.acquisition")

_COVERED = 0.9


class ArchiveGlacier(Strict):
    """A glacier of an archive.

    Attributes
    ----------
    name : str
    area : str or None
        A place, box, polygon or file as for ``icefront search``; by default what is known by the
        name.
    dem, dem_datum : str or None
        Elevation model of the ground, for GRD; see ``icefront acquire``.
    """

    name: str = Field(min_length=1)
    area: str | None = None
    dem: str | None = None
    dem_datum: VerticalDatum | None = None


class ArchiveConfig(Strict):
    """What an archive is made of.

    Attributes
    ----------
    glaciers : list of str or ArchiveGlacier
    start, end : date
        Of the radar images.
    catalogue, signing : str
        As for ``icefront search``.
    product : "grd" or "rtc"
    polarisation : str
    images : int or None
        Most radar images of each glacier, evenly in time; null for all.
    pixel_size_m : float
    orbits : list of int
        Relative orbits; empty for all.
    min_covered : float
        Fraction of the glacier's box that an image must cover.
    validation : float
        Fraction of the radar images that is for validation.
    optical_start, optical_end : date or None
        By default as for the radar images.
    optical_months : list of int or None
        By default July and August in the north, January and February in the south.
    """

    glaciers: list[str | ArchiveGlacier] = Field(min_length=1)
    start: dt.date
    end: dt.date
    catalogue: str = "planetary-computer"
    signing: str | None = None
    product: Literal["grd", "rtc"] = "grd"
    polarisation: Literal["HH", "HV", "VV", "VH"] = "HH"
    images: int | None = Field(None, gt=0)
    pixel_size_m: float = Field(20.0, gt=0)
    orbits: list[int] = Field([])
    min_covered: float = Field(_COVERED, ge=0, le=1)
    validation: float = Field(0.1, gt=0, lt=1)
    optical_start: dt.date | None = None
    optical_end: dt.date | None = None
    optical_months: list[int] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> ArchiveConfig:
        if self.end < self.start:
            raise ValueError(f"the end {self.end} lies before the start {self.start}")
        return self

    @property
    def described(self) -> list[ArchiveGlacier]:
        """The glaciers, each with all that is said of it."""
        return [ArchiveGlacier(name=g) if isinstance(g, str) else g for g in self.glaciers]


@dataclass(frozen=True)
class Compiled:
    """What a run added to an archive.

    Attributes
    ----------
    written : dict
        Number of radar images by glacier.
    lines : tuple of str
        Scenes and glaciers that were left out, and why, a sentence each.
    """

    written: dict[str, int]
    lines: tuple[str, ...]


def compile_archive(
    config: ArchiveConfig,
    out: Path,
    *,
    allow_test_glaciers: bool = False,
    workers: int = 4,
    signer: Signer | None = None,
    progress: bool = True,
) -> Compiled:
    """Make an archive for pretraining, or add what is missing to one.

    For each glacier: search, acquire into ``scenes/GLACIER``, choose the clearest summer image of
    Sentinel-2 over its box, and compile; see `icefront.acquisition.archive_files`.

    Parameters
    ----------
    config : ArchiveConfig
    out : Path
        Folder of the archive.
    allow_test_glaciers : bool
        Take glaciers of CaFFe's test split, too.
    workers : int
        Scenes that are fetched at a time.
    signer : callable, optional
        See `icefront.acquisition.fetch.acquire`.
    progress : bool

    Returns
    -------
    Compiled

    Raises
    ------
    IcefrontError
        If a glacier is unknown, comes twice or is one of CaFFe's test split, the folder holds
        another archive, the disk is full, or no glacier could be compiled at all.
    """
    catalogue = catalogue_named(config.catalogue, config.signing)
    areas = [(g, area_of(g.area or g.name, name=glacier_word(g.name))) for g in config.described]
    _check_distinct(areas)
    if not allow_test_glaciers:
        _check_no_test_glacier(areas)
    folder = ArchiveFolder(out, pixel_size_m=config.pixel_size_m, validation=config.validation)
    written: dict[str, int] = {}
    lines: list[str] = []
    for glacier, area in areas:
        try:
            found, told = _compile(
                config, catalogue, folder, glacier, area, workers, signer, progress
            )
        except FullDiskError:
            raise
        except IcefrontError as error:
            lines.append(f"{glacier.name} was left out: {error}")
            continue
        written[glacier.name] = found
        lines += told
    if not written:
        raise IcefrontError(lines[0] if len(lines) == 1 else "; ".join(lines))
    return Compiled(written, tuple(lines))


def _check_distinct(areas: Sequence[tuple[ArchiveGlacier, Area]]) -> None:
    seen: dict[str, str] = {}
    for glacier, area in areas:
        key = name_key(area.name)
        if key in seen:
            raise IcefrontError(
                f"The glaciers {seen[key]} and {glacier.name} are the same: keep one of them."
            )
        seen[key] = glacier.name


def _check_no_test_glacier(areas: Sequence[tuple[ArchiveGlacier, Area]]) -> None:
    """Refuse glaciers of CaFFe's test split, by name and by place.

    Raises
    ------
    IcefrontError
        If there is one.
    """
    for glacier, area in areas:
        named = shared_glaciers([glacier.name], TEST_GLACIERS)
        near = [
            known.name
            for known in known_glaciers()
            if known.caffe == "test" and _holds(area, known.longitude, known.latitude)
        ]
        if named or near:
            what = glacier.name if named else f"{near[0]}, which the area of {glacier.name} holds,"
            raise IcefrontError(
                f"{what} belongs to the test split of CaFFe: a model pretrained on it has seen "
                "the test. Leave it out, or give --allow-test-glaciers."
            )


def _holds(area: Area, longitude: float, latitude: float) -> bool:
    return bool(area.outline.intersects(shapely.Point(longitude, latitude)))


def _compile(
    config: ArchiveConfig,
    catalogue: Catalogue,
    folder: ArchiveFolder,
    glacier: ArchiveGlacier,
    area: Area,
    workers: int,
    signer: Signer | None,
    progress: bool,
) -> tuple[int, list[str]]:
    filters = Filters(
        polarisation=config.polarisation,
        relative_orbits=tuple(config.orbits),
        min_covered=config.min_covered,
    )
    radar = search(
        area,
        config.start,
        config.end,
        catalogue=catalogue,
        product=config.product,
        filters=filters,
        progress=progress,
    )
    passes = _evenly(radar.passes, config.images)
    lines = []
    if folder.optical_path(area.name) is None:
        lines += _add_optical(config, catalogue, folder, area, signer, progress)
    settings = Settings(
        pixel_size_m=config.pixel_size_m,
        polarisations=(config.polarisation,),
        heights=_heights(glacier),
    )
    acquired = acquire(
        Recipe(area, catalogue, passes),
        folder.root / "scenes" / area.name,
        settings=settings,
        workers=workers,
        signer=signer,
        progress=progress,
    )
    lines += [failed.sentence for failed in acquired.failed]
    names, refused = folder.add_scenes(
        area.name,
        [*acquired.present, *acquired.written],
        min_covered=config.min_covered,
        progress=progress,
    )
    return len(names), [*lines, *refused]


def _heights(glacier: ArchiveGlacier) -> Heights:
    if glacier.dem is None:
        return ConstantHeight()
    return ElevationModel(glacier.dem, glacier.dem_datum)


def _evenly(passes: Sequence[Pass], most: int | None) -> tuple[Pass, ...]:
    """Choose passes evenly in the order of time."""
    if most is None or len(passes) <= most:
        return tuple(passes)
    return tuple(passes[i] for i in np.linspace(0, len(passes) - 1, most).round().astype(int))


def _add_optical(
    config: ArchiveConfig,
    catalogue: Catalogue,
    folder: ArchiveFolder,
    area: Area,
    signer: Signer | None,
    progress: bool,
) -> list[str]:
    """Write the optical image of the clearest summer pass, and return what was decided."""
    grid = area.grid(config.pixel_size_m)
    months = config.optical_months or summer_months(grid)
    found = search(
        area,
        config.optical_start or config.start,
        config.optical_end or config.end,
        catalogue=catalogue,
        product="s2",
        filters=Filters(months=tuple(months), min_covered=config.min_covered),
        progress=progress,
    )
    source = Source(signer or signer_of(catalogue), Traffic(), folder.root / SCRATCH)
    opener = source.over(grid)
    chosen = choose_pass(found.passes, grid, opener)
    channels, notes = optical_channels(chosen.images, grid, opener)
    date = chosen.images[0].start.date()
    facts: dict[str, Any] = {
        "items": [image.name for image in chosen.images],
        "cloudy": round(chosen.clear.cloudy, 4),
        "missing": round(chosen.clear.missing, 4),
        "looked_at": chosen.looked_at,
        "notes": list(notes),
    }
    folder.add_optical(area.name, channels, grid, date, facts)
    log.info(
        "%s: optical image of %s, %.1f %% of the area under cloud",
        area.name, date, 100 * chosen.clear.cloudy,
    )  # fmt: skip
    return [*chosen.notes, *notes]
