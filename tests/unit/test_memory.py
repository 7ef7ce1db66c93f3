"""What a file claims to hold is held against the memory at hand before anything is taken."""

import os
import struct
import tracemalloc
import zlib

import numpy as np
import psutil
import pytest
import rasterio
from affine import Affine
from pyproj import CRS

from icefront import IcefrontError, memory
from icefront.extraction.pipeline import extract_scene
from icefront.memory import NotEnoughMemory, check_memory, memory_at_hand
from icefront.scenes import Scene, describe, open_scene
from tests.helpers.scenes import GreyLevels

GIGABYTE = 10**9


def tiff_of(width, height):
    """Return an empty TIFF, a hundred bytes that claim to hold width x height pixels."""
    entries = [
        *((256, width), (257, height), (258, 8), (259, 1), (262, 1)),
        *((273, 0), (277, 1), (278, height), (279, 0)),
    ]
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\x00" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", 0)


def png_of(width, height, interlaced=0):
    def chunk(kind, content):
        ends = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + ends

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, interlaced)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture
def one_gigabyte(monkeypatch):
    monkeypatch.setattr(memory, "memory_at_hand", lambda: GIGABYTE)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tif", tiff_of(100_000, 99_000)),
        ("wide.tif", tiff_of(400_000_000, 1)),
        ("b.png", png_of(41_500, 40_000)),
        ("c.png", png_of(20_000, 20_000, interlaced=1)),
    ],
    ids=["tall", "wide", "png", "interlaced"],
)
def test_an_image_that_does_not_fit_into_memory_is_refused_before_anything_is_taken(
    tmp_path, one_gigabyte, name, content
):
    path = tmp_path / name
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(NotEnoughMemory, match=r"needs .* GB of memory, of which 1 GB are at hand"):
        open_scene(path)
    facts = describe(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20
    assert facts["dtype"] == "uint8"
    assert facts["value_range"] is facts["radiometry"] is facts["no_data_share"] is None
    assert "The values are not read" in facts["notes"][-1]


def test_what_an_image_of_a_billion_pixels_says_of_itself_is_told_without_reading_it(tmp_path):
    path = tmp_path / "Jorum_2015-01-01_TSX_7_1_001.tif"
    path.write_bytes(tiff_of(40_000, 40_000))
    facts = describe(path)
    assert (facts["size"], facts["glacier"], facts["scene_pixel_m"]) == ([40_000] * 2, "Jorum", 7)
    assert facts["notes"][-1].endswith("more than 537 million pixels.")


def test_a_finer_grid_must_fit_into_memory_too(tmp_path, one_gigabyte):
    path = tmp_path / "a.tif"
    values = np.random.default_rng(0).integers(1, 255, (100, 100)).astype(np.uint8)
    profile = {"height": 100, "width": 100, "count": 1, "dtype": "uint8", "crs": "EPSG:32622"}
    with rasterio.open(path, "w", transform=Affine(10, 0, 5e5, 0, -10, 7.6e6), **profile) as raster:
        raster.write(values, 1)
    with pytest.raises(IcefrontError, match="give a larger pixel size"):
        open_scene(path, pixel_size_m=0.05)
    assert open_scene(path, pixel_size_m=5).shape == (200, 200)


def test_the_memory_at_hand_is_no_more_than_any_limit_leaves(tmp_path):
    free = psutil.virtual_memory().available
    assert 0 < memory_at_hand() <= 1.5 * free
    for folder, names in (
        (tmp_path / "two", ("memory.max", "memory.current", "inactive_file")),
        (
            tmp_path / "one" / "memory",
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
    ):
        folder.mkdir(parents=True)
        (folder / names[0]).write_text(f"{300 << 20}\n")
        (folder / names[1]).write_text(f"{250 << 20}\n")
        (folder / "memory.stat").write_text(f"anon 1\n{names[2]} {50 << 20}\n")
    assert memory_at_hand(tmp_path / "two") == memory_at_hand(tmp_path / "one") == 100 << 20
    (tmp_path / "two" / "memory.max").write_text("max\n")
    assert memory_at_hand(tmp_path / "two") > 100 << 20


@pytest.mark.skipif(os.name != "posix", reason="limits of address space are of POSIX")
def test_a_limit_of_address_space_counts():
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = psutil.Process().memory_info().vms
    try:
        resource.setrlimit(resource.RLIMIT_AS, (taken + GIGABYTE, before[1]))
        assert memory_at_hand() <= GIGABYTE
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_a_task_may_take_most_of_the_memory_at_hand(one_gigabyte):
    check_memory(int(0.79 * GIGABYTE), "A task", "wait")
    with pytest.raises(NotEnoughMemory, match=r"A task needs 0.81 GB .* 1 GB are at hand; wait\."):
        check_memory(int(0.81 * GIGABYTE), "A task", "wait")


def test_a_scene_whose_maps_do_not_fit_into_memory_is_refused_before_the_network_runs(monkeypatch):
    class Network(GreyLevels):
        def forward(self, x):
            raise AssertionError("the network runs")

    image = np.full((1000, 1000), 0.5, np.float32)
    scene = Scene(image, Affine(30, 0, 0, 0, -30, -2e6), CRS.from_epsg(3413), 30.0, name="wide")
    monkeypatch.setattr(memory, "memory_at_hand", lambda: 45_000_000)
    with pytest.raises(
        NotEnoughMemory, match=r"The front of wide, 1000 x 1000 pixels, needs 0\.04 GB"
    ):
        extract_scene(scene, Network())
    with pytest.raises(AssertionError, match="the network runs"):
        extract_scene(scene, Network(pixel_size_m=90))
