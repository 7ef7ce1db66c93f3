"""Sentinel-1 products on disk: the files of a polarisation in a SAFE folder or a zip of one.

Names are ESA's (``s1a-iw-grd-hh-…-001.tiff``) or those of the archive on AWS (``ew-hh.tiff``); the
XML files are found by the name of the image, since catalogues mix them up.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from icefront.acquisition.backscatter import GrdFiles
from icefront.errors import IcefrontError

_IMAGE = re.compile(r"(?:^|[-_])(?P<polarisation>hh|hv|vv|vh)(?:[-_.]|$)", re.IGNORECASE)
_MOST_XML = 64 << 20


@dataclass(frozen=True)
class NamesOfFiles:
    """Where the files of an image lie in their product, as relative paths."""

    measurement: str
    annotation: str
    calibration: str
    noise: str


def names_beside(measurement: str) -> NamesOfFiles:
    """Return the names of the XML files of an image from its own.

    Parameters
    ----------
    measurement : str
        Path or URL that ends in ``measurement/NAME.tiff``.

    Examples
    --------
    >>> names_beside("s3://bucket/P/measurement/ew-hh.tiff").noise
    's3://bucket/P/annotation/calibration/noise-ew-hh.xml'

    Raises
    ------
    IcefrontError
        If the path is of another form.
    """
    found = re.fullmatch(r"(.*?)measurement/([^/]+)\.tiff?", measurement, re.IGNORECASE)
    if found is None:
        raise IcefrontError(
            f"{measurement} is no image of a Sentinel-1 product: measurement/NAME.tiff is expected."
        )
    root, name = found.groups()
    return NamesOfFiles(
        measurement,
        f"{root}annotation/{name}.xml",
        f"{root}annotation/calibration/calibration-{name}.xml",
        f"{root}annotation/calibration/noise-{name}.xml",
    )


class NoPolarisationError(IcefrontError):
    """A product has no image of the polarisation that was asked for."""


def grd_files(product: str | Path, polarisation: str | None = None) -> GrdFiles:
    """Find the files of a polarisation in a product on disk.

    Parameters
    ----------
    product : path
        A SAFE folder, or a zip file that holds one.
    polarisation : str, optional
        HH, HV, VV or VH; may be left out if the product has one.

    Returns
    -------
    GrdFiles
        An image in a zip is read in place (``/vsizip/``).

    Raises
    ------
    NoPolarisationError
        If the product has no such polarisation.
    IcefrontError
        If it is missing, damaged or incomplete.
    """
    path = Path(product)
    if path.is_dir():
        names = [p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()]
        return _chosen(path, names, polarisation, _bytes_in_folder(path), str(path.resolve()))
    if not path.exists():
        raise IcefrontError(f"The product {path} does not exist.")
    try:
        with zipfile.ZipFile(path) as packed:
            return _chosen(
                path,
                packed.namelist(),
                polarisation,
                _bytes_in_zip(packed, path),
                f"/vsizip/{{{path.resolve()}}}",
            )
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        raise IcefrontError(
            f"The product {path} is no zip file or a damaged one ({error}); fetch it anew."
        ) from None


def _chosen(
    path: Path,
    names: list[str],
    polarisation: str | None,
    content: Callable[[str], bytes],
    root: str,
) -> GrdFiles:
    images = {}
    for name in sorted(names):
        parts = PurePosixPath(name)
        if parts.parent.name == "measurement" and parts.suffix.lower() in (".tif", ".tiff"):
            found = _IMAGE.search(parts.stem)
            if found:
                images[found["polarisation"].upper()] = name
    if not images:
        raise IcefrontError(
            f"{path} is no Sentinel-1 product: the folder measurement with its images is missing."
        )
    wanted = polarisation.upper() if polarisation else None
    if wanted is None and len(images) > 1:
        raise IcefrontError(f"{path} has the polarisations {', '.join(images)}: name one of them.")
    chosen = wanted or next(iter(images))
    if chosen not in images:
        raise NoPolarisationError(
            f"{path} has no polarisation {polarisation}; it has {', '.join(images)}."
        )
    beside = names_beside(images[chosen])
    missing = [n for n in (beside.annotation, beside.calibration, beside.noise) if n not in names]
    if missing:
        raise IcefrontError(f"The product {path} is incomplete: {missing[0]} is missing.")
    return GrdFiles(
        name=path.name,
        measurement=f"{root}/{beside.measurement}",
        annotation=content(beside.annotation),
        calibration=content(beside.calibration),
        noise=content(beside.noise),
    )


def _bytes_in_folder(path: Path) -> Callable[[str], bytes]:
    def content(name: str) -> bytes:
        try:
            return (path / name).read_bytes()
        except OSError as error:
            raise IcefrontError(f"{path / name} cannot be read ({error.strerror}).") from None

    return content


def _bytes_in_zip(packed: zipfile.ZipFile, path: Path) -> Callable[[str], bytes]:
    def content(name: str) -> bytes:
        if packed.getinfo(name).file_size > _MOST_XML:
            raise IcefrontError(f"{name} in {path} is too large for an XML file of a product.")
        return packed.read(name)

    return content
