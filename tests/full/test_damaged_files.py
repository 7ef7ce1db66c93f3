"""Damaged NetCDF-4: libraries may loop for ever on it, so it is opened in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.damage import Reader, readers, try_damaged

FILES = 50


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> list[Reader]:
    found = readers(tmp_path_factory.mktemp("sound"))
    return [reader for reader in found if reader.may_hang]


@pytest.mark.parametrize("seed", range(FILES))
def test_a_damaged_file_is_read_or_refused_in_one_sentence(
    known: list[Reader], seed: int, tmp_path: Path
) -> None:
    reader = known[seed % len(known)]
    assert try_damaged(reader, str(seed), tmp_path / "work") is None


def test_a_sound_file_is_read(known: list[Reader], tmp_path: Path) -> None:
    for reader in known:
        reader.read(reader.placed(tmp_path / "work"), tmp_path / "out")
