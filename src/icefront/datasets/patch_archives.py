"""Small archives in SSL4SAR's layout out of co-registered patches of Sentinel-1 and Sentinel-2.

Patches as foundation models are trained on: calibrated radar (VV and VH in dB) and surface
reflectance in twelve bands, a file each under one name. They need not show a glacier; an archive of
them exercises pretraining on real data.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile

from icefront import __version__
from icefront.datasets.ssl4sar import CHANNELS, FOLDERS, OPTICAL_FOLDER
from icefront.errors import IcefrontError
from icefront.files.atomic import writing
from icefront.scenes.radiometry import to_grey

POLARISATIONS = ("VV", "VH")


def archive_from_patches(
    radar: str | Path, optical: str | Path, out: str | Path, *, validation: int = 1
) -> list[str]:
    """Write patches as an archive: each place is a "glacier" with one image a polarisation.

    Parameters
    ----------
    radar, optical : path
        Folders of GeoTIFFs with the same names: VV and VH in dB; B1 to B8, B8A, B9, B11, B12.
    out : path
        Folder of the archive, created if it does not exist.
    validation : int
        Places, the last by name, whose images are for validation.

    Returns
    -------
    list of str
        The places: the names of the files without underscores, which separate fields here.

    Raises
    ------
    IcefrontError
        If a patch has no counterpart, other bands or another size, or cannot be read or written.

    Notes
    -----
    Such patches have neither water vapour nor a scene classification. The first is estimated by
    the fraction of light that band 9, in an absorption line of water vapour, loses against band 8A;
    the second by thresholds on normalised differences, in the codes of Sentinel-2 (4 vegetation, 5
    not vegetated, 6 water, 11 snow).
    """
    folder = Path(out)
    names = sorted(p.stem for p in Path(radar).glob("*.tif"))
    if not names:
        raise IcefrontError(f"There are no patches (.tif) in {radar}.")
    if validation >= len(names):
        raise IcefrontError(
            f"{len(names)} patches cannot give {validation} for validation and some to learn from."
        )
    places = []
    for number, name in enumerate(names):
        decibel, profile = _read(Path(radar) / f"{name}.tif", len(POLARISATIONS))
        reflectance, other = _read(Path(optical) / f"{name}.tif", 12)
        if (profile["width"], profile["height"]) != (other["width"], other["height"]):
            raise IcefrontError(f"The patches {name} in {radar} and {optical} differ in size.")
        place = name.replace("_", "")
        part = FOLDERS["val" if number >= len(names) - validation else "train"]
        grey = np.nan_to_num(np.rint(255 * to_grey(decibel, "db"))).astype(np.uint8)
        for band, polarisation in enumerate(POLARISATIONS):
            file = folder / part / f"S1_{place}_{polarisation}.tif"
            _write(file, grey[band][None], profile)
        _write(folder / OPTICAL_FOLDER / f"{place}_S2.tif", _fourteen(reflectance), other)
        places.append(place)
    return places


def _fourteen(reflectance: np.ndarray) -> np.ndarray:
    """Add water vapour and scene classification, each channel over its maximum in 8 bit."""
    bands = dict(zip(CHANNELS, reflectance.astype(np.float32), strict=False))

    def difference(a: str, b: str) -> np.ndarray:
        return (bands[a] - bands[b]) / np.maximum(bands[a] + bands[b], 1)

    vapour = np.clip(1 - bands["B9"] / np.maximum(bands["B8A"], 1), 0, 1)
    classes = np.full(vapour.shape, 5, np.float32)
    classes[difference("B8", "B4") > 0.3] = 4
    classes[difference("B3", "B8") > 0.1] = 6
    classes[(difference("B3", "B11") > 0.4) & (bands["B3"] > 2000)] = 11
    stack = np.concatenate([reflectance.astype(np.float32), [vapour], [classes]])
    top = np.maximum(stack.reshape(len(stack), -1).max(1), 1e-6)
    return np.rint(255 * np.clip(stack, 0, None) / top[:, None, None]).astype(np.uint8)


def _read(path: Path, bands: int) -> tuple[np.ndarray, dict]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, driver="GTiff") as source:
                if source.count != bands:
                    raise IcefrontError(f"{path} has {source.count} bands; {bands} are expected.")
                keys = ("crs", "transform", "width", "height")
                return source.read(), {key: source.profile[key] for key in keys}
    except RasterioError as error:
        raise IcefrontError(f"The patch {path} cannot be read ({error}).") from None


def _write(path: Path, values: np.ndarray, profile: dict) -> None:
    options = {"driver": "GTiff", "count": len(values), "dtype": "uint8", "compress": "deflate"}
    # Made in memory and written in one go: GDAL may lose the error of a full disk.
    with MemoryFile() as memory:
        with memory.open(**options, **profile) as target:
            target.write(values)
            target.update_tags(software=f"icefront {__version__}")
        with writing(path) as part:
            part.write_bytes(memory.getbuffer())
