"""Names of glaciers: which of them mean the same one, which words are no names, where some lie.

The table of known glaciers is ``known_glaciers.geojson``: marine-terminating glaciers with a point,
or with a polygon about the zone in which the front moves (by E. Loebel, MIT, see
``known_glaciers.LICENSE``).
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from icefront.errors import IcefrontError

__all__ = [
    "KnownGlacier",
    "Spellings",
    "glacier_named",
    "is_processing_word",
    "known_glaciers",
    "name_key",
]

_SEPARATORS = re.compile(r"(\d?)[\s_.\-]+(?=(\d?))")

# What processors, archives and people put before, behind and above the names of scenes.
_PROCESSING_WORD = re.compile(
    r"""
    ( measurements? | annotation | calibration | preview | manifest | safe | products?
    | subsets? | clip(s|ped)? | crop(s|ped)? | cut | mosaics? | merged? | stack(ed)? | tiles?
    | coreg(istered)? | resampled | reprojected | warped | geo(coded)? | terrain | corrected
    | orthorectified | filtered | despeckled | denoised | speckle | spk | lee | ml | multilook(ed)?
    | openeo | opera | hyp | snap | isce | gamma(nought)? | asf | cdse | gee | ee | earthengine
    | planetary | copernicus | sentinel | esa | nasa | dlr | jaxa
    | rtc | grd[hmf]? | c?slc | ocn | raw | (in|pol)?sar | radar | iw | ew | sm | wv | level
    | sigma(nought)? | beta(nought)? | backscatter | intensity | amp(litude)? | power | db | linear
    | cal(ibrated)? | orb(it)? | track | path | frame | bursts? | swaths?
    | asc(ending)? | desc(ending)? | dsc | pol | polari[sz]ation | bands? | utm | epsg
    | tiff? | geotiffs? | cogs? | vrt | png | img | images? | imagery | scenes? | rasters?
    | data(sets?)? | archives? | downloads? | exports? | files? | folder | batch
    | in(puts?)? | out(puts?)? | results? | proc | (pre|un)?processed | processing
    | orig(inals?)? | final | te?mp | test | copy | untitled | default )\d*
    """,
    re.VERBOSE,
)


def name_key(name: str) -> str:
    """Return what names of the same glacier share, however they are written.

    Upper and lower case, composed and decomposed letters, spaces, hyphens, underscores and dots
    make no difference; numbers do.

    Examples
    --------
    >>> name_key("UPERNAVIK_ISSTRØM_1") == name_key("Upernavik Isstrøm 1")
    True
    >>> name_key("Upernavik Isstrøm 1") == name_key("Upernavik Isstrøm 2")
    False
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    key = _SEPARATORS.sub(lambda part: part[1] + ("-" if part[1] and part[2] else ""), folded)
    return key or folded


def is_processing_word(word: str) -> bool:
    """Tell words of processors and archives, with or without a number, from names of glaciers.

    Examples
    --------
    >>> [word for word in ("Helheim", "subset", "OPERA", "track25") if is_processing_word(word)]
    ['subset', 'OPERA', 'track25']
    """
    return _PROCESSING_WORD.fullmatch(word.casefold()) is not None


class Spellings:
    """One spelling for each glacier: the first that is met.

    Parameters
    ----------
    names : iterable of str
        Spellings that win over later ones.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._spelled: dict[str, str] = {}
        for name in names:
            self.of(name)

    def of(self, name: str) -> str:
        """Return how a glacier is called that is written in some way."""
        return self._spelled.setdefault(name_key(name), name)

    def in_table(self, table: Any) -> Any:
        """Call each glacier of a table by one name, however it is written; missing ones stay.

        Parameters
        ----------
        table : DataFrame, GeoSeries or None
            Returned as it is where it has no column ``glacier``.
        """
        if table is None or "glacier" not in getattr(table, "columns", ()):
            return table
        names = table["glacier"]
        return table.assign(glacier=[self.of(n) if isinstance(n, str) else n for n in names])


_FOLDED_LETTERS = str.maketrans({"æ": "ae", "ø": "o", "å": "a", "ð": "d", "þ": "th", "ß": "ss"})
_KIND = re.compile(r"(glacier|gletscher|gletsjer|glaciar|isbr(ae|e)|brae|isstrom|sermia)$")
"""Words for a glacier at the end of a name, which people add and leave out."""


@dataclass(frozen=True)
class KnownGlacier:
    """A marine-terminating glacier that the program knows by name.

    Attributes
    ----------
    name : str
    aliases : tuple of str
        Other names and abbreviations, such as CaFFe's.
    region : str
    longitude, latitude : float
        A place at the front, in degrees.
    outline : tuple of (float, float)
        Corners of a polygon about the zone in which the front moves, longitude and latitude in
        degrees; empty where there is none.
    side_m : float
        Side of a square about the place that holds the front, in metres; 0 where there is an
        outline.
    caffe : "train", "test" or None
        The split of CaFFe that its images belong to.
    """

    name: str
    aliases: tuple[str, ...]
    region: str
    longitude: float
    latitude: float
    outline: tuple[tuple[float, float], ...]
    side_m: float
    caffe: Literal["train", "test"] | None


@cache
def known_glaciers() -> tuple[KnownGlacier, ...]:
    """Return the glaciers of the package's table, sorted by name."""
    text = (resources.files("icefront") / "known_glaciers.geojson").read_text("utf-8")
    found = []
    for feature in json.loads(text)["features"]:
        about, shape = feature["properties"], feature["geometry"]
        outline: tuple[tuple[float, float], ...] = ()
        if shape["type"] == "Polygon":
            outline = tuple((float(x), float(y)) for x, y in shape["coordinates"][0])
            east, north = ((min(axis) + max(axis)) / 2 for axis in zip(*outline, strict=True))
        else:
            east, north = shape["coordinates"]
        found.append(
            KnownGlacier(
                name=about["name"],
                aliases=tuple(about["aliases"]),
                region=about["region"],
                longitude=round(east, 3),
                latitude=round(north, 3),
                outline=outline,
                side_m=1e3 * about.get("side_km", 0),
                caffe=about.get("caffe"),
            )
        )
    return tuple(sorted(found, key=lambda glacier: glacier.name))


def glacier_named(name: str) -> KnownGlacier:
    """Look a glacier up by its name or an alias.

    Accents, signs between words and a word such as "glacier" at the end make no difference.

    Raises
    ------
    IcefrontError
        If none is called so; the sentence offers the nearest names.

    Examples
    --------
    >>> glacier_named("zachariae isstrom").name
    'Zachariæ Isstrøm'
    >>> glacier_named("Helheim Glacier").caffe, glacier_named("JAC").caffe
    (None, 'train')
    """
    by_key = _by_key()
    key = _plain(name)
    for wanted in (key, _KIND.sub("", key)):
        if wanted in by_key:
            return by_key[wanted]
    near = difflib.get_close_matches(key, by_key, n=6, cutoff=0.5)
    offered = list(dict.fromkeys(by_key[match].name for match in near))[:3]
    hint = f" (near it: {', '.join(offered)})" if offered else ""
    raise IcefrontError(
        f"No glacier named {name!r} is known{hint}: `icefront glaciers` lists them, and a place, a "
        "box or a file with a polygon does as well."
    )


@cache
def _by_key() -> dict[str, KnownGlacier]:
    found: dict[str, KnownGlacier] = {}
    for glacier in known_glaciers():
        for name in (glacier.name, *glacier.aliases):
            found[_plain(name)] = glacier
    # A name without its last word counts where no other glacier has it.
    for glacier in known_glaciers():
        for name in (glacier.name, *glacier.aliases):
            found.setdefault(_KIND.sub("", _plain(name)), glacier)
    return found


def _plain(name: str) -> str:
    """Fold a name as `name_key` does, and letters with accents to those without."""
    letters = unicodedata.normalize("NFKD", name.casefold().translate(_FOLDED_LETTERS))
    return name_key("".join(sign for sign in letters if not unicodedata.combining(sign)))
