"""Runs on a real SLURM of one node, by the files that the documentation gives people to copy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import pytest

from icefront.projects.catalogue import DONE, FAILED, NO_FRONT, Catalogue
from icefront.simulation.archives import simulate_scenes
from tests.helpers import batch_system

FILES = Path(__file__).parents[2] / "docs" / "batch"
SCENES = 6
TOLERANCE_M = 1e-6

why = batch_system.missing()
pytestmark = pytest.mark.skipif(why is not None, reason=why or "")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with batch_system.running_slurm(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    simulate_scenes(folder / "scenes", "Kronebreen", count=SCENES, pixel_m=80.0, progress=False)
    path = folder / "project.yaml"
    path.write_text("scenes: [scenes]\nthrough_time: false\n")
    return path


@pytest.fixture(scope="module")
def here(source: Path, tmp_path_factory: pytest.TempPathFactory) -> gpd.GeoDataFrame:
    """Return the fronts of two workers of this machine."""
    project = tmp_path_factory.mktemp("here") / "project"
    call = ["icefront", "monitor", "run", str(source), "--out", str(project), "--workers", "2"]
    call[0] = str(Path(sys.executable).parent / "icefront")
    subprocess.run(call, check=True, capture_output=True)
    return fronts_of(project)


def fronts_of(project: Path) -> gpd.GeoDataFrame:
    with Catalogue(project) as catalogue:
        table = catalogue.table([DONE, NO_FRONT, FAILED])
    return table.sort_values("path", ignore_index=True)


def assert_same(found: gpd.GeoDataFrame, expected: gpd.GeoDataFrame) -> None:
    assert list(found["path"]) == list(expected["path"])
    assert list(found["state"]) == list(expected["state"])
    assert (found["state"] == DONE).sum() >= SCENES - 2
    assert found.geometry.geom_equals_exact(expected.geometry, TOLERANCE_M).all()


def test_jobs_of_an_array_share_a_project_and_no_scene_is_done_twice(
    slurm: dict[str, str], source: Path, here: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    options = ["--array=1-2", "--cpus-per-task=1", "--mem=200", f"--output={tmp_path}/%a.log"]
    batch_system.submit(FILES / "array.sh", source, project, environment=slurm, options=options)
    batch_system.wait_for_jobs(slurm)
    logs = [(tmp_path / f"{number}.log").read_text() for number in (1, 2)]
    lines = [line for log in logs for line in log.splitlines() if ": front of" in line]
    told = [line.split(":")[0] for line in lines]
    table = fronts_of(project)
    assert_same(table, here)
    assert sorted(told) == sorted(table["name"][table["state"] == DONE]), logs


def test_dask_workers_that_slurm_starts_give_the_same_fronts(
    slurm: dict[str, str], source: Path, here: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
    project = tmp_path / "project"
    call = [sys.executable, str(FILES / "dask_cluster.py"), str(source), str(project), "2"]
    environment = slurm | {"DASK_JOBQUEUE__SLURM__JOB_MEM": "400MB"}
    done = subprocess.run(
        call, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same(fronts_of(project), here)
