"""What the XML files beside a Sentinel-1 GRD image say: geometry, calibration and noise.

The names of elements are those of the Sentinel-1 Product Specification (S1-RS-MDA-52-7441).
Lines and pixels are counted from 0 at the centre of the first; times are seconds from the first
line.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args
from xml.etree import ElementTree

import numpy as np

from icefront.acquisition.orbits import Orbit
from icefront.errors import IcefrontError
from icefront.scenes.metadata import relative_orbit

Radiometry = Literal["sigma0", "beta0", "gamma0"]
RADIOMETRIES: tuple[str, ...] = get_args(Radiometry)
"""σ⁰, β⁰ or γ⁰ (σ⁰ over the cosine of the angle of incidence on the ellipsoid)."""

_LUTS = {"sigma0": "sigmaNought", "beta0": "betaNought", "gamma0": "gamma"}
_STEP_PIXELS = 10
_BEYOND_PIXELS = 1_000.0


def parsed(xml: bytes, what: str, root: str) -> ElementTree.Element:
    """Parse an XML file of a product.

    Raises
    ------
    IcefrontError
        If it is damaged or something else than `what`.
    """
    try:
        tree = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError) as error:
        raise IcefrontError(f"The {what} is damaged ({error}); fetch the product anew.") from None
    if tree.tag != root:
        raise IcefrontError(
            f"The {what} is another file: its root is <{tree.tag}>, not <{root}>; name the "
            f"product's own."
        )
    return tree


def _text(element: ElementTree.Element, path: str) -> str:
    text = element.findtext(path)
    if text is None or not text.strip():
        raise IcefrontError(f"The annotation lacks the element {path}: the product is incomplete.")
    return text.strip()


def _number(element: ElementTree.Element, path: str) -> float:
    text = _text(element, path)
    try:
        return float(text)
    except ValueError:
        raise IcefrontError(f"The element {path} holds {text!r}, which is no number.") from None


def _numbers(element: ElementTree.Element, path: str) -> np.ndarray:
    text = _text(element, path)
    try:
        return np.array(text.split(), dtype=np.float64)
    except ValueError:
        raise IcefrontError(f"The element {path} holds values that are no numbers.") from None


def _time(element: ElementTree.Element, path: str) -> np.datetime64:
    text = _text(element, path)
    try:
        return np.datetime64(text.removesuffix("Z"), "ns")
    except ValueError:
        raise IcefrontError(f"The element {path} holds {text!r}, which is no time.") from None


@dataclass(frozen=True)
class SwathBlock:
    """A part of the image that comes from one swath: lines and pixels, both ends included."""

    swath: str
    first_line: int
    last_line: int
    first_pixel: int
    last_pixel: int


def _block(element: ElementTree.Element, swath: str) -> SwathBlock:
    keys = ("firstAzimuthLine", "lastAzimuthLine", "firstRangeSample", "lastRangeSample")
    return SwathBlock(swath, *(int(_number(element, key)) for key in keys))


@dataclass(frozen=True)
class Facts:
    """What is known of an acquisition.

    Attributes
    ----------
    start : datetime.datetime
        When the first line was seen (UTC).
    platform : str
        ``S1A`` and so on.
    mode : str
        ``IW``, ``EW`` or ``S1`` to ``S6``.
    polarisation : str
    orbit_direction : str
        ``ascending`` or ``descending``.
    absolute_orbit : int
    relative_orbit : int or None
        None for satellites whose numbering changed.
    """

    start: dt.datetime
    platform: str
    mode: str
    polarisation: str
    orbit_direction: str
    absolute_orbit: int
    relative_orbit: int | None


@dataclass(frozen=True)
class Annotation:
    """Geometry of a GRD image.

    Attributes
    ----------
    facts : Facts
    height, width : int
        Lines and pixels of the image.
    line_s : float
        Time from a line to the next.
    spacing_m : (float, float)
        Along the path and on the ground across it.
    orbit : Orbit
    blocks : tuple of SwathBlock
        Where there is data; empty for stripmap, which has one swath.
    record_s, record_origin_m, record_coefficients : float (n,), (n,), (n, k)
        Polynomials from ground range, less its origin, to slant range in metres, and their times.
    """

    facts: Facts
    height: int
    width: int
    line_s: float
    spacing_m: tuple[float, float]
    orbit: Orbit
    blocks: tuple[SwathBlock, ...]
    record_s: np.ndarray
    record_origin_m: np.ndarray
    record_coefficients: np.ndarray

    def pixels(self, seconds: np.ndarray, slant_range_m: np.ndarray) -> np.ndarray:
        """Return the pixel, float64, of slant ranges at zero-Doppler times.

        The polynomial from ground range to slant range of the nearest record in time is inverted:
        so the processor of ESA made the image, by its own geolocation grid. Records that are
        interpolated in time are up to 16 m off, the polynomials of the opposite direction up to
        0.1 m in IW and 16 m in EW, where they do not fit.

        Returns
        -------
        float64, same shape
            NaN where the time is; beyond the image's ends by `_BEYOND_PIXELS`.
        """
        out = np.full(np.shape(slant_range_m), np.nan)
        known = np.isfinite(seconds)
        between = (self.record_s[1:] + self.record_s[:-1]) / 2
        nearest = np.searchsorted(between, seconds)
        pixels = _STEP_PIXELS * np.arange(-1.0, self.width // _STEP_PIXELS + 2)
        for record in np.unique(nearest[known]):
            at = known & (nearest == record)
            ground = pixels * self.spacing_m[1] - self.record_origin_m[record]
            ranges = np.polynomial.polynomial.polyval(ground, self.record_coefficients[record])
            # Straight between nodes some hundred metres apart, the curve is met within centimetres.
            out[at] = np.interp(
                slant_range_m[at], ranges, pixels, -_BEYOND_PIXELS, self.width + _BEYOND_PIXELS
            )
        return out

    def lines(self, seconds: np.ndarray) -> np.ndarray:
        """Return the line, float64, of zero-Doppler times."""
        return seconds / self.line_s


def read_annotation(xml: bytes) -> Annotation:
    """Read the annotation of an image of a GRD product.

    Raises
    ------
    IcefrontError
        If it is damaged, incomplete or not of a GRD product.
    """
    root = parsed(xml, "annotation", "product")
    kind = _text(root, "adsHeader/productType")
    if kind != "GRD":
        raise IcefrontError(
            f"The annotation is of a {kind} product; only ground range products (GRD) are read."
        )
    image = root.find("imageAnnotation/imageInformation")
    if image is None:
        raise IcefrontError("The annotation has no imageInformation: the product is incomplete.")
    first = _time(image, "productFirstLineUtcTime")

    def seconds(elements: Iterable[ElementTree.Element], path: str) -> np.ndarray:
        times = np.array([_time(element, path) for element in elements], "datetime64[ns]")
        return (times - first) / np.timedelta64(1, "s")

    states = root.findall("generalAnnotation/orbitList/orbit")
    vectors = {
        name: np.array([[_number(s, f"{name}/{axis}") for axis in "xyz"] for s in states])
        for name in ("position", "velocity")
    }
    records = root.findall("coordinateConversion/coordinateConversionList/coordinateConversion")
    if not records:
        raise IcefrontError("The annotation has no coordinateConversion: it is incomplete.")
    coefficients = [_numbers(record, "grsrCoefficients") for record in records]
    longest = max(len(values) for values in coefficients)
    origins = np.array([_number(record, "gr0") for record in records])
    mode = _text(root, "adsHeader/mode")
    platform = _text(root, "adsHeader/missionId")
    absolute = int(_number(root, "adsHeader/absoluteOrbitNumber"))
    facts = Facts(
        start=first.astype("datetime64[us]").astype(dt.datetime),
        platform=platform,
        mode=mode,
        polarisation=_text(root, "adsHeader/polarisation"),
        orbit_direction=_text(root, "generalAnnotation/productInformation/pass").lower(),
        absolute_orbit=absolute,
        relative_orbit=relative_orbit(platform[-1], absolute),
    )
    return Annotation(
        facts=facts,
        height=int(_number(image, "numberOfLines")),
        width=int(_number(image, "numberOfSamples")),
        line_s=_number(image, "azimuthTimeInterval"),
        spacing_m=(_number(image, "azimuthPixelSpacing"), _number(image, "rangePixelSpacing")),
        orbit=Orbit(seconds(states, "time"), vectors["position"], vectors["velocity"]),
        blocks=tuple(
            _block(bounds, _text(swath, "swath"))
            for swath in root.findall("swathMerging/swathMergeList/swathMerge")
            for bounds in swath.findall("swathBoundsList/swathBounds")
        ),
        record_s=seconds(records, "azimuthTime"),
        record_origin_m=origins,
        record_coefficients=np.array([np.pad(c, (0, longest - len(c))) for c in coefficients]),
    )


@dataclass(frozen=True)
class _Vectors:
    """Values at some pixels of some lines, each line with pixels of its own."""

    lines: np.ndarray
    pixels: list[np.ndarray]
    values: list[np.ndarray]

    def at(self, lines: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Interpolate, first along the pixels of each line, then between lines; (L, P)."""
        upper = np.clip(np.searchsorted(self.lines, lines, side="right"), 1, len(self.lines) - 1)
        lower = upper - 1
        if len(self.lines) == 1:
            upper = lower = np.zeros(len(lines), int)
        used = np.arange(lower.min(), upper.max() + 1)
        table = np.stack(
            [np.interp(pixels, self.pixels[i], self.values[i]) for i in used], dtype=np.float32
        )
        span = np.maximum(self.lines[upper] - self.lines[lower], 1)
        weight = np.clip((lines - self.lines[lower]) / span, 0, 1).astype(np.float32)[:, None]
        lower, upper = lower - used[0], upper - used[0]
        return table[lower] * (1 - weight) + table[upper] * weight


def _vectors(elements: list[ElementTree.Element], name: str, what: str) -> _Vectors:
    if not elements:
        raise IcefrontError(f"The {what} file has no vectors: the product is incomplete.")
    lines = np.array([_number(element, "line") for element in elements])
    order = np.argsort(lines, kind="stable")
    pixels = [_numbers(elements[i], "pixel") for i in order]
    values = [_numbers(elements[i], name) for i in order]
    for where, found in zip(pixels, values, strict=True):
        if len(where) != len(found):
            raise IcefrontError(
                f"The {what} file has {len(found)} values at {len(where)} pixels: it is damaged; "
                "fetch the product anew."
            )
    return _Vectors(lines[order], pixels, values)


@dataclass(frozen=True)
class Calibration:
    """Calibration of one image: amplitudes that are backscatter 1, by line and pixel."""

    vectors: _Vectors

    def at(self, lines: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Return the amplitude that stands for a backscatter of 1, float32 (L, P)."""
        return self.vectors.at(lines, pixels)


def read_calibration(xml: bytes, radiometry: str) -> Calibration:
    """Read a calibration file.

    Parameters
    ----------
    xml : bytes
    radiometry : str
        One of `RADIOMETRIES`.

    Raises
    ------
    IcefrontError
        If the radiometry is unknown, or the file is damaged or another one.
    """
    if radiometry not in _LUTS:
        raise IcefrontError(
            f"The radiometry {radiometry!r} is unknown; choose {', '.join(RADIOMETRIES)}."
        )
    root = parsed(xml, "calibration file", "calibration")
    found = root.findall("calibrationVectorList/calibrationVector")
    return Calibration(_vectors(found, _LUTS[radiometry], "calibration"))


@dataclass(frozen=True)
class _AzimuthNoise:
    """How noise changes along the path within a block of the image."""

    block: SwathBlock
    lines: np.ndarray
    factors: np.ndarray


@dataclass(frozen=True)
class Noise:
    """Thermal noise of one image in squared digital numbers, by line and pixel.

    Attributes
    ----------
    is_early : bool
        Written by a processor before version 2.9 (March 2018), which left noise in the margins.
    """

    vectors: _Vectors
    along: tuple[_AzimuthNoise, ...]
    is_early: bool

    def at(self, lines: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Return noise power, float32 (L, P)."""
        noise = self.vectors.at(lines, pixels)
        for part in self.along:
            block = part.block
            rows = np.flatnonzero((lines >= block.first_line) & (lines <= block.last_line))
            columns = np.flatnonzero((pixels >= block.first_pixel) & (pixels <= block.last_pixel))
            if rows.size and columns.size:
                factors = np.interp(lines[rows], part.lines, part.factors).astype(np.float32)
                # Lines and pixels are in order: slices, which are not copied.
                noise[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] *= factors[:, None]
        return noise


def read_noise(xml: bytes) -> Noise:
    """Read a noise file: range vectors, and azimuth vectors by swath where there are any.

    Raises
    ------
    IcefrontError
        If the file is damaged or another one.
    """
    root = parsed(xml, "noise file", "noise")
    early = root.findall("noiseVectorList/noiseVector")
    if early:
        return Noise(_vectors(early, "noiseLut", "noise"), (), True)
    along = []
    for element in root.findall("noiseAzimuthVectorList/noiseAzimuthVector"):
        factors = _numbers(element, "noiseAzimuthLut")
        # Blocks of stripmap may name no lines: then they are the whole image.
        if element.find("firstAzimuthLine") is not None:
            lines = _numbers(element, "line")
            block = _block(element, element.findtext("swath", ""))
            if len(lines) != len(factors):
                raise IcefrontError(
                    f"The noise file has {len(factors)} factors at {len(lines)} lines: it is "
                    "damaged; fetch the product anew."
                )
            along.append(_AzimuthNoise(block, lines, factors))
    across = root.findall("noiseRangeVectorList/noiseRangeVector")
    return Noise(_vectors(across, "noiseRangeLut", "noise"), tuple(along), False)
