"""Equal runs give equal files, byte for byte, in whatever folder and at whatever time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from icefront.cli import app
from icefront.extraction.outputs import table_files
from icefront.products.folder import write_products
from icefront.projects.results import compute_results
from tests.helpers.simulated_projects import made_fronts


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def run(*arguments: object) -> None:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code in (0, 1), done.output


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fronts") / "fronts.gpkg"
    fronts = made_fronts(years=1, per_year=5)
    fronts.assign(date=fronts["date"].dt.strftime("%Y-%m-%d")).to_file(path)
    return path


def test_measures_and_imports_are_equal(table: Path, tmp_path: Path) -> None:
    for out in (tmp_path / "a", tmp_path / "another name"):
        run("monitor", "measure", table, "--out", out / "measures")
        for name in ("fronts.gpkg", "fronts.geojson"):
            run("monitor", "import", table, "--out", out / name)
    first, second = contents(tmp_path / "a"), contents(tmp_path / "another name")
    assert first == second
    assert {"measures/lines.gpkg", "measures/measures.json", "fronts.geojson"} <= set(first)


def test_products_are_equal(tmp_path: Path) -> None:
    fronts = made_fronts(years=1, per_year=5)
    for out in (tmp_path / "a", tmp_path / "another name"):
        write_products(compute_results(fronts), out, animation=False, progress=False)
    first, second = contents(tmp_path / "a"), contents(tmp_path / "another name")
    assert [name for name in first if first[name] != second.get(name)] == []
    assert len(first) == len(second) > 14


def test_tables_of_extracted_fronts_are_equal() -> None:
    front = made_fronts(years=1, per_year=1)
    first, second = (table_files([front], [78.8]) for _ in range(2))
    assert first == second
    assert json.loads(first["fronts.geojson"])["name"] == "fronts"
