"""The packaged network on dates of real glaciers, alone and smoothed together (ICEFRONT_DATA)."""

import numpy as np
import pytest

from icefront.evaluation.benchmark import benchmark
from icefront.evaluation.benchmark_models import BenchmarkSettings
from icefront.evaluation.results import BenchmarkResult
from tests.helpers.paths import DATA

SET = DATA / "caffe256"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SET.is_dir(), reason=f"{SET} is not there"),
]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkResult:
    return benchmark(
        SET,
        tmp_path_factory.mktemp("benchmark"),
        models=["tyrion-mini"],
        split="train",
        glaciers=["Crane"],
        sensors=["PALSAR"],
        settings=BenchmarkSettings(through_time=True),
        scenes=False,
        progress=False,
    )


def test_both_rows_are_of_the_same_images(result: BenchmarkResult) -> None:
    single, smoothed = (result.of(model.label) for model in result.models)
    assert single["image"].tolist() == smoothed["image"].tolist()
    assert len(single) == 7
    assert not single["mde"].equals(smoothed["mde"])
    moved = np.abs(single["mde"] - smoothed["mde"])
    assert moved.median() < 5


def test_the_squeezed_images_of_a_glacier_share_a_frame(result: BenchmarkResult) -> None:
    assert result.selection.unit == "px"
    overall = result.groups[result.groups["grouping"] == "all"].set_index("model")
    assert overall.loc[result.models[1].label, "mde"] < 15
