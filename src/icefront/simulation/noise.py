"""Random fields and curves with a given roughness, of which simulated landscapes consist."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import fft


def fractal(
    rng: np.random.Generator,
    shape: tuple[int, int],
    slope: float,
    *,
    coarsest: float = 1.0,
    finest: float = np.inf,
    stretch: float = 1.0,
) -> np.ndarray:
    """Draw a periodic field whose amplitude falls with frequency to the power of -`slope`.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : (int, int)
        Rows and columns.
    slope : float
        Of the amplitude in Fourier space; 0 is white noise, 2 about that of mountains (Turcotte
        1997, "Fractals and Chaos in Geology and Geophysics").
    coarsest, finest : float
        Waves per side of the longest and the shortest waves that occur.
    stretch : float
        Features are this many times as long along the rows as across them.

    Returns
    -------
    float32 (H, W)
        Mean 0, standard deviation 1.

    Examples
    --------
    >>> import numpy as np
    >>> field = fractal(np.random.default_rng(0), (64, 64), 1.5)
    >>> field.shape, bool(abs(field.mean()) < 1e-5), round(float(field.std()), 3)
    ((64, 64), True, 1.0)
    """
    height, width = shape
    across = fft.fftfreq(height)[:, None].astype(np.float32) * height
    along = fft.rfftfreq(width)[None, :].astype(np.float32) * (width * stretch)
    frequency = np.hypot(across, along)
    kept = (frequency >= coarsest) & (frequency <= finest)
    amplitude = np.where(kept, np.maximum(frequency, coarsest) ** np.float32(-slope), 0)
    white = fft.rfft2(rng.standard_normal(shape, np.float32))
    field = fft.irfft2(white * amplitude.astype(np.float32), s=shape)
    std = field.std()
    return (field / std if std > 0 else field).astype(np.float32)


def rough_line(
    rng: np.random.Generator, count: int, slope: float, *, coarsest: float = 1.0
) -> np.ndarray:
    """Draw an open line of `count` values, mean 0 and standard deviation 1, as `fractal` does."""
    whole = 2 * count  # only half of the period is used, so that the ends need not meet
    frequency = fft.rfftfreq(whole) * count
    amplitude = np.where(frequency >= coarsest / 2, np.maximum(frequency, 0.5) ** -slope, 0)
    line = fft.irfft(fft.rfft(rng.standard_normal(whole)) * amplitude, whole)[:count]
    line = line - line.mean()
    return line / max(line.std(), 1e-9)


def enlarge(coarse: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Interpolate a field linearly to another shape, float32; outer edges coincide."""
    image = Image.fromarray(np.ascontiguousarray(coarse, np.float32))
    return np.asarray(image.resize(shape[::-1], Image.Resampling.BILINEAR))
