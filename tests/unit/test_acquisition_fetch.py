"""Fetching scenes from servers on this machine: windows, mosaics, signatures, breaks."""

from __future__ import annotations

import datetime as dt
import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS
from rasterio.warp import transform
from typer.testing import CliRunner

from icefront.acquisition import fetch as module
from icefront.acquisition.areas import Area
from icefront.acquisition.catalogues import CATALOGUES, Catalogue
from icefront.acquisition.fetch import Settings, acquire
from icefront.acquisition.items import passes_of, read_item
from icefront.acquisition.search import Found, Recipe
from icefront.acquisition.signing import AzureTokens, S3Addresses, check_keys, plain, signer_of
from icefront.cli import app
from icefront.datasets.ssl4sar import CHANNELS
from icefront.errors import FullDiskError, IcefrontError
from icefront.files import downloads
from icefront.grid import Grid
from icefront.projects.config import MonitoringConfig
from icefront.projects.scene_files import list_scenes
from icefront.scenes import open_scene
from icefront.scenes.cog import write_cog
from tests.helpers.file_server import FileServer, file_server
from tests.helpers.optical_tiles import REFLECTANCE, SNOW, optical_item, write_tile
from tests.helpers.stac_server import radar_item

AREA = Area("Helheim", CRS.from_epsg(3413), (300_000.0, -2_580_000.0, 304_000.0, -2_577_000.0))
UTM = CRS.from_epsg(32624)


def power_at(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return smooth backscatter by place on the map of the area."""
    return (0.2 + 0.1 * np.sin(x / 400) * np.cos(y / 300)).astype(np.float32)


def write_image(path: Path, part: tuple[float, float] = (0, 1), side: float = 10.0) -> Grid:
    """Write backscatter on UTM over a part of the area, from south to north; 0 outside."""
    south, north = AREA.bounds[1] + np.array(part) * (AREA.bounds[3] - AREA.bounds[1])
    box = shapely.box(AREA.bounds[0] - 4_000, south, AREA.bounds[2] + 4_000, north)
    left, bottom, right, top = (
        gpd.GeoSeries([box.segmentize(200)], crs=AREA.crs).to_crs(UTM).total_bounds
    )
    height, width = int((top - bottom) / side), int((right - left) / side)
    grid = Grid(height, width, UTM, Affine(side, 0, left, 0, -side, top), side)
    rows, columns = np.mgrid[:height, :width]
    x, y = transform(UTM.to_wkt(), AREA.crs.to_wkt(), *(a.ravel() for a in grid.xy(rows, columns)))
    x, y = np.reshape(x, grid.shape), np.reshape(y, grid.shape)
    inside = (y >= south) & (y < north)
    write_cog(path, np.where(inside, power_at(x, y), np.float32(0)), grid, {})
    return grid


@dataclass
class Made:
    server: FileServer
    recipe: Callable[..., Recipe]
    folder: Path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("images")
    parts = {"whole": (-0.7, 1.7), "south": (-0.7, 0.55), "north": (0.45, 1.7), "beside": (4, 4.5)}
    for name, part in parts.items():
        write_image(folder / f"{name}.tif", part)
    return {f"{name}.tif": folder / f"{name}.tif" for name in parts}


@pytest.fixture
def made(images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    monkeypatch.setattr(downloads, "PAUSE_S", 0.01)
    outline = AREA.outline.buffer(0.05)
    with file_server(images) as server:

        def recipe(*names: str, catalogue: Catalogue | None = None, base: str = "") -> Recipe:
            raws = []
            for number, name in enumerate(names):
                files = {channel: f"{base or server.url}/{name}.tif" for channel in ("hh", "hv")}
                second = 25 * number
                raws.append(
                    radar_item(f"S1A_{number}", f"2018-06-02T20:00:{second:02d}Z", outline, files)
                )
            found = catalogue or Catalogue(server.url, "local", server.url)
            return Recipe(AREA, found, tuple(passes_of([read_item(raw) for raw in raws], AREA)))

        yield Made(server, recipe, tmp_path)


HH = Settings(polarisations=("HH",))


def expected(grid: Grid) -> np.ndarray:
    rows, columns = np.mgrid[: grid.height, : grid.width]
    return power_at(*grid.xy(rows, columns))


def test_a_scene_is_the_window_on_the_grid_of_the_area(made: Made) -> None:
    done = acquire(made.recipe("whole"), made.folder, workers=1)
    assert [path.name for path in done.written] == [
        "Helheim_2018-06-02T200000_S1A_IW_090_rtc_HH.tif",
        "Helheim_2018-06-02T200000_S1A_IW_090_rtc_HV.tif",
    ]
    assert (done.failed, done.present, done.received) == ((), (), made.server.sent)
    with rasterio.open(done.written[0]) as raster:
        values = raster.read(1)
        tags = raster.tags()
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert raster.descriptions == ("HH gamma0 power",)
    assert np.abs(values / expected(AREA.grid(20)) - 1).max() < 0.01
    assert tags["ITEMS"] == "S1A_0"
    scene = open_scene(done.written[0])
    assert (scene.glacier, scene.date, scene.sensor) == ("Helheim", dt.date(2018, 6, 2), "S1")
    assert (scene.orbit, scene.polarisation, scene.radiometry) == ("090", "HH", "power")
    assert scene.grid.difference(AREA.grid(20)) is None


def test_coarser_pixels_are_means(made: Made) -> None:
    settings = Settings(pixel_size_m=100, polarisations=("HH",))
    (path,) = acquire(made.recipe("whole"), made.folder, settings=settings).written
    with rasterio.open(path) as raster:
        assert raster.res == (100, 100)
        assert np.abs(raster.read(1) / expected(AREA.grid(100)) - 1).max() < 0.03


def test_slices_of_a_pass_are_one_scene(made: Made) -> None:
    (path,) = acquire(made.recipe("south", "north"), made.folder, settings=HH).written
    with rasterio.open(path) as raster:
        values, items = raster.read(1), raster.tags()["ITEMS"]
    assert items == "S1A_0 S1A_1"
    assert np.isfinite(values).all()
    assert np.abs(values / expected(AREA.grid(20)) - 1).max() < 0.03
    (south,) = acquire(made.recipe("south"), made.folder / "south", settings=HH).written
    with rasterio.open(south) as raster:
        assert 0.4 < np.isnan(raster.read(1)).mean() < 0.5


def test_little_more_is_read_than_the_blocks_of_the_window(made: Made, images) -> None:
    done = acquire(made.recipe("whole"), made.folder, settings=HH)
    with rasterio.open(images["whole.tif"]) as raster:
        grid = AREA.grid(20)
        x, y = gpd.GeoSeries([AREA.box], crs=AREA.crs).to_crs(UTM)[0].exterior.xy
        columns, rows = ~raster.transform * (np.array(x), np.array(y))
        height, width = raster.block_shapes[0]
        needed = sum(
            int(raster.get_tag_item(f"BLOCK_SIZE_{c}_{r}", "TIFF", bidx=1) or 0)
            for r in range(int(rows.min()) // height, int(rows.max()) // height + 1)
            for c in range(int(columns.min()) // width, int(columns.max()) // width + 1)
        )
    assert grid.shape
    assert done.received <= 1.3 * needed


def test_what_is_there_is_not_fetched_again(made: Made) -> None:
    recipe = made.recipe("whole")
    first = acquire(recipe, made.folder)
    before = {path.name: path.read_bytes() for path in made.folder.iterdir()}
    first.written[0].unlink()
    asked = len(made.server.asked)
    again = acquire(recipe, made.folder)
    assert (again.written, again.present) == (first.written[:1], first.written[1:])
    assert {path.name: path.read_bytes() for path in made.folder.iterdir()} == before
    assert all("whole" in text for text in made.server.asked[asked:])
    third = acquire(recipe, made.folder)
    assert (third.received, third.written) == (0, ())


def test_scenes_made_otherwise_are_not_mixed(made: Made) -> None:
    recipe = made.recipe("whole")
    acquire(recipe, made.folder, settings=HH)
    other = Settings(pixel_size_m=40, polarisations=("HH",))
    with pytest.raises(IcefrontError, match=r"HH\.tif is there, made .* --overwrite"):
        acquire(recipe, made.folder, settings=other)
    (path,) = acquire(recipe, made.folder, settings=other, overwrite=True).written
    with rasterio.open(path) as raster:
        assert raster.res == (40, 40)


def test_breaks_and_a_busy_server_change_nothing(made: Made) -> None:
    (path,) = acquire(made.recipe("whole"), made.folder, settings=HH).written
    calm = path.read_bytes()
    path.unlink()
    made.server.cut_after = [10_000, 0, 100, 3]
    made.server.status = [429, 503]
    (path,) = acquire(made.recipe("whole"), made.folder, settings=HH).written
    assert path.read_bytes() == calm


def test_a_server_without_ranges_sends_whole_files(made: Made) -> None:
    (path,) = acquire(made.recipe("whole"), made.folder, settings=HH).written
    calm = path.read_bytes()
    path.unlink()
    made.server.ranges = False
    done = acquire(made.recipe("whole"), made.folder, settings=HH)
    assert done.written == (path,)
    assert path.read_bytes() == calm
    assert [found.name for found in made.folder.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"gone": True}, "does not send"),
        ({"status": [404] * 9}, "refused by the server .HTTP 404"),
        ({"wrong_ranges": True}, "not sent as it is asked for"),
        ({"changes": True}, "changed on the server"),
    ],
)
def test_a_scene_that_fails_is_told_and_nothing_of_it_stays(made: Made, wrong, said: str) -> None:
    for name, value in wrong.items():
        setattr(made.server, name, value)
    done = acquire(made.recipe("whole"), made.folder, settings=HH)
    (failed,) = done.failed
    assert failed.scene in failed.sentence
    assert said.replace(" .", " (") in failed.sentence
    assert list(made.folder.iterdir()) == []


def test_damaged_images_and_those_without_data_are_told(made: Made) -> None:
    made.server.files["noise.tif"] = b"no image" * 9_000
    whole = made.server.content("whole.tif")
    made.server.files["cut.tif"] = whole[: len(whole) // 3]
    for name, said in (
        ("noise", "is no image, or a damaged one"),
        ("cut", "is damaged or cut short"),
        ("beside", "hold no data over Helheim"),
    ):
        (failed,) = acquire(made.recipe(name), made.folder, settings=HH).failed
        assert said in failed.sentence
    assert list(made.folder.iterdir()) == []


def test_one_failure_does_not_end_the_others(made: Made) -> None:
    made.server.files["late.tif"] = b""
    good, bad = made.recipe("whole"), made.recipe("late")
    times = {f"{kind}datetime": "2019-06-02T20:00:00Z" for kind in ("", "start_")}
    raw = bad.passes[0].first.raw
    later = raw | {"id": "S1A_later", "properties": raw["properties"] | times}
    passes = passes_of([*good.passes[0].items, read_item(later)], AREA)
    done = acquire(Recipe(AREA, good.catalogue, tuple(passes)), made.folder, settings=HH)
    assert len(done.written) == len(done.failed) == 1


def test_a_full_disk_ends_it_in_a_sentence(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_cog", full)
    with pytest.raises(FullDiskError, match=r"is full and .* was not written"):
        acquire(made.recipe("whole"), made.folder)
    assert list(made.folder.iterdir()) == []


# --- Sentinel-2 ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tile(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Path]]:
    """Return what writes a tile that shows the area, each once."""
    folder = tmp_path_factory.mktemp("tiles")
    bounds = gpd.GeoSeries([AREA.box], crs=AREA.crs).to_crs(UTM).total_bounds
    corner = float(bounds[0] // 60 * 60 - 600), float(bounds[3] // 60 * 60 + 600)

    @functools.cache
    def written(added: float, cloudy: tuple[int, int]) -> dict[str, Path]:
        name = f"{added}-{cloudy[0]}-{cloudy[1]}"
        return write_tile(folder, name, added, corner=corner, cloudy=cloudy, width=330, height=300)

    return written


@pytest.fixture
def optical(made: Made, tile) -> Callable[..., Recipe]:
    """Return what makes a recipe of tiles: time, cloudy rows, what is added and what is stated."""

    def recipe(*tiles: dict) -> Recipe:
        raws = []
        for number, about in enumerate(tiles):
            hrefs = {}
            for channel, path in tile(about.get("added", 0), about.get("cloudy", (0, 0))).items():
                made.server.files[f"S2A_{number}_{channel}.tif"] = path
                hrefs[channel] = f"{made.server.url}/S2A_{number}_{channel}.tif"
            more = about.get("more", {"s2:processing_baseline": "02.14"})
            raw = optical_item(
                f"S2A_{number}", about["time"], AREA.outline.buffer(0.05), hrefs,
                cloud=about.get("stated", 5.0), **more,
            )  # fmt: skip
            # Earth Search lists a channel once more, in a store with keys; it is not read.
            raw["assets"]["blue-jp2"] = {"href": "s3://sentinel-s2-l2a/tiles/B02.jp2"}
            raws.append(raw)
        catalogue = Catalogue(made.server.url, "local", made.server.url)
        return Recipe(AREA, catalogue, tuple(passes_of([read_item(raw) for raw in raws], AREA)))

    return recipe


SPRING = {"time": "2018-04-03T14:00:00Z", "stated": 0.0}
CLOUDY = {"time": "2018-07-10T14:00:00Z", "stated": 1.0, "cloudy": (100, 200)}
CLEAR = {"time": "2018-08-02T14:00:00Z", "stated": 30.0}


@pytest.mark.usefixtures("_no_keys")
def test_of_sentinel_2_the_clearest_of_summer_is_fetched(made: Made, optical) -> None:
    recipe = optical(SPRING, CLOUDY, CLEAR)
    radar = made.recipe("whole")
    both = Recipe(AREA, recipe.catalogue, (*radar.passes, *recipe.passes))
    done = acquire(both, made.folder, settings=HH)
    scene, path = done.written
    assert path.name == "Helheim_2018-08-02T140000_S2A_optical.tif"
    assert any("Of 2 Sentinel-2 passes that of 2018-08-02 is taken" in note for note in done.notes)
    asked = " ".join(made.server.asked)
    assert "S2A_0" not in asked
    assert "S2A_1_SCL" in asked
    assert "S2A_1_B2" not in asked
    with rasterio.open(path) as raster:
        assert raster.descriptions == CHANNELS
        assert raster.dtypes[0] == "uint16"
        grid = Grid(raster.height, raster.width, AREA.crs, raster.transform, 20.0)
        values, tags = raster.read(), raster.tags()
    assert grid.difference(AREA.grid(20)) is None
    snow = values[:, :, :30].reshape(14, -1)
    for number, name in enumerate(CHANNELS[:12]):
        assert abs(np.median(snow[number]) - 1e4 * REFLECTANCE[name]) <= 1
    assert np.median(snow[12]) == 350
    assert set(np.unique(values[13])) == {SNOW}
    assert (tags["SENSOR"], tags["ITEMS"], tags["PRODUCT"]) == ("S2", "S2A_2", "s2")
    # Beside the scenes, it is none.
    listed = list_scenes(
        MonitoringConfig(scenes=[str(made.folder)]), made.folder, made.folder / "p"
    )
    assert [one.path for one in listed] == [scene]
    asked = len(made.server.asked)
    again = acquire(both, made.folder, settings=HH)
    assert (again.written, again.present) == ((), (scene, path))
    assert len(made.server.asked) == asked


@pytest.mark.parametrize(("really", "stated"), [(1000, True), (0, False)])
def test_an_offset_that_is_stated_wrongly_is_put_right(made, optical, really, stated) -> None:
    """A baseline from 04.00 on: 1000 is in the numbers, unless it was taken off."""
    more = {"s2:processing_baseline": "05.10", "earthsearch:boa_offset_applied": stated}
    recipe = optical(CLEAR | {"added": really, "more": more})
    done = acquire(recipe, made.folder, settings=Settings(pixel_size_m=60))
    with rasterio.open(done.written[0]) as raster:
        blue = raster.read(2)[:, :10]
    assert abs(np.median(blue) - 1e4 * REFLECTANCE["B2"]) <= 1
    assert any("by the darkest" in note for note in done.notes)


def test_optical_images_without_use_are_told(made: Made, optical) -> None:
    coarse = Settings(pixel_size_m=60)
    done = acquire(optical(SPRING), made.folder, settings=coarse)
    assert [path.name for path in done.written] == ["Helheim_2018-04-03T140000_S2A_optical.tif"]
    assert any("No Sentinel-2 image of Helheim is of summer" in note for note in done.notes)
    (failed,) = acquire(optical(CLOUDY | {"cloudy": (0, 280)}), made.folder / "b").failed
    assert "clearest of 1 Sentinel-2 passes loses" in failed.sentence
    recipe = optical(CLEAR)
    raw = recipe.passes[0].first.raw
    assets = {key: asset for key, asset in raw["assets"].items() if key != "SCL"}
    one = passes_of([read_item(raw | {"assets": assets})], AREA)
    (failed,) = acquire(Recipe(AREA, recipe.catalogue, tuple(one)), made.folder / "c").failed
    assert "The channel SCL is missing" in failed.sentence
    assert list((made.folder / "b").iterdir()) == list((made.folder / "c").iterdir()) == []


def test_wrong_settings_are_refused(made: Made) -> None:
    with pytest.raises(IcefrontError, match="polarisation 'XX' is unknown"):
        Settings(polarisations=("XX",))
    with pytest.raises(IcefrontError, match="0 workers"):
        acquire(made.recipe("whole"), made.folder, workers=0)
    with pytest.raises(IcefrontError, match=r"no scene that can be fetched .*no polarisation VV"):
        acquire(made.recipe("whole"), made.folder, settings=Settings(polarisations=("VV",)))


# --- signatures ---------------------------------------------------------------------------------


def test_tokens_are_added_kept_and_renewed() -> None:
    later = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).isoformat()
    soon = (dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)).isoformat()
    files = {
        "account/rtc": json.dumps({"token": "a=1", "msft:expiry": later}).encode(),
        "account/old": json.dumps({"token": "b=2", "msft:expiry": soon}).encode(),
        "account/odd": b"[]",
    }
    href = "https://account.blob.core.windows.net/rtc/x.tif"
    with file_server(files) as server:
        tokens = AzureTokens(server.url)
        assert tokens(href) == tokens(href) == f"{href}?a=1"
        assert len(server.asked) == 1
        assert tokens(href, True) == f"{href}?a=1"
        for _ in range(2):
            assert tokens(href.replace("rtc", "old")).endswith("?b=2")
        assert len(server.asked) == 4
        # Nothing is given to other hosts.
        assert tokens("https://example.org/x.tif") == "https://example.org/x.tif"
        with pytest.raises(IcefrontError, match="hands out no token"):
            tokens(href.replace("rtc", "odd"))


def test_each_catalogue_has_its_signatures() -> None:
    assert signer_of(Catalogue("a", "a", "http://a")) is plain
    assert isinstance(signer_of(CATALOGUES["planetary-computer"]), AzureTokens)
    assert isinstance(signer_of(CATALOGUES["copernicus"]), S3Addresses)
    for wrong in ("ftp://a/b", "/etc/passwd", "file:///etc/passwd", "s3://a/b"):
        with pytest.raises(IcefrontError):
            plain(wrong)


@pytest.fixture
def _no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


@pytest.mark.usefixtures("_no_keys")
def test_missing_keys_are_told_before_anything_is_fetched(made: Made) -> None:
    catalogue = CATALOGUES["earth-search"]
    recipe = made.recipe("whole", catalogue=catalogue, base="s3://bucket")
    with pytest.raises(IcefrontError, match="an AWS account is needed: set AWS_ACCESS_KEY_ID"):
        acquire(recipe, made.folder / "out")
    check_keys(catalogue, ["https://example.org/x.tif"], signer_of(catalogue))
    with pytest.raises(IcefrontError, match="search again with --signing s3"):
        acquire(made.recipe("whole", base="s3://bucket"), made.folder / "out")


def test_requester_pays_is_part_of_the_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    url = S3Addresses(region="eu-central-1", requester_pays=True)("s3://sentinel-s1-l1c/a b/c.tif")
    assert "a%20b/c.tif" in url
    assert "sentinel-s1-l1c" in url
    assert "x-amz-request-payer=requester" in url
    assert "X-Amz-Signature=" in url
    own = S3Addresses(endpoint="https://eodata.example.org", region="default")("s3://eodata/x")
    assert own.startswith("https://eodata.example.org/eodata/x?")
    monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(IcefrontError, match="check AWS_PROFILE"):
        S3Addresses()("s3://a/b")


# --- command ------------------------------------------------------------------------------------


def run(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


def saved(made: Made, *names: str) -> Path:
    recipe = made.recipe(*names)
    path = made.folder / "scenes.json"
    Found(AREA, recipe.catalogue, "rtc", recipe.passes).save(path)
    return path


def test_the_command_fetches_and_tells(made: Made) -> None:
    recipe, out = saved(made, "whole"), made.folder / "out"
    code, text, err = run("acquire", recipe, "--out", out, "--polarisation", "hh")
    assert (code, err) == (0, "")
    assert "1 scenes written; " in text
    made.server.gone = True
    code, text, err = run("acquire", recipe, "--out", out)
    assert code == 1
    assert "HV: " in err
    assert err.count("\n") == 1
    assert "0 scenes written, 1 were there, 1 failed: the same command tries again" in text


def test_wrong_words_of_the_command_are_sentences(made: Made) -> None:
    recipe = saved(made, "whole")
    code, _, err = run("acquire", recipe, "--out", recipe)
    assert (code, err) == (2, f"{recipe} is a file: name a folder for the results.\n")
    for words, said in (
        ((made.folder / "none.json",), "make it with icefront search"),
        ((recipe, recipe), "one recipe at a time"),
        ((recipe, "--area", "Helheim"), "leave --area out"),
        ((made.folder / "none.SAFE",), "Say with --area"),
        ((made.folder / "none.SAFE", "--area", "Helheim"), "does not exist"),
        ((recipe, "--radiometry", "dB"), "radiometry 'dB' is unknown"),
        ((recipe, "--dem-datum", "egm2008"), "give it with --dem"),
        ((recipe, "--dem", recipe, "--dem-datum", "nn"), "datum 'nn' is unknown"),
        ((recipe, "--pixel-size", "-3"), "pixel size must be positive"),
    ):
        code, _, err = run("acquire", *words, "--out", made.folder / "out")
        assert code == 2
        assert said in err
        assert err.count("\n") == 1
