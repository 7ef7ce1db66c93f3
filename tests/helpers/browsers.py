"""A browser before the page of `icefront view`: the server as a process, the map in pixels."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

CHROMIUM = "/usr/bin/chromium"
SIZE = {"width": 1280, "height": 720}
READY = "body[data-ready=yes][data-image=ready][data-curve]"
PATIENCE_S = 180.0


def missing() -> str | None:
    """Say what the tests of the page lack, or None."""
    if not Path(CHROMIUM).exists():
        return f"there is no {CHROMIUM}"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return None


class View:
    """A server of `icefront view` in a process of its own.

    Parameters
    ----------
    project : Path
    home : Path
        Where it keeps what belongs to the user.
    """

    def __init__(self, project: Path, home: Path) -> None:
        self.project, self.home = project, home
        self.said = home / "stderr.txt"
        home.mkdir(exist_ok=True)
        self.process: subprocess.Popen[str] | None = None
        self.address = ""

    def start(self) -> str:
        """Start it; return the address that it prints."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "icefront", "view", str(self.project), "--no-browser"],
            stdout=subprocess.PIPE,
            stderr=self.said.open("a"),
            text=True,
            env=os.environ | {"XDG_CACHE_HOME": str(self.home), "OMP_NUM_THREADS": "1"},
        )
        assert self.process.stdout is not None
        if select.select([self.process.stdout], [], [], PATIENCE_S)[0]:
            self.address = self.process.stdout.readline().strip()
        if not re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]+", self.address):
            raise AssertionError(f"{self.address!r} is no address; {self.said.read_text()}")
        return self.address

    def kill(self) -> None:
        """Kill it with signal 9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None


@contextmanager
def viewed(project: Path, home: Path) -> Iterator[View]:
    """Serve a project while the block runs."""
    view = View(project, home)
    view.start()
    try:
        yield view
    finally:
        if view.process is not None:
            view.kill()


def copied(project: Path, folder: Path) -> Path:
    """Copy a project that a test changes."""
    shutil.copytree(project, folder / project.name)
    return folder / project.name


@dataclass
class Seen:
    """What a page printed and asked for.

    Attributes
    ----------
    errors : list of str
        Errors of the console, and uncaught ones.
    requests : list of str
        Addresses, in order.
    """

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def hosts(self) -> set[str | None]:
        """Return the hosts that were asked; data and blobs have none."""
        return {
            urlparse(one).hostname
            for one in self.requests
            if not one.startswith(("data:", "blob:"))
        }


def opened(context: Any, address: str) -> tuple[Any, Seen]:
    """Open the page and wait until tiles, lines and curve are there."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    seen = Seen()
    page.on(
        "console",
        lambda said: seen.errors.append(said.text) if said.type == "error" else None,
    )
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", lambda request: seen.requests.append(request.url))
    page.goto(address)
    page.wait_for_selector(READY)
    return page, seen


def place_of(page: Any) -> tuple[float, float, float]:
    """Return where the map is by the address: x, y of its middle, metres a pixel."""
    values = parse_qs(urlparse(page.url).fragment)
    x, y, r = (float(values[name][0]) for name in "xyr")
    return x, y, r


def pixel_of(page: Any, x: float, y: float) -> tuple[float, float]:
    """Return where on the screen a place of the map is."""
    box = page.locator("#map").bounding_box()
    middle_x, middle_y, size = place_of(page)
    return (
        box["x"] + box["width"] / 2 + (x - middle_x) / size,
        box["y"] + box["height"] / 2 - (y - middle_y) / size,
    )


def click_at(page: Any, x: float, y: float) -> None:
    """Click on a place of the map."""
    page.mouse.click(*pixel_of(page, x, y))


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag from a place of the map to another."""
    page.mouse.move(*pixel_of(page, *start))
    page.mouse.down()
    page.mouse.move(*pixel_of(page, *end), steps=5)
    page.mouse.up()


def settled(page: Any, moved_from: str | None = None, seconds: float = 20.0) -> None:
    """Wait until the map stands still: its address is the same for a while.

    Parameters
    ----------
    moved_from : str, optional
        The address before a move that is waited for, too.
    """
    until = time.monotonic() + seconds
    while page.url == moved_from and time.monotonic() < until:
        page.wait_for_timeout(50)
    before, same = page.url, 0
    while same < 3 and time.monotonic() < until:
        page.wait_for_timeout(120)
        same = same + 1 if page.url == before else 0
        before = page.url


def vertices(page: Any) -> int:
    """Return the number of vertices of the line that is drawn."""
    return int(page.get_attribute("#editing", "data-vertices") or 0)


def give_name(page: Any, name: str) -> None:
    """Answer the question for the name."""
    page.wait_for_selector("#ask[open]")
    page.fill("#name", name)
    page.click("#ask .main")
