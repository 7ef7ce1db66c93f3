"""Parts of files on a server that breaks off, lies, is busy, changes files and goes away."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icefront.errors import IcefrontError
from icefront.files import downloads, ranges
from icefront.files.ranges import (
    NoRangesError,
    RemoteBytes,
    RemoteFileView,
    Traffic,
    read_small,
)
from tests.helpers.file_server import FileServer, file_server

CONTENT = np.random.default_rng(0).bytes(3_000_000)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "PAUSE_S", 0.01)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server({"a.bin": CONTENT}) as state:
        yield state


def remote(server: FileServer, traffic: Traffic | None = None) -> RemoteBytes:
    return RemoteBytes(lambda anew: f"{server.url}/a.bin", traffic or Traffic())


def test_parts_are_asked_for_once_and_near_ones_together(server: FileServer) -> None:
    traffic = Traffic()
    content = remote(server, traffic)
    wanted = [(500_000, 600_000), (600_000, 700_000), (705_000, 800_000), (2_000_000, 2_100_000)]
    content.prefetch(wanted)
    assert len(server.asked) == 3
    for start, stop in wanted:
        assert content.read(start, stop) == CONTENT[start:stop]
    content.prefetch(wanted)
    assert len(server.asked) == traffic.requests == 3
    assert traffic.received == server.sent == ranges.FIRST_BYTES + 400_000


def test_reading_on_and_on_asks_for_more_at_a_time(server: FileServer) -> None:
    view = RemoteFileView(remote(server))
    got = b""
    while part := view.read(5_000):
        got += part
    assert got == CONTENT
    assert len(server.asked) < 12
    assert server.sent == len(CONTENT)


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 9_000), st.booleans()), max_size=12)
)
def test_whatever_is_asked_for_the_bytes_are_right(questions: list) -> None:
    expected = CONTENT[:22_000]
    with pytest.MonkeyPatch.context() as patch, file_server({"a.bin": expected}) as state:
        for name, value in (("FIRST_BYTES", 700), ("READ_AHEAD", 300), ("NEAR", 100)):
            patch.setattr(ranges, name, value)
        content = remote(state)
        for start, length, ahead in questions:
            stop = start + length
            if ahead:
                content.prefetch([(start, stop), (stop + length, stop + 2 * length)])
            assert content.read(start, stop) == expected[start:stop]


def test_a_view_is_a_file(server: FileServer) -> None:
    view = RemoteFileView(remote(server))
    assert (view.readable(), view.seekable()) == (True, True)
    assert view.seek(-10, io.SEEK_END) == len(CONTENT) - 10
    assert view.read() == CONTENT[-10:]
    view.seek(5)
    assert view.seek(5, io.SEEK_CUR) == view.tell() == 10


def test_a_broken_connection_is_gone_on_with(server: FileServer) -> None:
    server.cut_after = [100, 0, 50_000, 0, 0, 7]
    content = remote(server)
    content.prefetch([(100_000, 400_000)])
    assert content.read(100_000, 400_000) == CONTENT[100_000:400_000]


def test_an_answer_in_small_pieces_is_put_together(server: FileServer) -> None:
    server.shorter = 40_000
    assert remote(server).read(500_000, 700_000) == CONTENT[500_000:700_000]


def test_a_busy_server_is_asked_when_it_says(server: FileServer) -> None:
    server.status = [429]
    server.retry_after = "1"
    began = time.monotonic()
    assert remote(server).read(0, 10) == CONTENT[:10]
    assert time.monotonic() - began >= 1


def test_all_readers_wait_while_a_server_is_busy(server: FileServer) -> None:
    traffic = Traffic()
    content = remote(server, traffic)
    traffic.pause(server.url, 0.5)
    began = time.monotonic()
    threads = [threading.Thread(target=content.read, args=(n, n + 9)) for n in (10**6, 2 * 10**6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 0.5


def test_trouble_in_the_server_passes_or_is_told(server: FileServer) -> None:
    server.status = [500, 503, 502]
    content = remote(server)
    server.status = [503] * 50
    with pytest.raises(IcefrontError, match=r"does not send .*a\.bin .HTTP 503"):
        content.read(10**6, 10**6 + 9)
    assert isinstance(content.failure, IcefrontError)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"wrong_ranges": True}, "not sent as it is asked for"),
        ({"longer": 500}, "unlike its server says"),
        ({"changes": True}, "changed on the server"),
        ({"gone": True}, "does not send"),
        ({"status": [404]}, "refused by the server .HTTP 404"),
    ],
)
def test_a_server_that_lies_is_not_believed(server: FileServer, wrong: dict, said: str) -> None:
    for name, value in wrong.items():
        setattr(server, name, value)
    with pytest.raises(IcefrontError, match=said):
        remote(server).read(len(CONTENT) - 10, len(CONTENT) + 600)


def test_an_address_is_signed_anew_when_it_is_refused(server: FileServer) -> None:
    server.query = "key=new"
    calls: list[bool] = []

    def address(anew: bool) -> str:
        calls.append(anew)
        return f"{server.url}/a.bin?key={'new' if anew else 'old'}"

    assert RemoteBytes(address, Traffic()).read(5, 9) == CONTENT[5:9]
    assert calls == [False, True]
    server.query = "key=other"
    with pytest.raises(IcefrontError, match=r"HTTP 403") as told:
        RemoteBytes(address, Traffic())
    assert "key=" not in str(told.value)


def test_a_server_without_ranges_is_told_apart(server: FileServer) -> None:
    server.ranges = False
    with pytest.raises(NoRangesError, match="only as a whole"):
        remote(server)
    assert read_small(lambda anew: f"{server.url}/a.bin", Traffic()) == CONTENT
    server.cut_after = [100, 1000]
    assert read_small(lambda anew: f"{server.url}/a.bin", Traffic()) == CONTENT


def test_nothing_is_asked_after_the_end_of_a_run(server: FileServer) -> None:
    traffic = Traffic()
    content = remote(server, traffic)
    traffic.close()
    with pytest.raises(IcefrontError, match="run was ended"):
        content.read(10**6, 10**6 + 9)
