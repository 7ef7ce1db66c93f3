"""CaFFe's layout: matching, checks, splits, boxes, clean labels, the cache and its crops."""

import hashlib
import json
import os
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from icefront.datasets import (
    CaffeDataset,
    clean_labels,
    image_cache,
    read_box,
    read_zones,
    validation_split,
)
from icefront.datasets.crops import CropDataset, EpochSampler, build_zone_cache
from icefront.datasets.image_cache import SourceImage, cached_images
from icefront.errors import IcefrontError
from tests.helpers.paths import DATA, REFERENCE
from tests.helpers.simulated_caffe import NAMES, make_caffe


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_caffe(tmp_path / "caffe")


def test_samples_know_glacier_date_and_resolution(root: Path) -> None:
    dataset = CaffeDataset(root)
    assert dataset.names == sorted(NAMES)
    first = dataset.samples[0]
    assert (first.glacier, str(first.date), first.sensor) == ("Crane", "2002-11-09", "ERS")
    assert dataset.pixel_size_m(0) == 20.0
    assert CaffeDataset(root, pixel_size_m=(73.7, 61.8)).pixel_size_m(0) == (73.7, 61.8)
    assert CaffeDataset(root, pixel_size_m=None).pixel_size_m(0) is None
    assert set(np.unique(dataset.zones(0))) == {0, 1, 2, 3}
    assert dataset.front(0).any()


def test_glaciers_can_be_chosen_and_left_out(root: Path) -> None:
    assert {s.glacier for s in CaffeDataset(root, exclude=["SI"]).samples} == {"Crane", "JAC"}
    assert {s.glacier for s in CaffeDataset(root, glaciers=["SI"]).samples} == {"SI"}
    with pytest.raises(IcefrontError, match="no glacier Mapple"):
        CaffeDataset(root, glaciers=["Mapple"])


def _remove_zones(root: Path) -> None:
    (root / "zones/train" / f"{NAMES[0]}_zones.png").unlink()


def _remove_image(root: Path) -> None:
    (root / "sar_images/train" / f"{NAMES[0]}.png").unlink()


def _other_size(root: Path) -> None:
    Image.new("L", (10, 12)).save(root / "zones/train" / f"{NAMES[0]}_zones.png")


def _no_png(root: Path) -> None:
    (root / "sar_images/train" / f"{NAMES[0]}.png").write_bytes(b"junk")


def _odd_name(root: Path) -> None:
    for folder, suffix in (("sar_images", ""), ("zones", "_zones"), ("fronts", "_front")):
        path = root / folder / "train" / f"{NAMES[0]}{suffix}.png"
        path.rename(path.with_name(f"whatever{suffix}.png"))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_remove_zones, "no label in zones"),
        (_remove_image, "no image"),
        (_other_size, "10×12"),
        (_no_png, "damaged"),
        (_odd_name, "does not follow the names"),
    ],
)
def test_what_does_not_fit_is_named_and_refused_or_skipped(root: Path, spoil, words: str) -> None:
    spoil(root)
    with pytest.raises(IcefrontError, match=words):
        CaffeDataset(root)
    rest = CaffeDataset(root, damaged="skip")
    assert len(rest) == len(NAMES) - 1
    assert len(rest.problems) == 1
    assert words in rest.problems[0]


def test_unknown_grey_value_is_named(root: Path) -> None:
    path = root / "zones/train" / f"{NAMES[0]}_zones.png"
    grey = np.asarray(Image.open(path)).copy()
    grey[0, :3] = 99
    Image.fromarray(grey).save(path)
    with pytest.raises(IcefrontError, match=r"3 pixels of unknown zones \(grey 99\)"):
        read_zones(path)


def test_truncated_label_is_refused(root: Path) -> None:
    path = root / "zones/train" / f"{NAMES[0]}_zones.png"
    path.write_bytes(path.read_bytes()[:-120])
    with pytest.raises(IcefrontError, match="damaged"):
        read_zones(path)


def test_a_folder_that_is_no_caffe(tmp_path: Path) -> None:
    with pytest.raises(IcefrontError, match="sar_images/train is missing"):
        CaffeDataset(tmp_path)


def test_official_validation_split() -> None:
    names = (REFERENCE / "caffe_names.txt").read_text().split()
    train = sorted(n for n in names if n.split("_")[0] not in ("Mapple", "COL"))
    kept, held = validation_split(train)
    assert (len(kept), len(held)) == (503, 56)
    assert set(kept).isdisjoint(held)
    # scikit-learn 1.x: train_test_split(range(559), test_size=0.1, random_state=1)[1][:5]
    assert [train.index(n) for n in held[:5]] == [440, 530, 346, 323, 474]


def test_corners_of_a_box_are_moved_into_the_image(tmp_path: Path) -> None:
    path = tmp_path / "box.txt"
    path.write_text("x,y\n-3.2,90.4\n-3.2,10\n250.6,10\n250.6,90.4\n")
    assert read_box(path, (80, 200)) == (10, 79, 0, 199)
    path.write_text("x,y\n1,2\n")
    with pytest.raises(IcefrontError, match="not a bounding box"):
        read_box(path, (80, 200))


def test_clean_labels_have_no_strips_and_keep_their_areas() -> None:
    zones = np.full((40, 40), 2, np.uint8)
    zones[:, 20:] = 3
    zones[:, 30:] = 1
    clean = zones.copy()
    zones[:, 29:31] = 2  # the false rim between ocean and rock
    found = clean_labels(zones)
    assert (found != clean).mean() < 0.03
    assert not (found[:, 28:] == 2).any()
    assert np.array_equal(clean_labels(clean), clean)


def test_cache_returns_the_pixels_and_is_built_once(root: Path, tmp_path: Path) -> None:
    dataset = CaffeDataset(root)
    cache = build_zone_cache(dataset, tmp_path / "cache", progress=False)
    image, zones = cache.arrays(3)
    assert np.array_equal(image, dataset.image(3))
    assert np.array_equal(zones, dataset.zones(3))
    written = [block.path.stat().st_mtime_ns for block in cache.blocks]
    again = build_zone_cache(dataset, tmp_path / "cache", progress=False)
    assert again == cache
    assert [block.path.stat().st_mtime_ns for block in again.blocks] == written
    cleaned = CaffeDataset(root, clean_labels=True)
    assert build_zone_cache(cleaned, tmp_path / "cache", progress=False) != cache


def test_crops_map_an_image_once_and_see_a_block_that_is_written_again(
    root: Path, tmp_path: Path
) -> None:
    dataset = CaffeDataset(root)
    cache = build_zone_cache(dataset, tmp_path / "cache", progress=False)
    first, again = cache.arrays(3)[0], cache.arrays(3)[0]
    assert np.shares_memory(first, again)
    block = cache.blocks[3]
    assert not np.shares_memory(block.mapped(), block.mapped())
    data = block.path.read_bytes()
    damaged = tmp_path / "damaged"
    damaged.write_bytes(bytes(value ^ 255 for value in data))
    damaged.replace(block.path)
    # It is another file now, which the open mapping does not show.
    cache = build_zone_cache(dataset, tmp_path / "cache", progress=False)
    assert np.array_equal(cache.arrays(3)[0], dataset.image(3))
    assert not np.shares_memory(cache.arrays(3)[0], first)


def _in_place_of(path: Path) -> None:
    path.unlink()
    (path / "folder").mkdir(parents=True)


def _flip_and_set_the_time_back(path: Path, byte: int = 100) -> None:
    stat, data = path.stat(), bytearray(path.read_bytes())
    data[byte % len(data)] ^= 0x55
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


DAMAGE = {
    "flipped": _flip_and_set_the_time_back,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "empty": lambda path: path.write_bytes(b""),
    "grown": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * (path.stat().st_size // 256)),
    "nested": lambda path: path.write_bytes(b"[" * 100_000),
    "other JSON": lambda path: path.write_text('{"file": [], "sha256": 3, "mtime_ns": "x"}\n'),
    "removed": Path.unlink,
    "folder": _in_place_of,
}


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [*product(("*.bin", "index.jsonl"), DAMAGE), ("lock", "folder"), ("", "file")],
)
def test_whatever_is_damaged_in_the_cache_is_decoded_again(
    pattern: str, damage: str, root: Path, tmp_path: Path
) -> None:
    dataset, home = CaffeDataset(root), tmp_path / "cache"
    whole = build_zone_cache(dataset, home, progress=False)
    folder = next(home.iterdir())
    if pattern:
        DAMAGE[damage](sorted(folder.glob(pattern))[-1])
    else:
        shutil.rmtree(folder)
        folder.touch()
    again = build_zone_cache(dataset, home, progress=False)
    assert again == whole
    for i in range(len(dataset)):
        assert np.array_equal(again.arrays(i), [dataset.image(i), dataset.zones(i)])
    text = (folder / "index.jsonl").read_text()
    assert build_zone_cache(dataset, home, progress=False) == whole
    assert (folder / "index.jsonl").read_text() == text


@given(number=st.integers(0, 10**6), byte=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_no_flipped_byte_of_the_cache_reaches_a_network(
    number: int, byte: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    sources = [SourceImage((), image.shape, lambda: image, name=f"{i}") for i in range(3)]
    whole, fingerprint = cached_images(sources, folder, progress=False)
    files = [*(block.path for block in whole), folder / "index.jsonl"]
    _flip_and_set_the_time_back(files[number % len(files)], byte)
    assert cached_images(sources, folder, progress=False) == (whole, fingerprint)
    assert all(np.array_equal(block.mapped(), image) for block in whole)


def test_a_cache_of_an_earlier_version_is_compared_once_and_kept(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, home = CaffeDataset(root), tmp_path / "cache"
    whole = build_zone_cache(dataset, home, progress=False)
    index = next(home.iterdir()) / "index.jsonl"
    lines = [
        {
            "file": block.path.name,
            "sha256": hashlib.sha256(block.path.read_bytes()).hexdigest(),
            "mtime_ns": block.path.stat().st_mtime_ns,
        }
        for block in whole.blocks
    ]
    index.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    monkeypatch.setattr(CaffeDataset, "image", None)
    assert build_zone_cache(dataset, home, progress=False) == whole


def test_what_is_damaged_takes_no_more_room_than_it_had(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, home = CaffeDataset(root), tmp_path / "cache"
    whole = build_zone_cache(dataset, home, progress=False)
    next(home.rglob("index.jsonl")).unlink()
    monkeypatch.setattr(image_cache, "free_space", lambda _: 50_000_001)
    assert build_zone_cache(dataset, home, progress=False) == whole


def test_a_block_that_changes_in_use_gets_one_sentence(root: Path, tmp_path: Path) -> None:
    cache = build_zone_cache(CaffeDataset(root), tmp_path / "cache", progress=False)
    for damage in ("empty", "cut", "removed"):
        DAMAGE[damage](cache.blocks[0].path)
        with pytest.raises(IcefrontError, match="changed or removed while it was in use"):
            cache.blocks[0].mapped()


def test_images_already_in_the_cache_are_not_decoded_for_another_choice(
    root: Path, tmp_path: Path
) -> None:
    whole = build_zone_cache(CaffeDataset(root), tmp_path / "cache", progress=False)
    written = [block.path.stat().st_mtime_ns for block in whole.blocks]
    part = CaffeDataset(root, names=NAMES[:2])
    fewer = build_zone_cache(part, tmp_path / "cache", progress=False)
    assert set(fewer.blocks) < set(whole.blocks)
    assert [block.path.stat().st_mtime_ns for block in whole.blocks] == written


def test_a_damaged_label_leaves_no_half_block_in_the_cache(root: Path, tmp_path: Path) -> None:
    path = root / "zones/train" / f"{NAMES[-1]}_zones.png"
    path.write_bytes(path.read_bytes()[:-120])
    with pytest.raises(IcefrontError, match="damaged"):
        build_zone_cache(CaffeDataset(root), tmp_path / "cache", progress=False)
    blocks = sorted((tmp_path / "cache").rglob("*.bin"))
    assert len(blocks) == len(NAMES) - 1
    assert not list((tmp_path / "cache").rglob(".icefront-unfinished-*"))


def test_crops_depend_on_number_and_seed_alone(root: Path, tmp_path: Path) -> None:
    cache = build_zone_cache(CaffeDataset(root), tmp_path / "cache", progress=False)
    options = {"zoom": (0.5, 2.0), "zoom_probability": 0.8}
    a = CropDataset(cache, range(6), 32, seed=1, **options)
    b = CropDataset(cache, range(6), 32, seed=1, **options)
    c = CropDataset(cache, range(6), 32, seed=2, **options)
    later = b[17]  # other draws in between change nothing
    assert all((x == y).all() for x, y in zip(a[17], later, strict=True))
    assert not (a[17][0] == c[17][0]).all()
    image, zones = a[17]
    assert image.shape == (1, 32, 32)
    assert zones.shape == (32, 32)
    assert 0 <= float(image.min()) <= float(image.max()) <= 1


def test_other_scenes_are_drawn_by_their_fractions(root: Path, tmp_path: Path) -> None:
    cache = build_zone_cache(CaffeDataset(root), tmp_path / "cache", progress=False)
    kinds = [(np.full((32, 32), grey, np.uint8), np.full((32, 32), 1, np.uint8)) for grey in (7, 9)]
    crops = CropDataset(
        cache, range(6), 32, other_scenes=[(0.5, kinds[:1]), (0.2, kinds[1:]), (0.9, [])]
    )
    greys = [round(float(crops[n][0].max()) * 255) for n in range(400)]
    assert greys.count(7) / 400 == pytest.approx(0.5, abs=0.08)
    assert greys.count(9) / 400 == pytest.approx(0.2, abs=0.07)


def test_a_crop_larger_than_the_image_is_filled_with_no_data(root: Path, tmp_path: Path) -> None:
    cache = build_zone_cache(CaffeDataset(root), tmp_path / "cache", progress=False)
    image, zones = CropDataset(cache, [0], 96)[5]
    outside = int((image[0] == 0).sum())
    assert outside >= 96 * 96 - 64 * 64
    assert int((zones == 0).sum()) >= 96 * 96 - 64 * 64
    assert int((zones > 0).sum()) > 0.8 * 64 * 64


def test_epochs_do_not_repeat_crops() -> None:
    first, second = EpochSampler(10), EpochSampler(10)
    second.set_epoch(1)
    assert list(first) == list(range(10))
    assert list(second) == list(range(10, 20))
    both = [list(EpochSampler(10, rank, 2)) for rank in range(2)]
    assert sorted(both[0] + both[1]) == list(range(10))
    assert len(EpochSampler(10, 1, 3)) == 3


def test_plot_shows_image_zones_and_prediction(root: Path) -> None:
    dataset = CaffeDataset(root)
    figure = dataset.plot(0, dataset.zones(0))
    assert len(figure.axes) == 3
    assert dataset.names[0] in figure.axes[0].get_title()


def test_samples_have_the_keys_of_torchgeo_and_can_be_plotted(root: Path) -> None:
    dataset = CaffeDataset(root)
    sample = dataset[1]
    assert list(sample) == ["name", "image", "mask", "front"]
    assert np.array_equal(sample["image"], dataset.image(1))
    assert np.array_equal(sample["mask"], dataset.zones(1))
    assert np.array_equal(sample["front"], dataset.front(1))
    assert len(dataset.plot(sample).axes) == 2
    assert len(dataset.plot({**sample, "prediction": sample["mask"]}).axes) == 3


@pytest.mark.skipif(
    not (DATA / "caffe256").is_dir(), reason="caffe256 is not in ICEFRONT_DATA (real CaFFe labels)"
)
def test_the_real_set_is_in_order() -> None:
    dataset = CaffeDataset(DATA / "caffe256", pixel_size_m=None)
    count = {g: sum(s.glacier == g for s in dataset.samples) for g in ("Crane", "DBE", "JAC", "SI")}
    assert count == {"Crane": 69, "DBE": 133, "JAC": 159, "SI": 121}
    assert dataset.problems == []
