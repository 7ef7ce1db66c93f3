"""A Dask cluster on SLURM for one run: python dask_cluster.py CONFIG PROJECT WORKERS."""

import subprocess
import sys

from dask_jobqueue import SLURMCluster


def main(config: str, project: str, workers: str) -> int:
    """Start the workers, let a run use them, and return its exit code."""
    with SLURMCluster(
        cores=1,  # a thread a worker: threads would share one network
        processes=1,
        memory="4GB",
        walltime="04:00:00",
        # Workers end by themselves in time, one after the other, and hand their scenes back.
        worker_extra_args=["--lifetime", "230m", "--lifetime-stagger", "4m"],
    ) as cluster:
        cluster.scale(int(workers))
        run = ["icefront", "monitor", "run", config, "--out", project]
        return subprocess.call([*run, "--cluster", cluster.scheduler_address])


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
