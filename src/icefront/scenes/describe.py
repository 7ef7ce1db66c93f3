"""What the program sees in a file, for `icefront info`."""

from __future__ import annotations

import os
from typing import Any

from icefront.memory import NotEnoughMemory
from icefront.scenes.survey import read_header, survey
from icefront.scenes.working_grid import AskedPixelSize

MOST_PIXELS = 1 << 29
"""Larger images are described by their header alone: a Sentinel-1 GRD has 430 million pixels."""


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
        (0..1, of the file), ``glacier``, ``date`` (ISO), ``sensor``, ``polarisation``, ``orbit``,
        ``notes`` (sentences). What only the pixels tell (``value_range``, ``radiometry`` and the
        two fractions) is None where the image has more than `MOST_PIXELS` pixels or does not fit
        into memory; a note says so.

    Raises
    ------
    IcefrontError
        As `icefront.open_scene` does; an image that is not too large is decoded here too.
    """
    file, place = read_header(path, band=band, pixel_size_m=pixel_size_m)
    native = place.native
    found, unread = None, None
    if native.height * native.width > MOST_PIXELS:
        unread = (
            f"The values are not read: the image has more than {MOST_PIXELS / 1e6:.0f} million "
            "pixels."
        )
    else:
        try:
            found = survey(path, band=band, pixel_size_m=pixel_size_m, radiometry=radiometry)
        except NotEnoughMemory as error:
            unread = f"The values are not read: {error}"
    pixels = None if found is None else found.pixels
    place = place if found is None else found.place
    grid, size = place.grid, place.grid.pixel_size_m
    return {
        "file": os.fspath(path),
        "format": file.driver,
        "size": [native.height, native.width],
        "bands": file.bands,
        "band": file.band,
        "dtype": file.dtype,
        "value_range": None if pixels is None else [pixels.lowest, pixels.highest],
        "crs": native.stated_crs.to_string() if native.stated_crs else None,
        "native_pixel_m": list(place.native_pixel_m) if place.native_pixel_m else None,
        "scene_crs": grid.crs.to_string() if grid.crs else None,
        "scene_size": [grid.height, grid.width],
        "scene_pixel_m": list(size) if isinstance(size, tuple) else size,
        "warped": place.warped,
        "radiometry": None if found is None else found.radiometry.kind,
        "no_data_share": None if pixels is None else pixels.no_data_fraction,
        "black_edge_share": None if pixels is None else pixels.black_edge_fraction,
        "glacier": file.metadata.glacier,
        "date": file.metadata.date.isoformat() if file.metadata.date else None,
        "sensor": file.metadata.sensor,
        "polarisation": file.metadata.polarisation,
        "orbit": file.metadata.orbit,
        "notes": list(
            found.notes if found else filter(None, [file.band_note, *place.notes, unread])
        ),
    }
