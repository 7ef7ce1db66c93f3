"""How fast a place changes between rock, glacier and ocean: a Markov chain in continuous time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import expm

from icefront.errors import IcefrontError

DAYS_PER_YEAR = 365.25

STATES = 3
"""Rock, glacier and ocean, in this order: the zone codes 1 to 3."""


@dataclass(frozen=True)
class ChangeRates:
    """Rates at which a place changes its zone, per year.

    Attributes
    ----------
    retreat : float
        From glacier to ocean.
    advance : float
        From ocean to glacier.
    rock : float
        From rock to each of the others and back: next to nothing, but what a network once took for
        rock need not be rock for ever.

    Raises
    ------
    IcefrontError
        If a rate is negative or not finite.
    """

    retreat: float = 1.0
    advance: float = 1.0
    rock: float = 0.002

    def __post_init__(self) -> None:
        for name in ("retreat", "advance", "rock"):
            value = getattr(self, name)
            if not 0 <= value < np.inf:
                raise IcefrontError(
                    f"The rate {name} is {value} per year: give a number from 0 upwards."
                )

    def generator(self) -> np.ndarray:
        """Return the generator of the chain, float64 (3, 3), per year; its rows sum to 0."""
        rates = np.array(
            [
                [0.0, self.rock, self.rock],
                [self.rock, 0.0, self.retreat],
                [self.rock, self.advance, 0.0],
            ]
        )
        return rates - np.diag(rates.sum(axis=1))

    def transition(self, days: float) -> np.ndarray:
        """Return the probabilities of a change over an interval, the matrix exponential.

        Parameters
        ----------
        days : float
            Length of the interval.

        Returns
        -------
        float64 (3, 3)
            Row: zone before; column: zone after. Rows sum to 1.
        """
        return np.asarray(expm(self.generator() * (days / DAYS_PER_YEAR)))
