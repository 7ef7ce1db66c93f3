"""The packaged model on real scenes of a glacier that it never saw (ICEFRONT_DATA)."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from shapely.ops import substring
from typer.testing import CliRunner

from icefront.cli import app
from tests.helpers.paths import DATA

SCENES = DATA / "sentinel1"
NAMES = ("helheim_20180602_S1_HH", "helheim_20140404_TSX", "helheim_20040216_ENVISAT")
CROSSING_M = (1_370.0, 7_970.0)
"""Part of the reference line that crosses the fjord; before and after it follows the walls."""

pytestmark = pytest.mark.skipif(
    not (SCENES / f"{NAMES[0]}.tif").exists(), reason=f"{SCENES} has no scenes of Helheim"
)


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> gpd.GeoDataFrame:
    out = tmp_path_factory.mktemp("helheim") / "fronts"
    paths = [str(SCENES / f"{name}.tif") for name in NAMES]
    result = CliRunner().invoke(app, ["extract", *paths, "--out", str(out)])
    assert result.exit_code == 0, result.output
    return gpd.read_file(out / "fronts.gpkg").to_crs(3413).set_index("scene")


def points(line: shapely.LineString) -> np.ndarray:
    pieces = [
        shapely.line_interpolate_point(piece, np.arange(0, piece.length, 20.0))
        for piece in shapely.get_parts(line)
    ]
    return np.concatenate(pieces)


def test_the_front_of_the_sentinel_scene_is_within_250_m(fronts: gpd.GeoDataFrame) -> None:
    line = fronts.geometry[NAMES[0]]
    path = SCENES / "helheim_20180602_front.geojson"
    reference = gpd.read_file(path).to_crs(3413).geometry.iloc[0]
    crossing = substring(reference, *CROSSING_M)
    there = shapely.distance(points(line), reference).mean()
    back = shapely.distance(points(crossing), line).mean()
    assert (there + back) / 2 < 250
    # One line goes all the way across.
    longest = max(shapely.get_parts(line), key=lambda piece: piece.length)
    assert shapely.distance(points(crossing), longest).max() < 600


@pytest.mark.parametrize("name", NAMES[1:])
def test_the_other_sensors_give_a_front_about_as_wide_as_the_fjord(
    name: str, fronts: gpd.GeoDataFrame
) -> None:
    assert 5_000 < fronts["length_m"][name] < 14_000
    assert fronts["uncertainty_m"][name] < 300
