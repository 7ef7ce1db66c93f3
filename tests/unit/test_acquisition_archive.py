"""An archive in the making: layout, limits, split, co-registration, and what is added later."""

import datetime as dt
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS
from scipy import ndimage

from icefront.acquisition.archive_files import RECORD, ArchiveFolder, glacier_word
from icefront.acquisition.coregistration import measured_shift
from icefront.datasets.ssl4sar import Ssl4SarArchive
from icefront.errors import IcefrontError
from icefront.grid import Grid
from icefront.scenes.cog import write_cog
from icefront.scenes.radiometry import CEILING_DB, FLOOR_DB

SHAPE = (150, 160)
GRID = Grid(*SHAPE, CRS.from_epsg(3413), Affine(20, 0, 300_000, 0, -20, -2_500_000), 20.0)
ROCK = np.zeros(SHAPE, bool)
ROCK[:, :100] = True


def optical():
    channels = np.full((14, *SHAPE), 0.2, np.float32)
    channels[13] = np.where(ROCK, 5, 11)
    channels[0, :5, :5] = np.nan
    return channels


def scene(folder: Path, glacier, day, shift=(0.0, 0.0), seed=0, orbit="090", covered=1.0):
    """Write a scene of rock with texture beside ice that changes, shifted by known pixels."""
    field = ndimage.gaussian_filter(
        np.random.default_rng(len(glacier)).normal(size=(SHAPE[0] + 20, SHAPE[1] + 20)), 2.5
    )
    rng = np.random.default_rng((seed, day))
    seen = ndimage.shift(4 * field / field.std(), shift, order=5, mode="nearest")[10:-10, 10:-10]
    seen = seen - 12
    seen[:, 100:] = -6 + rng.normal(size=(SHAPE[0], 60))
    power = 10 ** (seen / 10) * rng.gamma(8, 1 / 8, SHAPE)
    power[:, : round((1 - covered) * SHAPE[1])] = np.nan
    date = dt.date(2020, 1, 1) + dt.timedelta(day)
    path = folder / f"{glacier}_{date}T203000_S1A_IW_{orbit}_grd_HH.tif"
    folder.mkdir(parents=True, exist_ok=True)
    tags = {
        "GLACIER": glacier, "ACQUISITION_DATE": f"{date}T20:30:00Z", "SENSOR": "S1",
        "POLARISATION": "HH", "RELATIVE_ORBIT": orbit, "ORBIT_DIRECTION": "descending",
        "RADIOMETRY": "sigma0 power",
    }  # fmt: skip
    write_cog(path, power.astype(np.float32), GRID, tags, ["HH sigma0 power"])
    return path


def archive(root, **options):
    return ArchiveFolder(root, **{"pixel_size_m": 20.0, "validation": 0.2} | options)


def true_shifts(number, seed=3):
    return np.random.default_rng(seed).uniform(-1.5, 1.5, (number, 2))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Two glaciers of eight and three dates; those of the first are shifted."""
    root = tmp_path_factory.mktemp("archive")
    shifts = true_shifts(8)
    scenes = [
        scene(root / "scenes/Helheim", "Helheim", 12 * i, tuple(s)) for i, s in enumerate(shifts)
    ]
    other = [scene(root / "scenes/Store", "Store", 12 * i) for i in range(3)]
    folder = archive(root)
    folder.add_optical("Helheim", optical(), GRID, dt.date(2020, 7, 25), {"cloudy": 0.01})
    folder.add_optical("Store", optical(), GRID, dt.date(2020, 7, 25), {})
    assert folder.add_scenes("Helheim", scenes, progress=False)[1] == []
    assert folder.add_scenes("Store", other, progress=False)[1] == []
    return root


def test_the_archive_opens_without_a_warning(compiled, caplog):
    with caplog.at_level(logging.WARNING):
        opened = Ssl4SarArchive(compiled)
    assert caplog.records == []
    assert opened.glaciers == ["Helheim", "Store"]
    assert len(opened) == 11
    for glacier in opened.glaciers:
        parts = {image.part for image in opened.images if image.glacier == glacier}
        assert parts == {"train", "val"}
    assert opened.images[0].date is not None
    channels = opened.read_optical("Helheim")
    assert (channels[13][ROCK] == round(255 * 5 / 11)).all()
    assert (channels[0, :5, :5] == 0).all()


def test_grey_is_linear_in_decibel_between_the_recorded_limits(compiled):
    record = json.loads((compiled / RECORD).read_text())
    assert (record["floor_db"], record["ceiling_db"]) == (FLOOR_DB, CEILING_DB)
    opened = Ssl4SarArchive(compiled)
    index = next(i for i, image in enumerate(opened.images) if image.glacier == "Store")
    grey = opened.read_radar(index).astype(float)
    source = compiled / "scenes/Store" / record["images"][opened.images[index].name]["source"]
    with rasterio.open(source) as raster:
        decibel = 10 * np.log10(raster.read(1))
    assert not record["images"][opened.images[index].name]["moved"]
    back = FLOOR_DB + grey / 255 * (CEILING_DB - FLOOR_DB)
    inside = (decibel > FLOOR_DB + 0.5) & (decibel < CEILING_DB)
    assert np.abs(back - decibel)[inside].max() <= 0.5 * (CEILING_DB - FLOOR_DB) / 255 + 1e-6
    assert grey.min() >= 1


def test_dates_lie_on_each_other_within_a_fifth_of_a_pixel(compiled):
    record = json.loads((compiled / RECORD).read_text())["images"]
    known = sorted(
        (k for k in record.values() if k["glacier"] == "Helheim"), key=lambda k: k["date"]
    )
    moved = np.array([[k["shift_rows"], k["shift_columns"]] for k in known])
    left = moved + true_shifts(8)  # what the record says was moved, and what was wrong
    assert np.hypot(*(left - left.mean(axis=0)).T).max() < 0.2
    opened = Ssl4SarArchive(compiled)
    greys = [
        opened.read_radar(i).astype(float)
        for i, image in enumerate(opened.images)
        if image.glacier == "Helheim"
    ]
    for grey in greys:
        grey[grey == 0] = np.nan
    for grey in greys[1:]:
        assert measured_shift(grey, greys[0], ROCK).pixels < 0.2


def test_dates_added_later_are_laid_on_those_that_are_there(compiled, tmp_path):
    root = tmp_path / "archive"
    shutil.copytree(compiled, root)
    before = {p: p.read_bytes() for p in root.glob("unlabeled_data_raw_*/*.tif")}
    late = scene(root / "scenes/Helheim", "Helheim", 200, (1.2, 0.7))
    folder = archive(root)
    names, refused = folder.add_scenes(
        "Helheim", sorted((root / "scenes/Helheim").glob("*.tif")), progress=False
    )
    assert refused == []
    assert names == [f"S1_{late.stem}"]
    assert all(p.read_bytes() == content for p, content in before.items())
    known = folder.images[names[0]]
    others = np.array(
        [[k["shift_rows"], k["shift_columns"]] for k in folder.images.values()
         if k["glacier"] == "Helheim" and k["source"] != late.name]
    )  # fmt: skip
    centre = (others + true_shifts(8)[: len(others)]).mean(axis=0)
    moved = np.array([known["shift_rows"], known["shift_columns"]])
    left = moved + np.array([1.2, 0.7]) - centre
    assert np.hypot(*left) < 0.2
    assert len(Ssl4SarArchive(root)) == 12


def test_scenes_that_do_not_fit_are_left_out_and_named(tmp_path):
    folder = archive(tmp_path / "archive")
    folder.add_optical("Helheim", optical(), GRID, dt.date(2020, 7, 25), {})
    good = [scene(tmp_path / "s", "Helheim", day) for day in (0, 12, 24)]
    half = scene(tmp_path / "s", "Helheim", 36, covered=0.5)
    far = scene(tmp_path / "s", "Helheim", 48, (6.0, 0.0))
    grey = tmp_path / "s" / "Helheim_2020-03-01_S1.tif"
    write_cog(grey, np.arange(24_000).reshape(SHAPE).astype(np.uint8), GRID, {})
    names, refused = folder.add_scenes("Helheim", [*good, half, far, grey], progress=False)
    assert len(names) == 3
    text = "\n".join(refused)
    assert "covers 50% of the glacier, less than 90%" in text
    assert far.name in text
    assert "shifted by" in text
    assert "no calibrated backscatter" in text


def test_another_pixel_size_or_folder_is_refused(compiled, tmp_path):
    with pytest.raises(IcefrontError, match=r"made with pixel_size_m 20\.0, not 40\.0"):
        archive(compiled, pixel_size_m=40.0)
    (tmp_path / "unlabeled_data_raw_train").mkdir()
    with pytest.raises(IcefrontError, match="not ours"):
        archive(tmp_path)


def test_a_glacier_alone_in_its_orbit_is_not_moved(tmp_path):
    folder = archive(tmp_path / "archive")
    folder.add_optical("Store", optical(), GRID, dt.date(2020, 7, 25), {})
    names, _ = folder.add_scenes("Store", [scene(tmp_path / "s", "Store", 0)], progress=False)
    assert folder.images[names[0]]["note"] == "the only image of its orbit"


def test_names_of_glaciers_fit_the_layout():
    assert glacier_word("Upernavik Isstrom_1") == "Upernavik-Isstrom-1"
