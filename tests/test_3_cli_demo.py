"""The demonstration: a made scene, its truth, and how far the front is off."""

import json

import geopandas as gpd
import numpy as np
import pytest
import shapely
import torch
from shapely.geometry import LineString, MultiLineString
from torch import nn
from typer.testing import CliRunner

from icefront import open_scene
from icefront.cli import app
from icefront.extraction.demo import SCENE_FILE, TRUTH_FILE, make_demo, mean_distance
from icefront.extraction.demo_scene import CRS_OF_DEMO, PIXEL_SIZE_M, make_scene
from icefront.models.card import ModelCard
from icefront.models.registry import DEFAULT, packaged_weights


@pytest.fixture(scope="module")
def made():
    return make_scene()


class BrightIsIce(nn.Module):
    """A network that calls bright surroundings glacier and the rest ocean."""

    card = ModelCard("bright", {}, window=256, target=128, stride=64, whole=True, pixel_size_m=60.0)

    def forward(self, x):
        mean = nn.functional.avg_pool2d(nn.functional.pad(x, (6,) * 4, mode="reflect"), 13, 1)
        ice = 40 * (mean - 0.4)
        return torch.cat([torch.full_like(x, -20), torch.full_like(x, -20), ice, -ice], 1)


def test_the_true_front_divides_bright_ice_from_darker_sea(made):
    points = shapely.get_coordinates(made.front)[10:-10]
    columns, rows = np.array([~made.transform * tuple(point) for point in points]).T
    rows = np.floor(rows).astype(int)
    ice = [made.sigma0[rows, np.floor(columns).astype(int) - step] for step in range(3, 12)]
    sea = [made.sigma0[rows, np.floor(columns).astype(int) + step] for step in range(3, 12)]
    assert 10 * np.log10(np.mean(ice) / np.mean(sea)) > 5
    assert 4000 < made.front.length < 12_000


def test_speckle_has_the_statistics_of_its_looks(made):
    calm = made.sigma0[480:560, 900:1000]
    quiet = calm[calm < np.quantile(calm, 0.98)]
    assert quiet.std() / quiet.mean() == pytest.approx(1 / np.sqrt(4), rel=0.25)


def test_a_seed_is_a_landscape(made):
    np.testing.assert_array_equal(make_scene(side=128).sigma0, make_scene(side=128).sigma0)
    assert not np.array_equal(make_scene(1, 128).sigma0, make_scene(2, 128).sigma0, equal_nan=True)
    assert 0 < np.isnan(made.sigma0).mean() < 0.05


def test_mean_distance_of_known_lines():
    first = LineString([(0, 0), (100, 0)])
    assert mean_distance(first, LineString([(0, 30), (100, 30)]), 1) == pytest.approx(30)
    halves = MultiLineString([[(0, 0), (50, 0)], [(50, 0), (100, 0)]])
    assert mean_distance(first, halves, 1) == pytest.approx(0, abs=1e-9)
    # Half a line: its points are 0 off, of the whole line's the other half 25 on average.
    half = mean_distance(first, LineString([(0, 0), (50, 0)]), 0.1)
    assert half == pytest.approx(25 * 50 / 150, rel=0.01)


def test_the_demonstration_measures_what_it_wrote(tmp_path):
    out = tmp_path / "demo"
    report = make_demo(out, model=BrightIsIce(), progress=False)
    scene = open_scene(out / SCENE_FILE)
    assert scene.crs == CRS_OF_DEMO
    assert scene.pixel_size_m == PIXEL_SIZE_M
    assert (scene.glacier, str(scene.date)) == ("Demo", "2024-08-15")
    assert report.quicklook.exists()
    truth = gpd.read_file(out / TRUTH_FILE).to_crs(CRS_OF_DEMO).geometry.iloc[0]
    front = gpd.read_file(out / "fronts.gpkg").geometry.iloc[0]
    assert report.distance_m == pytest.approx(mean_distance(front, truth, PIXEL_SIZE_M), rel=1e-3)
    record = json.loads((out / "run.json").read_text())
    assert record["model"]["name"] == "bright"


def test_the_demonstration_runs_with_the_packaged_model(tmp_path):
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "demo")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "demo" / "demo_scene_quicklook.png").is_file()
    front = gpd.read_file(tmp_path / "demo" / "fronts.gpkg").iloc[0]
    assert front["model"] == DEFAULT
    assert packaged_weights(DEFAULT) is not None


@pytest.mark.xfail(
    strict=True, reason="the packaged weights are 2.2 km off here (docs/models.md); to be mended"
)
def test_the_packaged_model_finds_the_front_of_the_demonstration(tmp_path):
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "demo")])
    assert result.exit_code == 0, result.output
    (line,) = [text for text in result.stdout.splitlines() if "true front" in text]
    assert float(line.split()[-2]) < 250
    assert "quicklook.png" in result.stdout
