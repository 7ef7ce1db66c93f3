"""Glaciers to imitate: the seven of CaFFe and fourteen of the Arctic, and any number at random.

Sizes, outlook and dates are those of the originals, roughly; the shapes are made. Numbers of images
and dates of the seven are those of CaFFe (Gourmelon et al. 2022, doi:10.5194/essd-14-4287-2022).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
from pyproj import Transformer

from icefront.errors import IcefrontError
from icefront.simulation.calving import FrontParameters
from icefront.simulation.glacier import GlacierParameters, Side


@dataclass(frozen=True)
class Acquisitions:
    """Images of one sensor: how many, from when to when, with which pixels (in metres)."""

    sensor: str
    pixel_m: float
    count: int
    first: dt.date
    last: dt.date


@dataclass(frozen=True)
class Preset:
    """A glacier and the images there are of it."""

    glacier: GlacierParameters
    acquisitions: tuple[Acquisitions, ...]
    split: str = "train"

    @property
    def first(self) -> dt.date:
        """Date of the first image."""
        return min(a.first for a in self.acquisitions)

    @property
    def last(self) -> dt.date:
        """Date of the last image."""
        return max(a.last for a in self.acquisitions)


def _at(longitude: float, latitude: float, epsg: int) -> tuple[float, float]:
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(longitude, latitude)
    return round(x, -2), round(y, -2)


def _images(*rows: tuple[str, float, int, str, str]) -> tuple[Acquisitions, ...]:
    day = dt.date.fromisoformat
    return tuple(Acquisitions(s, size, n, day(a), day(b)) for s, size, n, a, b in rows)


def caffe_presets() -> dict[str, Preset]:
    """The seven glaciers of CaFFe: five to train on, Mapple and Columbia to test on."""
    side = FrontParameters(trend_m_per_year=-40, rough_m=50, bow_m=-100, event_m=120)
    return {
        "Crane": Preset(
            GlacierParameters(
                "Crane",
                3031,
                _at(-62.2, -65.35, 3031),
                (24_000, 26_000),
                flow_deg=25,
                bend_deg=-35,
                width_m=5_500,
                widening=0.6,
                sides=(Side(-2.6, 50, 2_500), Side(1.9, -65, 2_200, side)),
                front=FrontParameters(-60, 200, 60, 3, 400, bow_m=-500),
                relief_m=1_200,
                upland_ice=0.7,
                wall_ice=0.5,
                southern=True,
            ),
            _images(
                ("ENVISAT", 20, 9, "2007-03-31", "2010-07-03"),
                ("ERS", 20, 5, "2002-11-09", "2007-02-05"),
                ("PALSAR", 17, 7, "2007-09-24", "2010-11-29"),
                ("TSX", 7, 48, "2008-10-13", "2014-02-11"),
            ),
        ),
        "DBE": Preset(
            GlacierParameters(
                "DBE",
                3031,
                _at(-60.0, -64.38, 3031),
                (27_000, 27_000),
                flow_deg=-20,
                bend_deg=25,
                width_m=7_000,
                widening=0.5,
                sides=(Side(1.6, 60, 3_500, side), Side(2.2, -60, 3_000, side)),
                front=FrontParameters(-120, 250, 60, 3, 500, bow_m=-700),
                relief_m=1_000,
                upland_ice=0.8,
                wall_ice=0.7,
                southern=True,
            ),
            _images(
                ("ENVISAT", 20, 26, "2004-03-03", "2010-04-21"),
                ("ERS", 20, 16, "1995-11-16", "2010-01-22"),
                ("PALSAR", 17, 20, "2006-05-18", "2011-01-16"),
                ("RSAT", 12, 22, "2000-10-06", "2008-01-20"),
                ("RSAT", 20, 5, "2000-09-10", "2006-09-03"),
                ("TSX", 7, 44, "2008-03-30", "2014-03-21"),
            ),
        ),
        "Jorum": Preset(
            GlacierParameters(
                "Jorum",
                3031,
                _at(-62.35, -65.22, 3031),
                (16_000, 16_000),
                flow_deg=10,
                width_m=3_000,
                widening=0.8,
                sides=(Side(1.5, 55, 1_800, side),),
                front=FrontParameters(-30, 100, 60, 2, 200),
                relief_m=1_200,
                upland_ice=0.7,
                wall_ice=0.5,
                southern=True,
            ),
            _images(
                ("ENVISAT", 20, 10, "2007-03-31", "2010-07-03"),
                ("ERS", 20, 3, "2003-01-27", "2007-02-05"),
                ("PALSAR", 17, 6, "2007-11-21", "2010-11-29"),
                ("S1", 20, 15, "2016-07-03", "2020-06-12"),
                ("TSX", 7, 43, "2010-11-05", "2014-02-11"),
            ),
        ),
        "SI": Preset(
            GlacierParameters(
                "SI",
                3031,
                _at(-59.2, -64.25, 3031),
                (26_000, 22_000),
                flow_deg=-60,
                bend_deg=30,
                width_m=6_000,
                widening=0.5,
                sides=(Side(1.8, 60, 3_000, side), Side(-2.5, -45, 2_500)),
                front=FrontParameters(-250, 200, 60, 3, 400, bow_m=-600),
                relief_m=800,
                upland_ice=0.75,
                wall_ice=0.6,
                southern=True,
            ),
            _images(
                ("ENVISAT", 20, 27, "2003-12-05", "2009-08-16"),
                ("ERS", 20, 28, "1995-11-13", "2010-04-02"),
                ("PALSAR", 17, 7, "2006-05-18", "2011-03-03"),
                ("RSAT", 12, 21, "2004-09-13", "2008-01-20"),
                ("RSAT", 20, 6, "2000-09-10", "2006-09-03"),
                ("TSX", 7, 32, "2011-06-14", "2014-12-22"),
            ),
        ),
        "JAC": Preset(
            GlacierParameters(
                "JAC",
                32622,
                _at(-49.7, 69.17, 32622),
                (19_000, 16_000),
                flow_deg=175,
                bend_deg=15,
                width_m=7_000,
                sides=(Side(1.2, 45, 4_000, side),),
                front=FrontParameters(-350, 900, 120, 8, 900, 50, -900, 150),
                cliff_m=90,
                relief_m=450,
                upland_ice=0.7,
                wall_ice=0.8,
                melange_m=9_000,
            ),
            _images(("TSX", 6, 159, "2009-04-16", "2015-12-23")),
        ),
        "Mapple": Preset(
            GlacierParameters(
                "Mapple",
                3031,
                _at(-62.25, -65.42, 3031),
                (14_000, 15_000),
                flow_deg=30,
                bend_deg=25,
                width_m=2_800,
                widening=0.5,
                front=FrontParameters(-20, 80, 60, 2, 150),
                relief_m=1_200,
                upland_ice=0.5,
                southern=True,
            ),
            _images(
                ("ENVISAT", 20, 10, "2007-03-31", "2010-07-03"),
                ("ERS", 20, 2, "2006-11-27", "2007-02-05"),
                ("PALSAR", 17, 8, "2007-09-24", "2010-11-29"),
                ("S1", 20, 15, "2016-07-03", "2020-06-12"),
                ("TSX", 7, 22, "2008-10-13", "2013-08-02"),
            ),
            split="test",
        ),
        "COL": Preset(
            GlacierParameters(
                "COL",
                32606,
                _at(-147.0, 61.17, 32606),
                (21_000, 18_000),
                flow_deg=-95,
                bend_deg=-30,
                width_m=4_200,
                widening=0.4,
                sides=(Side(1.4, -70, 3_200, side), Side(2.4, 60, 2_000, side)),
                front=FrontParameters(-200, 350, 130, 6, 350, bow_m=-300),
                relief_m=1_300,
                upland_ice=0.3,
                islands=1,
                melange_m=4_000,
            ),
            _images(
                ("S1", 20, 18, "2015-12-18", "2020-06-12"),
                ("TDX", 7, 47, "2011-06-18", "2016-05-20"),
            ),
            split="test",
        ),
    }


_ARCTIC: tuple[tuple[str, float, float, int, float, float, float, float, float], ...] = (
    # name, longitude, latitude, epsg, width km, extent km, trend, season, relief
    ("Helheim", -38.2, 66.38, 32624, 6.0, 20, -50, 900, 1000),
    ("Kangerlussuaq", -33.0, 68.6, 32625, 6.0, 22, -150, 800, 1400),
    ("Petermann", -61.0, 80.9, 32620, 15.0, 40, 150, 200, 900),
    ("Humboldt", -63.0, 79.5, 32619, 20.0, 45, -120, 250, 300),
    ("Upernavik", -54.3, 72.85, 32621, 5.0, 20, -120, 250, 700),
    ("Store", -50.55, 70.4, 32622, 5.5, 18, 0, 250, 900),
    ("Rink", -51.6, 71.75, 32622, 4.8, 18, -10, 200, 1300),
    ("Zachariae", -20.5, 78.9, 32627, 18.0, 42, -350, 400, 300),
    ("Storstrommen", -22.5, 77.05, 32627, 18.0, 42, -40, 150, 350),
    ("HaraldMoltke", -67.8, 76.57, 32619, 5.5, 18, -180, 250, 600),
    ("Kronebreen", 12.5, 78.88, 32633, 3.5, 14, -150, 250, 700),
    ("Storisstraumen", 25.5, 79.35, 32635, 18.0, 42, 200, 250, 150),
    ("Nordenskiold", 16.9, 78.66, 32633, 3.0, 13, -40, 100, 700),
    ("Negribreen", 19.0, 78.58, 32633, 9.0, 26, -100, 300, 500),
)


def arctic_presets(count: int = 24) -> dict[str, Preset]:
    """Fourteen outlet glaciers of Greenland and Svalbard, `count` Sentinel-1 images of each."""
    found = {}
    for number, row in enumerate(_ARCTIC):
        name, longitude, latitude, epsg, width, extent, trend, season, relief = row
        glacier = GlacierParameters(
            name,
            epsg,
            _at(longitude, latitude, epsg),
            (extent * 1e3, extent * 1e3),
            flow_deg=float(37 * number % 360),
            bend_deg=float(20 - 13 * number % 50),
            width_m=width * 1e3,
            sides=(Side(-2.5, 45, 0.3 * width * 1e3),) if number % 2 else (),
            front=FrontParameters(trend, season, 130, 5, 40 * width + 100, bow_m=-40 * width),
            relief_m=relief,
            upland_ice=0.2 + 0.06 * (number % 6),
            islands=number % 3,
            nunataks=number % 2,
            melange_m=600 * width,
        )
        found[name] = Preset(
            glacier, _images(("S1", 20, count, "2015-01-10", "2021-12-20")), split="train"
        )
    return found


def preset(name: str) -> Preset:
    """Look a preset up by the name of its glacier.

    Raises
    ------
    IcefrontError
        If there is none of that name.
    """
    known = {**caffe_presets(), **arctic_presets()}
    if name not in known:
        raise IcefrontError(f"There is no glacier named {name!r}; known are {', '.join(known)}.")
    return known[name]


def random_glacier(rng: np.random.Generator) -> GlacierParameters:
    """Draw a glacier from the whole range of those above, and a little beyond."""
    width = float(np.exp(rng.uniform(np.log(2_500), np.log(12_000))))
    extent = width * float(rng.uniform(2.2, 5.0))
    front = FrontParameters(
        trend_m_per_year=float(rng.uniform(-0.03, 0.01) * width),
        seasonal_m=float(rng.uniform(0.01, 0.08) * width),
        events_per_year=float(rng.uniform(2, 8)),
        event_m=float(rng.uniform(0.03, 0.12) * width),
        bow_m=float(rng.uniform(-0.5, 0.15) * width),
        rough_m=float(rng.uniform(0.015, 0.07) * width),
    )
    southern = bool(rng.random() < 0.5)
    # Some flow from an ice sheet, with ice on all sides, and end in bays with lobes; the others
    # come down between mountains.
    sheet = bool(rng.random() < 0.25)
    sides = []
    for _ in range(int(rng.choice([0, 1, 1, 2, 2, 3]))):
        seaward = rng.random() < (0.9 if sheet else 0.5)
        own = FrontParameters(
            0, 0.2 * front.seasonal_m, 120, 2, 100, bow_m=float(rng.uniform(-0.3, 0)) * width
        )
        joins = rng.uniform(0.5, 2.2) if sheet else rng.uniform(1.2, 3.0)
        sides.append(
            Side(
                float(joins if seaward else -rng.uniform(1.5, 3.5)),
                float(rng.choice([-1, 1]) * rng.uniform(30, 80)),
                width * float(rng.uniform(0.4, 1.0) if sheet else rng.uniform(0.2, 0.6)),
                own if seaward else None,
            )
        )
    relief = float(
        rng.uniform(150, 500) if sheet else np.exp(rng.uniform(np.log(600), np.log(2_600)))
    )
    return GlacierParameters(
        "Random",
        3031 if southern else 3413,
        (-2_300_000.0, 1_250_000.0) if southern else (-190_000.0, -2_275_000.0),
        (extent, extent),
        flow_deg=float(rng.uniform(0, 360)),
        bend_deg=float(rng.normal(0, 30)),
        width_m=width,
        widening=float(rng.uniform(-0.1, 1.0)),
        sides=tuple(sides),
        front=front,
        cliff_m=float(rng.uniform(25, 100)),
        relief_m=relief,
        ridge_m=float(np.clip(extent * np.exp(rng.uniform(np.log(0.1), np.log(0.45))), 1.5e3, 1e4)),
        plateau=float(rng.choice([0.0, rng.uniform(0.1, 0.5)])),
        upland_ice=float(rng.uniform(0.8, 1.0) if sheet else rng.uniform(0.55, 0.97)),
        wall_ice=float(1.0 if sheet else rng.choice([0.0, 1.0, 1.0]) * rng.uniform(0.2, 1.0)),
        dry_regions=float(rng.uniform(0.2, 3.0)),
        islands=int(rng.choice([0, 0, 0, 1, 2])),
        nunataks=int(rng.choice([0, 0, 1, 2])),
        lake=bool(rng.random() < 0.1),
        melange_m=float(np.exp(rng.uniform(np.log(0.2), np.log(8.0))) * width),
        southern=southern,
    )
