"""The four zones of a scene: their class codes, names, grey values on disk and colours.

Codes and grey values are those of CaFFe (Gourmelon et al. 2022, doi:10.5194/essd-14-4287-2022).
"""

from __future__ import annotations

NO_DATA, ROCK, GLACIER, OCEAN = 0, 1, 2, 3
N_ZONES = 4
ZONE_NAMES = ("no data", "rock", "glacier", "ocean and mélange")

ZONE_GREYS = (0, 64, 127, 254)
"""Grey values of the classes in CaFFe's label PNGs, by class code."""

GREY_TO_ZONE = {0: NO_DATA, 63: ROCK, 64: ROCK, 127: GLACIER, 254: OCEAN}
"""Class code of each grey value that occurs in CaFFe's label PNGs (63 and 64 both mean rock)."""

ZONE_COLOURS = ((0, 0, 0), (140, 110, 80), (200, 225, 245), (30, 90, 160))
"""RGB of each zone in maps and quicklooks, by class code."""
