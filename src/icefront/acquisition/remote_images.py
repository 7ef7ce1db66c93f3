"""Windows of images on servers, through GDAL, and on a map grid."""

from __future__ import annotations

import hashlib
import math
import re
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError, WindowError
from rasterio.io import DatasetReader
from rasterio.warp import Resampling, reproject, transform_bounds
from rasterio.windows import Window

from icefront.acquisition.signing import Signer
from icefront.errors import IcefrontError
from icefront.files.downloads import RemoteFile, fetch
from icefront.files.ranges import (
    NoRangesError,
    RemoteBytes,
    RemoteFileView,
    Traffic,
    read_small,
    shown,
)
from icefront.grid import Grid

AVERAGE_ABOVE = 1.5
"""Above this ratio of new to old pixel size, areas are averaged instead of interpolated."""

_MARGIN_PX = 3
_ENVIRONMENT = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "nothing",
    "GDAL_CACHEMAX": 64 << 20,
}


@dataclass(frozen=True)
class Source:
    """How the files of a run are read.

    Attributes
    ----------
    signer : callable
    traffic : Traffic
    scratch : Path
        Where whole files lie of servers that send nothing else; what is not finished is gone on
        with by the next run.
    """

    signer: Signer
    traffic: Traffic
    scratch: Path

    def content(self, href: str) -> bytes:
        """Read a small file, such as one of XML."""
        return read_small(lambda anew: self.signer(href, anew), self.traffic)

    @contextmanager
    def image(self, href: str) -> Iterator[Image]:
        """Open an image on a server.

        Parameters
        ----------
        href : str
            As the catalogue states it.

        Yields
        ------
        Image

        Raises
        ------
        IcefrontError
            If it cannot be had, or is no image.
        """
        try:
            remote = RemoteBytes(lambda anew: self.signer(href, anew), self.traffic)
        except NoRangesError:
            with self._fetched(href) as path, _opened(str(path), href) as src:
                yield Image(href, src, None)
            return
        called = _name_in(href)

        def opener(path: str, mode: str = "rb", **options: Any) -> RemoteFileView:
            # GDAL asks for files beside the image, too; none of them is needed.
            if path != called:
                raise FileNotFoundError(path)
            return RemoteFileView(remote)

        with _told(remote, href), _opened(called, href, opener=opener) as src:
            yield Image(href, src, remote)

    def over(self, grid: Grid) -> Callable[[str], AbstractContextManager[DatasetReader]]:
        """Return what opens images by their addresses, with the blocks there that show a grid."""

        @contextmanager
        def opened(href: str) -> Iterator[DatasetReader]:
            with self.image(href) as image, image.telling():
                window = image.window(grid)
                if window is not None:
                    image.prefetch(window)
                yield image.src

        return opened

    @contextmanager
    def _fetched(self, href: str) -> Iterator[Path]:
        """Fetch a whole file, and remove it after use."""
        url = self.signer(href, False)
        self.scratch.mkdir(parents=True, exist_ok=True)
        path, _, _ = fetch(
            RemoteFile(f"{_digest(href)}-{_name_in(href)}", url), self.scratch, progress=False
        )
        self.traffic.count(path.stat().st_size)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Image:
    """An open image of a server.

    Attributes
    ----------
    href : str
    src : rasterio data set
    remote : RemoteBytes or None
        None where the whole file lies on this machine.
    """

    href: str
    src: DatasetReader
    remote: RemoteBytes | None

    @property
    def name(self) -> str:
        """What GDAL calls it while it is open."""
        return str(self.src.name)

    def read(self, window: Window, band: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return values as stored and where they are data, float32 and bool (h, w)."""
        self.prefetch(window, band)
        with _told(self.remote, self.href):
            values = self.src.read(band, window=window, out_dtype="float32")
            valid = self.src.read_masks(band, window=window) > 0
        return values, valid & np.isfinite(values)

    def prefetch(self, window: Window, band: int = 1) -> None:
        """Fetch the blocks of a window in few requests, of a GeoTIFF."""
        if self.remote is not None:
            self.remote.prefetch(self._ranges(window, band))

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Let an error of the server win over that of a library which reads the image by name."""
        with _told(self.remote, self.href):
            yield

    def _ranges(self, window: Window, band: int) -> list[tuple[int, int]]:
        """Return where in the file the blocks of a window lie, of a GeoTIFF."""
        height, width = self.src.block_shapes[band - 1]
        top, left = int(window.row_off), int(window.col_off)
        bottom, right = top + int(window.height), left + int(window.width)
        found = []
        for row in range(top // height, -(-bottom // height)):
            for column in range(left // width, -(-right // width)):
                begin, size = (
                    self.src.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=band)
                    for what in ("OFFSET", "SIZE")
                )
                if begin and size:
                    found.append((int(begin), int(begin) + int(size)))
        return found

    def on_grid(self, grid: Grid, *, positive: bool, band: int = 1) -> np.ndarray | None:
        """Read what lies on a grid, and put it there.

        Parameters
        ----------
        grid : Grid
            With a CRS.
        positive : bool
            Values of zero and less are no data, as they are in images of power.
        band : int

        Returns
        -------
        float32 (H, W) or None
            Interpolated bilinearly, or averaged where a pixel of the grid is more than half as
            large again; NaN where there is no data. None where the image does not touch the grid.

        Raises
        ------
        IcefrontError
            If the image has no CRS or cannot be read.
        """
        window = self.window(grid)
        if window is None:
            return None
        values, valid = self.read(window, band)
        if positive:
            valid &= values > 0
        values[~valid] = np.nan
        assert grid.crs is not None
        target = np.full(grid.shape, np.nan, np.float32)
        native = math.sqrt(abs(self.src.transform.determinant))
        average = grid.side_on_map > AVERAGE_ABOVE * native
        reproject(
            values,
            target,
            src_transform=self.src.window_transform(window),
            src_crs=self.src.crs,
            src_nodata=np.nan,
            dst_crs=rasterio.crs.CRS.from_wkt(grid.crs.to_wkt()),
            dst_transform=grid.transform,
            dst_nodata=np.nan,
            init_dest_nodata=True,
            resampling=Resampling.average if average else Resampling.bilinear,
        )
        return target

    def window(self, grid: Grid) -> Window | None:
        """Return the window that shows a grid, or None if none does.

        Raises
        ------
        IcefrontError
            If the image has no CRS.
        """
        if self.src.crs is None:
            raise IcefrontError(f"{shown(self.href)} has no CRS: it cannot be put on a map.")
        assert grid.crs is not None
        bounds = transform_bounds(
            rasterio.crs.CRS.from_wkt(grid.crs.to_wkt()), self.src.crs, *grid.outline().bounds, 21
        )
        inverse = ~self.src.transform
        corners = [inverse * (x, y) for x in bounds[0::2] for y in bounds[1::2]]
        columns, rows = (np.array(axis) for axis in zip(*corners, strict=True))
        left, top = math.floor(columns.min()) - _MARGIN_PX, math.floor(rows.min()) - _MARGIN_PX
        right, bottom = math.ceil(columns.max()) + _MARGIN_PX, math.ceil(rows.max()) + _MARGIN_PX
        wanted = Window(left, top, right - left, bottom - top)
        try:
            return wanted.intersection(Window(0, 0, self.src.width, self.src.height))
        except WindowError:
            return None


@contextmanager
def _opened(name: str, href: str, **options: Any) -> Iterator[DatasetReader]:
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(**_ENVIRONMENT))
        try:
            # Nothing but the two formats of catalogues is tried.
            driver = "JP2OpenJPEG" if name.lower().endswith(".jp2") else "GTiff"
            src = stack.enter_context(rasterio.open(name, driver=driver, **options))
        except RasterioError as error:
            raise IcefrontError(f"{shown(href)} is no image, or a damaged one.") from error
        yield src


@contextmanager
def _told(remote: RemoteBytes | None, href: str) -> Iterator[None]:
    """Let an error of the server win over that of GDAL, which only saw that bytes were missing."""
    try:
        yield
    except (RasterioError, IcefrontError) as error:
        if remote is not None and remote.failure is not None:
            raise remote.failure from error
        if isinstance(error, IcefrontError):
            raise
        raise IcefrontError(
            f"{shown(href)} is damaged or cut short: it may be mended when fetched later."
        ) from error


def _name_in(href: str) -> str:
    name = PurePosixPath(urllib.parse.urlsplit(href).path).name
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name) or "image.tif"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
