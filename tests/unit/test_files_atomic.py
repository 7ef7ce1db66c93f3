"""Writing whole or not at all: what stays on the disk after failures of each kind."""

import os
import sqlite3
import zipfile
from pathlib import Path

import pytest
from pyogrio.errors import DataSourceError
from rasterio._err import CPLE_AppDefinedError
from rasterio.errors import RasterioError
from safetensors import SafetensorError

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
