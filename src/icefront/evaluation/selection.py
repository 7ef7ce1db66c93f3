"""Which images of a data set in CaFFe's layout are scored, and what is left out and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from PIL import Image

from icefront.datasets.caffe import SIMULATION_STAMP, CaffeDataset, validation_split
from icefront.errors import IcefrontError
from icefront.evaluation.groups import sensor_group
from icefront.grid import PixelSize

Split = Literal["train", "validation", "test"]
AskedSize = PixelSize | Literal["auto", "name"]

_SQUEEZED = (256, 256)
"""Size of every image of the squeezed set, whatever its shape was."""


@dataclass
class Selection:
    """The images to score.

    Attributes
    ----------
    dataset : CaffeDataset
    split : "train", "validation" or "test"
    unit : "m" or "px"
    notes : list of str
        What was decided, a sentence each.
    left_out : list of str
        Images that cannot be scored, a sentence each.
    simulated : bool
        The images are by `icefront simulate`.
    """

    dataset: CaffeDataset
    split: Split
    unit: Literal["m", "px"]
    simulated: bool = False
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def select_images(
    data: str | Path,
    split: Split = "test",
    *,
    glaciers: Sequence[str] = (),
    sensors: Sequence[str] = (),
    pixel_size: AskedSize = "auto",
) -> Selection:
    """Find the images of a split that can be scored, and note what is left out and why.

    Parameters
    ----------
    data : path
        Folder in CaFFe's layout.
    split : "train", "validation" or "test"
        Validation is the official tenth of the training images.
    glaciers, sensors : sequence of str
        Only these; all by default. ``TSX/TDX`` means both.
    pixel_size : "auto", "name", number, (rows, columns) or None
        Size of a pixel in metres; "name" takes the resolution in the names, None counts in pixels,
        "auto" is "name" unless every image is 256×256: such a set was squeezed.

    Raises
    ------
    IcefrontError
        If the folder is not in that layout or nothing is left to score.
    """
    if split not in ("train", "validation", "test"):
        raise IcefrontError(f"There is no split {split!r}; give test, train or validation.")
    folder: Literal["train", "test"] = "test" if split == "test" else "train"
    root = Path(data)
    there = root / "sar_images" / folder
    other = "train" if folder == "test" else "test"
    if not there.is_dir() and (root / "sar_images" / other).is_dir():
        raise IcefrontError(f"{root} has no {folder} images; give --split {other}.")
    names = None
    if split == "validation":
        names = validation_split([p.stem for p in there.glob("*.png")])[1]
    dataset = CaffeDataset(
        root, folder, glaciers=glaciers or None, names=names, damaged="skip", pixel_size_m="name"
    )
    simulated = (Path(data) / SIMULATION_STAMP).is_file()
    chosen = Selection(dataset, split, "m", simulated, left_out=list(dataset.problems))
    if simulated:
        chosen.notes.append("The images are simulated.")
    _only_sensors(dataset, sensors)
    _only_boxed(chosen)
    if not any(s.front for s in dataset.samples):
        chosen.notes.append("There are no front labels: fronts of the true zones take their place.")
    _decide_size(chosen, pixel_size)
    return chosen


def _only_sensors(dataset: CaffeDataset, sensors: Sequence[str]) -> None:
    if not sensors:
        return
    present = {s.sensor for s in dataset.samples}
    known = present | {sensor_group(s) for s in present}
    unknown = [s for s in sensors if s not in known]
    if unknown:
        raise IcefrontError(
            f"{dataset.root} has no images of {unknown[0]} here; it has "
            f"{', '.join(sorted(present))}."
        )
    dataset.samples = [
        s for s in dataset.samples if s.sensor in sensors or sensor_group(s.sensor) in sensors
    ]


def _only_boxed(chosen: Selection) -> None:
    """Leave out images without a box where others have one: their scores would not compare."""
    samples = chosen.dataset.samples
    boxed = [s for s in samples if s.box is not None]
    if not boxed:
        chosen.notes.append("There are no bounding boxes: fronts are scored in the whole image.")
        return
    for sample in samples:
        if sample.box is None:
            chosen.left_out.append(f"{sample.image.name} has no bounding box")
    chosen.dataset.samples = boxed


def _decide_size(chosen: Selection, asked: AskedSize) -> None:
    dataset = chosen.dataset
    size = asked
    if asked == "auto":
        squeezed = all(_is_squeezed(s.image) for s in dataset.samples)
        size = None if squeezed else "name"
        if squeezed:
            chosen.notes.append(
                "Every image is 256×256: the set was squeezed, a pixel has no size, and distances "
                "are in pixels (shortest piece of front 12). --pixel-size overrules that."
            )
    elif asked is None:
        chosen.notes.append("Distances are in pixels, as asked for (shortest piece of front 12).")
    elif asked != "name":
        chosen.notes.append(f"A pixel is {asked} m, as given, whatever the names state.")
    dataset.stated_pixel_size = size  # type: ignore[assignment]
    chosen.unit = "px" if size is None else "m"


def _is_squeezed(path: Path) -> bool:
    with Image.open(path) as file:
        return file.size == _SQUEEZED
