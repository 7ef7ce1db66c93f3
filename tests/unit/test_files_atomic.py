"""Writing whole or not at all: what stays on the disk after failures of each kind."""

import os
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest
from pyogrio.errors import DataSourceError
from rasterio._err import CPLE_AppDefinedError
from rasterio.errors import RasterioError
from safetensors import SafetensorError

from icefront.errors import IcefrontError
from icefront.files import atomic
from icefront.files.atomic import check_folder, remove_unfinished, scratch_folder, staging, writing


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    with writing(path, sync=True) as part:
        part.write_text("a\n")
        assert not path.exists()
        assert part.name == "table.csv"
        assert part.parent.name.startswith(".")
    assert path.read_text() == "a\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (TypeError("a mistake of the program"), TypeError),
        (RuntimeError("a mistake of the program"), RuntimeError),
        (MemoryError(), MemoryError),
        (IcefrontError("explained"), IcefrontError),
        (PermissionError(13, "Permission denied"), IcefrontError),
        (RasterioError("the driver fails"), IcefrontError),
        (CPLE_AppDefinedError(1, 1, "TIFFAppendToStrip fails"), IcefrontError),
        (DataSourceError("the layer fails"), IcefrontError),
        (sqlite3.OperationalError("database is locked"), IcefrontError),
        (SafetensorError("I/O error"), IcefrontError),
        (zipfile.LargeZipFile("too large"), IcefrontError),
        (RuntimeError("[enforce fail at inline_container.cc:672] unexpected pos"), IcefrontError),
        (RuntimeError("NetCDF: HDF error"), IcefrontError),
        (RuntimeError("write: No space left on device"), IcefrontError),
    ],
    ids=repr,
)
def test_failures_of_files_are_explained_mistakes_pass_and_the_earlier_file_stays(
    error: BaseException, raised: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    def fail() -> None:
        with writing(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(raised):
        fail()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("table.csv", "old")]


def test_a_full_disk_is_explained_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(part: Path, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "move_into_place", full)
    said = f"The disk of {tmp_path} is full and a was not written: make room or wait."
    with pytest.raises(IcefrontError) as caught, writing(tmp_path / "a", remedy="wait") as part:
        part.touch()
    assert str(caught.value) == said
    assert not list(tmp_path.iterdir())


def killed(action: Callable[[], None]) -> None:
    """Run an action in a process that ends in the middle of it, as by signal 9."""
    child = os.fork()
    if child == 0:
        action()
        os._exit(1)
    os.waitpid(child, 0)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def die_while_staging(folder: Path, moved: int | None) -> None:
    """Write three files; die before they are finished, or after some of them were moved."""
    with pytest.MonkeyPatch.context() as patch:
        move, count = atomic.move_into_place, 0

        def die(part: Path, path: Path) -> None:
            nonlocal count
            if count == moved:
                os._exit(0)
            count += 1
            move(part, path)

        patch.setattr(atomic, "move_into_place", die)
        with staging(folder) as unfinished:
            for name in ("a", "b", "c"):
                (unfinished / name).write_text("new")
            if moved is None:
                os._exit(0)


def die_while_writing(path: Path) -> None:
    with writing(path) as part:
        part.write_text("half")
        os._exit(0)


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    killed(lambda: die_while_writing(tmp_path / "state.ckpt"))
    killed(lambda: die_while_staging(tmp_path, None))
    old = tmp_path / ".state.4711.part.ckpt"
    others = {".hidden", "part.txt", "notes.part", ".data.zip.part", ".data.zip.part.json"}
    for name in (*others, old.name):
        (tmp_path / name).touch()
    os.utime(old, (0, 0))
    assert len(names(tmp_path)) == 7  # the second removed what the first had left
    remove_unfinished(tmp_path)
    assert names(tmp_path) == others


def test_a_scratch_folder_of_a_killed_process_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def die() -> None:
        with scratch_folder() as scratch:
            (scratch / "content.gpkg").write_text("half")
            os._exit(0)

    killed(die)
    (left,) = names(tmp_path)
    with scratch_folder() as scratch:
        assert list(scratch.iterdir()) == []
        assert names(tmp_path).isdisjoint({left})
    assert names(tmp_path) == set()


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_files_that_were_all_finished_are_moved_by_the_next_call(
    moved: int, tmp_path: Path
) -> None:
    """Old and new files never stand side by side after it."""
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text("old")
    killed(lambda: die_while_staging(tmp_path, moved))
    assert [(tmp_path / name).read_text() for name in "abc"].count("new") == moved
    remove_unfinished(tmp_path)
    assert names(tmp_path) == {"a", "b", "c"}
    assert [(tmp_path / name).read_text() for name in "abc"] == ["new"] * 3


def test_what_a_live_process_writes_is_left_to_it(tmp_path: Path) -> None:
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with writing(tmp_path / "one") as part, staging(tmp_path) as unfinished:
            part.write_text("whole")
            (unfinished / "two").write_text("whole")
            os.write(ready[1], b"x")
            os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    remove_unfinished(tmp_path)
    with pytest.raises(IcefrontError, match="Another process is writing into the folder"):
        check_folder(tmp_path, overwrite=False)
    with writing(tmp_path / "three") as part:
        part.write_text("whole")
    os.write(go[1], b"x")
    assert os.waitpid(child, 0)[1] == 0
    assert names(tmp_path) == {"one", "two", "three"}


def test_a_folder_with_nothing_but_what_a_dead_process_left_is_empty(tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed(lambda: die_while_staging(out, None))
    assert names(out)
    check_folder(out, overwrite=False)
    assert not names(out)
    (out / "mine.txt").touch()
    with pytest.raises(IcefrontError, match="is not empty"):
        check_folder(out, overwrite=False)


def test_a_call_that_is_interrupted_while_files_are_moved_moves_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move, count = atomic.move_into_place, 0

    def interrupted(part: Path, path: Path) -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        move(part, path)

    monkeypatch.setattr(atomic, "move_into_place", interrupted)

    def write() -> None:
        with staging(tmp_path) as unfinished:
            for name in ("a", "b", "c"):
                (unfinished / name).touch()

    with pytest.raises(KeyboardInterrupt):
        write()
    assert names(tmp_path) == {"a", "b", "c"}


def test_where_the_file_system_has_no_locks_only_what_is_old_counts_as_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(lock: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(filelock.FileLock, "acquire", no_locks)
    killed(lambda: die_while_writing(tmp_path / "a"))
    remove_unfinished(tmp_path)
    (left,) = tmp_path.iterdir()
    os.utime(left, (0, 0))
    remove_unfinished(tmp_path)
    assert not names(tmp_path)
