"""Front probabilities of many dates: a band beside the zones, and witnesses of each other."""

import datetime as dt
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS
from scipy import ndimage

from icefront.extraction.series_fronts import DatedZones, near_meeting, smooth_dates
from icefront.fronts.lines import draw_front
from icefront.grid import Grid
from icefront.projects.probabilities import read_front, read_probabilities, write_probabilities
from icefront.scenes.scene import Scene
from icefront.zones import GLACIER, OCEAN

SIDE, SIZE_M, LAST_ROW = 80, 50.0, 45
TOP = -2_000_000.0
GRID = Grid(SIDE, SIDE, CRS.from_epsg(3413), Affine(SIZE_M, 0, -200_000, 0, -SIZE_M, TOP), SIZE_M)


def zones() -> np.ndarray:
    """Ice to the left of column 40, water to its right, uint8 (4, H, W)."""
    values = np.zeros((4, SIDE, SIDE), np.uint8)
    values[GLACIER, :, :40] = 255
    values[OCEAN, :, 40:] = 255
    return values


def front(above: float, below: float) -> np.ndarray:
    """Front probabilities that change at a row, uint8 (H, W)."""
    values = np.full((SIDE, SIDE), below * 255, np.uint8)
    values[:LAST_ROW] = above * 255
    return values


def member(month: int, told: np.ndarray | None) -> DatedZones:
    return DatedZones(
        f"scene {month}", dt.date(2020, month, 1), GRID, zones, "Crane", read_front=lambda: told
    )


def last_row(line) -> float:
    return (TOP - line.bounds[1]) / SIZE_M


def test_a_date_that_cannot_tell_front_from_shore_is_told_by_the_others() -> None:
    clear = front(0.97, 0.03)
    found = list(smooth_dates([member(1, clear), member(2, front(0.5, 0.5)), member(3, clear)]))
    for date in found:
        assert last_row(date.front.geometry.iloc[0]) == pytest.approx(LAST_ROW, abs=3)
        (shore,) = date.shore.geometry
        assert (TOP - shore.bounds[3]) / SIZE_M == pytest.approx(LAST_ROW, abs=3)
        assert last_row(shore) > SIDE - 3


def test_a_front_drawn_from_where_glacier_meets_ocean_is_that_of_all_probabilities() -> None:
    rng = np.random.default_rng(0)
    odds = ndimage.gaussian_filter(rng.normal(size=(3, SIDE, SIDE)), (0, 4, 4)) * 60
    odds[GLACIER - 1] += np.linspace(6, -6, SIDE)
    odds[OCEAN - 1] -= np.linspace(6, -6, SIDE)
    likely = np.exp(odds - odds.max(axis=0))
    values = np.zeros((4, SIDE, SIDE), np.uint8)
    values[1:] = 255 * likely / likely.sum(axis=0)
    beside = near_meeting(values)
    assert (beside.argmax(axis=0) == values.argmax(axis=0)).all()
    assert 0.2 < (beside == values).all(axis=0).mean() < 0.9
    scene = Scene(np.zeros((SIDE, SIDE), np.float32), GRID.transform, GRID.crs, SIZE_M)
    whole, same = (
        draw_front(found.astype(np.float32) / 255, scene).front for found in (values, beside)
    )
    assert not whole.geometry.iloc[0].is_empty
    assert same.geometry.iloc[0].equals_exact(whole.geometry.iloc[0], 0)
    assert same["uncertainty_m"].iloc[0] == whole["uncertainty_m"].iloc[0]


def test_without_front_probabilities_the_whole_boundary_is_front() -> None:
    for date in smooth_dates([member(1, None), member(2, None)]):
        assert last_row(date.front.geometry.iloc[0]) > SIDE - 3
        assert date.shore.empty


def test_the_front_is_kept_as_a_further_band_and_missing_where_there_is_none(
    tmp_path: Path,
) -> None:
    told = front(0.9, 0.2)
    with_front, without = tmp_path / "a.tif", tmp_path / "b.tif"
    write_probabilities(with_front, np.concatenate([zones(), told[None]]), GRID, {})
    write_probabilities(without, zones(), GRID, {})
    for path in (with_front, without):
        assert (read_probabilities(path) == zones()).all()
    assert (read_front(with_front) == told).all()
    assert read_front(without) is None
    kept = DatedZones(
        "kept", dt.date(2020, 1, 1), GRID, partial(read_probabilities, with_front), "Crane",
        read_front=partial(read_front, with_front),
    )  # fmt: skip
    (alone, _) = smooth_dates([kept, member(2, told)])
    assert last_row(alone.front.geometry.iloc[0]) == pytest.approx(LAST_ROW, abs=3)
