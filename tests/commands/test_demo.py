"""The demonstration: a made series, its truth, and how far the fronts are off."""

import geopandas as gpd
import numpy as np
import pytest
import torch
from PIL import Image
from shapely.geometry import LineString, MultiLineString
from torch import nn
from typer.testing import CliRunner

from icefront.cli import app
from icefront.demo.demonstration import (
    PICTURE,
    PROJECT,
    make_demo,
    mean_distance,
    position_along,
)
from icefront.models.card import ModelCard
from icefront.models.registry import DEFAULT, packaged_weights
from icefront.projects.catalogue import CATALOGUE, LAYER
from icefront.viewer.open_project import OpenProject
from tests.helpers.simulated_projects import Inline


class BrightIsIce(nn.Module):
    """A network that calls bright surroundings glacier and the rest ocean."""

    card = ModelCard("bright", {}, window=256, target=128, stride=64, whole=True, pixel_size_m=60.0)

    def forward(self, x):
        mean = nn.functional.avg_pool2d(nn.functional.pad(x, (6,) * 4, mode="reflect"), 13, 1)
        ice = 40 * (mean - 0.4)
        return torch.cat([torch.full_like(x, -20), torch.full_like(x, -20), ice, -ice], 1)


def test_mean_distance_of_known_lines():
    first = LineString([(0, 0), (100, 0)])
    assert mean_distance(first, LineString([(0, 30), (100, 30)]), 1) == pytest.approx(30)
    halves = MultiLineString([[(0, 0), (50, 0)], [(50, 0), (100, 0)]])
    assert mean_distance(first, halves, 1) == pytest.approx(0, abs=1e-9)
    # Half a line: its points are 0 off, of the whole line's the other half 25 on average.
    half = mean_distance(first, LineString([(0, 0), (50, 0)]), 0.1)
    assert half == pytest.approx(25 * 50 / 150, rel=0.01)


def test_a_front_stands_where_it_crosses_the_centreline():
    flow = LineString([(0, 0), (100, 0)])
    assert position_along(LineString([(40, -5), (40, 5)]), flow) == 40
    assert position_along(LineString([(40, 1), (40, 5)]), flow) is None


def test_the_demonstration_measures_what_it_wrote(tmp_path):
    out = tmp_path / "demo"
    report = make_demo(out, model=BrightIsIce(), scenes=2, progress=False, start_workers=Inline)
    truth = gpd.read_file(out / "scenes" / "truth.gpkg", layer="fronts")
    catalogue = out / PROJECT / CATALOGUE
    fronts = gpd.read_file(catalogue, layer=LAYER).to_crs(truth.crs).sort_values("date")
    assert fronts["scene"].tolist() == truth["scene"].tolist()
    box = gpd.read_file(out / "scenes" / "truth.gpkg", layer="box").geometry.iloc[0]
    inside = truth.intersection(box)
    for line, true, distance in zip(fronts.geometry, inside, report.distances_m, strict=True):
        assert (line is None) == (distance is None)
        if line is not None:
            assert distance == pytest.approx(mean_distance(line, true, 20.0), rel=1e-3)
    picture = np.asarray(Image.open(out / PICTURE).convert("RGB"))
    assert picture.shape[1] > 1000
    assert picture.std() > 20


def test_the_packaged_model_finds_the_fronts_of_the_demonstration(tmp_path):
    """The pass through time brings the median within 150 m and every front within 600 m."""
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "demo")])
    assert result.exit_code == 0, result.output
    assert PICTURE in result.stdout
    fronts = gpd.read_file(tmp_path / "demo" / PROJECT / CATALOGUE, layer=LAYER)
    assert len(fronts) == 12
    assert set(fronts["model"]) == {DEFAULT}
    assert f"icefront view {tmp_path / 'demo' / PROJECT}" in result.stdout
    opened = OpenProject(tmp_path / "demo" / PROJECT)
    (glacier,) = opened.project_answer()["glaciers"]
    shown = opened.glacier_answer(glacier["id"])
    opened.close()
    assert [scene["picture"] for scene in shown["scenes"]] == ["later"] * 12
    assert shown["can_correct"]
    assert packaged_weights(DEFAULT) is not None
    lines = [text for text in result.stdout.splitlines() if "from the truth" in text]
    far = [float(text.split(" m from the truth")[0].split()[-1]) for text in lines]
    alone = [float(text.split(" m alone")[0].split("(")[-1]) for text in lines]
    assert len(far) == 12
    assert np.median(far) <= 150 < np.median(alone)
    assert max(far) <= 600 < max(alone)
