"""Reading parts of files on servers: only what is needed, patiently, and never wrong bytes.

GDAL reads through this by rasterio's ``opener``, and not through its own ``/vsicurl/``: that one
keeps for the rest of a process that a file was refused once (also by 429 and 503), does not wait as
long as a server asks for, and does not tell how many bytes came.
"""

from __future__ import annotations

import bisect
import http.client
import io
import re
import threading
import time
import urllib.error
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from icefront.errors import IcefrontError
from icefront.files import downloads
from icefront.files.downloads import Passing, RefusedError, opened_url, sentence_of_silence

FIRST_BYTES = 32_768
"""What is read of a file to begin with: it holds the directories of most images."""

READ_AHEAD = 32_768
"""The least that is asked for at a time; doubled while a file is read on and on."""

MOST_READ_AHEAD = 2 << 20

NEAR = 16_384
"""Ranges that are no further apart are read as one."""

MOST_AT_ONCE = 4
"""Requests that one server is sent at a time."""

MOST_SMALL = 64 << 20
"""Bytes of the largest file that is read whole into memory."""


class NoRangesError(IcefrontError):
    """A server that sends whole files only."""


@dataclass
class Traffic:
    """What was asked of servers by all readers of a run, and when each may be asked again.

    Attributes
    ----------
    received : int
        Bytes of content.
    requests : int
    told : callable or None
        Is told of bytes as they come.
    """

    told: Callable[[int], None] | None = None
    received: int = 0
    requests: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _hosts: dict[str, threading.Semaphore] = field(default_factory=dict)
    _not_before: dict[str, float] = field(default_factory=dict)
    _closed: bool = False

    def _check_open(self) -> None:
        if self._closed:
            raise IcefrontError("The run was ended before this file was read.")

    def count(self, size: int) -> None:
        """Count bytes that came."""
        with self._lock:
            self.received += size
            if self.told is not None:
                self.told(size)

    @contextmanager
    def turn(self, url: str) -> Iterator[None]:
        """Wait until a server may be asked, and hold one of its places meanwhile."""
        host = urllib.parse.urlsplit(url).netloc
        with self._lock:
            place = self._hosts.setdefault(host, threading.Semaphore(MOST_AT_ONCE))
        with place:
            while (rest := self._not_before.get(host, 0.0) - time.monotonic()) > 0:
                time.sleep(min(rest, 0.2))
                self._check_open()
            self._check_open()
            with self._lock:
                self.requests += 1
            yield

    def close(self) -> None:
        """Let no more be asked: the run ends."""
        self._closed = True

    def pause(self, url: str, seconds: float) -> None:
        """Ask a server nothing for some time: it is too busy, whoever asks."""
        host = urllib.parse.urlsplit(url).netloc
        with self._lock:
            until = time.monotonic() + seconds
            self._not_before[host] = max(self._not_before.get(host, 0.0), until)


def shown(url: str) -> str:
    """Return a URL without its query, which may hold a signature."""
    return url.partition("?")[0]


class RemoteBytes:
    """The parts of a file on a server that have been asked for.

    Parameters
    ----------
    address : callable
        Returns the URL; is asked again with True where the last one was refused, since signatures
        expire.
    traffic : Traffic

    Raises
    ------
    NoRangesError
        If the server sends whole files only.
    IcefrontError
        If it refuses, goes away for good, or sends something else than was asked for. Since the
        libraries that read the file hide what is raised here, it stays in `failure`.
    """

    def __init__(self, address: Callable[[bool], str], traffic: Traffic) -> None:
        self.failure: Exception | None = None
        self._address = address
        self._traffic = traffic
        self._ahead = READ_AHEAD
        self._next = -1
        self._version: str | None = None
        # Parts of the file in order, that do not touch.
        self._starts: list[int] = []
        self._parts: list[bytes] = []
        self._size: int | None = None
        self._fetch(0, FIRST_BYTES)

    @property
    def size(self) -> int:
        """Bytes of the whole file, as the server says."""
        assert self._size is not None
        return self._size

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from start to stop, or to the end of the file."""
        try:
            return self._bytes(start, min(stop, self.size))
        except Exception as error:
            self.failure = self.failure or error
            raise

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Fetch ranges (start, stop) in as few requests as possible."""
        wanted: list[list[int]] = []
        for start, stop in sorted(ranges):
            for gap in self._gaps(start, min(stop, self.size)):
                if wanted and gap[0] - wanted[-1][1] <= NEAR:
                    wanted[-1][1] = max(wanted[-1][1], gap[1])
                else:
                    wanted.append(list(gap))
        for start, stop in wanted:
            self._fetch(start, stop)

    def _bytes(self, start: int, stop: int) -> bytes:
        if start >= stop:
            return b""
        for first, last in list(self._gaps(start, stop)):
            # Whoever reads on and on gets more at a time.
            self._ahead = (
                min(2 * self._ahead, MOST_READ_AHEAD) if first == self._next else READ_AHEAD
            )
            last = min(self.size, max(last, first + self._ahead))
            self._fetch(first, last)
            self._next = last
        number = bisect.bisect_right(self._starts, start) - 1
        offset = start - self._starts[number]
        return self._parts[number][offset : offset + stop - start]

    def _gaps(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges within one that are not there yet."""
        for first, part in zip(self._starts, self._parts, strict=True):
            last = first + len(part)
            if last <= start:
                continue
            if first >= stop:
                break
            if first > start:
                yield start, first
            start = max(start, last)
        if start < stop:
            yield start, stop

    def _keep(self, start: int, content: bytes) -> None:
        """Add a part, and make it one with those that it touches."""
        number = bisect.bisect_right(self._starts, start)
        if number and self._starts[number - 1] + len(self._parts[number - 1]) >= start:
            number -= 1
            before = self._starts[number]
            content = self._parts[number][: start - before] + content
            start = before
            del self._starts[number], self._parts[number]
        stop = start + len(content)
        while number < len(self._starts) and self._starts[number] <= stop:
            content += self._parts[number][stop - self._starts[number] :]
            stop = start + len(content)
            del self._starts[number], self._parts[number]
        self._starts.insert(number, start)
        self._parts.insert(number, content)

    def _fetch(self, start: int, stop: int) -> None:
        """Ask for a range until all of it is there."""
        content = bytearray()
        url = self._address(False)
        attempt, renewed = 0, False
        while start + len(content) < stop:
            before = len(content)
            try:
                with self._traffic.turn(url):
                    stop = self._ask(url, start + before, stop, content)
                error: Exception = EOFError("the connection broke off")
            except RefusedError as refusal:
                if refusal.status not in (400, 401, 403) or renewed:
                    raise
                # A signature that expired meanwhile.
                renewed, url = True, self._address(True)
                continue
            except urllib.error.HTTPError:  # 416: nothing is there
                raise IcefrontError(
                    f"{shown(url)} ends before byte {start + before}, unlike its server says: it "
                    "was not read."
                ) from None
            except Passing as passing:
                self._traffic.pause(url, downloads.waiting_s(attempt, passing))
                error = passing
            except (OSError, http.client.HTTPException) as broken:
                error = broken
            if start + len(content) >= stop:
                break
            attempt = 0 if len(content) > before else attempt + 1
            if attempt >= downloads.TRIES:
                raise sentence_of_silence(shown(url), error) from None
            if attempt and not isinstance(error, Passing):
                time.sleep(downloads.waiting_s(attempt - 1, error))
        if content:
            self._keep(start, bytes(content))

    def _ask(self, url: str, start: int, stop: int, content: bytearray) -> int:
        """Ask once and add what comes to the content; return where the range can end at most."""
        with opened_url(url, {"Range": f"bytes={start}-{stop - 1}"}) as answer:
            if answer.status != 206:
                host = urllib.parse.urlsplit(url).netloc
                raise NoRangesError(f"{host} sends {shown(url)} only as a whole.")
            stop, sent = self._checked(url, answer.headers, start, stop)
            want = sent - start
            while want > 0 and (chunk := answer.read(min(want, downloads.CHUNK))):
                content += chunk
                want -= len(chunk)
                self._traffic.count(len(chunk))
        return stop

    def _checked(
        self, url: str, headers: http.client.HTTPMessage, start: int, stop: int
    ) -> tuple[int, int]:
        """Check what a server says of a range; return where it can end, and where this one does."""
        text = headers.get("Content-Range", "")
        placed = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", text)
        if placed is None or int(placed[1]) != start or int(placed[2]) < start:
            raise IcefrontError(
                f"{shown(url)} is not sent as it is asked for ({text or 'no range'} instead of "
                f"bytes {start} to {stop - 1}): it was not read."
            )
        total = int(placed[3])
        version = headers.get("ETag") or headers.get("Last-Modified")
        if self._size is None:
            self._size, self._version = total, version
        elif total != self._size or (version and self._version and version != self._version):
            raise IcefrontError(
                f"{shown(url)} changed on the server while it was read: run the command again."
            )
        stop = min(stop, total)
        return stop, min(stop, int(placed[2]) + 1)


class RemoteFileView(io.RawIOBase):
    """A file on a server as one that is open for reading."""

    def __init__(self, content: RemoteBytes) -> None:
        super().__init__()
        self._content = content
        self._place = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read from any place."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._content.size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        """Return the place."""
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """Return bytes from the place on."""
        whole = size is None or size < 0
        stop = self._content.size if whole else self._place + (size or 0)
        content = self._content.read(self._place, stop)
        self._place += len(content)
        return content


def read_small(address: Callable[[bool], str], traffic: Traffic) -> bytes:
    """Read a small file whole.

    Raises
    ------
    IcefrontError
        If the server refuses, goes away for good, or the file is too large.
    """
    try:
        remote = RemoteBytes(address, traffic)
    except NoRangesError:
        return _whole(address, traffic)
    if remote.size > MOST_SMALL:
        url = shown(address(False))
        raise IcefrontError(f"{url} is too large for what it should be: it was not read.")
    return remote.read(0, remote.size)


def _whole(address: Callable[[bool], str], traffic: Traffic) -> bytes:
    url = address(False)
    for attempt in range(downloads.TRIES):
        try:
            with traffic.turn(url), opened_url(url, {}) as answer:
                content = answer.read(MOST_SMALL + 1)
                length = answer.headers.get("Content-Length", "")
            traffic.count(len(content))
            if length.isdigit() and len(content) < min(int(length), MOST_SMALL + 1):
                raise EOFError("the connection broke off")
            if len(content) > MOST_SMALL:
                raise IcefrontError(
                    f"{shown(url)} is too large for what it should be: it was not read."
                )
            return bytes(content)
        except Passing as passing:
            traffic.pause(url, downloads.waiting_s(attempt, passing))
            last: Exception = passing
        except (OSError, EOFError, http.client.HTTPException) as error:
            time.sleep(downloads.waiting_s(attempt, error))
            last = error
    raise sentence_of_silence(shown(url), last)
