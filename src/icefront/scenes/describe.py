"""What the program sees in a file, for `icefront info`."""

from __future__ import annotations

import os
from typing import Any

from icefront.scenes.survey import AskedPixelSize, survey


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
    size = found.grid.pixel_size_m
    return {
        "file": os.fspath(path),
        "format": found.driver,
        "size": [found.native.height, found.native.width],
        "bands": found.bands,
        "band": found.band,
        "dtype": found.dtype,
        "value_range": [found.lowest, found.highest],
        "crs": found.native.crs.to_string() if found.native.crs else None,
        "native_pixel_m": list(found.native_pixel_m) if found.native_pixel_m else None,
        "scene_crs": found.grid.crs.to_string() if found.grid.crs else None,
        "scene_size": [found.grid.height, found.grid.width],
        "scene_pixel_m": list(size) if isinstance(size, tuple) else size,
        "warped": found.warped,
        "radiometry": found.radiometry.kind,
        "no_data_share": found.no_data_share,
        "black_edge_share": found.black_edge_share,
        "glacier": found.metadata.glacier,
        "date": found.metadata.date.isoformat() if found.metadata.date else None,
        "sensor": found.metadata.sensor,
        "polarisation": found.metadata.polarisation,
        "orbit": found.metadata.orbit,
        "notes": list(found.notes),
    }
