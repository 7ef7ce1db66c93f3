"""What catalogues say of images, which are parts of a pass, and the search with its filters."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pystac
import pytest
import shapely
from typer.testing import CliRunner

from icefront.acquisition import search as module
from icefront.acquisition.areas import area_of
from icefront.acquisition.catalogues import CATALOGUES, catalogue_named
from icefront.acquisition.items import passes_of, read_item
from icefront.acquisition.search import Filters, Found, read_recipe_of_scenes, search
from icefront.cli import app
from icefront.errors import IcefrontError
from tests.helpers.stac_server import StacServer, radar_item, stac_server

AREA = area_of("Helheim")
WEST, SOUTH, EAST, NORTH = AREA.outline.bounds
FIRST, LAST = dt.date(2018, 1, 1), dt.date(2018, 12, 31)


def over(fraction: float = 1.0) -> shapely.Polygon:
    """Return an outline that covers the area from the south up to a fraction."""
    return shapely.box(WEST - 1, SOUTH - 0.2, EAST + 1, SOUTH + 1.2 * fraction * (NORTH - SOUTH))


def scene(name: str, time: str, fraction: float = 1.0, channels: str = "hh hv", **more):
    assets = {key: f"https://example.org/{name}/{key}.tif" for key in channels.split()}
    return radar_item(name, time, over(fraction), assets, **more)


ITEMS = (
    scene("S1A_a", "2018-06-02T20:00:00Z", 0.3),
    scene("S1A_b", "2018-06-02T20:00:25Z"),
    scene("S1B_c", "2018-06-08T08:00:00Z", orbit=127, direction="ascending", channels="vv vh"),
    scene("S1A_d", "2018-11-14T20:00:00Z", mode="EW"),
    scene("S1A_e", "2018-12-14T20:00:00Z", 0.3),
)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.01)


@pytest.fixture
def server() -> Iterator[StacServer]:
    with stac_server(*ITEMS) as state:
        yield state


def found(server: StacServer, **filters) -> Found:
    return search(
        AREA, FIRST, LAST, catalogue=catalogue_named(server.url), filters=Filters(**filters)
    )


def names(found: Found) -> list[list[str]]:
    return [[item.id for item in one.items] for one in found.passes]


# --- items --------------------------------------------------------------------------------------


def real_items(folder: Path) -> dict[str, dict]:
    found = {}
    for path in sorted(folder.rglob("*.json")):
        content = json.loads(path.read_text())
        answer = content.get("response") if isinstance(content, dict) else None
        more = answer.get("features", []) if isinstance(answer, dict) else []
        for one in [content, *more]:
            if isinstance(one, dict) and one.get("type") == "Feature":
                found[one["id"]] = one
    return found


def test_real_items_say_what_their_names_say(real_data: Path) -> None:
    known = real_items(real_data / "catalogue_responses")
    read = {}
    for name, raw in known.items():
        with suppress(IcefrontError):
            read[name] = read_item(raw)
    radar = [item for item in read.values() if item.product != "s2"]
    assert {item.product for item in read.values()} == {"grd", "rtc", "s2"}
    assert len(radar) >= 7
    for item in radar:
        assert item.id.startswith(item.satellite)
        assert f"{item.start:%Y%m%d}" in item.id
        assert item.images
        if item.product == "grd":
            assert f"_{item.mode}_" in item.id
            for channel, href in item.images.items():
                assert re.search(rf"measurement/.*{item.mode}.*-{channel}.*tiff$", href, re.I)
    for item in read.values():
        if item.product == "s2":
            assert len(item.images) >= 12
            assert item.cloud_percent is not None
    # Level 1C, SLC and Landsat are nothing that is read here.
    refused = set(known) - set(read)
    assert any("L1C" in name for name in refused)
    assert any("SL1" in name for name in refused)


def test_slices_of_a_pass_belong_together(real_data: Path) -> None:
    folder = real_data / "catalogue_responses" / "earth_search_20250731"
    items = [read_item(json.loads(path.read_text())) for path in folder.glob("S1A*.json")]
    (one,) = passes_of(items, area_of("77,-49"))
    assert [item.start.second for item in one.items] == [8, 37, 2]
    assert one.polarisations == ("HH",)
    assert one.covered > 0.9


def test_of_an_image_processed_twice_the_newest_counts() -> None:
    name = "S1A_IW_GRDH_1SDH_20180602T200000_20180602T200025_022182_026655"
    old = scene(f"{name}_AAAA", "2018-06-02T20:00:00Z", product="GRD", created="2018-06-02")
    new = scene(f"{name}_0001", "2018-06-02T20:00:00Z", product="GRD", created="2022-01-01")
    (one,) = passes_of([read_item(old), read_item(new)], AREA)
    assert [item.id for item in one.items] == [f"{name}_0001"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"properties": None}, "no STAC item"),
        ({"geometry": {"type": "Polygon"}}, "no geometry or no time"),
        ({"assets": []}, "has no assets"),
        ({"assets": {"schema-product-hh": {"href": "a.xml"}}}, "no image that can be read"),
        ({"collection": "landsat", "properties": {"datetime": "2018-06-02T20:00:00Z"}}, "neither"),
    ],
)
def test_what_is_no_item_is_refused_in_a_sentence(change: dict, said: str) -> None:
    with pytest.raises(IcefrontError, match=said):
        read_item(ITEMS[0] | change)


# --- search -------------------------------------------------------------------------------------


def test_a_search_gives_the_passes_in_order(server: StacServer) -> None:
    result = found(server)
    assert result.product == "rtc"
    assert names(result) == [["S1A_a", "S1A_b"], ["S1B_c"], ["S1A_d"], ["S1A_e"]]
    assert [round(one.covered, 1) for one in result.passes] == [1, 1, 1, 0.3]
    assert server.asked[0]["datetime"] == "2018-01-01T00:00:00Z/2018-12-31T23:59:59Z"
    assert server.asked[0]["limit"] == module.PAGE


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({"months": (6, 7)}, ["S1A_a", "S1A_b", "S1B_c"]),
        ({"direction": "ascending"}, ["S1B_c"]),
        ({"relative_orbits": (90,)}, ["S1A_a", "S1A_b", "S1A_d", "S1A_e"]),
        ({"polarisation": "VH"}, ["S1B_c"]),
        ({"mode": "EW"}, ["S1A_d"]),
        ({"min_covered": 0.9}, ["S1A_a", "S1A_b", "S1B_c", "S1A_d"]),
    ],
)
def test_each_filter_leaves_what_it_says(server: StacServer, filters, left: list[str]) -> None:
    assert [item.id for item in found(server, **filters).items] == left


def test_all_pages_are_read_up_to_the_most_items(
    server: StacServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    assert len(found(server).items) == 5
    assert len(server.asked) == 3
    result = search(AREA, FIRST, LAST, catalogue=catalogue_named(server.url), max_items=3)
    assert len(result.items) == 3
    assert "Only the first 3 images" in result.notes[0]


def test_clouds_are_a_filter_of_optical_images(server: StacServer) -> None:
    cloudy = {"eo:cloud_cover": 80, "s2:product_type": "S2MSI2A"}
    assets = {"B02": "https://example.org/B02.tif"}
    for name, cloud in (("S2A_MSIL2A_x", 80), ("S2B_MSIL2A_y", 5)):
        item = radar_item(name, "2018-07-01T15:00:00Z", over(), assets, collection="sentinel-2-l2a")
        item["properties"] = {"datetime": "2018-07-01T15:00:00Z", **cloudy, "eo:cloud_cover": cloud}
        server.items.append(item)
    catalogue = catalogue_named(server.url)
    filters = Filters(max_cloud_percent=20)
    result = search(AREA, FIRST, LAST, catalogue=catalogue, product="s2", filters=filters)
    assert [item.id for item in result.items] == ["S2B_MSIL2A_y"]


def test_the_server_is_asked_again_after_a_refusal(server: StacServer) -> None:
    server.status = [429, 503]
    assert len(found(server).items) == 5
    server.status = [500] * 50
    with pytest.raises(IcefrontError, match=r"cannot be reached .trouble in the server"):
        found(server)


def test_a_search_without_hits_names_the_filter_that_left_nothing(server: StacServer) -> None:
    with pytest.raises(
        IcefrontError, match=r"No scene is left by --mode EW .5 images.*3 after --m"
    ):
        found(server, months=(6,), mode="EW")
    with pytest.raises(IcefrontError, match=r"the best of 1 passes covers 3\d% of the area"):
        found(server, months=(12,), min_covered=0.9)
    with pytest.raises(IcefrontError, match=r"has no Sentinel-1 RTC over Crane from 2018-01-01"):
        search(area_of("Crane"), FIRST, LAST, catalogue=catalogue_named(server.url))


def test_a_catalogue_without_the_collection_says_what_it_has(server: StacServer) -> None:
    with pytest.raises(IcefrontError, match=r"no collection of Sentinel-2 L2A but sentinel-1-rtc"):
        search(AREA, FIRST, LAST, catalogue=catalogue_named(server.url), product="s2")
    earth_search = replace(CATALOGUES["earth-search"], url=server.url)
    with pytest.raises(IcefrontError, match=r"Earth Search by Element 84 has no Sentinel-1 RTC"):
        search(AREA, FIRST, LAST, catalogue=earth_search, product="rtc")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>Hello</html>", "is no catalogue, since it answers with something else"),
        (b"[1, 2]", "is no catalogue, since it answers with something else"),
        (b'{"type": "FeatureCollection"}', "is no catalogue, since it answers with something else"),
        (
            b'{"type":"Catalog","stac_version":"1.0.0","id":"a","description":"","links":[]}',
            "cannot be searched",
        ),
    ],
)
def test_what_is_no_catalogue_is_refused(server: StacServer, body: bytes, said: str) -> None:
    server.body = body
    with pytest.raises(IcefrontError, match=said):
        found(server)


@pytest.mark.parametrize(("status", "said"), [(401, "refuses the question"), (404, "no catalogue")])
def test_a_refusal_is_told(server: StacServer, status: int, said: str) -> None:
    server.status = [status] * 9
    with pytest.raises(IcefrontError, match=said):
        found(server)


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(IcefrontError, match=r"cannot be reached .the connection was refused"):
        search(AREA, FIRST, LAST, catalogue=catalogue_named("http://127.0.0.1:9"))


def test_wrong_questions_are_refused() -> None:
    for wrong, said in (
        ({"months": (13,)}, "Months"),
        ({"direction": "up"}, "ascending or descending"),
        ({"relative_orbits": (176,)}, "1 to 175"),
        ({"polarisation": "XX"}, "unknown"),
        ({"min_covered": 2}, "from 0 to 1"),
        ({"max_cloud_percent": 101}, "100 percent"),
    ):
        with pytest.raises(IcefrontError, match=said):
            Filters(**wrong)
    with pytest.raises(IcefrontError, match="lies before the start"):
        search(AREA, LAST, FIRST, catalogue=catalogue_named("earth-search"))
    with pytest.raises(IcefrontError, match=r"near it: earth-search"):
        catalogue_named("earthsearch")
    with pytest.raises(IcefrontError, match="signing 'magic' is unknown"):
        catalogue_named("https://example.org", "magic")


# --- recipes ------------------------------------------------------------------------------------


def test_a_recipe_is_an_item_collection_that_comes_back(server: StacServer, tmp_path: Path) -> None:
    result = found(server)
    result.save(tmp_path / "scenes.json")
    content = json.loads((tmp_path / "scenes.json").read_text())
    assert len(pystac.ItemCollection.from_dict(content)) == 5
    recipe = read_recipe_of_scenes(tmp_path / "scenes.json")
    assert (recipe.area, recipe.catalogue, recipe.passes) == (AREA, result.catalogue, result.passes)
    content["features"] = content["features"][2:3]
    (tmp_path / "scenes.json").write_text(json.dumps(content))
    assert [one.first.id for one in read_recipe_of_scenes(tmp_path / "scenes.json").passes] == [
        "S1B_c"
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("no json", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "no list of scenes"),
        ('{"features": []}', "no list of scenes"),
        ('{"icefront": {}, "features": []}', "area is missing"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "scenes.json").write_text(content)
    with pytest.raises(IcefrontError, match=said):
        read_recipe_of_scenes(tmp_path / "scenes.json")
    with pytest.raises(IcefrontError, match="make it with icefront search"):
        read_recipe_of_scenes(tmp_path / "none.json")


def test_catalogues_come_back_from_recipes(server: StacServer, tmp_path: Path) -> None:
    found(server).save(tmp_path / "scenes.json")
    content = json.loads((tmp_path / "scenes.json").read_text())
    for known in ({"name": "nowhere"}, {"url": 3}, {"url": "ftp://a"}, None, {}):
        content["icefront"]["catalogue"] = known
        (tmp_path / "scenes.json").write_text(json.dumps(content))
        with pytest.raises(IcefrontError, match=r"scenes\.json: "):
            read_recipe_of_scenes(tmp_path / "scenes.json")
    for name in CATALOGUES:
        content["icefront"]["catalogue"] = CATALOGUES[name].to_json()
        (tmp_path / "scenes.json").write_text(json.dumps(content))
        assert read_recipe_of_scenes(tmp_path / "scenes.json").catalogue is CATALOGUES[name]


# --- commands -----------------------------------------------------------------------------------


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.stdout, done.stderr


def test_the_command_shows_a_table_and_saves_the_recipe(server: StacServer, tmp_path: Path) -> None:
    saved = tmp_path / "scenes.json"
    words = ("search", "Helheim", "--start", "2018-01-01", "--end", "2018-12-31")
    code, out, err = run(
        *words, "--catalogue", server.url, "--direction", "desc", "--save", str(saved)
    )
    assert (code, err) == (0, "")
    assert "2018-06-02 20:00" in out
    assert "HH+HV" in out
    assert "3 passes in 4 images of Sentinel-1 RTC, 1 orbits, over Helheim (21 × 17 km)" in out
    assert f"icefront acquire {saved}" in out
    assert len(read_recipe_of_scenes(saved).passes) == 3


def test_a_place_may_begin_with_a_minus(server: StacServer) -> None:
    words = ("--start", "2018-01-01", "--end", "2018-12-31", "--catalogue", server.url)
    code, out, _ = run("search", "-38.2,66.4", *words)
    assert code == 0
    assert "4 passes" in out


def test_wrong_words_of_the_commands_are_sentences() -> None:
    for words, said in (
        (("search", "Helhiem", "--start", "2018-01-01"), "near it: Helheim"),
        (("search", "Helheim", "--start", "June"), "'June' is no date"),
        (("search", "Helheim", "--start", "2018-01-01", "--orbit", "a"), "no whole numbers"),
        (("search", "Helheim", "--start", "2018-01-01", "--product", "slc"), "rtc, grd, s2"),
        (("search", "Helheim", "--start", "2018-01-01", "--catalogue", "x"), "or a URL"),
        (("glaciers", "xyzzy"), "No known glacier fits"),
    ):
        code, _, err = run(*words)
        assert code == 2
        assert said in err
        assert err.count("\n") == 1


def test_the_list_of_glaciers_can_be_narrowed() -> None:
    code, out, _ = run("glaciers", "Columbia")
    assert code == 0
    assert "EPSG:3413" in out
    assert "test" in out
    assert len(out.splitlines()) == 2
