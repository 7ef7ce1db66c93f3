"""Glacier, date, sensor, polarisation and orbit of a scene, from its tags and from its name.

Three kinds of names are understood:

- CaFFe (Gourmelon et al. 2022, doi:10.5194/essd-14-4287-2022):
  ``GLACIER_DATE_SENSOR_RESOLUTION_QUALITY_ORBIT``;
- Sentinel-1 products and their measurement files (Sentinel-1 Product Specification,
  S1-RS-MDA-52-7441): ``S1A_IW_GRDH_1SSH_20180602T...``, ``s1a-iw-grd-hh-20180602t...``;
- anything else in which fields are parted by underscores, hyphens, dots or spaces: a date, a
  sensor and a polarisation are taken where they stand, and the first words that are no words of
  processors name the glacier, with its number (``helheim_20180602_S1_HH``,
  ``subset_Upernavik_Isstrom_1_2019-05-01``).
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields

from icefront.glaciers import is_processing_word


@dataclass(frozen=True)
class Metadata:
    """What is known of a scene; None where nothing says it.

    Attributes
    ----------
    glacier : str or None
        As written in the name or tag.
    date : datetime.date or None
        Day of acquisition (UTC).
    sensor : str or None
        CaFFe's short words: ERS, ENVISAT, RSAT, PALSAR, TSX, TDX, S1 (and a few more).
    polarisation : str or None
        HH, HV, VH or VV.
    orbit : str or None
        Relative orbit (track), three digits, or what a tag says.
    resolution_m : float or None
        Pixel size that a CaFFe name states, in metres.
    """

    glacier: str | None = None
    date: dt.date | None = None
    sensor: str | None = None
    polarisation: str | None = None
    orbit: str | None = None
    resolution_m: float | None = None

    def completed_by(self, other: Metadata) -> Metadata:
        """Return this metadata with its gaps filled from `other`."""
        filled = {
            field.name: getattr(self, field.name)
            if getattr(self, field.name) is not None
            else getattr(other, field.name)
            for field in fields(self)
        }
        return Metadata(**filled)


_CAFFE = re.compile(
    r"(?P<glacier>[A-Za-z]+)_(?P<date>\d{4}-\d{2}-\d{2})_(?P<sensor>[A-Z0-9]+)"
    r"_(?P<resolution>\d+)_(?P<quality>\d)_(?P<orbit>\d+)"
)
_SENTINEL1 = re.compile(
    r"(?<![A-Z0-9])S1(?P<unit>[A-D])[_-](?P<mode>[A-Z0-9]{2,3})[_-](?:GRD|SLC)[FHM_]?[_-]"
    r"(?:\dS(?P<channels>SH|SV|DH|DV)|(?P<channel>HH|HV|VH|VV))[_-]"
    r"(?P<start>\d{8})T\d{6}[_-]\d{8}T\d{6}[_-](?P<orbit>\d{6})",
    re.IGNORECASE,
)
# The absolute orbit at which relative orbit 1 began, for the two satellites whose cycle never
# changed; the others' track numbers cannot be had from a name alone.
_FIRST_ORBIT = {"A": 73, "B": 27}
_ORBITS_PER_CYCLE = 175

# Written without spaces, hyphens and underscores, in capitals; longer words first where one
# begins another.
_SENSORS = (
    (re.compile(r"(SENTINEL1|S1)[A-D]?(IW|EW|SM)?"), "S1"),
    (re.compile(r"(TERRASARX|TERRASAR|TSX)\d?"), "TSX"),
    (re.compile(r"(TANDEMX|TDX)\d?"), "TDX"),
    (re.compile(r"(ENVISAT|ASAR|ENVISATASAR|ASA|ENV)"), "ENVISAT"),
    (re.compile(r"(ERS|ERSAMI)[12]?"), "ERS"),
    (re.compile(r"(RADARSAT|RSAT|RS)[12]?"), "RSAT"),
    (re.compile(r"(RCM|RADARSATCONSTELLATION)[123]?"), "RCM"),
    (re.compile(r"(ALOS[124]?PALSAR|ALPALSAR|PALSAR|ALPSRP\w*|ALOS)[123]?"), "PALSAR"),
    (re.compile(r"(COSMOSKYMED|CSK)\d?"), "CSK"),
    (re.compile(r"NISAR"), "NISAR"),
    (re.compile(r"ICEYE(X\d+)?"), "ICEYE"),
)
_POLARISATION = re.compile(r"(?<![A-Z])(HH|HV|VH|VV)(?![A-Z])")
_DATE = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d{2})(?P<sign>[-_. /]?)(?P<month>\d{2})(?P=sign)(?P<day>\d{2})"
    r"(?=\D|$|\d{6}(?!\d))"
)
_PART = re.compile(r"[_\s.\-]+")
_APOSTROPHES = str.maketrans("", "", "'\u2019")
_NUMBERED = re.compile(r"[^\W\d_]{3,}\d{1,2}")

_TAGS = {
    "glacier": ("GLACIER", "GLACIER_NAME"),
    "date": (
        "ACQUISITION_DATE",
        "ACQUISITION_START_TIME",
        "ACQUISITION_TIME",
        "ACQUISITIONDATETIME",
        "SENSING_DATE",
        "SENSING_START",
        "SENSING_TIME",
        "PRODUCT_START_TIME",
        "FIRST_LINE_TIME",
        "START_TIME",
        "DATETIME",
        "DATE",
    ),
    "sensor": (
        "SENSOR",
        "SATELLITE_IDENTIFIER",
        "SATELLITE",
        "PLATFORM",
        "PLATFORM_NAME",
        "MISSION",
        "MISSION_ID",
        "SPACECRAFT",
    ),
    "polarisation": ("POLARISATION", "POLARIZATION", "POL"),
    "orbit": ("RELATIVE_ORBIT", "RELATIVE_ORBIT_NUMBER", "TRACK", "ORBIT"),
}


def find_date(text: str) -> dt.date | None:
    """Return the first day between 1970 and 2099 that stands in `text`, or None.

    Understood are ``2018-06-02``, ``20180602``, ``2018_06_02``, ``2018.06.02`` and the same
    followed by a time.
    """
    for match in _DATE.finditer(text):
        try:
            date = dt.date(int(match["year"]), int(match["month"]), int(match["day"]))
        except ValueError:
            continue
        if date.year >= 1970:
            return date
    return None


def sensor_word(text: str) -> str | None:
    """Return CaFFe's short word for a sensor however it is written, or None.

    ``Sentinel-1A`` becomes ``S1``, ``TerraSAR-X`` becomes ``TSX``.
    """
    squeezed = re.sub(r"[^A-Z0-9]", "", text.upper())
    for pattern, word in _SENSORS:
        if pattern.fullmatch(squeezed):
            return word
    return None


def find_polarisation(text: str) -> str | None:
    """Return the polarisation that `text` names, or None if it names none or several."""
    found = set(_POLARISATION.findall(text.upper()))
    return found.pop() if len(found) == 1 else None


def is_caffe_name(name: str) -> bool:
    """Tell whether a file's name without suffix has the form of CaFFe's SAR images."""
    return _CAFFE.fullmatch(name) is not None


def relative_orbit(unit: str, absolute_orbit: int) -> int | None:
    """Return the track, 1 to 175, of an orbit of Sentinel-1; None where it cannot be derived.

    Parameters
    ----------
    unit : str
        The satellite's letter.
    absolute_orbit : int

    Examples
    --------
    >>> relative_orbit("A", 46117), relative_orbit("C", 638)
    (20, None)
    """
    first = _FIRST_ORBIT.get(unit.upper())
    return None if first is None else (absolute_orbit - first) % _ORBITS_PER_CYCLE + 1


def from_name(name: str) -> Metadata:
    """Read what a file's name says.

    Parameters
    ----------
    name : str
        Name without folder and suffix.

    Returns
    -------
    Metadata
        With None for all that the name does not say.
    """
    # Some systems give names with letters taken apart.
    name = unicodedata.normalize("NFC", name)
    caffe = _CAFFE.match(name)
    if caffe and find_date(caffe["date"]):
        return Metadata(
            glacier=caffe["glacier"],
            date=find_date(caffe["date"]),
            sensor=sensor_word(caffe["sensor"]) or caffe["sensor"],
            orbit=caffe["orbit"],
            resolution_m=float(caffe["resolution"]) or None,
        )
    product = _SENTINEL1.search(name)
    return (_from_sentinel1(product) if product else Metadata()).completed_by(_from_fields(name))


def _from_sentinel1(product: re.Match[str]) -> Metadata:
    # A dual-polarised product's name does not say which channel a file of it holds.
    single = {"SH": "HH", "SV": "VV"}
    channel = product["channel"] or single.get((product["channels"] or "").upper())
    track = relative_orbit(product["unit"], int(product["orbit"]))
    return Metadata(
        date=find_date(product["start"]),
        sensor="S1",
        polarisation=channel.upper() if channel else None,
        orbit=None if track is None else f"{track:03d}",
    )


def _from_fields(name: str) -> Metadata:
    parts = [part for part in _PART.split(name) if part]
    sensor = next((word for part in parts if (word := sensor_word(part))), None)
    return Metadata(
        glacier=_leading_words(parts) if find_date(name) else None,
        date=find_date(name),
        sensor=sensor,
        polarisation=find_polarisation(name.replace("_", " ")),
    )


def _leading_words(parts: list[str]) -> str | None:
    words: list[str] = []
    for part in parts:
        if is_processing_word(part) and not words:
            continue
        if sensor_word(part) or find_polarisation(part) or is_processing_word(part):
            break
        letters = part.translate(_APOSTROPHES)
        numbered = _NUMBERED.fullmatch(letters) or (words and re.fullmatch(r"\d{1,2}", part))
        if not letters.isalpha() and not numbered:
            break
        words.append(part)
    return " ".join(words) or None


def from_tags(*tags: Mapping[str, str]) -> Metadata:
    """Read what the tags of a raster say; earlier mappings win over later ones.

    Parameters
    ----------
    *tags : mapping of str to str
        For instance a band's tags, then its data set's. Upper and lower case are one.

    Returns
    -------
    Metadata
        ``TIFFTAG_DATETIME`` is left aside: it is when a file was written, not when the radar
        looked.
    """
    found = Metadata()
    for mapping in tags:
        upper = {key.upper(): str(value).strip() for key, value in mapping.items()}
        values = {
            field: [upper[key] for key in keys if upper.get(key)] for field, keys in _TAGS.items()
        }
        found = found.completed_by(
            Metadata(
                glacier=next(iter(values["glacier"]), None),
                date=next((day for text in values["date"] if (day := find_date(text))), None),
                sensor=next(
                    (word for text in values["sensor"] if (word := sensor_word(text))), None
                ),
                polarisation=next(
                    (pol for text in values["polarisation"] if (pol := find_polarisation(text))),
                    None,
                ),
                orbit=next(iter(values["orbit"]), None),
            )
        )
    return found
