"""A Dask scheduler and its workers as programs of their own, which can be killed one by one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
from distributed import Client

WORKERS = 2


class Programs:
    """``dask scheduler`` and ``dask worker``, as people start them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Programs:
        self.folder.mkdir(parents=True)
        root = str(Path(__file__).parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        file = self.folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
            "--scheduler-file", str(file),
        )  # fmt: skip
        self.workers = self._start(
            "worker", "--scheduler-file", str(file), "--nworkers", str(WORKERS), "--nthreads", "1",
            "--no-dashboard", "--local-directory", str(self.folder),
        )  # fmt: skip
        end = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < end
            time.sleep(0.1)
        time.sleep(0.2)
        with Client(scheduler_file=str(file), timeout=30) as client:
            client.wait_for_workers(WORKERS, timeout=60)
            self.address = client.scheduler.address
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self.workers, self.scheduler):
            _kill_all(process)

    def _start(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{what}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", what, *arguments],
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def kill_worker(self) -> int:
        """Kill a worker by signal 9; its nanny starts another."""
        children = psutil.Process(self.workers.pid).children(recursive=True)
        worker = max(children, key=lambda child: child.memory_info().rss)
        os.kill(worker.pid, signal.SIGKILL)
        return worker.pid

    def kill_scheduler(self) -> None:
        """Kill the scheduler by signal 9."""
        self.scheduler.kill()
        self.scheduler.wait()


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.kill()
    process.wait()
    for child in family:
        with suppress(psutil.NoSuchProcess):
            child.kill()
