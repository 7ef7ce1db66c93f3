"""What GDAL may open for a scene: which formats, which other files, and whether it may fetch.

An image is data from elsewhere. GDAL chooses a format by the content of a file, and some formats
only describe where pixels are to be had: a file named ``.tif`` may hold XML that reads any file of
this machine or asks a server. So a file is opened by a stated list of formats that hold their own
pixels; virtual rasters are opened where the name says so (``.vrt``, ``vrt://``), and only if all
they refer to lies under their own folder or under a folder that the user named; and nothing is
fetched unless the user named a remote path.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

from rasterio.env import ensure_env_with_credentials
from rasterio.io import DatasetReader

from icefront.errors import IcefrontError

DRIVERS = (
    *("GTiff", "SNAP_TIFF", "PNG", "JPEG", "BMP", "GIF", "BIGGIF", "WEBP", "PNM"),
    *("JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "JP2Lura", "JPEG2000"),
    *("netCDF", "HDF5", "HDF5Image", "HDF4", "HDF4Image", "GRIB", "NITF"),
    *("HFA", "ENVI", "EHdr", "ISCE", "ROI_PAC", "SAGA", "RST", "AAIGrid"),
    *("SAFE", "RS2", "TSX", "COSAR", "ESAT", "SAR_CEOS", "CEOS", "JAXAPALSAR", "GFF"),
)
"""Formats, by GDAL's names, that hold their own pixels or those of files beside them."""

VRT = ".vrt"
"""Suffix of files that are opened as virtual rasters."""

_MOST_XML = 64 << 20
_DEEPEST = 8
_HIERARCHICAL = ("HDF5", "HDF5Image", "netCDF")
_BY_PREFIX = {"ZARR": "Zarr", "DERIVED_SUBDATASET": "DERIVED"}
_REMOTE = re.compile(
    r"(?<![a-z])(?:https?|ftp|s3|gs|az|oss)://"
    r"|/vsi(?:curl|s3|gs|az|adls|oss|swift|hdfs|webhdfs)",
    re.IGNORECASE,
)
_ARCHIVE = re.compile(r"/vsi(?:zip|tar|gzip|7z|rar)/\{?(.*)", re.DOTALL)
_PACKED = re.compile(r"(?:zip|tar|gzip)(?:\+file)?://", re.IGNORECASE)
_MAGIC = (
    *(b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+", b"\x89PNG", b"\xff\xd8\xff"),
    *(b"\x89HDF", b"CDF\x01", b"CDF\x02", b"CDF\x05", b"\x00\x00\x00\x0cjP  ", b"EHFA_HEADER_TAG"),
)
# Files beside an image that GDAL opens with it, by their content.
_SIDE = (".ovr", ".msk")
# Roots of the descriptions that come with SAR products, whose images lie beside them.
_PRODUCTS = ("xfdu", "product", "level1product")
# Roots of XML that GDAL takes for an image, other than those of SAR products.
_DESCRIPTIONS = ("vrt", "gdal", "wms", "wmt", "wcs", "capabilities", "tilemap", "mrf")
# Elements and attributes of virtual rasters that name files, keys of arguments, keys of metadata.
_TAGS = re.compile(r"filename|sourcedataset|cutlineds|dempath", re.IGNORECASE)
_KEYS = re.compile(r"filename|dataset$|cutline_?ds|rpc_dem$", re.IGNORECASE)
_HDF5 = b"\x89HDF\r\n\x1a\n"
# Of the processor, of which a sound file takes half a second; on a busy machine that may last.
_MOST_PROCESSOR_S, _LONGEST_S = 15, 180.0
_PROBE = f"""
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, ({_MOST_PROCESSOR_S}, {_MOST_PROCESSOR_S}))
except (ImportError, ValueError, OSError):
    pass
import rasterio.io
with rasterio.Env():
    rasterio.io.DatasetReader(sys.argv[1], driver=sys.argv[2:])
"""
_MOST_BEFORE_HDF5 = 1 << 17
_CLASSIC = (b"CDF\x01", b"CDF\x02")
_METADATA_KEYS = re.compile(r"[xy]_dataset|overview_file|mask_file", re.IGNORECASE)
# Elements whose text is free.
_FREE = {"srs", "description", "gcplist", "expression", "category", "metadata", "historyitem"}

# Roots of XML that holds vectors itself: GML, KML, GPX, OpenStreetMap, GeoRSS.
_VECTOR_ROOTS = ("featurecollection", "gml", "kml", "gpx", "osm", "rss", "feed")

_input_folders: ContextVar[tuple[str, ...]] = ContextVar("input_folders", default=())


@contextmanager
def input_folders(folders: Iterable[str | os.PathLike[str]]) -> Iterator[None]:
    """Let virtual rasters refer to files under these folders, since the user named them."""
    named = {os.path.realpath(folder) for folder in folders}
    token = _input_folders.set((*_input_folders.get(), *sorted(named)))
    try:
        yield
    finally:
        _input_folders.reset(token)


@dataclass(frozen=True)
class Access:
    """How GDAL may open what a user named.

    Attributes
    ----------
    name : str
        What GDAL calls it: an absolute path, or the name as given.
    drivers : list of str
        The only formats that may be tried.
    remote : bool
        Whether the user named something that has to be fetched.
    """

    name: str
    drivers: list[str]
    remote: bool = False


def is_gdal_name(path: str | os.PathLike[str]) -> bool:
    """Tell names that only GDAL understands (URLs, archives, subdatasets) from file paths."""
    text = os.fspath(path)
    if os.path.exists(text):
        return False
    if text.startswith("/vsi") or "://" in text:
        return True
    prefix, colon, _ = text.partition(":")
    return bool(colon) and len(prefix) > 1 and prefix.replace("_", "").isalnum()


def access_to(path: str | os.PathLike[str]) -> Access:
    """Decide how a path may be opened, after a look at all that its file refers to.

    Parameters
    ----------
    path : path or str
        A file, or a name that only GDAL understands.

    Returns
    -------
    Access

    Raises
    ------
    IcefrontError
        If a local file holds a description of other files where an image should be, or refers to
        what is missing, lies elsewhere or would have to be fetched.
    """
    text = os.fspath(path)
    if text.lower().startswith("file://"):
        text = text[len("file://") :]
    if not is_gdal_name(text):
        _Check.of(text).file(text)
        return Access(os.path.abspath(text), _drivers_for(text))
    remote = bool(_REMOTE.search(text))
    if not remote and not text.startswith("/vsi") and not _PACKED.match(text):
        inside = _file_in(text, os.getcwd())
        if not os.path.exists(inside):
            raise IcefrontError(f"{text} names no file that exists; check the name.")
        _Check.of(inside).part(text, os.getcwd())
    return Access(text, _drivers_for(text), remote)


def check_opened(src: DatasetReader, access: Access) -> None:
    """Check what a virtual raster in an archive or on a server refers to, before it is read.

    Raises
    ------
    IcefrontError
        If it refers to anything that is no image under its own folder.
    """
    if src.driver != "VRT":
        return
    own = src.files[0] if src.files else access.name
    if not own.startswith("/vsi") or own.startswith("/vsimem/"):
        return
    folder = own.rpartition("/")[0]
    for name, relative in _references(_parsed(src.tags(ns="xml:VRT")["xml:VRT"], own)):
        full = _normal(f"{folder}/{name}" if relative else name)
        if not full.startswith(folder + "/") or full.lower().endswith(VRT):
            raise IcefrontError(
                f"{access.name} refers to {name}, which is no image under its own folder; give "
                "that image itself."
            )


def _normal(name: str) -> str:
    """Return a name of GDAL without ``.`` and ``..``; a URL keeps its two slashes."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _drivers_for(text: str) -> list[str]:
    if text.lower().startswith("vrt://"):
        return ["VRT"]
    prefix = _BY_PREFIX.get(text.partition(":")[0].upper())
    drivers = list(DRIVERS)
    if text.startswith("/vsi") or _REMOTE.search(text) or _PACKED.match(text):
        # What these refer to cannot be looked at before it is read.
        drivers = [name for name in drivers if name not in _HIERARCHICAL]
    if text.partition("?")[0].lower().endswith(VRT):
        return [*drivers, "VRT"]
    return [*drivers, *([] if prefix is None else [prefix])]


def _file_in(name: str, folder: str) -> str:
    """Return the local file that a name leads to; it need not exist.

    ``NETCDF:"a.nc":band``, ``GTIFF_DIR:2:a.tif``, ``vrt://a.tif?bands=2``, ``/vsizip/a.zip/b.tif``.
    """
    plain = os.path.join(folder, name)
    if os.path.exists(plain):
        return plain
    if name.lower().startswith("vrt://"):
        return _file_in(name[len("vrt://") :].partition("?")[0], folder)
    archive = _ARCHIVE.fullmatch(name)
    parts, sign = (archive[1].split("/"), "/") if archive else (name.split(":"), ":")
    for first in (0,) if archive else range(1, len(parts)):
        for last in range(len(parts), first, -1):
            inner = sign.join(parts[first:last]).strip('"}')
            if inner and os.path.exists(os.path.join(folder, inner)):
                return os.path.join(folder, inner)
    return plain


@dataclass(frozen=True)
class _Check:
    """A look at a file and all that it refers to.

    Attributes
    ----------
    top : str
        The file that the user named.
    folders : tuple of str
        Where what it refers to may lie.
    depth : int
        How many files lead from one to the next.
    """

    top: str
    folders: tuple[str, ...]
    depth: int = 0

    @classmethod
    def of(cls, file: str) -> _Check:
        own = {os.path.dirname(os.path.abspath(file)), os.path.dirname(os.path.realpath(file))}
        return cls(file, (*(os.path.realpath(folder) for folder in own), *_input_folders.get()))

    def file(self, file: str) -> None:
        """Check a file that is opened by the stated formats."""
        if not os.path.isfile(file):
            return
        for side in _SIDE:
            beside = file + side
            if os.path.isfile(beside) and not _start_of(beside).startswith(_MAGIC):
                raise IcefrontError(f"{beside} beside {file} is no image; remove it.")
        if os.path.isfile(file + ".aux.xml"):
            self._metadata(file + ".aux.xml")
        start = _start_of(file)
        if _is_hdf5(file):
            self._hierarchical(file)
        if start.startswith(_CLASSIC):
            _check_classic(file)
        if not start.startswith(b"<"):
            return
        root = _root_name(start)
        if root == "vrtdataset" and file.lower().endswith(VRT):
            self._virtual(file)
        elif root in _PRODUCTS:
            self._product(file)
        else:
            raise IcefrontError(
                f"{file} holds XML that describes other images, not an image; give an image, or "
                "name a virtual raster .vrt."
            )

    def part(self, name: str, folder: str) -> None:
        """Check a file that another one leads to, which GDAL opens by its content alone."""
        if _REMOTE.search(name):
            raise IcefrontError(
                f"{self.top} refers to {name}, which is not fetched for a local file; download "
                "it, or give its address."
            )
        file = _file_in(name, folder)
        self._place(file, name)
        if not os.path.exists(file):
            raise IcefrontError(
                f"{self.top} is put together from other files, of which {name} does not exist; "
                "put it there, or make the file anew."
            )
        if self.depth == _DEEPEST:
            raise IcefrontError(f"{self.top} refers to itself or too deep; give the image itself.")
        inner = replace(self, depth=self.depth + 1)
        packed = _ARCHIVE.fullmatch(name.lower().removeprefix("vrt://"))
        if os.path.isdir(file):
            image = name.upper().startswith("ZARR:")
        elif packed:
            image = _opens(name)
        else:
            inner.file(file)
            image = _start_of(file).startswith((b"<", *_MAGIC)) or _opens(file)
        if not image:
            raise IcefrontError(
                f"{self.top} leads to {name}, which is not an image in a format that is known; "
                "give an image."
            )

    def _place(self, file: str, name: str) -> None:
        real = Path(os.path.realpath(file))
        if not any(real.is_relative_to(folder) for folder in self.folders):
            raise IcefrontError(
                f"{self.top} refers to {name}, which lies outside of its folder; put the files "
                "beside it, or give the image itself."
            )

    def _virtual(self, file: str) -> None:
        folder = os.path.dirname(os.path.realpath(file))
        for name, relative in _references(_parsed(_text_of(file), file)):
            self.part(name, folder if relative else os.getcwd())

    def _metadata(self, file: str) -> None:
        """Check what GDAL's metadata beside an image refer to; damaged ones are ignored by it."""
        try:
            found = list(_references(_parsed(_text_of(file), file)))
        except IcefrontError:
            return
        for name, _ in found:
            name = name.removeprefix(":::BASE:::")
            inner = _file_in(name, os.path.dirname(os.path.abspath(file)))
            if _REMOTE.search(name) or os.path.exists(inner):
                self.part(name, os.path.dirname(os.path.abspath(file)))

    def _hierarchical(self, file: str) -> None:
        """Check the files that datasets and links of HDF5 lead to."""
        own = os.path.dirname(os.path.realpath(file))
        for name in _files_of_hdf5(file):
            self._place(os.path.join(own, name), name)
            # A relative name may also be looked for where the program was started.
            for inner in {os.path.join(own, name), os.path.abspath(name)}:
                if os.path.exists(inner):
                    self._place(inner, name)
                    if self.depth < _DEEPEST and os.path.realpath(inner) != os.path.realpath(file):
                        replace(self, depth=self.depth + 1).file(inner)
        about = os.stat(file)
        _check_ends(os.path.realpath(file), about.st_size, about.st_mtime_ns)

    def _product(self, file: str) -> None:
        """Check the files that the description of a SAR product refers to."""
        folder = os.path.dirname(os.path.abspath(file))
        for element in _parsed(_text_of(file), file).iter():
            for value in (element.text, *element.attrib.values()):
                name = (value or "").strip()
                inner = os.path.join(folder, name)
                if not 0 < len(name) < 1024 or not os.path.isfile(inner):
                    continue
                self._place(inner, name)
                start = _start_of(inner)
                if not start.startswith(b"<") or _root_name(start).startswith(_DESCRIPTIONS):
                    self.file(inner)


@ensure_env_with_credentials
def open_image(name: str, drivers: Iterable[str] = DRIVERS) -> DatasetReader:
    """Open an image for reading by stated formats only.

    Parameters
    ----------
    name : str
        As GDAL calls it.
    drivers : iterable of str
        GDAL's names of the formats that may be tried.

    Returns
    -------
    rasterio data set

    Raises
    ------
    rasterio.errors.RasterioIOError
        If it cannot be opened by any of them.
    """
    return DatasetReader(name, driver=list(drivers))


def check_vectors(path: str | os.PathLike[str]) -> None:
    """Refuse a file that only describes where lines and polygons are to be had.

    GDAL reads such a file whatever it is called, and would open other files or ask a server.

    Raises
    ------
    IcefrontError
        If it is one.
    """
    file = os.fspath(path)
    if not os.path.isfile(file):
        return
    start = _start_of(file)
    described = start.startswith(b"<") and _root_name(start) not in _VECTOR_ROOTS
    if described or b"gdal_streamed_alg" in start:
        raise IcefrontError(
            f"{file} describes where lines and polygons are to be had, and holds none; give the "
            "file that holds them."
        )


def _opens(name: str) -> bool:
    """Tell whether a name can be opened by the stated formats."""
    try:
        open_image(name).close()
    except Exception:
        return False
    return True


def _start_of(file: str) -> bytes:
    try:
        with open(file, "rb") as stream:
            return stream.read(2048).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError as error:
        raise IcefrontError(f"{file} cannot be read; check its permissions.") from error


def _is_hdf5(file: str) -> bool:
    """Tell whether a file is HDF5: its signature stands at the start or after a block of others."""
    with open(file, "rb") as stream:
        start = stream.read(_MOST_BEFORE_HDF5)
    return any(start.startswith(_HDF5, place) for place in (0, *(512 << step for step in range(8))))


@lru_cache(maxsize=64)
def _check_ends(file: str, size: int, mtime_ns: int) -> None:
    """Open a file of HDF5 in a process of its own: a damaged one can keep GDAL busy for ever.

    Parameters
    ----------
    file : str
    size, mtime_ns : int
        Of the file: one that has changed is tried again.

    Raises
    ------
    IcefrontError
        If that takes more than `_MOST_PROCESSOR_S` of the processor or `_LONGEST_S` in all, or the
        process crashes.
    """
    command = [sys.executable, "-c", _PROBE, file, *DRIVERS]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_LONGEST_S, check=False)
    except subprocess.TimeoutExpired:
        failed = True
    else:
        failed = done.returncode < 0
    if failed:
        raise IcefrontError(f"{file} is damaged, so that it cannot be opened; fetch it anew.")


def _files_of_hdf5(file: str) -> set[str]:
    """Return the names of all files that an HDF5 file refers to; none of them is opened."""
    import h5py

    names: set[str] = set()

    def visit(name: str, link: object) -> None:
        if isinstance(link, h5py.ExternalLink):
            names.add(os.fspath(link.filename))
        elif isinstance(link, h5py.HardLink):
            item = content[name]
            if isinstance(item, h5py.Dataset):
                names.update(os.fsdecode(part[0]) for part in item.external or ())
                if item.is_virtual:
                    names.update(source.file_name for source in item.virtual_sources())

    try:
        with h5py.File(file, "r") as content:
            content.visititems_links(visit)
    except Exception as error:  # whatever the library raises for a damaged file
        raise IcefrontError(f"{file} is damaged or cut short; fetch it again.") from error
    return names - {".", ""}


def _check_classic(file: str) -> None:
    """Refuse a damaged header of NetCDF 3, on which GDAL's library may crash or take all memory."""
    from scipy.io import netcdf_file

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of maps of values nobody asked for
            netcdf_file(file, "r", mmap=True).close()
    except Exception as error:  # whatever the library raises for a damaged file
        raise IcefrontError(f"{file} is damaged or cut short; fetch it again.") from error


def _root_name(start: bytes) -> str:
    """Return the name of the first element of XML in lower case, without its namespace."""
    text = re.sub(rb"<!--.*?-->|<\?.*?\?>|<!DOCTYPE[^>]*>", b"", start, flags=re.DOTALL)
    found = re.match(rb"\s*<(?:[\w.-]+:)?([\w.-]+)", text)
    return found[1].decode("ascii", "replace").lower() if found else ""


def _text_of(file: str) -> str:
    with open(file, "rb") as stream:
        content = stream.read(_MOST_XML + 1)
    if len(content) > _MOST_XML:
        raise IcefrontError(f"{file} is XML of more than 64 MB; give the image itself.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _parsed(text: str, file: str) -> ElementTree.Element:
    # Comments stay: GDAL takes the text before one for the whole.
    builder = ElementTree.TreeBuilder(insert_comments=True, insert_pis=True)
    try:
        return ElementTree.fromstring(text, ElementTree.XMLParser(target=builder))
    except (ElementTree.ParseError, ValueError) as error:
        raise IcefrontError(f"{file} is damaged XML; fetch or make it again.") from error


def _references(element: ElementTree.Element) -> Iterator[tuple[str, bool]]:
    """Yield the names in a description, and whether each is relative to its folder.

    GDAL reads XML without regard to case, and takes attributes for elements.
    """
    if not isinstance(element.tag, str):
        return
    tag = element.tag.lower()
    own = {name.lower(): value.strip() for name, value in element.attrib.items()}
    if tag == "metadata" and own.get("format", "").lower() == "xml":
        return
    text, key = (element.text or "").strip(), own.get("key", own.get("name", ""))
    relative = own.get("relativetovrt", "0") not in ("", "0")
    if tag == "mdi":
        named = bool(_METADATA_KEYS.fullmatch(key))
    else:
        place = tag not in _FREE and _looks_like_a_place(text)
        named = bool(_TAGS.search(tag) or _KEYS.search(key)) or place
    if text and named:
        yield text, relative
    for name, value in own.items():
        if value and tag != "mdi" and (_TAGS.search(name) or _looks_like_a_place(value)):
            yield value, relative
    for inner in element:
        yield from _references(inner)


def _looks_like_a_place(text: str) -> bool:
    return text.startswith(("/", "<", "..")) or bool(_REMOTE.search(text))


def folders_of(paths: Iterable[object]) -> list[str]:
    """Return the folders of those of the paths that are local files, for `input_folders`."""
    names = [os.fspath(path) for path in paths if isinstance(path, (str, os.PathLike))]
    return sorted(
        {os.path.dirname(os.path.abspath(name)) for name in names if os.path.isfile(name)}
    )
