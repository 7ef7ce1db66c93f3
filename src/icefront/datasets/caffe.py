"""CaFFe on disk: layout, names, splits, samples (Gourmelon et al. 2022).

The benchmark "Calving Fronts and where to Find them" (doi:10.5194/essd-14-4287-2022, data
doi:10.1594/PANGAEA.940950) keeps ``sar_images/``, ``zones/`` and ``fronts/`` with ``train/`` and
``test/`` in each, and ``bounding_boxes/``. Its images have no CRS; errors are distances in pixels
times the resolution in the name, unless a pixel size is given that overrides it.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

from icefront.errors import IcefrontError
from icefront.grid import PixelSize
from icefront.scenes.metadata import from_name, is_caffe_name
from icefront.scenes.nodata import INVALID, VALUE, ZERO, remove_edges
from icefront.scenes.scene import Scene
from icefront.zones import GREY_TO_ZONE, N_ZONES, ZONE_COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Split = Literal["train", "test"]
SIMULATION_STAMP = "simulation.json"
"""File in a folder of simulated images that names what they were simulated with."""

_UNKNOWN = 255


@dataclass(frozen=True)
class CaffeSample:
    """One image of CaFFe with the files that belong to it.

    Attributes
    ----------
    name : str
    image, zones : Path
    front, box : Path or None
    shape : (int, int)
        (H, W) of the image and its labels.
    glacier : str
    date : datetime.date
    sensor : str
    resolution_m : float
        As the name states it.
    """

    name: str
    image: Path
    zones: Path
    front: Path | None
    box: Path | None
    shape: tuple[int, int]
    glacier: str
    date: dt.date
    sensor: str
    resolution_m: float


def read_grey(path: Path) -> np.ndarray:
    """Read an 8-bit grey PNG, uint8 (H, W).

    Raises
    ------
    IcefrontError
        If the file is missing, damaged or not grey.
    """
    try:
        with Image.open(path) as file:
            file.load()
            if file.mode not in ("L", "1", "P"):
                raise IcefrontError(
                    f"{path} is not an 8-bit grey image (mode {file.mode}); export it as one."
                )
            return np.asarray(file.convert("L") if file.mode == "1" else file).astype(np.uint8)
    except FileNotFoundError:
        raise IcefrontError(f"{path} does not exist.") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise IcefrontError(f"{path} is damaged or no image ({error}); fetch it anew.") from None


def read_zones(path: Path) -> np.ndarray:
    """Read a zone label as class codes, uint8 (H, W).

    Raises
    ------
    IcefrontError
        If a grey value is none of CaFFe's (0, 63 or 64, 127, 254).
    """
    table = np.full(256, _UNKNOWN, np.uint8)
    for grey, zone in GREY_TO_ZONE.items():
        table[grey] = zone
    grey_values = read_grey(path)
    zones = table[grey_values]
    odd = zones == _UNKNOWN
    if odd.any():
        values = ", ".join(map(str, np.unique(grey_values[odd])[:5]))
        raise IcefrontError(
            f"{path} has {int(odd.sum())} pixels of unknown zones (grey {values}); "
            "known are 0, 63, 64, 127 and 254."
        )
    return zones


def read_front(path: Path) -> np.ndarray:
    """Read a front label, bool (H, W)."""
    return read_grey(path) > 0


def read_box(path: Path, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Read a bounding box as (first row, last row, first column, last column), half open.

    Parameters
    ----------
    path : Path
        Text: a header line, then the corners left-upper, left-lower, right-lower and right-upper
        as ``x,y``, *upper* being the larger row (CaFFe protocol).
    shape : (int, int)
        Of the image; corners beyond it are moved to its edge.

    Raises
    ------
    IcefrontError
        If the file has other lines.
    """
    try:
        _, *lines = path.read_text().strip().splitlines()
        corners = [[round(float(v)) for v in line.split(",")] for line in lines]
        (left, upper), _, (right, lower), _ = corners
    except (OSError, ValueError, OverflowError):
        raise IcefrontError(
            f"{path} is not a bounding box: a header and four corners 'x,y' are expected."
        ) from None

    def inside(value: int, size: int) -> int:
        return min(max(value, 0), size - 1)

    rows, columns = shape
    return inside(lower, rows), inside(upper, rows), inside(left, columns), inside(right, columns)


def clean_labels(zones: np.ndarray) -> np.ndarray:
    """Remove false classes thinner than three pixels from resampled labels.

    Zone maps that were resized as grey values have rims of the classes whose grey lies in between
    (a strip of "glacier" between rock and ocean). Pixels that no 3×3 square of their own class
    covers take the class of the nearest pixel that has one.

    Parameters
    ----------
    zones : uint8 (H, W)

    Returns
    -------
    uint8 (H, W)
    """
    kept = np.zeros(zones.shape, bool)
    for zone in range(N_ZONES):
        padded = np.pad(zones == zone, 2, mode="edge")
        kept |= ndimage.binary_opening(padded, np.ones((3, 3)))[2:-2, 2:-2]
    if not kept.any():
        return zones.copy()
    nearest = ndimage.distance_transform_edt(~kept, return_distances=False, return_indices=True)
    return zones[tuple(nearest)]


def validation_split(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split training names as the official code does: 10 % for validation.

    With the names sorted it equals scikit-learn's ``train_test_split(..., test_size=0.1,
    random_state=1)``, 503 and 56 of CaFFe's 559.

    Returns
    -------
    tuple of list
        Names for training and for validation.
    """
    ordered = sorted(names)
    count = math.ceil(0.1 * len(ordered))
    shuffled = np.random.RandomState(1).permutation(len(ordered))
    return [ordered[i] for i in shuffled[count:]], [ordered[i] for i in shuffled[:count]]


class CaffeDataset:
    """Images, zones and fronts of one split.

    Parameters
    ----------
    root : str or Path
        Folder with ``sar_images/``, ``zones/`` and ``fronts/``.
    split : "train" or "test"
    glaciers, exclude : iterable of str, optional
        Only these glaciers; all but these.
    names : iterable of str, optional
        Only these images.
    pixel_size_m : float, (float, float) or None
        Overrides the resolution in the names; "name" (default) keeps it, None means pixels.
    damaged : "refuse" or "skip"
        What to do with images whose labels are missing, of another size, damaged or of unknown
        grey values. Skipped ones are listed in `problems`.
    clean_labels : bool
        Pass zones through `clean_labels`, for sets that were resized.

    Raises
    ------
    IcefrontError
        If a folder is missing, nothing is left, or files do not fit and are not to be skipped.

    Examples
    --------
    >>> from icefront.datasets import CaffeDataset
    >>> train = CaffeDataset("caffe", exclude=["SI"])  # doctest: +SKIP
    >>> train.zones(0).shape  # doctest: +SKIP
    (1231, 1080)
    """

    def __init__(
        self,
        root: str | Path,
        split: Split = "train",
        *,
        glaciers: Iterable[str] | None = None,
        exclude: Iterable[str] = (),
        names: Iterable[str] | None = None,
        pixel_size_m: PixelSize | Literal["name"] = "name",
        damaged: Literal["refuse", "skip"] = "refuse",
        clean_labels: bool = False,
    ) -> None:
        self.root, self.split, self.clean_labels = Path(root), split, clean_labels
        self.stated_pixel_size: PixelSize | Literal["name"] = pixel_size_m
        self.problems: list[str] = []
        for folder in ("sar_images", "zones"):
            if not (self.root / folder / split).is_dir():
                raise IcefrontError(
                    f"{self.root} is not a CaFFe folder: {folder}/{split} is missing; name the "
                    "folder that holds it, or fetch CaFFe (icefront download caffe)."
                )
        samples = self._match()
        self._refuse(damaged)
        present = {s.glacier for s in samples}
        wanted = set(glaciers) if glaciers is not None else present
        left_out = set(exclude)
        unknown = sorted((left_out | wanted) - present)
        if unknown:
            raise IcefrontError(
                f"{self.root} has no glacier {', '.join(unknown)} in {split}; "
                f"it has {', '.join(sorted(present))}."
            )
        chosen = set(names) if names is not None else None
        self.samples = [
            s
            for s in samples
            if s.glacier in wanted - left_out and (chosen is None or s.name in chosen)
        ]
        if not self.samples:
            raise IcefrontError(f"{self.root} has no images in {split} for this choice.")

    def _match(self) -> list[CaffeSample]:
        images = {p.stem: p for p in (self.root / "sar_images" / self.split).glob("*.png")}
        zones = {
            p.stem.removesuffix("_zones"): p
            for p in (self.root / "zones" / self.split).glob("*_zones.png")
        }
        fronts = {
            p.stem.removesuffix("_front"): p
            for p in (self.root / "fronts" / self.split).glob("*_front.png")
        }
        boxes = sorted((self.root / "bounding_boxes").glob("*.txt"))
        found = []
        for name in sorted(images.keys() | zones.keys()):
            if name not in images:
                self.problems.append(f"{zones[name].name} has no image in sar_images")
                continue
            if name not in zones:
                self.problems.append(f"{images[name].name} has no label in zones")
                continue
            if fronts and name not in fronts:
                self.problems.append(f"{images[name].name} has no label in fronts")
                continue
            facts = from_name(name)
            if not is_caffe_name(name) or not (facts.glacier and facts.date and facts.sensor):
                self.problems.append(f"{images[name].name} does not follow the names of CaFFe")
                continue
            size, label_size = _size(images[name]), _size(zones[name])
            if size is None or label_size is None:
                bad = images[name] if size is None else zones[name]
                self.problems.append(f"{bad.name} is damaged")
                continue
            if size != label_size:
                self.problems.append(
                    f"{images[name].name} is {size[0]}×{size[1]} pixels and its zones are "
                    f"{label_size[0]}×{label_size[1]}"
                )
                continue
            found.append(
                CaffeSample(
                    name=name,
                    image=images[name],
                    zones=zones[name],
                    front=fronts.get(name),
                    box=next((b for b in boxes if _belongs(b.name, name)), None),
                    shape=size[::-1],
                    glacier=facts.glacier,
                    date=facts.date,
                    sensor=facts.sensor,
                    resolution_m=float(facts.resolution_m or 0.0),
                )
            )
        return found

    def _refuse(self, damaged: str) -> None:
        if self.problems and damaged == "refuse":
            more = f" and {len(self.problems) - 1} more" if len(self.problems) > 1 else ""
            raise IcefrontError(
                f"{self.root} is not in order: {self.problems[0]}{more}; correct it, or skip such "
                "images (damaged: skip)."
            )

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def names(self) -> list[str]:
        """Names of the images, sorted."""
        return [s.name for s in self.samples]

    def image(self, index: int) -> np.ndarray:
        """Grey values, uint8 (H, W)."""
        return read_grey(self.samples[index].image)

    def scene(self, index: int) -> Scene:
        """Return an image as `icefront.open_scene` reads it: grey values in 0..1, NaN at edges.

        Glacier, date and sensor are those of its name, the pixel size that of the data set.
        """
        sample = self.samples[index]
        grey = self.image(index)
        codes = np.where(grey > 0, np.uint8(VALUE), np.uint8(ZERO))
        remove_edges(codes)
        image = grey.astype(np.float32) / 255
        image[codes == INVALID] = np.nan
        return Scene(
            image,
            pixel_size_m=self.pixel_size_m(index),
            name=sample.name,
            path=sample.image,
            glacier=sample.glacier,
            date=sample.date,
            sensor=sample.sensor,
        )

    def zones(self, index: int) -> np.ndarray:
        """Class codes, uint8 (H, W)."""
        zones = read_zones(self.samples[index].zones)
        return clean_labels(zones) if self.clean_labels else zones

    def front(self, index: int) -> np.ndarray:
        """Front pixels of the label, bool (H, W).

        Raises
        ------
        IcefrontError
            If the set has no front labels.
        """
        path = self.samples[index].front
        if path is None:
            raise IcefrontError(f"{self.root} has no labels in fronts/{self.split}.")
        return read_front(path)

    def box(self, index: int) -> tuple[int, int, int, int] | None:
        """Bounding box (rows, then columns, half open), or None where there is none."""
        path = self.samples[index].box
        return None if path is None else read_box(path, self.samples[index].shape)

    def pixel_size_m(self, index: int) -> PixelSize:
        """Side of a pixel in metres, (rows, columns), or None: pixels."""
        if self.stated_pixel_size == "name":
            return self.samples[index].resolution_m
        return self.stated_pixel_size  # type: ignore[return-value]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a sample under the keys of torchgeo.

        Returns
        -------
        dict
            ``name``; ``image``, uint8 (H, W); ``mask``, class codes, uint8 (H, W); where the set
            has front labels ``front``, bool (H, W).
        """
        sample: dict[str, Any] = {
            "name": self.names[index],
            "image": self.image(index),
            "mask": self.zones(index),
        }
        if self.samples[index].front is not None:
            sample["front"] = self.front(index)
        return sample

    def plot(self, sample: int | Mapping[str, Any], prediction: np.ndarray | None = None) -> Figure:
        """Draw an image, its zones and its front (red).

        Parameters
        ----------
        sample : dict or int
            As ``dataset[index]`` gives it, or its index. What it has under ``prediction`` is drawn
            as `prediction` is.
        prediction : uint8 (H, W), optional
            Predicted class codes, drawn in a third panel.
        """
        from matplotlib.figure import Figure

        shown = self[sample] if isinstance(sample, int) else sample
        predicted = shown.get("prediction") if prediction is None else prediction
        colours = np.array(ZONE_COLOURS, np.uint8)
        panels = [(shown.get("name", ""), shown["image"]), ("zones", colours[shown["mask"]])]
        if predicted is not None:
            panels.append(("prediction", colours[predicted]))
        figure = Figure(figsize=(4.2 * len(panels), 4.5), layout="constrained")
        for axis, (title, panel) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            axis.imshow(panel, cmap="gray")
            if "front" in shown:
                axis.contour(shown["front"], [0.5], colors="#e4002b", linewidths=1)
            axis.set_title(title, fontsize=9)
            axis.set_axis_off()
        return figure


def _belongs(file: str, name: str) -> bool:
    """Whether a file is one of an image: its name goes on, but not with another digit."""
    return file.startswith(name) and not file[len(name) : len(name) + 1].isalnum()


def _size(path: Path) -> tuple[int, int] | None:
    """Width and height from the header of an image, or None if it has none."""
    try:
        with Image.open(path) as file:
            return file.size
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return None
