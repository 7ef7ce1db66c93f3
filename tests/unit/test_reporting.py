"""What reports share: scale bars, pictures, tables, numbers, pages."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from markupsafe import Markup
from PIL import Image

from icefront.reporting.page import render_page
from icefront.reporting.pictures import data_uri, figure_png, write_figure
from icefront.reporting.scale_bar import draw_scale_bar, round_length
from icefront.reporting.style import new_figure
from icefront.reporting.tables import Table, distance_text, json_values, number_text


@pytest.mark.parametrize(
    ("extent", "size", "unit", "text", "length"),
    [
        (1000, 20.0, "m", "2 km", 100),
        (1000, 1.0, "px", "200 px", 200),
        (900, 1.0, "m", "100 m", 100),
        (46_000, 1.0, "m", "5 km", 5000),
    ],
)
@pytest.mark.parametrize("down", [False, True])
def test_scale_bar_has_a_round_length_of_at_most_a_fifth_and_its_label(
    extent: float, size: float, unit: str, text: str, length: float, down: bool
) -> None:
    axes = new_figure(4, 3).subplots()
    limits = (700.0, 10.0) if down else (10.0, 700.0)
    axes.set_xlim(50, 50 + extent)
    axes.set_ylim(*limits)
    draw_scale_bar(axes, size, unit)
    x, y = axes.lines[0].get_data()
    assert x[1] - x[0] == pytest.approx(length)
    assert axes.texts[0].get_text() == text
    assert axes.get_ylim() == limits
    # At the lower left as the reader sees it.
    assert axes.transAxes.inverted().transform(axes.transData.transform((x[0], y[0])))[1] < 0.1


def test_round_lengths_are_one_two_or_five_times_a_power_of_ten() -> None:
    assert [round_length(v) for v in (1, 1.9, 2, 4.99, 5, 9.9, 0.031)] == [
        1, 1, 2, 2, 5, 5, pytest.approx(0.02)
    ]  # fmt: skip


def test_figures_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    figure = new_figure(2, 1, dpi=100, facecolor="#112233")
    write_figure(figure, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (200, 100)
        assert image.convert("RGB").getpixel((0, 0)) == (0x11, 0x22, 0x33)
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises(ValueError, match="unknown"):
        write_figure(figure, tmp_path / "a.png", format="unknown")
    assert (tmp_path / "a.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_png_of_curves_keeps_its_look_in_fewer_bytes() -> None:
    figure = new_figure(4, 3)
    figure.subplots().plot(np.sin(np.arange(300) / 20))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    small = figure_png(figure)
    assert len(small) < 0.6 * buffer.tell()
    first, second = (
        np.asarray(Image.open(io.BytesIO(b)).convert("RGB"), float)
        for b in (buffer.getvalue(), small)
    )
    assert np.abs(first - second).mean() < 0.5
    assert data_uri(small, "png").startswith("data:image/png;base64,iVBOR")


def test_table_in_markdown_aligns_numbers_escapes_bars_and_marks_bold_rows() -> None:
    table = Table(["name", "m", "note"], [["a|b", "1", ""], ["c", "2", "d"]], {1}, bold={0})
    assert table.markdown().splitlines() == [
        "| name | m | note |",
        "| --- | ---: | --- |",
        "| **a\\|b** | **1** |  |",
        "| c | 2 | d |",
    ]


def test_pages_escape_text_and_fold_tables(tmp_path: Path) -> None:
    template = (
        '{% extends "base.html" %}{% from "tables.html" import titled_table %}'
        "{% block title %}{{ title }}{% endblock %}"
        "{% block content %}{{ titled_table(table) }}{% endblock %}"
    )
    package = tmp_path / "a_room"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "some.html").write_text(template)
    table = Table(["x"], [["<b>1</b>"], [Markup("<i>2</i>")]], title="T & U", folded=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        page = render_page("a_room", "some.html", title="<script>", table=table)
    assert page.startswith("<!DOCTYPE html>")
    assert "<script>" not in page
    assert "&lt;b&gt;1&lt;/b&gt;" in page
    assert "<i>2</i>" in page
    assert "<summary>T &amp; U</summary>" in page


def test_numbers_that_are_not_known_become_dashes_or_null() -> None:
    assert number_text(float("nan")) == number_text(None) == number_text(np.inf) == "–"
    assert number_text(-1234.5, 1) == "-1,234.5"
    assert distance_text(float("nan"), "px") == "– px"
    values = {"a": (np.float64("nan"), np.int64(3)), 1: np.array([[0.5, np.inf]]), "b": True}
    assert json.loads(json.dumps(json_values(values))) == {
        "a": [None, 3], "1": [[0.5, None]], "b": True
    }  # fmt: skip
