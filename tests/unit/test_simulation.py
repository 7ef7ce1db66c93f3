"""Made glaciers: the truth against the rasters, the physics against known answers, determinism."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import cKDTree
from shapely.geometry.base import BaseGeometry

from icefront.errors import IcefrontError
from icefront.fronts.lines import extract_front
from icefront.scenes.scene import Scene
from icefront.simulation.calving import FrontHistory, FrontParameters
from icefront.simulation.glacier import Glacier, GlacierParameters, Side
from icefront.simulation.noise import enlarge, fractal, rough_line
from icefront.simulation.optical import CHANNELS, as_archive, sentinel2
from icefront.simulation.presets import arctic_presets, caffe_presets, preset
from icefront.simulation.radar import (
    SENSORS,
    View,
    backscatter,
    display,
    look,
    observe,
    sensor_named,
    speckle,
)
from icefront.simulation.samples import random_image, random_landscape, simulate_image
from icefront.simulation.surfaces import (
    ICE,
    ROCK_FACE,
    UPLAND,
    WATER,
    Landscape,
    grid_of,
    surfaces,
    weather,
)
from icefront.simulation.terrain import crest_map, mountains
from icefront.simulation.torch_dataset import SimulatedScenes, kept_scenes
from icefront.zones import GLACIER, NO_DATA, OCEAN, ROCK

START, END = dt.date(2015, 1, 1), dt.date(2018, 1, 1)
SUMMER, WINTER = dt.date(2016, 7, 25), dt.date(2016, 2, 20)


@pytest.fixture(scope="module")
def landscape() -> Landscape:
    parameters = GlacierParameters(
        extent_m=(15_000, 15_000),
        width_m=4_000,
        sides=(Side(2.0, 50, 1_500, FrontParameters(0, 50, rough_m=20, bow_m=-50)),),
        upland_ice=0.6,
        wall_ice=0.6,
        islands=1,
        nunataks=1,
    )
    return Landscape(Glacier(parameters, 3, START, END), cells=256)


# noise ------------------------------------------------------------------------------------------


@given(slope=st.floats(0, 3), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_fractals_are_normed_and_smoother_with_a_steeper_slope(slope: float, seed: int) -> None:
    field = fractal(np.random.default_rng(seed), (64, 48), slope)
    assert field.std() == pytest.approx(1, abs=1e-3)
    steeper = fractal(np.random.default_rng(seed), (64, 48), slope + 1)
    assert np.diff(steeper).std() < np.diff(field).std()


def test_the_power_of_a_fractal_falls_as_it_is_asked_to() -> None:
    field = fractal(np.random.default_rng(1), (512, 512), 1.5)
    power = np.abs(np.fft.rfft2(field)) ** 2
    frequency = np.hypot(np.fft.fftfreq(512)[:, None] * 512, np.fft.rfftfreq(512)[None] * 512)
    bands = [power[(frequency >= low) & (frequency < 1.2 * low)].mean() for low in (8, 16, 32, 64)]
    slopes = np.diff(np.log2(bands)) / 2
    assert slopes == pytest.approx([-1.5] * 3, abs=0.12)


def test_a_rough_line_need_not_close() -> None:
    gaps = [
        abs(np.diff(rough_line(np.random.default_rng(s), 100, 2.0)[[0, -1]])) for s in range(30)
    ]
    assert np.mean(gaps) > 0.5


def test_enlarging_keeps_a_ramp() -> None:
    ramp = np.arange(8, dtype=np.float32)[None].repeat(8, 0)
    wide = enlarge(ramp, (16, 32))
    assert np.diff(wide[8, 4:-4]) == pytest.approx(0.25, abs=1e-5)


# time -------------------------------------------------------------------------------------------


GRID = Affine(50, 0, 0, 0, -50, 0)


def _range(seed: int, **change: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return mountains(rng, GRID, (256, 256), **{"relief_m": 900, "ridge_m": 3_500, **change})


@pytest.mark.parametrize("seed", range(4))
def test_mountains_fall_from_their_crests_in_slopes_that_can_stand(seed: int) -> None:
    heights = _range(seed)
    steep = np.degrees(np.arctan(np.hypot(*np.gradient(heights, 50.0))))
    assert np.quantile(steep, 0.99) < 60
    assert np.quantile(steep, 0.9) > 10
    crests = crest_map(np.random.default_rng(seed), GRID, (256, 256), 3_500) > 0
    assert 0.005 < crests.mean() < 0.3


def test_ridges_that_are_close_together_are_low() -> None:
    wide, close = (np.mean([np.ptp(_range(k, ridge_m=m)) for k in range(4)]) for m in (8e3, 1.5e3))
    assert close < 0.7 * wide


def test_a_plateau_is_flat() -> None:
    def flat(share: float) -> float:
        heights = _range(3, plateau=share)
        slope = np.hypot(*np.gradient(heights, 50.0))
        return float((slope[heights > np.quantile(heights, 0.75)] < 0.15).mean())

    assert flat(0.4) > flat(0.0) + 0.3


def test_far_ridges_leave_a_plain() -> None:
    heights = mountains(np.random.default_rng(0), GRID, (8, 8), relief_m=10, ridge_m=90_000)
    assert np.isfinite(heights).all()


def test_the_trend_of_a_front_is_the_one_asked_for() -> None:
    quiet = FrontParameters(-120, 200, events_per_year=0)
    history = FrontHistory(quiet, 5, START, dt.date(2025, 1, 1))
    across = np.linspace(-1, 1, 41)
    years = np.array([history.position(dt.date(y, 6, 1), across).mean() for y in range(2015, 2025)])
    assert np.polyfit(np.arange(10), years, 1)[0] == pytest.approx(-120, abs=15)


def test_a_front_stands_furthest_out_on_its_day() -> None:
    calm = FrontParameters(0, 300, maximum_day=140, events_per_year=0, rough_m=0.01)
    history = FrontHistory(calm, 5, START, END)
    days = [dt.date(2016, 1, 1) + dt.timedelta(n) for n in range(365)]
    stands = [history.position(d, np.zeros(1))[0] for d in days]
    assert abs(int(np.argmax(stands)) - 140) <= 2
    assert np.ptp(stands) == pytest.approx(600, rel=0.01)


def test_an_event_takes_a_bay_off_and_it_heals() -> None:
    history = FrontHistory(FrontParameters(0, 0, events_per_year=6), 2, START, END)
    event = next(e for e in history.events if e.day > 100)
    day = START + dt.timedelta(int(np.ceil(event.day)))
    centre = np.array([event.centre])
    before = history.position(day - dt.timedelta(2), centre)[0]
    after = history.position(day, centre)[0]
    assert before - after > 0.6 * event.depth_m
    assert history.last_event(day) is not None


# geometry ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_zones_meet_along_the_true_line(seed: int) -> None:
    """Every boundary of glacier and ocean lies within half a pixel of it, and it is all covered."""
    landscape = random_landscape(1000 + seed)
    date, pixel = dt.date(2016, 9, 1), 40.0
    grid = grid_of(landscape.glacier, pixel)
    zones = surfaces(landscape, date, grid).zones
    edges = []
    for axis in (0, 1):
        a, b = (zones[:-1], zones[1:]) if axis == 0 else (zones[:, :-1], zones[:, 1:])
        rows, columns = np.nonzero((np.minimum(a, b) == GLACIER) & (np.maximum(a, b) == OCEAN))
        half = (0.5, 1.0) if axis == 0 else (1.0, 0.5)
        x, y = grid.transform * (columns + half[0], rows + half[1])
        edges.append(np.stack([x, y], 1))
    found = np.concatenate(edges)
    line = landscape.contact(date)
    assert len(found) > 20
    off = shapely.distance(shapely.points(found), line) / pixel
    assert off.max() <= 0.5 + 1e-6
    points = shapely.get_coordinates(shapely.segmentize(line, 20.0))
    # The ends of wedges that are thinner than a pixel are in the line and not in the zones.
    assert np.quantile(cKDTree(found).query(points)[0], 0.95) < 1.5 * pixel


@pytest.mark.parametrize("seed", range(4))
def test_exact_zones_give_the_true_front_back(seed: int) -> None:
    """To half a pixel: the line lies where glacier meets ocean, and covers the calving front."""
    made = random_landscape(2000 + seed)
    date, pixel = dt.date(2016, 9, 1), 40.0
    grid = grid_of(made.glacier, pixel)
    zones = surfaces(made, date, grid).zones
    probabilities = np.stack([(zones == code).astype(np.float32) for code in range(4)])
    scene = Scene(
        np.full(zones.shape, 0.5, np.float32), grid.transform, made.glacier.crs, pixel_size_m=pixel
    )
    line = extract_front(probabilities, scene).geometry.iloc[0]
    there = shapely.distance(shapely.points(_along(line)), made.contact(date))
    longest = max(shapely.get_parts(made.glacier.calving_front(date)), key=lambda p: p.length)
    back = shapely.distance(shapely.points(_along(longest)), line)
    assert there.mean() < 0.5 * pixel
    assert back.mean() < 0.5 * pixel


def _along(line: BaseGeometry) -> np.ndarray:
    return shapely.get_coordinates(shapely.segmentize(line, 10.0))


def test_the_front_advances_with_its_history(landscape: Landscape) -> None:
    glacier = landscape.glacier
    trunk = glacier.streams[0]
    assert trunk.history is not None
    areas, stands = [], []
    across = np.linspace(-0.9, 0.9, 31)
    for n in range(0, 1000, 50):
        date = START + dt.timedelta(n)
        areas.append(trunk.ice(date).area)
        stands.append(trunk.history.position(date, across).mean())
    assert np.corrcoef(areas, stands)[0, 1] > 0.98


def test_islands_and_nunataks_are_rock(landscape: Landscape) -> None:
    glacier = landscape.glacier
    zones = surfaces(landscape, SUMMER, (grid := grid_of(glacier, 30.0))).zones
    for rocks in (glacier.islands, glacier.nunataks):
        x, y = rocks.representative_point().coords[0]
        column, row = ~grid.transform * (x, y)
        assert zones[int(row), int(column)] == ROCK


def test_places_map_to_the_centreline_and_the_walls(landscape: Landscape) -> None:
    trunk = landscape.glacier.branches[0]
    middle = trunk.place(np.array([0.0]), np.array([0.0]))[0]
    assert middle == pytest.approx(landscape.glacier.parameters.centre, abs=1e-6)
    wall = shapely.Point(trunk.place(np.array([500.0]), np.array([1.0]))[0])
    assert wall.distance(trunk.valley.boundary) < 30


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"extent_m": (-1.0, 5_000.0)}, "extent of -1 m"),
        ({"width_m": 0.0}, "width of 0 m"),
        ({"width_m": 17_000.0}, "does not fit"),
        ({"upland_ice": 1.5}, "1.5 of its mountains"),
        ({"epsg": 4326}, "not projected"),
        ({"front": FrontParameters(trend_m_per_year=-9_000)}, "outside of its area"),
    ],
)
def test_glaciers_that_cannot_be_are_refused(change: dict, says: str) -> None:
    with pytest.raises(IcefrontError, match=says):
        Glacier(GlacierParameters(**change), 1, START, END)


# surfaces ---------------------------------------------------------------------------------------


def test_seasons_are_where_they_belong(landscape: Landscape) -> None:
    melt = [weather(landscape.glacier, d).melt for d in (SUMMER, WINTER)]
    freeze = [weather(landscape.glacier, d).freeze for d in (SUMMER, WINTER)]
    assert melt[0] > 0.5 > melt[1]
    assert freeze[1] > 0.5 > freeze[0]


def test_kinds_agree_with_zones(landscape: Landscape) -> None:
    ground = surfaces(landscape, WINTER, grid_of(landscape.glacier, 30.0))
    assert set(np.unique(ground.zones)) == {ROCK, GLACIER, OCEAN}
    assert ((ground.kinds >= WATER) == (ground.zones == OCEAN)).all()
    assert (ground.zones[ground.kinds == ICE] == GLACIER).all()
    assert abs(float(ground.relief[ground.kinds == ICE].mean())) < 0.5


# radar ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("looks", "resolution"), [(1.0, 20.0), (4.0, 26.0), (10.0, 40.0), (5, 1)])
def test_speckle_has_its_looks_and_keeps_the_mean(looks: float, resolution: float) -> None:
    flat = np.full((600, 600), 0.3, np.float32)
    seen = speckle(flat, looks, resolution, 20.0, np.random.default_rng(0))
    assert seen.mean() == pytest.approx(0.3, rel=0.02)
    assert seen.mean() ** 2 / seen.var() == pytest.approx(looks, rel=0.1)


def test_speckle_is_correlated_over_the_resolution() -> None:
    flat = np.ones((400, 400), np.float32)
    seen = speckle(flat, 4, 60.0, 20.0, np.random.default_rng(0)) - 1
    near, far = (float((seen[:, n:] * seen[:, :-n]).mean() / seen.var()) for n in (1, 8))
    # Two Gaussians of 3 pixels at half height, one pixel apart.
    assert near == pytest.approx(np.exp(-((1 / (2 * 3 / 2.355)) ** 2)), abs=0.03)
    assert abs(far) < 0.03


def test_slopes_that_face_the_radar_shine_and_mountains_cast_shadow(landscape: Landscape) -> None:
    right = look(landscape, View(25.0, 0.0), np.random.default_rng(0))
    left = look(landscape, View(25.0, 180.0), np.random.default_rng(0))
    slope = np.gradient(ndimage.gaussian_filter(landscape.height, 0.7), axis=1)
    assert np.corrcoef(slope.ravel(), right.gain_db.ravel())[0, 1] > 0.6
    assert np.corrcoef(slope.ravel(), left.gain_db.ravel())[0, 1] < -0.6
    grazing = look(landscape, View(75.0, 0.0), np.random.default_rng(0))
    assert grazing.shadow.mean() > right.shadow.mean()


def test_archives_mask_mountains_and_never_the_water() -> None:
    landscape = random_landscape(7)
    for seed in range(8, 40):  # the first with mountains
        if landscape.glacier.parameters.relief_m > 1_200:
            break
        landscape = random_landscape(seed)
    ground = surfaces(landscape, dt.date(2016, 3, 1), grid_of(landscape.glacier, 80.0))
    sensor = sensor_named("ENVISAT")
    hidden = [
        backscatter(landscape, ground, sensor, View(30.0, 10.0), np.random.default_rng(1), masked)
        < 2e-4
        for masked in (False, True)
    ]
    land = (ground.kinds == UPLAND) | (ground.kinds == ROCK_FACE)
    assert hidden[1].sum() > hidden[0].sum()
    assert not (hidden[1] & ~hidden[0] & ~land).any()


def test_calm_water_is_dark_and_not_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "icefront.simulation.radar.outside_swath", lambda shape, *_: np.zeros(shape, bool)
    )
    made = random_landscape(7)
    ground = surfaces(made, dt.date(2016, 8, 1), grid_of(made.glacier, 160.0))
    water = np.where(ground.zones == OCEAN, WATER, ground.kinds).astype(np.uint8)
    calm = replace(ground, kinds=water, weather=replace(ground.weather, wind=0.0))
    for seed in range(30):
        rng = np.random.default_rng(seed)
        seen = observe(made, calm, sensor_named("PALSAR"), View(48.0, 10.0), rng)
        assert np.isfinite(seen[ground.zones == OCEAN]).all()


def test_a_scene_is_calibrated_and_its_gaps_are_gaps(landscape: Landscape) -> None:
    image = simulate_image(landscape, WINTER, SENSORS["TSX"], 30.0, 1)
    valid = np.isfinite(image.decibel)
    assert valid.mean() > 0.3
    assert -30 < np.median(image.decibel[valid]) < 0
    assert ((image.grey == 0) == ~valid).all()
    assert ((image.zones == NO_DATA) == ~valid).all()


def test_water_is_darker_than_ice(landscape: Landscape) -> None:
    ground = surfaces(landscape, SUMMER, grid_of(landscape.glacier, 30.0))
    darker = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        seen = observe(landscape, ground, SENSORS["S1"], View(38, 0), rng)
        water, ice = (np.nanmedian(seen[ground.kinds == kind]) for kind in (WATER, ICE))
        darker.append(ice - water)
    # Where the swath ends before the water there is nothing to compare.
    assert np.isfinite(darker).sum() >= 4
    assert np.nanmean(darker) > 5


def test_display_uses_the_range_and_keeps_zero_for_gaps() -> None:
    decibel = np.linspace(-30, 0, 10_000, dtype=np.float32).reshape(100, 100)
    decibel[:10] = np.nan
    grey = display(decibel)
    assert (grey[:10] == 0).all()
    assert grey[10:].min() >= 1
    assert grey.max() == 254
    assert (np.diff(grey[10:].ravel().astype(int)) >= 0).all()
    assert (display(np.full((4, 4), np.nan, np.float32)) == 0).all()


def test_unknown_names_are_told() -> None:
    with pytest.raises(IcefrontError, match="no sensor named 'ALOS9'"):
        sensor_named("ALOS9")
    with pytest.raises(IcefrontError, match="no glacier named 'Nowhere'"):
        preset("Nowhere")


# optical ----------------------------------------------------------------------------------------


def test_the_optical_image_knows_ice_from_water(landscape: Landscape) -> None:
    channels, ground = sentinel2(landscape, SUMMER, grid_of(landscape.glacier, 60.0))
    assert channels.shape == (14, *ground.zones.shape)
    band = dict(zip(CHANNELS, channels, strict=True))
    snow = (band["B3"] - band["B11"]) / (band["B3"] + band["B11"])
    assert np.median(snow[ground.kinds == ICE]) > 0.5
    assert np.median(band["B8"][ground.kinds == WATER]) < 0.1
    assert (band["SCL"][ground.kinds == WATER] == 6).all()
    archive = as_archive(channels)
    assert archive.dtype == np.uint8
    assert (archive.reshape(14, -1).max(1) == 255).all()


def test_clouds_cover_their_share(landscape: Landscape) -> None:
    grid = grid_of(landscape.glacier, 60.0)
    channels, _ = sentinel2(landscape, SUMMER, grid, cloud=0.3)
    assert (channels[13] == 9).mean() == pytest.approx(0.3, abs=0.05)


# presets, samples -------------------------------------------------------------------------------


def test_the_presets_have_the_numbers_of_their_originals() -> None:
    made = caffe_presets()
    counts = {k: sum(a.count for a in p.acquisitions) for k, p in made.items()}
    assert sum(counts[k] for k, p in made.items() if p.split == "train") == 559
    assert sum(counts[k] for k, p in made.items() if p.split == "test") == 122
    assert len(arctic_presets()) == 14


@pytest.mark.parametrize("name", [*caffe_presets(), *arctic_presets()])
def test_every_preset_can_be_made(name: str) -> None:
    from icefront.simulation.archives import landscape_of

    made = landscape_of(name, 0)
    chosen = preset(name)
    for date in (chosen.first, chosen.last):
        assert made.glacier.calving_front(date).length > 0.5 * chosen.glacier.width_m


def test_an_image_follows_from_its_numbers_alone() -> None:
    first = random_image(3, 7, pixels=128)
    random_landscape.cache_clear()
    random_image(40, 7, pixels=96)
    second = random_image(3, 7, pixels=128)
    assert np.array_equal(first.grey, second.grey)
    assert np.array_equal(first.zones, second.zones)
    assert first.front.equals(second.front)
    assert not np.array_equal(first.grey, random_image(4, 7, pixels=128).grey)


def test_the_stream_gives_what_training_takes() -> None:
    scenes = SimulatedScenes(3, window=96)
    image, zones = scenes[2]
    assert image.shape == (1, 96, 96)
    assert zones.shape == (96, 96)
    assert 0 <= float(image.min()) <= float(image.max()) <= 1
    assert float((image[0] == 0).float().mean()) == pytest.approx(
        float((zones == NO_DATA).float().mean()), abs=0.02
    )
    with pytest.raises(IndexError):
        scenes[3]


def test_scenes_are_kept_for_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = SimulatedScenes(3, window=64, seed=2)
    kept = kept_scenes(scenes, tmp_path, progress=False)
    assert len(kept) == 3
    image, zones = scenes.arrays(2)
    assert (kept[2][0] == image).all()
    assert (kept[2][1] == zones).all()
    arrays = SimulatedScenes.arrays
    monkeypatch.setattr(SimulatedScenes, "arrays", None)  # none may be simulated again
    assert kept_scenes(scenes, tmp_path, progress=False) == kept
    with pytest.raises(TypeError):
        kept_scenes(SimulatedScenes(3, window=64, seed=3), tmp_path, progress=False)
    monkeypatch.setattr(SimulatedScenes, "arrays", arrays)
    kept.blocks[2].path.write_bytes(bytes(2 * 64 * 64))
    assert (kept_scenes(scenes, tmp_path, progress=False)[2][0] == image).all()
