"""`icefront archive` as users type it, with a catalogue and its files on this machine."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
import yaml
from affine import Affine
from pyproj import CRS, Transformer
from scipy import ndimage
from typer.testing import CliRunner

from icefront.cli import app
from icefront.datasets.ssl4sar import CHANNELS, Ssl4SarArchive
from icefront.files import downloads
from icefront.grid import Grid
from icefront.scenes.cog import write_cog
from tests.helpers.file_server import file_server
from tests.helpers.stac_server import radar_item, stac_server

SHAPE = (130, 140)
GRID = Grid(*SHAPE, CRS.from_epsg(3413), Affine(20, 0, 300_000, 0, -20, -2_577_000), 20.0)
DATES = [dt.date(2020, 6, 2) + dt.timedelta(12 * i) for i in range(4)]
CLEAR, CLOUDY = dt.date(2020, 7, 25), dt.date(2020, 7, 5)


def write_images(folder: Path) -> dict[str, Path]:
    """Write radar images and two optical ones on pixels a little wider than the area."""
    texture = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 2.5)
    files = {}
    for number, date in enumerate(DATES):
        rng = np.random.default_rng(number)
        power = 10 ** ((4 * texture / texture.std() - 12) / 10) * rng.gamma(8, 1 / 8, SHAPE)
        files[f"{date}.tif"] = folder / f"{date}.tif"
        write_cog(files[f"{date}.tif"], power.astype(np.float32), GRID, {})
    for date in (CLEAR, CLOUDY):
        for number, channel in enumerate(CHANNELS):
            values = np.full(SHAPE, 300 + 100 * number, np.uint16)
            if channel == "SCL":
                values[...] = 5
                values[:, 70:] = 9 if date == CLOUDY else 11
            name = f"{date}_{channel}.tif"
            files[name] = folder / name
            write_cog(files[name], values, GRID, {})
    return files


def outline(margin_m: float = 0.0) -> dict:
    to_degrees = Transformer.from_crs(3413, 4326, always_xy=True)
    left, top = 300_000 - margin_m, -2_577_000 + margin_m
    right, bottom = 300_000 + 2_800 + margin_m, -2_577_000 - 2_600 - margin_m
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return {"type": "Polygon", "coordinates": [[to_degrees.transform(*c) for c in corners]]}


def optical_item(url: str, date: dt.date, stated_cloud: float) -> dict:
    names = {c: f"B{int(c[1:]):02d}" if c[1:].isdigit() else c for c in CHANNELS}
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": f"S2A_MSIL2A_{date:%Y%m%d}",
        "collection": "sentinel-2-l2a", "geometry": outline(), "links": [],
        "properties": {
            "datetime": f"{date}T14:00:00Z", "platform": "sentinel-2a",
            "eo:cloud_cover": stated_cloud, "s2:processing_baseline": "02.14",
            "s2:product_type": "S2MSI2A",
        },
        "assets": {names[c]: {"href": f"{url}/{date}_{c}.tif"} for c in CHANNELS},
    }  # fmt: skip


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "PAUSE_S", 0.01)
    folder = tmp_path / "server"
    folder.mkdir()
    with file_server(write_images(folder)) as files, stac_server() as server:
        around = shapely.from_geojson(json.dumps(outline()))
        for number, date in enumerate(DATES):
            server.items.append(
                radar_item(f"S1A_{number}", f"{date}T20:00:00Z", around,
                           {"hh": f"{files.url}/{date}.tif"})
            )  # fmt: skip
        # By the average over whole images the cloudy one is the better.
        server.items += [optical_item(files.url, CLOUDY, 1.0), optical_item(files.url, CLEAR, 30.0)]
        yield server


def box() -> str:
    """Return the corners, in degrees, of a box well within the images."""
    to_degrees = Transformer.from_crs(3413, 4326, always_xy=True)
    x, y = to_degrees.transform(301_400, -2_578_300)
    return f"{x - 0.012},{y - 0.005},{x + 0.012},{y + 0.005}"


def write_config(path: Path, url: str, **changes) -> Path:
    values = {
        "glaciers": [{"name": "Upernavik Isstrom 1", "area": box()}],
        "start": "2020-06-01", "end": "2020-07-31", "catalogue": url, "product": "rtc",
        "min_covered": 0.5, "validation": 0.3,
    } | changes  # fmt: skip
    path.write_text(yaml.safe_dump(values))
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["archive", *map(str, arguments)])


def test_an_archive_is_compiled_and_added_to(catalogue, tmp_path):
    config = write_config(tmp_path / "glaciers.yaml", catalogue.url, end="2020-06-30")
    out = tmp_path / "archive"
    options = ("--set", "optical_end=2020-07-31")
    result = run(config, "--out", out, *options)
    assert result.exit_code == 0, result.output
    assert "Upernavik Isstrom 1: 3 radar images added" in result.output
    opened = Ssl4SarArchive(out)
    assert opened.glaciers == ["Upernavik-Isstrom-1"]
    assert len(opened) == 3
    assert [path.stem for path in opened.optical.values()] == [f"Upernavik-Isstrom-1_S2_{CLEAR}"]
    with rasterio.open(next(iter(opened.optical.values()))) as raster:
        assert raster.descriptions == CHANNELS
        assert set(np.unique(raster.read(14))) == {5, 11}
    record = json.loads((out / "archive.json").read_text())
    assert record["optical"][f"Upernavik-Isstrom-1_S2_{CLEAR}"]["cloudy"] == 0
    before = {path: path.read_bytes() for path in out.glob("unlabeled_data_raw_*/*.tif")}

    result = run(config, "--out", out, *options, "--set", "end=2020-07-31")
    assert result.exit_code == 0, result.output
    assert "1 radar images added" in result.output
    assert len(Ssl4SarArchive(out)) == 4
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize(
    "glacier",
    ["Mapple", "Columbia Glacier", {"name": "Elsewhere", "area": "-147.1,61.0,-146.7,61.3"}],
)
def test_glaciers_of_the_test_split_are_refused(catalogue, tmp_path, glacier, allowed):
    config = write_config(tmp_path / "glaciers.yaml", catalogue.url, glaciers=[glacier])
    result = run(
        config, "--out", tmp_path / "archive", *(["--allow-test-glaciers"] if allowed else [])
    )
    assert result.exit_code == 2
    # Where they are allowed there is nothing of them in this catalogue.
    assert ("belongs to the test split of CaFFe" in result.output) is not allowed
    assert not (tmp_path / "archive/unlabeled_data_raw_train").exists()


def test_what_is_wrong_is_one_sentence(catalogue, tmp_path):
    def told(**changes):
        config = write_config(tmp_path / "glaciers.yaml", catalogue.url, **changes)
        result = run(config, "--out", tmp_path / "archive")
        assert result.exit_code == 2
        return result.output

    assert "the same: keep one" in told(glaciers=["Helheim", "HELHEIM"])
    assert "lies before the start" in told(end="2019-01-01")
    assert "there is no such key" in told(pixels=20)
    assert "Helheim" in told(glaciers=["Hellheim"])
    assert "at least 1 item" in told(glaciers=[])
