"""icefront adapt: a network learns a glacier of a project from what its dates agree on."""

import datetime as dt
import json
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
import shapely
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from icefront.cli import app
from icefront.errors import IcefrontError
from icefront.models.card import ModelCard, card_of, read_card
from icefront.models.checkpoints import write_own
from icefront.models.registry import build
from icefront.products.review_pages import write_review
from icefront.projects import adaptation
from icefront.projects.adaptation import adapt_project
from icefront.projects.adapted_models import offers
from icefront.projects.catalogue import Catalogue
from icefront.projects.results import load_results
from icefront.projects.run import run_monitoring
from icefront.training.adaptation import AdaptationConfig
from icefront.zones import GLACIER, OCEAN, ROCK, ZONE_GREYS
from tests.helpers.scenes import GREYS, NORTH, ORIGIN, SIZE_M, landscape, write_tif
from tests.helpers.simulated_projects import Inline, config, write_series

COUNT = 16
BRIGHT_SEA = 166
"""Just nearer to the grey of ice than to that of the sea."""

QUICK = AdaptationConfig(crops=160, learning_rate=0.3, simulated=2, views=4)


class Levels(nn.Module):
    """Zones by grey values; how near they must be can be learned."""

    def __init__(self, **provenance):
        super().__init__()
        levels = [-1.0, *(GREYS[zone] / 255 for zone in (ROCK, GLACIER, OCEAN))]
        self.register_buffer("levels", torch.tensor(levels))
        self.reach = nn.Parameter(torch.zeros(len(levels)))
        chances = dict.fromkeys(("zoom_probability", "ocean_mix", "brightness", "gamma"), 0)
        recipe = {"augmentation": {**chances, "speckle": 0}}
        self.card = ModelCard(
            "levels",
            {},
            window=128,
            target=64,
            stride=32,
            provenance={"recipe": recipe, **provenance},
            sha256="abc123",
        )

    def forward(self, x):
        pairs = zip(self.levels, self.reach, strict=True)
        return torch.cat([reach - 800 * (x - level) ** 2 for level, reach in pairs], 1)


def scene(number):
    image = landscape()
    front = 120 - number
    image[30:-30, :front] = GREYS[GLACIER]
    image[30:-30, front:] = BRIGHT_SEA if number % 3 == 1 else GREYS[OCEAN]
    return image


def write_project(folder, count=COUNT, glaciers=("Crane",)):
    """Write scenes, the sea of every third as bright as ice, and extract them."""
    (folder / "scenes").mkdir(parents=True)
    for glacier in glaciers:
        for number in range(count):
            date = dt.date(2018, 1, 5) + dt.timedelta(24 * number)
            path = folder / "scenes" / f"{glacier}_{date:%Y%m%d}_S1.tif"
            write_tif(path, scene(number))
    run(folder)
    return folder / "project"


def run(folder, source=None):
    return run_monitoring(
        source or folder / "scenes",
        folder / "project",
        loader=Levels,
        start_workers=Inline,
        workers=1,
        device="cpu",
        radiometry="grey",
        progress=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return write_project(tmp_path_factory.mktemp("adapt"))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Return a folder in CaFFe's layout with a scene of another glacier."""
    root = tmp_path_factory.mktemp("labelled")
    image = scene(0)
    zones = np.full(image.shape, ROCK, np.uint8)
    zones[30:-30, :120], zones[30:-30, 120:] = GLACIER, OCEAN
    for folder, values, suffix in (
        ("sar_images", image, ""),
        ("zones", np.array(ZONE_GREYS, np.uint8)[zones], "_zones"),
    ):
        (root / folder / "train").mkdir(parents=True)
        name = f"JAC_2010-02-07_TSX_6_1_005{suffix}.png"
        Image.fromarray(values).save(root / folder / "train" / name)
    return root


def test_a_network_learns_a_site_from_what_its_dates_agree_on(
    project, labelled, tmp_path, monkeypatch
):
    out = tmp_path / "crane.safetensors"
    report = adapt_project(
        project, out, model=Levels(), replay=labelled, config=QUICK, progress=False
    )
    assert report.checkpoint == out
    assert report.kept_out == 3
    assert report.taught == COUNT - 3
    assert report.before < 0.95 < report.after
    card = read_card(out)
    assert card.name == "levels-Crane"
    site = card.provenance["site"]
    assert (site["glacier"], site["dates"], site["crs"]) == ("Crane", COUNT, "EPSG:3413")
    assert site["first"] == "2018-01-05"
    assert card.provenance["adapted_from"] == {"name": "levels", "sha256": "abc123"}
    assert card.scores["agreement"]["dates"] == 3

    # The same seed gives the same network, and the project's runs offer it.
    again = tmp_path / "again.safetensors"
    adapt_project(project, again, model=Levels(), replay=labelled, config=QUICK, progress=False)
    assert again.read_bytes() == out.read_bytes()
    (sentence,) = run(project.parent).offers
    assert "adapted to Crane" in sentence
    assert str(again) in sentence
    with Catalogue(project) as catalogue:
        assert offers(catalogue, card) == []
        other = replace(card, provenance={"site": {"glacier": "Jorum"}}, sha256="")
        assert "was adapted to Jorum, and of Crane it knows" in offers(catalogue, other)[0]
        assert offers(catalogue, other, {"Crane": card}) == []


@pytest.mark.slow
def test_a_network_learns_from_the_surroundings_of_an_area_of_interest(tmp_path, labelled):
    (tmp_path / "scenes").mkdir()
    for number in range(COUNT):
        date = dt.date(2018, 1, 5) + dt.timedelta(24 * number)
        # Far more than the network needs to look at, and not of one value along its borders.
        wide = np.pad(scene(number), ((0, 300), (0, 300)), mode="symmetric")
        wide[::2, ::2] += 1
        write_tif(tmp_path / "scenes" / f"Crane_{date:%Y%m%d}_S1.tif", wide)
    # One that has no front in the area, for the review.
    wide[:] = GREYS[GLACIER]
    wide[::2, ::2] += 1
    write_tif(tmp_path / "scenes" / "Jorum_20180105_S1.tif", wide)
    rows, columns = landscape().shape
    left, top = ORIGIN
    box = shapely.box(left, top - rows * SIZE_M, left + columns * SIZE_M, top)
    gpd.GeoDataFrame(geometry=[box], crs=NORTH).to_file(tmp_path / "box.gpkg")
    run(tmp_path, config(tmp_path, aoi="box.gpkg"))
    project = tmp_path / "project"
    with Catalogue(project) as catalogue:
        assert all("were taken, around the area" in row["notes"] for row in catalogue.rows())
    out = tmp_path / "crane.safetensors"
    report = adapt_project(
        project, out, model=Levels(), replay=labelled, config=QUICK, progress=False
    )
    assert report.taught == COUNT - 3
    assert report.before < 0.95 < report.after
    assert report.notes == ()
    # The pictures of the review show such scenes, too, by the zones of a single date.
    review = write_review(load_results(project), project / "review", 2).set_index("name")
    assert (project / "review" / review["picture"]["Jorum_20180105_S1"]).is_file()


def test_simulated_scenes_are_replayed_where_there_are_no_labels(project, tmp_path):
    out = tmp_path / "crane.safetensors"
    report = adapt_project(project, out, model=Levels(), config=QUICK, progress=False)
    assert report.replay == "simulated scenes"


def test_a_network_that_has_not_learned_is_not_offered(project, tmp_path, labelled, monkeypatch):
    monkeypatch.setattr(adaptation, "load_model", lambda name: Levels())
    out = tmp_path / "crane.safetensors"
    done = CliRunner().invoke(
        app, ["adapt", str(project), "--out", str(out), "--replay", str(labelled), "--crops", "8"]
    )
    assert done.exit_code == 1, done.output
    assert "not offered" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_nothing_is_taught_where_the_pass_does_away_with_rock(tmp_path, labelled):
    (tmp_path / "scenes").mkdir()
    for number in range(15):
        image = landscape()
        if number % 4:
            image[image == GREYS[ROCK]] = GREYS[GLACIER]
        date = dt.date(2018, 1, 5) + dt.timedelta(24 * number)
        write_tif(tmp_path / "scenes" / f"Crane_{date:%Y%m%d}_S1.tif", image)
    run(tmp_path)
    out = tmp_path / "x.safetensors"
    report = adapt_project(
        tmp_path / "project", out, model=Levels(), replay=labelled, config=QUICK, progress=False
    )
    assert report.lost == ("rock",)
    assert "less than a third of the rock" in report.sentence()
    assert not out.exists()


def refused(*arguments):
    done = CliRunner().invoke(app, ["adapt", *map(str, arguments)])
    assert done.exit_code == 2, done.output
    assert len(done.output.strip().splitlines()) == 1
    return done.output


def test_what_cannot_be_adapted_is_refused_in_a_sentence(tmp_path, project, labelled):
    out = tmp_path / "x.safetensors"
    assert "no catalogue.gpkg" in refused(tmp_path, "--out", out)
    assert "x.safetensors" in refused(project, "--out", tmp_path / "x.pt")
    assert "'Helheim'" in refused(project, "--out", out, "--glacier", "Helheim")
    assert "sar_images" in refused(project, "--out", out, "--replay", tmp_path)
    assert "no_such_model" in refused(project, "--out", out, "--model", "no_such_model")
    out.write_bytes(b"")
    assert "there already" in refused(project, "--out", out)


def test_a_project_without_probabilities_or_with_few_dates_is_refused(tmp_path):
    few = write_project(tmp_path, count=2, glaciers=("Crane", "Jorum"))
    out = tmp_path / "x.safetensors"
    assert "(Crane, Jorum)" in refused(few, "--out", out)
    assert "2 dates" in refused(few, "--out", out, "--glacier", "jorum")
    for file in few.rglob("*_probabilities.tif"):
        file.unlink()
    assert "--renew" in refused(few, "--out", out)


def test_an_adapted_network_is_not_adapted_again(project, tmp_path):
    model = Levels(site={"glacier": "Crane"}, adapted_from={"name": "levels"})
    with pytest.raises(IcefrontError, match=r"adapted to Crane already.*\(levels\)"):
        adapt_project(project, tmp_path / "x.safetensors", model=model, progress=False)
    assert card_of(model).name == "levels"
    assert json.dumps(card_of(model).as_dict())


def test_a_glacier_can_have_a_model_of_its_own(tmp_path):
    for glacier in ("Crane", "Jorum"):
        write_series(tmp_path / "scenes", 1, glacier=glacier)
    own = build({"family": "unet", "widths": (4, 8)})
    card = ModelCard("jorum", own.card.architecture, window=64, target=32, stride=32)
    write_own(tmp_path / "jorum.safetensors", own, card)
    glaciers = {"Jorum": {"model": "jorum.safetensors"}}
    source = config(tmp_path, glaciers=glaciers)
    report = run(tmp_path, source)
    assert (report.failed, report.notes) == (0, [])
    table = load_results(tmp_path / "project").scenes.set_index("glacier")
    assert table["model"].to_dict() == {"Crane": "levels", "Jorum": "jorum"}
    # Another model of one glacier makes the fronts of that glacier others.
    assert run(tmp_path, source).already == 2
    with pytest.raises(IcefrontError, match="1 scenes of"):
        run(tmp_path, config(tmp_path))
