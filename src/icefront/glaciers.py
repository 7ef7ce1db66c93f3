"""Names of glaciers: which of them mean the same glacier, and which words are no names at all."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

__all__ = ["Spellings", "is_processing_word", "name_key"]

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
