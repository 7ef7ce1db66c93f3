"""Probabilities of all dates in one temporary file: any length of series in little memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np

from icefront.zones import N_ZONES


class ByteSeries:
    """Probabilities uint8 (T, 4, H, W) on disk, sliced by rows like an array.

    A memory map would count as memory of the program; this reads and writes what is asked for.

    Parameters
    ----------
    count : int
        Number of dates T.
    shape : (int, int)
        H and W of the grid.
    folder : Path, optional
        Where the file lies; it has no name and goes when it is closed, or the program ends.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    """

    def __init__(self, count: int, shape: tuple[int, int], folder: Path | None = None) -> None:
        self.shape = (count, N_ZONES, *shape)
        self.dtype = np.dtype(np.uint8)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by `__exit__`)

    def __enter__(self) -> ByteSeries:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: tuple[int, slice, slice]) -> np.ndarray:
        """Return ``[index, :, rows]``, uint8 (4, h, W)."""
        index, rows = self._checked(key)
        values = np.empty((rows.stop - rows.start, N_ZONES, self.shape[3]), np.uint8)
        self._file.seek(self._offset(index, rows))
        self._file.readinto(values.data)  # type: ignore[attr-defined]
        return np.ascontiguousarray(values.transpose(1, 0, 2))

    def __setitem__(self, key: tuple[int, slice, slice], values: np.ndarray) -> None:
        """Write ``[index, :, rows]``."""
        index, rows = self._checked(key)
        values = np.asarray(values, dtype=np.uint8).transpose(1, 0, 2)
        self._file.seek(self._offset(index, rows))
        self._file.write(np.ascontiguousarray(values).data)

    def date(self, index: int) -> np.ndarray:
        """Return the probabilities of one date, uint8 (4, H, W)."""
        return self[index, :, slice(0, self.shape[2])]

    def _checked(self, key: tuple[int, slice, slice]) -> tuple[int, slice]:
        index, channels, rows = key
        if channels != slice(None) or rows.step not in (None, 1):
            raise IndexError("a series on disk is sliced as [index, :, rows]")
        start, stop, _ = rows.indices(self.shape[2])
        return int(index), slice(start, stop)

    def _offset(self, index: int, rows: slice) -> int:
        # The zones of a row lie side by side, so that a strip is read in one go.
        return (index * self.shape[2] + rows.start) * N_ZONES * self.shape[3]
