"""Where a network runs, in which mode and precision, and in which way it is quickest there.

What is quickest on a processor is measured, not read off a list, and remembered in the cache folder
by processor, PyTorch, threads and network. Two things are decided like that. Whether a network is
traced and frozen, which costs seconds, follows from what that saves and how many windows there
were; as only a trace with the same answers to the bit is taken, no result depends on it. Whether
``precision="fast"`` means bfloat16 does change results: what was measured first counts from then
on. `torch.compile` is no choice: its answers are others, and it took three minutes for the full
network.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import torch
from torch import nn

from icefront.errors import IcefrontError
from icefront.files.atomic import writing
from icefront.files.cache import default_cache_folder
from icefront.inference.settings import Precision

_log = logging.getLogger("icefront.inference")

PATIENCE = 100
"""Windows of a network in one process before freezing it is thought of."""

LEAST_GAIN = 0.02
"""Fraction of its time that a frozen network must spare: less is noise."""

FAST_GAIN = 1.2
"""How much quicker bfloat16 must be on a processor to be worth its loss of precision."""

_REPEATS = 3

Network = Callable[[torch.Tensor], torch.Tensor]


def choose_device(device: str = "auto") -> torch.device:
    """Return the device to run on: the one named, or the best there is.

    Parameters
    ----------
    device : str
        ``auto`` (a CUDA GPU, else Apple's GPU, else the processor) or a name torch knows, such as
        ``cpu`` or ``cuda:1``.

    Raises
    ------
    IcefrontError
        If the named device does not exist here.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise IcefrontError(
            f"The device {device!r} is not available here: use auto, cpu or cuda."
        ) from error
    if chosen.type == "meta":
        raise IcefrontError("The device 'meta' cannot compute: use auto, cpu or cuda.")
    return chosen


def has_fast_bf16(device: torch.device) -> bool:
    """Tell whether bfloat16 is worth its loss of precision on a device.

    GPUs from Ampere on multiply matrices of it several times as fast. On processors float32 is
    kept, whatever they are fast in: bfloat16 moves a front by 14 to 16 m on average (real and
    simulated scenes of Helheim on pixels of 10 and 20 m), and processors should agree.
    """
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def precision_here(
    precision: Precision, device: torch.device, network: Callable[[], nn.Module], window: int
) -> Precision:
    """Say what a precision means on a device: ``fast`` becomes float32 or bfloat16.

    Parameters
    ----------
    precision : str
    device : torch.device
    network : callable
        Returns the network that is to run, for the measurement.
    window : int
        Side of its windows in pixels.
    """
    if precision != "fast" or device.type != "cpu":
        return "auto" if precision == "fast" else precision
    model = network()
    key = f"precision {_key(model, window)}"
    known = remembered(key)
    if known is None:
        known = _seconds_by_precision(model, window)
        remember(key, known)
        _log.info("A window takes %s on this processor.", known)
    half = known.get("bfloat16", float("inf"))
    return "bfloat16" if FAST_GAIN * half <= known["float32"] else "float32"


def _seconds_by_precision(model: nn.Module, window: int) -> dict[str, float]:
    """Measure a window in float32 and, if that can be worth it, in bfloat16, in seconds."""
    # A processor without instructions for bfloat16 would need minutes for the network.
    probe = nn.Conv2d(32, 32, 3).eval()
    small, whole = torch.rand(1, 32, 32, 32), torch.rand(1, 1, window, window)
    worthwhile = _seconds(probe, small, True) < _seconds(probe, small, False)
    found = {"float32": _seconds(model, whole, False)}
    if worthwhile:
        found["bfloat16"] = _seconds(model, whole, True)
    return found


def _seconds(network: nn.Module, given: torch.Tensor, half: bool) -> float:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        return _quickest(lambda: network(given), _REPEATS)


def _quickest(job: Callable[[], object], repeats: int) -> float:
    job()
    found = []
    for _ in range(repeats):
        begun = time.process_time()
        job()
        found.append(time.process_time() - begun)
    return min(found) / torch.get_num_threads()


Measure = Callable[[nn.Module, torch.Tensor, int], dict[str, float]]
"""From a network, windows and a margin to what `seconds_of_freezing` returns."""


class QuickestWay:
    """A network that is traced and frozen when that pays, if the answers stay the same to the bit.

    Windows are counted; once what freezing would have saved so far is what it costs, it is done:
    at most twice the time is spent that the better choice would have taken.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode on the processor; maps windows and a margin.
    patience : int
        Windows before anything is measured.
    measure : callable
        Asked where nothing is remembered.
    """

    def __init__(
        self, network: nn.Module, patience: int = PATIENCE, measure: Measure | None = None
    ) -> None:
        self.network, self.windows = network, 0
        self._measure = measure or seconds_of_freezing
        self._next: float = patience
        self._frozen: dict[tuple[int, ...], Network | None] = {}

    def __call__(self, windows: torch.Tensor, margin: int) -> torch.Tensor:
        """Return what the network makes of windows (B, 1, side, side)."""
        self.windows += len(windows)
        found: torch.Tensor
        alike = windows.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
        if alike and self.windows >= self._next:
            kind = (margin, *windows.shape)
            if kind not in self._frozen:
                self._decide(kind, windows, margin)
            frozen = self._frozen.get(kind)
            if frozen is not None:
                found = frozen(windows)
                return found
        found = self.network(windows, margin)
        return found

    def _decide(self, kind: tuple[int, ...], windows: torch.Tensor, margin: int) -> None:
        key = f"freezing {_key(self.network, windows.shape[-1])} {margin} {len(windows)}"
        known = remembered(key)
        if known is None:
            known = self._measure(self.network, windows, margin)
            remember(key, known)
            _log.info("A window takes %s on this processor.", known)
        gain = known["plain"] - known["frozen"]
        if not known["same"] or gain < LEAST_GAIN * known["plain"]:
            self._frozen[kind] = None
        elif gain * self.windows < known["freezing"]:
            self._next = known["freezing"] / gain
        else:
            frozen = freeze(self.network, windows, margin)
            # Frozen anew, it is looked at anew.
            same = torch.equal(frozen(windows), self.network(windows, margin))
            self._frozen[kind] = frozen if same else None


class _AtMargin(nn.Module):
    def __init__(self, network: nn.Module, margin: int) -> None:
        super().__init__()
        self.network, self.margin = network, margin

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.network(windows, self.margin)
        return found


def freeze(network: nn.Module, windows: torch.Tensor, margin: int) -> Network:
    """Return a network for windows of this shape with all that depends on its weights computed."""
    # Tensors of inference mode cannot become constants of a trace.
    with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(
            _AtMargin(network, margin).eval(), windows.clone(), check_trace=False
        )
        frozen: Network = torch.jit.freeze(traced)
        return frozen


def seconds_of_freezing(network: nn.Module, windows: torch.Tensor, margin: int) -> dict[str, float]:
    """Freeze a network and compare it with itself.

    Returns
    -------
    dict
        ``plain``, ``frozen``: processor seconds of a window; ``freezing``: of that itself;
        ``same``: 1 if the answers are the same to the bit.
    """
    begun = time.process_time()
    frozen = freeze(network, windows, margin)
    with torch.inference_mode():
        expected = network(windows, margin)
        same = all(torch.equal(frozen(windows), expected) for _ in range(_REPEATS))
        freezing = time.process_time() - begun
        return {
            "plain": _quickest(lambda: network(windows, margin), _REPEATS) / len(windows),
            "frozen": _quickest(lambda: frozen(windows), _REPEATS) / len(windows),
            "freezing": freezing / torch.get_num_threads(),
            "same": float(same),
        }


def _key(network: nn.Module, window: int) -> str:
    """Name a network by its parts and their shapes, not by its weights, and the processor."""
    about = [f"{name} {tuple(tensor.shape)}" for name, tensor in network.named_parameters()]
    digest = hashlib.sha256("\n".join([str(network), *about]).encode()).hexdigest()[:16]
    return f"{digest} {window} torch {torch.__version__} {torch.get_num_threads()} {_processor()}"


def _processor() -> str:
    """Name the processor and what of it PyTorch uses."""
    name = platform.processor() or platform.machine()
    with suppress(OSError, UnicodeDecodeError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith(("model name", "flags")):
                name += line
            if not line:
                break
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()} {digest}"


_ONLY_HERE: dict[str, dict[str, float]] = {}
# What could not be written.


def _file_of(key: str) -> Path:
    name = hashlib.sha256(key.encode()).hexdigest()[:24]
    return default_cache_folder() / "measured" / f"{name}.json"


def remembered(key: str) -> dict[str, float] | None:
    """Return what was measured before, in this process or another, or None."""
    try:
        kept = json.loads(_file_of(key).read_text("utf-8"))
        if kept["key"] == key:
            return {str(name): float(value) for name, value in kept["seconds"].items()}
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return _ONLY_HERE.get(key)


def remember(key: str, seconds: dict[str, float]) -> None:
    """Keep what was measured, in a file where that is possible."""
    try:
        with writing(_file_of(key)) as part:
            part.write_text(json.dumps({"key": key, "seconds": seconds}, indent=1) + "\n", "utf-8")
    except (IcefrontError, OSError, RuntimeError):
        _ONLY_HERE[key] = seconds


@contextmanager
def computing(device: torch.device, precision: Precision) -> Iterator[None]:
    """Run a network in a given precision.

    Parameters
    ----------
    device : torch.device
        Where the network runs.
    precision : "auto", "float32" or "bfloat16"
        As `precision_here` gives it. ``auto`` is bfloat16 on GPUs that are fast in it. ``float32``
        is full, without TF32 on GPUs.
    """
    fast = precision == "bfloat16" or (precision == "auto" and has_fast_bf16(device))
    with ExitStack() as settings:
        # Set in any case: a caller's autocast must not reach into a run that is meant to be exact.
        settings.enter_context(torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast))
        if precision == "float32" and device.type == "cuda":
            settings.enter_context(torch.backends.cudnn.flags(allow_tf32=False))
        yield


def ready(model: nn.Module, device: str = "auto") -> nn.Module:
    """Put a model on its device in evaluation mode for good, so that no scene has to.

    It is folded for the first scene then and stays so: `icefront.inference.network` keeps what it
    folded as long as the model lives and its weights stay the same, at the same place.

    Parameters
    ----------
    model : nn.Module
    device : str
        As for `choose_device`; one that does not exist leaves the model where it is, and the scene
        says so.
    """
    model.eval()
    with suppress(IcefrontError):
        model.to(choose_device(device))
    return model


@contextmanager
def evaluating(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Put a model on a device in evaluation mode, and afterwards back to where it was."""
    modes = {module: module.training for module in model.modules()}
    parameter = next(model.parameters(), None)
    home = None if parameter is None else parameter.device
    if not any(modes.values()) and home == device:
        yield
        return
    model.eval().to(device)
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
        if home is not None:
            model.to(home)


@contextmanager
def kept_ready(model: nn.Module, device: str) -> Iterator[None]:
    """Do what `evaluating` does once for several scenes; it does nothing more for each of them.

    Parameters
    ----------
    model : nn.Module
    device : str
        As for `choose_device`; of one that does not exist the first scene says so.
    """
    with ExitStack() as stack:
        with suppress(IcefrontError):
            stack.enter_context(evaluating(model, choose_device(device)))
        yield
