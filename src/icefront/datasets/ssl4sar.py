"""SSL4SAR on disk: series of radar images and one optical image of each glacier, on one grid.

The archive of Gourmelon et al. 2025 keeps 8-bit Sentinel-1 images in ``unlabeled_data_raw_train/``
and ``unlabeled_data_raw_val/``, whose names carry the glacier as their second field between
underscores, and in ``data_optical/`` one Sentinel-2 GeoTIFF for each glacier, whose name begins
with it. Of the 20 bands of the published optical files 14 are used; files of ours hold just those.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
import unicodedata
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pyproj import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from icefront.errors import IcefrontError
from icefront.grid import Grid
from icefront.scenes.access import open_image
from icefront.scenes.metadata import find_date

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger("icefront.datasets")

Part = Literal["train", "val"]

CHANNELS = (
    *("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B11", "B12"),
    *("WVP", "SCL"),
)
"""The optical channels: twelve bands, water vapour and scene classification."""

PUBLISHED_BANDS = 20
USED_BANDS = (*range(1, 13), 14, 15)
"""Numbers, from 1, of the channels in a published file."""

FOLDERS: dict[Part, str] = {"train": "unlabeled_data_raw_train", "val": "unlabeled_data_raw_val"}
OPTICAL_FOLDER = "data_optical"
_SUFFIXES = (".tif", ".tiff", ".png")

_CAFFE_GLACIERS = {
    "Mapple": r"mapple",
    "COL": r"col(umbia.*)?$",
    "Crane": r"crane",
    "Jorum": r"jorum",
    "DBE": r"dbe$|dinsmoor|bombardier|edgeworth",
    "SI": r"si$|sjogren",
    "JAC": r"jac$|ja[ck]obshavn|ilulissat",
}
"""Glaciers of CaFFe by their names there, and how other archives may spell them."""

TEST_GLACIERS = ("Mapple", "COL")
"""Those of CaFFe's test split."""


def caffe_glacier(name: str) -> str:
    """Return CaFFe's name of a glacier that it has, and any other name as it is.

    Examples
    --------
    >>> caffe_glacier("columbia-glacier"), caffe_glacier("Jakobshavn"), caffe_glacier("Store")
    ('COL', 'JAC', 'Store')
    """
    bare = unicodedata.normalize("NFKD", name).casefold()
    plain = re.sub(r"[^a-z]", "", bare)
    return next((g for g, pattern in _CAFFE_GLACIERS.items() if re.match(pattern, plain)), name)


def shared_glaciers(names: Iterable[str], others: Iterable[str]) -> list[str]:
    """Return those of `names` that mean one of `others`, however both are spelt."""
    known = {caffe_glacier(other) for other in others}
    return [name for name in names if caffe_glacier(name) in known]


@dataclass(frozen=True)
class RadarImage:
    """One radar image: where it is, of what, and its size (H, W)."""

    name: str
    path: Path
    glacier: str
    date: dt.date | None
    part: Part
    shape: tuple[int, int]


@lru_cache
def _crs(wkt: str) -> CRS:
    return CRS.from_wkt(wkt)  # once for all images of a glacier: parsing takes milliseconds


def _grid(source: DatasetReader) -> Grid:
    crs = None if source.crs is None else _crs(source.crs.to_wkt())
    return Grid(source.height, source.width, crs, source.transform)


def _open(path: Path) -> DatasetReader:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return open_image(str(path))
    except RasterioError as error:
        raise IcefrontError(f"{path} is damaged or no image ({error}); fetch it anew.") from None


class Ssl4SarArchive:
    """Radar series and optical images of glaciers, matched by name and checked by their headers.

    Parameters
    ----------
    root : str or Path
        Folder with ``unlabeled_data_raw_train/``, ``data_optical/`` and, mostly,
        ``unlabeled_data_raw_val/``.
    exclude : iterable of str
        Glaciers to leave out.

    Attributes
    ----------
    images : list of RadarImage
        Sorted by part and name.
    optical : dict
        From glacier to the path of its optical image.
    leaked : tuple of str
        Glaciers, as they are named here, that are also in CaFFe's test split: a model that was
        pretrained on them has seen test glaciers. A warning is logged.

    Raises
    ------
    IcefrontError
        If a folder or the optical image of a glacier is missing, an image is damaged, of another
        size or grid than its optical image, not 8 bit or not named as above, an optical image has
        other bands, or nothing is left.

    Examples
    --------
    >>> from icefront.datasets.ssl4sar import Ssl4SarArchive
    >>> archive = Ssl4SarArchive("ssl4sar", exclude=["Columbia"])  # doctest: +SKIP
    >>> archive.read_optical(archive.images[0].glacier).shape  # doctest: +SKIP
    (14, 1000, 1100)
    """

    def __init__(self, root: str | Path, *, exclude: Iterable[str] = ()) -> None:
        self.root = Path(root)
        for folder in (FOLDERS["train"], OPTICAL_FOLDER):
            if not (self.root / folder).is_dir():
                raise IcefrontError(
                    f"{self.root} is not an SSL4SAR archive: the folder {folder} is missing; name "
                    "the folder that holds it, or fetch the archive (icefront download ssl4sar)."
                )
        found = [(p, part) for part, folder in FOLDERS.items() for p in _files(self.root / folder)]
        if not found:
            raise IcefrontError(
                f"The archive {self.root} is empty: there are no images in {FOLDERS['train']}."
            )
        named = [(path, part, _field(path, 1)) for path, part in found]
        present = {glacier for _, _, glacier in named}
        left_out = set(exclude)
        if unknown := sorted(left_out - present):
            raise IcefrontError(
                f"{self.root} has no glacier {', '.join(unknown)} to exclude; "
                f"it has {', '.join(sorted(present))}."
            )
        self.excluded = tuple(sorted(left_out))
        self.optical = self._match_optical(present - left_out)
        grids = {glacier: self._check_optical(path) for glacier, path in self.optical.items()}
        self.images = [
            self._check_radar(path, part, glacier, grids[glacier])
            for path, part, glacier in named
            if glacier not in left_out
        ]
        if not self.indices("train"):
            raise IcefrontError(f"{self.root} has no images in {FOLDERS['train']} for this choice.")
        self.leaked = tuple(shared_glaciers(self.glaciers, TEST_GLACIERS))
        if self.leaked:
            log.warning(self.leakage)

    @property
    def glaciers(self) -> list[str]:
        """Names of the glaciers that are used, sorted."""
        return sorted(self.optical)

    @property
    def leakage(self) -> str:
        """The warning about test glaciers, one sentence; empty if there are none."""
        if not self.leaked:
            return ""
        return (
            f"LEAKAGE: {', '.join(self.leaked)} of {self.root.name} is in the test split of CaFFe; "
            f"scores on it are not those of an unseen glacier (--exclude {self.leaked[0]})."
        )

    def _match_optical(self, wanted: set[str]) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for path in _files(self.root / OPTICAL_FOLDER):
            glacier = _field(path, 0)
            if glacier not in wanted:
                continue
            if glacier in found:
                raise IcefrontError(
                    f"The glacier {glacier} has two optical images, {found[glacier].name} and "
                    f"{path.name}; keep one."
                )
            found[glacier] = path
        if missing := sorted(wanted - set(found)):
            raise IcefrontError(
                f"The glacier {missing[0]} has no optical image in {self.root / OPTICAL_FOLDER}; "
                f"add one, or leave the glacier out (--exclude {missing[0]})."
            )
        return found

    def _check_optical(self, path: Path) -> Grid:
        with _open(path) as source:
            if source.count not in (len(CHANNELS), PUBLISHED_BANDS):
                raise IcefrontError(
                    f"The optical image {path} has {source.count} bands; {len(CHANNELS)} "
                    f"({CHANNELS[0]} to {CHANNELS[-1]}) or the {PUBLISHED_BANDS} of the published "
                    "archive are expected."
                )
            return _grid(source)

    def _check_radar(self, path: Path, part: Part, glacier: str, grid: Grid) -> RadarImage:
        with _open(path) as source:
            if source.count != 1 or source.dtypes[0] != "uint8":
                raise IcefrontError(
                    f"The radar image {path} has {source.count} bands of {source.dtypes[0]}; one "
                    "of 8 bit is expected."
                )
            own = _grid(source)
        if difference := own.difference(grid):
            raise IcefrontError(
                f"The radar image {path} is not on the grid of {self.optical[glacier].name} "
                f"({difference}); co-register them, or leave it out."
            )
        return RadarImage(path.stem, path, glacier, find_date(path.stem), part, own.shape)

    def __len__(self) -> int:
        return len(self.images)

    def indices(self, part: Part) -> list[int]:
        """Numbers of the images of a part."""
        return [i for i, image in enumerate(self.images) if image.part == part]

    def read_radar(self, index: int) -> np.ndarray:
        """Grey values, uint8 (H, W); 0 is no data."""
        return read_radar(self.images[index].path)

    def read_optical(self, glacier: str) -> np.ndarray:
        """Channels, uint8 (14, H, W), each scaled by its own maximum; see `read_optical`."""
        return read_optical(self.optical[glacier])

    def plot(
        self,
        index: int,
        *,
        window: tuple[int, int, int] | None = None,
        masked: np.ndarray | None = None,
        reconstruction: np.ndarray | None = None,
    ) -> Figure:
        """Draw a radar image beside its optical one, and a model's reconstruction.

        Parameters
        ----------
        index : int
        window : (row, column, side), optional
            The square that is drawn; all by default.
        masked : bool (h, w), optional
            Tokens that were masked, in a grid over the window.
        reconstruction : float or uint8 (14, S, S), optional
            Of the window, 0..1 or 0..255.
        """
        radar = self.read_radar(index)
        optical = self.read_optical(self.images[index].glacier)
        if window is not None:
            row, column, side = window
            cut = np.s_[..., row : row + side, column : column + side]
            radar, optical = radar[cut], optical[cut]
        name = self.images[index].name
        return plot_pairs([(name, radar, optical, masked, reconstruction)])


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES and p.name[0] not in "._"
    )


def _field(path: Path, number: int) -> str:
    """Field of a file's name between underscores."""
    fields = path.stem.split("_")
    if len(fields) <= number or not fields[number]:
        place = "second" if number else "first"
        raise IcefrontError(
            f"The name of {path} does not tell the glacier: it is the {place} field between "
            "underscores."
        )
    return fields[number]


def read_radar(path: Path) -> np.ndarray:
    """Read an 8-bit radar image, uint8 (H, W).

    Raises
    ------
    IcefrontError
        If the file is damaged.
    """
    with _open(path) as source:
        try:
            return source.read(1)
        except RasterioError as error:
            raise IcefrontError(f"{path} is damaged ({error}); fetch it anew.") from None


def read_optical(path: Path) -> np.ndarray:
    """Read the 14 channels of an optical image, each over its own maximum, in 8 bit.

    NaN, infinite and negative values and the file's no data count as 0; where there are some, the
    log says how many.

    Returns
    -------
    uint8 (14, H, W)

    Raises
    ------
    IcefrontError
        If the file is damaged, or a channel holds nothing but zeros or NaN.
    """
    out: np.ndarray | None = None
    with _open(path) as source:
        bands = USED_BANDS if source.count == PUBLISHED_BANDS else range(1, len(CHANNELS) + 1)
        lost = 0
        # A channel at a time: a published file in float32 is many times the size of the result.
        for place, (band, name) in enumerate(zip(bands, CHANNELS, strict=True)):
            try:
                values = source.read(band).astype(np.float32)
            except RasterioError as error:
                raise IcefrontError(f"{path} is damaged ({error}); fetch it anew.") from None
            bad = ~np.isfinite(values)
            if source.nodata is not None and np.isfinite(source.nodata):
                bad |= values == source.nodata
            lost += int(bad.sum())
            values[bad] = 0
            np.maximum(values, 0, out=values)
            top = float(values.max(initial=0))
            if top <= 0:
                what = "no value at all" if bad.all() else "nothing but zeros"
                raise IcefrontError(
                    f"The channel {name} (band {band}) of {path} holds {what}; replace the "
                    f"optical image, or leave the glacier out (--exclude {_field(path, 0)})."
                )
            if out is None:
                out = np.empty((len(CHANNELS), *values.shape), np.uint8)
            out[place] = np.rint(values * (255 / top))
    if lost:
        log.info("%s: %d values without data count as 0", path.name, lost)
    assert out is not None
    return out


# pictures -----------------------------------------------------------------------------------------

_MASKED = (0.82, 0.5, 0.0)

PairPicture = tuple[str, np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]
"""Title, radar (S, S), optical (14, S, S), masked tokens (h, w), reconstruction (14, S, S)."""


def natural_colours(channels: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
    """Red, green and blue of an optical image, stretched alike, float32 (H, W, 3) in 0..1.

    Parameters
    ----------
    channels : (14, H, W)
        0..255 as uint8, or 0..1.
    reference : (14, H, W), optional
        Image that sets the stretch; the same by default.
    """

    def picked(image: np.ndarray) -> np.ndarray:
        scale = 255 if image.dtype == np.uint8 else 1
        return image[[3, 2, 1]].astype(np.float32) / scale

    top = np.percentile(picked(channels if reference is None else reference), 98)
    return np.clip(picked(channels) / max(float(top), 1e-3), 0, 1).transpose(1, 2, 0)


def plot_pairs(pairs: Iterable[PairPicture]) -> Figure:
    """Draw rows of radar, optical, mask and reconstruction; what is not there is left out."""
    from matplotlib.figure import Figure

    rows = list(pairs)
    with_mask = any(r[3] is not None for r in rows)
    with_result = any(r[4] is not None for r in rows)
    columns = 2 + with_mask + with_result
    figure = Figure(figsize=(3.2 * columns, 3.4 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes, (name, radar, optical, masked, result) in zip(grid, rows, strict=True):
        for axis in axes:
            axis.set_axis_off()
        axes[0].imshow(radar, cmap="gray", vmin=0, vmax=255 if radar.dtype == np.uint8 else 1)
        axes[0].set_title(name, fontsize=8)
        axes[1].imshow(natural_colours(optical))
        axes[1].set_title("Sentinel-2", fontsize=8)
        if masked is not None:
            token = radar.shape[0] // masked.shape[0]
            fine = masked.repeat(token, 0).repeat(token, 1)
            grey = radar / 255 if radar.dtype == np.uint8 else radar
            shown = np.where(fine[..., None], _MASKED, grey[..., None])
            axes[2].imshow(shown)
            axes[2].set_title(f"{masked.mean():.0%} masked", fontsize=8)
        if result is not None:
            axes[-1].imshow(natural_colours(result, optical))
            axes[-1].set_title("reconstruction", fontsize=8)
    return figure
