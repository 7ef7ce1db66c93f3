"""Reading a scene: from any raster to grey values on a metric grid."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from icefront.errors import IcefrontError, naming
from icefront.scenes.access import is_gdal_name
from icefront.scenes.nodata import INVALID
from icefront.scenes.scene import Scene
from icefront.scenes.survey import Survey, survey
from icefront.scenes.survey_of_part import survey_of_part
from icefront.scenes.warp import warp_band, warp_values
from icefront.scenes.working_grid import AskedPixelSize, Part

_ROWS = 512


def open_scene(
    path: str | os.PathLike[str],
    *,
    band: int | str | None = None,
    pixel_size_m: AskedPixelSize = None,
    radiometry: str = "auto",
    part: Part | None = None,
) -> Scene:
    """Read one SAR image as a network takes it.

    Parameters
    ----------
    path : path or str
        Anything that rasterio reads, in any CRS, also with ground control points (Sentinel-1
        GRD) or without any georeference (CaFFe's PNGs).
    band : int or str, optional
        Number from 1, description or polarisation of the band; only needed where a file has
        several and does not tell which is the SAR image.
    pixel_size_m : float, (float, float) or "pixels", optional
        For an image without CRS: the side of a pixel in metres, one number or (rows, columns),
        instead of what a CaFFe name says; "pixels" if it is unknown. For an image with CRS: the
        side of the pixels of the scene, one number, instead of the native one.
    radiometry : str
        What the values are: ``auto``, ``grey``, ``stretched``, ``power``, ``amplitude``, ``db``
        or ``dn`` (see `icefront.scenes.radiometry`). What ``auto`` decided is in the notes.
    part : callable, optional
        Called with the grid of the scene; returns the rows and columns that are needed, or None
        for all. Where a sample of the rest says enough, no more of the file than the part and
        that sample is decoded: see `icefront.scenes.survey_of_part`.

    Returns
    -------
    Scene
        Image float32 (H, W) in 0..1 with NaN where there is no data: masked, nodata value, NaN,
        or black swath edge. On a projected, square, north-up grid in metres (see
        `icefront.scenes.working_grid`); without CRS on the pixels of the file.

    Raises
    ------
    IcefrontError
        If the file is missing, a folder, no image, damaged or truncated where it is decoded,
        complex, without data or of one value; if it has several bands and none was chosen; or if
        an argument does not fit.

    Notes
    -----
    The file is decoded in strips into the one float32 array of the result; beside it stands one
    byte for each native pixel. A small image that is warped is kept in memory for that; a large
    one is read twice: the first pass finds what is no data and how bright the image is.
    """
    if part is not None:
        found = survey_of_part(
            path, part, band=band, pixel_size_m=pixel_size_m, radiometry=radiometry
        )
        if found is not None:
            return scene_of(found)
    return scene_of(
        survey(path, band=band, pixel_size_m=pixel_size_m, radiometry=radiometry, keep_values=True),
        part,
    )


@np.errstate(all="ignore")
def scene_of(found: Survey, part: Part | None = None) -> Scene:
    """Make the scene of a surveyed file; the codes and values of the survey are used up.

    Parameters
    ----------
    found : Survey
    part : callable, optional
        As for `open_scene`.

    Raises
    ------
    IcefrontError
        If the file cannot be warped, or holds no data on the new grid.
    """
    file, place, pixels = found.file, found.place, found.pixels
    needed = None if part is None else part(place.grid)
    if needed is not None:
        place = replace(place, grid=place.grid.part(*needed))
    values, codes = pixels.values, pixels.codes
    pixels.values = None
    del pixels.codes
    if not place.warped:
        assert values is not None
        image = values
        if needed is not None:
            # Copied, so that what is not needed is given back.
            image, codes = image[needed].copy(), codes[needed]
        for top in range(0, image.shape[0], _ROWS):
            image[top : top + _ROWS][codes[top : top + _ROWS] == INVALID] = np.nan
    elif values is not None:
        with naming(file.path):
            image = warp_values(values, codes, place)
    else:
        image = warp_band(file.path, file.band, codes, place)
        for top in range(0, image.shape[0], _ROWS):
            strip = image[top : top + _ROWS]
            if (file.scale, file.offset) != (1.0, 0.0):
                strip *= np.float32(file.scale)
                strip += np.float32(file.offset)
    del values, codes
    valid = False
    for top in range(0, image.shape[0], _ROWS):
        strip = image[top : top + _ROWS]
        valid = valid or bool(np.isfinite(strip).any())
        strip[:] = found.radiometry.apply(strip)
    if needed is None and not found.partial and not valid:
        raise IcefrontError(
            f"{os.fspath(file.path)} holds no data on a grid of {place.grid.pixel_size_m:g} m; "
            "give a smaller pixel size."
        )
    metadata = file.metadata
    return Scene(
        image=image,
        transform=place.grid.transform,
        crs=place.grid.crs,
        pixel_size_m=place.grid.pixel_size_m,
        name=file.name,
        path=None if is_gdal_name(file.path) else Path(file.path),
        glacier=metadata.glacier,
        date=metadata.date,
        sensor=metadata.sensor,
        orbit=metadata.orbit,
        polarisation=metadata.polarisation,
        radiometry=found.radiometry.kind,
        notes=found.notes,
    )
