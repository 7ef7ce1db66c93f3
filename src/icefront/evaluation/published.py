"""Published mean distance errors on the CaFFe test set, to stand beside one's own."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import stdev


@dataclass(frozen=True)
class PublishedRow:
    """One line of the published table.

    Attributes
    ----------
    model : str
    mean, deviation : float
        Mean distance error over the runs and its standard deviation, in metres; the deviation is
        NaN for a single number.
    runs : tuple of float
        The runs where they are published one by one.
    source : str
    note : str
        Why the number is not quite comparable, or nothing.
    """

    model: str
    mean: float
    deviation: float
    runs: tuple[float, ...]
    source: str
    note: str = ""


def _of_runs(model: str, source: str, mean: float, *runs: float) -> PublishedRow:
    # The published mean is of unrounded runs and may differ from theirs in the last digit.
    return PublishedRow(model, mean, stdev(runs), runs, source)


_NAN = float("nan")
_CAFFE = "Gourmelon et al. 2022, doi:10.5194/essd-14-4287-2022"
_TYRION = "Gourmelon et al. 2025 (SSL4SAR)"

PUBLISHED = (
    PublishedRow("CaFFe U-Net, zones", 753.0, 76.0, (), _CAFFE),
    PublishedRow("nnU-Net, fused labels", 541.0, 84.0, (), "Herrmann et al. 2023"),
    PublishedRow("AMD-HookNet", 438.0, _NAN, (), "Wu et al. 2023"),
    _of_runs("HookFormer", "Wu et al. 2024", 360.5, 356.3, 338.4, 364.0, 369.9, 374.0),
    _of_runs("Tyrion, ImageNet", _TYRION, 342.3, 335.4, 313.2, 321.6, 381.1, 360.3),
    _of_runs("Tyrion + OptSimMIM", _TYRION, 300.4, 290.8, 413.6, 236.6, 265.5, 295.5),
    _of_runs("Tyrion + OptTranslator", _TYRION, 293.2, 269.3, 259.6, 262.4, 400.7, 273.7),
    PublishedRow(
        "Tyrion, several dates at once",
        184.4,
        _NAN,
        (),
        "arXiv:2512.11560",
        "sees several dates of the glacier, not one image",
    ),
)
"""On the 122 test images, in metres; standard deviations over five runs."""

PUBLISHED_RUNS = {row.model: row.runs for row in PUBLISHED if row.runs}
"""The mean distance errors of single runs, by model, in metres."""

ELSEWHERE = (
    PublishedRow("ensemble of 5 × 4 on the images of ten annotators", 75.0, _NAN, (), "", ""),
    PublishedRow("the ten people among themselves", 38.0, _NAN, (), "", ""),
    PublishedRow(
        "multi-date model on Svalbard, as it is", 1131.6, _NAN, (), "arXiv:2601.21663", "new site"
    ),
    PublishedRow(
        "the same after few-shot adaptation, rock mask and summer reference",
        68.7,
        _NAN,
        (),
        "arXiv:2601.21663",
        "new site",
    ),
)
"""Of other images: no yardstick for the test set, but the scale of what is possible."""

TEST_IMAGES = {"Mapple": 57, "COL": 65}
"""Images of each glacier of CaFFe's test split."""
