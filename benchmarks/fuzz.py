"""2,000 damaged files of all kinds that are read, each within stated time and memory.

Every file is damaged from a seed of its own and read in a process that may be ended: no error other
than one sentence, nothing left behind, no crash, no more memory and time than stated. The files are
others than those of the tests.
"""

from __future__ import annotations

import logging
import multiprocessing
import resource
import sys
import tempfile
import time
import warnings
from multiprocessing.connection import Connection
from pathlib import Path

from tests.helpers.damage import readers, try_damaged

FILES = 2_000
FIRST_SEED = 1_000  # those of the tests are below
LONGEST_S = 30.0
MOST_BYTES = 1_000_000_000
"""Beyond what the process holds when it starts."""


def _work(pipe: Connection, folder: Path) -> None:
    """Read damaged files that are named by reader and seed; say how each went."""
    warnings.simplefilter("ignore")
    logging.disable()
    known = {reader.name: reader for reader in readers(folder / "sound")}
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    pipe.send(sorted(known))
    while True:
        name, seed = pipe.recv()
        try:
            problem = try_damaged(known[name], str(seed), folder / "work")
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - start
        if problem is None and taken > MOST_BYTES:
            problem = f"took {taken / 1e9:.1f} GB"
        pipe.send((problem, taken))


class _Worker:
    """A process that reads damaged files, started anew where one ended it."""

    def __init__(self, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, folder), daemon=True)
        self.process.start()
        theirs.close()
        self.names: list[str] = self.pipe.recv()

    def read(self, name: str, seed: int) -> tuple[str | None, int]:
        self.pipe.send((name, seed))
        if not self.pipe.poll(LONGEST_S):
            self.end()
            return "hangs", 0
        try:
            return self.pipe.recv()
        except EOFError:
            self.process.join()
            return f"crashes ({self.process.exitcode})", 0

    def end(self) -> None:
        self.process.kill()
        self.process.join()


def run() -> list[dict]:
    problems: list[str] = []
    longest = most = 0.0
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        worker = _Worker(Path(folder) / "0")
        for number in range(FILES):
            if not worker.process.is_alive():
                worker = _Worker(Path(folder) / str(number))
            name = worker.names[number % len(worker.names)]
            start = time.monotonic()
            problem, taken = worker.read(name, FIRST_SEED + number)
            longest, most = max(longest, time.monotonic() - start), max(most, taken)
            if problem is not None:
                problems.append(f"{name} {FIRST_SEED + number}: {problem}")
                print(problems[-1], file=sys.stderr, flush=True)
        worker.end()
    seconds = time.monotonic() - begun
    rows = [
        {"name": "damaged files", "value": FILES, "unit": "files", "note": f"{seconds:.0f} s"},
        {"name": "wrong", "value": len(problems), "unit": "files", "note": "; ".join(problems)},
        {"name": "longest", "value": longest, "unit": "s", "note": "for one file"},
        {"name": "memory", "value": most / 1e6, "unit": "MB", "note": "beyond that of the start"},
    ]
    return rows
