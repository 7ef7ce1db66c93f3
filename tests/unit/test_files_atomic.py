"""Writing whole or not at all: what stays on the disk after failures of each kind."""

import os
from pathlib import Path

import pytest

from icefront.errors import IcefrontError
from icefront.files import atomic
from icefront.files.atomic import remove_unfinished, writing


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    with writing(path, sync=True) as part:
        part.write_text("a\n")
        assert not path.exists()
        assert part.suffix == ".csv"
        assert part.name.startswith(".")
    assert path.read_text() == "a\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError("odd"), IcefrontError("said")])
def test_a_failure_leaves_the_earlier_file_and_nothing_else(
    error: BaseException, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    expected = IcefrontError if isinstance(error, Exception) else KeyboardInterrupt

    def fail() -> None:
        with writing(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(expected):
        fail()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("table.csv", "old")]


def test_a_full_disk_is_explained_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(part: Path, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "move_into_place", full)
    said = f"The disk of {tmp_path} is full and nothing was written: make room or wait."
    with pytest.raises(IcefrontError) as caught, writing(tmp_path / "a", remedy="wait") as part:
        part.touch()
    assert str(caught.value) == said
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with writing(tmp_path / "state.ckpt") as part:
            part.write_text("half")
            os._exit(0)
    os.waitpid(child, 0)
    for name in (".hidden", "part.txt", "notes.part"):
        (tmp_path / name).touch()
    assert len(list(tmp_path.iterdir())) == 4
    remove_unfinished(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {".hidden", "part.txt", "notes.part"}
