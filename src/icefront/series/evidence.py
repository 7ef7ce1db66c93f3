"""What one date's image and a person's correction have to say about the zone of each place."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from icefront.errors import IcefrontError
from icefront.zones import N_ZONES, NO_DATA, ROCK

POWER = 0.7
"""Power to which the probabilities of a network enter: it is surer than it is right."""

LEAST = 2e-3
"""Smallest probability that counts; also half a step of 8 bits."""

CORRECTED = 1e-4
"""What is left of the other zones where a person named one."""

SILENT = 255
"""Code of a correction where it says nothing; 0 says nothing either."""


def evidence(probabilities: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """Return how much each date's image speaks for rock, glacier and ocean.

    A place without data says nothing: the power falls with the probability of the zone no data.

    Parameters
    ----------
    probabilities : float32 (T, 4, N)
        Zone probabilities of N places on T dates.
    powers : float (T,)
        Power to which the probabilities of a date enter, 0 (nothing) to 1 (independent of all
        other dates and calibrated).

    Returns
    -------
    float32 (T, 3, N)
        Likelihoods up to a factor, the largest of a place and date being 1.
    """
    found = np.maximum(probabilities[:, ROCK:], np.float32(LEAST))
    np.log(found, out=found)
    found -= found.max(axis=1, keepdims=True)
    power = np.asarray(powers, np.float32)[:, None] * (1 - probabilities[:, NO_DATA])
    found *= power[:, None]
    return np.exp(found, out=found)


def correct(found: np.ndarray, zones: np.ndarray) -> None:
    """Let a person's zones stand in place of what the image of a date says, in place.

    Parameters
    ----------
    found : float32 (3, N)
        From `evidence`, of one date.
    zones : uint8 (N,)
        Zone codes; 0 and 255 say nothing.
    """
    for code in range(ROCK, N_ZONES):
        places = zones == code
        found[:, places] = CORRECTED
        found[code - ROCK, places] = 1


def checked_corrections(
    corrections: Mapping[int, np.ndarray] | None, count: int, shape: tuple[int, int]
) -> dict[int, np.ndarray]:
    """Return corrections by the index of their date, refusing what fits no date or grid.

    Raises
    ------
    IcefrontError
        If an index names no date, a shape is not that of the grid, or a code is no zone.
    """
    checked = {}
    for index, zones in (corrections or {}).items():
        if not 0 <= index < count:
            raise IcefrontError(
                f"A correction is for date {index}, but there are dates 0 to {count - 1}: give the "
                "index of the date it belongs to."
            )
        zones = np.asarray(zones)
        if zones.shape != shape or zones.dtype.kind not in "iu":
            raise IcefrontError(
                f"The correction of date {index} is {zones.dtype} of shape {zones.shape}, but the "
                f"grid is {shape}: give zone codes (uint8) on the grid of the probabilities."
            )
        known = (zones < N_ZONES) & (zones >= 0) | (zones == SILENT)
        if not known.all():
            raise IcefrontError(
                f"The correction of date {index} holds the code {zones[~known][0]}: give 1 rock, 2 "
                "glacier, 3 ocean, and 0 or 255 where it says nothing."
            )
        checked[int(index)] = zones
    return checked
