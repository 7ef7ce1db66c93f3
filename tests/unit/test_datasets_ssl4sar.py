"""The archive of SSL4SAR: layout, checks, cache and crops."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from icefront.datasets import image_cache, pairs, ssl4sar
from icefront.datasets.pairs import PairCrops, PairWindows, build_pair_cache
from icefront.datasets.ssl4sar import (
    Ssl4SarArchive,
    caffe_glacier,
    read_optical,
    shared_glaciers,
)
from icefront.errors import IcefrontError
from icefront.files import atomic
from tests.helpers.simulated_ssl4sar import (
    GLACIERS,
    SHAPE,
    ground,
    make_ssl4sar,
    optical_of,
    write_raster,
)

OPTICAL = "data_optical/Alpha_S2_2018-07-25.tif"
TRAIN = "unlabeled_data_raw_train"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ssl4sar(tmp_path_factory.mktemp("simulated") / "ssl4sar")


@pytest.fixture
def root(simulated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(simulated, tmp_path / "ssl4sar"))


def test_names_give_glacier_date_and_part(simulated: Path) -> None:
    archive = Ssl4SarArchive(simulated)
    assert archive.glaciers == list(GLACIERS)
    assert len(archive.indices("train")) == 9
    assert len(archive.indices("val")) == 3
    first = archive.images[0]
    assert (first.glacier, str(first.date), first.part, first.shape) == (
        "Alpha",
        "2018-01-10",
        "train",
        SHAPE,
    )
    assert archive.read_optical("Alpha").shape == (14, *SHAPE)
    assert archive.leakage == ""


def test_of_a_published_file_fourteen_bands_are_used(root: Path) -> None:
    field = ground(0)
    values = np.stack([(band + 1) * field for band in range(20)]).astype(np.float32)
    values[2] = 1 - field
    values[13, :5] = np.nan
    write_raster(root / OPTICAL, values)
    read = Ssl4SarArchive(root).read_optical("Alpha")
    full = np.rint(255 * field)
    # Each is divided by its own maximum, so that multiples of one field become the same.
    assert np.abs(read[0] - full).max() <= 1
    assert np.abs(read[2] - np.rint(255 * (1 - field))).max() <= 1
    assert (read[12, :5] == 0).all()  # the 13th channel is band 14
    assert np.abs(read[12, 5:] - full[5:]).max() <= 1 + 255 * (field.max() - field[5:].max())
    assert np.abs(read[13] - full).max() <= 1


def test_what_is_already_scaled_stays_as_it_is(simulated: Path) -> None:
    assert np.array_equal(read_optical(simulated / OPTICAL), optical_of(ground(0)))


def test_missing_values_count_as_zero_and_are_counted(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values = optical_of(ground(0)).astype(np.float32)
    values[3, 10, 10:17] = np.nan
    write_raster(root / OPTICAL, values)
    with caplog.at_level(logging.INFO, "icefront.datasets"):
        read = read_optical(root / OPTICAL)
    assert (read[3, 10, 10:17] == 0).all()
    assert "7 values without data" in caplog.text


def _no_optical(root: Path) -> None:
    (root / OPTICAL).unlink()


def _no_images(root: Path) -> None:
    for path in root.glob("unlabeled*/*.tif"):
        path.unlink()


def _other_size(root: Path) -> None:
    write_raster(root / TRAIN / "S1_Beta_2019-01-01.tif", np.ones((1, 90, 88), np.uint8))


def _shifted(root: Path) -> None:
    values = np.ones((1, *SHAPE), np.uint8)
    write_raster(root / TRAIN / "S1_Beta_2019-01-01.tif", values, west=500_060)


def _bands(root: Path) -> None:
    write_raster(root / OPTICAL, np.ones((12, *SHAPE), np.uint8))


def _floats(root: Path) -> None:
    write_raster(root / TRAIN / "S1_Beta_2019-01-01.tif", np.ones((1, *SHAPE), np.float32))


def _nameless(root: Path) -> None:
    write_raster(root / TRAIN / "scene.tif", np.ones((1, *SHAPE), np.uint8))


def _twice(root: Path) -> None:
    shutil.copy(root / OPTICAL, root / "data_optical/Alpha_second.tif")


def _cut_off(root: Path) -> None:
    (root / TRAIN / "S1_Beta_2018-01-10.tif").write_bytes(b"II*\0")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_no_optical, r"Alpha has no optical image .*--exclude Alpha"),
        (_no_images, "is empty"),
        (_other_size, r"S1_Beta_2019-01-01.tif is not on the grid .*90×88 pixels against 96×88"),
        (_shifted, "shifted by 3.0 pixels"),
        (_bands, "has 12 bands"),
        (_floats, "bands of float32"),
        (_nameless, "second field"),
        (_twice, "two optical images"),
        (_cut_off, "is damaged"),
    ],
)
def test_what_is_not_in_order_is_named_on_opening(
    root: Path, harm: Callable[[Path], None], words: str
) -> None:
    harm(root)
    with pytest.raises(IcefrontError, match=words):
        Ssl4SarArchive(root)


def test_a_glacier_without_optical_image_can_be_left_out(root: Path) -> None:
    _no_optical(root)
    assert Ssl4SarArchive(root, exclude=["Alpha"]).glaciers == ["Beta", "Gamma"]
    with pytest.raises(IcefrontError, match="no glacier Delta to exclude"):
        Ssl4SarArchive(root, exclude=["Delta"])
    shutil.rmtree(root / "data_optical")
    with pytest.raises(IcefrontError, match="the folder data_optical is missing"):
        Ssl4SarArchive(root)


@pytest.mark.parametrize(
    ("value", "words"), [(0, "nothing but zeros"), (np.nan, "no value at all")]
)
def test_an_empty_channel_is_named(root: Path, tmp_path: Path, value: float, words: str) -> None:
    values = optical_of(ground(0)).astype(np.float32)
    values[8] = value
    write_raster(root / OPTICAL, values)
    with pytest.raises(IcefrontError, match=f"B8A .band 9. .*{words}"):
        build_pair_cache(Ssl4SarArchive(root), tmp_path / "cache")


def test_test_glaciers_of_caffe_are_found_however_they_are_spelt(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spelt = ["Columbia", "COL", "columbia-glacier", "Mapple", "MAPPLE"]
    assert shared_glaciers([*spelt, "Colbeck", "Store"], ["COL", "Mapple"]) == spelt
    assert caffe_glacier("Sjögren") == "SI"
    for path in sorted(root.rglob("*Beta*")):
        path.rename(path.with_name(path.name.replace("Beta", "Columbia")))
    archive = Ssl4SarArchive(root)
    assert archive.leaked == ("Columbia",)
    assert "LEAKAGE" in caplog.text
    assert "--exclude Columbia" in archive.leakage
    assert Ssl4SarArchive(root, exclude=["Columbia"]).leakage == ""


def test_plot_shows_what_it_is_given(simulated: Path) -> None:
    archive = Ssl4SarArchive(simulated)
    assert len(archive.plot(0).axes) == 2
    masked = np.zeros((16, 16), bool)
    result = np.full((14, 64, 64), 0.5, np.float32)
    assert len(archive.plot(0, window=(8, 8, 64), masked=masked, reconstruction=result).axes) == 4


# cache --------------------------------------------------------------------------------------------


def test_the_cache_holds_what_the_files_hold_and_is_written_once(
    simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Ssl4SarArchive(simulated)
    cache = build_pair_cache(archive, tmp_path)
    assert np.array_equal(cache.radar[5].mapped()[0], archive.read_radar(5))
    assert np.array_equal(cache.optical["Gamma"].mapped(), archive.read_optical("Gamma"))
    monkeypatch.setattr(pairs, "read_optical", None)
    monkeypatch.setattr(pairs, "read_radar", None)
    assert build_pair_cache(archive, tmp_path).fingerprint == cache.fingerprint


def test_an_interrupted_cache_goes_on_where_it_was(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Ssl4SarArchive(root)
    whole = build_pair_cache(archive, tmp_path / "whole")
    read: list[str] = []

    def stopping(path: Path) -> np.ndarray:
        if len(read) == 4:
            raise KeyboardInterrupt
        read.append(path.name)
        return ssl4sar.read_radar(path)

    monkeypatch.setattr(pairs, "read_radar", stopping)
    with pytest.raises(KeyboardInterrupt):
        build_pair_cache(archive, tmp_path / "parts")
    home = next((tmp_path / "parts").iterdir())
    (home / ".icefront-unfinished-killed").mkdir()
    (home / ".icefront-unfinished-killed" / "image.bin").write_bytes(b"half")
    with (home / "index.jsonl").open("a") as index:
        index.write('{"file": "half a li')
    first = list(read)
    read.clear()
    monkeypatch.setattr(
        pairs, "read_radar", lambda p: (read.append(p.name), ssl4sar.read_radar(p))[1]
    )
    parts = build_pair_cache(archive, tmp_path / "parts")
    assert sorted([*first, *read]) == sorted(i.path.name for i in archive.images)
    assert parts.fingerprint == whole.fingerprint
    assert not list(home.glob(".icefront-unfinished-*"))
    # A new image is decoded alone.
    write_raster(root / TRAIN / "S1_Beta_2019-01-01.tif", np.ones((1, *SHAPE), np.uint8))
    read.clear()
    build_pair_cache(Ssl4SarArchive(root), tmp_path / "parts")
    assert read == ["S1_Beta_2019-01-01.tif"]


def test_a_damaged_block_is_decoded_again(simulated: Path, tmp_path: Path) -> None:
    archive = Ssl4SarArchive(simulated)
    cache = build_pair_cache(archive, tmp_path)
    block = cache.radar[3].path
    data = bytearray(block.read_bytes())
    data[1000] ^= 255
    block.write_bytes(data)
    again = build_pair_cache(archive, tmp_path)
    assert np.array_equal(again.radar[3].mapped()[0], archive.read_radar(3))


def test_a_full_disk_gets_one_sentence_and_leaves_nothing_half_written(
    simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Ssl4SarArchive(simulated)

    def full(part: Path, path: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "move_into_place", full)
        with pytest.raises(IcefrontError, match=r"is full.*ICEFRONT_CACHE"):
            build_pair_cache(archive, tmp_path)
    assert not list(tmp_path.rglob(".icefront-unfinished-*"))
    with monkeypatch.context() as patch:
        patch.setattr(image_cache, "free_space", lambda _: 1000)
        with pytest.raises(IcefrontError, match="too full"):
            build_pair_cache(archive, tmp_path)
    build_pair_cache(archive, tmp_path)


# crops --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cache(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> pairs.PairCache:
    return build_pair_cache(Ssl4SarArchive(simulated), tmp_path_factory.mktemp("cache"))


def test_crops_show_one_place_to_both_sensors(cache: pairs.PairCache) -> None:
    crops = PairCrops(cache, range(9), 64, zoom=(0.7, 1.0), seed=3)
    sides, flips = set(), set()
    for number in range(60):
        sample = crops[number]
        index, side = crops.image_of(number), int(sample["side"])
        sides.add(side)
        flips.add(tuple(sample["flip"].tolist()))
        radar = cache.radar[index].mapped()[0]
        optical = cache.optical[cache.glaciers[index]].mapped()
        piece = sample["radar"][0, :side, :side].numpy()
        places = [
            (r, c)
            for r in range(SHAPE[0] - side + 1)
            for c in range(SHAPE[1] - side + 1)
            if radar[r, c] == piece[0, 0]
            and np.array_equal(radar[r : r + side, c : c + side], piece)
        ]
        assert len(places) == 1
        (row, column) = places[0]
        same = optical[:, row : row + side, column : column + side]
        assert np.array_equal(sample["optical"][:, :side, :side].numpy(), same)
        assert not sample["radar"][0, side:].any()
    assert min(sides) in (45, 46, 47)
    assert max(sides) in (63, 64)
    assert flips == {(False, False), (False, True), (True, False), (True, True)}


def test_each_image_comes_once_before_any_comes_again(cache: pairs.PairCache) -> None:
    crops = PairCrops(cache, range(9), 64, seed=1)
    for turn in range(3):
        assert sorted(crops.image_of(9 * turn + i) for i in range(9)) == list(range(9))
    assert [crops.image_of(i) for i in range(9)] != [crops.image_of(9 + i) for i in range(9)]


def test_a_crop_depends_on_its_number_and_the_seed_alone(cache: pairs.PairCache) -> None:
    a, b = (PairCrops(cache, range(9), 32, seed=5, other_day=True) for _ in range(2))
    first = a[7]
    _ = b[3]
    assert all((first[k] == b[7][k]).all() for k in first)
    assert not all(
        (first[k] == PairCrops(cache, range(9), 32, seed=6)[7][k]).all()
        for k in b[7]
        if k != "other"
    )


def test_another_day_is_another_image_of_the_same_place(cache: pairs.PairCache) -> None:
    crops = PairCrops(cache, range(9), 64, zoom=(1, 1), seed=0, other_day=True)
    for number in range(9):
        sample = crops[number]
        assert not (sample["radar"] == sample["other"]).all()
        glacier = cache.glaciers[crops.image_of(number)]
        days = [cache.radar[i].mapped()[0] for i in range(9) if cache.glaciers[i] == glacier]
        other = sample["other"][0].numpy()
        assert any(
            np.array_equal(day[r : r + 64, c : c + 64], other)
            for day in days
            for r in range(SHAPE[0] - 63)
            for c in range(SHAPE[1] - 63)
            if day[r, c] == other[0, 0]
        )


def test_a_small_image_is_surrounded_by_zeros(cache: pairs.PairCache) -> None:
    crops = PairCrops(cache, range(9), 256, zoom=(1, 1), seed=0)
    sample = crops[0]
    inside = sample["radar"][0] > 0
    assert int(inside.sum()) == SHAPE[0] * SHAPE[1]


def test_windows_tile_the_images_of_validation(cache: pairs.PairCache) -> None:
    windows = PairWindows(cache, [9, 10], 64, 16)
    assert len(windows) == 2 * 3 * 2  # rows 0, 16, 32; columns 0, 16
    index, row, column = windows.places[3]
    expected = cache.radar[index].mapped()[0, row : row + 64, column : column + 64]
    assert np.array_equal(windows[3]["radar"][0].numpy(), expected)
    assert len(PairWindows(cache, [9, 10], 64, 16, most=5)) == 5
    assert len(PairWindows(cache, [9], 512, 256)) == 1
