"""Figures and images as files, as bytes and inside HTML pages."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from icefront.files.atomic import writing

_FEW_COLOURS = 6000
"""A figure with fewer colours is drawn from curves and text, not from an image."""


@contextmanager
def missing_glyphs_ignored() -> Iterator[None]:
    """Draw names in letters that no font at hand has as boxes, without a warning of matplotlib."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        yield


def figure_png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file, at its own size and resolution.

    Figures of curves and text keep 256 colours, which takes a third of the bytes without a visible
    difference; figures with images keep all.
    """
    buffer = io.BytesIO()
    with missing_glyphs_ignored():
        figure.savefig(buffer, format="png")
    image = Image.open(buffer).convert("RGB")
    if image.getcolors(maxcolors=_FEW_COLOURS) is not None:
        image = image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return image_bytes(image, "png", optimize=True)


def write_figure(figure: Figure, path: Path, **options: Any) -> None:
    """Write a figure to a file that appears when it is whole.

    Parameters
    ----------
    figure : Figure
    path : Path
        Its suffix gives the format.
    **options
        Further arguments of matplotlib's ``savefig``.

    Raises
    ------
    IcefrontError
        If the file cannot be written.
    """
    with writing(path) as part, missing_glyphs_ignored():
        figure.savefig(part, facecolor=figure.get_facecolor(), **options)


def image_bytes(image: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    """Return an image as the bytes of a file.

    Parameters
    ----------
    image : uint8 (H, W) or (H, W, 3), or PIL image
    kind : str
        The format: ``png``, ``jpeg``, ``webp``.
    **options
        Further arguments of PIL's ``save``, such as ``quality``.
    """
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def data_uri(content: bytes, kind: str) -> str:
    """Return the bytes of an image file as a data URI, so that a page needs no other file.

    Parameters
    ----------
    content : bytes
    kind : str
        The format: ``png``, ``jpeg``, ``webp``, ``gif``.
    """
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
