"""`icefront benchmark --through-time`: the dates of a glacier smoothed together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import icefront
from icefront.cli import app
from icefront.evaluation import benchmark_models
from icefront.evaluation.benchmark import benchmark
from icefront.evaluation.benchmark_models import BenchmarkSettings
from icefront.inference.predict import Predicted
from icefront.models.checkpoints import write_own
from icefront.models.registry import build
from icefront.zones import GLACIER, NO_DATA, OCEAN, ROCK
from tests.helpers.simulated_benchmark import GREYS, NAMES, make_split, save

SHAPE = (120, 160)
DATES = ("2011-01-01", "2011-01-12", "2011-01-23", "2011-02-03", "2011-02-14", "2016-05-01")
BAD = 2
LABEL, SMOOTHED = "small", "small-through-time"


def true_zones(column: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    zones = np.full(SHAPE, GLACIER, np.uint8)
    zones[:, column:] = OCEAN
    zones[:12] = ROCK
    rows, columns = (np.arange(n) * s // n for n, s in zip(shape, SHAPE, strict=True))
    return zones[np.ix_(rows, columns)]


def name_of(date: str, pixel: int = 20) -> str:
    return f"Mapple_{date}_TSX_{pixel}_1_061"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A glacier with five dates, the fourth on coarser pixels, and one five years later."""
    for place, date in enumerate(DATES):
        coarse = place == 3
        zones = true_zones(100, (SHAPE[0] // 2, SHAPE[1] // 2) if coarse else SHAPE)
        name = name_of(date, 40 if coarse else 20)
        save(tmp_path / f"caffe/sar_images/test/{name}.png", GREYS[zones] // 2 + 9)
        save(tmp_path / f"caffe/zones/test/{name}_zones.png", GREYS[zones])
    return tmp_path / "caffe"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = build({"family": "unet", "widths": [4, 8]})
    card = icefront.models.ModelCard(
        LABEL, network.card.architecture, window=64, target=32, stride=16
    )
    write_own(tmp_path / "small.safetensors", network, card)
    return tmp_path / "small.safetensors"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the network see the truth on all dates but one, where a bay reaches into the ice."""
    scenes: list[str] = []

    def predict(models, scene, settings, **more):
        scenes.append(scene.name)
        zones = true_zones(100, scene.shape)
        if scene.name == name_of(DATES[BAD]):
            zones[40:80, 40:] = OCEAN
        found = np.full((4, *scene.shape), 0.1, np.float32)
        found[NO_DATA] = 0
        for code in (ROCK, GLACIER, OCEAN):
            found[code][zones == code] = 0.8
        return Predicted(scene, scene, found)

    monkeypatch.setattr(benchmark_models, "predict", predict)
    return scenes


def test_a_row_through_time_stands_beside_the_single_dates(
    data: Path, checkpoint: Path, seen: list[str], tmp_path: Path
) -> None:
    arguments = ["benchmark", "--data", data, "--out", tmp_path / "out", "--model", checkpoint]
    run = CliRunner().invoke(app, [*map(str, arguments), "--through-time", "--no-scenes"])
    assert run.exit_code == 0, run.output
    assert len(seen) == len(DATES), "each image is predicted once"
    images = pd.read_csv(tmp_path / "out" / "images.csv")
    single, smoothed = (
        images[images["model"] == label].set_index("image")["mde"] for label in (LABEL, SMOOTHED)
    )
    bad = name_of(DATES[BAD])
    assert single[bad] > 200 > 20 > smoothed[bad]
    others = single.index != bad
    np.testing.assert_allclose(smoothed[others], single[others], atol=25)
    alone = name_of(DATES[-1])
    assert smoothed[alone] == single[alone], "five years from all others"
    assert f"{SMOOTHED}: MDE" in run.output


@pytest.mark.slow
def test_it_goes_on_where_it_was_stopped_without_an_image_that_is_damaged(
    data: Path, checkpoint: Path, seen: list[str], tmp_path: Path
) -> None:
    damaged = data / f"sar_images/test/{name_of(DATES[0])}.png"
    damaged.write_bytes(damaged.read_bytes()[:-60])
    options = {
        "models": [checkpoint], "settings": BenchmarkSettings(through_time=True),
        "scenes": False, "progress": False,
    }  # fmt: skip
    first = benchmark(data, tmp_path / "out", **options)
    kept = tmp_path / "out/predictions" / LABEL
    (kept / f"{name_of(DATES[1])}.png").unlink()
    seen.clear()
    again = benchmark(data, tmp_path / "out", resume=True, **options)
    assert seen == [name_of(DATES[1])]
    pd.testing.assert_frame_equal(first.images, again.images)
    assert len(again.selection.left_out) == 1
    assert (again.images.groupby("model").size() == len(DATES) - 1).all()


def test_images_without_a_common_frame_are_refused(
    checkpoint: Path, seen: list[str], tmp_path: Path
) -> None:
    data, _ = make_split(tmp_path, NAMES[:3])
    run = CliRunner().invoke(
        app,
        ["benchmark", "--data", str(data), "--out", str(tmp_path / "out"), "--through-time",
         "--model", str(checkpoint)],
    )  # fmt: skip
    assert run.exit_code == 2
    assert "do not share one frame" in " ".join(run.output.split())
    assert not seen
    assert not (tmp_path / "out").exists()


def test_predictions_of_others_have_no_row_through_time(data: Path, tmp_path: Path) -> None:
    for date in DATES:
        pixel = 40 if date == DATES[3] else 20
        zones = np.asarray(Image.open(data / f"zones/test/{name_of(date, pixel)}_zones.png"))
        save(tmp_path / "theirs" / f"{name_of(date, pixel)}.png", np.roll(zones, 3, axis=1))
    result = benchmark(
        data, tmp_path / "out", given=[tmp_path / "theirs"], scenes=False, progress=False,
        settings=BenchmarkSettings(through_time=True),
    )  # fmt: skip
    assert [model.label for model in result.models] == ["theirs"]
    assert any("no row through time" in note for note in result.selection.notes)
