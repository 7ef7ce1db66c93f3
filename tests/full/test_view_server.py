"""The server of the viewer as a process: started, killed while it saves, started again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import numpy as np
import pytest

from icefront.projects.catalogue import Catalogue
from icefront.projects.corrections import list_corrections
from icefront.projects.run import run_monitoring
from tests.helpers.scenes import ORIGIN, SIZE_M, GreyLevels
from tests.helpers.simulated_projects import Inline, write_series

KILLS = 5


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("view")
    write_series(folder / "scenes", 5, step=12)
    run_monitoring(
        folder / "scenes", folder / "project", loader=GreyLevels, start_workers=Inline, workers=1,
        device="cpu", radiometry="grey", progress=False,
    )  # fmt: skip
    return folder / "project"


def start(project: Path, home: Path, *more: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start the command with its output in a file; return it and its address."""
    out = home / "out"
    with out.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "icefront", "view", str(project), "--no-browser", *more],
            stdout=file,
            env={**os.environ, "XDG_CACHE_HOME": str(home / "cache")},
        )
    until = time.monotonic() + 60
    while not out.read_bytes().endswith(b"\n"):
        assert process.poll() is None, "the command has ended"
        assert time.monotonic() < until
        time.sleep(0.05)
    (address,) = out.read_text().splitlines()
    return process, address


def asked(address: str, path: str = "/api/project", body: object = None) -> tuple[int, bytes]:
    base, token = address.split("/?token=")
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{base}{path}?token={token}", data)
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_the_command_serves_until_it_is_stopped_and_comes_back_under_its_address(
    project: Path, tmp_path: Path
) -> None:
    process, address = start(project, tmp_path)
    try:
        assert address.startswith("http://127.0.0.1:")
        status, body = asked(address)
        assert (status, json.loads(body)["name"]) == (200, "project")
        assert asked(address[:-1])[0] == 403
        (kept,) = (tmp_path / "cache" / "icefront" / "view").glob("*.json")
        assert kept.stat().st_mode & 0o077 == 0
        process.kill()
        process.wait()
        process, again = start(project, tmp_path)
        assert again == address
        assert asked(again)[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    finally:
        process.kill()
        process.wait()


def test_a_server_that_is_killed_while_it_saves_loses_nothing(
    project: Path, tmp_path: Path
) -> None:
    """A correction is kept or not, never half, and the pass it belongs to is finished."""
    chance = random.Random(0)
    kept = 0
    for number in range(KILLS):
        process, address = start(project, tmp_path)
        try:
            glacier = json.loads(asked(address, "/api/glaciers/1")[1])
            before = len(glacier["corrections"]["features"])
            x = ORIGIN[0] + (84 + 3 * number) * SIZE_M
            ys = ORIGIN[1] - np.array([28, 75, 122]) * SIZE_M
            body = {
                "scene": glacier["scenes"][number % 5]["id"],
                "seen": glacier["revision"],
                "person": "Ada",
                "line": {"type": "LineString", "coordinates": [[x, y] for y in ys]},
            }
            asking = threading.Thread(target=save, args=(address, body), daemon=True)
            asking.start()
            time.sleep(chance.uniform(0, 2))
        finally:
            process.kill()
            process.wait()
        asking.join(30)
        with Catalogue(project) as catalogue:
            found = list_corrections(catalogue)
        saved = [item for item in found if abs(item.line.bounds[0] - x) < 0.01]
        kept += len(saved)
        assert len(found) - before in (0, 1)
        process, address = start(project, tmp_path)
        try:
            until = time.monotonic() + 90
            while True:
                after = json.loads(asked(address, "/api/glaciers/1")[1])
                states = {
                    feature["properties"]["date"]: feature["properties"]["through_time"]
                    for feature in after["fronts"]["features"]
                }
                if {item.date for item in found} == {
                    date for date, state in states.items() if state == "corrected"
                } and not after["busy"]:
                    break
                assert time.monotonic() < until, (states, found)
                time.sleep(0.2)
        finally:
            process.kill()
            process.wait()
    assert kept > 0


def save(address: str, body: object) -> None:
    """Ask for a correction; the answer may never come."""
    with suppress(OSError, HTTPException):
        asked(address, "/api/corrections", body)
