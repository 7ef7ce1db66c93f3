"""From the values of a file to the grey values 0..1 that a network sees.

===========  ==============================================  ===================================
kind         what the file holds                             mapping to 0..1
===========  ==============================================  ===================================
grey         display values 0..255, as in CaFFe              value / 255
stretched    display values in a narrow band                 linear, percentiles 1 to 99
power        calibrated sigma0 or gamma0, linear             10 log10, then as dB
amplitude    the square root of that                         20 log10, then as dB
db           sigma0 or gamma0 in dB                          linear, -25 dB to +5 dB
dn           uncalibrated amplitude (digital numbers)        20 log10, percentiles 1 to 99
===========  ==============================================  ===================================

Everything is clipped to 0..1; what has data never falls below `BLACK`, since to a network exactly
0 is no data, as in the images of CaFFe.

The floor of the calibrated mapping lies a little below the noise of the quietest common sensor (the
noise-equivalent sigma0 of Sentinel-1 is specified as -22 dB or better, Torres et al. 2012,
doi:10.1016/j.rse.2011.05.028), so that calm water is black without being cut; its ceiling lies
above the brightest ice (the percolation facies of Greenland reach 0 dB and more at C band, Rignot
1995, doi:10.1029/95JE00485), so that crevasses stay distinct from smooth ice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np

from icefront.errors import IcefrontError

RadiometryKind = Literal["grey", "stretched", "power", "amplitude", "db", "dn"]
KINDS: tuple[str, ...] = get_args(RadiometryKind)

BLACK = 1 / 255
"""The darkest grey value of what has data, where values are mapped: as 8-bit images hold it."""
FLOOR_DB = -25.0
"""Calibrated backscatter that becomes black, in dB."""
CEILING_DB = 5.0
"""Calibrated backscatter that becomes 1 (white), in dB."""
STRETCH_PERCENTILES = (1.0, 99.0)
"""Percentiles of the valid values that become 0 and 1 where an image is stretched."""
NARROW_LEVELS = 128
"""8-bit images whose percentiles lie closer together than this many levels are stretched."""

# Beyond these, values of calibrated backscatter cannot be what they are taken for: the median of a
# scene, and percentiles 1 and 99 of values in dB (noise that was subtracted leaves very low ones).
_MEDIAN_DB = (-60.0, 15.0)
_TAILS_DB = (-100.0, 60.0)
_MAX_LINEAR_DB = 20.0  # percentile 99 of power and amplitude
# From percentile 1 to 99; power of 0 to 1 has the small one of positive values.
_MIN_RANGE_DB, _MIN_POSITIVE_RANGE_DB, _MAX_RANGE_DB = 1.0, 3.0, 100.0
_TYPICAL_DB = -12.0
_PERCENTILES = (STRETCH_PERCENTILES[0], 50.0, STRETCH_PERCENTILES[1])
_BINS = 1024
_CHUNK = 1 << 22


@dataclass(frozen=True)
class Radiometry:
    """How the values of one file become grey values.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    low, high : float
        The values (for ``dn`` in dB, for ``grey`` 0 and 255) that become 0 and 1.
    reason : str
        One sentence: what was decided and why.
    """

    kind: RadiometryKind
    low: float
    high: float
    reason: str

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return `values` as float32 grey values in 0..1 (NaN stays NaN)."""
        return to_grey(values, self.kind, low=self.low, high=self.high)


def to_grey(
    values: np.ndarray,
    kind: RadiometryKind,
    *,
    low: float | None = None,
    high: float | None = None,
) -> np.ndarray:
    """Map the values of a file to grey values.

    Parameters
    ----------
    values : array of any shape and real dtype
        Values as stored; NaN where there is no data.
    kind : str
        What they are, see the table of this module.
    low, high : float, optional
        What becomes 0 and 1, in the unit of the linear part (dB for power, amplitude, dB and
        dn). By default 0 and 255 for grey, `FLOOR_DB` and `CEILING_DB` for calibrated values, and
        `STRETCH_PERCENTILES` of `values` for the others.

    Returns
    -------
    array of float32, same shape
        In 0..1, NaN where `values` are NaN. Zero and negative power and amplitude become `BLACK`.

    Raises
    ------
    IcefrontError
        If `kind` is unknown.
    """
    check_kind(kind)
    grey = np.array(values, dtype=np.float32)
    if kind == "grey" and low is None and high is None:
        low, high = 0.0, 255.0
    to_linear_scale(grey, kind)
    if low is None or high is None:
        if kind in ("power", "amplitude", "db"):
            span = (FLOOR_DB, CEILING_DB)
        else:
            span = _percentile_span(grey)
        low, high = low if low is not None else span[0], high if high is not None else span[1]
    if low:
        np.subtract(grey, np.float32(low), out=grey)
    np.divide(grey, np.float32(high - low if high > low else 1.0), out=grey)
    return np.clip(grey, 0.0 if kind == "grey" else BLACK, 1.0, out=grey)


def check_kind(kind: str) -> None:
    """Raise an `IcefrontError` that names the choices if `kind` is none of `KINDS`."""
    if kind not in KINDS:
        raise IcefrontError(
            f"The radiometry '{kind}' is unknown; choose auto, {', '.join(KINDS[:-1])} or "
            f"{KINDS[-1]}."
        )


def to_linear_scale(values: np.ndarray, kind: RadiometryKind) -> None:
    """Bring float32 `values` in place to the scale on which a kind is mapped linearly."""
    if kind in ("power", "amplitude", "dn"):
        # Below any floor, yet finite: noise removal leaves zeros and small negative values.
        tiny = np.float32(1e-30)
        np.maximum(values, tiny, out=values)
        np.log10(values, out=values)
        np.multiply(values, np.float32(10.0 if kind == "power" else 20.0), out=values)


def _percentile_span(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, STRETCH_PERCENTILES))
    if high <= low:
        low, high = float(finite.min()), float(finite.max())
    return low, high


def radiometry_hint(texts: Iterable[str]) -> RadiometryKind | None:
    """Return the kind that units, descriptions or names speak of, or None.

    Words such as ``dB``, ``amplitude`` and ``power`` count, and the scale letter in the names of
    ASF's terrain-corrected Sentinel-1 products (``..._RTC30_G_gpuned_...``).
    """
    words: set[str] = set()
    for text in texts:
        asf = re.search(r"_RTC\d\d_[A-Z]_[gsb]([pda])[a-z]{4}_", text)
        if asf:
            return cast(RadiometryKind, {"p": "power", "d": "db", "a": "amplitude"}[asf[1]])
        words.update(re.split(r"[^a-z0-9]+", text.lower()))
    vocabulary: tuple[tuple[RadiometryKind, set[str]], ...] = (
        ("db", {"db", "decibel", "decibels"}),
        ("amplitude", {"amplitude", "amp"}),
        ("power", {"power", "pwr", "intensity", "linear"}),
    )
    return next((kind for kind, known in vocabulary if words & known), None)


def decide_radiometry(
    values: np.ndarray,
    *,
    dtype: str = "float32",
    kind: str = "auto",
    official: bool = False,
    hint: RadiometryKind | None = None,
) -> Radiometry:
    """Decide how the values of a file become grey values.

    Parameters
    ----------
    values : array (n,)
        A sample of the valid values of the file, its extremes included. Zeros are left aside.
    dtype : str
        In which the file stores them.
    kind : str
        ``auto``, or one of `KINDS` to overrule the decision.
    official : bool
        The file is a CaFFe image: grey / 255 and nothing else.
    hint : str, optional
        What tags, units or the name speak of, see `radiometry_hint`. Followed where the values
        can be that.

    Returns
    -------
    Radiometry
        Linear power cannot be told from linear amplitude by its values; without a hint,
        calibrated linear values are taken for power.

    Raises
    ------
    IcefrontError
        If `kind` is unknown, the values contradict it, or they fit no kind; it says by which
        factor they would.
    """
    values = np.asarray(values)
    if values.any():
        values = values[values != 0]  # fill inside the image and shadow say nothing of the kind
    low, middle, high = np.percentile(values, _PERCENTILES)
    if kind != "auto":
        check_kind(kind)
        stated = cast(RadiometryKind, kind)
        _check_stated(stated, low, middle, high)
        return _with_span(stated, values, "it was asked for")
    if official:
        return _with_span("grey", values, "the name is that of a CaFFe image")
    if _are_display_values(values, dtype):
        where = f"percentiles 1 and 99 at {low:g} and {high:g} of 255"
        wider = "" if dtype == "uint8" else f", stored as {dtype}"
        if high - low < NARROW_LEVELS:
            return _with_span(
                "stretched", values, f"8-bit display values{wider} fill a narrow band ({where})"
            )
        return _with_span("grey", values, f"8-bit display values{wider} fill the range ({where})")
    if middle < 0:
        if not _can_be("db", low, middle, high):
            raise IcefrontError(
                f"The values ({_range(low, high)}) are neither dB nor linear backscatter; "
                f"{_remedy('db', low, middle, high)}."
            )
        return _with_span("db", values, f"most values are negative (median {middle:.3g})")
    if hint == "db":
        if _can_be("db", low, middle, high):
            return _with_span("db", values, "the file speaks of dB")
        if middle > _MEDIAN_DB[1] and high - low < _MAX_RANGE_DB:
            return _with_span(
                "stretched", values, "the file speaks of dB, yet they are not calibrated"
            )
    if np.issubdtype(np.dtype(dtype), np.integer):
        return _numbers(values, f"{dtype} values are uncalibrated digital numbers")
    if hint == "amplitude" and _can_be("amplitude", low, middle, high):
        return _with_span("amplitude", values, "the file speaks of amplitude")
    if _can_be("power", low, middle, high):
        if hint == "power":
            return _with_span("power", values, "the file speaks of power")
        return _with_span(
            "power",
            values,
            f"small positive values (median {middle:.3g}) are taken for linear power; "
            "state 'amplitude' if they are its square root",
        )
    return _numbers(values, f"values up to {high:.4g} are too large to be calibrated backscatter")


def _numbers(values: np.ndarray, why: str) -> Radiometry:
    """Take values for digital numbers, unless they lie too far apart to be those of an image."""
    low, middle, high = np.percentile(values[values > 0], _PERCENTILES)
    if not _can_be("dn", low, middle, high):
        raise IcefrontError(
            f"The values ({_range(low, high)}) lie too far apart to be those of an image; mask the "
            "fill values among them with a nodata tag."
        )
    return _with_span("dn", values, why)


def _range(low: float, high: float) -> str:
    return f"{low:.4g} to {high:.4g} between percentiles 1 and 99"


def _decibels(value: float, kind: RadiometryKind) -> float:
    values = np.array([value], dtype=np.float32)
    to_linear_scale(values, kind)
    return float(values[0])


def _can_be(kind: RadiometryKind, low: float, middle: float, high: float) -> bool:
    """Tell whether values of these percentiles (1, 50, 99) can be of a kind."""
    low_db, middle_db, high_db = (_decibels(value, kind) for value in (low, middle, high))
    if kind == "stretched":
        return True
    if kind == "grey":
        return low >= 0 and 0.99 <= high <= 255
    if kind == "dn":
        return middle > 0 and (low <= 0 or high_db - low_db <= _MAX_RANGE_DB)
    if not _MEDIAN_DB[0] <= middle_db <= _MEDIAN_DB[1]:
        return False
    if kind == "db":
        least = _MIN_RANGE_DB if low < 0 else _MIN_POSITIVE_RANGE_DB
        return _TAILS_DB[0] <= low and high <= _TAILS_DB[1] and high - low >= least
    return high_db <= _MAX_LINEAR_DB


def _check_stated(kind: RadiometryKind, low: float, middle: float, high: float) -> None:
    """Raise an `IcefrontError` with the remedy if values cannot be of a kind that was stated."""
    if not _can_be(kind, low, middle, high):
        raise IcefrontError(
            f"The values ({_range(low, high)}) contradict the radiometry '{kind}' that was "
            f"stated; {_remedy(kind, low, middle, high)}."
        )


def _remedy(kind: RadiometryKind, low: float, middle: float, high: float) -> str:
    """Say by which factor values of these percentiles would be of a kind, or of which other one."""
    factor = _factor(kind, low, middle, high)
    if factor is not None:
        name = {"db": "dB", "grey": "grey values of 0 to 255"}.get(kind, kind)
        return f"multiplied by {factor:g} they would be {name}: set the scale of the band to that"
    others = [other for other in ("db", "power", "dn") if other != kind]
    fits = [other for other in others if _can_be(cast(RadiometryKind, other), low, middle, high)]
    return f"state '{fits[0] if fits else 'stretched'}', or leave it to 'auto'"


def _factor(kind: RadiometryKind, low: float, middle: float, high: float) -> float | None:
    """Return the factor, a power of ten, that makes values fit a kind, or None."""
    if kind == "grey":
        return 255.0 if low >= 0 and high <= 1.01 else None
    if kind not in ("db", "power", "amplitude") or (middle <= 0) != (kind == "db"):
        return None
    typical = _TYPICAL_DB if kind == "db" else 10 ** (_TYPICAL_DB / (10 if kind == "power" else 20))
    best = round(float(np.log10(abs(typical / (middle or typical)))))
    for exponent in (best, best - 1, best + 1):
        factor = 10.0**exponent
        if exponent and _can_be(kind, factor * low, factor * middle, factor * high):
            wide = kind == "db" and factor * (high - low) > -_TAILS_DB[0]
            if not wide:
                return factor
    return None


def _are_display_values(values: np.ndarray, dtype: str) -> bool:
    if dtype == "uint8":
        return True
    whole = values.min() >= 0 and values.max() <= 255 and np.array_equal(values, np.rint(values))
    return bool(whole and values.max() > 1)


def _with_span(kind: RadiometryKind, values: np.ndarray, why: str) -> Radiometry:
    if kind == "grey":
        low, high, what = 0.0, 255.0, "grey values divided by 255"
    elif kind in ("power", "amplitude", "db"):
        low, high = FLOOR_DB, CEILING_DB
        what = f"{kind if kind != 'db' else 'dB'} from {low:g} dB to {high:g} dB taken to 0..1"
    else:
        linear = np.array(values, dtype=np.float32)
        if kind == "dn":
            linear = linear[linear > 0]
        to_linear_scale(linear, kind)
        low, high = _percentile_span(linear)
        unit = " dB" if kind == "dn" else ""
        what = f"{low:.4g} to {high:.4g}{unit} stretched to 0..1"
    return Radiometry(kind, low, high, f"Radiometry {kind}: {what}, because {why}.")


def equalise(image: np.ndarray) -> np.ndarray:
    """Make the histogram of an image flat.

    Each valid pixel becomes its rank among all valid pixels, divided by their number; equal
    values share the mean of their ranks. What is exactly 0 carries no signal (radar shadow, gaps
    of 8-bit images): it stays 0 and is not counted. Values are told apart by 1024 bins between
    the least and the greatest one, so any increasing linear change of the image leaves the result
    as it is, up to rounding at the bins' borders.

    Parameters
    ----------
    image : float32 (H, W), or any shape
        Grey values, NaN where there is no data.

    Returns
    -------
    float32, same shape
        In 0..1, NaN where `image` is NaN and 0 where it is 0; one other value becomes 0.5.
    """
    flat = np.ascontiguousarray(image, dtype=np.float32).reshape(-1)
    result = np.where(flat == 0, np.float32(0), np.float32(np.nan))
    starts = range(0, flat.size, _CHUNK)
    lows, highs = [], []
    for start in starts:
        chunk = flat[start : start + _CHUNK]
        valid = chunk[_signal(chunk)]
        if valid.size:
            lows.append(valid.min())
            highs.append(valid.max())
    if not lows:
        return result.reshape(np.shape(image))
    low, high = np.float32(min(lows)), np.float32(max(highs))
    scale = np.float32(_BINS / (high - low)) if high > low else np.float32(0.0)

    def bins(values: np.ndarray) -> np.ndarray:
        return np.minimum(((values - low) * scale).astype(np.int32), _BINS - 1)

    counts = np.zeros(_BINS, dtype=np.int64)
    for start in starts:
        chunk = flat[start : start + _CHUNK]
        counts += np.bincount(bins(chunk[_signal(chunk)]), minlength=_BINS)
    below = np.cumsum(counts) - counts
    ranks = ((below + 0.5 * counts) / counts.sum()).astype(np.float32)
    for start in starts:
        chunk = flat[start : start + _CHUNK]
        valid = _signal(chunk)
        result[start : start + _CHUNK][valid] = ranks[bins(chunk[valid])]
    return result.reshape(np.shape(image))


def _signal(values: np.ndarray) -> np.ndarray:
    """Tell where there is a measured value, bool."""
    return np.isfinite(values) & (values != 0)
