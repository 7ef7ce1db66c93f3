"""Pretraining on real pairs of Sentinel-1 and Sentinel-2, where they are at hand."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from icefront.datasets.patch_archives import archive_from_patches
from icefront.datasets.ssl4sar import Ssl4SarArchive
from icefront.errors import IcefrontError
from icefront.pretraining.run import pretrain
from tests.helpers.paths import DATA

PAIRS = DATA / "s1s2_pairs"

pytestmark = pytest.mark.skipif(not PAIRS.is_dir(), reason=f"real pairs are not in {PAIRS}")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("real") / "pairs"
    assert len(archive_from_patches(PAIRS / "S1RTC", PAIRS / "S2L2A", out)) == 5
    return out


def test_real_pairs_make_an_archive_in_order(root: Path) -> None:
    archive = Ssl4SarArchive(root)
    assert len(archive.glaciers) == 5
    assert (len(archive.indices("train")), len(archive.indices("val"))) == (8, 2)
    assert archive.images[0].date is None
    for glacier in archive.glaciers:
        channels = archive.read_optical(glacier)
        assert (channels.reshape(14, -1).max(1) == 255).all()
        assert len(np.unique(channels[12])) > 20
        assert len(np.unique(channels[13])) <= 4
    greys = archive.read_radar(0)
    assert 20 < greys.mean() < 220
    assert greys.std() > 10


@pytest.mark.slow
def test_a_method_learns_from_them(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ICEFRONT_CACHE", str(tmp_path / "cache"))
    values = {
        "name": "real",
        "method": "opttranslator",
        "model": "tyrion-mini",
        "init": None,
        "out": str(tmp_path / "runs"),
        "data": {"root": str(root), "stride": 64, "windows": 4},
        "epochs": 3,
        "crops_per_epoch": 24,
        "batch": 4,
        "window": 64,
        "workers": 0,
        "optimiser": {"name": "adamw", "learning_rate": 0.005},
    }
    recipe = tmp_path / "real.yaml"
    recipe.write_text(yaml.safe_dump(values))
    first = pretrain(recipe, ["epochs=1"], progress=False)
    more = pretrain(recipe, resume=True, progress=False)
    assert more["best_loss"] < first["best_loss"]


def test_patches_that_do_not_fit_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(IcefrontError, match="has 12 bands; 2 are expected"):
        archive_from_patches(PAIRS / "S2L2A", PAIRS / "S1RTC", tmp_path / "a")
    with pytest.raises(IcefrontError, match="no patches"):
        archive_from_patches(tmp_path, PAIRS / "S2L2A", tmp_path / "b")
