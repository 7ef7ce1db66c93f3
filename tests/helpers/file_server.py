"""Files served on this machine with ranges, by a server that can do all that goes wrong."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.helpers.local_server import serving


@dataclass
class FileServer:
    """What is served, what the server does wrong, and what it sent."""

    url: str = ""
    files: dict[str, bytes | Path] = field(default_factory=dict)
    ranges: bool = True
    status: list[int] = field(default_factory=list)
    """Refusals to come first."""
    retry_after: str = ""
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which each of the next answers breaks off."""
    longer: int = 0
    """Bytes by which it overstates the length of a file."""
    wrong_ranges: bool = False
    """Ranges other than those that are asked for are sent."""
    shorter: int = 0
    """Bytes of the longest range that is sent at a time; all for 0."""
    changes: bool = False
    """The file is another one each time."""
    gone: bool = False
    """Nothing is answered, and the connection is closed."""
    query: str = ""
    """What has to stand behind the question mark of each address."""
    sent: int = 0
    asked: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def content(self, name: str) -> bytes:
        """Return the content of a file."""
        found = self.files[name]
        return found.read_bytes() if isinstance(found, Path) else found


@contextmanager
def file_server(files: dict[str, bytes | Path] | None = None) -> Iterator[FileServer]:
    """Serve files on 127.0.0.1 while the block runs."""
    state = FileServer(files=dict(files or {}))
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def refuse(self, status: int) -> None:
            self.send_response(status)
            if state.retry_after:
                self.send_header("Retry-After", state.retry_after)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            name, _, query = self.path.lstrip("/").partition("?")
            with lock:
                state.asked.append(f"{name} {self.headers.get('Range', '')}".strip())
                status = state.status.pop(0) if state.status else 0
                cut = state.cut_after.pop(0) if state.cut_after else None
            if state.gone:
                self.close_connection = True
                return
            if status:
                return self.refuse(status)
            if state.query and query != state.query:
                return self.refuse(403)
            if name not in state.files:
                return self.refuse(404)
            content = state.content(name)
            start, stop, size = 0, len(content), len(content) + state.longer
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if wanted and state.ranges:
                start = int(wanted[1])
                stop = min(stop, int(wanted[2]) + 1) if wanted[2] else stop
                if state.shorter:
                    stop = min(stop, start + state.shorter)
                if start >= stop:
                    return self.refuse(416)
                first = start + 1 if state.wrong_ranges else start
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{stop - 1}/{size}")
            else:
                self.send_response(200)
            tag = hashlib.sha256(content).hexdigest()[:12]
            if state.changes:
                tag = str(len(state.asked))
            self.send_header("ETag", f'"{tag}"')
            self.send_header("Content-Length", str(stop - start))
            self.end_headers()
            body = content[start:stop] if cut is None else content[start : min(stop, start + cut)]
            # Before the last byte is out: whoever asked may look at the number at once.
            with lock:
                state.sent += len(body)
            try:
                self.wfile.write(body)
            except OSError:  # Whoever asked has enough.
                with lock:
                    state.sent -= len(body)

    with serving(Handler) as state.url:
        yield state
