"""What `icefront monitor status` tells of a catalogue, and what a large one need not read."""

import datetime as dt
from pathlib import Path

import pytest
from pyproj import CRS

from icefront.errors import IcefrontError
from icefront.projects.catalogue import (
    DONE,
    FAILED,
    LAYER,
    NEW,
    NO_FRONT,
    OWN,
    RUNNING,
    RUNS,
    Catalogue,
    create,
    holding,
)
from icefront.projects.status import Status, status_of

BEGUN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def fill(folder: Path, states: list[str], every_s: float = 60.0) -> None:
    """Write a catalogue of two glaciers; each scene is finished some time after the last one."""
    (folder / RUNS).mkdir(parents=True)
    with create(folder, CRS.from_epsg(3413)) as catalogue, catalogue.writing():
        for k, state in enumerate(states):
            row = {"state": state, "path": f"/scenes/{k}.tif", "name": str(k), "source": OWN}
            row |= {"glacier": f"Glacier {k % 2}", "settings": "s", "date": "2020-01-01"}
            if state in (DONE, NO_FRONT, FAILED):
                time = BEGUN + dt.timedelta(seconds=every_s * k)
                row["finished"] = time.strftime("%Y-%m-%dT%H:%M:%S.000Z")
            if state == FAILED:
                row["error"] = f"/scenes/{k}.tif: its worker crashed."
            if state == DONE:
                row["flag"] = "check" if k % 2 else "good"
            catalogue.insert(row)


def test_states_pace_and_reasons_are_those_of_the_rows(tmp_path: Path) -> None:
    states = [DONE, DONE, NO_FRONT, FAILED, FAILED, *[NEW] * 29, RUNNING]
    fill(tmp_path, states)
    status = status_of(tmp_path)
    assert status.counts == {DONE: 2, NO_FRONT: 1, FAILED: 2, NEW: 29, RUNNING: 1}
    assert (status.glaciers, status.to_review, status.runs) == (2, 1, ())
    assert status.scenes_per_hour == pytest.approx(60)
    assert status.hours_left == pytest.approx(0.5)
    assert status.failures == [("its worker crashed.", 2)]
    assert status.sentences() == [
        "35 scenes of 2 glaciers: 2 fronts, 1 without a front, 2 failed, 30 waiting.",
        "No run works on it now.",
        "60 scenes an hour: 30 minutes left for what waits; the last one at 2026-01-01 00:04 UTC.",
        "1 fronts to check: 'icefront monitor review'.",
        "2 failed: its worker crashed.",
    ]


def test_a_pause_between_runs_makes_no_project_slow(tmp_path: Path) -> None:
    fill(tmp_path, [DONE] * 5)
    with Catalogue(tmp_path) as catalogue, catalogue.writing() as db:
        db.execute(f"UPDATE {LAYER} SET finished = '2025-12-01T00:00:00.000Z' WHERE fid = 1")
    assert status_of(tmp_path).scenes_per_hour == pytest.approx(60)


def test_a_live_run_is_named(tmp_path: Path) -> None:
    fill(tmp_path, [NEW])
    with holding(tmp_path, "20260101T000000-abc"):
        assert status_of(tmp_path).runs == ("20260101T000000-abc",)
    assert status_of(tmp_path).runs == ()


def test_a_new_project_has_no_pace(tmp_path: Path) -> None:
    fill(tmp_path, [NEW, NEW])
    status = status_of(tmp_path)
    assert isinstance(status, Status)
    assert (status.scenes_per_hour, status.hours_left, status.newest) == (None, None, None)
    with pytest.raises(IcefrontError, match=r"has no catalogue\.gpkg"):
        status_of(tmp_path / RUNS)


def test_a_table_of_one_glacier_is_checked_although_the_catalogue_was_not(tmp_path: Path) -> None:
    fill(tmp_path, [DONE] * 4)
    with Catalogue(tmp_path) as catalogue, catalogue.writing() as db:
        db.execute(f"UPDATE {LAYER} SET length_m = 'long' WHERE fid = 2")
    with Catalogue(tmp_path, check=False) as catalogue:
        assert list(catalogue.table(glaciers=["Glacier 0"])["name"]) == ["0", "2"]
        assert list(catalogue.table(glaciers=[])["name"]) == []
        with pytest.raises(IcefrontError, match="the length_m of its row 2 is 'long'"):
            catalogue.table(glaciers=["Glacier 1"])
    with pytest.raises(IcefrontError, match="the length_m of its row 2 is 'long'"):
        Catalogue(tmp_path)
