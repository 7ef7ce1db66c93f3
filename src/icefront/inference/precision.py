"""Where a network runs, in which mode and precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from icefront.errors import IcefrontError
from icefront.inference.settings import Precision


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


@contextmanager
def computing(device: torch.device, precision: Precision) -> Iterator[None]:
    """Run a network in a given precision.

    Parameters
    ----------
    device : torch.device
        Where the network runs.
    precision : "auto", "float32" or "bfloat16"
        ``auto`` is bfloat16 on GPUs that are fast in it. ``float32`` is full, without TF32 on
        GPUs.
    """
    fast = precision == "bfloat16" or (precision == "auto" and has_fast_bf16(device))
    with ExitStack() as settings:
        # Set in any case: a caller's autocast must not reach into a run that is meant to be exact.
        settings.enter_context(torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast))
        if precision == "float32" and device.type == "cuda":
            settings.enter_context(torch.backends.cudnn.flags(allow_tf32=False))
        yield


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
