"""Workers of a Dask cluster give what the processes of this machine give."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from icefront.errors import IcefrontError
from icefront.projects.catalogue import DONE, FAILED, NO_FRONT, Catalogue
from icefront.projects.run import SceneOutcome, run_monitoring
from tests.helpers.dask_programs import Programs
from tests.helpers.scenes import GreyLevels
from tests.helpers.simulated_projects import Deadly, config, write_deadly, write_series

distributed = pytest.importorskip("distributed")

VARYING = ["run", "finished", "seconds"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Start two workers, each a process with one thread; give the scheduler's address."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as started:
        yield started.scheduler_address


def run(source: Path, project: Path, **options):
    report = run_monitoring(
        source, project, loader=GreyLevels, device="cpu", progress=False, **options
    )
    with Catalogue(project) as catalogue:
        table = catalogue.table([DONE, NO_FRONT, FAILED])
    return report, table.sort_values("path", ignore_index=True)


def test_a_cluster_of_two_processes_gives_the_fronts_of_two_local_workers(
    tmp_path: Path, cluster: str
) -> None:
    paths = write_series(tmp_path / "scenes", 6)
    broken = tmp_path / "scenes" / "Crane_20190101_S1.tif"
    broken.write_bytes(paths[0].read_bytes()[:900])
    source = config(tmp_path)
    here, ours = run(source, tmp_path / "here", workers=2)
    there, theirs = run(source, tmp_path / "there", cluster=cluster)
    assert (here.done, here.failed) == (there.done, there.failed) == (6, 1)
    columns = [name for name in ours.columns if name not in ("fid", "geometry", *VARYING)]
    assert ours[columns].equals(theirs[columns])
    assert ours.geometry.geom_equals_exact(theirs.geometry, 0).all()
    for name in ours["name"][ours["state"] == DONE]:
        ours_zones, theirs_zones = (
            (tmp_path / place / "scenes" / "Crane" / f"{name}_zones.tif").read_bytes()
            for place in ("here", "there")
        )
        assert ours_zones == theirs_zones


def test_a_scheduler_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    write_series(tmp_path / "scenes", 1)
    with pytest.raises(IcefrontError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run(config(tmp_path), tmp_path / "project", cluster="tcp://127.0.0.1:9")


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Programs]:
    with Programs(tmp_path / "dask") as programs:
        yield programs


def test_a_worker_that_is_killed_costs_no_scene(tmp_path: Path, scheduler: Programs) -> None:
    write_series(tmp_path / "scenes", 6)
    killed = []

    def kill_one(scene: SceneOutcome) -> None:
        if not killed:
            killed.append(scheduler.kill_worker())

    report, table = run(
        config(tmp_path), tmp_path / "project", cluster=scheduler.address, on_scene=kill_one
    )
    assert killed
    assert (report.done, report.failed) == (6, 0)
    assert list(table["state"]) == [DONE] * 6


def test_a_scene_that_kills_each_worker_costs_only_itself(
    tmp_path: Path, scheduler: Programs
) -> None:
    paths = write_series(tmp_path / "scenes", 5)
    write_deadly(paths[2])
    report = run_monitoring(
        config(tmp_path), tmp_path / "project", loader=Deadly, device="cpu", progress=False,
        cluster=scheduler.address,
    )  # fmt: skip
    assert (report.done, report.failed) == (4, 1)
    with Catalogue(tmp_path / "project") as catalogue:
        (row,) = catalogue.rows("state = ?", (FAILED,))
    assert row["path"] == str(paths[2])
    assert "its workers in the cluster were killed 4 times" in row["error"]


def test_a_scheduler_that_is_killed_ends_the_run_and_the_next_one_goes_on(
    tmp_path: Path, scheduler: Programs
) -> None:
    write_series(tmp_path / "scenes", 6)
    source, project, told = config(tmp_path), tmp_path / "project", []

    def kill(scene: SceneOutcome) -> None:
        told.append(scene.name)
        if len(told) == 2:
            scheduler.kill_scheduler()

    with pytest.raises(IcefrontError, match=r"The Dask scheduler at tcp://\S+ is gone"):
        run(source, project, cluster=scheduler.address, on_scene=kill)
    with Catalogue(project) as catalogue:
        done = [row["name"] for row in catalogue.rows("state = ?", (DONE,))]
        assert set(told) <= set(done)
        assert not catalogue.rows("state = 'failed' OR state = 'running'")
    report, table = run(source, project, workers=1)
    assert report.already == len(done)
    assert list(table["state"]) == [DONE] * 6


def test_a_client_that_is_killed_loses_nothing_and_the_workers_serve_the_next_run(
    tmp_path: Path, scheduler: Programs
) -> None:
    write_series(tmp_path / "scenes", 6)
    source, project = config(tmp_path), tmp_path / "project"
    log = tmp_path / "names.txt"
    child = multiprocessing.get_context("spawn").Process(
        target=run_and_die, args=(source, project, scheduler.address, log)
    )
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    told = log.read_text().split()
    report, table = run(source, project, cluster=scheduler.address)
    assert report.already >= len(told) == 2
    assert set(told) <= set(table["name"][table["state"] == DONE])
    assert list(table["state"]) == [DONE] * 6
    assert report.notes[0].startswith("A run before this one was cut off")


def run_and_die(source: Path, project: Path, address: str, log: Path) -> None:
    """Run until two scenes were reported done, and be killed."""

    def die(scene: SceneOutcome) -> None:
        with log.open("a") as file:
            file.write(f"{scene.name}\n")
        if len(log.read_text().split()) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    run(source, project, cluster=address, on_scene=die)


def test_workers_with_several_threads_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "scenes", 1)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        ) as started,
        pytest.raises(IcefrontError, match=r"2 threads each.*--nthreads 1"),
    ):
        run(config(tmp_path), tmp_path / "project", cluster=started.scheduler_address)
