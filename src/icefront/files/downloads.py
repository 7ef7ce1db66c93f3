"""Fetching a file over HTTP: whole and right, or not at all, and going on after a break.

A file is fetched into a hidden part beside its place and gets its name when it is whole and its
checksum is right. After a break the part is continued by an HTTP range (RFC 9110, section 14), if
the server confirms that the file is still the same. The code is our own since pooch always asks for
the whole file and starts over after a break.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from icefront import __version__
from icefront.errors import IcefrontError
from icefront.files.atomic import explained_writing, free_space, move_into_place
from icefront.progress import steps

TRIES = 5
"""Number of breaks, without coming further than before, that end a download."""

MOST_BREAKS = 100
"""Number of breaks of any kind that end a download; the next call goes on after them."""

_GO_ON = "name another folder with --out; what was fetched stays, and the same command goes on"

TIMEOUT_S = 30.0
CHUNK = 1 << 20
LONGEST_WAIT_S = 60.0


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server.

    Attributes
    ----------
    name : str
        Name it shall have.
    url : str
    size : int or None
        Bytes, if known beforehand.
    checksum : str or None
        ``md5:...`` or ``sha256:...`` as the publisher states it.
    """

    name: str
    url: str
    size: int | None = None
    checksum: str | None = None


def readable(size: int) -> str:
    """Return a number of bytes with a unit, such as 1.2 GB."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follows a server to other web addresses, and not to FTP as the standard library does."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the request that follows a redirection."""
        if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
            raise IcefrontError(
                f"{req.full_url} leads on to an address that is no web address: it was not fetched."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class RefusedError(IcefrontError):
    """A refusal of a server that does not pass.

    Attributes
    ----------
    status : int
        Of HTTP.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class Passing(Exception):
    """A refusal that may pass: too many requests, or trouble in the server.

    Attributes
    ----------
    wait : float or None
        Seconds to wait, where the server says so.
    """

    def __init__(self, status: int, wait: float | None) -> None:
        super().__init__(f"HTTP {status}")
        self.wait = wait


@contextmanager
def opened_url(url: str, headers: dict[str, str], method: str = "GET") -> Iterator[Any]:
    """Ask a server once.

    Parameters
    ----------
    url : str
    headers : dict of str
    method : str

    Yields
    ------
    http.client.HTTPResponse

    Raises
    ------
    RefusedError
        If the server refuses for good.
    Passing
        If it refuses for now.
    IcefrontError
        If the URL is none.
    urllib.error.HTTPError
        With 416, if there is no such range.
    OSError
        If the connection fails.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise IcefrontError(f"{url} is no web address.")
    agent = {"User-Agent": f"icefront/{__version__}", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers={**agent, **headers}, method=method)
    try:
        opener = urllib.request.build_opener(_WebOnly)
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            yield answer
    except urllib.error.HTTPError as error:
        if error.code in (408, 425, 429) or error.code >= 500:
            after = error.headers.get("Retry-After", "")
            raise Passing(error.code, float(after) if after.isdigit() else None) from None
        if error.code == 416:
            raise
        raise RefusedError(
            f"{url.partition('?')[0]} is refused by the server (HTTP {error.code}): the file may "
            "have moved, or an account is needed; look at its page.",
            error.code,
        ) from None


PAUSE_S = 1.0
"""The first wait after a break; it doubles each time."""


def waiting_s(attempt: int, error: Exception) -> float:
    """Return how long to wait after a break, in seconds: as the server asks, or ever longer."""
    asked = getattr(error, "wait", None)
    return min(asked if asked is not None else PAUSE_S * 2**attempt, LONGEST_WAIT_S)


def _wait(attempt: int, error: Exception) -> None:
    time.sleep(waiting_s(attempt, error))


def sentence_of_silence(url: str, error: Exception) -> IcefrontError:
    """Return the error for a server that does not send a file."""
    reason = getattr(error, "reason", None) or error
    words = " ".join(str(reason).split()) or type(error).__name__
    host = urllib.parse.urlsplit(url).netloc
    return IcefrontError(
        f"{host} does not send {url} ({words}): check the connection and run the command again; it "
        "goes on where it stopped."
    )


@dataclass
class _Part:
    """The part of a file that is there, and what identifies the file on the server."""

    path: Path
    beside: Path
    known: dict[str, Any]

    @classmethod
    def of(cls, file: RemoteFile, folder: Path) -> _Part:
        path = folder / f".{file.name}.part"
        beside = folder / f".{file.name}.part.json"
        try:
            known = json.loads(beside.read_text())
        except (OSError, ValueError):
            known = {}
        if not isinstance(known, dict) or known.get("url") != file.url:
            known = {}
        return cls(path, beside, known)

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def validator(self) -> str | None:
        """What the server recognises the version of the file by, if it is strict enough."""
        etag = self.known.get("etag")
        if etag and not str(etag).startswith("W/"):
            return str(etag)
        return self.known.get("modified")

    def opened(self, *, go_on: bool) -> IO[bytes]:
        """Open the part to write what comes next, or all of it."""
        with explained_writing(self.path.parent, remedy=_GO_ON):
            return self.path.open("ab" if go_on else "wb")

    def remember(self, file: RemoteFile, answer: Any) -> None:
        """Note what the server calls the version of the file."""
        headers = answer.headers
        self.known = {
            "url": file.url,
            "etag": headers.get("ETag"),
            "modified": headers.get("Last-Modified"),
        }
        with explained_writing(self.path.parent, remedy=_GO_ON):
            self.beside.write_text(json.dumps(self.known))

    def drop(self) -> None:
        """Remove it."""
        with explained_writing(self.path.parent, remedy=_GO_ON):
            self.path.unlink(missing_ok=True)
            self.beside.unlink(missing_ok=True)
        self.known = {}


def fetch(file: RemoteFile, folder: Path, *, progress: bool = True) -> tuple[Path, str, list[str]]:
    """Fetch one file, whole and right, going on where an earlier try stopped.

    Parameters
    ----------
    file : RemoteFile
    folder : Path
        An existing folder. The part of an unfinished file stays in it, hidden, to go on from.
    progress : bool

    Returns
    -------
    Path
        The file.
    str
        Its SHA-256.
    list of str
        What happened on the way.

    Raises
    ------
    IcefrontError
        If the server refuses, goes away for good, or sends something else than was published, if
        the folder cannot be written, or if another process fetches the same file; then no file of
        that name is there.
    """
    with _alone(file, folder):
        return _fetch(file, folder, progress)


@contextmanager
def _alone(file: RemoteFile, folder: Path) -> Iterator[None]:
    """Keep other processes from the part of a file; the system frees the lock of a dead one."""
    path = folder / f".{file.name}.part.lock"
    with explained_writing(folder):
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise IcefrontError(
                f"Another process is fetching {file.name} into {folder}: wait for it, or name "
                "another folder with --out."
            ) from None
        except NotImplementedError:  # the file system has no locks
            pass
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def _fetch(file: RemoteFile, folder: Path, progress: bool) -> tuple[Path, str, list[str]]:
    target = folder / file.name
    part = _Part.of(file, folder)
    notes: list[str] = []
    if part.size and part.validator is None and file.checksum is None:
        part.drop()  # nothing could show whether the file is still the same
    free = free_space(folder)
    if file.size is not None and file.size - part.size > free:
        raise IcefrontError(
            f"{file.name} needs {readable(file.size - part.size)} and the disk of {folder} has "
            f"{readable(free)}: make room or name another folder with --out."
        )
    attempt = breaks = 0
    furthest = part.size
    with steps(f"Fetching {file.name}", file.size or 1, show=progress) as advance:
        if part.size:
            notes.append(f"{file.name}: went on after {readable(part.size)}.")
            advance(part.size)
        while True:
            try:
                if _continue(file, part, notes, advance):
                    break
                error: Exception = EOFError("the connection broke off")
            except urllib.error.HTTPError as problem:  # 416: the range begins beyond the end
                part.drop()
                error = problem
            except (Passing, OSError, http.client.HTTPException) as problem:
                error = problem
            breaks += 1
            attempt = 0 if part.size > furthest else attempt + 1
            furthest = max(furthest, part.size)
            if attempt >= TRIES or breaks >= MOST_BREAKS:
                raise sentence_of_silence(file.url, error) from None
            _wait(attempt, error)
    with explained_writing(folder, remedy=_GO_ON):
        digest = _checked(file, part)
        move_into_place(part.path, target)
    part.drop()
    return target, digest, notes


def remove_part(file: RemoteFile, folder: Path) -> None:
    """Remove what a process that was killed at the end of a download left beside the file."""
    _Part.of(file, folder).drop()
    (folder / f".{file.name}.part.lock").unlink(missing_ok=True)


def _continue(
    file: RemoteFile, part: _Part, notes: list[str], advance: Callable[[int], None]
) -> bool:
    """Ask for what is missing and write it down; True when the file is whole."""
    headers = {}
    start = part.size
    if file.size is not None and start == file.size:
        return True
    if start:
        headers["Range"] = f"bytes={start}-"
        if part.validator is not None:
            headers["If-Range"] = part.validator
    with opened_url(file.url, headers) as answer:
        total = file.size
        if start and answer.status == 206:
            placed = re.fullmatch(
                r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("Content-Range", "")
            )
            etag = answer.headers.get("ETag")
            known = part.known.get("etag")
            changed = etag is not None and known is not None and etag != known
            if placed is None or int(placed[1]) != start or changed:
                notes.append(f"{file.name}: changed on the server and was begun anew.")
                advance(-start)
                part.drop()
                return False
            if total is None and placed[3] != "*":
                total = int(placed[3])
        else:
            if start:
                notes.append(f"{file.name}: the server sent it from the beginning.")
                advance(-start)
                start = 0
            length = answer.headers.get("Content-Length", "")
            stated = int(length) if length.isdigit() else None
            if file.size is not None and stated is not None and stated != file.size:
                part.drop()
                raise IcefrontError(
                    f"{file.url} has {readable(stated)} instead of the published "
                    f"{readable(file.size)}: it was not fetched."
                )
            total = file.size if file.size is not None else stated
            part.remember(file, answer)
        with part.opened(go_on=start > 0) as sink:
            size = start
            while chunk := answer.read(CHUNK):
                with explained_writing(part.path.parent, remedy=_GO_ON):
                    sink.write(chunk)
                    sink.flush()
                size += len(chunk)
                advance(len(chunk))
                if total is not None and size > total:
                    break
    if total is None:
        return True  # nothing says how long it is; the checksum or the archive must show it
    if size > total:
        part.drop()
        raise IcefrontError(f"{file.url} sends more than the {readable(total)} it announced.")
    return size == total


def _checked(file: RemoteFile, part: _Part) -> str:
    """Compare with the published checksum; returns the SHA-256."""
    kind, _, wanted = (file.checksum or "").partition(":")
    if file.checksum is not None and kind not in ("md5", "sha1", "sha256", "sha512"):
        raise IcefrontError(f"The checksum {file.checksum} of {file.name} is of an unknown kind.")
    seen = hashlib.sha256()
    other = hashlib.new(kind, usedforsecurity=False) if file.checksum is not None else None
    with part.path.open("rb") as content:
        while chunk := content.read(CHUNK):
            seen.update(chunk)
            if other is not None:
                other.update(chunk)
    if other is not None and other.hexdigest() != wanted.lower():
        part.drop()
        raise IcefrontError(
            f"{file.name} arrived with the {kind} {other.hexdigest()} instead of {wanted}: it was "
            "thrown away; run the command again, and inform the publisher if it happens twice."
        )
    return seen.hexdigest()


def ask_json(url: str) -> Any:
    """Ask a server for JSON, patiently.

    Raises
    ------
    IcefrontError
        If it does not answer, or with something else.
    """
    for attempt in range(TRIES):
        try:
            with opened_url(url, {"Accept": "application/json"}) as answer:
                return json.load(answer)
        except Passing as error:
            _wait(attempt, error)
            last: Exception = error
        except ValueError:
            raise IcefrontError(f"{url} answers with something that is no JSON.") from None
        except (OSError, http.client.HTTPException) as error:
            _wait(attempt, error)
            last = error
    raise sentence_of_silence(url, last) from None


def size_of(url: str) -> int | None:
    """Ask for the size of a file; None if the server does not state it."""
    try:
        with opened_url(url, {}, method="HEAD") as answer:
            length = answer.headers.get("Content-Length", "")
            return int(length) if length.isdigit() else None
    except (Passing, IcefrontError, OSError, http.client.HTTPException):
        return None  # some servers refuse the question; the download itself will show it
