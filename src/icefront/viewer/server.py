"""The server of the viewer: on this machine only, for one project."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import socket
import string
import sys
import webbrowser
from contextlib import suppress
from pathlib import Path

import uvicorn

from icefront.errors import IcefrontError
from icefront.files.atomic import writing
from icefront.viewer.application import make_application
from icefront.viewer.open_project import opened_project

HOST = "127.0.0.1"

_TOKEN_SIGNS = frozenset(string.ascii_letters + string.digits + "-_")
_TOKEN_LENGTH = 43


def view_project(project: Path, *, port: int | None = None, browser: bool = True) -> None:
    """Show a project on a page of this machine, until the server is stopped.

    Prints the address of the page as one line on stdout. Where it is free, a project gets the port
    that it had before, and always the token: a page that was open when the server stopped goes on
    when it is started again.

    Parameters
    ----------
    project : Path
    port : int, optional
        Any free one by default.
    browser : bool
        Open the page in the browser.

    Raises
    ------
    IcefrontError
        If it is no project, or the port is taken.
    """
    with opened_project(project) as opened:
        kept = _kept_address(opened.folder)
        token = kept[1] if kept else secrets.token_urlsafe(32)
        listener = _listen(port, None if kept is None else kept[0])
        with listener:
            number = listener.getsockname()[1]
            _keep_address(opened.folder, number, token)
            hosts = [f"{name}:{number}" for name in (HOST, "localhost")]
            address = f"http://{HOST}:{number}/?token={token}"
            # Connections wait in the socket until the server takes them.
            print(address, flush=True)
            if browser:
                with suppress(webbrowser.Error):
                    webbrowser.open(address)
            opened.finish_passes()
            config = uvicorn.Config(
                make_application(opened, token, hosts),
                log_level="error",
                access_log=False,
                server_header=False,
                date_header=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=5,
            )
            uvicorn.Server(config).run(sockets=[listener])


def _listen(port: int | None, before: int | None) -> socket.socket:
    """Return a socket of this machine that listens on the port asked for, or on a free one."""
    wishes = [port] if port is not None else [before, 0] if before else [0]
    for wish in wishes:
        # With the protocol named, asyncio sends small answers at once (TCP_NODELAY).
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        # A port that a server had until just now can be taken again; on Windows another would be.
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, wish or 0))
            listener.listen(128)
        except (OSError, OverflowError) as error:
            listener.close()
            if port is None and wish:
                continue
            taken = getattr(error, "errno", None) == errno.EADDRINUSE
            why = "is taken by another program" if taken else "cannot be opened"
            raise IcefrontError(
                f"The port {wish} {why}: name another one with --port, or none."
            ) from error
        listener.set_inheritable(False)
        return listener
    raise AssertionError("the last wish is any port")


def _address_file(project: Path) -> Path:
    """Return where the address of a project is kept: readable by the user alone, on this machine.

    Not in the project, which others may read.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    if sys.platform == "win32":
        home = Path(os.environ.get("LOCALAPPDATA") or Path.home())
    name = hashlib.sha256(os.fsencode(project)).hexdigest()[:16]
    return home / "icefront" / "view" / f"{name}.json"


def _kept_address(project: Path) -> tuple[int, str] | None:
    """Return port and token that a project had before, if they are kept and fit."""
    try:
        path = _address_file(project)
        about = path.stat()
        if os.name == "posix" and (about.st_uid != os.getuid() or about.st_mode & 0o077):
            return None
        kept = json.loads(path.read_text("utf-8"))
        port, token = int(kept["port"]), str(kept["token"])
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        return None
    fit = len(token) == _TOKEN_LENGTH and _TOKEN_SIGNS.issuperset(token) and 1024 <= port < 65536
    return (port, token) if fit else None


def _keep_address(project: Path, port: int, token: str) -> None:
    """Keep port and token; where that is not possible, the next start has others."""
    with suppress(OSError, RuntimeError, IcefrontError):
        path = _address_file(project)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with writing(path) as part:
            part.touch(mode=0o600)
            part.write_text(json.dumps({"port": port, "token": token}), "utf-8")
