"""A simulated landscape as a radar sees it: geometry, backscatter, speckle, noise, swath.

Backscatter lies within published ranges: Ulaby and Dobson 1989, "Handbook of Radar Scattering
Statistics for Terrain" (rock, snow); Rau, Braun, Friedrich, Weber and Goßmann 2000, "Radar glacier
zones and their boundaries as indicators of glacier mass balance and climatic variability"; Onstott
and Shuchman 2004, "SAR measurements of sea ice"; Wesche and Dierking 2012, "Iceberg signatures and
detection in SAR images in two test regions of the Weddell Sea". Each scene draws its own values
around them. Speckle is that of multi-look intensity (Goodman 1976, doi:10.1364/JOSA.66.001145).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from icefront.errors import IcefrontError
from icefront.simulation.noise import enlarge, fractal
from icefront.simulation.surfaces import (
    ICE,
    ROCK_FACE,
    UPLAND,
    WATER,
    Landscape,
    Surfaces,
)

Pass = Literal["ascending", "descending"]


@dataclass(frozen=True)
class Sensor:
    """A radar as the archives hold its images.

    Attributes
    ----------
    name : str
        As in the file names of CaFFe.
    band : "L", "C" or "X"
    polarisation : str
    pixel_m, resolution_m : float
        Of the images, and of what can be told apart in them.
    looks : float
        Equivalent number of looks.
    incidence_deg : (float, float)
        Range of the middle of the scenes.
    noise_db : float
        Noise-equivalent backscatter.
    shadow_is_gap : bool
        Layover and shadow are always left without data in its images, as in CaFFe's TerraSAR-X;
        in those of others now and then.
    """

    name: str
    band: str
    polarisation: str
    pixel_m: float
    resolution_m: float
    looks: float
    incidence_deg: tuple[float, float]
    noise_db: float
    shadow_is_gap: bool = False


SENSORS: dict[str, Sensor] = {
    "ERS": Sensor("ERS", "C", "VV", 20.0, 26.0, 4.0, (21.0, 25.0), -24.0),
    "RSAT": Sensor("RSAT", "C", "HH", 12.0, 25.0, 4.0, (24.0, 45.0), -22.0),
    "ENVISAT": Sensor("ENVISAT", "C", "VV", 20.0, 28.0, 4.0, (19.0, 35.0), -22.0),
    "PALSAR": Sensor("PALSAR", "L", "HH", 17.0, 20.0, 5.0, (34.0, 40.0), -25.0),
    "TSX": Sensor("TSX", "X", "HH", 7.0, 9.0, 6.0, (20.0, 45.0), -21.0, True),
    "TDX": Sensor("TDX", "X", "HH", 7.0, 9.0, 6.0, (20.0, 45.0), -21.0, True),
    "S1": Sensor("S1", "C", "HH", 20.0, 24.0, 10.0, (30.0, 45.0), -24.0),
}
"""The sensors of CaFFe, with what their missions published."""

_MEANS = {
    # kind:   rock   firn    ice  debris water seaice mélange berg
    "L": (-16.0, -7.0, -13.5, -13.0, -26.0, -14.5, -9.5, -8.0),
    "C": (-13.0, -6.0, -8.5, -10.0, -21.0, -9.5, -6.0, -5.0),
    "X": (-12.5, -7.0, -8.0, -9.0, -20.0, -9.0, -5.5, -4.5),
}
"""Backscatter of dry surfaces at 35°, in dB, by band and kind of surface."""

_WET = {
    "L": (0.0, -5.0, -0.5, 0.0, 0.0, -1.0, -0.5, -1.0),
    "C": (-0.5, -10.0, -3.0, -0.5, 0.0, -3.0, -1.5, -2.5),
    "X": (-0.5, -11.0, -3.5, -1.0, 0.0, -3.5, -2.0, -3.0),
}
"""What melt adds to it, in dB."""

_SCENE_STD = (1.5, 1.5, 1.5, 1.5, 2.5, 3.0, 2.5, 1.5)
"""Standard deviation between scenes, in dB, by kind."""

_SLOPE = (-0.08, -0.10, -0.10, -0.10, -0.35, -0.15, -0.10, -0.10)
"""Change with incidence, in dB a degree, by kind."""

_RELIEF = (3.0, 0.7, 2.6, 1.0, 0.8, 2.0, 3.2, 2.0)
"""What one standard deviation of roughness makes, in dB, by kind."""


@dataclass(frozen=True)
class View:
    """Where the radar stands.

    Attributes
    ----------
    incidence_deg : float
        In the middle of the scene, from the vertical.
    range_deg : float
        Direction in which the beam travels over the ground, anticlockwise from the x axis.
    """

    incidence_deg: float
    range_deg: float


def view_of(sensor: Sensor, orbit: Pass, rng: np.random.Generator) -> View:
    """Draw a view: right-looking, east of north ascending and west of south descending."""
    low, high = sensor.incidence_deg
    heading = 100.0 if orbit == "ascending" else 260.0
    return View(float(rng.uniform(low, high)), heading - 90 + float(rng.normal(0, 12)))


def sensor_named(name: str) -> Sensor:
    """Look a sensor up.

    Raises
    ------
    IcefrontError
        If there is none of that name.
    """
    if name.upper() not in SENSORS:
        raise IcefrontError(
            f"There is no sensor named {name!r}; known are {', '.join(sorted(SENSORS))}."
        )
    return SENSORS[name.upper()]


@dataclass(frozen=True)
class Geometry:
    """What terrain does to the view, on the coarse grid of a landscape, float32 each.

    Attributes
    ----------
    gain_db : (h, w)
        Brightening of slopes that face the radar, darkening of others.
    shadow : (h, w)
        1 where the beam does not reach.
    masked : (h, w)
        1 where archives that leave out layover and shadow do so; maps of both are rough.
    shift_m : (h, w)
        How far an image point lies from its place, towards the radar, where the heights that the
        image was geocoded with were wrong.
    """

    gain_db: np.ndarray
    shadow: np.ndarray
    masked: np.ndarray
    shift_m: np.ndarray


def look(landscape: Landscape, view: View, rng: np.random.Generator) -> Geometry:
    """Work out foreshortening, layover, shadow and residual displacement.

    The area of ground that falls into a range cell grows as 1 / (1 - slope / tan(incidence)) where
    a slope of that tangent rises away from the radar; where that ends, layover begins and the
    brightness is cut off. Shadow is cast over `height × tan(incidence)`.
    """
    cell = landscape.coarse.side_on_map
    theta = np.radians(view.incidence_deg)
    ux, uy = np.cos(np.radians(view.range_deg)), np.sin(np.radians(view.range_deg))
    height = ndimage.gaussian_filter(landscape.height, 0.7)
    down, right = np.gradient(height, cell)
    slope = right * ux - down * uy  # rows count southwards
    factor = 1 / np.clip(1 - slope / np.tan(theta), 0.12, None)
    normal = np.sqrt(1 + right**2 + down**2)
    cosine = np.clip((slope * np.sin(theta) + np.cos(theta)) / normal, 0.02, 1)
    gain = 15 * np.log10(factor) + 9 * np.log10(cosine / np.cos(theta))
    shadow = np.zeros(height.shape, bool)
    reach = float(height.max()) * np.tan(theta)
    for step in range(1, min(int(reach / cell) + 2, 60), 2):
        # The ground `step` cells nearer to the radar hides what lies below the beam behind it.
        dx, dy = round(step * ux), round(-step * uy)
        distance = cell * float(np.hypot(dx, dy))
        nearer = ndimage.shift(height, (dy, dx), order=0, mode="nearest", prefilter=False)
        shadow |= nearer - distance / np.tan(theta) > height
    rough = ndimage.gaussian_filter(slope, 2.5)
    layover, dark = rng.uniform(0.5, 1.2), rng.uniform(0.2, 0.9)
    masked = (rough > layover * np.tan(theta)) | (-rough > dark / np.tan(theta))
    masked = ndimage.binary_opening(masked | shadow, iterations=2)
    error = height * float(rng.uniform(0.0, 0.12))
    return Geometry(
        np.clip(gain, -18, 14).astype(np.float32),
        shadow.astype(np.float32),
        masked.astype(np.float32),
        (error / np.tan(theta)).astype(np.float32),
    )


def backscatter(
    landscape: Landscape,
    ground: Surfaces,
    sensor: Sensor,
    view: View,
    rng: np.random.Generator,
    masked: bool = False,
) -> np.ndarray:
    """Mean backscatter σ⁰ of every pixel in linear power, without speckle and noise.

    With `masked`, layover and shadow on land are at 1e-4, where they are told as gaps.

    Returns
    -------
    float32 (H, W)
    """
    sky, shape = ground.weather, ground.zones.shape
    tilt = view.incidence_deg - 35
    mean = np.array(_MEANS[sensor.band]) + np.array(_WET[sensor.band]) * sky.melt
    mean = mean + np.array(_SLOPE) * tilt + rng.normal(0, _SCENE_STD)
    mean[WATER] += 12 * (sky.wind - 0.6) - (3 if sensor.polarisation == "HH" else 0)
    mean[ROCK_FACE] += 2 * sky.snow * (1 - sky.melt)
    decibel = np.take(mean.astype(np.float32), ground.kinds)
    p = landscape.glacier.parameters
    # A stream in an ice sheet has no sharp edges; one between mountains does.
    merging = p.width_m * rng.uniform(0.02, 0.3) * np.exp(-p.relief_m / 500)
    fraction = _stream_fraction(ground, merging)
    ice = (ground.kinds == ICE) | (ground.kinds == UPLAND)
    merged = mean[UPLAND] + (mean[ICE] - mean[UPLAND]) * fraction
    decibel = np.where(ice, merged.astype(np.float32), decibel)
    # Roughness shows more in one scene than in the next: snow hides it, and oblique views bring it.
    contrast = np.array(_RELIEF) * rng.uniform(0.5, 1.2, len(_RELIEF))
    decibel += np.take(contrast.astype(np.float32), ground.kinds) * ground.relief
    facing = float(np.clip(rng.normal(0, 1), -1.5, 1.5))
    decibel += np.float32(4.5 * facing) * ground.cliff

    geometry = look(landscape, view, rng)
    land = (ground.kinds == ROCK_FACE) | (ground.kinds == UPLAND)
    gain = enlarge(geometry.gain_db, shape)
    decibel += np.where(land, gain, np.where(ground.kinds == ICE, 0.5 * gain, 0)).clip(-18, 14)
    # Snow is wetter here and coarser there, over kilometres, smoothly in one scene and in patches
    # or in streaks in the next.
    broad = enlarge(fractal(rng, (128, 128), rng.uniform(1.3, 2.4), coarsest=1.5), shape)
    high, low = np.float32(rng.uniform(1.0, 4.0)), np.float32(rng.uniform(0.5, 1.8))
    decibel += np.where(ground.kinds == UPLAND, high, low) * broad
    streaks = fractal(rng, (256, 256), 1.3, coarsest=3, stretch=rng.uniform(2, 10))
    streaks = enlarge(streaks if rng.random() < 0.5 else streaks.T, shape)
    decibel += np.where(ground.kinds == UPLAND, np.float32(rng.uniform(0, 2)), 0) * streaks
    del broad, streaks
    detail = enlarge(fractal(rng, (512, 512), 0.7, coarsest=20), shape)
    stony, icy = np.float32(rng.uniform(1.5, 4.5)), np.float32(rng.uniform(0.5, 3.5))
    decibel += np.where(land, np.where(ground.kinds == ROCK_FACE, stony, icy), 0) * detail
    del detail
    dark = enlarge(geometry.shadow, shape) > 0.5
    decibel[dark & land] = -40.0
    if masked:
        decibel[(enlarge(geometry.masked, shape) > 0.5) & land] = -40.0
    power = np.exp(decibel * np.float32(np.log(10) / 10))
    return _misplace(
        power, land, enlarge(geometry.shift_m, shape), gain, view, ground.grid.side_on_map
    )


def _stream_fraction(ground: Surfaces, reach_m: float) -> np.ndarray:
    """How much of the ice about a place belongs to a stream, 0 to 1, float32 (H, W)."""
    step = max(1, min(ground.kinds.shape) // 192)
    kinds = ground.kinds[::step, ::step]
    sigma = reach_m / (ground.grid.side_on_map * step)
    stream = (kinds == ICE).astype(np.float32)
    if sigma < 0.5:
        return (ground.kinds == ICE).astype(np.float32)
    ice = stream + (kinds == UPLAND)
    stream, about = (ndimage.gaussian_filter(field, sigma) for field in (stream, ice))
    return enlarge(stream / np.maximum(about, 1e-6), ground.kinds.shape)


def _misplace(
    power: np.ndarray,
    land: np.ndarray,
    shift_m: np.ndarray,
    gain: np.ndarray,
    view: View,
    pixel_m: float,
) -> np.ndarray:
    """Displace mountains along the range, and stretch what foreshortening left few samples of."""
    if not land.any():
        return power
    ux, uy = np.cos(np.radians(view.range_deg)), np.sin(np.radians(view.range_deg))
    rows, columns = np.nonzero(land)
    along = columns * ux - rows * uy
    samples = np.clip(np.exp2(gain[rows, columns] / 3), 1, 6)
    move = shift_m[rows, columns] / pixel_m - np.mod(along, samples)
    height, width = power.shape
    from_rows = np.clip(np.rint(rows - move * uy), 0, height - 1).astype(np.int32)
    from_columns = np.clip(np.rint(columns + move * ux), 0, width - 1).astype(np.int32)
    out = power.copy()
    out[rows, columns] = power[from_rows, from_columns]
    return out


def speckle(
    power: np.ndarray,
    looks: float,
    resolution_m: float,
    pixel_m: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Multiply by the speckle of an intensity image, correlated over the resolution.

    Independent samples of a gamma distribution are averaged by the point spread function, a
    Gaussian whose width at half height is the resolution. The number of looks of the samples is
    chosen so that the result has `looks`.

    Parameters
    ----------
    power : float32 (H, W)
        Mean intensity.
    looks : float
        Mean squared over variance of the result in a flat area.
    resolution_m, pixel_m : float

    Returns
    -------
    float32 (H, W)
    """
    sigma = resolution_m / pixel_m / 2.355
    if sigma < 0.3:
        return power * rng.standard_gamma(looks, power.shape, np.float32) / np.float32(looks)
    radius = max(int(3 * sigma + 0.5), 1)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    averaged = 1 / float((kernel**2).sum()) ** 2
    # Fewer looks than one would be no speckle; the samples are then left at one.
    each = max(looks / averaged, 0.15)
    noise = rng.standard_gamma(each, power.shape, np.float32) / np.float32(each)
    noise *= power
    for axis in (0, 1):
        noise = ndimage.correlate1d(noise, kernel.astype(np.float32), axis=axis, mode="nearest")
    return noise


def outside_swath(
    shape: tuple[int, int], view: View, rng: np.random.Generator, probability: float = 0.5
) -> np.ndarray:
    """A wedge at an edge of the scene that the swath does not cover, bool (H, W)."""
    height, width = shape
    if rng.random() > probability:
        return np.zeros(shape, bool)
    x, y = np.linspace(-1, 1, width), np.linspace(1, -1, height)[:, None]
    angle = np.radians(view.range_deg + rng.choice([0, 180, 90, 270]) + rng.normal(0, 4))
    return x * np.cos(angle) + y * np.sin(angle) > rng.uniform(0.45, 1.2)


def observe(
    landscape: Landscape,
    ground: Surfaces,
    sensor: Sensor,
    view: View,
    rng: np.random.Generator,
) -> np.ndarray:
    """One calibrated image: σ⁰ in dB, NaN outside of the swath.

    Parameters
    ----------
    landscape : Landscape
    ground : Surfaces
        Of the date and grid of the image.
    sensor : Sensor
    view : View
    rng : numpy.random.Generator

    Returns
    -------
    float32 (H, W)
    """
    masked = sensor.shadow_is_gap or bool(rng.random() < 0.25)
    power = backscatter(landscape, ground, sensor, view, rng, masked)
    # Only land is masked: calm water can be as dark.
    land = (ground.kinds == ROCK_FACE) | (ground.kinds == UPLAND)
    masked_out = land & (power < 2e-4) if masked else None
    # Archives differ in whether the noise was taken off.
    power += np.float32(10 ** ((sensor.noise_db - rng.uniform(0, 10)) / 10))
    # Coarser grids than the sensor's are made by picking pixels, by averaging them, or between.
    samples = max(1.0, ground.grid.side_on_map / sensor.resolution_m) ** 2
    looks = sensor.looks * samples ** rng.uniform(0, 0.7)
    seen = speckle(power, looks, sensor.resolution_m, ground.grid.side_on_map, rng)
    decibel = 10 * np.log10(np.maximum(seen, 1e-6))
    if masked_out is not None:
        decibel[masked_out] = np.nan
    decibel[outside_swath(decibel.shape, view, rng)] = np.nan
    return decibel.astype(np.float32)


def display(decibel: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    """Grey values as the benchmarks store them: amplitude, cut off above, 0 for no data.

    Parameters
    ----------
    decibel : float32 (H, W)
        σ⁰, NaN for no data.
    rng : numpy.random.Generator, optional
        Varies the stretch, as it varies between the images of an archive.

    Returns
    -------
    uint8 (H, W)
    """
    valid = np.isfinite(decibel)
    if not valid.any():
        return np.zeros(decibel.shape, np.uint8)
    amplitude = np.exp(np.nan_to_num(decibel, nan=-60.0) * np.float32(np.log(10) / 20))
    cut, power = (98.5, 1.0)
    if rng is not None:
        cut, power = 100 - np.exp(rng.uniform(np.log(0.1), np.log(7))), rng.uniform(0.8, 1.15)
    top = np.percentile(amplitude[valid][:: max(1, amplitude.size // 200_000)], cut)
    grey = np.clip(amplitude / max(float(top), 1e-6), 0, 1) ** np.float32(power) * 254
    return np.where(valid, np.rint(grey).astype(np.uint8).clip(1), 0).astype(np.uint8)
