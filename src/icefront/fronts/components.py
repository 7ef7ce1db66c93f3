"""Connected components of large masks, found from runs of pixels instead of single pixels.

A zone map of 3000 x 3000 pixels has nine million pixels but only some ten thousand runs (stretches
of equal pixels along a row). Linking the runs of neighbouring rows and asking a sparse graph for
its components costs time in proportion to the runs; areas, box contacts and changes of class follow
from the runs too, and no label image is ever written.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_PIXELS_PER_RUN = 16
"""Masks with shorter runs than this, on average, are labelled pixel by pixel."""


@dataclass(frozen=True)
class Components:
    """The 8-connected components of a mask, as runs of pixels.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the mask.
    start, stop : int64 (R,)
        First and one past the last pixel of each run, as indices into the flattened mask. Runs are
        in reading order and never cross the end of a row.
    label : int32 (R,)
        Component of each run; components are numbered in reading order from 0.
    count : int
        Number of components.
    """

    shape: tuple[int, int]
    start: np.ndarray
    stop: np.ndarray
    label: np.ndarray
    count: int

    @property
    def areas(self) -> np.ndarray:
        """Pixels of each component, int64 (count,)."""
        sums = np.bincount(self.label, self.stop - self.start, minlength=self.count)
        return np.asarray(sums, dtype=np.int64)

    @property
    def largest(self) -> int:
        """The component of largest area, the first in reading order among equals; -1 if none."""
        return int(np.argmax(self.areas)) if self.count else -1

    def pixels(self, chosen: np.ndarray) -> np.ndarray:
        """Return flat indices, in reading order, of components chosen by bool (count,)."""
        return _pixels_of_runs(self.start, self.stop, chosen[self.label])

    def mask(self, chosen: np.ndarray) -> np.ndarray:
        """Return a mask, bool (H, W), of the components chosen by bool (count,)."""
        out = np.zeros(self.shape, dtype=bool)
        out.reshape(-1)[self.pixels(chosen)] = True
        return out

    def touching(self, mask: np.ndarray) -> np.ndarray:
        """Tell which components hold at least one pixel of `mask` (H, W), bool (count,)."""
        return self.areas_in(mask) > 0

    def areas_in(self, mask: np.ndarray) -> np.ndarray:
        """Count the pixels of each component that `mask` (H, W) holds, int64 (count,)."""
        flat = np.flatnonzero(mask.reshape(-1))
        run = np.searchsorted(self.start, flat, side="right") - 1
        inside = run >= 0
        inside[inside] = flat[inside] < self.stop[run[inside]]
        return np.bincount(self.label[run[inside]], minlength=self.count)


def _pixels_of_runs(start: np.ndarray, stop: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    start, length = start[chosen], (stop - start)[chosen]
    before = np.cumsum(length) - length
    return np.repeat(start - before, length) + np.arange(int(length.sum()))


def components(mask: np.ndarray) -> Components:
    """Label the 8-connected components of a mask.

    Parameters
    ----------
    mask : bool (H, W)
        The pixels to label.

    Returns
    -------
    Components
        Runs, labels and areas.
    """
    height, width = mask.shape
    pitch = width + 1  # one empty column, so that no run crosses the end of a row
    padded = np.zeros(height * pitch + 1, dtype=bool)
    padded[1:].reshape(height, pitch)[:, :width] = mask
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    start, stop = edges[0::2], edges[1::2]
    row = start // pitch
    if start.size > mask.size // _PIXELS_PER_RUN:  # speckle: labelling every pixel is faster
        image, count = ndimage.label(mask, structure=np.ones((3, 3)))
        label = image.reshape(-1)[start - row] - 1
    else:
        label, count = _label_runs(start, stop, pitch)
    return Components((height, width), start - row, stop - row, label.astype(np.int32), count)


def _label_runs(start: np.ndarray, stop: np.ndarray, pitch: int) -> tuple[np.ndarray, int]:
    if start.size == 0:
        return start, 0
    # Runs of the next row, moved up by one row, touch a run (also at a corner) if they start no
    # later than it stops and stop no earlier than it starts.
    first = np.searchsorted(stop, start + pitch, side="left")
    last = np.searchsorted(start, stop + pitch, side="right")
    links = last - first
    upper = np.repeat(np.arange(start.size), links)
    lower = np.repeat(first - (np.cumsum(links) - links), links) + np.arange(int(links.sum()))
    graph = coo_array(
        (np.ones(upper.size, dtype=np.int8), (upper, lower)), shape=(start.size, start.size)
    )
    count, label = connected_components(graph, directed=False)
    return label, int(count)
