"""Sentinel-1 products with genuine metadata and simulated images of a known scene.

Lines and pixels are put on the ground here by a way of their own: from the image outwards, with
one polynomial for the orbit, where the program goes from the ground into the image.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import rasterio
from numpy.polynomial import Polynomial
from pyproj import Transformer
from rasterio.windows import Window
from scipy.interpolate import RectBivariateSpline, RegularGridInterpolator

from tests.helpers.paths import DATA

PRODUCTS = DATA / "sentinel1_products"
IW = PRODUCTS / "stactools/S1A_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13_6FF8.SAFE"
IW_ROME = (
    PRODUCTS / "sarsen/S1B_IW_GRDH_1SDV_20211223T051122_20211223T051147_030148_039993_5371.SAFE"
)
EW = PRODUCTS / "stactools/S1A_EW_GRDM_1SDH_20221130T014342_20221130T014446_046117_058549_BB15"
STRIPMAP = (
    PRODUCTS / "stactools/S1C_S4_GRDH_1SDH_20250118T171404_20250118T171421_000638_000538_4B8B.SAFE"
)

Ground = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From longitude and latitude in degrees to a value."""

NODES = 40
_TO_DEGREES = Transformer.from_crs(4978, 4979, always_xy=True)
_TO_EARTH = Transformer.from_crs(4979, 4978, always_xy=True)


@dataclass(frozen=True)
class GeolocationGrid:
    """Points of an image whose places the annotation states."""

    line: np.ndarray
    pixel: np.ndarray
    longitude: np.ndarray
    latitude: np.ndarray
    height: np.ndarray
    seconds: np.ndarray


class Annotated:
    """What the annotation of an image says, read for tests."""

    def __init__(self, path: Path) -> None:
        root = ElementTree.parse(path).getroot()
        self.root = root
        image = root.find("imageAnnotation/imageInformation")
        self.first = np.datetime64(image.findtext("productFirstLineUtcTime"), "ns")
        self.line_s = float(image.findtext("azimuthTimeInterval"))
        self.spacing_m = float(image.findtext("rangePixelSpacing"))
        self.shape = int(image.findtext("numberOfLines")), int(image.findtext("numberOfSamples"))
        states = root.findall("generalAnnotation/orbitList/orbit")
        seconds = self.seconds([state.findtext("time") for state in states])
        self.path = [
            Polynomial.fit(seconds, [float(s.findtext(f"position/{axis}")) for s in states], 8)
            for axis in "xyz"
        ]
        records = root.findall("coordinateConversion/coordinateConversionList/coordinateConversion")
        self.record_s = self.seconds([record.findtext("azimuthTime") for record in records])
        self.records = [
            Polynomial([float(value) for value in record.findtext("grsrCoefficients").split()])
            for record in records
        ]
        points = root.findall("geolocationGrid/geolocationGridPointList/geolocationGridPoint")

        def column(name: str) -> np.ndarray:
            return np.array([float(point.findtext(name)) for point in points])

        self.grid = GeolocationGrid(
            *(column(n) for n in ("line", "pixel", "longitude", "latitude", "height")),
            self.seconds([point.findtext("azimuthTime") for point in points]),
        )

    def seconds(self, times: list[str]) -> np.ndarray:
        return (np.array(times, "datetime64[ns]") - self.first) / np.timedelta64(1, "s")

    def ground(
        self, lines: np.ndarray, pixels: np.ndarray, height: Ground | float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return longitude and latitude of lines (L,) and pixels (P,), each (L, P)."""
        seconds = lines * self.line_s
        satellite = np.stack([axis(seconds) for axis in self.path], -1)[:, None, :]
        velocity = np.stack([axis.deriv()(seconds) for axis in self.path], -1)[:, None, :]
        nearest = [int(np.abs(self.record_s - t).argmin()) for t in seconds]
        slant_range = np.stack([self.records[i](pixels * self.spacing_m) for i in nearest])
        middle = len(self.grid.line) // 2
        near = [getattr(self.grid, n)[middle] for n in ("longitude", "latitude")]
        place = np.broadcast_to(
            np.stack(_TO_EARTH.transform(*near, 0.0)), (*slant_range.shape, 3)
        ).astype(float)
        wanted = np.zeros(slant_range.shape)
        for _ in range(12):
            longitude, latitude, found = _TO_DEGREES.transform(*np.moveaxis(place, -1, 0))
            wanted = height(longitude, latitude) if callable(height) else wanted * 0 + height
            lon, lat = np.radians(longitude), np.radians(latitude)
            up = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)
            away = place - satellite
            misfit = np.stack(
                [
                    (away**2).sum(-1) - slant_range**2,
                    (away * velocity).sum(-1),
                    found - wanted,
                ],
                -1,
            )
            slopes = np.stack([2 * away, np.broadcast_to(velocity, away.shape), up], -2)
            place = place - np.linalg.solve(slopes, misfit[..., None])[..., 0]
        return tuple(_TO_DEGREES.transform(*np.moveaxis(place, -1, 0))[:2])


def _mesh(lines: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.meshgrid(lines.astype(float), pixels.astype(float), indexing="ij"))


def calibration_at(path: Path, name: str, lines: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Read a calibration table at lines and pixels, one value after the other's line."""
    vectors = ElementTree.parse(path).getroot().findall("calibrationVectorList/calibrationVector")
    at = [float(vector.findtext("line")) for vector in vectors]
    table = [
        np.interp(pixels, *(np.fromstring(v.findtext(n), sep=" ") for n in ("pixel", name)))
        for v in vectors
    ]
    return RegularGridInterpolator((at, pixels), np.array(table))(_mesh(lines, pixels))


def noise_at(path: Path, lines: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Read the noise at lines and pixels: range vectors times the azimuth vector of the block."""
    root = ElementTree.parse(path).getroot()
    vectors = root.findall("noiseRangeVectorList/noiseRangeVector")
    at = [float(vector.findtext("line")) for vector in vectors]
    table = [
        np.interp(
            pixels, *(np.fromstring(v.findtext(n), sep=" ") for n in ("pixel", "noiseRangeLut"))
        )
        for v in vectors
    ]
    noise = RegularGridInterpolator((at, pixels), np.array(table))(_mesh(lines, pixels))
    for vector in root.findall("noiseAzimuthVectorList/noiseAzimuthVector"):
        first_line, last_line, first_pixel, last_pixel = (
            int(vector.findtext(name))
            for name in (
                *("firstAzimuthLine", "lastAzimuthLine"),
                *("firstRangeSample", "lastRangeSample"),
            )
        )
        rows = (lines >= first_line) & (lines <= last_line)
        columns = (pixels >= first_pixel) & (pixels <= last_pixel)
        steps, factors = (
            np.fromstring(vector.findtext(n), sep=" ") for n in ("line", "noiseAzimuthLut")
        )
        along = np.interp(lines, steps, factors)
        noise[np.ix_(rows, columns)] *= along[rows, None]
    return noise


def simulated_product(
    source: Path,
    target: Path,
    backscatter: dict[str, Ground],
    window: tuple[int, int, int, int],
    *,
    height: Ground | float = 0.0,
    looks: float | None = None,
    seed: int = 0,
) -> Path:
    """Write a copy of a product whose images show a known scene.

    Parameters
    ----------
    source, target : Path
    backscatter : dict
        σ⁰ as power by polarisation; images of others are left out.
    window : (line, pixel, height, width)
        Part of the images that is written; the rest is 0, no data.
    height : function or float
        Of the ground above the ellipsoid.
    looks : float, optional
        Of the speckle; none by default.
    seed : int

    Returns
    -------
    Path
        The folder of the product, below `target`.
    """
    product = target / source.name
    shutil.copytree(
        source, product, ignore=shutil.ignore_patterns("measurement", "preview", "support"),
        copy_function=shutil.copyfile,
    )  # fmt: skip
    (product / "measurement").mkdir()
    line, pixel, rows, columns = window
    lines, pixels = np.arange(line, line + rows), np.arange(pixel, pixel + columns)
    rng = np.random.default_rng(seed)
    for polarisation, truth in backscatter.items():
        (annotation,) = (
            path for path in (product / "annotation").glob("*.xml")
            if polarisation.lower() in path.stem.replace("_", "-").split("-")
        )  # fmt: skip
        annotated = Annotated(annotation)
        nodes = [np.linspace(at[0], at[-1], max(4, len(at) // NODES)) for at in (lines, pixels)]
        longitude, latitude = (
            RectBivariateSpline(*nodes, values)(lines, pixels)
            for values in annotated.ground(*nodes, height)
        )
        tables = annotation.parent / "calibration"
        amplitude = calibration_at(
            tables / f"calibration-{annotation.name}", "sigmaNought", lines, pixels
        )
        power = truth(longitude, latitude) * amplitude**2
        power += noise_at(tables / f"noise-{annotation.name}", lines, pixels)
        if looks is not None:
            power *= rng.gamma(looks, 1 / looks, power.shape)
        # Rounded by chance: without speckle, equal values would all err alike.
        numbers = np.floor(np.sqrt(power) + rng.random(power.shape)).clip(1, 65535)
        with rasterio.open(
            product / "measurement" / f"{annotation.stem}.tiff", "w", driver="GTiff",
            height=annotated.shape[0], width=annotated.shape[1], count=1, dtype="uint16",
            tiled=True, blockxsize=512, blockysize=512, compress="deflate", zlevel=1,
            SPARSE_OK=True,
        ) as image:  # fmt: skip
            image.write(numbers.astype(np.uint16), 1, window=Window(pixel, line, columns, rows))
    return product
