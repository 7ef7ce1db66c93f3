"""Files and folders that appear whole or not at all, and failures of writing in one sentence."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from icefront.errors import IcefrontError

STAGING_PREFIX = ".icefront-unfinished-"
"""Start of the name of the hidden folder in which a run's files are written."""

NAME_ANOTHER_FOLDER = "name another folder with --out"
"""What a user can do who cannot write into a folder, where commands name nothing else."""


def check_folder(out: Path, *, overwrite: bool) -> None:
    """Refuse a folder that must not be written into.

    Parameters
    ----------
    out : Path
        The folder, which need not exist.
    overwrite : bool
        Files of an earlier run may be replaced.

    Raises
    ------
    IcefrontError
        If it is a file, cannot be read, or is not empty and `overwrite` does not hold.
    """
    try:
        filled = out.exists() and any(out.iterdir())
    except NotADirectoryError as error:
        raise IcefrontError(f"{out} is a file: name a folder for the results.") from error
    except OSError as error:
        raise _explained(error, out) from error
    if filled and not overwrite:
        raise IcefrontError(
            f"The folder {out} is not empty: name another one, or give --overwrite to replace "
            "the files of an earlier run."
        )


@contextmanager
def staging(out: Path) -> Iterator[Path]:
    """Write files beside their final place and move them there when all are done.

    If the block fails, is interrupted or writes nothing, everything is as before: folders that did
    not exist are removed again.

    Parameters
    ----------
    out : Path
        The folder the files shall end up in; created if it does not exist.

    Yields
    ------
    Path
        An empty folder on the same file system, to write into.

    Raises
    ------
    IcefrontError
        If a file cannot be written, such as on a full disk.
    """
    created: list[Path] = []
    unfinished: Path | None = None
    try:
        with explained_writing(out):
            for folder in (*reversed(out.parents), out):
                if not folder.exists():
                    folder.mkdir()
                    created.append(folder)
            # Inside `out`, not beside it: `out` may be a mounted disk of its own, and moving
            # between disks is no longer one step.
            unfinished = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=out))
        yield unfinished
        with explained_writing(out):
            for file in sorted(unfinished.iterdir()):
                move_into_place(file, out / file.name)
                created = []
    finally:
        if unfinished is not None:
            shutil.rmtree(unfinished, ignore_errors=True)
        for folder in reversed(created):
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def writing(path: Path, *, sync: bool = False, remedy: str = NAME_ANOTHER_FOLDER) -> Iterator[Path]:
    """Write a file under a hidden name beside its place and give it its own name when it is whole.

    If the block fails or is interrupted, the hidden file is removed and what lies at `path` stays
    as it was. Several processes may write the same file; the last to finish counts. What a killed
    process leaves behind is removed by `remove_unfinished`.

    Parameters
    ----------
    path : Path
        The file; its folder is created if it does not exist.
    sync : bool
        Wait until the content is on the disk before the file gets its name, so that it is whole
        even after a power failure.
    remedy : str
        What the user can do about a failure, for the message.

    Yields
    ------
    Path
        The hidden name, with the suffix of `path`, by which libraries tell the format. The block
        must have created the file when it ends.

    Raises
    ------
    IcefrontError
        If the file cannot be written, such as on a full disk.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        with explained_writing(path.parent, remedy=remedy):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            if sync:
                with part.open("rb") as file:
                    os.fsync(file.fileno())
            move_into_place(part, path)
    finally:
        part.unlink(missing_ok=True)


def move_into_place(part: Path, path: Path) -> None:
    """Give a finished file its name, replacing what is there; the last step of every writing."""
    os.replace(part, path)


def remove_unfinished(folder: Path) -> None:
    """Remove the hidden files that killed processes left in a folder.

    Parameters
    ----------
    folder : Path
        No other process may be writing into it; it need not exist.
    """
    for part in folder.glob(".*.part*"):
        part.unlink(missing_ok=True)


def free_space(folder: Path) -> int:
    """Return how many bytes are free on the disk of an existing folder."""
    return shutil.disk_usage(folder).free


@contextmanager
def explained_writing(out: Path, *, remedy: str = NAME_ANOTHER_FOLDER) -> Iterator[None]:
    """Turn a failure of writing a file, whatever library wrote it, into one sentence.

    Raster and vector libraries raise errors of their own, some without the system's error number;
    their messages and the room that is left tell a full disk. Other exceptions of the block, such
    as the TypeError of a calculation, pass as they are.

    Parameters
    ----------
    out : Path
        The folder the user named.
    remedy : str
        What the user can do about it, for the message.

    Raises
    ------
    IcefrontError
        If a file cannot be written.
    """
    try:
        yield
    except IcefrontError:
        raise
    except Exception as error:
        if not _is_of_writing(error, out):
            raise
        raise _explained(error, out, remedy) from error


_WRITERS = frozenset(
    {
        "PIL",
        "_sqlite3",
        "fiona",
        "h5netcdf",
        "h5py",
        "netCDF4",
        "pyogrio",
        "rasterio",
        "safetensors",
        "safetensors_rust",
        "sqlite3",
        "zipfile",
    }
)
"""Packages whose exceptions are failures of files; those of other libraries are OSErrors."""

_WRITER_WORDS = ("inline_container", "parent directory", "netcdf:")
"""Words of the plain RuntimeErrors that torch and netCDF4 raise for failures of files."""

_FULL_NUMBERS = (errno.ENOSPC, errno.EDQUOT)
_FULL_WORDS = ("no space left", "disk is full", "disk full", "quota exceeded")
_LITTLE_ROOM = 100_000
"""Bytes; with fewer left after a failed write the disk is called full."""


def _is_of_writing(error: Exception, out: Path) -> bool:
    """Tell whether an exception is a failure of a file rather than of the program.

    A plain RuntimeError counts where its words or a full disk say so.
    """
    if isinstance(error, OSError):
        return True
    if any(kind.__module__.partition(".")[0] in _WRITERS for kind in type(error).__mro__):
        return True
    if type(error) is not RuntimeError:
        return False
    return any(words in str(error).lower() for words in _WRITER_WORDS) or _is_full(error, out)


def _explained(error: BaseException, out: Path, remedy: str = NAME_ANOTHER_FOLDER) -> IcefrontError:
    if _is_full(error, out):
        return IcefrontError(
            f"The disk of {out} is full and nothing was written: make room or {remedy}."
        )
    if isinstance(error, PermissionError):
        return IcefrontError(f"The folder {out} may not be written: {remedy}.")
    reason = " ".join(str(error).split()) or type(error).__name__
    return IcefrontError(f"The results cannot be written to {out} ({reason}).")


def _is_full(error: BaseException | None, out: Path) -> bool:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in _FULL_NUMBERS:
            return True
        if any(words in str(error).lower() for words in _FULL_WORDS):
            return True
        error = error.__cause__ or error.__context__
    existing = next((folder for folder in (out, *out.parents) if folder.exists()), None)
    return existing is not None and free_space(existing) < _LITTLE_ROOM
