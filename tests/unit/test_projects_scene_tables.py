"""Tables that name the scenes of a project: their dates are read as a column."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from typer.testing import CliRunner

from icefront.cli import app
from icefront.errors import IcefrontError
from icefront.projects.config import MonitoringConfig
from icefront.projects.scene_files import list_scenes


def dates_in(folder: Path, *cells: str, day_first: bool | None = None) -> list[dt.date | None]:
    rows = [f"{number}.tif,{cell}\n" for number, cell in enumerate(cells)]
    (folder / "scenes.csv").write_text("".join(["Path,Date\n", *rows]))
    config = MonitoringConfig(table="scenes.csv", day_first=day_first)
    return [listed.date for listed in list_scenes(config, folder, folder / "project")]


def test_one_row_proves_the_order_of_all(tmp_path: Path) -> None:
    june = [dt.date(2018, 6, 2), dt.date(2018, 6, 14), None]
    assert dates_in(tmp_path, "02/06/2018", "14/06/2018", "") == june
    assert dates_in(tmp_path, "06/02/2018", "06/14/2018", "1899-12-30") == june
    assert dates_in(tmp_path, "2018-06-02", "2018-06-14T10:00:00Z", "") == june
    with pytest.raises(IcefrontError, match=r"scenes\.csv .* --day-first or --month-first"):
        dates_in(tmp_path, "02/06/2018")
    assert dates_in(tmp_path, "02/06/2018", day_first=False) == [dt.date(2018, 2, 6)]
    with pytest.raises(IcefrontError, match=r"Line 3 of the table .*scenes\.csv has the date"):
        dates_in(tmp_path, "2018-06-02", "summer")


@pytest.mark.parametrize("options", [("--day-first",), ("--month-first",), ()])
def test_the_order_is_stated_for_a_run(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "scenes.csv").write_text("path,date\na.tif,02/06/2018\n")
    (tmp_path / "project.yaml").write_text("table: scenes.csv\nmodel: none\n")
    paths = [str(tmp_path / name) for name in ("project.yaml", "project")]
    done = CliRunner().invoke(app, ["monitor", "run", paths[0], "--out", paths[1], *options])
    assert done.exit_code == 2
    assert ("--day-first" in done.stderr) == (not options)
