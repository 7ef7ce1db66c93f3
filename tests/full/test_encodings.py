"""A real scene gives one front in all the ways in which it may be written (ICEFRONT_DATA)."""

import geopandas as gpd
import pytest

import icefront
from tests.helpers.encodings import ENCODINGS, check_encoding
from tests.helpers.paths import DATA

SCENE = DATA / "sentinel1" / "helheim_20180602_S1_HH.tif"

pytestmark = pytest.mark.skipif(not SCENE.exists(), reason=f"{SCENE} is not there")


@pytest.fixture(scope="module")
def plain() -> gpd.GeoDataFrame:
    return icefront.extract(SCENE)


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_front_is_that_of_the_plain_file_or_there_is_one_sentence(name, plain, tmp_path):
    check_encoding(name, SCENE, plain, tmp_path)
