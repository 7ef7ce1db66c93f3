"""Settings of an extraction: names, shorthands and words, the same wherever they are given."""

import datetime as dt
import inspect
from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import Point
from typer.testing import CliRunner

import icefront
from icefront.cli import app
from icefront.errors import IcefrontError
from icefront.extraction.settings import ExtractionSettings, extraction_settings
from icefront.inference.settings import SHORTHANDS
from icefront.projects.config import MonitoringConfig, read_config
from icefront.projects.run import overruled


def test_words_and_values_give_the_same_settings() -> None:
    words = {"band": "2", "pixel_size": "73.7x61.8", "date": "20180602"}
    values = {"band": 2, "pixel_size": (73.7, 61.8), "date": dt.date(2018, 6, 2)}
    assert extraction_settings(words) == extraction_settings(values)


@pytest.mark.parametrize("name", sorted(SHORTHANDS))
def test_a_shorthand_is_what_it_stands_for(name: str) -> None:
    assert extraction_settings({name: True}) == extraction_settings(SHORTHANDS[name])
    assert extraction_settings({name: False}) == ExtractionSettings()


def test_a_shorthand_and_its_contrary_are_refused() -> None:
    with pytest.raises(IcefrontError, match="tta means symmetries=8, but symmetries=4"):
        extraction_settings({"tta": True, "symmetries": 4})


def test_exact_and_other_windows_are_refused_also_where_these_are_the_default() -> None:
    with pytest.raises(IcefrontError, match="exact means windows=card, but windows=default"):
        extraction_settings({"exact": True, "windows": "default"})


def test_a_default_that_is_asked_for_wins_over_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "project.yaml"
    path.write_text("scenes: [none/*.tif]\nwindows: card\nsymmetries: 8\n")
    config, _ = read_config(path)
    found = overruled(config, windows="default", symmetries=1)
    assert (found.windows, found.symmetries) == ("default", 1)
    kept = overruled(config, model=None, tta=False)
    assert (kept.windows, kept.symmetries) == ("card", 8)
    with pytest.raises(IcefrontError, match="is a file"):
        overruled(config, aoi=Point(0, 0).buffer(1))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"symmetries": 3}, "symmetries"),
        ({"precision": "float16"}, "precision"),
        ({"pixel_size": "small"}, "'small'"),
        ({"pixel_size": -3.0}, "-3"),
        ({"date": "June"}, "'June'"),
        ({"radiometry": "decibel"}, "decibel"),
        ({"pixelsize": 20}, "pixelsize"),
        ({"aoi": 7}, "aoi"),
    ],
)
def test_a_wrong_setting_is_one_sentence(values: dict, said: str) -> None:
    with pytest.raises(IcefrontError) as caught:
        extraction_settings(values)
    sentence = str(caught.value)
    assert said in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_yaml_and_both_commands_take_every_setting() -> None:
    names = {*ExtractionSettings.model_fields, *SHORTHANDS}
    assert names - {*SHORTHANDS} <= set(MonitoringConfig.model_fields)
    for command in (["extract"], ["monitor", "run"]):
        text = CliRunner().invoke(app, [*command, "--help"], terminal_width=200).output
        assert [n for n in names if f"--{n.replace('_', '-')}" not in text] == []
    assert "settings" in inspect.signature(icefront.extract).parameters


@pytest.mark.parametrize("value", [5, None, np.zeros((10, 10)), []])
def test_what_is_no_scene_is_one_sentence(value: object) -> None:
    with pytest.raises(IcefrontError, match=r"[Ss]cene.*\.$"):
        icefront.extract(value)  # type: ignore[arg-type]
