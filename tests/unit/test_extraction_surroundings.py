"""Scenes of which only a part is needed, since the area of the front is known."""

from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from pyproj import CRS
from torch import nn

from icefront import IcefrontError, Scene, open_scene
from icefront.extraction import ExtractionSettings, extract_scene
from icefront.extraction.surroundings import needed_part
from icefront.fronts.distances import mean_distance
from icefront.grid import Grid
from icefront.models.card import ModelCard

CARD = ModelCard("levels", {}, window=64, target=32, stride=16, pixel_size_m=40.0)
GREYS = (0.0, 0.2, 0.8, 0.45)


class GreyLevels(nn.Module):
    """Zones by grey value alone: what lies around a pixel does not matter."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.card = card

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([-50 * (x - grey).abs() for grey in GREYS], 1)


def coast(side: int = 600, pixel_m: float = 20.0) -> Scene:
    rows, columns = np.mgrid[:side, :side]
    ice = columns < side / 2 + 20 * np.sin(rows / 30)
    grey = np.where(ice, GREYS[2], GREYS[3]).astype(np.float32)
    transform = Affine(pixel_m, 0, 3e5, 0, -pixel_m, -2e6)
    return Scene(grey, transform, CRS.from_epsg(3413), pixel_m, name="coast")


def box_of(scene: Scene, rows: tuple[int, int], columns: tuple[int, int]) -> shapely.Polygon:
    x, y = scene.grid.xy(np.array(rows) - 0.5, np.array(columns) - 0.5)
    return shapely.box(min(x), min(y), max(x), max(y))


@pytest.mark.parametrize(
    ("length", "first", "last"), [(600, 250, 350), (600, 0, 40), (600, 560, 600), (130, 60, 70)]
)
def test_a_part_holds_the_area_its_margin_and_a_window(length: int, first: int, last: int) -> None:
    scene = coast(length)
    area = box_of(scene, (first, last), (first, last))
    part = needed_part(area, scene.grid, CARD, "coast")
    if length == 130:  # no larger than a window and a bit
        assert part is None
        return
    scale = 2  # 40 m over 20 m
    for axis in part:
        assert axis.start <= max(0, first - 16 * scale)
        assert axis.stop >= min(length, last + 16 * scale)
        assert axis.stop - axis.start >= 64 * scale
        assert axis.start % (16 * scale) == 0  # on the lattice of the windows
    assert part[0] == part[1]


def test_an_area_beside_the_scene_is_refused() -> None:
    scene = coast(200)
    with pytest.raises(IcefrontError, match="does not touch the scene coast"):
        needed_part(shapely.box(0, 0, 1, 1), scene.grid, CARD, "coast")


def test_the_front_in_an_area_is_that_of_the_whole_scene() -> None:
    scene = coast()
    area = box_of(scene, (250, 350), (200, 400))
    network = GreyLevels(CARD)
    part = extract_scene(scene, network, ExtractionSettings(aoi=area))
    whole = extract_scene(scene, network, ExtractionSettings(aoi=area, exact=True))
    assert whole.scene.shape == (600, 600)
    assert not any("area of interest" in note for note in whole.notes)
    assert any("Of 600 x 600 pixels only rows 192 to" in note for note in part.notes)
    assert part.scene.shape[0] < 250
    found, expected = (one.front.geometry.iloc[0] for one in (part, whole))
    # Vertices are chosen along the whole line, which is longer than the area.
    assert mean_distance(found, expected, 5.0) < 1
    assert shapely.hausdorff_distance(found, expected, 0.01) < 10
    rows, columns = scene.grid.rowcol(*part.scene.grid.xy(0, 0))
    inside = np.s_[int(rows) :, int(columns) :]
    height, width = part.zones.shape
    np.testing.assert_array_equal(part.zones, whole.zones[inside][:height, :width])


@pytest.mark.parametrize("crs", ["EPSG:3413", "EPSG:4326"])
def test_a_file_gives_the_part_that_its_scene_gives(tmp_path: Path, crs: str) -> None:
    rng = np.random.default_rng(0)
    grey = (rng.random((300, 280)) * 200 + 40).astype(np.uint8)
    if crs == "EPSG:3413":
        grey[:, :20] = 0
    transform = Affine(20, 0, 3e5, 0, -20, -2e6)
    if crs == "EPSG:4326":
        transform = Affine(4.4e-4, 0, -38.0, 0, -1.8e-4, 66.4)
    path = tmp_path / "scene.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=300, width=280, count=1, dtype="uint8", crs=crs,
        transform=transform,
    ) as raster:  # fmt: skip
        raster.write(grey, 1)
    whole = open_scene(path)
    rows, columns = slice(64, 200), slice(96, 240)
    asked: list[Grid] = []

    def part(grid: Grid) -> tuple[slice, slice]:
        asked.append(grid)
        return rows, columns

    found = open_scene(path, part=part)
    expected = whole.part(rows, columns)
    assert asked == [whole.grid]
    assert found.grid == expected.grid
    assert "Of the rest of the file only a sample was decoded." in found.notes
    assert found.radiometry == whole.radiometry
    np.testing.assert_array_equal(found.valid, expected.valid)
    off = np.abs(found.image - expected.image)[found.valid]
    if crs == "EPSG:3413":
        assert not off.any()
    # GDAL follows a projection to an eighth of a pixel, and this is noise from pixel to pixel.
    assert off.mean() < 0.03
    area = gpd.GeoDataFrame(geometry=[shapely.box(*whole.grid.outline().bounds)], crs=whole.crs)
    assert needed_part(area, whole.grid, replace(CARD, pixel_size_m=None), "scene") is None


def strips_of(path: Path, values: np.ndarray, **profile: object) -> Path:
    """Write an image of 20 m in strips of four rows, each of which is decoded by itself."""
    height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype=values.dtype,
        crs="EPSG:3413", transform=Affine(20, 0, 3e5, 0, -20, -2e6), blockysize=4, **profile,
    ) as raster:  # fmt: skip
        raster.write(values, 1)
    return path


def middle(_: Grid) -> tuple[slice, slice]:
    return slice(402, 600), slice(200, 400)


def numbers(height: int = 1600, width: int = 600) -> np.ndarray:
    rng = np.random.default_rng(0)
    level = 500 + 300 * (np.arange(width) > width / 2)
    return (level * np.sqrt(rng.gamma(4.0, 0.25, (height, width)))).astype(np.uint16)


def test_stretched_numbers_of_a_part_have_the_span_of_a_sample(tmp_path: Path) -> None:
    path = strips_of(tmp_path / "a.tif", numbers())
    whole, part = open_scene(path), open_scene(path, part=middle)
    assert part.notes[-1] == "Of the rest of the file only a sample was decoded."
    assert part.radiometry == "dn"
    off = part.image - whole.image[middle(whole.grid)]
    assert 0 < np.abs(off).max() < 0.01  # of a span of some 20 dB


@pytest.mark.parametrize("what", ["edge", "border", "noise", "lone"])
def test_a_file_is_decoded_as_a_whole_where_its_edges_may_reach_the_part(
    tmp_path: Path, what: str
) -> None:
    values = numbers()
    if what == "edge":  # a wedge from the left into the part
        values[450:520, :260] = 0
    elif what == "border":
        values[450:520, :260] = 65535
    elif what == "noise":
        values[:, :170] = 0
        values[:, 170:210] = values[:, 170:210] % 7 + 1
    else:  # no data wherever it stands, as borders above and below show
        values[:300] = values[1300:] = values[500, 300] = 65535
    path = strips_of(tmp_path / "a.tif", values)
    whole, part = open_scene(path), open_scene(path, part=middle)
    expected = whole.image[middle(whole.grid)]
    assert np.isnan(expected).any()
    np.testing.assert_array_equal(part.image, expected)


def test_what_lies_outside_of_the_part_is_not_decoded(tmp_path: Path) -> None:
    path = strips_of(tmp_path / "a.tif", numbers(), compress="deflate")
    with rasterio.open(path) as raster:
        offset = int(raster.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[offset : offset + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(IcefrontError, match="cannot be decoded"):
        open_scene(path)
    found = open_scene(path, part=middle)
    assert found.shape == (198, 200)
    assert found.valid.all()
