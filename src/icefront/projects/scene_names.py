"""Of which glacier, day and pass a scene is, by the names of its file and folders."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from icefront.files.names import shown
from icefront.glaciers import is_processing_word, name_key
from icefront.scenes.metadata import Metadata, find_date, find_polarisation, from_name, sensor_word

if TYPE_CHECKING:
    from icefront.projects.config import MonitoringConfig
    from icefront.projects.scene_files import Listed

POLARISATIONS = ("HH", "VV", "HV", "VH")
"""Of several images of one pass the first of these is taken: like polarisations show the edge of
ice more clearly than cross polarisations, and HH is what archives of glaciers hold most of."""

_POLARISATION = re.compile(r"(?<![^\W\d_])(HH|HV|VH|VV)(?![^\W\d_])", re.IGNORECASE)
# Measurement files of Sentinel-1 products are numbered, each channel with its own number.
_NUMBER_OF_CHANNEL = re.compile(
    r"(^|/)(s1[a-d]-\w+-\w+-[^/]*)-\d{3}((-cog)?\.tiff?)$", re.IGNORECASE
)
_PRODUCT_SUFFIX = re.compile(r"\.(safe|dim|data|zarr|seg|zip|tar|tgz|gz)$", re.IGNORECASE)
_PARTS = re.compile(r"[\W_]+")


def metadata_of_folders(folders: Sequence[str]) -> Metadata:
    """Read what the names of folders say, the innermost first; no glacier.

    Products lie in folders of their own, whose names tell day, sensor and orbit; archives have
    folders of years, months and days.
    """
    found = Metadata()
    for folder in reversed(folders):
        found = found.completed_by(from_name(_PRODUCT_SUFFIX.sub("", folder)))
    found = found.completed_by(Metadata(date=find_date("/".join(folders))))
    return replace(found, glacier=None, resolution_m=None)


def glacier_of(listed: Listed, named: str | None, config: MonitoringConfig) -> str | None:
    """Name the glacier of a scene.

    What the user says of the file wins; then a glacier of the configuration that a tag, the
    file's name or a folder names; then the tag or name itself; then the innermost folder that
    bears no words of processors, dates or sensors only.

    Parameters
    ----------
    listed : Listed
    named : str or None
        What the tags or the name of the file say.
    config : MonitoringConfig
    """
    if listed.glacier is not None:
        return known_glacier(listed.glacier, config) or listed.glacier
    own = [name for folder in reversed(listed.folders) if (name := _own_name(folder))]
    for word in (named, *reversed(listed.folders), *own):
        if word and (known := known_glacier(word, config)):
            return known
    return named or next(iter(own), None)


def known_glacier(word: str, config: MonitoringConfig) -> str | None:
    """Return the glacier of a configuration that has a name, or None."""
    key = name_key(word)
    for name, about in config.glaciers.items():
        if key in {name_key(text) for text in (name, *about.names)}:
            return name
    return None


def _own_name(folder: str) -> str | None:
    """Return what a folder's name says of a glacier, or None if a processor gave that name."""
    product = _PRODUCT_SUFFIX.sub("", folder)
    name = unicodedata.normalize("NFC", product).strip()
    if product != folder or find_date(name):
        return from_name(name).glacier
    words = [word for word in _PARTS.split(name) if word]
    if sensor_word(name) or all(word.isdecimal() or _is_no_name(word) for word in words):
        return None
    return name


def _is_no_name(word: str) -> bool:
    return bool(is_processing_word(word) or sensor_word(word) or find_polarisation(word))


def one_of_each_pass(
    listed: Iterable[Listed], kept: set[str], preferred: str | None = None
) -> list[Listed]:
    """Leave out images of a pass in other polarisations.

    Files are of one pass where their paths differ by the polarisation alone.

    Parameters
    ----------
    listed : iterable of Listed
    kept : set of str
        Paths of scenes that the project has: they stay, and no other one of their pass is added.
    preferred : str, optional
        Polarisation that is taken before the order of `POLARISATIONS`.
    """
    order = list(POLARISATIONS)
    if preferred is not None and preferred.upper() in order:
        order.sort(key=lambda polarisation: polarisation != preferred.upper())
    passes: dict[object, list[tuple[int, Listed]]] = {}
    for item in listed:
        key, polarisation = _pass_of(item)
        rank = order.index(polarisation) if polarisation else 0
        passes.setdefault(key, []).append((rank, item))
    found = []
    for images in passes.values():
        before = [item for _, item in images if shown(item.path) in kept]
        found += before or [min(images, key=lambda image: image[0])[1]]
    return sorted(found, key=lambda item: item.path)


def _pass_of(item: Listed) -> tuple[str, str | None]:
    """Return what the paths of the images of a pass share, and this one's polarisation."""
    below = len(item.folders) + 1
    above, named = "/".join(item.path.parts[:-below]), "/".join(item.path.parts[-below:])
    found = {match.upper() for match in _POLARISATION.findall(named)}
    if len(found) != 1:
        return str(item.path), None
    shared = _NUMBER_OF_CHANNEL.sub(r"\1\2\3", _POLARISATION.sub("*", named))
    return f"{above}//{shared}", found.pop()
