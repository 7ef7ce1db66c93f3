"""Downloads from a server on this machine that breaks off, lies, changes files and goes away."""

from __future__ import annotations

import hashlib
import io
import json
import re
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import filelock
import numpy as np
import pytest
from typer.testing import CliRunner

from icefront.cli import app
from icefront.datasets import sources as module
from icefront.datasets.sources import Source, ask, description, download
from icefront.errors import IcefrontError
from icefront.files import downloads as fetching
from icefront.files.archives import unpack
from icefront.files.downloads import RemoteFile, fetch

CONTENT = np.random.default_rng(0).bytes(300_000)
OTHER = np.random.default_rng(1).bytes(300_000)


def md5(content: bytes) -> str:
    return "md5:" + hashlib.md5(content, usedforsecurity=False).hexdigest()


@dataclass
class Server:
    """What the server does, and what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    etag: bool = True
    honours_if_range: bool = True
    wrong_ranges: bool = False
    """Ranges other than those that are asked for are sent."""
    changes: bool = False
    """The file is another one each time."""
    redirect: str = ""
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which each of the next answers breaks off."""
    status: list[int] = field(default_factory=list)
    """Refusals to come first."""
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server(files={"data.bin": CONTENT})

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(head=True)

        def do_GET(self) -> None:
            self.answer()

        def answer(self, head: bool = False) -> None:
            name = self.path.lstrip("/")
            if not head:
                state.asked.append(self.headers.get("Range", ""))
            if state.status and not head:
                self.send_response(state.status.pop(0))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if name not in state.files:
                self.send_error(404)
                return
            content = state.files[name]
            tag = f'"{hashlib.sha256(content).hexdigest()[:12]}"'
            if state.changes:
                tag = f'"{len(state.asked)}"'
            same = self.headers.get("If-Range") in (None, tag) or not state.honours_if_range
            wanted = self.headers.get("Range")
            start = 0
            if state.redirect:
                self.send_response(302)
                self.send_header("Location", state.redirect)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if wanted and state.wrong_ranges:
                self.send_response(206)
                self.send_header("Content-Range", f"bytes 0-{len(content) - 1}/{len(content)}")
            elif wanted and state.ranges and same:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(content):
                    self.send_error(416)
                    return
                self.send_response(206)
                size = len(content)
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(content) - start))
            if state.etag:
                self.send_header("ETag", tag)
            self.end_headers()
            if head:
                return
            body = content[start:]
            if state.cut_after:
                self.wfile.write(body[: state.cut_after.pop(0)])
                self.close_connection = True
                return
            self.wfile.write(body)

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{listening.server_address[1]}/"
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.setattr(fetching, "PAUSE_S", 0.0)
    monkeypatch.setattr(fetching, "CHUNK", 10_000)
    for variable in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    yield state
    listening.shutdown()
    listening.server_close()


def remote(server: Server, **changes: object) -> RemoteFile:
    known = RemoteFile("data.bin", server.url + "data.bin", len(CONTENT), md5(CONTENT))
    return replace(known, **changes)


def visible(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))


def test_a_whole_file_arrives_with_its_checksum(server: Server, tmp_path: Path) -> None:
    path, digest, notes = fetch(remote(server), tmp_path)
    assert path.read_bytes() == CONTENT
    assert digest == hashlib.sha256(CONTENT).hexdigest()
    assert notes == []
    assert [p.name for p in tmp_path.iterdir()] == ["data.bin"]


def test_after_a_break_it_goes_on_by_ranges(server: Server, tmp_path: Path) -> None:
    server.cut_after = [100_000, 50_000, 0]
    path, _, _ = fetch(remote(server), tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.asked == ["", "bytes=100000-", "bytes=150000-", "bytes=150000-"]


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(server: Server, tmp_path: Path) -> None:
    server.cut_after = [120_000, *[0] * 10]
    with pytest.raises(IcefrontError, match=r"does not send .* run the command again"):
        fetch(remote(server), tmp_path)
    assert visible(tmp_path) == []
    assert len(server.asked) == 1 + fetching.TRIES
    server.cut_after = []
    path, _, notes = fetch(remote(server), tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=120000-"
    assert "went on after 120.0 kB" in notes[0]


def test_a_server_without_ranges_sends_it_anew(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.cut_after = [100_000]
    path, _, notes = fetch(remote(server), tmp_path)
    assert path.read_bytes() == CONTENT
    assert "from the beginning" in notes[0]


@pytest.mark.parametrize("honours", [True, False])
def test_a_file_that_changes_between_tries_is_begun_anew(
    server: Server, tmp_path: Path, honours: bool
) -> None:
    server.honours_if_range = honours
    server.cut_after = [100_000, *[0] * fetching.TRIES]
    unchecked = remote(server, checksum=None)
    with pytest.raises(IcefrontError):
        fetch(unchecked, tmp_path)
    server.cut_after, server.files["data.bin"] = [], OTHER
    path, _, notes = fetch(unchecked, tmp_path)
    assert path.read_bytes() == OTHER
    assert ("from the beginning" if honours else "changed on the server") in " ".join(notes)


def test_without_any_mark_of_the_version_nothing_is_patched_together(
    server: Server, tmp_path: Path
) -> None:
    server.etag = False
    server.cut_after = [100_000, *[0] * fetching.TRIES]
    unchecked = remote(server, checksum=None)
    with pytest.raises(IcefrontError):
        fetch(unchecked, tmp_path)
    server.cut_after, server.files["data.bin"] = [], OTHER
    path, _, _ = fetch(unchecked, tmp_path)
    assert path.read_bytes() == OTHER
    assert server.asked[-1] == ""


def test_wrong_bytes_are_thrown_away(server: Server, tmp_path: Path) -> None:
    server.files["data.bin"] = OTHER
    with pytest.raises(IcefrontError, match=r"instead of .* thrown away"):
        fetch(remote(server), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x"])
def test_another_size_than_published_is_not_fetched(
    server: Server, tmp_path: Path, content: bytes
) -> None:
    server.files["data.bin"] = content
    with pytest.raises(IcefrontError, match="instead of the published"):
        fetch(remote(server), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_passing_trouble_is_waited_out_and_refusals_are_not(server: Server, tmp_path: Path) -> None:
    server.status = [503, 429, 500]
    path, _, _ = fetch(remote(server), tmp_path)
    assert path.read_bytes() == CONTENT
    server.asked.clear()
    server.status = [403]
    with pytest.raises(IcefrontError, match=r"refused by the server \(HTTP 403\)"):
        fetch(remote(server, name="again.bin"), tmp_path)
    assert len(server.asked) == 1
    with pytest.raises(IcefrontError, match="HTTP 404"):
        fetch(remote(server, name="b", url=server.url + "gone"), tmp_path)


def test_a_server_that_does_not_answer_is_named(server: Server, tmp_path: Path) -> None:
    with pytest.raises(IcefrontError, match="check the connection"):
        fetch(remote(server, url="http://127.0.0.1:9/data.bin"), tmp_path)
    assert visible(tmp_path) == []
    with pytest.raises(IcefrontError, match="no web address"):
        fetch(remote(server, url=Path("/etc/hosts").as_uri()), tmp_path)


@pytest.mark.parametrize(
    "habits",
    [{"wrong_ranges": True}, {"ranges": False}, {"honours_if_range": False, "changes": True}],
    ids=str,
)
def test_a_server_that_always_breaks_off_and_begins_anew_is_given_up(
    server: Server, tmp_path: Path, habits: dict[str, bool]
) -> None:
    """Bytes that were there before are no progress."""
    for name in habits:
        setattr(server, name, habits[name])
    server.cut_after = [100_000] * 1_000
    with pytest.raises(IcefrontError, match=r"does not send .* run the command again"):
        fetch(remote(server), tmp_path)
    assert len(server.asked) <= 2 * fetching.TRIES
    assert visible(tmp_path) == []


def test_a_server_that_sends_a_byte_at_a_time_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "MOST_BREAKS", 7)
    server.cut_after = [1] * 1_000
    with pytest.raises(IcefrontError, match="it goes on where it stopped"):
        fetch(remote(server), tmp_path)
    assert len(server.asked) == 7
    assert (tmp_path / ".data.bin.part").stat().st_size == 7


def test_only_web_addresses_are_followed(server: Server, tmp_path: Path) -> None:
    for address in ("ftp://127.0.0.1:9/data.bin", Path("/etc/hosts").as_uri()):
        server.redirect = address
        with pytest.raises(IcefrontError, match=r"no web address|refused by the server"):
            fetch(remote(server), tmp_path)
    assert len(server.asked) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [".data.bin.part", ".data.bin.part.json"])
def test_failures_of_the_disk_are_not_those_of_the_server(
    server: Server, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(IcefrontError, match=re.escape(f"cannot be written to {tmp_path}")):
        fetch(remote(server), tmp_path)


def test_two_processes_do_not_fetch_the_same_file_at_once(server: Server, tmp_path: Path) -> None:
    with (
        filelock.FileLock(tmp_path / ".data.bin.part.lock"),
        pytest.raises(IcefrontError, match="Another process is fetching"),
    ):
        fetch(remote(server), tmp_path)
    assert server.asked == []
    fetch(remote(server), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["data.bin"]


def test_a_file_larger_than_the_disk_is_not_asked_for(server: Server, tmp_path: Path) -> None:
    with pytest.raises(IcefrontError, match="make room"):
        fetch(remote(server, size=10**18), tmp_path)
    assert server.asked == []


# --- archives


def zipped(entries: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name, data in entries.items():
            packed.writestr(name, data)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            packed.writestr(info, target)
    return content.getvalue()


def tarred(entries: dict[str, bytes], kinds: dict[str, bytes] | None = None) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as packed:
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
        for name, kind in (kinds or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            packed.addfile(info)
    return content.getvalue()


GOOD = {"data_raw/a.txt": b"one", "data_raw/deep/b.txt": b"two", "./c.txt": b"three"}


@pytest.mark.parametrize(("name", "pack"), [("a.zip", zipped), ("a.tar.gz", tarred)])
def test_archives_are_unpacked(tmp_path: Path, name: str, pack) -> None:
    archive = tmp_path / name
    archive.write_bytes(pack(GOOD))
    out = tmp_path / "out"
    out.mkdir()
    assert unpack(archive, out) == ["c.txt", "data_raw"]
    assert (out / "data_raw/deep/b.txt").read_bytes() == b"two"
    assert visible(out) == ["c.txt", "data_raw"]
    with pytest.raises(IcefrontError, match="is there already"):
        unpack(archive, out)


BAD = ["../out.txt", "/abs.txt", "a/../../out.txt", "a\\..\\out.txt", "C:/out.txt"]


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize(("ending", "pack"), [("zip", zipped), ("tar.gz", tarred)])
def test_entries_outside_of_the_folder_are_refused(
    tmp_path: Path, ending: str, pack, name: str
) -> None:
    archive = tmp_path / f"a.{ending}"
    archive.write_bytes(pack({"fine.txt": b"x", name: b"bad"}))
    out = tmp_path / "in" / "out"
    out.mkdir(parents=True)
    with pytest.raises(IcefrontError, match=r"leads out of the folder: nothing was unpacked"):
        unpack(archive, out)
    assert list(out.iterdir()) == []
    assert sorted(p.name for p in tmp_path.rglob("*")) == sorted([archive.name, "in", "out"])


@pytest.mark.parametrize(
    "archive",
    [
        ("a.zip", zipped({"x": b"1"}, {"link": "/etc/passwd"})),
        ("a.tar.gz", tarred({"x": b"1"}, {"link": tarfile.SYMTYPE})),
        ("a.tar.gz", tarred({"x": b"1"}, {"hard": tarfile.LNKTYPE})),
        ("a.tar.gz", tarred({"x": b"1"}, {"pipe": tarfile.FIFOTYPE})),
    ],
    ids=["zip link", "tar link", "tar hard link", "tar pipe"],
)
def test_links_and_devices_are_refused(tmp_path: Path, archive: tuple[str, bytes]) -> None:
    path = tmp_path / archive[0]
    path.write_bytes(archive[1])
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(IcefrontError, match="a link or a device: nothing was unpacked"):
        unpack(path, out)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(("name", "pack"), [("a.zip", zipped), ("a.tar.gz", tarred)])
def test_damaged_archives_leave_nothing(tmp_path: Path, name: str, pack) -> None:
    content = bytearray(pack({"first.txt": b"fine", "x.bin": CONTENT}))
    content[len(content) // 2] ^= 255
    (tmp_path / name).write_bytes(bytes(content))
    (tmp_path / f"short_{name}").write_bytes(bytes(content[: len(content) // 2]))
    out = tmp_path / "out"
    out.mkdir()
    for damaged in (name, f"short_{name}"):
        with pytest.raises(IcefrontError, match="damaged or encrypted"):
            unpack(tmp_path / damaged, out)
        assert list(out.iterdir()) == []


# --- sources and the command


@pytest.fixture
def caffe(server: Server, monkeypatch: pytest.MonkeyPatch) -> Source:
    server.files["data_raw.zip"] = zipped(GOOD)
    source = replace(
        module.SOURCES["caffe"], files=(RemoteFile("data_raw.zip", server.url + "data_raw.zip"),)
    )
    monkeypatch.setitem(module.SOURCES, "caffe", source)
    return source


def run(*arguments: object, **options: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["download", *map(str, arguments)], **options)
    return result.exit_code, result.output


def test_the_command_says_what_it_fetches_and_asks(caffe: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, text = run("caffe", "--out", out)
    assert code == 2
    assert "CC-BY-4.0" in text
    assert "10.5194/essd-14-4287-2022" in text
    assert "10.1594/PANGAEA.940950" in text
    assert "no published checksum" in text
    assert "give --yes" in text
    assert not out.exists()


def test_the_command_fetches_unpacks_and_keeps_a_record(
    server: Server, caffe: Source, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, text = run("caffe", "--out", out, "--yes")
    assert code == 0, text
    assert visible(out) == ["c.txt", "data_raw", "download.json"]
    record = json.loads((out / "download.json").read_text())
    entry = record["files"]["data_raw.zip"]
    assert entry["sha256"] == hashlib.sha256(server.files["data_raw.zip"]).hexdigest()
    assert entry["checksum_published"] is False
    assert "940950" in record["citation"]
    asked = len(server.asked)
    code, text = run("caffe", "--out", out, "--yes")
    assert code == 0
    assert "was there already" in text
    assert len(server.asked) == asked


def test_what_is_in_the_way_is_not_replaced_and_nothing_is_fetched_twice(
    server: Server, caffe: Source, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "data_raw").mkdir(parents=True)
    (out / "data_raw" / "mine.txt").write_text("mine")
    code, text = run("caffe", "--out", out, "--yes")
    assert code == 2
    assert "is there already" in text
    assert (out / "data_raw" / "mine.txt").read_text() == "mine"
    (out / "data_raw").rename(out / "moved")
    asked = len(server.asked)
    assert run("caffe", "--out", out, "--yes")[0] == 0
    assert len(server.asked) == asked
    assert (out / "data_raw" / "a.txt").exists()


def test_a_malicious_archive_leaves_nothing(server: Server, caffe: Source, tmp_path: Path) -> None:
    server.files["data_raw.zip"] = zipped({"ok.txt": b"x", "../evil.txt": b"x"})
    out = tmp_path / "out"
    code, text = run("caffe", "--out", out, "--yes")
    assert code == 2
    assert "leads out of the folder" in text
    assert visible(out) == ["download.json"]
    assert not (tmp_path / "evil.txt").exists()


def test_a_record_of_zenodo_gives_sizes_checksums_and_licence(
    server: Server, tmp_path: Path
) -> None:
    server.files["optical.tar.gz"] = tarred({"data_optical/x.tif": b"x"})
    content = server.files["optical.tar.gz"]
    record = {
        "metadata": {"license": {"id": "cc-by-4.0"}},
        "files": [
            {
                "key": "optical.tar.gz",
                "size": len(content),
                "checksum": md5(content),
                "links": {"self": server.url + "optical.tar.gz"},
            }
        ],
    }
    server.files["record"] = json.dumps(record).encode()
    source = replace(module.SOURCES["ssl4sar"], zenodo=server.url + "record")
    server.status = [503]
    asked = ask(source)
    assert asked.licence == "cc-by-4.0"
    assert any(md5(content) in line for line in description(asked))
    result = download(asked, tmp_path / "out", progress=False)
    assert (tmp_path / "out" / "data_optical" / "x.tif").read_bytes() == b"x"
    assert result.names == ("data_optical",)
    for odd in (b"{}", b"[1]", b"no json"):
        server.files["record"] = odd
        with pytest.raises(IcefrontError, match=r"as expected|no JSON"):
            ask(source)
    record["files"][0]["key"] = "../../evil.tar"
    server.files["record"] = json.dumps(record).encode()
    with pytest.raises(IcefrontError, match="no plain name"):
        ask(source)


def test_weights_come_by_the_listing_of_the_hub(server: Server, tmp_path: Path) -> None:
    server.files["model.safetensors"] = CONTENT
    server.files["config.json"] = b"{}"
    listing = [
        {"path": "config.json", "size": 2, "oid": "0"},
        {
            "path": "model.safetensors",
            "size": len(CONTENT),
            "lfs": {"oid": hashlib.sha256(CONTENT).hexdigest()},
        },
    ]
    server.files["tree"] = json.dumps(listing).encode()
    source = replace(module.SOURCES["weights"], hub=server.url + "tree", files_at=server.url)
    asked = ask(source)
    assert asked.files[1].checksum == "sha256:" + hashlib.sha256(CONTENT).hexdigest()
    download(asked, tmp_path, progress=False)
    assert (tmp_path / "model.safetensors").read_bytes() == CONTENT
    server.files["model.safetensors"] = OTHER
    with pytest.raises(IcefrontError, match="thrown away"):
        download(asked, tmp_path / "other", progress=False)
    assert visible(tmp_path / "other") == ["config.json", "download.json"]


def test_unknown_sources_and_files_in_place_of_folders_are_refused(
    tmp_path: Path, caffe: Source
) -> None:
    code, text = run("imagenet", "--out", tmp_path)
    assert code == 2
    assert "there are caffe, ssl4sar, weights" in text
    (tmp_path / "file").write_text("x")
    code, text = run("caffe", "--out", tmp_path / "file", "--yes")
    assert code == 2
    assert "is a file" in text
