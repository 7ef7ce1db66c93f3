"""One real scene written in the ways in which people hold SAR images."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rioxarray  # noqa: F401  (the accessor ``rio``)
import xarray as xr
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp, Resampling
from rasterio.shutil import copy as copy_raster
from rasterio.warp import reproject

import icefront
from icefront import IcefrontError
from icefront.fronts.distances import line_distances

DARK, BRIGHT = 96.0, 162.0
"""Grey values of the scene of Helheim that its display stretch takes to black and white."""
BOUND_M = 20.0
"""As far the front of an encoding may lie from that of the plain file, mean of both ways."""


@dataclass(frozen=True)
class Source:
    """The scene: grey values, sigma0 in dB of the same display, and where they lie."""

    grey: np.ndarray
    transform: Affine
    crs: Any = 4326

    @property
    def db(self) -> np.ndarray:
        """Sigma0 in dB, float32, of which the grey values are a linear display."""
        return (-22 + 20 * (self.grey.astype(np.float32) - DARK) / (BRIGHT - DARK)).astype("f4")


def read_source(path: Path) -> Source:
    with rasterio.open(path) as raster:
        return Source(raster.read(1), raster.transform)


@dataclass(frozen=True)
class Encoding:
    """A way to write the scene.

    `write(folder, source)` returns what is given to `icefront.extract`, `settings` go with it;
    `refused` is part of the sentence where none of it makes a scene. On a grid of another
    orientation or extent (`other_grid`) a network sees other pixels.
    """

    write: Callable[[Path, Source], Any]
    settings: dict[str, Any] = field(default_factory=dict)
    refused: str | None = None
    other_grid: bool = False


def write(path: Path, values: np.ndarray, place: Source, **profile: Any) -> Path:
    bands = values if values.ndim == 3 else values[None]
    names = profile.pop("names", None)
    scale = profile.pop("scale", None)
    profile = {"driver": "GTiff", "crs": place.crs, "transform": place.transform, **profile}
    with rasterio.open(
        path,
        "w",
        count=len(bands),
        height=bands.shape[1],
        width=bands.shape[2],
        dtype=bands.dtype,
        **profile,
    ) as raster:
        raster.write(bands)
        if names:
            raster.descriptions = names
        if scale:
            raster.scales = (scale,) * len(bands)
    return path


def tiff(values: Callable[[Source], np.ndarray], name: str = "scene.tif", **profile: Any):
    return lambda folder, place: write(folder / name, values(place), place, **profile)


def framed(values: Callable[[Source], np.ndarray], fill: float, **profile: Any):
    """Write with a frame of 50 pixels and a wedge of a value beyond the image."""

    def framing(folder: Path, place: Source) -> Path:
        image = values(place)
        wide = np.pad(image, 50, constant_values=np.asarray(fill).astype(image.dtype))
        place = Source(wide, place.transform @ Affine.translation(-50, -50), place.crs)
        return write(folder / "scene.tif", wide, place, **profile)

    return framing


def power(place: Source) -> np.ndarray:
    return 10 ** (place.db / 10)


def numbers(place: Source) -> np.ndarray:
    return (600 * 10 ** (place.db / 20)).round().astype(np.uint16)


def hundredths(place: Source) -> np.ndarray:
    return (100 * place.db).round().astype(np.int16)


def thousandths(place: Source) -> np.ndarray:
    return (1000 * place.db).round().clip(-32000, 32000).astype(np.int16)


def stretched(place: Source) -> np.ndarray:
    grey = 255 * (place.grey.astype(float) - DARK) / (BRIGHT - DARK)
    return grey.round().clip(1, 255).astype(np.uint8)


def decibels(place: Source) -> np.ndarray:
    return place.db


def with_border_noise(folder: Path, place: Source) -> Path:
    """Write digital numbers with 12 columns of low noise on either side, as in old GRD products."""
    values = numbers(place)
    noise = np.random.default_rng(2).integers(1, 12, (len(values), 12)).astype(values.dtype)
    moved = place.transform @ Affine.translation(-12, 0)
    return write(
        folder / "scene.tif",
        np.concatenate([noise, values, noise], axis=1),
        Source(values, moved, place.crs),
    )


def control_points(folder: Path, place: Source) -> Path:
    height, width = place.grey.shape
    points = [
        GroundControlPoint(row, column, *(place.transform @ (column, row)))
        for row in np.linspace(0, height, 10)
        for column in np.linspace(0, width, 21)
    ]
    path = write(folder / "scene.tif", numbers(place), place, crs=None, transform=None)
    with rasterio.open(path, "r+") as raster:
        raster.gcps = (points, rasterio.crs.CRS.from_epsg(4326))
    return path


def in_crs(epsg: int, size: float, shape: tuple[int, int], corner: tuple[float, float]):
    """Write in another CRS, as `gdalwarp -te ... -tr ...` does."""

    def projected(folder: Path, place: Source) -> Path:
        values = np.full(shape, np.nan, np.float32)
        transform = Affine(size, 0, corner[0], 0, -size, corner[1])
        reproject(
            place.db,
            values,
            src_transform=place.transform,
            src_crs=f"EPSG:{place.crs}",
            dst_transform=transform,
            dst_crs=f"EPSG:{epsg}",
            dst_nodata=np.nan,
            resampling=Resampling.bilinear,
        )
        return write(folder / "scene.tif", values, Source(values, transform, epsg))

    return projected


def south_up(folder: Path, place: Source) -> Path:
    flip = place.transform @ Affine.translation(0, len(place.grey)) @ Affine.scale(1, -1)
    return write(folder / "scene.tif", place.db[::-1], Source(place.grey, flip, place.crs))


def array(place: Source) -> xr.DataArray:
    height, width = place.grey.shape
    x, _ = place.transform @ (np.arange(width) + 0.5, np.zeros(width))
    _, y = place.transform @ (np.zeros(height), np.arange(height) + 0.5)
    data = xr.DataArray(power(place), {"y": y, "x": x}, ("y", "x"), name="sigma0")
    return data.rio.write_crs(place.crs)


def netcdf(folder: Path, place: Source) -> str:
    data = array(place).rename(x="lon", y="lat")
    data["lat"].attrs = {"standard_name": "latitude", "units": "degrees_north"}
    data["lon"].attrs = {"standard_name": "longitude", "units": "degrees_east"}
    angle = xr.full_like(data, 38.0).rename("incidence_angle")
    xr.Dataset({data.name: data, angle.name: angle}).to_netcdf(folder / "scene.nc", engine="scipy")
    return f"NETCDF:{folder / 'scene.nc'}:sigma0"


def virtual(folder: Path, place: Source) -> Path:
    copy_raster(write(folder / "part.tif", place.db, place), folder / "scene.vrt", driver="VRT")
    return folder / "scene.vrt"


def zipped(folder: Path, place: Source) -> str:
    path = write(folder / "scene.tif", place.db, place, tiled=True, blockxsize=128, blockysize=128)
    with zipfile.ZipFile(folder / "scene.zip", "w") as archive:
        archive.write(path, path.name)
    return f"zip://{folder / 'scene.zip'}!scene.tif"


def two_channels(place: Source) -> np.ndarray:
    rng = np.random.default_rng(1)
    cross = place.db - 8 + rng.normal(0, 2, place.db.shape)
    return np.stack([place.db, cross]).astype(np.float32)


def with_alpha(folder: Path, place: Source) -> Path:
    wide = np.pad(place.grey, 50, constant_values=130)
    alpha = np.pad(np.full_like(place.grey, 255), 50)
    moved = Source(wide, place.transform @ Affine.translation(-50, -50), place.crs)
    path = write(folder / "scene.tif", np.stack([wide, wide, wide, alpha]), moved)
    with rasterio.open(path, "r+") as raster:
        raster.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue,
                              ColorInterp.alpha)  # fmt: skip
    return path


def in_part_of_a_file(folder: Path, place: Source) -> str:
    write(folder / "scene.tif", two_channels(place), place)
    return f"vrt://{folder / 'scene.tif'}?bands=1"


ENCODINGS: dict[str, Encoding] = {
    "dB, float32": Encoding(tiff(decibels)),
    "dB, float64": Encoding(tiff(lambda place: place.db.astype(np.float64))),
    "dB x 100, int16, scale": Encoding(tiff(hundredths, scale=0.01)),
    "dB x 1000, int16, scale": Encoding(tiff(thousandths, scale=0.001)),
    "dB x 100, int16, no scale": Encoding(tiff(hundredths), refused="multiplied by 0.01"),
    "dB x 100, int16, stated as dB": Encoding(
        tiff(hundredths), {"radiometry": "db"}, refused="multiplied by 0.01"
    ),
    "power, float32": Encoding(tiff(power)),
    "amplitude, uint16": Encoding(tiff(numbers)),
    "amplitude, float32": Encoding(
        tiff(lambda place: np.sqrt(power(place))), {"radiometry": "amplitude"}
    ),
    "8 bit, full range": Encoding(tiff(stretched)),
    "8 bit, red green blue alpha": Encoding(with_alpha),
    "border of -100 dB": Encoding(framed(decibels, -100)),
    "border of -50 dB": Encoding(framed(decibels, -50)),
    "border of 9999": Encoding(framed(decibels, 9999)),
    "border of 9.97e36": Encoding(framed(decibels, 9.969209968386869e36)),
    "border of 65535": Encoding(framed(numbers, 65535)),
    "border of 255": Encoding(framed(lambda place: place.grey, 255)),
    "border of -32768, int16, scale": Encoding(framed(hundredths, -32768, scale=0.01)),
    "border of 0": Encoding(framed(numbers, 0)),
    "border of -9999, nodata tagged": Encoding(framed(decibels, -9999, nodata=-9999)),
    "border of NaN": Encoding(framed(decibels, np.nan)),
    "border of noise": Encoding(with_border_noise),
    "ground control points only": Encoding(control_points),
    "south up": Encoding(south_up),
    "EPSG:3413": Encoding(in_crs(3413, 13.7, (820, 778), (303153.6, -2571764.0))),
    "EPSG:3413, elsewhere": Encoding(
        in_crs(3413, 13.7, (829, 782), (303136, -2571722)), other_grid=True
    ),
    "EPSG:3857": Encoding(in_crs(3857, 34.0, (735, 688), (-4261310, 9989971))),
    "EPSG:32624": Encoding(in_crs(32624, 13.7, (742, 696), (532150, 7365920)), other_grid=True),
    "NetCDF": Encoding(netcdf),
    "xarray": Encoding(lambda folder, place: array(place)),
    "VRT": Encoding(virtual),
    "COG": Encoding(tiff(decibels, driver="COG", compress="deflate")),
    "LERC": Encoding(tiff(decibels, compress="lerc_zstd", tiled=True)),
    "zip, tiled": Encoding(zipped),
    "two channels, one asked for": Encoding(tiff(two_channels, names=("HH", "HV")), {"band": "HH"}),
    "two channels": Encoding(tiff(two_channels, names=("HH", "HV")), refused="say with band"),
    "a band of a file by name": Encoding(in_part_of_a_file),
}


def check_encoding(name: str, scene: Path, plain: Any, folder: Path) -> None:
    """Compare the front of a scene that was written anew with that of the plain file, a table."""
    encoding = ENCODINGS[name]
    written = encoding.write(folder, read_source(scene))
    if encoding.refused:
        try:
            icefront.extract(written, **encoding.settings)
        except IcefrontError as error:
            sentence = str(error)
        else:
            sentence = "no error"
        assert encoding.refused in sentence
        assert "\n" not in sentence
        return
    front = icefront.extract(written, **encoding.settings).to_crs(plain.crs)
    distances = line_distances(plain.geometry.iloc[0], front.geometry.iloc[0], 10.0)
    if encoding.other_grid:
        assert np.median(distances) < plain["uncertainty_m"].iloc[0]
    else:
        assert distances.mean() < BOUND_M
