"""Whose scene it is, and of which day and pass, whatever processors call files and folders."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from icefront.glaciers import Spellings, is_processing_word, name_key
from icefront.projects.config import GlacierConfig, MonitoringConfig
from icefront.projects.scene_files import Listed, is_beside_images, list_scenes
from icefront.projects.scene_names import glacier_of, metadata_of_folders, one_of_each_pass
from icefront.scenes.metadata import from_name, sensor_word

SAFE = "S1A_IW_GRDH_1SDH_20180602T101112_20180602T101137_022178_026630_D4F3.SAFE"
MEASUREMENT = "s1a-iw-grd-{}-20180602t101112-20180602t101137-022178-026630-{:03d}.tiff"
PRODUCTS = [
    (SAFE, "measurement", MEASUREMENT.format("hh", 1)),
    ("subset_20180602_S1_HH.tif",),
    ("clip_2018-06-02.tif",),
    ("openEO_2018-06-02Z.tif",),
    ("OPERA_L2_RTC-S1_T025-052345-IW2_20180602T100000Z_20180603T_S1A_30_v1.0_VV.tif",),
    ("OPERA", "20180602", "VV.tif"),
    ("Subset_S1A_IW_GRDH_20180602_Cal_TC.data", "Sigma0_HH.img"),
    ("S1A_IW_20180602T101112_DVP_RTC30_G_gpuned_ABCD", "geotiff", "gamma0_db.tif"),
    ("2018", "06", "02", "asc", "track_25", "HH", "image.tif"),
]

letters = st.characters(categories=["Lu", "Ll", "Lo"])
words = st.text(letters, min_size=3, max_size=12).filter(
    lambda word: not is_processing_word(word) and not sensor_word(word)
)
names = st.lists(words, min_size=1, max_size=3).map(" ".join)


def listed(*parts: str, top: str = "/archive", **more: object) -> Listed:
    return Listed(Path(top, *parts), folders=parts[:-1], **more)  # type: ignore[arg-type]


def glacier(item: Listed, config: MonitoringConfig | None = None) -> str | None:
    return glacier_of(item, from_name(item.path.stem).glacier, config or MonitoringConfig())


@given(names, st.sampled_from(PRODUCTS))
@example("Helheim", PRODUCTS[0])
@example("Support Force", PRODUCTS[1])
def test_the_users_folder_names_the_glacier_whatever_processors_call_the_rest(name, product):
    assert name_key(glacier(listed(name, *product)) or "") == name_key(name)
    assert metadata_of_folders((name, *product)).date or from_name(product[-1]).date


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product[0][:12])
def test_names_of_processors_are_no_glaciers(product):
    assert glacier(listed(*product)) is None


@given(names)
def test_a_name_means_one_glacier_in_every_case_and_form(name):
    spellings = Spellings([name])
    for form in ("NFC", "NFD"):
        written = unicodedata.normalize(form, name)
        assert spellings.of(written) == name
        assert spellings.of(written.casefold()) == name
        assert spellings.of(written.replace(" ", "_")) == name


@given(names, st.integers(0, 99), st.integers(0, 99))
def test_numbers_tell_glaciers_apart(name, first, second):
    assume(first != second)
    keys = {name_key(f"{name}{sign}{number}") for sign in " _" for number in (first, second)}
    assert len(keys) == 2
    for number in (first, second):
        composed = unicodedata.normalize("NFC", name)
        assert from_name(f"{name}_{number}_20180602_S1_HH").glacier == f"{composed} {number}"


def test_separators_between_numbers_count():
    assert name_key("Isstrøm 1 2") != name_key("Isstrøm 12")
    assert name_key("-") != name_key("_")


def test_letters_taken_apart_belong_to_the_name():
    name = unicodedata.normalize("NFD", "Sálajiegna_20180602_S1")
    assert from_name(name).glacier == "Sálajiegna"


def test_what_the_user_says_wins_and_names_of_the_configuration_come_next():
    config = MonitoringConfig(
        glaciers={"Helheim": GlacierConfig(names=["HEL"]), "Clip": GlacierConfig()}
    )
    item = listed("hel", "subset_20180602.tif")
    assert glacier(item, config) == "Helheim"
    assert glacier(listed("clip", "20180602.tif"), config) == "Clip"
    assert glacier(listed("hel", "Crane_20180602.tif"), config) == "Helheim"
    assert glacier(listed("hel", "Crane_20180602.tif")) == "Crane"
    said = Listed(item.path, "HELHEIM", folders=item.folders)
    assert glacier(said, config) == "Helheim"
    assert glacier(said) == "HELHEIM"


@pytest.mark.parametrize(
    ("folders", "date"),
    [
        (("Helheim", SAFE, "measurement"), "2018-06-02"),
        (("Helheim_20180602",), "2018-06-02"),
        (("2018", "06", "02"), "2018-06-02"),
        (("20170101_20170131", "2018-06-02"), "2018-06-02"),
        (("Helheim",), None),
    ],
)
def test_folders_give_the_day(folders, date):
    found = metadata_of_folders(folders).date
    assert (found and found.isoformat()) == date


def paths(*items: Listed, kept=(), preferred=None) -> list[str]:
    found = one_of_each_pass(items, {str(i.path) for i in kept}, preferred)
    return [item.path.name for item in found]


@given(
    st.permutations(["HH", "VV", "HV", "VH"]),
    st.sampled_from(["{}_20180602.tif", "x_20180602_{}.tif", "{}/20180602.tif"]),
)
def test_one_image_of_a_pass_is_taken_whatever_the_order_of_its_files(order, form):
    items = [listed(*form.format(polarisation).split("/")) for polarisation in order]
    (first,) = one_of_each_pass(items, set())
    assert "HH" in str(first.path)
    (second,) = one_of_each_pass([item for item in items if item != first], set())
    assert "VV" in str(second.path)


def test_channels_of_a_product_are_one_pass_and_passes_of_a_day_are_two():
    channels = [
        listed(SAFE, "measurement", MEASUREMENT.format(*channel))
        for channel in (("hv", 2), ("hh", 1))
    ]
    assert paths(*channels) == [channels[1].path.name]
    assert paths(*channels, preferred="hv") == [channels[0].path.name]
    swaths = [listed(f"s1a-iw{n}-slc-vv-20180602t1-20180602t2-1-2-00{n}.tiff") for n in (1, 2)]
    assert len(paths(*swaths)) == 2
    later = listed("S1_20180602T201112_HH.tif")
    assert len(paths(listed("S1_20180602T101112_HV.tif"), later)) == 2
    assert len(paths(listed("a", "20180602_HH.tif"), listed("b", "20180602_HV.tif"))) == 2
    assert len(paths(listed("20180602_HH_HV.tif"), listed("20180602_HV_HH.tif"))) == 2


def test_an_image_that_a_project_has_stays():
    had, better = listed("20180602_HV.tif"), listed("20180602_HH.tif")
    assert paths(had, better, kept=[had]) == [had.path.name]
    assert paths(had, better, kept=[had, better]) == [better.path.name, had.path.name]


def test_folders_count_from_where_the_user_pointed_to(tmp_path):
    for name in ("Helheim", "Kangerlussuaq"):
        (tmp_path / name / "measurement").mkdir(parents=True)
        (tmp_path / name / "measurement" / "20180602.tif").touch()

    def found(*scenes: str) -> set[str | None]:
        config = MonitoringConfig(scenes=list(scenes))
        return {glacier(item) for item in list_scenes(config, tmp_path, tmp_path / "out")}

    patterns = ["*/*/*.tif"], ["*/measurement"], ["Helheim/*/*.tif", "Kangerlussuaq/*/*.tif"]
    for scenes in ([str(tmp_path)], ["Helheim", "Kangerlussuaq"], *patterns):
        assert found(*scenes) == {"Helheim", "Kangerlussuaq"}, scenes


OPERA = "OPERA_L2_RTC-S1_T025-052345-IW2_20180602T100000Z_20180603T_S1A_30_v1.0_"
HYP3 = "S1A_IW_20180602T101112_DVP_RTC30_G_gpuned_ABCD_"
NRB = "s1a-iw-nrb-20180602t101112-022178-026630-24wwc-"
IMAGES = [
    *(OPERA + "HH.tif", HYP3 + "VV.tif", NRB + "hh-g-lin.tif", "gamma0_HH.img", "dm.tif"),
    *("helheim_masked.tif", "helheim_dem_corrected.tif", "Incidence_2018.tif", "study_area.tif"),
    *("helheim_20180602_S1_HH_id.tif", "mask_helheim.tif"),
]
BESIDE_THEM = [
    *(OPERA + "mask.tif", OPERA + "local_incidence_angle.tif", OPERA + "number_of_looks.tif"),
    *(OPERA + "rtc_anf_gamma0_to_beta0.tif", HYP3 + "inc_map.tif", HYP3 + "inc_map_ell.tif"),
    *(HYP3 + "ls_map.tif", HYP3 + "dem.tif", HYP3 + "area.tif", HYP3 + "rgb.tif"),
    *(NRB + "dm.tif", NRB + "li.tif", NRB + "np-hh.tif", NRB + "id.tif"),
    *("localIncidenceAngle.img", "projectedLocalIncidenceAngle.img", "layoverShadowMask.img"),
    *("incidenceAngleFromEllipsoid.img", "helheim_layover_shadow_mask.tif", "scene-LSM.tif"),
]


def test_masks_and_maps_of_angles_beside_images_are_no_scenes(tmp_path: Path) -> None:
    assert [name for name in IMAGES if is_beside_images(Path(name).stem)] == []
    assert [name for name in BESIDE_THEM if not is_beside_images(Path(name).stem)] == []
    folder = tmp_path / "scenes" / "Helheim"
    folder.mkdir(parents=True)
    for name in (*IMAGES, *BESIDE_THEM):
        (folder / name).touch()
    for text in ("scenes", "scenes/*/*", "scenes/*"):
        config = MonitoringConfig(scenes=[text])
        found = list_scenes(config, tmp_path, tmp_path / "project")
        assert sorted(item.path.name for item in found) == sorted(IMAGES), text
    # A pattern that fits nothing else means them.
    masks = list_scenes(MonitoringConfig(scenes=["scenes/*/*_mask.tif"]), tmp_path, tmp_path / "p")
    assert len(masks) == 2
