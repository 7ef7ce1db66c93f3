"""What is quickest here: measured once, remembered, and without effect on results."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from icefront.files.cache import default_cache_folder
from icefront.inference import blend_windows
from icefront.inference.network import FoldedNetwork
from icefront.inference.precision import QuickestWay, freeze, precision_here
from icefront.models.registry import build

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICEFRONT_CACHE", str(tmp_path / "cache"))


class Counted(nn.Module):
    """A network that counts how often it is asked itself."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(1))
        self.calls = 0

    def forward(self, windows: torch.Tensor, margin: int) -> torch.Tensor:
        self.calls += 1
        inside = slice(margin, windows.shape[-1] - margin)
        return windows[:, :, inside, inside] * self.weight.exp()


def kept() -> list[dict]:
    folder = default_cache_folder() / "measured"
    return [json.loads(file.read_text("utf-8")) for file in sorted(folder.glob("*.json"))]


@pytest.mark.parametrize(
    ("plain", "frozen", "same", "first"),
    [(2.0, 1.5, 1.0, 20), (2.0, 1.0, 1.0, 10), (2.0, 1.0, 0.0, None), (2.0, 2.0, 1.0, None)],
)
def test_a_network_is_frozen_once_that_has_paid_and_answers_alike(
    plain: float, frozen: float, same: float, first: int | None
) -> None:
    asked = []

    def measure(*_: object) -> dict[str, float]:
        asked.append(True)
        return {"plain": plain, "frozen": frozen, "freezing": 10.0, "same": same}

    network = Counted()
    way = QuickestWay(network, patience=3, measure=measure)
    itself = []
    with torch.inference_mode():
        for number in range(1, 25):
            windows = torch.rand(1, 1, 16, 16)
            expected = network(windows, 4)
            before = network.calls
            assert torch.equal(way(windows, 4), expected)
            if network.calls > before:
                itself.append(number)
            assert bool(asked) == (number >= 3)
    assert len(asked) == 1
    assert max(itself) == (24 if first is None else first)
    # What one process has measured another one need not.
    QuickestWay(network, patience=1, measure=measure)(torch.rand(1, 1, 16, 16), 4)
    assert len(asked) == len(kept()) == 1


def test_the_networks_of_the_family_can_be_frozen_without_a_change() -> None:
    small = {"family": "compact", "image_size": 64}
    network = FoldedNetwork(build(small).eval()).network
    windows = torch.rand(1, 1, 64, 64)
    frozen = freeze(network, windows, 16)
    with torch.inference_mode():
        torch.testing.assert_close(frozen(windows), network(windows, 16), atol=1e-5, rtol=0)


def test_fast_is_what_was_measured_first() -> None:
    network = nn.Conv2d(1, 4, 3).eval()

    def never() -> nn.Module:
        raise AssertionError

    for asked in ("auto", "float32", "bfloat16"):
        assert precision_here(asked, CPU, never, 64) == asked
    assert precision_here("fast", CPU, lambda: network, 64) in ("float32", "bfloat16")
    (measured,) = kept()
    (file,) = (default_cache_folder() / "measured").glob("*.json")
    for half, meaning in ((0.1, "bfloat16"), (0.9, "float32")):
        seconds = {"float32": 1.0, "bfloat16": half}
        file.write_text(json.dumps(measured | {"seconds": seconds}), "utf-8")
        assert precision_here("fast", CPU, lambda: network, 64) == meaning
    file.write_text("damaged", "utf-8")
    assert precision_here("fast", CPU, lambda: network, 64) in ("float32", "bfloat16")
    assert kept()[0]["key"] == measured["key"]


def test_a_folded_network_is_kept_until_weights_change_in_whatever_way() -> None:
    model = build({"family": "compact", "image_size": 64}).eval()
    windows = torch.rand(1, 1, 64, 64)

    def agree() -> None:
        with torch.inference_mode():
            torch.testing.assert_close(
                FoldedNetwork(model)(windows), model(windows), atol=1e-5, rtol=0
            )

    agree()
    assert FoldedNetwork(model).network is FoldedNetwork(model).network
    with torch.no_grad():
        model.classify.bias += 1
    agree()
    model.reduce.weight.data.mul_(2)  # of which PyTorch keeps no count
    agree()
    model.classify = nn.Conv2d(8, 4, 1)
    agree()


@pytest.mark.parametrize("coarse", [1, 2])
def test_windows_together_give_what_they_give_one_by_one(coarse: int) -> None:
    image = torch.rand(150, 170, generator=torch.Generator().manual_seed(0)).numpy()
    image[:40, :40] = np.nan
    sizes: list[int] = []

    def network(windows: torch.Tensor) -> torch.Tensor:
        sizes.append(len(windows))
        around = windows.mean((2, 3), keepdim=True)
        return torch.cat([windows, 3 * around - windows, around + windows**2, 1 - windows], 1)

    found = []
    for batch in (1, 3, 16):
        sizes.clear()
        layout = {"window": 64, "target": 32, "stride": 16, "coarse": coarse}
        found.append(blend_windows(image, network, batch=batch, **layout))
        assert max(sizes) == min(batch, max(sizes))
        assert (max(sizes) > 1) == (batch > 1)
    np.testing.assert_allclose(found[1], found[0], atol=1e-6)
    np.testing.assert_allclose(found[2], found[0], atol=1e-6)
