"""Orbits: state vectors of a circle in space, on which everything is known."""

import numpy as np
import pytest

from icefront.acquisition.orbits import Orbit, earth_fixed
from icefront.errors import IcefrontError

RADIUS_M, RATE = 7_071_000.0, 2 * np.pi / 5_930


def state(seconds):
    angle = RATE * np.asarray(seconds)
    zero = np.zeros_like(angle)
    position = RADIUS_M * np.stack([np.cos(angle), zero, np.sin(angle)], -1)
    velocity = RADIUS_M * RATE * np.stack([-np.sin(angle), zero, np.cos(angle)], -1)
    return position, velocity


def test_places_are_passed_when_and_how_far_geometry_says():
    seconds = np.arange(-80.0, 81, 10)
    orbit = Orbit(seconds, *state(seconds))
    when = np.array([-31.3, 4.9, 55.5])
    # A place off the plane of the orbit, in the plane at right angles to the path at that time.
    radial, _ = state(when)
    place = radial / RADIUS_M * 6_371_000 + np.array([0, 500_000.0, 0])
    found, slant_range = orbit.look(place, 0.0)
    np.testing.assert_allclose(found, when, atol=1e-6)
    np.testing.assert_allclose(slant_range, np.hypot(700_000, 500_000), atol=0.001)


def test_places_that_were_not_passed_have_no_time():
    seconds = np.arange(0.0, 61, 10)
    orbit = Orbit(seconds, *state(seconds))
    place = state(np.array([200.0]))[0] * 0.9
    assert np.isnan(orbit.look(place, 30.0)[0]).all()


def test_earth_fixed_coordinates_are_those_of_proj():
    from pyproj import Transformer

    lon, lat, height = np.array([-38.2, 12.5, 179.9]), np.array([66.3, -71.0, 0.0]), 120.0
    expected = Transformer.from_crs(4979, 4978, always_xy=True).transform(
        lon, lat, np.full(3, height)
    )
    np.testing.assert_allclose(earth_fixed(lon, lat, height), np.stack(expected, -1), atol=1e-6)


def test_an_orbit_needs_vectors_in_order():
    with pytest.raises(IcefrontError, match="state vectors"):
        Orbit(np.array([10.0, 0.0]), *state(np.array([10.0, 0.0])))
