"""A SLURM of one node on this machine, from Debian's packages, with all its files in one folder."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "sinfo", "squeue")

_CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1
ReturnToService=2
KillWait=2
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=1000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


def missing() -> str | None:
    """Return why no SLURM can be started here, or None."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} of Debian's slurmctld, slurmd and munge are not installed"
    return None if os.getuid() == 0 else "only root starts SLURM's daemons"


@contextmanager
def running_slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Start the daemons; give the environment in which ``sbatch`` finds them."""
    (folder / "munge").mkdir(parents=True, mode=0o700)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge" / "key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    controller, node = _free_port(), _free_port()
    (folder / "slurm.conf").write_text(
        _CONFIGURATION.format(
            host=socket.gethostname().split(".")[0],
            folder=folder,
            controller=controller,
            node=node,
            cores=os.cpu_count(),
        )
    )
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    munge = folder / "munge"
    calls = [
        ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge}/socket",
         f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed"],
        ["slurmctld", "-D"],
        ["slurmd", "-D"],
    ]  # fmt: skip
    started: list[subprocess.Popen[bytes]] = []
    try:
        for call in calls:
            with (folder / f"{call[0]}.out").open("wb") as out:
                started.append(subprocess.Popen(call, env=environment, stdout=out, stderr=out))
            if call[0] == "munged":
                _wait_for(lambda: (munge / "socket").exists(), "munged")
        _wait_for(lambda: "idle" in _said(["sinfo", "-h", "-o", "%T"], environment), "slurmd")
        yield environment
    finally:
        _said(["scancel", "--signal=KILL", "--full", "--user=root"], environment)
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def submit(
    script: Path, *arguments: object, environment: dict[str, str], options: list[str]
) -> str:
    """Submit a batch script; return the number of its job."""
    call = ["sbatch", "--parsable", *options, str(script), *map(str, arguments)]
    return subprocess.run(
        call, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


def wait_for_jobs(environment: dict[str, str], patience_s: float = 240.0) -> None:
    """Wait until no job is left."""
    _wait_for(lambda: not _said(["squeue", "-h"], environment).strip(), "the jobs", patience_s)


def _said(call: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(
        call, env=environment, capture_output=True, text=True, timeout=60, check=False
    ).stdout


def _wait_for(holds, what: str, patience_s: float = 60.0) -> None:
    end = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come up, or did not end")
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
