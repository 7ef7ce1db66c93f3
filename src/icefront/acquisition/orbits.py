"""Where a Sentinel-1 satellite was, and when it passed a place: the zero-Doppler time.

Between state vectors, which come every ten seconds, positions follow cubics that meet their
positions and velocities; their error is less than a millimetre.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from icefront.errors import IcefrontError

WGS84_RADIUS_M, WGS84_FLATTENING = 6378137.0, 1 / 298.257223563
_MOST_STEPS = 20
_EXACT_S = 1e-9


def earth_fixed(longitude: np.ndarray, latitude: np.ndarray, height_m: np.ndarray) -> np.ndarray:
    """Return earth-fixed coordinates on WGS 84 in metres, float64 (..., 3), from degrees."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    squared = WGS84_FLATTENING * (2 - WGS84_FLATTENING)
    radius = WGS84_RADIUS_M / np.sqrt(1 - squared * np.sin(lat) ** 2)
    flat = (radius + height_m) * np.cos(lat)
    up = (radius * (1 - squared) + height_m) * np.sin(lat)
    return np.stack(np.broadcast_arrays(flat * np.cos(lon), flat * np.sin(lon), up), axis=-1)


class Orbit:
    """The path of a satellite for some minutes.

    Parameters
    ----------
    seconds : float (n,)
        Times of the state vectors, increasing.
    positions, velocities : float (n, 3)
        Earth-fixed, metres and metres per second.

    Raises
    ------
    IcefrontError
        If there are fewer than two vectors or they are not in order.
    """

    def __init__(self, seconds: np.ndarray, positions: np.ndarray, velocities: np.ndarray) -> None:
        if len(seconds) < 2 or not (np.diff(seconds) > 0).all():
            raise IcefrontError("The orbit has fewer than two state vectors, or not in order.")
        self.first_s, self.last_s = float(seconds[0]), float(seconds[-1])
        self._position = CubicHermiteSpline(seconds, positions, velocities)
        self._velocity = self._position.derivative()
        self._acceleration = self._velocity.derivative()

    def look(self, places: np.ndarray, guess_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Return when the satellite passed places, and how far from them.

        Parameters
        ----------
        places : float (..., 3)
            Earth-fixed coordinates in metres.
        guess_s : float
            A time near the pass, in the seconds of the state vectors.

        Returns
        -------
        seconds, slant_range_m : float (...)
            Time at which the place was at right angles to the satellite's path, NaN where that is
            not within the state vectors, and distance at that time.
        """
        # The squared distance has its least value then, which Newton's method finds.
        seconds = np.full(places.shape[:-1], float(guess_s))
        for _ in range(_MOST_STEPS):
            away = places - self._position(seconds)
            velocity = self._velocity(seconds)
            along = (away * velocity).sum(-1)
            rate = (away * self._acceleration(seconds)).sum(-1) - (velocity**2).sum(-1)
            step = -along / rate
            seconds = np.clip(seconds + step, self.first_s - 1.0, self.last_s + 1.0)
            if np.abs(step).max(initial=0) < _EXACT_S:
                break
        seconds[(seconds < self.first_s) | (seconds > self.last_s)] = np.nan
        slant_range = np.linalg.norm(places - self._position(seconds), axis=-1)
        return seconds, slant_range
