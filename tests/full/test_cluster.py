"""Workers of a Dask cluster give what the processes of this machine give."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from icefront.errors import IcefrontError
from icefront.projects.catalogue import DONE, FAILED, NO_FRONT, Catalogue
from icefront.projects.run import run_monitoring
from tests.helpers.scenes import GreyLevels
from tests.helpers.simulated_projects import config, write_series

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
