"""What the system refuses is one sentence: long names, read-only folders, full outputs."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from icefront.cli import app
from icefront.errors import IcefrontError
from icefront.files.atomic import writing
from icefront.projects.catalogue import DONE, Catalogue
from icefront.projects.run import run_monitoring
from tests.helpers.scenes import GreyLevels, landscape, write_tif
from tests.helpers.simulated_projects import Inline, config, write_series

LONG = "a" * 300
FULL = Path("/dev/full")
RELEASE_0_1_0 = Path(__file__).parent / "data" / "0.1.0"


def called(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "extract SCENE --out LONG",
        "extract LONG --out OUT",
        "extract SCENE --out OUT --aoi LONG",
        "info LONG",
        "demo --out LONG",
        "simulate caffe --out LONG",
        "monitor run SCENE --out LONG",
        "monitor run LONG --out OUT",
        "monitor run FOLDER --out LONG",
        "monitor products LONG",
        "monitor review LONG",
        "monitor measure LONG --out OUT",
        "monitor import LONG --out OUT.gpkg",
    ],
)
def test_a_name_of_300_characters_is_one_sentence(tmp_path, words):
    places = {"SCENE": tmp_path / "scene.tif", "FOLDER": tmp_path, "OUT": tmp_path / "out"}
    write_tif(places["SCENE"], landscape())
    found = [str(places.get(word, word)).replace("LONG", LONG) for word in words.split()]
    code, told = called(*found)
    assert code == 2
    assert len(told.strip().splitlines()) == 1
    assert LONG in told or "YAML" in told
    assert not places["OUT"].exists()


@pytest.mark.parametrize(
    "text", ["[" * 20_000 + "]" * 20_000, "date: 2018-13-45", "a: " + "9" * 5000]
)
def test_yaml_that_no_reader_takes_is_one_sentence(tmp_path, text):
    path = tmp_path / "project.yaml"
    path.write_text(text)
    for words in (("monitor", "run", path, "--out", tmp_path / "p"), ("train", "--config", path)):
        code, told = called(*words)
        assert code == 2
        assert str(path) in told
        assert len(told.strip().splitlines()) == 1
    assert not (tmp_path / "p").exists()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Take the right to write from all folders and files below one; root becomes nobody."""
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        for path in paths:
            if path.exists():
                path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_read_only_project_is_one_sentence(public):
    write_series(public / "scenes", 2)
    options = {"loader": GreyLevels, "progress": False, "workers": 1, "start_workers": Inline}
    source, project = config(public), public / "project"
    run_monitoring(source, project, **options)
    before = (project / "catalogue.gpkg").read_bytes()
    with read_only(project):
        with pytest.raises(IcefrontError, match="may not be written: make it writable"):
            run_monitoring(source, project, **options)
        for words in ("products", "review"):
            code, told = called("monitor", words, project)
            assert code == 2
            assert "may not be written" in told
        code, told = called("monitor", "review", project, "--reject", "Crane_20180105_S1")
        assert code == 2
        assert "may not be written" in told
    assert (project / "catalogue.gpkg").read_bytes() == before


def test_a_read_only_project_of_release_0_1_0_can_be_read(public):
    project = Path(shutil.copytree(RELEASE_0_1_0 / "project", public / "project"))
    with read_only(project), Catalogue(project) as catalogue:
        table = catalogue.table([DONE])
    assert len(table) == 4
    assert table["through_time"].isna().all()


@pytest.mark.skipif(
    not FULL.exists() or not stat.S_ISCHR(FULL.stat().st_mode), reason="there is no /dev/full"
)
@pytest.mark.parametrize("words", ["--version", "info SCENE"])
def test_an_output_that_takes_nothing_is_one_sentence(tmp_path, words):
    scene = write_tif(tmp_path / "scene.tif", landscape())
    found = [str(scene) if word == "SCENE" else word for word in words.split()]
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "icefront", *found],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("The output cannot be written (No space left on device)")
    assert len(done.stderr.splitlines()) == 1


def test_a_device_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.gpkg")
    with (
        pytest.raises(IcefrontError, match="no file that can be replaced"),
        writing(tmp_path / "pipe.gpkg"),
    ):
        pass
    assert stat.S_ISFIFO((tmp_path / "pipe.gpkg").stat().st_mode)
