import datetime as dt

import pytest

from icefront.scenes.metadata import (
    Metadata,
    find_date,
    find_polarisation,
    from_name,
    from_tags,
    is_caffe_name,
    sensor_word,
)
from tests.helpers.paths import REFERENCE


def test_a_caffe_name_says_everything():
    found = from_name("Crane_2002-11-09_ERS_20_2_061")
    assert found == Metadata("Crane", dt.date(2002, 11, 9), "ERS", None, "061", 20.0)
    assert is_caffe_name("JAC_2015-04-25_TSX_6_1_005")
    assert not is_caffe_name("JAC_2015-04-25_TSX")
    assert not is_caffe_name("JAC_2015-04-25_TSX_6_1_005_zones")


@pytest.mark.parametrize(
    ("name", "polarisation", "orbit"),
    [
        ("S1A_IW_GRDH_1SSH_20180602T093013_20180602T093042_022174_0265F8_D4E3", "HH", "052"),
        ("S1A_IW_GRDH_1SDH_20180602T093013_20180602T093042_022174_0265F8_D4E3", None, "052"),
        ("s1a-iw-grd-hv-20180602t093013-20180602t093042-022174-0265f8-002", "HV", "052"),
        ("S1B_EW_GRDM_1SSV_20180602T093013_20180602T093042_007231_0265F8_D4E3", "VV", "030"),
        ("S1C_IW_GRDH_1SSH_20250602T093013_20250602T093042_002174_0265F8_D4E3", "HH", None),
    ],
)
def test_a_sentinel1_product_name_says_date_polarisation_and_orbit(name, polarisation, orbit):
    # Orbits: those ESA's mission performance centre gives for these products
    # (S1B 7231 is its own example of relative orbit 30; (22174 - 73) mod 175 + 1 = 52).
    found = from_name(name)
    assert found.sensor == "S1"
    assert found.date in (dt.date(2018, 6, 2), dt.date(2025, 6, 2))
    assert found.polarisation == polarisation
    assert found.orbit == orbit
    assert found.glacier is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("helheim_20180602_S1_HH", ("helheim", dt.date(2018, 6, 2), "S1", "HH")),
        ("Helheim_2018-06-02_S1", ("Helheim", dt.date(2018, 6, 2), "S1", None)),
        ("helheim_20140404_TSX", ("helheim", dt.date(2014, 4, 4), "TSX", None)),
        ("Harald_Moltke_2019-05-01", ("Harald Moltke", dt.date(2019, 5, 1), None, None)),
        ("S1_HH_2018-06-02", (None, dt.date(2018, 6, 2), "S1", "HH")),
        ("helheim_S1", (None, None, "S1", None)),
        ("79N_20180602", (None, dt.date(2018, 6, 2), None, None)),
        ("637U_59R_1_3", (None, None, None, None)),
        (
            "Helheim_S1A_IW_GRDH_1SSH_20180602T093013_20180602T093042_022174_0265F8_D4E3",
            ("Helheim", dt.date(2018, 6, 2), "S1", "HH"),
        ),
        (
            "S1A_IW_20180128T161201_DVP_RTC30_G_gpuned_FD6A_VV",
            (None, dt.date(2018, 1, 28), "S1", "VV"),
        ),
    ],
)
def test_other_names_say_what_they_hold(name, expected):
    found = from_name(name)
    assert (found.glacier, found.date, found.sensor, found.polarisation) == expected


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2018-06-02T09:30:13Z", dt.date(2018, 6, 2)),
        ("20180602093013", dt.date(2018, 6, 2)),
        ("2018_06_02", dt.date(2018, 6, 2)),
        ("20181302", None),  # no 13th month
        ("19011101", None),  # no radar in space
        ("120180602", None),  # part of a longer number
        ("2018-06.02", None),
    ],
)
def test_dates_are_found_in_text(text, date):
    assert find_date(text) == date


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("SENTINEL-1A", "S1"),
        ("Sentinel-1", "S1"),
        ("TerraSAR-X", "TSX"),
        ("TanDEM-X", "TDX"),
        ("ERS-2", "ERS"),
        ("RADARSAT-1", "RSAT"),
        ("ALOS PALSAR", "PALSAR"),
        ("ENVISAT", "ENVISAT"),
        ("Landsat", None),
        ("S2", None),
    ],
)
def test_sensors_are_found_in_text(text, word):
    assert sensor_word(text) == word


def test_polarisation_must_be_unambiguous():
    assert find_polarisation("sigma0 HH") == "HH"
    assert find_polarisation("HH HV") is None
    assert find_polarisation("AHHA") is None


def test_tags_of_the_band_win_and_file_times_do_not_count():
    band = {"POLARISATION": "HV"}
    file = {
        "polarisation": "HH",
        "ACQUISITION_START_TIME": "2018-06-02T09:30:13.000Z",
        "satellite_identifier": "SENTINEL-1A",
        "TIFFTAG_DATETIME": "2021:01:01 00:00:00",
    }
    found = from_tags(band, file)
    assert found == Metadata(None, dt.date(2018, 6, 2), "S1", "HV")
    assert from_tags({"TIFFTAG_DATETIME": "2021-01-01 00:00:00"}) == Metadata()


def test_all_names_of_the_caffe_data_set_are_read():
    file = REFERENCE / "caffe_names.txt"
    if not file.exists():
        pytest.skip("tests/reference/caffe_names.txt is not there")
    names = file.read_text().split()
    found = [from_name(name) for name in names]
    assert len(names) == 681
    assert all(is_caffe_name(name) for name in names)
    assert {one.glacier for one in found} == {"Crane", "DBE", "Jorum", "SI", "JAC", "Mapple", "COL"}
    assert {one.resolution_m for one in found} == {6.0, 7.0, 12.0, 17.0, 20.0}
    for name, one in zip(names, found, strict=True):
        assert one.date is not None
        assert name.split("_")[1] == one.date.isoformat()
        assert name.split("_")[2] == one.sensor
