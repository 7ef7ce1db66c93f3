"""Damaged files of all kinds: read all the same, or refused in one sentence with nothing left.

The same files each time; `python -m benchmarks fuzz` tries ten times as many others.
"""

from __future__ import annotations

import resource
import shutil
import sys
import time
from pathlib import Path

import pytest

from icefront.errors import IcefrontError
from tests.helpers.damage import Reader, readers, try_damaged

FILES = 200
LONGEST_S = 20.0
"""On a busy machine; none takes a second on an idle one."""

MOST_BYTES = 500_000_000
"""What a file of some kilobytes may take of the memory at most."""

ONCE_WRONG = (
    *(("prediction", 10), ("prediction", 12), ("prediction", 14)),
    *(("prediction", 2061), ("prediction", 2209)),
    *(("header, strips", 28), ("scene, strips", 45), ("scene, vrt", 45)),
    *(("checkpoint", 1640), ("recipe, pretraining", 2100), ("catalogue", 2600)),
)
"""Readers and seeds of files that ended in other errors once."""


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> list[Reader]:
    # Those that may hang in a library, each opened in a process of its own, are in tests/full.
    found = readers(tmp_path_factory.mktemp("sound"))
    return [reader for reader in found if not reader.may_hang]


def test_sound_files_are_read(known: list[Reader], tmp_path: Path) -> None:
    refused = []
    for reader in known:
        path = reader.placed(tmp_path / "work")
        try:
            reader.read(path, tmp_path / "out")
        except IcefrontError:
            refused.append(reader.name)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert refused == ["checkpoint, foreign"]


def test_damaged_files_are_read_or_refused_in_one_sentence(
    known: list[Reader], tmp_path: Path
) -> None:
    by_name = {reader.name: reader for reader in known}
    chosen = [(known[k % len(known)], k // len(known)) for k in range(FILES)]
    chosen += [(by_name[name], seed) for name, seed in ONCE_WRONG]
    wrong = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for reader, seed in chosen:
        begun = time.monotonic()
        try:
            problem = try_damaged(reader, str(seed), tmp_path / "work")
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        if time.monotonic() - begun > LONGEST_S:
            problem = "it took too long"
        if problem is not None:
            wrong.append((reader.name, seed, problem))
    assert wrong == []
    if sys.platform == "linux":  # kibibytes; bytes elsewhere
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert (peak - before) * 1024 < MOST_BYTES
