"""Parts of the viewer: the tiles of a glacier, and the order in which pictures are made."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from icefront.errors import IcefrontError
from icefront.projects.catalogue import DONE
from icefront.projects.config import MonitoringConfig
from icefront.projects.pictures import BLOCK, make_picture
from icefront.projects.workers import signature
from icefront.viewer.picture_maker import PictureMaker
from icefront.viewer.tiles import TileGrid, picture_tile, tile_grid
from tests.helpers.scenes import write_tif

SIDE = 700


@given(
    st.floats(-4e6, 4e6), st.floats(-4e6, 4e6), st.floats(100, 1e6), st.sampled_from([2.5, 10, 40])
)
def test_tiles_of_every_level_cover_a_glacier(left, bottom, length, side_m) -> None:
    bounds = (left, bottom, left + length, bottom + length)
    grid = tile_grid(bounds, side_m)
    assert grid.resolutions[-1] == side_m
    assert all(a == 2 * b for a, b in zip(grid.resolutions, grid.resolutions[1:], strict=False))
    for z in range(min(3, grid.levels)):
        tiles = [grid.bounds(z, x, y) for x, y in grid.over(bounds, z)]
        assert len(tiles) <= 4 * 4**z
        lows, highs = np.min(tiles, axis=0)[:2], np.max(tiles, axis=0)[2:]
        slack = 1e-6 * grid.resolutions[z] * BLOCK
        assert (lows <= np.array(bounds[:2]) + slack).all()
        assert (highs >= np.array(bounds[2:]) - slack).all()


def test_a_tile_that_there_is_not_is_refused() -> None:
    with pytest.raises(IcefrontError, match="no tile"):
        TileGrid(10.0, 3).bounds(3, 0, 0)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory):
    """A scene whose pixels differ, off the corners of tiles, and its row of a catalogue."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    values = rng.integers(30, 220, (SIDE, SIDE)).astype(np.uint8)
    values[:40] = 0
    path = write_tif(folder / "a.tif", values, origin=(-196_000.0, -2_270_000.0), size=10.0)
    row = {
        "name": "a", "scene": "a", "glacier": "G", "path": str(path), "state": DONE,
        **signature(path),
    }  # fmt: skip
    config = MonitoringConfig(radiometry="grey")
    return values, make_picture(folder, row, CRS.from_epsg(3413), config), row, folder


def test_a_picture_lies_where_the_scene_does_and_has_overviews(scene) -> None:
    values, path, row, _ = scene
    with rasterio.open(path) as raster:
        assert raster.block_shapes == [(BLOCK, BLOCK)]
        assert raster.overviews(1)
        assert raster.tags()["SCENE_SHA256"] == row["sha256"]
        assert (raster.transform.c / (10 * BLOCK)).is_integer()
        whole = raster.read(1)
        column = round((-196_000.0 - raster.transform.c) / 10)
        line = round((raster.transform.f + 2_270_000.0) / 10)
    part = whole[line : line + SIDE, column : column + SIDE].astype(float)
    seen = values > 0
    assert (part[~seen] == 0).all()
    inner = part[50:-5, 5:-5].ravel()
    assert np.corrcoef(inner, values[50:-5, 5:-5].ravel())[0, 1] > 0.999
    whole[line : line + SIDE, column : column + SIDE] = 0
    assert not whole.any()


def test_a_tile_zoomed_out_holds_the_means_of_those_below(scene) -> None:
    _, path, _, _ = scene
    grid = TileGrid(10.0, 2)
    x, y = next(iter(grid.over((-194_000.0, -2_274_000.0, -193_900.0, -2_273_900.0), 0)))
    fine = np.vstack(
        [
            np.hstack([picture_tile(path, grid.bounds(1, 2 * x + i, 2 * y + j)) for i in (0, 1)])
            for j in (0, 1)
        ]
    ).astype(float)
    coarse = picture_tile(path, grid.bounds(0, x, y)).astype(float)
    blocks = fine.reshape(BLOCK, 2, BLOCK, 2)
    known = (blocks > 0).all(axis=(1, 3))
    assert known.mean() > 0.5
    assert np.abs(coarse - blocks.mean(axis=(1, 3)))[known].max() <= 1


def test_a_finer_tile_than_the_scene_is_still_shown(scene) -> None:
    _, path, _, _ = scene
    grid = TileGrid(5.0, 1)
    x, y = next(iter(grid.over((-194_000.0, -2_274_000.0, -193_900.0, -2_273_900.0), 0)))
    assert (picture_tile(path, grid.bounds(0, x, y)) > 0).all()


def test_a_scene_on_another_map_is_moved(tmp_path: Path) -> None:
    values = np.full((300, 300), 100, np.uint8)
    values[:, 150:] = 200
    path = tmp_path / "utm.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=300, height=300, count=1, dtype="uint8",
        crs="EPSG:32633", transform=Affine(20, 0, 450_000, 0, -20, 8_750_000),
    ) as raster:  # fmt: skip
        raster.write(values, 1)
    row = {
        "name": "u", "scene": "u", "glacier": "G", "path": str(path), "state": DONE,
        **signature(path),
    }  # fmt: skip
    polar = CRS.from_epsg(3413)
    with rasterio.open(
        make_picture(tmp_path, row, polar, MonitoringConfig(radiometry="grey"))
    ) as raster:
        assert CRS.from_user_input(raster.crs) == polar
        grey = raster.read(1)
    assert {1, 255} <= set(np.unique(grey))
    assert (grey > 0).sum() == pytest.approx(300 * 300, rel=0.05)


def test_what_was_asked_for_last_is_made_first() -> None:
    made: list[str] = []
    go, busy = threading.Event(), threading.Event()
    maker = PictureMaker()

    def make(name: str):
        def work() -> Path:
            if name == "first":
                busy.set()
                assert go.wait(10)
            made.append(name)
            return Path(name)

        return work

    futures = [maker.ask("first", make("first"))]
    assert busy.wait(10)
    futures.append(maker.ask("later", make("later"), later=True))
    futures += [maker.ask(name, make(name)) for name in ("old", "new")]
    futures.append(maker.ask("old", make("old")))  # asked for again
    go.set()
    assert [future.result(10) for future in futures][-1] == Path("old")
    assert made == ["first", "old", "new", "later"]
    maker.close()
    with pytest.raises(IcefrontError, match="stopped"):
        maker.ask("x", make("x"))


def test_a_picture_that_cannot_be_made_costs_that_one() -> None:
    maker = PictureMaker()

    def fail() -> Path:
        raise ValueError("no")

    with pytest.raises(IcefrontError, match="no"):
        maker.ask(1, fail).result(10)
    assert maker.ask(2, lambda: Path("b")).result(10) == Path("b")
    maker.close()
