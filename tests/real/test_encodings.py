"""A real scene gives one front, however it is written (ICEFRONT_DATA); all ways in tests/full."""

import geopandas as gpd
import pytest

import icefront
from tests.helpers.encodings import check_encoding
from tests.helpers.paths import DATA

SCENE = DATA / "sentinel1" / "helheim_20180602_S1_HH.tif"
SOME = (
    "dB x 1000, int16, scale",
    "dB x 100, int16, no scale",
    "amplitude, uint16",
    "border of -100 dB",
    "border of 65535",
    "ground control points only",
    "south up",
    "EPSG:3413",
    "NetCDF",
    "zip, tiled",
    "two channels, one asked for",
)

pytestmark = pytest.mark.skipif(not SCENE.exists(), reason=f"{SCENE} is not there")


@pytest.fixture(scope="module")
def plain() -> gpd.GeoDataFrame:
    return icefront.extract(SCENE)


@pytest.mark.parametrize("name", SOME)
def test_the_front_is_that_of_the_plain_file_or_there_is_one_sentence(name, plain, tmp_path):
    check_encoding(name, SCENE, plain, tmp_path)
