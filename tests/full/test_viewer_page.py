"""The page of `icefront view` in a real browser: look, correct, take along, and lose nothing."""

from __future__ import annotations

import io
import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from PIL import Image

from icefront.projects.catalogue import CATALOGUE, LAYER
from icefront.projects.corrections import CORRECTIONS
from icefront.projects.run import run_monitoring
from icefront.zones import GLACIER, OCEAN
from tests.helpers import browsers
from tests.helpers.browsers import (
    READY,
    SIZE,
    Seen,
    View,
    click_at,
    copied,
    drag,
    give_name,
    opened,
    pixel_of,
    place_of,
    settled,
    vertices,
    viewed,
)
from tests.helpers.scenes import GREYS, ORIGIN, SIZE_M, GreyLevels, landscape, write_tif
from tests.helpers.simulated_projects import Inline, write_series

WHY_NOT = browsers.missing()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

COUNT = 9
BAD = (2, 4, 6)
TOP, BOTTOM = (ORIGIN[1] - row * SIZE_M for row in (30, 120))
"""The walls of the fjord."""

CLICKS_PX = 1.5


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=browsers.CHROMIUM, args=["--no-sandbox"]
        )
        yield started
        started.close()


@pytest.fixture
def context(browser) -> Iterator[Any]:
    made = browser.new_context(viewport=SIZE, accept_downloads=True)
    yield made
    made.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Return a project of a receding front with three bad images."""
    folder = tmp_path_factory.mktemp("viewed")
    paths = write_series(folder / "scenes", COUNT, step=24)
    for number in BAD:
        image = landscape()
        front = 120 - number
        image[30:-30, :front] = GREYS[GLACIER]
        image[30:-30, front:] = GREYS[OCEAN]
        image[50 - number : 70 + 4 * number, 66:] = GREYS[OCEAN]
        write_tif(paths[number], image)
    report = run_monitoring(
        folder / "scenes", folder / "project", loader=GreyLevels, start_workers=Inline,
        workers=1, device="cpu", radiometry="grey", progress=False,
    )  # fmt: skip
    assert report.done == COUNT
    return folder / "project"


@pytest.fixture
def view(made, tmp_path) -> Iterator[View]:
    with viewed(copied(made, tmp_path), tmp_path / "home") as started:
        yield started


@pytest.fixture(scope="module")
def looked_at(made, tmp_path_factory) -> Iterator[View]:
    """Serve the project to tests that change nothing."""
    folder = tmp_path_factory.mktemp("looked at")
    with viewed(copied(made, folder), folder / "home") as started:
        yield started


def fronts(project: Path, layer: str = LAYER) -> gpd.GeoDataFrame:
    return gpd.read_file(project / CATALOGUE, layer=layer)


def column(number: float) -> float:
    return ORIGIN[0] + number * SIZE_M


def line_at(number: float, count: int = 6) -> list[tuple[float, float]]:
    """Return places of a front along a column, from wall to wall."""
    ys = np.linspace(TOP, BOTTOM, count)
    return [(column(number) + 40 * np.sin(k), float(y)) for k, y in enumerate(ys)]


def go_to(page: Any, number: int) -> None:
    """Go to a scene by its place in time."""
    page.focus("#ticks")
    page.keyboard.press("Home")
    for _ in range(number):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector(READY)


def shown_date(page: Any) -> str:
    return page.inner_text("#chip .date")


def draw(page: Any, places: list[tuple[float, float]]) -> None:
    settled(page)
    page.click("#draw")
    for place in places:
        click_at(page, *place)
    assert vertices(page) == len(places)
    page.keyboard.press("Enter")


def saved(page: Any, name: str | None = None) -> None:
    page.click("#save")
    if name:
        give_name(page, name)
    page.wait_for_selector("#start-tools:visible")
    page.wait_for_selector("body[data-busy=no]")


def nothing_wrong(seen: Seen) -> None:
    assert seen.errors == []
    assert seen.hosts() == {"127.0.0.1"}


# --- look -----------------------------------------------------------------------------------


def test_tiles_lines_and_curve_are_there_and_nothing_is_asked_elsewhere(looked_at, context):
    page, seen = opened(context, looked_at.address)
    assert any("/api/tiles/" in address for address in seen.requests)
    assert page.get_attribute("body", "data-front") == "yes"
    assert page.locator("#curve .hit").count() >= COUNT - len(BAD)
    assert page.locator("#curve .trend-band").count() == 1
    assert page.locator("#ticks .tick").count() == COUNT
    assert "Crane" in page.inner_text("#glaciers")
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        grey = np.asarray(picture.convert("L"), float)

    def shade(at: int) -> float:
        x, y = (round(value) for value in pixel_of(page, column(at), TOP - 900))
        return float(grey[y - 5 : y + 5, x - 5 : x + 5].mean())

    # Glacier and ocean of the scene differ on the screen, left and right of the front.
    assert shade(60) > shade(160) + 40
    nothing_wrong(seen)


def test_keys_slider_and_buttons_go_through_time(looked_at, context):
    page, seen = opened(context, looked_at.address)
    dates = [str(date)[:10] for date in fronts(looked_at.project)["date"]]
    assert shown_date(page) == dates[-1]
    page.keyboard.press("ArrowLeft")
    assert shown_date(page) == dates[-2]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Home")
    assert shown_date(page) == dates[0]
    page.click("#next")
    assert shown_date(page) == dates[1]
    page.click("#previous")
    assert shown_date(page) == dates[0]
    page.focus("#ticks")
    page.keyboard.press("End")
    assert page.get_attribute("#ticks", "aria-valuenow") == str(COUNT)
    assert dates[-1] in page.get_attribute("#ticks", "aria-valuetext")
    box = page.locator("#ticks").bounding_box()
    tick = page.locator("#ticks .tick").nth(3).bounding_box()
    page.mouse.click(tick["x"] + 1, box["y"] + box["height"] / 2)
    assert shown_date(page) == dates[3]
    page.click("#play")
    page.wait_for_selector(f"#chip .date:text-is('{dates[4]}')")
    page.click("#play")
    assert page.get_attribute("#play", "aria-pressed") == "false"
    nothing_wrong(seen)


def test_worst_goes_to_a_bad_image_and_the_curve_to_its_scene(looked_at, context):
    page, seen = opened(context, looked_at.address)
    dates = [str(date)[:10] for date in fronts(looked_at.project)["date"]]
    worst = []
    for _ in BAD:
        page.click("#worst")
        worst.append(dates.index(shown_date(page)))
    assert sorted(worst) == list(BAD)
    points = page.locator("#curve .hit")
    scene = points.nth(1).get_attribute("data-scene")
    points.nth(1).click()
    page.wait_for_selector(f"body[data-scene='{scene}']")
    # And back: the front under the mouse is ringed on the curve.
    settled(page)
    front = fronts(looked_at.project).to_crs(3413).geometry.iloc[-1]
    middle = front.interpolate(0.5, normalized=True)
    page.mouse.move(*pixel_of(page, middle.x, middle.y))
    page.wait_for_selector("#curve .ring.hover")
    page.mouse.click(*pixel_of(page, middle.x, middle.y))
    page.wait_for_selector(f"#chip .date:text-is('{dates[-1]}')")
    nothing_wrong(seen)


def test_contrast_layers_and_the_neighbouring_date(looked_at, context):
    page, seen = opened(context, looked_at.address)
    go_to(page, 3)
    dates = [str(date)[:10] for date in fronts(looked_at.project)["date"]]
    before = page.locator("#map").screenshot()
    page.fill("#dark", "100")
    page.wait_for_timeout(200)
    assert page.locator("#map").screenshot() != before
    page.click("#image-reset")
    page.keyboard.press("n")
    assert f"60 % of {dates[2]}" in page.inner_text("#chip")
    assert shown_date(page) == dates[3]  # the date itself stays plain
    page.select_option("#fade-side", "1")
    assert f"60 % of {dates[4]}" in page.inner_text("#chip")
    page.keyboard.press("n")
    assert "%" not in page.inner_text("#chip")
    for name in ("image", "fronts", "band", "single", "walls", "lines", "zones"):
        was = page.locator("#map").screenshot()
        page.click(f"#layer-{name}")
        page.wait_for_timeout(700)
        assert page.locator("#map").screenshot() != was, name
        page.click(f"#layer-{name}")
    nothing_wrong(seen)


def test_reload_and_link_keep_date_place_and_line(looked_at, context):
    page, seen = opened(context, looked_at.address)
    go_to(page, 1)
    page.mouse.move(*pixel_of(page, column(110), (TOP + BOTTOM) / 2))
    before = page.url
    page.mouse.wheel(0, -240)
    settled(page, moved_from=before)
    place, date = place_of(page), shown_date(page)
    places = [(column(n), (TOP + BOTTOM) / 2 + 60 * n - 6600) for n in (109, 110, 111)]
    draw(page, places)
    page.reload()
    page.wait_for_selector(READY)
    settled(page)
    assert shown_date(page) == date
    assert np.allclose(place_of(page), place, rtol=1e-4)
    assert vertices(page) == len(places)
    page.click("#cancel")
    other, others = opened(context, page.url)
    assert shown_date(other) == date
    assert np.allclose(place_of(other), place, rtol=1e-4)
    nothing_wrong(seen)
    nothing_wrong(others)


# --- correct --------------------------------------------------------------------------------


def test_a_drawn_and_mended_line_is_kept_to_a_pixel_and_moves_its_neighbours(view, context):
    page, seen = opened(context, view.address)
    before = fronts(view.project)
    go_to(page, 3)
    settled(page)
    places = line_at(84)
    draw(page, places)
    *_, size = place_of(page)
    end = (places[2][0] - 25 * size, places[2][1] + 4 * size)
    drag(page, places[2], end)
    places[2] = end
    assert vertices(page) == len(places)
    saved(page, "Ada <b>Lovelace</b>")
    after = fronts(view.project)
    drawn = shapely.LineString(places)
    kept = after.to_crs(3413).geometry.iloc[3]
    assert shapely.hausdorff_distance(kept, drawn, 0.05) <= CLICKS_PX * size
    layer = fronts(view.project, CORRECTIONS)
    assert layer["person"].tolist() == ["Ada <b>Lovelace</b>"]
    moved = [k for k in range(COUNT) if not before.geometry.iloc[k].equals(after.geometry.iloc[k])]
    assert {2, 4} & set(moved)
    listed = page.locator("#moved li").count()
    assert listed == len(set(moved) - {3})
    page.click("#take-back")
    page.wait_for_selector("#take-back", state="hidden")
    page.wait_for_selector("body[data-busy=no]")
    apart = fronts(view.project).geometry.hausdorff_distance(before.geometry)
    assert apart.max() < size, apart.tolist()  # less than a pixel of the screen
    nothing_wrong(seen)


def test_vertices_are_added_taken_out_undone_and_no_quick_click_is_lost(looked_at, context):
    page, seen = opened(context, looked_at.address)
    go_to(page, 0)
    settled(page)
    page.click("#draw")
    places = line_at(95, count=9)
    for place in places:  # without a pause, faster than any double click
        page.mouse.click(*pixel_of(page, *place), delay=0)
    assert vertices(page) == 9
    page.mouse.dblclick(*pixel_of(page, column(90), BOTTOM + 300))
    assert vertices(page) == 10
    middle = ((places[3][0] + places[4][0]) / 2, (places[3][1] + places[4][1]) / 2)
    drag(page, middle, (middle[0] - 200, middle[1]))
    assert vertices(page) == 11
    page.keyboard.down("Alt")
    click_at(page, *places[6])
    page.keyboard.up("Alt")
    assert vertices(page) == 10
    page.keyboard.press("Control+z")
    assert vertices(page) == 11
    page.click("#undo")
    assert vertices(page) == 10
    page.keyboard.press("Control+y")
    page.click("#redo")
    assert vertices(page) == 10
    # Zoomed in, most vertices lie outside of the view, and stay.
    page.mouse.move(*pixel_of(page, *places[1]))
    before = page.url
    page.mouse.wheel(0, -900)
    settled(page, moved_from=before)
    drag(page, places[1], (places[1][0] - 60, places[1][1]))
    assert vertices(page) == 10
    page.click("#cancel")
    assert fronts(looked_at.project).geometry.notna().all()
    nothing_wrong(seen)


def test_ends_snap_to_the_walls(view, context):
    page, seen = opened(context, view.address)
    go_to(page, 0)
    settled(page)
    *_, size = place_of(page)
    off = 8 * size
    places = [
        (column(100), TOP - off),
        (column(100), (TOP + BOTTOM) / 2),
        (column(100), BOTTOM + off),
    ]
    draw(page, places)
    saved(page, "Ada")
    line = fronts(view.project, CORRECTIONS).to_crs(3413).geometry.iloc[0]
    ends = sorted((line.bounds[1], line.bounds[3]))
    assert abs(ends[1] - TOP) <= SIZE_M / 2 + 1
    assert abs(ends[0] - BOTTOM) <= SIZE_M / 2 + 1
    nothing_wrong(seen)


def test_verdict_flags_and_note_are_kept_and_taken_back(view, context):
    page, seen = opened(context, view.address)
    name = fronts(view.project)["name"].iloc[-1]

    def verdict() -> str | None:
        with sqlite3.connect(view.project / CATALOGUE) as db:
            return db.execute(f"SELECT verdict FROM {LAYER} WHERE name = ?", (name,)).fetchone()[0]

    page.keyboard.press("a")
    give_name(page, "Ada")
    page.wait_for_selector("#accept[aria-pressed=true]")
    assert verdict() == "accepted"
    page.keyboard.press("r")
    page.wait_for_selector("#reject[aria-pressed=true]")
    assert verdict() == "rejected"
    page.check("#flag-1")
    page.fill("#note", "ice <mélange> before it")
    page.click("#reject")
    page.wait_for_selector("#reject[aria-pressed=false]")
    assert verdict() is None
    page.reload()
    page.wait_for_selector(READY)
    assert page.is_checked("#flag-1")
    assert page.input_value("#note") == "ice <mélange> before it"
    nothing_wrong(seen)


def test_the_second_of_two_browsers_is_told_and_loses_nothing(view, browser, context):
    first, seen = opened(context, view.address)
    with browser.new_context(viewport=SIZE) as other:
        second, others = opened(other, view.address)
        for page in (first, second):
            go_to(page, 3)
        draw(first, line_at(90))
        draw(second, line_at(82))
        saved(first, "Ada")
        second.click("#save")
        give_name(second, "Eve")
        notice = second.wait_for_selector(".notice[data-key=conflict]")
        assert "Ada changed" in notice.inner_text()
        assert vertices(second) == 6
        assert fronts(view.project, CORRECTIONS)["person"].tolist() == ["Ada"]
        second.click(".notice[data-key=conflict] button.main")
        second.wait_for_selector("#start-tools:visible")
        layer = fronts(view.project, CORRECTIONS)
        assert layer[layer["taken_back"].isna()]["person"].tolist() == ["Eve"]
        # The refusal itself is what the browser prints.
        assert all("409" in error for error in others.errors)
        assert others.hosts() == {"127.0.0.1"}
    # The first is told by what it asks for now and then.
    first.wait_for_selector("#take-back:has-text('Eve')")
    nothing_wrong(seen)


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_server_that_is_killed_costs_no_line_and_the_page_goes_on(view, context, when):
    page, seen = opened(context, view.address)
    go_to(page, 3)
    places = line_at(88)
    draw(page, places)
    if when == "before":
        view.kill()
        page.click("#save")
        give_name(page, "Ada")
    else:
        # Killed when the request is under way.
        gone = threading.Event()
        page.on("request", lambda request: gone.set() if "corrections" in request.url else None)
        page.click("#save")
        give_name(page, "Ada")
        while not gone.is_set():
            page.wait_for_timeout(20)
        page.wait_for_timeout(150)
        view.kill()
    page.wait_for_selector("#connection.lost")
    assert "kept in this browser" in page.inner_text(".notice[data-key=gone]")
    view.start()
    page.wait_for_selector("#connection:not(.lost)")
    page.wait_for_selector("#start-tools:visible")
    page.wait_for_selector("body[data-busy=no]")
    layer = fronts(view.project, CORRECTIONS)
    assert len(layer) == 1
    kept = layer.to_crs(3413).geometry.iloc[0]
    *_, size = place_of(page)
    assert shapely.hausdorff_distance(kept, shapely.LineString(places), 0.05) <= CLICKS_PX * size
    assert page.inner_text("#take-back") == "Take back the line of Ada"
    assert all("ERR_" in error for error in seen.errors)
    assert seen.hosts() == {"127.0.0.1"}


def test_the_three_worst_fronts_take_less_than_ten_clicks_each(view, context):
    page, seen = opened(context, view.address)
    revision = page.get_attribute("body", "data-curve")
    page.click("#person")
    give_name(page, "Ada")
    worst = []
    for number in BAD:
        clicks = 0
        page.click("#worst")
        clicks += 1
        page.wait_for_selector(READY)
        settled(page)
        worst.append(shown_date(page))
        page.click("#draw")
        clicks += 1
        for place in line_at(120 - number):
            click_at(page, *place)
        page.click("#save")
        clicks += 1
        page.wait_for_selector("#start-tools:visible")
        page.wait_for_selector(f"body:not([data-curve='{revision}'])")
        revision = page.get_attribute("body", "data-curve")
        assert clicks < 10
    assert len(set(worst)) == len(BAD)
    layer = fronts(view.project, CORRECTIONS)
    assert sorted(str(date)[:10] for date in layer["date"]) == sorted(worst)
    assert not page.locator("#curve .outlier").count()
    nothing_wrong(seen)


def test_a_line_is_drawn_and_saved_with_the_keyboard_alone(view, context):
    page, seen = opened(context, view.address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert {"map", "ticks", "edit", "draw", "accept", "reject", "dark", "next", "png"} <= reached
    page.focus("#map")
    page.keyboard.press("e")
    count = vertices(page)
    assert count >= 2
    page.keyboard.press("]")
    page.keyboard.press("]")
    for _ in range(3):
        page.keyboard.press("Alt+Shift+ArrowLeft")
    page.keyboard.press("Insert")
    assert vertices(page) == count + 1
    page.keyboard.press("s")
    page.wait_for_selector("#ask[open]")
    page.keyboard.type("Ada")
    page.keyboard.press("Enter")
    page.wait_for_selector("#start-tools:visible")
    page.wait_for_selector("body[data-busy=no]")
    assert len(fronts(view.project, CORRECTIONS)) == 1
    nothing_wrong(seen)


# --- take along and hostile names -----------------------------------------------------------


def test_picture_and_geojson_hold_what_is_shown(looked_at, context, tmp_path):
    page, seen = opened(context, looked_at.address)
    with page.expect_download() as picture:
        page.click("#png")
    picture.value.save_as(tmp_path / "view.png")
    with Image.open(tmp_path / "view.png") as image:
        box = page.locator("#map").bounding_box()
        assert image.size[0] == box["width"]
        assert image.size[1] > box["height"]
        assert len(image.convert("RGB").getcolors(1 << 20)) > 50
    with page.expect_download() as table:
        page.click("#geojson")
    assert table.value.suggested_filename.endswith(".geojson")
    table.value.save_as(tmp_path / "fronts.geojson")
    written = gpd.read_file(tmp_path / "fronts.geojson").to_crs(3413)
    before = fronts(looked_at.project).to_crs(3413)
    assert len(written) == COUNT
    for one, other in zip(written.geometry, before.geometry, strict=True):
        assert shapely.hausdorff_distance(one, other) < 0.2
    nothing_wrong(seen)


def test_names_that_are_html_stay_text(made, tmp_path, context):
    project = copied(made, tmp_path)
    hostile = '<img src=x onerror="document.title=1"><script>document.title=1</script>'
    with sqlite3.connect(project / CATALOGUE) as db:
        for table in (LAYER, "single_dates"):
            db.execute(f"UPDATE {table} SET glacier = ?", (hostile,))
        db.execute(f"UPDATE {LAYER} SET sensor = ?, reason = ?", (hostile, hostile))
    with viewed(project, tmp_path / "home") as view:
        page, seen = opened(context, view.address)
        assert "<img src=x" in page.inner_text("#glaciers")
        assert "<img src=x" in page.inner_text("#facts")
        assert page.locator("img[src=x]").count() == 0
        assert page.title() != "1"
        nothing_wrong(seen)


def test_an_export_opens_by_a_double_click_and_changes_nothing(made, tmp_path, context):
    from icefront.viewer import export_project

    export_project(made, tmp_path / "out")
    page, seen = opened(context, (tmp_path / "out" / "index.html").as_uri())
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(READY)
    assert page.locator("#curve .hit").count() >= COUNT - len(BAD)
    for hidden in ("#draw", "#accept", "#person"):
        assert not page.is_visible(hidden)
    page.keyboard.press("d")
    assert not page.is_visible("#editing")
    with page.expect_download() as table:
        page.click("#geojson")
    table.value.save_as(tmp_path / "fronts.geojson")
    assert len(json.loads((tmp_path / "fronts.geojson").read_text())["features"]) == COUNT
    assert seen.errors == []
    assert seen.hosts() <= {None, ""}


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_is_readable_in_dark_and_light_at_1280_by_720(looked_at, browser, scheme):
    with browser.new_context(viewport=SIZE, color_scheme=scheme) as made:
        page, _ = opened(made, looked_at.address)
        colours = page.evaluate(
            """() => [...document.querySelectorAll("h2, label, dt, dd, button, .hint, .count")]
            .filter((one) => one.offsetParent && one.textContent.trim() && !one.disabled)
            .map((one) => {
              let back = one;
              const of = (element) => getComputedStyle(element).backgroundColor;
              const clear = /, 0\\)$|transparent/;
              while (back.parentElement && clear.test(of(back))) back = back.parentElement;
              return [getComputedStyle(one).color, of(back), one.textContent.trim()];
            })"""
        )
        assert len(colours) > 30
        for ink, paper, text in colours:
            assert contrast(ink, paper) >= 4.5, (text, ink, paper)
        # All tools are in the window, and nothing reaches beyond its edge.
        for name in ("#draw", "#accept", "#note", "#worst", "#curve", "#fade-side", "#png"):
            box = page.locator(name).bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= SIZE["width"]
            assert box["y"] + box["height"] <= SIZE["height"], name


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours of a style sheet by WCAG 2.2."""

    def lightness(colour: str) -> float:
        numbers = colour[colour.index("(") + 1 : -1].replace(",", " ").split()[:3]
        values = np.array([float(n) for n in numbers]) / 255
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((lightness(first), lightness(second)))
    return (high + 0.05) / (low + 0.05)
