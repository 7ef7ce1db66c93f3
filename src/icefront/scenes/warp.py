"""Warping a band to a grid: from memory where it is small enough, else straight from the file."""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import replace
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import rasterio
from pyproj import CRS, Transformer
from rasterio._err import CPLE_BaseError
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.warp import reproject
from rasterio.windows import Window
from scipy import ndimage

from icefront.errors import IcefrontError
from icefront.scenes.nodata import INVALID
from icefront.scenes.raster import name_for_gdal, opened
from icefront.scenes.working_grid import Georeference, GridChoice

_ROWS = 1024
_CANNOT = "{} cannot be warped to a square grid; check its georeference."
# Above this ratio of new to old pixel size, areas are averaged instead of interpolated.
_AVERAGE_ABOVE = 1.5
MOST_IN_MEMORY = 1 << 24
"""Images of no more pixels are warped from memory."""
# Along each axis of a file, to find which part of it a grid shows.
_POINTS = 65


def averages(place: GridChoice) -> bool:
    """Tell whether areas are averaged, since the new pixels are much larger than the old ones."""
    assert place.native_pixel_m is not None
    rows_m, columns_m = place.native_pixel_m
    return float(place.grid.transform.a) > _AVERAGE_ABOVE * float(np.sqrt(rows_m * columns_m))


def warp_values(values: np.ndarray, codes: np.ndarray, place: GridChoice) -> np.ndarray:
    """Warp an image that is in memory to a grid.

    That takes half the time of `warp_band` where pixels hold no data: GDAL is quick only where it
    need not ask which they are. They are NaN here, which spreads by itself; those beside data take
    the mean of their valid neighbours. So data reach up to a pixel beyond their outermost centres,
    half a pixel farther than in `warp_band`, and gaps of one or two pixels are closed.

    Parameters
    ----------
    values : float32 (h, w)
        Of the native pixels; changed.
    codes : uint8 (h, w)
        See `icefront.scenes.nodata`; `INVALID` ones are left out.
    place : GridChoice
        From where to where. Control points are followed by a thin-plate spline.

    Returns
    -------
    float32 (H, W)
        Bilinear; NaN where there is no data.

    Raises
    ------
    IcefrontError
        If the image cannot be warped.
    """
    window = rows, columns = source_part(place)
    values, codes = np.ascontiguousarray(values[window]), codes[window]
    native = place.native.cropped(rows.start, rows.stop, columns.start, columns.stop)
    place = replace(place, native=native)
    where: dict[str, object] = {"src_crs": _crs(native.crs)}
    if native.transform is not None:
        where["src_transform"] = native.transform
    else:
        where["gcps"] = list(native.gcps)
    valid = codes != INVALID
    if not valid.all():
        _fill_beside_data(values, valid)
    try:
        return _warped(values, place, Resampling.bilinear, **where)
    except (RasterioError, CPLE_BaseError) as error:
        raise IcefrontError(_CANNOT.format("The image")) from error


def _fill_beside_data(values: np.ndarray, valid: np.ndarray) -> None:
    """Put NaN where there is no data, but beside data the mean of the valid neighbours."""
    height, width = values.shape
    beside = ndimage.binary_dilation(valid, np.ones((3, 3), bool)) & ~valid
    rows, columns = np.nonzero(beside)
    total, count = np.zeros(len(rows)), np.zeros(len(rows))
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            r, c = rows + down, columns + right
            inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
            r, c = np.where(inside, r, 0), np.where(inside, c, 0)
            holds = inside & valid[r, c]
            total += np.where(holds, values[r, c], 0)
            count += holds
    values[~valid] = np.nan
    values[rows, columns] = total / count


def warp_band(
    path: str | os.PathLike[str], band: int, codes: np.ndarray, place: GridChoice
) -> np.ndarray:
    """Warp one band to a grid.

    The file is read by GDAL's warper in pieces, so that the result is the only array of the size
    of the scene; pixels that hold no data take no part.

    Parameters
    ----------
    path : path or str
        The file.
    band : int
        From 1.
    codes : uint8 (h, w)
        Of the native pixels, see `icefront.scenes.nodata`; `INVALID` ones are left out.
    place : GridChoice
        From where to where. Control points are followed by a thin-plate spline.

    Returns
    -------
    float32 (H, W)
        Values as stored, without the file's scale and offset: bilinear, or the mean over the
        area of a pixel where that is more than half as large again as a native one. NaN where
        there is no data.

    Raises
    ------
    IcefrontError
        If the file cannot be decoded or warped.
    """
    native = place.native
    rows, columns = source_part(place)
    with opened(path) as src, MemoryFile() as memory:
        # GDAL needs half the time where it need not ask which pixels hold data.
        whole = bool((codes[rows, columns] != INVALID).all())
        mask = None if whole else _write_mask(memory, codes)
        try:
            with rasterio.open(_description(name_for_gdal(src), band, native, mask)) as virtual:
                resampling = Resampling.average if averages(place) else Resampling.bilinear
                return _warped(rasterio.band(virtual, 1), place, resampling)
        except (RasterioError, CPLE_BaseError) as error:
            raise IcefrontError(_CANNOT.format(os.fspath(path))) from error


def _warped(
    source: object, place: GridChoice, resampling: Resampling, **where: object
) -> np.ndarray:
    """Warp a band or an array; what it does not reach is NaN."""
    native, grid = place.native, place.grid
    assert grid.crs is not None
    options = {}
    if native.gcps:
        options["SRC_METHOD"] = "GCP_TPS" if native.thin_plate else "GCP_POLYNOMIAL"
    result = np.full(grid.shape, np.nan, np.float32)
    reproject(
        source,
        result,
        dst_crs=_crs(grid.crs),
        dst_transform=grid.transform,
        # What the file does not reach keeps its NaN: told of a nodata value, GDAL takes a slower
        # way to the same values.
        dst_nodata=None,
        init_dest_nodata=False,
        num_threads=min(4, os.cpu_count() or 1),
        resampling=resampling,
        **where,
        **options,
    )
    return result


def _crs(crs: CRS | None) -> rasterio.crs.CRS:
    assert crs is not None
    return rasterio.crs.CRS.from_wkt(crs.to_wkt())


def _write_mask(memory: MemoryFile, codes: np.ndarray) -> str:
    """Write where codes are valid into a compressed GeoTIFF in memory; return its name."""
    height, width = codes.shape
    profile = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": 1,
        "dtype": "uint8",
        "compress": "lzw",
        "blockysize": min(64, height),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dst = memory.open(**profile)
    with dst:
        for top in range(0, height, _ROWS):
            strip = (codes[top : top + _ROWS] != INVALID).view(np.uint8) * np.uint8(255)
            dst.write(strip, 1, window=Window(0, top, width, strip.shape[0]))
    return str(memory.name)


def source_part(place: GridChoice) -> tuple[slice, slice]:
    """Return rows and columns of the file that hold all that the new grid shows, and some more."""
    native, grid = place.native, place.grid
    assert native.crs is not None
    lines = [np.linspace(0, length, _POINTS) for length in (native.height, native.width)]
    rows, columns = np.meshgrid(*lines, indexing="ij")
    transformer = Transformer.from_crs(native.crs, grid.crs, always_xy=True)
    on_grid = np.stack(grid.rowcol(*transformer.transform(*native.to_map(columns, rows))))
    # Between two points lies at most their distance, even on a bent line.
    reach = [np.abs(np.diff(on_grid, axis=axis)).max() for axis in (1, 2)]
    whole = slice(0, native.height), slice(0, native.width)
    if not np.isfinite(reach).all():
        return whole
    size = np.array(grid.shape)[:, None, None]
    near = ((on_grid > -max(reach)) & (on_grid < size + max(reach))).all(axis=0)
    found = []
    for axis, points in enumerate(lines):
        used = np.flatnonzero(near.any(axis=1 - axis))
        if not len(used):
            return whole
        low, high = points[max(used[0] - 1, 0)], points[min(used[-1] + 1, _POINTS - 1)]
        found.append(slice(int(low), math.ceil(high)))
    return found[0], found[1]


def _description(source: str, band: int, native: Georeference, mask: str | None) -> str:
    """Describe the band and its mask, if it has one, as a GDAL virtual raster (XML).

    GDAL's warper leaves out what a data set's mask leaves out; no tag of the original file can
    stand in the way, and control points come along.
    """
    assert native.crs is not None
    wkt = native.crs.to_wkt()
    if native.transform is not None:
        t = native.transform
        numbers = ", ".join(repr(float(v)) for v in (t.c, t.a, t.b, t.f, t.d, t.e))
        where = f"<SRS>{escape(wkt)}</SRS><GeoTransform>{numbers}</GeoTransform>"
    else:
        points = "".join(
            f'<GCP Id="{number}" Pixel="{float(p.col)!r}" Line="{float(p.row)!r}" '
            f'X="{float(p.x)!r}" Y="{float(p.y)!r}" Z="{float(p.z or 0.0)!r}"/>'
            for number, p in enumerate(native.gcps, start=1)
        )
        where = f"<GCPList Projection={quoteattr(wkt)}>{points}</GCPList>"

    def simple(name: str, index: int) -> str:
        return (
            f'<SimpleSource><SourceFilename relativeToVRT="0">{escape(name)}</SourceFilename>'
            f"<SourceBand>{index}</SourceBand></SimpleSource>"
        )

    holds_data = ""
    if mask is not None:
        holds_data = (
            f'<MaskBand><VRTRasterBand dataType="Byte">{simple(mask, 1)}</VRTRasterBand></MaskBand>'
        )
    return (
        f'<VRTDataset rasterXSize="{native.width}" rasterYSize="{native.height}">{where}'
        f'<VRTRasterBand dataType="Float32" band="1">{simple(source, band)}</VRTRasterBand>'
        f"{holds_data}</VRTDataset>"
    )
