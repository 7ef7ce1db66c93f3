"""Names of files: such as every file system takes, all different, and fit to be shown."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

LONGEST_BYTES = 160
"""Length of a name in UTF-8; with endings and numbers it stays below the 255 of file systems."""

_UNFIT = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')


def file_name(text: str) -> str:
    """Return a text as the name of a file or folder: unfit signs as ``_``, long texts cut.

    What is cut off is told apart by a digest.

    Examples
    --------
    >>> file_name("Jakobshavn: north")
    'Jakobshavn_ north'
    >>> len(file_name(300 * "a"))
    160
    """
    name = _UNFIT.sub("_", text)
    if len(name.encode()) <= LONGEST_BYTES:
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    kept = name.encode()[: LONGEST_BYTES - len(digest) - 1].decode("utf-8", "ignore")
    return f"{kept}_{digest}"


def distinct_names(paths: Sequence[str]) -> list[str]:
    """Name the products of each scene by its file's stem, numbered where stems are the same.

    Names differ also where a file system does not tell upper from lower case, or composed from
    decomposed letters.
    """
    stems = [file_name(Path(path).stem) for path in paths]
    reserved = {_folded(stem) for stem in stems}
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    names = []
    for stem in stems:
        key = _folded(stem)
        name, number = stem, numbers.get(key, 1)
        if number > 1:
            name = f"{stem}_{number}"
        while _folded(name) in taken or (number > 1 and _folded(name) in reserved):
            number += 1
            name = f"{stem}_{number}"
        numbers[key] = number
        taken.add(_folded(name))
        names.append(name)
    return names


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path as text that can be printed and stored: bytes that are not UTF-8 as ``\\xff``.

    Examples
    --------
    >>> shown("Helheim_2018.tif"), shown("Isstr\\udcf8m.tif")
    ('Helheim_2018.tif', 'Isstr\\\\xf8m.tif')
    """
    name = re.sub(
        "[\udc80-\udcff]", lambda sign: f"\\x{ord(sign[0]) - 0xDC00:02x}", os.fspath(path)
    )
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def is_text(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is UTF-8, as the libraries that read images demand."""
    return not any("\ud800" <= sign <= "\udfff" for sign in os.fspath(path))


def not_text(path: str | os.PathLike[str]) -> str:
    """Return the sentence about a path that is not UTF-8."""
    return f"The name of {shown(path)} is not UTF-8: rename the file."
