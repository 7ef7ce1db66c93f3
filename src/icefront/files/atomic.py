"""Files and folders that appear whole or not at all, and failures of writing in one sentence.

What is not finished lies in a hidden folder beside its place, which its writer keeps locked. The
system frees the lock when the writer ends, however it ends, so that the next writer knows by it
what dead ones left: files that were all finished are moved to their places, the rest is removed.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import cache, partial
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from icefront.errors import FullDiskError, IcefrontError

STAGING_PREFIX = ".icefront-unfinished-"
"""Start of the name of the hidden folder in which files are written."""

NOTHING_WRITTEN = "nothing was written"
"""What a full disk left where files are staged, for `explained_writing`."""

NAME_ANOTHER_FOLDER = "name another folder with --out"
"""What a user can do who cannot write into a folder, where commands name nothing else."""

# In a hidden folder: what its writer locks, the files, and the mark that all of them are finished.
_LOCK = ".lock"
_FILES = "files"
_COMPLETE = "complete"

_UNFINISHED_FILE = re.compile(r"\..+\.\d+\.part(\.\w+)?")
"""Hidden files that version 0.1.0 wrote, with the number of the process."""

_ABANDONED_S = 86_400.0
"""Age of what counts as left by a dead process where no lock tells it."""


def check_folder(out: Path, *, overwrite: bool) -> None:
    """Refuse a folder that must not be written into.

    Parameters
    ----------
    out : Path
        The folder, which need not exist. What dead processes left unfinished in it is removed.
    overwrite : bool
        Files of an earlier run may be replaced.

    Raises
    ------
    IcefrontError
        If it is a file, cannot be read, or is not empty and `overwrite` does not hold.
    """
    try:
        found = contents(out)
    except NotADirectoryError as error:
        raise IcefrontError(f"{out} is a file: name a folder for the results.") from error
    except OSError as error:
        raise _explained(error, out) from error
    if not found or overwrite:
        return
    if all(path.name.startswith(STAGING_PREFIX) for path in found):
        raise IcefrontError(
            f"Another process is writing into the folder {out}: wait for it, or name another one."
        )
    raise IcefrontError(
        f"The folder {out} is not empty: name another one, or give --overwrite to replace "
        "the files of an earlier run."
    )


def contents(folder: Path) -> list[Path]:
    """List what is in a folder, after what dead processes left unfinished in it is removed.

    Parameters
    ----------
    folder : Path
        It need not exist.

    Raises
    ------
    OSError
        If it is a file or cannot be read.
    """
    if not folder.exists():
        return []
    remove_unfinished(folder)
    return sorted(folder.iterdir())


@contextmanager
def staging(
    out: Path,
    *,
    remedy: str = NAME_ANOTHER_FOLDER,
    lost: str = NOTHING_WRITTEN,
    explain: bool = True,
) -> Iterator[Path]:
    """Write files beside their final place and move them there when all are done.

    If the block fails, is interrupted or writes nothing, everything is as before: folders that did
    not exist are removed again. A process that is killed while the files are moved leaves the
    others to the next call that writes into the folder.

    Parameters
    ----------
    out : Path
        The folder the files shall end up in; created if it does not exist.
    remedy : str
        What the user can do about a failure, for the message.
    lost : str
        What is not there after a full disk, where other files of the same command are.
    explain : bool
        Turn failures of files in the block into one sentence; False where it does other things,
        such as reading files or telling a caller.

    Yields
    ------
    Path
        An empty folder on the same file system, to write into.

    Raises
    ------
    IcefrontError
        If a file cannot be written, such as on a full disk.
    """
    explained = partial(explained_writing, out, remedy=remedy, lost=lost)
    with ExitStack() as stack:
        with explained():
            for folder in (*reversed(out.parents), out):
                if not folder.exists():
                    folder.mkdir()
                    stack.callback(_remove_empty, folder)
            remove_unfinished(out)
            # Inside `out`, not beside it: `out` may be a mounted disk of its own, and moving
            # between disks is no longer one step.
            hidden = stack.enter_context(_hidden_folder(out))
            (hidden / _FILES).mkdir()
        with explained() if explain else nullcontext():
            yield hidden / _FILES
        with explained():
            (hidden / _COMPLETE).touch()
            try:
                _publish(hidden)
            except KeyboardInterrupt:
                _publish(hidden)
                raise


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # it holds files
        folder.rmdir()


@contextmanager
def writing(path: Path, *, sync: bool = False, remedy: str = NAME_ANOTHER_FOLDER) -> Iterator[Path]:
    """Write a file in a hidden folder beside its place and move it there when it is whole.

    If the block fails or is interrupted, the hidden folder is removed and what lies at `path` stays
    as it was. Several processes may write the same file; the last to finish counts.

    Parameters
    ----------
    path : Path
        The file; its folder is created if it does not exist.
    sync : bool
        Wait until the content is on the disk before the file is moved, so that it is whole even
        after a power failure.
    remedy : str
        What the user can do about a failure, for the message.

    Yields
    ------
    Path
        Where to write, with the name of `path`. The block must have created the file when it ends.

    Raises
    ------
    IcefrontError
        If the file cannot be written, such as on a full disk.
    """
    lost = f"{path.name} was not written"
    with explained_writing(path.parent, remedy=remedy, lost=lost):
        if path.exists() and not path.is_file():
            raise IcefrontError(f"{path} is no file that can be replaced: name another one.")
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_unfinished_once(path.parent)
        with _hidden_folder(path.parent) as hidden:
            part = hidden / path.name
            yield part
            if sync:
                with part.open("rb") as file:
                    os.fsync(file.fileno())
            move_into_place(part, path)


def move_into_place(part: Path, path: Path) -> None:
    """Give a finished file its name, replacing what is there; the last step of every writing."""
    os.replace(part, path)


def _publish(hidden: Path) -> None:
    """Move all files of a complete hidden folder to their places."""
    for file in sorted((hidden / _FILES).iterdir()):
        move_into_place(file, hidden.parent / file.name)


@contextmanager
def _hidden_folder(folder: Path) -> Iterator[Path]:
    """Make a hidden folder that is locked while the block runs, and remove it after."""
    hidden, lock = _make_hidden_folder(folder)
    try:
        yield hidden
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        if lock is not None:
            lock.release()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder among the system's temporary files and remove it after the block.

    One whose process was killed is removed by the next call on the same machine.

    Yields
    ------
    Path
        An empty folder to write into.
    """
    home = Path(tempfile.gettempdir())
    with _hidden_folder(home) as hidden:
        for path in home.glob(f"{STAGING_PREFIX}*"):
            with suppress(OSError):
                # Other people write there too: what is theirs is neither opened nor locked.
                if path.lstat().st_uid == hidden.stat().st_uid:
                    _remove_if_dead(path)
        (hidden / _FILES).mkdir()
        yield hidden / _FILES


def _make_hidden_folder(folder: Path) -> tuple[Path, BaseFileLock | None]:
    while True:
        hidden = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=folder))
        try:
            lock = _lock(hidden)
        except Timeout:
            continue  # by another process, that removes it: before it was locked it looked dead
        if lock is None or (hidden / _LOCK).exists():
            return hidden, lock


def _lock(hidden: Path) -> BaseFileLock | None:
    """Lock a hidden folder; None where the file system has no locks.

    Raises
    ------
    Timeout
        If another process has locked it.
    """
    lock = FileLock(hidden / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:  # an OSError, too
        raise
    except (OSError, NotImplementedError):
        return None
    return lock


def remove_unfinished(folder: Path) -> None:
    """Remove what dead processes left unfinished in a folder, and finish what was complete.

    Parameters
    ----------
    folder : Path
        Other processes may be writing into it, and what they write stays. It need not exist.
    """
    try:
        found = list(folder.iterdir())
    except OSError:
        return
    for path in found:
        with suppress(OSError):
            if path.name.startswith(STAGING_PREFIX):
                _remove_if_dead(path)
            elif _UNFINISHED_FILE.fullmatch(path.name) and _is_old(path):
                path.unlink()


@cache
def _remove_unfinished_once(folder: Path) -> None:
    """Do so once a process, where many files are written one by one."""
    remove_unfinished(folder)


def _remove_if_dead(hidden: Path) -> None:
    try:
        lock = _lock(hidden)
    except Timeout:
        return
    if lock is None and not _is_old(hidden):
        return
    if (hidden / _COMPLETE).exists():
        with suppress(OSError):
            _publish(hidden)
    shutil.rmtree(hidden, ignore_errors=True)
    if lock is not None:
        lock.release()


def _is_old(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > _ABANDONED_S


def free_space(folder: Path) -> int:
    """Return how many bytes are free on the disk of an existing folder."""
    return shutil.disk_usage(folder).free


@contextmanager
def explained_writing(
    out: Path, *, remedy: str = NAME_ANOTHER_FOLDER, lost: str = ""
) -> Iterator[None]:
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
    lost : str
        What is not there after a full disk, such as "nothing was written", for the message.

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
        raise _explained(error, out, remedy, lost) from error


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


def _explained(
    error: BaseException, out: Path, remedy: str = NAME_ANOTHER_FOLDER, lost: str = ""
) -> IcefrontError:
    out = _shown(out)
    if _is_full(error, out):
        what = f" and {lost}" if lost else ""
        return FullDiskError(f"The disk of {out} is full{what}: make room or {remedy}.")
    if isinstance(error, PermissionError):
        return IcefrontError(f"The folder {out} may not be written: {remedy}.")
    reason = " ".join(str(error).split()) or type(error).__name__
    return IcefrontError(f"The results cannot be written to {out} ({reason}).")


def _shown(out: Path) -> Path:
    """Return the folder that the user knows, not the hidden one in it."""
    for number, part in enumerate(out.parts):
        if part.startswith(STAGING_PREFIX):
            return Path(*out.parts[:number])
    return out


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
