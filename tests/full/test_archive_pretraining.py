"""An archive of three simulated glaciers by twenty dates: compiled, opened, pretrained on."""

import datetime as dt
import logging

import numpy as np
import pytest
from scipy import ndimage
from typer.testing import CliRunner

from icefront.acquisition.archive_files import ArchiveFolder
from icefront.cli import app
from icefront.datasets.ssl4sar import Ssl4SarArchive
from icefront.scenes.cog import write_cog
from icefront.simulation.archives import landscape_of
from icefront.simulation.optical import sentinel2
from icefront.simulation.presets import arctic_presets
from icefront.simulation.radar import observe, sensor_named, view_of
from icefront.simulation.surfaces import grid_of, surfaces
from tests.helpers.paths import CONFIGS

PIXEL_M = 80.0
DATES = 20
ORBITS = ("ascending", "descending")


def displaced(decibel, shift):
    """Shift an image by parts of a pixel, with gaps filled before."""
    known = np.isfinite(decibel)
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    moved = ndimage.shift(decibel[tuple(nearest)], shift, order=5, mode="nearest")
    return np.where(known, moved, np.nan).astype(np.float32)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Return the archive and, for each image, the shift that was put in and the one measured."""
    root = tmp_path_factory.mktemp("archive")
    folder = ArchiveFolder(root, pixel_size_m=PIXEL_M, validation=0.1)
    sensor = sensor_named("S1")
    shifts = {}
    for number, name in enumerate(list(arctic_presets())[:3]):
        landscape = landscape_of(name, 0)
        grid = grid_of(landscape.glacier, PIXEL_M)
        channels, _ = sentinel2(landscape, dt.date(2019, 7, 25), grid)
        folder.add_optical(name, channels, grid, dt.date(2019, 7, 25), {})
        views = [view_of(sensor, orbit, np.random.default_rng(number)) for orbit in ORBITS]
        scenes = []
        for day in range(DATES):
            rng = np.random.default_rng((number, day))
            date = dt.date(2018, 1, 5) + dt.timedelta(36 * day)
            decibel = observe(
                landscape, surfaces(landscape, date, grid), sensor, views[day % 2], rng
            )
            shift = rng.uniform(-1.5, 1.5, 2)
            decibel = displaced(decibel, shift)
            path = root / "scenes" / name / f"{name}_{date}T200000_S1A_IW_{day % 2 + 90:03d}_HH.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            tags = {
                "GLACIER": name, "ACQUISITION_DATE": str(date), "SENSOR": "S1",
                "POLARISATION": "HH", "RELATIVE_ORBIT": f"{day % 2 + 90:03d}",
                "ORBIT_DIRECTION": ORBITS[day % 2],
            }  # fmt: skip
            write_cog(path, 10 ** (decibel / 10), grid, tags, ["HH sigma0 power"])
            shifts[path.name] = shift
            scenes.append(path)
        _, refused = folder.add_scenes(name, scenes, min_covered=0.5, progress=False)
        assert refused == []
    return folder, shifts


def test_it_opens_without_a_warning(compiled, caplog):
    folder, _ = compiled
    with caplog.at_level(logging.WARNING):
        archive = Ssl4SarArchive(folder.root)
    assert caplog.records == []
    assert len(archive) == 3 * DATES
    assert {image.part for image in archive.images} == {"train", "val"}


def test_half_of_the_dates_lie_within_a_fifth_of_a_pixel(compiled):
    folder, shifts = compiled
    groups = {}
    for known in folder.images.values():
        moved = np.array([known["shift_rows"], known["shift_columns"]])
        moved = moved if known["moved"] else np.zeros(2)
        groups.setdefault((known["glacier"], known["orbit"]), []).append(
            moved + shifts[known["source"]]
        )
    assert len(groups) == 6
    left = np.concatenate([np.array(one) - np.mean(one, axis=0) for one in groups.values()])
    lengths = np.hypot(*left.T)
    # Single dates, with fresh snow or layover on what little rock there is, are less exact.
    assert np.median(lengths) < 0.2
    assert lengths.max() < 0.6


def test_the_small_member_is_pretrained_on_it(compiled, tmp_path, monkeypatch):
    folder, _ = compiled
    monkeypatch.setenv("ICEFRONT_CACHE", str(tmp_path / "cache"))
    values = {
        "data.root": folder.root, "data.windows": 4, "init": "null", "epochs": 1,
        "crops_per_epoch": 16, "batch": 4, "out": tmp_path / "run",
    }  # fmt: skip
    options = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    result = CliRunner().invoke(
        app, ["pretrain", "--config", str(CONFIGS / "optsimmim-mini.yaml"), *options]
    )
    assert result.exit_code == 0, result.output
    assert list((tmp_path / "run").rglob("best.safetensors"))
