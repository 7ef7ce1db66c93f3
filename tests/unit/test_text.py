"""Text from outside: no formulas in tables, no escape codes in the terminal or in reports."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from icefront.cli import app
from icefront.reporting.page import render_page
from icefront.reporting.tables import Table, write_csv
from icefront.text import harmless_cell, printable
from tests.helpers.paths import ROOT

NAMES = st.text(st.characters(blacklist_categories=()), max_size=12)
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@given(NAMES)
def test_nothing_that_is_shown_steers_a_terminal(name: str) -> None:
    shown = printable(name)
    assert not STEERS.search(shown)
    shown.encode("utf-8")
    assert printable(shown) == shown
    if name.isprintable():
        assert shown == name


@given(NAMES)
def test_no_cell_is_a_formula(name: str) -> None:
    cell = harmless_cell(name)
    assert harmless_cell(cell) == cell
    if cell.startswith(("=", "+", "-", "@", "\t", "\n", "\r")):
        float(cell)


def test_no_csv_holds_a_formula_or_stands_for_a_missing_value(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "=name": ["=HYPERLINK(1)", "Isstrøm", None],
            "number": [-1.5, float("nan"), 2.0],
            "mixed": [-3, "@SUM(1)", None],
        },
        index=pd.Index(["+a", "b", "\x1b[2J"], name="who"),
    )
    write_csv(table, tmp_path / "t.csv", index=True)
    rows = list(csv.reader((tmp_path / "t.csv").open(encoding="utf-8")))
    assert rows == [
        ["who", "'=name", "number", "mixed"],
        ["'+a", "'=HYPERLINK(1)", "-1.5", "-3"],
        ["b", "Isstrøm", "", "'@SUM(1)"],
        ["\\x1b[2J", "", "2.0", ""],
    ]


def test_reports_show_escape_codes_as_text() -> None:
    assert Table(["a"], [["x\x1b[2J|\ny"]]).markdown().endswith("| x\\x1b[2J\\| y |")
    page = render_page(
        "icefront.products",
        "report.html",
        title="\x1b]0;title\x07<b>",
        subtitle="",
        notes=[],
        rows=[],
        written_by="",
        others=None,
    )
    assert "\\x1b]0;title\\x07&lt;b&gt;" in page
    assert not STEERS.search(page)


def test_commands_print_escape_codes_as_text(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["info", str(tmp_path / "\x1b[31mred.tif")])
    assert result.exit_code != 0
    assert "\\x1b[31mred.tif" in result.output
    assert "\x1b" not in result.output


@pytest.mark.parametrize(
    ("call", "owner"),
    [("typer.echo(", "cli/options.py"), (".to_csv(", "reporting/tables.py")],
)
def test_one_place_prints_and_one_writes_csv(call: str, owner: str) -> None:
    source = ROOT / "src" / "icefront"
    users = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if call in path.read_text("utf-8")
    }
    assert users - {"cli/__init__.py"} == {owner}
