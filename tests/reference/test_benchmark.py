"""Recorded outputs of the official evaluation through the benchmark's own path."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from icefront.evaluation.benchmark import benchmark
from icefront.evaluation.results import BenchmarkResult
from tests.helpers.paths import REFERENCE as REFERENCE_DATA

REFERENCE = np.load(REFERENCE_DATA / "caffe_protocol_a.npz")
CASES = [f"{i:02d}" for i in range(10)]


def name_of(case: str) -> str:
    resolution = int(REFERENCE[f"{case}_resolution_m"])
    glacier = "Mapple" if int(case) % 2 else "COL"
    return f"{glacier}_2010-0{1 + int(case) % 9}-11_TSX_{resolution}_1_0{case}"


def write_grey(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[BenchmarkResult, Path]:
    root = tmp_path_factory.mktemp("reference")
    data, made = root / "caffe", root / "theirs"
    (data / "bounding_boxes").mkdir(parents=True)
    for case in CASES:
        name = name_of(case)
        zones = REFERENCE[f"{case}_true_zones"]
        write_grey(data / f"sar_images/test/{name}.png", zones // 2)
        write_grey(data / f"zones/test/{name}_zones.png", zones)
        front = REFERENCE[f"{case}_true_front"].astype(np.uint8) * 255
        write_grey(data / f"fronts/test/{name}_front.png", front)
        write_grey(made / f"{name}.png", REFERENCE[f"{case}_pred_zones"])
        y0, y1, x0, x1 = REFERENCE[f"{case}_box_rows_cols"]
        corners = [(x0, y1), (x0, y0), (x1, y0), (x1, y1)]
        text = "Bounding box\n" + "".join(f"{x}.0,{y}.0\n" for x, y in corners)
        (data / f"bounding_boxes/{name}_bounding_box.txt").write_text(text)
    out = root / "out"
    return benchmark(data, out, given=[made], scenes=False, progress=False), out


def test_the_mean_distance_error_is_the_recorded_one(run: tuple[BenchmarkResult, Path]) -> None:
    result, out = run
    overall = result.groups[result.groups["grouping"] == "all"].iloc[0]
    assert overall["mde"] == pytest.approx(float(REFERENCE["mde_all_images_m"]), abs=1e-6)
    assert overall["mde"] == pytest.approx(86.0242, abs=5e-5)
    assert overall["images"] == 10
    assert overall["without_front"] == int(REFERENCE["images_without_front"]) == 1
    told = json.loads((out / "summary.json").read_text())["models"]["theirs"]
    assert told["mde"] == pytest.approx(86.0242, abs=5e-5)
    assert told["without_front"] == 1


def test_each_image_is_the_recorded_one(run: tuple[BenchmarkResult, Path]) -> None:
    table = pd.read_parquet(run[1] / "images.parquet").set_index("image")
    for case in CASES:
        row = table.loc[name_of(case)]
        errors = REFERENCE[f"{case}_distance_errors_m"]
        assert row["distances"] == errors.size
        assert row["front_found"] == bool(REFERENCE[f"{case}_front_found"])
        if errors.size:
            assert row["mde"] == pytest.approx(errors.mean(), abs=1e-6)
            assert row["largest"] == pytest.approx(errors.max(), abs=1e-6)
        for score in ("precision", "recall", "f1", "iou"):
            values = REFERENCE[f"{case}_{score}"]
            assert row[score] == pytest.approx(values.mean(), abs=1e-12)
            for zone, value in zip(("no_data", "rock", "glacier", "ocean"), values, strict=True):
                assert row[f"{score}_{zone}"] == pytest.approx(value, abs=1e-12)


def test_csv_and_parquet_agree(run: tuple[BenchmarkResult, Path]) -> None:
    for name in ("images", "groups"):
        parquet = pd.read_parquet(run[1] / f"{name}.parquet")
        csv = pd.read_csv(run[1] / f"{name}.csv", keep_default_na=False, na_values=[""])
        assert list(parquet) == list(csv)
        assert len(parquet) == len(csv)
        np.testing.assert_allclose(parquet["mde"], csv["mde"].astype(float))
