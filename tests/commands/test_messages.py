"""What commands tell: nothing of libraries, and mends that mend."""

import os
import signal
import sys
import warnings

import numpy as np
import pytest
from typer.testing import CliRunner

from icefront import cli
from icefront.extraction.pipeline import extract_scenes
from icefront.projects.run import run_monitoring
from icefront.scenes import open_scene, scene_from_xarray
from tests.helpers.scenes import GreyLevels, landscape, write_tif
from tests.helpers.simulated_projects import Inline


@pytest.fixture
def interpreter(monkeypatch):
    """Undo what the command line changes in its process."""
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "warnoptions", [])
    monkeypatch.setattr(sys, "argv", ["icefront", "--version"])
    monkeypatch.setenv("PYTHONWARNINGS", "")
    with warnings.catch_warnings():
        yield
    signal.signal(signal.SIGTERM, handler)


def test_commands_and_their_processes_keep_warnings_of_libraries_to_themselves(interpreter):
    warnings.simplefilter("always")
    with pytest.raises(SystemExit):
        cli.main()
    with warnings.catch_warnings(record=True) as caught:
        warnings.warn("of a library", UserWarning, stacklevel=1)
    assert not caught
    assert os.environ["PYTHONWARNINGS"] == "ignore"


def test_warnings_that_were_asked_for_are_shown(interpreter, monkeypatch):
    monkeypatch.setattr(sys, "warnoptions", ["default"])
    warnings.simplefilter("always")
    with pytest.raises(SystemExit):
        cli.main()
    assert os.environ["PYTHONWARNINGS"] == ""
    with pytest.warns(UserWarning, match="of a library"):
        warnings.warn("of a library", UserWarning, stacklevel=1)


def test_a_scene_without_place_and_with_a_foreign_name_brings_no_warning(tmp_path):
    path = write_tif(tmp_path / "冰川_2020-01-01.tif", landscape(), crs=None, origin=(0, 0), size=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Of the interplay of two libraries, at whatever versions.
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        report = extract_scenes([path], tmp_path / "out", model=GreyLevels(), progress=False)
        scene_from_xarray(open_scene(path).to_xarray(), pixel_size_m=20.0)
    assert report.exit_code == 0


def test_scenes_of_two_bands_are_mended_by_the_option_that_is_named(tmp_path):
    bands = np.stack([landscape(), 255 - landscape()])
    (tmp_path / "scenes").mkdir()
    write_tif(tmp_path / "scenes" / "Alpha_2020-01-01.tif", bands)
    options = {"loader": GreyLevels, "start_workers": Inline, "progress": False}

    def run(**more):
        said = []
        report = run_monitoring(
            tmp_path / "scenes", tmp_path / "project", on_scene=said.append, **options, **more
        )
        return report, said

    _, (outcome,) = run()
    assert "has 2 bands (1, 2); say with band which one is the SAR image (--band" in outcome.error
    for command in ("extract", "info", "monitor run"):
        told = CliRunner().invoke(cli.app, [*command.split(), "--help"], env={"COLUMNS": "200"})
        assert "--band" in told.output
    again, _ = run()
    assert "1 failed before with these settings; give --retry" in again.notes[0]
    mended, (outcome,) = run(band=1)
    assert (mended.done, outcome.error, mended.notes) == (1, None, [])
