"""Virtual rasters in runs over folders: their parts lie in what was named, or the scene fails."""

from pathlib import Path

import pytest
import rasterio
from rasterio.shutil import copy

from icefront.extraction.pipeline import extract_scenes
from icefront.projects.run import run_monitoring
from tests.helpers.scenes import GreyLevels, landscape, write_tif
from tests.helpers.simulated_projects import Inline


def virtual(path, source):
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(source) as raster:
        copy(raster, path, driver="VRT")
    text = path.read_text().replace('relativeToVRT="1">', 'relativeToVRT="0">')
    path.write_text(text.replace(f">{Path(source).name}<", f">{source}<"))
    return path


@pytest.fixture
def places(tmp_path):
    for name in ("archive/images", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    inside = write_tif(tmp_path / "archive/images/Alpha_2020-01-01.tif", landscape())
    outside = write_tif(tmp_path / "elsewhere/Alpha_2020-02-01.tif", landscape())
    virtual(tmp_path / "archive/virtual/Alpha_2020-03-01.vrt", inside)
    virtual(tmp_path / "archive/virtual/Alpha_2020-04-01.vrt", outside)
    (tmp_path / "archive/images/Alpha_2020-05-01.tif").write_bytes(
        (tmp_path / "archive/virtual/Alpha_2020-04-01.vrt").read_bytes()
    )
    return tmp_path


def test_a_run_takes_virtual_rasters_of_images_in_its_folder(places):
    said = []
    report = run_monitoring(
        places / "archive",
        places / "project",
        loader=GreyLevels,
        start_workers=Inline,
        on_scene=said.append,
        progress=False,
    )
    errors = {Path(outcome.path).name: outcome.error for outcome in said}
    assert errors["Alpha_2020-01-01.tif"] is errors["Alpha_2020-03-01.vrt"] is None
    assert "outside of its folder" in errors["Alpha_2020-04-01.vrt"]
    assert "holds XML" in errors["Alpha_2020-05-01.tif"]
    assert report.exit_code == 1


def test_scenes_that_are_named_together_may_refer_to_one_another(places):
    made = places / "archive/virtual/Alpha_2020-04-01.vrt"
    image = places / "elsewhere/Alpha_2020-02-01.tif"
    alone = extract_scenes([made], places / "one", model=GreyLevels(), progress=False)
    assert [scene.front is None for scene in alone.scenes] == [True]
    both = extract_scenes(
        [image, made], places / "two", model=GreyLevels(), progress=False, through_time=False
    )
    first, second = (scene.front.geometry.item() for scene in both.scenes)
    assert first.equals(second)
