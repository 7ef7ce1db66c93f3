"""A real catalogue server on this machine: stac-fastapi with pgstac on PostgreSQL and PostGIS."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_USER = "postgres"
_LONGEST_START_S = 180.0


def missing_parts() -> str:
    """Return why the server cannot run here, or nothing."""
    for module in ("stac_fastapi.pgstac", "pypgstac", "uvicorn"):
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return f"{module} is not installed: pip install 'icefront[servers]'"
    if programs() is None:
        return "PostgreSQL is not installed: apt-get install postgresql postgresql-15-postgis-3"
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        return "PostgreSQL does not run as root, and runuser is not installed"
    shared = subprocess.run(
        [str(programs()) + "/pg_config", "--sharedir"], capture_output=True, text=True
    )
    if not (Path(shared.stdout.strip()) / "extension" / "postgis.control").exists():
        return "PostGIS is not installed: apt-get install postgresql-15-postgis-3"
    return ""


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    path = shutil.which("initdb")
    return None if path is None else Path(path).parent


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _as_user(*words: str) -> None:
    """Run a program of PostgreSQL, which refuses to be run by root."""
    call = ["runuser", "-u", _USER, "--", *words] if os.geteuid() == 0 else list(words)
    done = subprocess.run(call, capture_output=True, text=True, timeout=300, cwd="/")
    if done.returncode:
        raise RuntimeError(f"{Path(words[0]).name} failed: {done.stderr or done.stdout}")


@contextmanager
def database() -> Iterator[dict[str, str]]:
    """Start a PostgreSQL of its own with pgstac; yield the variables that lead to it."""
    folder = programs()
    assert folder is not None
    home = Path(tempfile.mkdtemp(prefix="icefront-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(home, _USER)
        data, port = str(home / "data"), str(free_port())
        user = _USER if os.geteuid() == 0 else subprocess.getoutput("id -un")
        _as_user(str(folder / "initdb"), "-D", data, "-A", "trust", "-U", user, "--no-sync")
        options = (
            f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c fsync=off "
            "-c synchronous_commit=off -c full_page_writes=off"
        )
        control = (str(folder / "pg_ctl"), "-D", data, "-w", "-t", "120", "-l", str(home / "log"))
        _as_user(*control, "-o", options, "start")
        try:
            place = {
                "PGHOST": "127.0.0.1",
                "PGPORT": port,
                "PGUSER": user,
                "PGPASSWORD": "unused",
                "PGDATABASE": "postgis",
            }
            _as_user(str(folder / "createdb"), "-h", "127.0.0.1", "-p", port, "-U", user, "postgis")
            pgstac(place, "migrate")
            yield place
        finally:
            _as_user(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def pgstac(place: dict[str, str], *words: str) -> None:
    """Run a command of pypgstac."""
    code = "import sys; from pypgstac.pypgstac import cli; sys.exit(cli())"
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**os.environ, **place},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise RuntimeError(f"pypgstac {words[0]} failed: {done.stderr or done.stdout}")


def load(place: dict[str, str], items: Sequence[dict[str, Any]], folder: Path) -> None:
    """Put items and their collections into the database."""
    collections = [
        {
            "type": "Collection",
            "stac_version": "1.0.0",
            "id": name,
            "description": name,
            "license": "proprietary",
            "links": [],
            "extent": {
                "spatial": {"bbox": [[-180, -90, 180, 90]]},
                "temporal": {"interval": [["2014-01-01T00:00:00Z", None]]},
            },
        }
        for name in sorted({item["collection"] for item in items})
    ]
    for what, rows in (("collections", collections), ("items", items)):
        path = folder / f"{what}.ndjson"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        pgstac(place, "load", what, str(path), "--method", "upsert")


@contextmanager
def catalogue(place: dict[str, str], log: Path) -> Iterator[str]:
    """Start stac-fastapi before a database; yield its URL."""
    port = free_port()
    with log.open("w") as output:
        server = subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "uvicorn",
                    "stac_fastapi.pgstac.app:create_app",
                    "--factory",
                ),
                *("--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"),
            ],
            env={**os.environ, **place, "DB_MIN_CONN_SIZE": "1", "DB_MAX_CONN_SIZE": "4"},
            stdout=output,
            stderr=output,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, server, log)
        yield url
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _LONGEST_START_S
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/_mgmt/ping", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"stac-fastapi did not start: {log.read_text()[-2000:]}")
