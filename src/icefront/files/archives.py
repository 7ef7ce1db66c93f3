"""Unpacking archives from elsewhere: all of it inside of the folder, or nothing.

The checks of names are our own, the same for ZIP and tar: tarfile's data filter covers tar only and
lets links pass, and zipfile renames what leads out of the folder where it should be refused.
"""

from __future__ import annotations

import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from icefront.errors import IcefrontError
from icefront.files.atomic import staging

CHUNK = 1 << 20
_PACKED = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\x00",
    b"7z\xbc\xaf",
    b"Rar!",
)


class Taken(IcefrontError):
    """Something of the same name is there already; the archive itself is sound."""


def is_archive(path: Path) -> bool:
    """Tell whether a file is named as a ZIP or tar archive."""
    name = path.name.lower()
    return name.endswith((".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"))


def is_packed(path: Path) -> bool:
    """Tell whether a file is a ZIP, tar, gzip, bzip2, xz, 7z or RAR by its first bytes."""
    with path.open("rb") as file:
        start = file.read(265)
    return start.startswith(_PACKED) or start[257:262] == b"ustar"


def unpack(
    archive: Path, folder: Path, *, before_moving: Callable[[list[str]], None] | None = None
) -> list[str]:
    """Unpack a ZIP or tar archive, all of it or nothing.

    Parameters
    ----------
    archive : Path
    folder : Path
        An existing folder.
    before_moving : callable, optional
        Called with the names of what will lie in the folder when all of it is unpacked.

    Returns
    -------
    list of str
        Names of what now lies in the folder.

    Raises
    ------
    IcefrontError
        If the archive is damaged or encrypted; if an entry has an absolute path, leads out of the
        folder, comes twice, or is a link or a device; or if something of the same name is there.
        The folder is as before then.
    """
    with staging(folder, lost="nothing was unpacked") as unfinished:
        try:
            for name, content in _entries(archive):
                _write_entry(unfinished / name, content, archive, name)
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError,
                gzip.BadGzipFile, RuntimeError, NotImplementedError) as error:  # fmt: skip
            reason = str(error).partition("\n")[0].rstrip(":")  # tarfile lists what it tried
            raise IcefrontError(
                f"The archive {archive} is damaged or encrypted ({reason}): nothing was unpacked."
            ) from None
        names = sorted(top.name for top in unfinished.iterdir())
        for name in names:
            if (folder / name).exists():
                raise Taken(f"{folder / name} is there already: name another folder, or move it.")
        if before_moving is not None:
            before_moving(names)
    return names


def _entries(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Yield the safe name and content of each entry, None for a folder."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            # Looked at before the first is written; of a tar the list is at no one place.
            names = [_safe(info.filename, archive) for info in packed.infolist()]
            for name, info in zip(names, packed.infolist(), strict=True):
                mode = info.external_attr >> 16
                if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise _refused(archive, info.filename, "a link or a device")
                if info.is_dir():
                    yield name, None
                else:
                    with packed.open(info) as content:
                        yield name, content
    else:
        with tarfile.open(archive) as stream:
            for member in stream:
                name = _safe(member.name, archive)
                if member.isdir():
                    yield name, None
                elif member.isreg():
                    yield name, stream.extractfile(member)
                else:
                    raise _refused(archive, member.name, "a link or a device")
            # The checksum of a compressed tar comes at its very end.
            while stream.fileobj is not None and _read(stream.fileobj):
                pass


def _read(content: Any) -> bytes:
    """Read on; the errors that each compression raises for damage become one."""
    try:
        return bytes(content.read(CHUNK))
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise tarfile.ReadError(str(error)) from None


def _refused(archive: Path, name: str, why: str) -> IcefrontError:
    return IcefrontError(f"The archive {archive} holds {name!r}, {why}: nothing was unpacked.")


def _safe(name: str, archive: Path) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    outside = name.startswith("/") or ".." in parts or "\\" in name or re.match(r"[A-Za-z]:", name)
    if outside or "\0" in name:
        raise _refused(archive, name, "which leads out of the folder")
    return "/".join(parts) or "."


def _write_entry(path: Path, content: IO[bytes] | None, archive: Path, name: str) -> None:
    if content is None:
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        raise _refused(archive, name, "which comes twice")
    with path.open("xb") as sink:
        while chunk := _read(content):
            sink.write(chunk)
