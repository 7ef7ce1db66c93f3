"""Commands that are killed with signal 9 at random moments; many more kills are in `tests/full`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.kills import Command, know_grey_levels, run_killed, run_whole
from tests.helpers.simulated_projects import made_fronts, write_series


def extract(folder: Path) -> Command:
    scenes = [str(path) for path in write_series(folder / "scenes", 2)]
    out = folder / "home" / "out"
    call = ["extract", *scenes, "--out", str(out), "--radiometry", "grey"]
    return Command(call, [call], out, prepare=know_grey_levels, exact=r"_zones\.tif$")


def import_fronts(folder: Path) -> Command:
    made_fronts(years=1).drop(columns="name").to_file(folder / "fronts.gpkg")
    out = folder / "home" / "out.gpkg"
    call = ["monitor", "import", str(folder / "fronts.gpkg"), "--out", str(out)]
    return Command(call, [call], out)


def simulate(folder: Path) -> Command:
    out = folder / "home" / "out"
    call = ["simulate", "scenes", "--glacier", "Kronebreen", "--count", "3"]
    call += ["--pixel-size", "400", "--workers", "2", "--out", str(out)]
    return Command(call, [call], out, exact=r"\.(tif|json)$")


@pytest.mark.parametrize(
    ("command", "kills"),
    [(extract, 2), (import_fronts, 1), (simulate, 1)],
    ids=["extract", "import", "simulate"],
)
def test_a_command_that_is_killed_loses_nothing_and_leaves_nothing(
    command, kills: int, tmp_path: Path
) -> None:
    chosen = command(tmp_path)
    whole = run_whole(chosen, tmp_path)
    for number in range(kills):
        run_killed(chosen, whole, f"{command.__name__} {number}", tmp_path)
