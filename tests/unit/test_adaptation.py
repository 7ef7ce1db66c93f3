"""What teaches a network that adapts to a site, and what judges it."""

import datetime as dt
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from icefront.models.registry import build
from icefront.series.evidence import SILENT
from icefront.training.adaptation import (
    AdaptationConfig,
    adapt_network,
    agreement,
    dates_kept_out,
    has_learned,
    pass_without,
    sure_zones,
    zones_lost,
)
from icefront.training.losses import zone_loss
from icefront.zones import GLACIER, OCEAN, ROCK

DAYS = [dt.date(2020, 1, 1) + dt.timedelta(12 * n) for n in range(10)]


@pytest.mark.parametrize("centre", [False, True])
def test_places_where_nothing_is_known_do_not_count_in_the_loss(centre):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 8, 8, generator=generator, requires_grad=True)
    zones = torch.randint(0, 4, (2, 8, 8), generator=generator)
    zones[0, 2:5] = SILENT
    loss = zone_loss(logits, zones, centre=centre)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient[0, :, 2:5] == 0).all()
    assert (gradient[0, :, 5] != 0).any()
    changed = logits.detach().clone()
    changed[0, :, 2:5] += 3
    assert zone_loss(changed, zones, centre=centre) == pytest.approx(loss.item())


def test_a_loss_over_half_of_the_places_is_that_of_this_half():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(1, 4, 8, 4, generator=generator)
    zones = torch.randint(0, 4, (1, 8, 4), generator=generator)
    half = zones.clone()
    half[:, 4:] = SILENT
    alone = zone_loss(logits[:, :, :4], zones[:, :4], centre=False)
    assert zone_loss(logits, half, centre=False).item() == pytest.approx(alone.item(), rel=1e-5)
    assert zone_loss(logits, torch.full_like(zones, SILENT), centre=False).isfinite()


def test_dates_that_are_kept_out_are_spread_through_time():
    shuffled = [DAYS[i] for i in (9, 0, 8, 1, 7, 2, 6, 3, 5, 4)]
    assert sorted(shuffled[i] for i in dates_kept_out(shuffled)) == [DAYS[2], DAYS[7]]
    assert dates_kept_out(DAYS, corrected=range(10)) == [2, 6]
    assert dates_kept_out(DAYS, corrected=[0, 1]) == [4, 9]


def test_a_pass_that_does_away_with_a_zone_cannot_teach_it():
    shown = np.array([500, 150, 6000, 3350])
    assert zones_lost(shown, np.array([500, 49, 6000, 3450])) == [ROCK]
    assert zones_lost(shown, np.array([500, 60, 6000, 3440])) == []
    assert zones_lost(np.array([0, 50, 6000, 3450]), np.array([0, 0, 6000, 3500])) == []


def test_agreement_that_rises_by_chance_is_no_learning():
    before = np.full(12, 0.6)
    wavering = np.tile([0.3, -0.29], 6)
    assert has_learned(before, before + 0.02)
    assert not has_learned(before, before + wavering)
    assert not has_learned(before, before - 0.01)
    assert has_learned([0.6] * 3, [0.6, 0.7, 0.6])


def series_of(ice):
    """Return probabilities (T, 4, 1, 1) from those of ice; the rest is ocean."""
    return np.float32([[0, 0, p, 1 - p] for p in ice]).reshape(-1, 4, 1, 1)


def test_dates_that_are_kept_out_tell_nothing():
    one = series_of([0.9] * 10)
    other = one.copy()
    other[4] = [[[0]], [[0]], [[0.0]], [[1.0]]]
    drawn = {4: np.full((1, 1), OCEAN, np.uint8)}
    expected = pass_without(one, DAYS, [4])
    assert np.allclose(pass_without(other, DAYS, [4], corrections=drawn), expected, atol=1e-6)
    assert expected[4, GLACIER] > 0.9
    assert pass_without(one, DAYS, [5], corrections=drawn)[4, OCEAN] > 0.9


def test_only_zones_that_the_pass_is_sure_of_teach():
    columns = [[0, 0, 0.95, 0.05], [0, 0, 0.8, 0.2], [0.9, 0, 0.06, 0.04], [0.3, 0.7, 0, 0]]
    smoothed = np.float32(columns).T[:, None]
    assert sure_zones(smoothed, 0.9).tolist() == [[GLACIER, SILENT, 0, ROCK]]
    eight_bits = np.rint(smoothed * 255).astype(np.uint8)
    assert sure_zones(eight_bits, 0.9).tolist() == [[GLACIER, SILENT, 0, ROCK]]


def test_agreement_is_the_mean_iou_where_the_reference_speaks():
    reference = np.uint8([[GLACIER, GLACIER, OCEAN, OCEAN, SILENT, 0]])
    zones = np.uint8([[GLACIER, GLACIER, GLACIER, OCEAN, ROCK, ROCK]])
    assert agreement(zones, reference) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert agreement(reference, reference) == 1
    assert np.isnan(agreement(zones, np.full_like(zones, SILENT)))


class Stopped(list):
    """Images of which none can be read before Ctrl-C is pressed."""

    def __getitem__(self, number):
        signal.raise_signal(signal.SIGINT)
        return super().__getitem__(number)


def test_ctrl_c_stays_an_interruption():
    network = build({"family": "unet", "widths": (2, 4)})
    network.card = replace(network.card, window=16)
    pair = (np.full((16, 16), 9, np.uint8), np.full((16, 16), OCEAN, np.uint8))
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        adapt_network(network, Stopped([pair]), [], AdaptationConfig(crops=8))
    assert signal.getsignal(signal.SIGINT) is handler
