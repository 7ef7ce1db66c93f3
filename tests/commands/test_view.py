"""The server of the viewer: what it answers and to whom, changes, hostile projects."""

from __future__ import annotations

import io
import json
import math
import shutil
import sqlite3
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from PIL import Image
from starlette.testclient import TestClient
from typer.testing import CliRunner

from icefront.cli import app
from icefront.fronts.distances import mean_distance
from icefront.projects.catalogue import CATALOGUE, LAYER, Catalogue
from icefront.projects.corrections import list_corrections
from icefront.projects.run import run_monitoring
from icefront.viewer.application import PAGE, make_application
from icefront.viewer.open_project import OpenProject
from tests.helpers.scenes import ORIGIN, SIZE_M, GreyLevels
from tests.helpers.simulated_projects import Inline, write_series

COUNT = 5
TOKEN = "t" * 43
HOST = "127.0.0.1:8123"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scenes and the project of them; it is only read."""
    folder = tmp_path_factory.mktemp("view")
    write_series(folder / "scenes", COUNT, step=48)
    run_monitoring(
        folder / "scenes", folder / "project", loader=GreyLevels, start_workers=Inline, workers=1,
        device="cpu", radiometry="grey", progress=False,
    )  # fmt: skip
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "project", tmp_path / "project")
    return tmp_path / "project"


class Browser:
    """Asks the application of a project as the page does."""

    def __init__(self, folder: Path, page: Path = PAGE, **options: object) -> None:
        self.open = OpenProject(folder, **options)
        application = make_application(self.open, TOKEN, [HOST], page)
        self.client = TestClient(application, base_url=f"http://{HOST}")

    def get(self, path: str, status: int = 200, **headers: str):
        answer = self.client.get(path, headers={"X-Icefront-Token": TOKEN, **headers})
        assert answer.status_code == status, answer.text
        return answer

    def post(self, path: str, body: object, status: int = 200):
        answer = self.client.post(path, json=body, headers={"X-Icefront-Token": TOKEN})
        assert answer.status_code == status, answer.text
        return answer.json()

    def glacier(self):
        (known,) = self.get("/api/project").json()["glaciers"]
        return self.get(f"/api/glaciers/{known['id']}").json()

    def tile(self, glacier, scene, kind: str = "scenes", level: int = -1, **more):
        """Return the tile of a scene in which the middle of the glacier lies, and its address."""
        tiles = glacier["tiles"]
        z = range(len(tiles["resolutions"]))[level]
        side = tiles["size"] * tiles["resolutions"][z]
        left, bottom, right, top = glacier["extent"]
        values = {
            "scene": scene["id"],
            "v": scene["v"],
            "zv": scene["zv"],
            "z": z,
            "x": int((left + right) / 2 // side),
            "y": int(-(bottom + top) / 2 // side),
        } | more
        return tiles[kind].format(**values)


@pytest.fixture
def browser(project: Path):
    found = Browser(project)
    yield found
    found.open.close()


@pytest.fixture(scope="module")
def looker(made: Path):
    """A browser of the project that nobody changes."""
    found = Browser(made / "project", writable=False, scratch=made / "scratch")
    yield found
    found.open.close()


def pixels(answer) -> np.ndarray:
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def drawn(column: float) -> dict[str, object]:
    x = ORIGIN[0] + column * SIZE_M
    ys = ORIGIN[1] - np.array([28, 60, 90, 122]) * SIZE_M
    return {"type": "LineString", "coordinates": [[x, y] for y in ys]}


def lines(project: Path):
    return gpd.read_file(project / CATALOGUE, layer=LAYER).geometry


# --- who may ask ----------------------------------------------------------------------------

PATHS = (
    *("/", "/api/project", "/api/glaciers/1", "/api/tiles/1/a/0/0/0.png", "/assets/x/main.js"),
    *("/favicon.ico", "/nothing", "/api/corrections"),
)


@pytest.mark.parametrize("path", PATHS)
def test_every_path_needs_the_token_and_the_own_host(looker: Browser, path: str) -> None:
    plain = looker.client
    assert plain.get(path).status_code == 403
    assert plain.get(path, params={"token": "wrong"}).status_code == 403
    assert plain.post(path, json={}, headers={"X-Icefront-Token": TOKEN[:-1]}).status_code == 403
    for host in ("evil.example", "127.0.0.1", "127.0.0.1:8124", f"{HOST}.evil.example", ""):
        answer = plain.get(path, params={"token": TOKEN}, headers={"Host": host})
        assert answer.status_code == 400
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_another_site_may_not_change_anything(looker: Browser) -> None:
    for origin in ("https://evil.example", "null"):
        answer = looker.client.post(
            "/api/verdicts", json={}, headers={"X-Icefront-Token": TOKEN, "Origin": origin}
        )
        assert answer.status_code == 403


def test_requests_of_other_kinds_are_refused(looker: Browser) -> None:
    client, own = looker.client, {"X-Icefront-Token": TOKEN}
    assert client.put("/api/project", headers=own).status_code == 405
    assert client.post("/api/verdicts", content="x", headers=own).status_code == 415
    large = json.dumps({"note": "x" * (1 << 20)})
    kind = own | {"Content-Type": "application/json"}
    assert client.post("/api/verdicts", content=large, headers=kind).status_code == 413
    assert client.post("/api/verdicts", content="{", headers=kind).status_code == 422


def test_the_page_is_served_and_nothing_beside_it(made: Path, tmp_path: Path) -> None:
    page = tmp_path / "page"
    (page / "vendor").mkdir(parents=True)
    (page / "index.html").write_text('<script src="{{assets}}/main.js"></script>{{data}}')
    (page / "main.js").write_text("1")
    (page / "vendor" / "x.css").write_text("a{}")
    (page / "secret.py").write_text("no")
    (tmp_path / "outside.js").write_text("no")
    (page / "link.js").symlink_to(tmp_path / "outside.js")
    browser = Browser(made / "project", page)
    try:
        index = browser.get("/")
        assert index.text == f'<script src="/assets/{TOKEN}/main.js"></script>'
        script = browser.client.get(f"/assets/{TOKEN}/main.js")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        assert script.headers["x-content-type-options"] == "nosniff"
        style = browser.client.get(f"/assets/{TOKEN}/vendor/x.css")
        assert style.headers["content-type"] == "text/css; charset=utf-8"
        for name in (
            *("secret.py", "link.js", "../outside.js", "..%2foutside.js", "%2e%2e/outside.js"),
            *("vendor", "vendor/../../outside.js", "/etc/passwd", "%2fetc%2fpasswd", "a%00.js"),
        ):
            assert browser.client.get(f"/assets/{TOKEN}/{name}").status_code in (403, 404), name
    finally:
        browser.open.close()


# --- look -----------------------------------------------------------------------------------


def test_a_glacier_is_told_with_its_scenes_fronts_and_tiles(browser: Browser, made: Path) -> None:
    glacier = browser.glacier()
    assert (glacier["name"], glacier["can_correct"]) == ("Crane", True)
    assert glacier["crs"]["code"] == "EPSG:3413"
    assert glacier["crs"]["proj4"].startswith("+proj=stere")
    dates = [scene["date"] for scene in glacier["scenes"]]
    assert dates == sorted(dates)
    assert len(dates) == COUNT
    truth = lines(made / "project")
    for feature, line in zip(glacier["fronts"]["features"], truth, strict=True):
        assert shapely.hausdorff_distance(shapely.geometry.shape(feature["geometry"]), line) < 0.1
        assert feature["properties"]["through_time"] in ("smoothed", "provisional")
    assert glacier["single_dates"]["features"]


def test_the_shore_of_a_scene_is_a_layer_of_its_own(browser: Browser, project: Path) -> None:
    before = browser.glacier()
    assert before["shores"]["features"] == []
    second = before["scenes"][1]
    shore = shapely.LineString([(ORIGIN[0], ORIGIN[1]), (ORIGIN[0] + 500, ORIGIN[1] - 300)])
    with Catalogue(project) as catalogue:
        (row,) = catalogue.db.execute(f"SELECT * FROM {LAYER} WHERE fid = ?", (second["id"],))
        with catalogue.writing():
            catalogue.put_shore(second["id"], {**dict(row), "length_m": 583.1}, shore)
    (found,) = browser.glacier()["shores"]["features"]
    assert shapely.geometry.shape(found["geometry"]).equals_exact(shore, 0.1)
    assert found["properties"]["scene"] == second["id"]
    assert found["properties"]["length_m"] == 583.1


def test_tiles_show_scene_and_zones_where_they_lie(looker: Browser) -> None:
    glacier = looker.glacier()
    scene = glacier["scenes"][0]
    assert scene["picture"] == "later"

    def colour(kind: str, row: int, column: int) -> tuple[int, ...]:
        """Return the colour of the place of a pixel of the scene."""
        side = 256 * glacier["tiles"]["resolutions"][-1]
        place = (ORIGIN[0] + (column + 0.5) * SIZE_M, ORIGIN[1] - (row + 0.5) * SIZE_M)
        x, y = place[0] / side, -place[1] / side
        tile = looker.tile(glacier, scene, kind, x=math.floor(x), y=math.floor(y))
        return tuple(pixels(looker.get(tile))[int(y % 1 * 256), int(x % 1 * 256)].tolist())

    places = ((75, 60), (75, 150), (10, 100))
    ice, water, rock = (colour("scenes", *place) for place in places)
    assert ice[0] > water[0] > rock[0]
    assert ice[3] == water[3] == rock[3] == 255
    assert [colour("zones", *place) for place in places] == [
        (200, 225, 245, 255),
        (30, 90, 160, 255),
        (140, 110, 80, 255),
    ]
    outside = pixels(looker.get(looker.tile(glacier, scene, x=10_000)))
    assert (outside[..., 3] == 0).all()
    assert looker.glacier()["scenes"][0]["picture"] == "ready"


def test_the_curve_has_a_point_for_each_front_and_a_trend(looker: Browser) -> None:
    number = looker.glacier()["id"]
    curve = looker.get(f"/api/glaciers/{number}/curve").json()
    scenes = [scene["id"] for scene in looker.glacier()["scenes"]]
    assert [point["scene"] for point in curve["points"]] == scenes
    positions = [point["position_m"] for point in curve["points"]]
    assert positions == sorted(positions, reverse=True)  # the front retreats by a pixel each time
    trend = curve["trend"]
    assert [trend[0]["date"], trend[-1]["date"]] == [curve["points"][n]["date"] for n in (0, -1)]
    assert trend[0]["position_m"] > trend[-1]["position_m"]
    assert all(one["low"] < one["position_m"] < one["high"] for one in trend)
    widths = [one["high"] - one["low"] for one in trend]
    assert widths[0] > min(widths) < widths[-1]
    assert set(curve["grades"]) == {str(scene) for scene in scenes}
    kinds = [feature["properties"]["kind"] for feature in curve["lines"]["features"]]
    assert sorted(kinds) == ["box", "centreline"]
    (known,) = looker.get("/api/project").json()["glaciers"]
    assert known["to_review"] == len(curve["review"])


def test_the_walls_are_where_the_rock_ends(looker: Browser) -> None:
    walls = looker.get(f"/api/glaciers/{looker.glacier()['id']}/walls").json()["walls"]
    ys = np.concatenate([f["geometry"]["coordinates"] for f in walls["features"]])[:, 1]
    walls = ORIGIN[1] - np.array([30, 120]) * SIZE_M
    assert np.abs(ys[:, None] - walls).min(axis=1).max() < 2 * SIZE_M
    assert set(np.abs(ys[:, None] - walls).argmin(axis=1)) == {0, 1}


def test_fronts_are_handed_out_in_degrees(looker: Browser) -> None:
    glacier = looker.glacier()
    scenes = [scene["id"] for scene in glacier["scenes"][:2]]
    answer = looker.get(
        f"/api/glaciers/{glacier['id']}/fronts.geojson?scene={scenes[0]}&scene={scenes[1]}"
    )
    assert "attachment" in answer.headers["content-disposition"]
    table = gpd.read_file(io.BytesIO(answer.content))
    assert table["date"].astype(str).str[:10].tolist() == ["2018-01-05", "2018-02-22"]
    place = table.to_crs(3413).geometry.iloc[0]
    own = shapely.geometry.shape(glacier["fronts"]["features"][0]["geometry"])
    assert shapely.hausdorff_distance(place, own) < 1


# --- correct --------------------------------------------------------------------------------


def test_a_correction_is_kept_and_its_neighbours_follow(browser: Browser, project: Path) -> None:
    before = browser.glacier()
    scene = before["scenes"][2]
    body = {"scene": scene["id"], "seen": before["revision"], "person": "Ada", "line": drawn(90)}
    answer = browser.post("/api/corrections", body)
    line = lines(project)[2]
    assert np.ptp(shapely.get_coordinates(line)[:, 0]) < 0.01
    assert abs(line.bounds[0] - ORIGIN[0] - 90 * SIZE_M) < 0.01
    moved = {item["scene"]: item["moved_m"] for item in answer["moved"]}
    assert scene["id"] not in moved
    assert max(moved.values()) > SIZE_M / 2
    for feature, old in zip(
        answer["glacier"]["fronts"]["features"], before["fronts"]["features"], strict=True
    ):
        number = feature["properties"]["scene"]
        pair = (shapely.geometry.shape(item["geometry"]) for item in (feature, old))
        apart = mean_distance(*pair, SIZE_M)
        if number != scene["id"]:
            assert apart == pytest.approx(moved.get(number, 0), abs=1)
    (kept,) = answer["glacier"]["corrections"]["features"]
    assert kept["properties"]["person"] == "Ada"
    assert kept["properties"]["scene"] == scene["id"]

    undone = browser.post(
        f"/api/corrections/{answer['correction']}/undo",
        {"seen": answer["revision"], "person": "Eve"},
    )
    assert undone["glacier"]["fronts"] == before["fronts"]
    assert undone["glacier"]["corrections"]["features"] == []
    again = {"seen": undone["revision"]}
    assert "no correction" in browser.post("/api/corrections/99/undo", again, 404)["error"]


def test_the_second_of_two_browsers_is_told(browser: Browser, project: Path) -> None:
    other = Browser(project)
    seen = other.glacier()
    body = {"scene": seen["scenes"][1]["id"], "seen": seen["revision"], "line": drawn(95)}
    browser.post("/api/corrections", body | {"person": "Ada"})
    refused = other.post("/api/corrections", body | {"person": "Eve", "line": drawn(60)}, 409)
    assert refused["person"] == "Ada"
    assert "Ada" in refused["error"]
    assert refused["revision"] == refused["glacier"]["revision"] == browser.glacier()["revision"]
    with Catalogue(project) as catalogue:
        (kept,) = list_corrections(catalogue)
    assert (kept.person, round(kept.line.bounds[0])) == ("Ada", round(ORIGIN[0] + 95 * SIZE_M))
    number = kept.number
    other.post(f"/api/corrections/{number}/undo", {"seen": seen["revision"]}, 409)
    other.open.close()


BAD_LINES = (
    {"type": "LineString", "coordinates": []},
    {"type": "LineString", "coordinates": [[0, 0]]},
    {"type": "LineString", "coordinates": [[0, 0], [0, 0]]},
    {"type": "LineString", "coordinates": [[0, 0], ["x", 1]]},
    {"type": "LineString", "coordinates": [[0, 0, 0], [1, 1, 1]]},
    {"type": "LineString", "coordinates": [[1e300, 0], [-1e300, 1e308]]},
    {"type": "LineString", "coordinates": [[[0, 0], [1, 1]]]},
    {"type": "MultiLineString", "coordinates": []},
    {"type": "MultiLineString", "coordinates": [[]]},
    {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [0, 1], [0, 0]]]},
    {"type": "LineString", "coordinates": [[0, 0], [1, 1]]},
    {"type": "LineString", "coordinates": [[0, 0]] * 20_001},
    "LINESTRING (0 0, 1 1)",
)


def test_a_line_that_is_none_or_crosses_no_fjord_is_refused(browser: Browser) -> None:
    glacier = browser.glacier()
    for line in BAD_LINES:
        body = {"scene": glacier["scenes"][0]["id"], "seen": glacier["revision"], "line": line}
        assert browser.post("/api/corrections", body, 422)["error"], line
        assert browser.glacier()["revision"] == glacier["revision"], line


def test_a_verdict_is_kept_with_remarks_note_and_name(browser: Browser, project: Path) -> None:
    scene = browser.glacier()["scenes"][0]
    body = {
        "scene": scene["id"],
        "seen": 0,
        "verdict": "rejected",
        "remarks": ["partial front", "cloud or shadow"],
        "note": "<img src=x onerror=alert(1)>\nsee the other orbit",
        "person": "Ada\x1b[31m",
    }
    judged = browser.post("/api/verdicts", body)["scene"]
    assert judged["verdict"] == "rejected"
    assert judged["remarks"] == ["cloud or shadow", "partial front"]
    assert judged["note"] == body["note"]
    assert judged["person"] == "Ada\\x1b[31m"
    assert Catalogue(project).rows("name = ?", (scene["name"],))[0]["verdict"] == "rejected"
    curve = browser.get(f"/api/glaciers/{browser.glacier()['id']}/curve").json()
    assert scene["id"] not in [point["scene"] for point in curve["points"]]

    second = browser.post("/api/verdicts", body | {"verdict": "accepted", "person": "Eve"}, 409)
    assert "Ada" in second["error"]
    assert second["scene"]["verdict"] == "rejected"
    back = body | {"seen": judged["verdict_revision"], "verdict": None, "remarks": [], "note": None}
    undone = browser.post("/api/verdicts", back)["scene"]
    assert (undone["verdict"], undone["remarks"], undone["note"]) == (None, [], None)
    unknown = back | {"seen": undone["verdict_revision"], "remarks": ["nice"]}
    assert "nice" in browser.post("/api/verdicts", unknown, 422)["error"]


def test_verdict_and_fronts_have_revisions_of_their_own(browser: Browser) -> None:
    glacier = browser.glacier()
    first, second = glacier["scenes"][:2]
    browser.post("/api/verdicts", {"scene": first["id"], "seen": 0, "verdict": "accepted"})
    after = browser.glacier()
    assert after["revision"] == glacier["revision"]
    assert after["scenes"][1]["verdict_revision"] == second["verdict_revision"]


def test_a_pass_that_was_cut_off_is_done_again(browser: Browser, project: Path, monkeypatch):
    glacier = browser.glacier()
    body = {"scene": glacier["scenes"][2]["id"], "seen": glacier["revision"], "line": drawn(90)}
    from icefront.projects import smoothing

    def killed(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(smoothing, "smooth_project", killed)
        with pytest.raises(SystemExit):
            browser.open.correct(
                body["scene"], shapely.geometry.shape(drawn(90)), seen=body["seen"], person=None
            )
    assert len(browser.glacier()["corrections"]["features"]) == 1
    assert browser.glacier()["fronts"] == glacier["fronts"]
    again = Browser(project)
    again.open.finish_passes()
    until = time.monotonic() + 60
    while again.glacier()["fronts"] == glacier["fronts"] or again.glacier()["busy"]:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert abs(lines(project)[2].bounds[0] - ORIGIN[0] - 90 * SIZE_M) < 0.01
    again.open.close()


# --- hostile and broken projects ------------------------------------------------------------


def change(project: Path, **values: object) -> None:
    """Change the first row of a catalogue as its author could."""
    pairs = ", ".join(f"{name} = ?" for name in values)
    db = sqlite3.connect(project / CATALOGUE)
    db.execute(f"UPDATE {LAYER} SET {pairs} WHERE fid = 1", tuple(values.values()))
    db.commit()
    db.close()


def test_a_scene_that_is_gone_is_told(browser: Browser, project: Path) -> None:
    change(project, path="/nowhere/x.tif")
    scene = browser.glacier()["scenes"][0]
    assert scene["picture"] == "gone"
    assert "/nowhere/x.tif is gone" in scene["picture_note"]
    answer = browser.get(browser.tile(browser.glacier(), scene), 404)
    assert "is gone" in answer.json()["error"]


def test_a_file_that_is_no_scene_of_the_project_is_not_shown(
    browser: Browser, project: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.tif"
    Image.fromarray(np.full((300, 300), 200, np.uint8)).save(secret)
    size = secret.stat().st_size
    for path in (secret, Path("/etc/passwd"), tmp_path, f"{project}/../secret.tif"):
        change(project, path=str(path), size_bytes=size)
        glacier = browser.glacier()
        answer = browser.get(browser.tile(glacier, glacier["scenes"][0]), 404)
        assert "application/json" in answer.headers["content-type"]
        assert not list((project / "scenes").rglob("*_picture.tif"))


def test_links_out_of_the_project_are_not_followed(
    browser: Browser, project: Path, made: Path, tmp_path: Path
) -> None:
    kept = project / "scenes" / "Crane"
    moved = tmp_path / "elsewhere"
    kept.rename(moved)
    kept.symlink_to(moved)
    glacier = browser.glacier()
    assert not any(scene["zones"] for scene in glacier["scenes"])
    scene = glacier["scenes"][0]
    browser.get(browser.tile(glacier, scene, "zones"), 404)
    browser.get(browser.tile(glacier, scene), 404)
    assert not list(moved.glob("*_picture.tif"))


def test_names_with_a_path_lead_nowhere(browser: Browser, project: Path, tmp_path: Path) -> None:
    kept = next((project / "scenes" / "Crane").glob("*_probabilities.tif"))
    shutil.copy(kept, tmp_path / "out_probabilities.tif")
    for name in ("../../../out", f"{tmp_path}/out", "..\\out", "a\0b"):
        change(project, name=name, through_time=None)
        glacier = browser.glacier()
        assert glacier["scenes"][0]["zones"] is False
        browser.get(browser.tile(glacier, glacier["scenes"][0], "zones"), 404)
        browser.get(browser.tile(glacier, glacier["scenes"][0]), 404)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out_probabilities.tif", "project"]


def test_names_are_told_as_data(browser: Browser, project: Path) -> None:
    name = "<script>alert(1)</script>\"'&../%2e%2e"
    db = sqlite3.connect(project / CATALOGUE)
    db.execute(f"UPDATE {LAYER} SET glacier = ?", (name,))
    db.commit()
    answer = browser.get("/api/project")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["glaciers"][0]["name"] == name
    assert browser.glacier()["name"] == name


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/glaciers/99", 404),
        ("/api/glaciers/-1", 404),
        ("/api/glaciers/99/curve", 404),
        ("/api/glaciers/1/fronts.geojson?scene=x", 422),
        ("/api/tiles/99/a/0/0/0.png", 404),
        ("/api/tiles/1/a/99/0/0.png", 422),
        ("/api/tiles/1/a/0/999999999999/0.png", 422),
        ("/api/tiles/1/a/0/0/0.tif", 404),
        ("/api/tiles/../../catalogue.gpkg", 404),
        ("/api/tiles/%2e%2e/a/0/0/0.png", 404),
        ("/catalogue.gpkg", 404),
    ],
)
def test_what_there_is_not_is_refused_in_one_sentence(looker, path: str, status: int) -> None:
    answer = looker.get(path, status)
    assert answer.json()["error"]
    assert "Traceback" not in answer.text


def test_damaged_files_cost_their_tiles_only(browser: Browser, project: Path) -> None:
    glacier = browser.glacier()
    scene = glacier["scenes"][0]
    browser.get(browser.tile(glacier, scene))
    (picture,) = (project / "scenes" / "Crane").glob("*_picture.tif")
    picture.write_bytes(picture.read_bytes()[:500])
    browser.get(browser.tile(glacier, scene))  # made anew
    zones = next((project / "scenes" / "Crane").glob(f"{scene['name']}_through_time.tif"))
    zones.write_bytes(b"II*\0 nothing")
    answer = browser.get(browser.tile(browser.glacier(), scene, "zones"), 422)
    assert "damaged" in answer.json()["error"]
    change(project, geom=b"GP\0\1 nothing")
    assert "cannot be read" in browser.get("/api/glaciers/1", 422).json()["error"]


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["view", str(tmp_path), "--no-browser"])
    assert done.exit_code == 2
    assert "name the folder of a project" in done.output


# --- other projects -------------------------------------------------------------------------


def contents_of(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_project_that_may_not_be_written_is_shown_and_left_alone(
    project: Path, tmp_path: Path
) -> None:
    before = contents_of(project)
    browser = Browser(project, writable=False, scratch=tmp_path / "scratch")
    glacier = browser.glacier()
    assert browser.get("/api/project").json()["read_only"] is True
    assert glacier["can_correct"] is False
    assert "may not be written" in glacier["why_not"]
    scene = glacier["scenes"][0]
    assert pixels(browser.get(browser.tile(glacier, scene)))[..., 3].any()
    body = {"scene": scene["id"], "seen": glacier["revision"], "line": drawn(90)}
    assert "may not be written" in browser.post("/api/corrections", body, 422)["error"]
    verdict = {"scene": scene["id"], "seen": 0, "verdict": "accepted"}
    assert "may not be written" in browser.post("/api/verdicts", verdict, 422)["error"]
    browser.open.close()
    assert contents_of(project) == before


def test_a_project_of_release_0_1_0_is_shown(tmp_path: Path) -> None:
    kept = Path(__file__).parent / "data" / "0.1.0" / "project"
    browser = Browser(shutil.copytree(kept, tmp_path / "project"))
    glacier = browser.glacier()
    assert len(glacier["fronts"]["features"]) == 4
    assert glacier["can_correct"] is False
    curve = browser.get(f"/api/glaciers/{glacier['id']}/curve").json()
    assert len(curve["points"]) == 4
    scene = glacier["scenes"][0]
    assert pixels(browser.get(browser.tile(glacier, scene, "zones")))[..., 3].any()
    browser.open.close()


def test_scenes_without_a_glacier_are_shown_and_corrected(browser: Browser, project: Path) -> None:
    db = sqlite3.connect(project / CATALOGUE)
    for layer in (LAYER, "single_dates"):
        db.execute(f"UPDATE {layer} SET glacier = NULL")
    db.commit()
    glacier = browser.glacier()
    assert glacier["name"] == "no name"
    assert len(glacier["single_dates"]["features"]) == COUNT
    body = {"scene": glacier["scenes"][2]["id"], "seen": glacier["revision"], "line": drawn(90)}
    answer = browser.post("/api/corrections", body)
    assert len(answer["glacier"]["corrections"]["features"]) == 1
    assert abs(lines(project)[2].bounds[0] - ORIGIN[0] - 90 * SIZE_M) < 0.01


# --- without a server -----------------------------------------------------------------------


def test_an_export_holds_the_answers_and_tiles_of_the_server(
    browser: Browser, project: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["view", str(project), "--export", str(out)])
    assert done.exit_code == 0, done.output
    assert str(out / "index.html") in done.output
    text = (out / "data" / "project.js").read_text()
    about = json.loads(text.removeprefix("window.icefrontExport = ").removesuffix(";\n"))
    assert about["project"]["read_only"] is True
    number = about["project"]["glaciers"][0]["id"]
    text = (out / "data" / f"glacier-{number}.js").read_text()
    start = "Object.assign(window.icefrontExport.answers, "
    answers = json.loads(text.removeprefix(start).removesuffix(");\n"))
    glacier = answers[f"glaciers/{number}"]
    assert glacier["fronts"] == browser.glacier()["fronts"]
    assert glacier["can_correct"] is False
    assert answers[f"glaciers/{number}/curve"]["points"]
    for scene in glacier["scenes"]:
        assert scene["tiles"]
        for tile in scene["tiles"]:
            z, x, y = tile.split("/")
            address = glacier["tiles"]["scenes"].format(scene=scene["id"], z=z, x=x, y=y)
            assert Image.open(out / address).size == (256, 256)
    page = (out / "index.html").read_text()
    assert "{{" not in page
    assert 'src="data/project.js"' in page
    assert "http://" not in page
    # Nothing tells where the files of the project lie.
    assert not any(str(tmp_path) in path.read_text() for path in (out / "data").iterdir())
    again = CliRunner().invoke(app, ["view", str(project), "--export", str(out)])
    assert again.exit_code == 2
    assert "is not an empty folder" in again.output


def test_an_export_names_the_scenes_without_a_picture(project: Path, tmp_path: Path) -> None:
    change(project, path="/nowhere/x.tif")
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["view", str(project), "--export", str(out)])
    assert done.exit_code == 0
    assert "/nowhere/x.tif is gone" in done.output
    assert not any("nowhere" in path.read_text() for path in (out / "data").iterdir())
