"""How much memory is at hand, and a refusal before more than that is taken.

What a file claims to hold costs its author nothing, so that the claim is held against the memory at
hand before any array is made.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from icefront.errors import IcefrontError

__all__ = ["FRACTION", "NotEnoughMemory", "check_memory", "memory_at_hand"]

FRACTION = 0.8
"""Part of the memory at hand that one task may take; the rest is for other programs."""

_CGROUPS = Path("/sys/fs/cgroup")


class NotEnoughMemory(IcefrontError):
    """A task needs more memory than there is."""


def memory_at_hand(cgroups: Path = _CGROUPS) -> int:
    """Return the bytes that this process can still take without swapping or being killed.

    Parameters
    ----------
    cgroups : Path
        Where the limits of control groups (containers, batch jobs) are mounted.

    Returns
    -------
    int
        The least of the free memory of the machine, what its control group leaves, and what its
        limit of address space leaves.
    """
    return max(0, min(psutil.virtual_memory().available, *_limits(cgroups)))


def check_memory(needed: int, what: str, mend: str) -> None:
    """Refuse what needs more memory than there is.

    Parameters
    ----------
    needed : int
        Bytes.
    what, mend : str
        What needs them, and what to do about it.

    Raises
    ------
    NotEnoughMemory
        If that is more than `FRACTION` of the memory at hand.
    """
    at_hand = memory_at_hand()
    if needed > FRACTION * at_hand:
        raise NotEnoughMemory(
            f"{what} needs {needed / 1e9:.3g} GB of memory, of which {at_hand / 1e9:.3g} GB are at "
            f"hand; {mend}."
        )


def _limits(cgroups: Path) -> Iterator[int]:
    yield sys.maxsize
    # Version 2 and version 1 of control groups; a container sees its own at the root.
    for folder, most, used, cached in (
        (cgroups, "memory.max", "memory.current", "inactive_file"),
        (
            cgroups / "memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ):
        try:
            limit = int((folder / most).read_text())
            taken = int((folder / used).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue
        # Pages of files that were read count as used, and are given up when asked for.
        yield limit - taken + int(stat.get(cached, 0))
    if os.name == "posix":
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            yield limit - psutil.Process().memory_info().vms
