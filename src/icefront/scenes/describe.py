"""What the program sees in a file, for `icefront info`."""

from __future__ import annotations

import os
from typing import Any

from icefront.scenes.survey import survey
from icefront.scenes.working_grid import AskedPixelSize


def describe(
    path: str | os.PathLike[str],
    *,
    band: int | str | None = None,
    pixel_size_m: AskedPixelSize = None,
    radiometry: str = "auto",
) -> dict[str, Any]:
    """Describe a file and the scene it would become, without building the scene.

    Parameters
    ----------
    path, band, pixel_size_m, radiometry
        As for `icefront.open_scene`.

    Returns
    -------
    dict
        Of plain types (ready for JSON), in this order: ``file``, ``format``, ``size`` (rows,
        columns), ``bands`` (names), ``band`` (number from 1), ``dtype``, ``value_range``,
        ``crs`` (of the file, or None), ``native_pixel_m`` (ground sides: rows, columns, or
        None), ``scene_crs``, ``scene_size``, ``scene_pixel_m`` (a number, [rows, columns] or
        None), ``warped``, ``radiometry`` (kind), ``no_data_share`` and ``black_edge_share``
        (0..1, of the file), ``glacier``, ``date`` (ISO), ``sensor``, ``polarisation``,
        ``orbit``, ``notes`` (sentences).

    Raises
    ------
    IcefrontError
        As `icefront.open_scene` does; the whole file is decoded here too.
    """
    found = survey(path, band=band, pixel_size_m=pixel_size_m, radiometry=radiometry)
    file, place, pixels = found.file, found.place, found.pixels
    native, grid, size = place.native, place.grid, place.grid.pixel_size_m
    return {
        "file": os.fspath(path),
        "format": file.driver,
        "size": [native.height, native.width],
        "bands": file.bands,
        "band": file.band,
        "dtype": file.dtype,
        "value_range": [pixels.lowest, pixels.highest],
        "crs": native.crs.to_string() if native.crs else None,
        "native_pixel_m": list(place.native_pixel_m) if place.native_pixel_m else None,
        "scene_crs": grid.crs.to_string() if grid.crs else None,
        "scene_size": [grid.height, grid.width],
        "scene_pixel_m": list(size) if isinstance(size, tuple) else size,
        "warped": place.warped,
        "radiometry": found.radiometry.kind,
        "no_data_share": pixels.no_data_fraction,
        "black_edge_share": pixels.black_edge_fraction,
        "glacier": file.metadata.glacier,
        "date": file.metadata.date.isoformat() if file.metadata.date else None,
        "sensor": file.metadata.sensor,
        "polarisation": file.metadata.polarisation,
        "orbit": file.metadata.orbit,
        "notes": list(found.notes),
    }
