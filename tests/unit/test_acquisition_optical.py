"""Sentinel-2: channels by any catalogue's names, clouds over the area, the 1000 in the numbers."""

import datetime as dt
import json

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from icefront.acquisition.optical import (
    OpticalImage,
    channels_of,
    classes_on,
    clearest,
    clearness,
    is_early,
    optical_channels,
    optical_image,
    stated_offset,
)
from icefront.datasets.ssl4sar import CHANNELS
from icefront.errors import IcefrontError
from icefront.grid import Grid
from tests.helpers.optical_tiles import REFLECTANCE, write_tile
from tests.helpers.paths import DATA

GRID = Grid(30, 40, CRS.from_epsg(32624), Affine(20, 0, 500_000, 0, -20, 7_400_000), 20.0)


def write(folder, name, added, *, west=499_000.0, width=120, cloud_rows=0):
    """Write a tile; return the addresses of its channels."""
    files = write_tile(
        folder, name, added, corner=(west, 7_401_000.0), width=width, cloudy=(0, 50 + cloud_rows)
    )
    return {channel: str(path) for channel, path in files.items()}


def image(channels, added, name="S2A_tile"):
    return OpticalImage(name, dt.datetime(2022, 7, 3, tzinfo=dt.UTC), channels, added)


@pytest.mark.parametrize(
    ("really", "stated", "noted"),
    [
        *((0, 0.0, False), (1000, 1000.0, False), (0, 1000.0, True), (1000, 0.0, True)),
        *((0, None, True), (1000, None, True)),
    ],
)
def test_reflectance_is_right_whatever_the_catalogue_says(tmp_path, really, stated, noted):
    channels = write(tmp_path, "a", really)
    values, notes = optical_channels([image(channels, stated)], GRID)
    assert values.shape == (14, *GRID.shape)
    assert values.dtype == np.float32
    for number, name in enumerate(CHANNELS[:12]):
        np.testing.assert_allclose(values[number, 5:, :30], REFLECTANCE[name], atol=1e-4)
    np.testing.assert_allclose(values[12], 0.35, atol=1e-6)
    assert (values[13] == 11).all()
    assert bool(notes) is noted


def test_bright_ground_proves_nothing(tmp_path):
    """Without snow, water or shadow, a reflectance of 0.13 looks like one of 0.03 and 1000."""
    channels = write(tmp_path, "a", 1000)
    early = OpticalImage("S2A", dt.datetime(2019, 7, 3, tzinfo=dt.UTC), channels, 0.0, early=True)
    values, notes = optical_channels([early], GRID)
    np.testing.assert_allclose(values[11, 5:, :30], 0.13, atol=1e-4)
    assert notes == ()


def test_tiles_of_one_pass_are_put_together(tmp_path):
    left = write(tmp_path, "a", 0, west=498_360, width=102)
    right = write(tmp_path, "b", 1000, west=500_400, width=102)
    values, _ = optical_channels([image(left, 0.0), image(right, 1000.0)], GRID)
    assert np.isfinite(values).all()
    assert np.ptp(values[1, :, 25:35]) < 1e-4  # no step between the tiles' numbers
    alone, _ = optical_channels([image(left, 0.0)], GRID)
    assert np.isnan(alone[:, :, 25:]).all()


def test_clouds_are_counted_over_the_area(tmp_path):
    clear, cloudy = write(tmp_path, "a", 0), write(tmp_path, "b", 0, cloud_rows=15)
    few, many = (clearness(classes_on([image(c, 0.0)], GRID)) for c in (clear, cloudy))
    assert (few.cloudy, few.missing) == (0, 0)  # a third of the tile is cloud, none of the area
    assert many.cloudy == pytest.approx(0.5)
    half = write(tmp_path, "c", 0, west=498_360, width=102)
    assert clearness(classes_on([image(half, 0.0)], GRID)).missing == pytest.approx(0.5)


def test_the_clearest_pass_over_the_area_is_chosen(tmp_path):
    cloudy = write(tmp_path, "b", 0, cloud_rows=15)
    half = write(tmp_path, "c", 0, west=498_360, width=102)
    clear = write(tmp_path, "a", 0)
    passes = [[image(channels, 0.0)] for channels in (cloudy, half, clear)]
    index, found = clearest(passes, GRID)
    assert (index, found.lost) == (2, 0)
    with pytest.raises(IcefrontError, match=r"clearest of 2 Sentinel-2 passes loses \d\d% of"):
        clearest(passes[:2], GRID, most_lost=0.1)


def test_channels_are_known_by_the_names_of_three_catalogues():
    early = {f"B{n:02d}" for n in (*range(1, 10), 11, 12)} | {"B8A", "WVP", "SCL", "visual"}
    named = {
        *("coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir"),
        *("nir08", "nir09", "swir16", "swir22", "wvp", "scl", "blue-jp2", "cloud"),
    }
    sized = {f"{name}_60m" for name in early} | {"B02_10m", "B02_20m", "SCL_20m"}
    for keys in (early, named, sized):
        found = channels_of({key: f"https://there/{key}.tif" for key in keys})
        assert tuple(found) == CHANNELS
    assert channels_of({key: key for key in sized})["B2"] == "B02_10m"
    with pytest.raises(IcefrontError, match="B9 is missing"):
        channels_of({key: key for key in early - {"B09"}})


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA}")
def test_real_items_say_what_was_added():
    answers = DATA / "catalogue_responses"
    old = json.loads(
        (
            answers / "odc-stac/S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531.json"
        ).read_text()
    )
    assert is_early(old["properties"])
    assert stated_offset(old["properties"], old["assets"]) == 0
    new = json.loads((answers / "earth_search_20250731/page_1.json").read_text())["response"]
    new = new if isinstance(new, dict) else json.loads(new)
    item = next(f for f in new["features"] if f["collection"].startswith("sentinel-2"))
    assert stated_offset(item["properties"], item["assets"]) == 1000
    described = optical_image(item)
    assert described.added == 1000
    assert described.start.date() == dt.date(2025, 7, 31)
    assert set(described.channels) == set(CHANNELS)
    assert described.channels["B8A"].startswith("https://")


def test_what_is_said_without_scales_is_followed():
    new = {"s2:processing_baseline": "05.10"}
    assert stated_offset(new, {}) == 1000
    assert stated_offset(new | {"earthsearch:boa_offset_applied": True}, {}) == 0
    assert stated_offset({"s2:processing_baseline": "03.01"}, {}) == 0
    assert stated_offset({}, {}) is None


def test_an_image_beside_the_area_is_refused(tmp_path):
    with pytest.raises(IcefrontError, match="lies beside"):
        optical_channels([image(write(tmp_path, "a", 0, west=600_000), 0.0)], GRID)
