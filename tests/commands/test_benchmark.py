"""`icefront benchmark` end to end: numbers, files, resuming, ensembles, wrong inputs."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import ndimage
from scipy.spatial.distance import cdist
from typer.testing import CliRunner

import icefront
from icefront import IcefrontError
from icefront.cli import app
from icefront.evaluation.benchmark import benchmark
from icefront.evaluation.benchmark_models import BenchmarkModel
from icefront.evaluation.report.figures import published_figure
from icefront.evaluation.report.tables import comparable, published_words
from icefront.evaluation.results import BenchmarkResult
from icefront.evaluation.selection import select_images
from icefront.models.checkpoints import write_own
from icefront.models.registry import build
from icefront.simulation.archives import simulate_caffe
from icefront.zones import GREY_TO_ZONE
from tests.helpers.simulated_benchmark import NAMES, make_split

EIGHT = np.ones((3, 3), int)
WINTER = {"COL": {9, 10, 11, 12, 1, 2, 3}, "Mapple": {4, 5, 6, 7, 8}}


# An independent, straightforward computation -----------------------------------------------------


def read(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


def codes(greys: np.ndarray) -> np.ndarray:
    return np.vectorize(GREY_TO_ZONE.get)(greys).astype(int)


def largest_label(labels: np.ndarray, count: int) -> int:
    return max(range(1, count + 1), key=lambda k: (labels == k).sum(), default=0)


def plain_front(zones: np.ndarray, resolution: float) -> set[tuple[int, int]]:
    zones = zones.copy()
    labels, count = ndimage.label(zones != 3, EIGHT)
    keep = largest_label(labels, count)
    zones[(labels > 0) & (labels != keep)] = 3
    labels, count = ndimage.label(zones == 3, EIGHT)
    keep = largest_label(labels, count)
    zones[(labels > 0) & (labels != keep)] = 2
    height, width = zones.shape
    front = np.zeros(zones.shape, bool)
    for r, c in zip(*np.nonzero(zones == 3), strict=True):
        around = ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1))
        inside = [(y, x) for y, x in around if 0 <= y < height and 0 <= x < width]
        front[r, c] = any(zones[y, x] == 2 for y, x in inside)
    labels, count = ndimage.label(front, EIGHT)
    found = set()
    for k in range(1, count + 1):
        pixels = np.argwhere(labels == k)
        if len(pixels) > 750 / resolution:
            found |= {(int(r), int(c)) for r, c in pixels}
    return found


def plain_box(path: Path, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    lines = path.read_text().splitlines()[1:]
    points = [tuple(round(float(v)) for v in line.split(",")) for line in lines]
    (left, upper), _, (right, lower), _ = points

    def clamp(v: int, size: int) -> int:
        return 0 if v < 0 else size - 1 if v >= size else v

    height, width = shape
    return clamp(lower, height), clamp(upper, height), clamp(left, width), clamp(right, width)


def plain_scores(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    rows = []
    for k in range(4):
        tp = int(((predicted == k) & (true == k)).sum())
        fp = int(((predicted == k) & (true != k)).sum())
        fn = int(((predicted != k) & (true == k)).sum())
        precision = tp / (tp + fp) if tp + fp else 0.0
        recall = tp / (tp + fn) if tp + fn else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        rows.append((precision, recall, f1, tp / (tp + fp + fn) if tp + fp + fn else 0.0))
    return dict(zip(("precision", "recall", "f1", "iou"), np.mean(rows, axis=0), strict=True))


def plain_benchmark(data: Path, predictions: Path, names: list[str]) -> dict[str, dict]:
    found = {}
    for name in names:
        true = codes(read(data / f"zones/test/{name}_zones.png"))
        predicted = codes(read(predictions / f"{name}.png"))
        label = np.argwhere(read(data / f"fronts/test/{name}_front.png") > 0)
        glacier, date, sensor, resolution = name.split("_")[:4]
        metres = float(resolution)
        y0, y1, x0, x1 = plain_box(
            data / f"bounding_boxes/{name}_bounding_box.txt", predicted.shape
        )
        front = [(r, c) for r, c in plain_front(predicted, metres) if y0 <= r < y1 and x0 <= c < x1]
        distances = np.empty(0)
        if front and len(label):
            pairs = cdist(np.array(front), label) * metres
            distances = np.concatenate([pairs.min(1), pairs.min(0)])
        found[name] = {
            "glacier": glacier,
            "season": "winter" if int(date[5:7]) in WINTER[glacier] else "summer",
            "sensor": "TSX/TDX" if sensor in ("TSX", "TDX") else sensor,
            "resolution": f"{resolution} m",
            "distances": distances,
            "no_front": not front,
            **plain_scores(predicted, true),
        }
    return found


def expected_groups(found: dict[str, dict], keys: tuple[str, ...]) -> dict[tuple, dict]:
    groups: dict[tuple, list[dict]] = {}
    for one in found.values():
        groups.setdefault(tuple(one[k] for k in keys), []).append(one)
    return {
        key: {
            "images": len(members),
            "without_front": sum(m["no_front"] for m in members),
            "mde": np.mean(np.concatenate([m["distances"] for m in members])),
            **{s: np.mean([m[s] for m in members]) for s in ("precision", "recall", "f1", "iou")},
        }
        for key, members in groups.items()
    }


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[BenchmarkResult, Path, dict]:
    """The command on all 122 names, and the same computed plainly."""
    root = tmp_path_factory.mktemp("full")
    data, predictions = make_split(root, NAMES)
    out = root / "out"
    result = benchmark(data, out, given=[predictions], scenes=False, progress=False)
    return result, out, plain_benchmark(data, predictions, NAMES)


def test_all_numbers_equal_a_straightforward_computation(
    full: tuple[BenchmarkResult, Path, dict],
) -> None:
    result, _, plain = full
    assert len(NAMES) == len(plain) == 122
    images = result.images.set_index("image")
    for name, one in plain.items():
        row = images.loc[name]
        assert row["front_found"] != one["no_front"], name
        assert row["distances"] == len(one["distances"])
        if len(one["distances"]):
            assert row["mde"] == pytest.approx(one["distances"].mean(), abs=1e-6)
        for score in ("precision", "recall", "f1", "iou"):
            assert row[score] == pytest.approx(one[score], abs=1e-12)
    assert 7 <= sum(one["no_front"] for one in plain.values()) < 61


@pytest.mark.parametrize(
    "keys",
    [
        (),
        ("glacier",),
        ("season",),
        ("sensor",),
        ("resolution",),
        ("glacier", "season"),
        ("glacier", "sensor"),
        ("glacier", "resolution"),
        ("season", "sensor"),
        ("season", "resolution"),
        ("sensor", "resolution"),
    ],
)
def test_all_groups_equal_a_straightforward_computation(
    full: tuple[BenchmarkResult, Path, dict], keys: tuple[str, ...]
) -> None:
    _, out, plain = full
    table = pd.read_parquet(out / "groups.parquet")
    table = table[table["grouping"] == (" × ".join(keys) or "all")]
    expected = expected_groups(plain, keys)
    assert len(table) == len(expected)
    for _, row in table.iterrows():
        one = expected[tuple(row[k] for k in keys)]
        assert row["images"] == one["images"]
        assert row["without_front"] == one["without_front"]
        assert row["mde"] == pytest.approx(one["mde"], abs=1e-6)
        for score in ("precision", "recall", "f1", "iou"):
            assert row[score] == pytest.approx(one[score], abs=1e-12)


def test_the_report_is_one_page_and_the_table_has_the_published_rows(
    full: tuple[BenchmarkResult, Path, dict],
) -> None:
    _, out, plain = full
    html = (out / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', html)
    assert html.count("data:image/webp") == 122
    assert "http" not in html.replace("data:image", "")
    text = (out / "report.md").read_text()
    mde = np.mean(np.concatenate([one["distances"] for one in plain.values()]))
    assert f"**{mde:,.1f}**" in text
    for row in ("| HookFormer | 360.5", "| Tyrion + OptTranslator | 293.2", "| AMD-HookNet | 438"):
        assert row in text
    assert "same 122 test images" in text  # names and number are CaFFe's
    lost = sum(one["no_front"] for one in plain.values())
    assert f"{lost} of 122" in text
    result = full[0]
    simulated = replace(result, selection=replace(result.selection, simulated=True))
    assert comparable(result)
    assert not comparable(simulated)
    assert published_figure(simulated) is None
    assert "simulated" in published_words(simulated)
    for name in ("published", "errors", "groups", "extremes-someone"):
        with Image.open(out / "figures" / f"{name}.png") as figure:
            assert min(figure.size) > 300


# Models, ensembles, resuming ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated CaFFe with images of both test glaciers."""
    out = tmp_path_factory.mktemp("small") / "caffe"
    simulate_caffe(
        out, seed=4, glaciers=["Mapple", "COL"], fraction=0.01, coarser=14, progress=False
    )
    return out


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two small networks with known, different leanings; grey above a level is glacier."""
    folder = tmp_path_factory.mktemp("models")
    paths = []
    for number in range(2):
        torch.manual_seed(number)
        network = build({"family": "unet", "widths": [4, 8]})
        card = icefront.models.ModelCard(
            f"small-{number}", network.card.architecture, window=64, target=32, stride=16
        )
        paths.append(folder / f"small-{number}.safetensors")
        write_own(paths[-1], network, card)
    return paths


def command(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["benchmark", *map(str, arguments)])
    return result.exit_code, result.output


def test_models_an_ensemble_and_what_is_kept(
    small: Path, checkpoints: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    given = ["--data", small, "--out", out, "--ensemble", "--symmetries", 4, "--native"]
    given += ["--sensor", "S1", "--sensor", "TSX/TDX"]
    for path in checkpoints:
        given += ["--model", path]
    code, text = command(*given)
    assert code == 0, text
    images = pd.read_csv(out / "images.csv")
    count = images["image"].nunique()
    assert count >= 3
    assert set(images["satellite"]) == {"S1", "TSX", "TDX"}
    assert sorted(images["model"].unique()) == ["ensemble", "small-0", "small-1"]
    assert (images.groupby("model").size() == count).all()
    own = images[images["model"] == "ensemble"]
    assert (own["spread_glacier"] > 0).all()
    assert images[images["model"] == "small-0"]["spread_glacier"].isna().all()
    for label in ("ensemble", "small-0", "small-1"):
        kept = sorted(p.stem for p in (out / "predictions" / label).glob("*.png"))
        assert kept == sorted(images["image"].unique())
    assert len(list((out / "scenes").glob("*.jpg"))) == count
    assert "The images are simulated" in (out / "report.md").read_text()
    given.append("--no-scenes")
    # Kept are zones of a byte a pixel, compressed, and no map of probabilities of any member.
    pixels = sum(int(h) * int(w) for h, w in zip(own["height"], own["width"], strict=True))
    size = sum(p.stat().st_size for p in (out / "predictions").rglob("*") if p.is_file())
    assert size < 6 * pixels

    code, text = command(*given)
    assert code == 2
    assert "--resume" in text

    seen: list[str] = []
    predict = BenchmarkModel.predict

    def counted(self, scene, settings):
        seen.append(f"{self.label}/{scene.name}")
        return predict(self, scene, settings)

    monkeypatch.setattr(BenchmarkModel, "predict", counted)
    first, second = sorted(images["image"].unique())[:2]
    (out / "predictions/small-0" / f"{first}.png").unlink()
    damaged = out / "predictions/ensemble" / f"{second}.png"
    damaged.write_bytes(damaged.read_bytes()[:100])
    code, text = command(*given, "--resume")
    assert code == 0, text
    assert sorted(seen) == [f"ensemble/{second}", f"small-0/{first}"]
    again = pd.read_csv(out / "images.csv")
    pd.testing.assert_frame_equal(images, again)

    seen.clear()
    code, text = command(*given, "--resume", "--exact", "--glacier", "Mapple")
    assert code == 0, text
    others = images.loc[images["glacier"] == "Mapple", "image"].nunique()
    assert len(seen) == 3 * others, "predictions of other settings do not count"


@pytest.mark.slow
def test_an_interrupted_run_goes_on(
    small: Path, checkpoints: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict, seen = BenchmarkModel.predict, []

    def stopping(self, scene, settings):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(scene.name)
        return predict(self, scene, settings)

    monkeypatch.setattr(BenchmarkModel, "predict", stopping)
    options = {"models": checkpoints[:1], "sensors": ["S1", "TSX/TDX"], "scenes": False}
    options["progress"] = False
    with pytest.raises(KeyboardInterrupt):
        benchmark(small, tmp_path / "out", **options)
    assert not (tmp_path / "out/report.html").exists()
    assert not list((tmp_path / "out").rglob(".icefront-unfinished-*"))
    monkeypatch.setattr(BenchmarkModel, "predict", predict)
    resumed = benchmark(small, tmp_path / "out", resume=True, **options)
    whole = benchmark(small, tmp_path / "whole", **options)
    pd.testing.assert_frame_equal(resumed.images, whole.images)


def test_subsets_splits_and_the_squeezed_set(tmp_path: Path) -> None:
    data, predictions = make_split(tmp_path, NAMES[:3] + NAMES[-3:])
    glacier = NAMES[0].split("_")[0]
    options = {"given": [predictions], "scenes": False, "progress": False}
    sensor = NAMES[-1].split("_")[2]
    part = benchmark(data, tmp_path / "a", glaciers=[glacier], **options)
    assert set(part.images["glacier"]) == {glacier}
    chosen = select_images(data, sensors=[sensor]).dataset.samples
    assert {s.sensor for s in chosen} == {sensor}
    for wrong, words in (
        ({"glaciers": ["Crane"]}, "no glacier Crane"),
        ({"sensors": ["S7"]}, "no images of S7"),
        ({"split": "train"}, "--split test"),
    ):
        with pytest.raises(IcefrontError, match=words):
            benchmark(data, tmp_path / "c", **wrong, **options)

    squeezed = tmp_path / "squeezed"
    for path in [*data.rglob("*.png"), *predictions.rglob("*.png")]:
        target = squeezed / path.relative_to(tmp_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).resize((256, 256), Image.Resampling.NEAREST).save(target)
    result = benchmark(
        squeezed / "caffe", tmp_path / "d", given=[squeezed / "someone"], scenes=False,
        progress=False,
    )  # fmt: skip
    assert result.selection.unit == "px"
    assert set(result.images["unit"]) == {"px"}
    assert "MDE (px)" in (tmp_path / "d/report.md").read_text()
    assert "in pixels, not in metres" in (tmp_path / "d/report.html").read_text()
    assert select_images(squeezed / "caffe").unit == "px"
    assert select_images(squeezed / "caffe", pixel_size=(60.0, 70.0)).unit == "m"
    assert select_images(data).unit == "m"


# Wrong inputs ------------------------------------------------------------------------------------


def test_what_cannot_be_scored_costs_a_sentence_each(
    tmp_path: Path, checkpoints: list[Path]
) -> None:
    names = NAMES[:9]
    data, predictions = make_split(tmp_path, names)
    (data / f"zones/test/{names[0]}_zones.png").unlink()
    box = data / f"bounding_boxes/{names[1]}_bounding_box.txt"
    box.write_text("Bounding box\n1,2\n3,4\n5,6\n7,8\n9,10\n")
    odd = data / f"zones/test/{names[2]}_zones.png"
    greys = read(odd)
    greys[3, 3] = 99
    Image.fromarray(greys).save(odd)
    damaged = data / f"sar_images/test/{names[3]}.png"
    damaged.write_bytes(damaged.read_bytes()[:-200])
    for kind, end in (("sar_images", ""), ("zones", "_zones"), ("fronts", "_front")):
        folder = data / kind / "test"
        shutil.copy(folder / f"{names[4]}{end}.png", folder / f"holiday{end}.png")
    (data / f"bounding_boxes/{names[5]}_bounding_box.txt").unlink()
    code, text = command(
        "--data", data, "--predictions", predictions, "--out", tmp_path / "out", "--no-scenes"
    )
    assert code == 0, text
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["images_scored"] == 4
    assert summary["images_left_out"] == len(summary["left_out"]) == 6
    left_out = "\n".join(summary["left_out"])
    for words in (
        f"{names[0]}.png has no label in zones",
        "is not a bounding box",
        "unknown zones (grey 99)",
        f"{names[3]}.png is damaged",
        "holiday.png does not follow the names of CaFFe",
        f"{names[5]}.png has no bounding box",
    ):
        assert words in left_out
        assert words in text.replace("\n", " ")
    html = (tmp_path / "out/report.html").read_text()
    assert "6 images were left out" in html
    assert "holiday.png" in html


def test_a_model_without_any_ocean_is_counted_not_feared(
    tmp_path: Path, checkpoints: list[Path]
) -> None:
    data, _ = make_split(tmp_path, NAMES[:3])
    network = icefront.load_model(checkpoints[0])
    with torch.no_grad():
        network.classify.bias.copy_(torch.tensor([0.0, 0.0, 1e4, 0.0]))
    dry = tmp_path / "dry.safetensors"
    write_own(dry, network, network.card)
    code, text = command("--data", data, "--model", dry, "--out", tmp_path / "out")
    assert code == 0, text
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    (model,) = summary["models"].values()
    assert model["without_front"] == model["images"] == 3
    assert model["mde"] is None
    assert any("predicts no ocean at all in 3 of 3 images" in note for note in summary["notes"])
    assert "3 without a front" in text
    assert "calibration" not in model


def test_mistakes_that_stop_a_run_before_it_starts(
    tmp_path: Path, small: Path, checkpoints: list[Path]
) -> None:
    out = tmp_path / "out"
    for arguments, words in (
        (["--data", tmp_path / "none", "--model", checkpoints[0]], "not a CaFFe folder"),
        (["--data", small, "--model", tmp_path / "no.ckpt"], "no model or checkpoint"),
        (["--data", small], "nothing to score"),
        (["--data", small, "--predictions", tmp_path / "no"], "no folder of predictions"),
        (["--data", small, "--model", checkpoints[0], "--split", "half"], "no split 'half'"),
        (["--data", small, "--model", checkpoints[0], "--hemisphere", "up"], "hemisphere 'up'"),
        (["--data", small, "--model", checkpoints[0], "--resume", "--overwrite"], "give one"),
        (
            ["--data", small, "--model", checkpoints[0], "--ensemble", "--symmetries", 5],
            "not 5",
        ),
        (
            ["--data", small, "--model", checkpoints[0], "--calibration", tmp_path / "x.json"],
            "does not exist",
        ),
        (
            ["--data", small, "--model", "tyrion-mini", "--model", checkpoints[0], "--ensemble"],
            "cannot form an ensemble",
        ),
    ):
        code, text = command(*arguments, "--out", out)
        assert code == 2, text
        assert words in text.replace("\n", " ")
        assert not out.exists()
