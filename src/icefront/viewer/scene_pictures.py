"""The pictures of the scenes of a project: those that are there, and those made when asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import rasterio
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.errors import RasterioError

from icefront.errors import IcefrontError
from icefront.projects.catalogue import DONE, NO_FRONT, scene_folder
from icefront.projects.pictures import (
    READING,
    SUFFIX,
    file_in_project,
    is_plain_name,
    make_picture,
    open_picture,
)
from icefront.projects.smoothing import configuration_of
from icefront.viewer.picture_maker import PictureMaker

_log = logging.getLogger(__name__)


class ScenePictures:
    """The pictures of a project.

    Parameters
    ----------
    folder : Path
        The project.
    scratch : Path, optional
        Where pictures are kept if not in the project.
    """

    def __init__(self, folder: Path, scratch: Path | None) -> None:
        self.folder, self.scratch = folder, scratch
        self._maker = PictureMaker()
        self._made_from: dict[Path, tuple[int, str]] = {}

    def close(self) -> None:
        """Make nothing more."""
        self._maker.close()

    def state(self, row: Mapping[str, Any]) -> tuple[str, str | None]:
        """Tell whether the picture of a scene is ready, can be made later, or is gone, and why."""
        if self._file(row) is not None:
            return "ready", None
        if row["state"] not in (DONE, NO_FRONT):
            return "gone", "This scene was not extracted, so that there is no picture of it."
        try:
            there = Path(row["path"]).is_file()
        except (OSError, ValueError):
            there = False
        if there:
            return "later", None
        return "gone", f"The file {row['path']} is gone, so that there is no picture of it."

    def of(self, row: Mapping[str, Any], crs: CRS) -> Future[Path]:
        """Return the picture of a scene on a map once it is there; it is made first if need be."""
        path = self._file(row)
        if path is None or self._source(path, crs) != row["sha256"]:
            return self._ask(row, crs)
        ready: Future[Path] = Future()
        ready.set_result(path)
        return ready

    def later(self, row: Mapping[str, Any], crs: CRS) -> None:
        """Have the picture of a scene made when nothing else is to be done."""
        if self.state(row)[0] == "later":
            self._ask(row, crs, later=True)

    def _ask(self, row: Mapping[str, Any], crs: CRS, *, later: bool = False) -> Future[Path]:
        config, _ = configuration_of(self.folder)
        folder = None if self.scratch is None else self.scratch / str(row["fid"])
        make = partial(make_picture, self.folder, row, crs, config, folder)
        return self._maker.ask(row["fid"], make, later=later)

    def _file(self, row: Mapping[str, Any]) -> Path | None:
        """Return the picture of a scene if it is there."""
        if not is_plain_name(row["name"]):
            return None
        if self.scratch is not None:
            path = self.scratch / str(row["fid"]) / f"{row['name']}{SUFFIX}"
            return path if path.is_file() else None
        path = scene_folder(self.folder, row["glacier"]) / f"{row['name']}{SUFFIX}"
        return file_in_project(self.folder, path)

    def _source(self, path: Path, crs: CRS) -> str:
        """Return the SHA-256 of the scene that a picture was made from; nothing on another map."""
        changed = path.stat().st_mtime_ns
        known = self._made_from.get(path)
        if known is None or known[0] != changed:
            source = ""
            try:
                with rasterio.Env(**READING), open_picture(path) as raster:
                    if CRS.from_user_input(raster.crs) == crs and raster.count == 1:
                        source = raster.tags().get("SCENE_SHA256", "")
            except (IcefrontError, RasterioError, CRSError, ValueError, TypeError) as error:
                _log.warning("%s", error)
            known = self._made_from[path] = (changed, source)
        return known[1]
