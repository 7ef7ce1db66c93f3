"""Where a front ends along a boundary, what outlines say of it, and the head that learns it."""

import copy
import pickle
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
import shapely
import torch
from affine import Affine
from pyproj import CRS

from icefront import IcefrontError
from icefront.fronts import extract_front, extract_shore
from icefront.fronts.ends import front_and_shore
from icefront.inference import predict_ensemble
from icefront.inference.predict import predict
from icefront.inference.settings import PredictionSettings
from icefront.models.compact import CompactConfig, CompactTyrion, FrontHead
from icefront.models.folding import folded
from icefront.models.registry import MODELS, build
from icefront.scenes.scene import Scene
from icefront.training.front_head import (
    FRONT,
    OPEN,
    SHORE,
    Cells,
    FrontHeadConfig,
    boundary_cells,
    fit_head,
    front_labels,
    with_head,
)
from icefront.zones import ZoneProbabilities

SIDE = 160
ROW, COLUMN = np.mgrid[:SIDE, :SIDE].astype(float) + 0.5
GRID = Affine(50, 0, 300_000, 0, -50, -2_600_000)
SMALL = CompactConfig(image_size=64, widths=(4, 4, 8), deep=16, depth=1, num_heads=2, front_width=8)


def straight() -> np.ndarray:
    """Zone probabilities with the glacier to the left of column 70."""
    glacier = 1 / (1 + np.exp(COLUMN - 70.25))
    zero = np.zeros_like(glacier)
    return np.stack([zero, zero, glacier, 1 - glacier]).astype(np.float32)


def scene(**keywords: object) -> Scene:
    image = np.full((SIDE, SIDE), 0.5, np.float32)
    about: dict = {"transform": GRID, "crs": CRS.from_epsg(3413), "pixel_size_m": 50.0}
    return Scene(image, **{**about, **keywords})


def network(seed: int = 0, front_width: int = 8) -> CompactTyrion:
    torch.manual_seed(seed)
    found = CompactTyrion(replace(SMALL, front_width=front_width)).eval()
    for module in found.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    architecture = {"family": "compact", **vars(found.config)}
    card = replace(
        MODELS["tyrion-mini"], architecture=architecture, window=64, target=32, stride=16
    )
    found.card = replace(card, whole=False)
    return found


# --- along the line -----------------------------------------------------------------------------


def test_a_front_is_cut_where_the_evidence_changes_and_not_where_it_falters() -> None:
    evidence = np.full(400, 2.0)
    evidence[:100] = -2.0
    evidence[200:212] = -1.0  # six pixels that look like shore
    shore, front = front_and_shore(evidence, 0.5)
    assert not shore.front
    assert front.front
    assert (front.first, front.last) == (100, 399)
    assert front.start_std < 8


def test_an_end_is_the_surer_the_clearer_the_evidence_changes() -> None:
    place = np.arange(400)
    stds = []
    for contrast in (0.6, 1.5, 4.0):
        _, front = front_and_shore(np.where(place < 150, -contrast, contrast), 0.5)
        stds.append(front.start_std)
    assert stds == sorted(stds, reverse=True)
    assert stds[0] > 3 * stds[-1]


def test_the_shore_is_kept_and_completes_the_front() -> None:
    likely = np.where(ROW < 60, 0.1, 0.9).astype(np.float32)
    probabilities = ZoneProbabilities(straight(), front=likely)
    front = extract_front(probabilities, scene()).iloc[0]
    shore = extract_shore(probabilities, scene()).iloc[0]
    whole = extract_front(straight(), scene()).iloc[0]
    assert front.geometry.bounds[3] == pytest.approx(-2_600_000 - 60 * 50, abs=100)
    assert front.length_m + shore.length_m == pytest.approx(whole.length_m, rel=0.01)
    # One end was found along the line, the other one is where the image ends.
    assert np.isfinite([front.start_std_m, front.end_std_m]).sum() == 1
    assert "start_std_m" not in whole
    assert len(extract_shore(straight(), scene())) == 0


@pytest.mark.parametrize("flipped", [False, True])
def test_ends_keep_their_uncertainty_where_the_grid_runs_north(flipped: bool) -> None:
    likely = np.where((ROW > 40) & (ROW < 120), 0.95, 0.05).astype(np.float32)
    # Less sure in the upper part of the image.
    likely[:40] = 0.2
    grid = Affine(50, 0, 300_000, 0, 50, -2_600_000) if flipped else GRID
    front = extract_front(straight(), scene(transform=grid), front=likely).iloc[0]
    start = front.geometry.coords[0]
    row = (start[1] + 2_600_000) / (50 if flipped else -50)
    at_top = row < 80
    assert at_top == (front.start_std_m > front.end_std_m)


def test_ice_outside_of_the_outlines_ends_at_a_shore() -> None:
    lower = shapely.box(290_000, -2_700_000, 310_000, -2_600_000 - 80 * 50)
    outline = gpd.GeoDataFrame(geometry=[lower], crs=3413)
    front = extract_front(straight(), scene(), outline=outline).iloc[0]
    top = front.geometry.bounds[3]
    assert -2_600_000 - 80 * 50 < top < -2_600_000 - 80 * 50 + 600
    far = outline.translate(xoff=1e6)
    with pytest.raises(IcefrontError, match="outline does not touch"):
        extract_front(straight(), scene(), outline=far)


def test_front_probabilities_travel_with_those_of_the_zones() -> None:
    found = ZoneProbabilities(straight(), pixel_size_m=50.0, front=ROW.astype(np.float32))
    for same in (found.copy(), copy.deepcopy(found), pickle.loads(pickle.dumps(found)), found * 1):
        assert (same.front == ROW.astype(np.float32)).all()
        assert same.pixel_size_m == 50.0
    assert found[:, 10:20].front is None  # of another shape than the zones


# --- the head -----------------------------------------------------------------------------------


@pytest.mark.parametrize("margin", [0, 6, 16])
def test_the_head_answers_alike_in_the_middle_of_a_window_and_in_a_folded_network(
    margin: int,
) -> None:
    model = network()
    image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = model.zones_and_front(image)
        middle = whole[:, :, margin : 64 - margin, margin : 64 - margin]
        assert torch.equal(whole[:, :4], model(image))
        torch.testing.assert_close(model.zones_and_front(image, margin), middle)
        quick = folded(model).zones_and_front(image, margin)
        torch.testing.assert_close(quick, middle, atol=2e-5, rtol=1e-4)


def test_windows_symmetries_and_ensembles_give_the_front_beside_the_same_zones() -> None:
    model, without = network(), network(front_width=0)
    without.load_state_dict(model.state_dict(), strict=False)
    image = np.random.default_rng(0).random((100, 140), np.float32)
    grey = Scene(image, pixel_size_m=55.0)
    for settings in (PredictionSettings(), PredictionSettings(symmetries=4)):
        found, bare = (predict([m], grey, settings) for m in (model, without))
        np.testing.assert_allclose(found.probabilities, bare.probabilities, atol=1e-5)
        assert bare.front is None
        assert found.front.shape == image.shape
        assert 0 <= found.front.min() < found.front.max() <= 1
        assert found.on_scene().front.shape == image.shape
    together = predict_ensemble([model], grey, symmetries=4, progress=False)
    np.testing.assert_allclose(together.front, found.front, atol=2e-3)  # half precision
    assert predict_ensemble([model, without], grey, symmetries=1, progress=False).front is None


def test_labels_know_the_front_its_ends_and_what_is_only_displaced() -> None:
    front = np.zeros((100, 100), bool)
    front[50, 20:80] = True
    labels = front_labels(front)
    assert (labels[48:53, 25:75] == FRONT).all()
    assert (labels[35:44, 25:75] == OPEN).all()  # perhaps the front, seen elsewhere
    assert (labels[:20] == SHORE).all()
    assert (labels[50, 90:] == SHORE).all()  # on beyond its end
    assert (front_labels(np.zeros((9, 9), bool)) == SHORE).all()


def test_a_head_learns_what_tells_places_apart_and_answers_so_in_the_network() -> None:
    rng = np.random.default_rng(0)
    model = network(front_width=0)
    count = sum(model.level_widths)
    is_front = rng.random(4000) < 0.8
    features = rng.normal(3.0, 2.0, (4000, count)).astype(np.float16)
    features[:, 5] += np.where(is_front, 4, -4)
    cells = Cells(features, is_front, np.ones(4000, np.float32))
    config = FrontHeadConfig(name="x", root=".", hidden=8, epochs=8, noise=0.0)
    config = config.model_copy(update={"learning_rate": 0.01, "dropout": 0.1})
    head = fit_head(cells, config, model.level_widths)
    complete = with_head(model, head)
    assert complete.card.architecture["front_width"] == 8

    def answer(values: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(values.astype(np.float32))[:, :, None, None]
        parts = x.split([p.in_channels for p in head.project], dim=1)
        hidden = sum(p(part) for p, part in zip(head.project, parts, strict=True))
        with torch.inference_mode():
            return head.classify(torch.relu(hidden))[:, 0, 0, 0].numpy()

    with torch.no_grad():
        found = answer(features)
    assert ((found > 0) == is_front).mean() > 0.95
    with pytest.raises(IcefrontError, match="all front"):
        fit_head(replace(cells, is_front=np.ones(4000, bool)), config, model.level_widths)
    # What the network answers at a square is what the two layers make of its features.
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        _, seen = complete.zones_and_front_features(image)
        _, levels = complete._decoded(image)
        cells_of, _ = complete.front.cells(levels)
    expected = answer(seen[0].permute(1, 2, 0).reshape(-1, count).numpy())
    np.testing.assert_allclose(cells_of[0, 0].reshape(-1).numpy(), expected, atol=1e-3)


def test_cells_lie_on_the_boundary_that_the_network_draws() -> None:
    model = network()

    class Drawn(CompactTyrion):
        def zones_and_front_features(self, image):
            logits = torch.log(torch.from_numpy(straight())[None, :, :64, 32:96] + 1e-6)
            return logits, torch.arange(16.0)[None, None, None].expand(1, 1, 16, 16)

    model.__class__ = Drawn
    labels = np.full((1, 64, 64), SHORE, np.uint8)
    labels[0, :32] = FRONT
    (cells,) = boundary_cells(model, torch.zeros(1, 1, 64, 64), labels)
    # The boundary is at column 38 of the crop, in the tenth square of each row.
    assert set(cells.features[:, 0]) == {9}
    assert 6 <= cells.is_front.sum() <= 8
    assert 6 <= (~cells.is_front).sum() <= 8
    assert FrontHead.cell == 4


def test_a_head_is_part_of_the_architecture_of_a_card() -> None:
    assert build({**MODELS["tyrion-mini"].architecture, "front_width": 4}).front is not None
    assert build("tyrion-mini").front is None
