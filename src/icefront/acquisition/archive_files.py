"""Writing an archive for pretraining in the layout of SSL4SAR, glacier after glacier.

A radar image becomes grey by fixed limits in dB, the same for all images, so that equal backscatter
is equal grey: ``archive.json`` records them. The images of one orbit are laid on each other by
their rock, which the scene classification of the glacier's optical image tells. What was written
stays as it is when dates or glaciers are added: new images are laid on those that are there.
"""

from __future__ import annotations

import datetime as dt
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from pyproj import CRS
from scipy import ndimage

from icefront import __version__
from icefront.acquisition.coregistration import (
    CORRECTED_ABOVE,
    LEAST_ROCK,
    Shift,
    measured_shift,
    moved_by,
)
from icefront.acquisition.optical import BARE, VEGETATION, write_optical
from icefront.datasets.ssl4sar import CHANNELS, FOLDERS, OPTICAL_FOLDER, Part, read_radar
from icefront.errors import IcefrontError, failure
from icefront.files.atomic import remove_unfinished, writing
from icefront.files.names import file_name
from icefront.glaciers import name_key
from icefront.grid import Grid
from icefront.progress import steps
from icefront.scenes import Scene, open_scene
from icefront.scenes.cog import write_cog
from icefront.scenes.radiometry import BLACK, CEILING_DB, FLOOR_DB

RECORD = "archive.json"
"""File of an archive that says how it was made."""

_CALIBRATED = ("power", "amplitude", "db")
_GO_ON = (
    "name another folder with --out; images that are finished stay, and the same command goes on"
)


def glacier_word(name: str) -> str:
    """Return a glacier's name as it stands in names of files, without spaces and underscores.

    Examples
    --------
    >>> glacier_word("Upernavik Isstrom_1")
    'Upernavik-Isstrom-1'
    """
    return file_name("-".join(name.replace("_", " ").split()))


@dataclass(frozen=True)
class RadarRecord:
    """What is known of a radar image of an archive.

    Attributes
    ----------
    glacier, date, orbit, polarisation : str
        The orbit with its direction, as the scene's tags say.
    source : str
        Name of the scene.
    shift_rows, shift_columns, correlation : float or None
        As measured on rock; None where nothing could be measured.
    moved : bool
        Whether the image was moved by it.
    note : str
        Why nothing was measured.
    """

    glacier: str
    date: str
    orbit: str
    polarisation: str
    source: str
    shift_rows: float | None
    shift_columns: float | None
    correlation: float | None
    moved: bool
    note: str


class ArchiveFolder:
    """An archive that is being made.

    Parameters
    ----------
    root : Path
        A new folder, an empty one or an archive of ours.
    pixel_size_m : float
        Of all its images.
    validation : float
        Fraction of the radar images that is for validation, at least one of each glacier.

    Raises
    ------
    IcefrontError
        If the folder holds an archive of another kind.
    """

    def __init__(self, root: Path, *, pixel_size_m: float, validation: float) -> None:
        self.root = root
        self.validation = validation
        self.made_with: dict[str, Any] = {
            "floor_db": FLOOR_DB,
            "ceiling_db": CEILING_DB,
            "pixel_size_m": float(pixel_size_m),
            "validation": validation,
        }
        path = root / RECORD
        self.images: dict[str, dict[str, Any]] = {}
        self.optical: dict[str, dict[str, Any]] = {}
        if path.exists():
            self._read(path)
        elif any((root / folder).exists() for folder in FOLDERS.values()):
            raise IcefrontError(
                f"The folder {root} holds an archive without {RECORD}, which is not ours: name "
                "another folder."
            )
        for folder in (*FOLDERS.values(), OPTICAL_FOLDER):
            remove_unfinished(root / folder)

    def _read(self, path: Path) -> None:
        try:
            known = json.loads(path.read_text("utf-8"))
            found = {key: known[key] for key in self.made_with}
            self.images, self.optical = dict(known["images"]), dict(known["optical"])
        except (OSError, ValueError, KeyError, TypeError):
            raise IcefrontError(f"{path} is damaged: name another folder, or delete it.") from None
        for key, value in self.made_with.items():
            if found[key] != value:
                raise IcefrontError(
                    f"The archive {path.parent} was made with {key} {found[key]}, not {value}: "
                    "name another folder, or ask for the same."
                )

    def save(self) -> None:
        """Write what is known of the images."""
        content = {
            "software": f"icefront {__version__}",
            **self.made_with,
            "grey": "0 no data; 1 to 255 linear in dB from floor_db to ceiling_db, clipped",
            "images": dict(sorted(self.images.items())),
            "optical": dict(sorted(self.optical.items())),
        }
        with writing(self.root / RECORD, sync=True, remedy=_GO_ON) as part:
            part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")

    def optical_path(self, glacier: str) -> Path | None:
        """Return the optical image of a glacier, None if there is none yet."""
        folder = self.root / OPTICAL_FOLDER
        word = name_key(glacier_word(glacier))
        found = sorted(folder.glob("*.tif")) if folder.is_dir() else []
        return next((p for p in found if name_key(p.stem.split("_")[0]) == word), None)

    def add_optical(
        self,
        glacier: str,
        channels: np.ndarray,
        grid: Grid,
        date: dt.date,
        facts: Mapping[str, Any],
    ) -> Path:
        """Write the optical image of a glacier.

        Parameters
        ----------
        glacier : str
        channels : float32 (14, H, W)
            See `icefront.acquisition.optical.optical_channels`.
        grid : Grid
        date : datetime.date
        facts : mapping
            For the record.
        """
        word = glacier_word(glacier)
        path = self.root / OPTICAL_FOLDER / f"{word}_S2_{date}.tif"
        tags = {"GLACIER": glacier, "ACQUISITION_DATE": str(date), "SENSOR": "S2"}
        with writing(path, sync=True, remedy=_GO_ON) as part:
            write_optical(part, channels, grid, tags | {"SOFTWARE": f"icefront {__version__}"})
        self.optical[path.stem] = {"glacier": word, "date": str(date), **facts}
        self.save()
        return path

    def add_scenes(
        self,
        glacier: str,
        scenes: Sequence[Path],
        *,
        min_covered: float = 0.9,
        progress: bool = True,
    ) -> tuple[list[str], list[str]]:
        """Write the radar images of a glacier, laid on each other; those that are there stay.

        Parameters
        ----------
        glacier : str
            Whose optical image is there.
        scenes : sequence of Path
            Calibrated backscatter on the grid of the optical image.
        min_covered : float
            Fraction of the grid that a scene must cover.
        progress : bool

        Returns
        -------
        written, refused : list of str
            Names of images; sentences about scenes that were left out.

        Raises
        ------
        IcefrontError
            If the optical image is missing or damaged, or nothing can be written.
        """
        optical = self.optical_path(glacier)
        if optical is None:
            raise IcefrontError(f"The glacier {glacier} has no optical image in {self.root}.")
        word = optical.stem.split("_")[0]
        grid, rock = _grid_and_rock(optical)
        new = [path for path in sorted(scenes) if _image_name(word, path) not in self.images]
        groups: dict[str, list[Path]] = {}
        references: dict[str, _Reference] = {}
        written: list[str] = []
        refused: list[str] = []
        with steps(f"Compiling {glacier}", 2 * len(new), show=progress) as advance:
            for path in new:
                advance(1)
                try:
                    scene = _read_scene(path, grid, min_covered)
                except IcefrontError as error:
                    refused.append(failure(path, error))
                    continue
                orbit = _orbit_of(scene, path)
                groups.setdefault(orbit, []).append(path)
                if orbit not in references:
                    references[orbit] = self._reference(word, orbit, grid)
                if references[orbit].holds_the_new:
                    references[orbit].add(_decibel(scene.image))
            for orbit, paths in sorted(groups.items()):
                if references[orbit].holds_the_new:
                    references[orbit] = _sharpened(references[orbit], paths, grid, rock)
                for path in paths:
                    try:
                        written.append(self._add(word, orbit, path, grid, rock, references[orbit]))
                    except _Refused as error:
                        refused.append(failure(path, error))
                    advance(1)
                self.save()
        return written, refused

    def _reference(self, word: str, orbit: str, grid: Grid) -> _Reference:
        """Return the mean of the images of an orbit that are there; empty if there are none."""
        there = [
            self._path(name)
            for name, known in self.images.items()
            if known["glacier"] == word and known["orbit"] == orbit
        ]
        mean = _Reference(np.zeros(grid.shape), np.zeros(grid.shape, np.int32), not there)
        for path in there:
            grey = read_radar(path).astype(np.float32) / 255
            grey[grey == 0] = np.nan
            mean.add(_decibel(grey))
        return mean

    def _path(self, name: str) -> Path:
        return next(
            path
            for folder in FOLDERS.values()
            if (path := self.root / folder / f"{name}.tif").exists()
        )

    def _add(
        self,
        word: str,
        orbit: str,
        path: Path,
        grid: Grid,
        rock: np.ndarray,
        reference: _Reference,
    ) -> str:
        scene = _read_scene(path, grid, 0.0)
        image = _decibel(scene.image)
        shift, note = _shift_of(image, reference, rock, path)
        moved = shift is not None and shift.pixels > CORRECTED_ABOVE
        if moved and shift is not None:
            image = moved_by(image, (shift.rows, shift.columns))
        grey = (image - FLOOR_DB) / (CEILING_DB - FLOOR_DB)
        seen = np.isfinite(grey)
        numbers = np.rint(np.clip(np.where(seen, grey, 0), BLACK, 1) * 255)
        numbers = np.where(seen, numbers, 0).astype(np.uint8)
        name = _image_name(word, path)
        part = self._part_of(word, name)
        tags = {
            "GLACIER": word,
            "ACQUISITION_DATE": str(scene.date),
            "SENSOR": scene.sensor or "S1",
            "POLARISATION": scene.polarisation or "",
            "RELATIVE_ORBIT": scene.orbit or "",
            "GREY": f"dB from {FLOOR_DB:g} to {CEILING_DB:g} as 1 to 255, 0 no data",
            "SOFTWARE": f"icefront {__version__}",
        }
        # One that an interrupted run wrote before it could be recorded.
        for folder in FOLDERS.values():
            (self.root / folder / f"{name}.tif").unlink(missing_ok=True)
        target = self.root / FOLDERS[part] / f"{name}.tif"
        with writing(target, sync=True, remedy=_GO_ON) as unfinished:
            write_cog(unfinished, numbers, grid, {k: v for k, v in tags.items() if v})
        record = RadarRecord(
            glacier=word,
            date=str(scene.date),
            orbit=orbit,
            polarisation=scene.polarisation or "",
            source=path.name,
            shift_rows=None if shift is None else round(shift.rows, 3),
            shift_columns=None if shift is None else round(shift.columns, 3),
            correlation=None if shift is None else round(shift.correlation, 3),
            moved=moved,
            note=note,
        )
        self.images[name] = {"part": part, **asdict(record)}
        return name

    def _part_of(self, word: str, name: str) -> Part:
        """Choose the split by the name, so that it stays when others are added."""
        there = [known["part"] for known in self.images.values() if known["glacier"] == word]
        if there and "val" not in there:
            return "val"
        return "val" if zlib.crc32(name.encode()) < self.validation * 2**32 else "train"


class _Refused(IcefrontError):
    """A scene that is no image of the archive."""


@dataclass
class _Reference:
    """Mean of images in dB, from which one of them can be taken out again.

    Attributes
    ----------
    total, count : float64, int32 (H, W)
    holds_the_new : bool
        Whether the images that are measured against it are in it.
    moved : dict
        By what shift an image was moved before it was added.
    """

    total: np.ndarray
    count: np.ndarray
    holds_the_new: bool
    moved: dict[Path, Shift] = field(default_factory=dict)

    def add(self, image: np.ndarray) -> None:
        seen = np.isfinite(image)
        self.total[seen] += image[seen]
        self.count += seen

    def without(self, image: np.ndarray, path: Path) -> np.ndarray:
        """Return the mean of the others; all of it if the image is not among them."""
        total, count = self.total, self.count
        if self.moved and path in self.moved:
            image = moved_by(image, (self.moved[path].rows, self.moved[path].columns))
        if self.holds_the_new and (not self.moved or path in self.moved):
            seen = np.isfinite(image)
            total, count = total - np.where(seen, image, 0), count - seen
        return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)

    @property
    def weight(self) -> float:
        """What a shift against the others is of one against the mean of all."""
        images = int(self.count.max(initial=0))
        # Where all were moved to their mean, the others lie there, too.
        return (images - 1) / images if self.holds_the_new and images and not self.moved else 1.0


def _sharpened(
    blurred: _Reference, paths: Sequence[Path], grid: Grid, rock: np.ndarray
) -> _Reference:
    """Return the mean of images that were moved by their shift against the mean as they came.

    That is blurred by their shifts, so that shifts against it are less exact.
    """
    sharp = _Reference(np.zeros(grid.shape), np.zeros(grid.shape, np.int32), True)
    for path in paths:
        image = _decibel(_read_scene(path, grid, 0.0).image)
        try:
            shift, _ = _shift_of(image, blurred, rock, path)
        except _Refused:
            continue
        if shift is None:
            return blurred
        sharp.moved[path] = shift
        sharp.add(moved_by(image, (shift.rows, shift.columns)))
    return sharp if sharp.moved else blurred


def _shift_of(
    image: np.ndarray, reference: _Reference, rock: np.ndarray, path: Path
) -> tuple[Shift | None, str]:
    """Measure a shift; None and why where that cannot be.

    Raises
    ------
    _Refused
        If there is rock enough, but the image lies too far off or has nothing in common.
    """
    others = reference.without(image, path)
    known = rock & np.isfinite(image) & np.isfinite(others)
    if not np.isfinite(others).any():
        return None, "the only image of its orbit"
    if known.sum() < LEAST_ROCK:
        return None, f"{int(known.sum())} pixels of rock are too few to measure a shift"
    try:
        found = measured_shift(image, others, rock)
    except IcefrontError as error:
        raise _Refused(str(error)) from None
    weight = reference.weight
    return Shift(found.rows * weight, found.columns * weight, found.correlation), ""


def _decibel(grey: np.ndarray) -> np.ndarray:
    return grey * np.float32(CEILING_DB - FLOOR_DB) + np.float32(FLOOR_DB)


def _image_name(word: str, path: Path) -> str:
    """Return the name of the image of a scene: the glacier is its second field."""
    rest = [part for part in path.stem.split("_") if name_key(part) != name_key(word)]
    return f"S1_{word}_{'_'.join(rest)}"


def _orbit_of(scene: Scene, path: Path) -> str:
    with rasterio.open(path, driver="GTiff") as raster:
        direction = raster.tags().get("ORBIT_DIRECTION", "")
    return " ".join(part for part in (scene.orbit, direction) if part) or "unknown"


def _read_scene(path: Path, grid: Grid, min_covered: float) -> Scene:
    scene = open_scene(path)
    if scene.radiometry not in _CALIBRATED:
        raise IcefrontError(
            f"{path} holds no calibrated backscatter ({scene.radiometry}): its grey would not be "
            "that of the others; acquire it anew."
        )
    if difference := scene.grid.difference(grid):
        raise IcefrontError(
            f"{path} is not on the grid of the optical image ({difference}): acquire it anew, "
            "with the archive's pixel size."
        )
    if scene.date is None:
        raise IcefrontError(f"{path} does not tell its date: leave it out.")
    covered = float(scene.valid.mean())
    if covered < min_covered:
        raise IcefrontError(
            f"{path.name} covers {covered:.0%} of the glacier, less than {min_covered:.0%}."
        )
    return scene


def _grid_and_rock(optical: Path) -> tuple[Grid, np.ndarray]:
    """Return the grid of an optical image, and where it shows bare or grown ground, bool (H, W)."""
    with rasterio.open(optical, driver="GTiff") as raster:
        crs = CRS.from_wkt(raster.crs.to_wkt())
        grid = Grid(raster.height, raster.width, crs, raster.transform)
        classes = raster.read(CHANNELS.index("SCL") + 1)
    # Its border is mixed with what lies beside.
    return grid, ndimage.binary_erosion(np.isin(classes, (BARE, VEGETATION)))
