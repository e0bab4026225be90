from __future__ import annotations

import hashlib
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
from tenacity import RetryCallState, wait_fixed, wait_none
from tenacity.wait import wait_base

from dibs.data.fetch import Fetched, RemoteFile, fetch
from dibs.errors import DamagedError, DibsError, InputError, MissingError, ProviderError
from dibs.retry import POLITE, seconds_asked
from tests.data.servers import Server, content, serving, status, unsized, whole

BODY = bytes(range(256)) * 1000
OTHER = BODY[::-1]
SHA256 = hashlib.sha256(BODY).hexdigest()
GIT_SHA1 = hashlib.sha1(b"blob 256000\0" + BODY).hexdigest()
AT_ONCE = wait_none()


class Recorded(wait_base):
    """Waits not at all, and notes how long the default strategy would have waited.

    Tenacity asks after the last attempt, too, before it sees that there is no other.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, retry_state: RetryCallState) -> float:
        self.seconds.append(POLITE(retry_state))
        return 0.0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    # The server speaks plain HTTP, and reading the certificates takes 30 ms for each client.
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *places, **named: None)
    with serving() as server:
        yield server


def left_over(folder: Path) -> list[str]:
    """The files in `folder` that are there for a download only."""
    return sorted(path.name for path in folder.rglob("*.part*"))


def test_files_arrive_in_their_folders(server: Server, tmp_path: Path) -> None:
    files = [
        RemoteFile(server.on("/a", content(BODY)), "a.bin", sha256=SHA256),
        RemoteFile(server.on("/b", content(b"bee")), "deep/er/b.txt", size=3),
        RemoteFile(server.on("/c", content(b"")), "empty", size=0),
    ]
    result = fetch(files, tmp_path / "new" / "folder", wait=AT_ONCE)
    assert result == Fetched(fetched=3, reused=0, bytes=len(BODY) + 3)
    assert (tmp_path / "new/folder/a.bin").read_bytes() == BODY
    assert (tmp_path / "new/folder/deep/er/b.txt").read_bytes() == b"bee"
    assert (tmp_path / "new/folder/empty").read_bytes() == b""
    assert len(server.asked) == 3
    assert {asked.headers["Accept-Encoding"] for asked in server.asked} == {"identity"}
    assert left_over(tmp_path) == []


def test_no_files_need_no_folder(tmp_path: Path) -> None:
    assert fetch([], tmp_path / "new") == Fetched(fetched=0, reused=0, bytes=0)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "evidence",
    [
        {"sha256": SHA256},
        {"sha256": SHA256.upper(), "size": 256000},
        {"git_sha1": GIT_SHA1},
        {"git_sha1": GIT_SHA1, "sha256": SHA256},
        {"size": 256000},
        {},
    ],
)
def test_a_file_that_is_there_is_not_asked_for(
    server: Server, tmp_path: Path, evidence: dict[str, Any]
) -> None:
    (tmp_path / "a").write_bytes(BODY)
    result = fetch([RemoteFile(server.url + "/a", "a", **evidence)], tmp_path)
    assert result == Fetched(fetched=0, reused=1, bytes=0)
    assert server.asked == []


@pytest.mark.parametrize("evidence", [{"sha256": SHA256}, {"git_sha1": GIT_SHA1}, {"size": 256000}])
@pytest.mark.parametrize("there", [b"", BODY[:-1], BODY + b"!"])
def test_a_wrong_file_is_replaced(
    server: Server, tmp_path: Path, evidence: dict[str, Any], there: bytes
) -> None:
    (tmp_path / "a").write_bytes(there)
    result = fetch([RemoteFile(server.on("/a", content(BODY)), "a", **evidence)], tmp_path)
    assert result == Fetched(fetched=1, reused=0, bytes=len(BODY))
    assert (tmp_path / "a").read_bytes() == BODY


def test_only_what_is_missing_is_fetched(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(BODY)
    files = [
        RemoteFile(server.on("/a", content(BODY)), "a", sha256=SHA256),
        RemoteFile(server.on("/b", content(b"bee")), "b"),
    ]
    assert fetch(files, tmp_path) == Fetched(fetched=1, reused=1, bytes=3)
    assert [asked.path for asked in server.asked] == ["/b"]


@pytest.mark.parametrize("cut", [1, 65_536, 255_999])
def test_a_dropped_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path, cut: int) -> None:
    url = server.on("/a", content(BODY, etag='"v1"', drop_at=cut), content(BODY, etag='"v1"'))
    result = fetch([RemoteFile(url, "a", size=len(BODY))], tmp_path, wait=AT_ONCE)
    assert result == Fetched(fetched=1, reused=0, bytes=len(BODY))
    assert (tmp_path / "a").read_bytes() == BODY
    assert [asked.range for asked in server.asked] == [None, f"bytes={cut}-"]
    assert server.asked[1].headers["If-Range"] == '"v1"'
    assert left_over(tmp_path) == []


def test_a_drop_in_a_resumed_part_is_resumed_again(server: Server, tmp_path: Path) -> None:
    drops = [content(BODY, drop_at=at) for at in (1000, 2000, 3000)]
    url = server.on("/a", *drops, content(BODY))
    result = fetch([RemoteFile(url, "a", git_sha1=GIT_SHA1)], tmp_path, wait=AT_ONCE)
    assert result.bytes == len(BODY)
    assert [asked.range for asked in server.asked] == [None, "bytes=1000-", "bytes=2000-", "bytes=3000-"]
    assert "If-Range" not in server.asked[1].headers


def test_a_later_run_resumes(server: Server, tmp_path: Path) -> None:
    url = server.on("/a", content(BODY, etag='"v1"', drop_at=1000), content(BODY, etag='"v1"'))
    with pytest.raises(ProviderError, match="Run the same command again") as caught:
        fetch([RemoteFile(url, "a")], tmp_path, attempts=1)
    assert caught.value.where == url
    assert (tmp_path / "a.part").read_bytes() == BODY[:1000]
    assert not (tmp_path / "a").exists()

    assert fetch([RemoteFile(url, "a")], tmp_path).bytes == len(BODY) - 1000
    assert (tmp_path / "a").read_bytes() == BODY
    assert server.asked[1].range == "bytes=1000-"
    assert server.asked[1].headers["If-Range"] == '"v1"'
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("etag", [None, 'W/"v1"', "no quotes"])
def test_without_a_hash_or_strong_etag_a_part_is_not_trusted(
    server: Server, tmp_path: Path, etag: str | None
) -> None:
    url = server.on("/a", content(OTHER, etag=etag, drop_at=1000), content(BODY, etag=etag))
    fetch([RemoteFile(url, "a", size=len(BODY))], tmp_path, wait=AT_ONCE)
    assert (tmp_path / "a").read_bytes() == BODY
    assert [asked.range for asked in server.asked] == [None, None]


def test_a_damaged_note_of_the_etag_is_no_obstacle(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(BODY[:1000])
    (tmp_path / "a.part.etag").write_bytes(b"\0\xff\r\n")
    fetch([RemoteFile(server.on("/a", content(BODY)), "a")], tmp_path, wait=AT_ONCE)
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_server_that_ignores_ranges_sends_all_again(server: Server, tmp_path: Path) -> None:
    url = server.on("/a", content(BODY, drop_at=1000), whole(BODY))
    result = fetch([RemoteFile(url, "a", sha256=SHA256)], tmp_path, wait=AT_ONCE)
    assert result.bytes == 1000 + len(BODY)
    assert (tmp_path / "a").read_bytes() == BODY
    assert [asked.range for asked in server.asked] == [None, "bytes=1000-"]


def test_content_that_changed_in_between_is_not_mixed(server: Server, tmp_path: Path) -> None:
    url = server.on("/a", content(OTHER, etag='"v1"', drop_at=1000), content(BODY, etag='"v2"'))
    fetch([RemoteFile(url, "a", size=len(BODY))], tmp_path, wait=AT_ONCE)
    assert (tmp_path / "a").read_bytes() == BODY
    assert len(server.asked) == 2


def test_a_server_that_ignores_if_range_is_found_out_by_its_etag(server: Server, tmp_path: Path) -> None:
    headers = {"ETag": '"v2"', "Content-Range": f"bytes 1000-{len(BODY) - 1}/{len(BODY)}"}
    url = server.on(
        "/a",
        content(OTHER, etag='"v1"', drop_at=1000),
        status(206, BODY[1000:], headers),
        content(BODY, etag='"v2"'),
    )
    fetch([RemoteFile(url, "a", size=len(BODY))], tmp_path, attempts=2, wait=AT_ONCE)
    assert (tmp_path / "a").read_bytes() == BODY
    assert [asked.range for asked in server.asked] == [None, "bytes=1000-", None]


@pytest.mark.parametrize("place", ["bytes 0-255999/256000", "bytes 10000-255999/256000", "", "nonsense"])
def test_a_range_that_was_not_asked_for_is_not_taken(server: Server, tmp_path: Path, place: str) -> None:
    (tmp_path / "a.part").write_bytes(BODY[:1000])
    url = server.on("/a", status(206, BODY[1000:], {"Content-Range": place}), content(BODY))
    fetch([RemoteFile(url, "a", sha256=SHA256)], tmp_path, attempts=1)
    assert (tmp_path / "a").read_bytes() == BODY
    assert [asked.range for asked in server.asked] == ["bytes=1000-", None]


def test_a_range_answer_to_a_plain_request_is_refused(server: Server, tmp_path: Path) -> None:
    url = server.on("/a", status(206, b"x", {"Content-Range": "bytes 5-5/6"}))
    with pytest.raises(ProviderError, match="206"):
        fetch([RemoteFile(url, "a")], tmp_path, wait=AT_ONCE)
    assert len(server.asked) == 1


def test_416_of_a_whole_part_ends_the_download(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(BODY)
    url = server.on("/a", content(BODY))
    assert fetch([RemoteFile(url, "a", sha256=SHA256)], tmp_path, attempts=1).bytes == 0
    assert (tmp_path / "a").read_bytes() == BODY
    assert [asked.range for asked in server.asked] == ["bytes=256000-"]


@pytest.mark.parametrize("place", [{"Content-Range": "bytes */256000"}, {}])
def test_416_of_a_part_that_is_too_long_starts_from_zero(
    server: Server, tmp_path: Path, place: dict[str, str]
) -> None:
    (tmp_path / "a.part").write_bytes(BODY + b"too much")
    url = server.on("/a", status(416, headers=place), content(BODY))
    fetch([RemoteFile(url, "a", sha256=SHA256)], tmp_path, attempts=1)
    assert (tmp_path / "a").read_bytes() == BODY
    assert [asked.range for asked in server.asked] == ["bytes=256008-", None]


def test_a_part_of_full_size_is_checked_without_a_request(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(BODY)
    result = fetch([RemoteFile(server.url + "/a", "a", size=len(BODY), git_sha1=GIT_SHA1)], tmp_path)
    assert result == Fetched(fetched=1, reused=0, bytes=0)
    assert server.asked == []


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 599])
def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path, code: int) -> None:
    url = server.on("/a", status(code, b"<html>"), status(code), content(BODY))
    fetch([RemoteFile(url, "a")], tmp_path, wait=AT_ONCE)
    assert (tmp_path / "a").read_bytes() == BODY
    assert len(server.asked) == 3


def test_the_server_says_how_long_to_wait(server: Server, tmp_path: Path) -> None:
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    future = "Fri, 31 Dec 9999 23:59:59 GMT"
    answers = [status(429, headers={"Retry-After": value}) for value in ("7", "100000", past, future)]
    wait = Recorded()
    fetch([RemoteFile(server.on("/a", *answers, content(BODY)), "a")], tmp_path, wait=wait)
    assert wait.seconds == [7, 120, 0, 120]


def test_waits_grow_where_the_server_does_not_say(server: Server, tmp_path: Path) -> None:
    wait = Recorded()
    url = server.on("/a", status(500))
    with pytest.raises(ProviderError):
        fetch([RemoteFile(url, "a")], tmp_path, attempts=9, wait=wait)
    floors = [1, 2, 4, 8, 16, 32, 60, 60, 60]
    for seconds, floor in zip(wait.seconds, floors, strict=True):
        assert floor <= seconds <= min(floor + 2, 60)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        (" 12 ", 12),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30),
        ("Sun, 01 Mar 2026 12:00:30 -0000", 30),
        ("Sun, 01 Mar 2026 14:00:30 +0200", 30),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert seconds_asked(header, datetime(2026, 3, 1, 12, tzinfo=UTC)) == seconds


def test_it_gives_up_after_the_attempts(server: Server, tmp_path: Path) -> None:
    url = server.on("/a", status(503))
    with pytest.raises(ProviderError, match="503 Service Unavailable") as caught:
        fetch([RemoteFile(url, "a")], tmp_path, attempts=3, wait=AT_ONCE)
    assert caught.value.where == url
    assert caught.value.exit_code == 1
    assert len(server.asked) == 3


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_refusal_is_final(server: Server, tmp_path: Path, code: int) -> None:
    url = server.on("/a", status(code))
    with pytest.raises(MissingError, match=str(code)) as caught:
        fetch([RemoteFile(url, "a")], tmp_path, wait=AT_ONCE)
    assert caught.value.where == url
    assert len(server.asked) == 1


def test_corrupt_bytes_are_fetched_anew(server: Server, tmp_path: Path) -> None:
    url = server.on("/a", content(OTHER), content(BODY))
    result = fetch([RemoteFile(url, "a", size=len(BODY), sha256=SHA256)], tmp_path, wait=AT_ONCE)
    assert result.bytes == 2 * len(BODY)
    assert (tmp_path / "a").read_bytes() == BODY
    assert [asked.range for asked in server.asked] == [None, None]


@pytest.mark.parametrize(
    ("evidence", "expected", "got"),
    [
        ({"sha256": SHA256}, SHA256, hashlib.sha256(OTHER).hexdigest()),
        ({"git_sha1": GIT_SHA1}, GIT_SHA1, hashlib.sha1(b"blob 256000\0" + OTHER).hexdigest()),
        ({"size": 7}, "expected 7 bytes", "got 256,000"),
    ],
)
def test_bytes_that_stay_wrong_are_named(
    server: Server, tmp_path: Path, evidence: dict[str, Any], expected: str, got: str
) -> None:
    url = server.on("/a", content(OTHER))
    with pytest.raises(DamagedError) as caught:
        fetch([RemoteFile(url, "a", **evidence)], tmp_path, attempts=3, wait=AT_ONCE)
    assert caught.value.where == url
    assert expected in caught.value.problem
    assert got in caught.value.problem
    assert len(server.asked) == 3
    assert not (tmp_path / "a").exists()
    assert left_over(tmp_path) == []


def test_wrong_bytes_leave_the_old_file_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(DamagedError):
        fetch([RemoteFile(server.on("/a", content(OTHER)), "a", sha256=SHA256)], tmp_path, wait=AT_ONCE)
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_body_without_length_that_ends_early_is_noticed_by_its_size(server: Server, tmp_path: Path) -> None:
    url = server.on("/a", unsized(BODY[:1000]), unsized(BODY))
    fetch([RemoteFile(url, "a", size=len(BODY))], tmp_path, wait=AT_ONCE)
    assert (tmp_path / "a").read_bytes() == BODY
    assert len(server.asked) == 2


def test_a_server_that_hangs_is_left(server: Server, tmp_path: Path) -> None:
    url = server.on("/a", server.hang(), content(BODY))
    with httpx.Client(timeout=0.2) as client:
        fetch([RemoteFile(url, "a")], tmp_path, client=client, wait=AT_ONCE)
        assert not client.is_closed
    assert (tmp_path / "a").read_bytes() == BODY
    assert len(server.asked) == 2


def test_a_server_that_always_hangs_is_named(server: Server, tmp_path: Path) -> None:
    url = server.on("/a", server.hang())
    with httpx.Client(timeout=0.1) as client, pytest.raises(ProviderError, match="ReadTimeout") as caught:
        fetch([RemoteFile(url, "a")], tmp_path, client=client, attempts=2, wait=AT_ONCE)
    assert caught.value.where == url
    assert len(server.asked) == 2


def test_no_server_is_a_failure_of_the_provider(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound but not listening: every connection is refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a"
        wait = Recorded()
        with pytest.raises(ProviderError, match="ConnectError") as caught:
            fetch([RemoteFile(url, "a")], tmp_path, attempts=4, wait=wait)
    assert caught.value.where == url
    assert len(wait.seconds) == 4


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    server.on("/b", content(BODY))
    url = server.on("/a", status(302, headers={"Location": "/b"}))
    fetch([RemoteFile(url, "a", sha256=SHA256)], tmp_path)
    assert [asked.path for asked in server.asked] == ["/a", "/b"]


@pytest.mark.parametrize("location", ["/a", "ftp://127.0.0.1/a"])
def test_redirects_to_nowhere_are_a_failure(server: Server, tmp_path: Path, location: str) -> None:
    url = server.on("/a", status(302, headers={"Location": location}))
    with pytest.raises(DibsError) as caught:
        fetch([RemoteFile(url, "a")], tmp_path, wait=AT_ONCE, attempts=2)
    assert caught.value.where == url


def test_the_other_files_are_finished_when_some_fail(server: Server, tmp_path: Path) -> None:
    files = [RemoteFile(server.on(f"/{n}", content(BODY)), f"{n}") for n in range(3)]
    files[1:1] = [RemoteFile(f"{server.url}/gone{n}", f"gone{n}") for n in range(7)]
    with pytest.raises(MissingError) as caught:
        fetch(files, tmp_path, wait=AT_ONCE)
    assert [(tmp_path / f"{n}").read_bytes() for n in range(3)] == [BODY] * 3
    message = str(caught.value)
    assert "7 of 10 files could not be fetched" in message
    assert "and 2 more" in message
    assert [f"{server.url}/gone{n}: the server answered 404" in message for n in range(7)] == [True] * 5 + [
        False
    ] * 2
    assert str(tmp_path) in message


def test_files_that_fail_in_different_ways_are_all_named(server: Server, tmp_path: Path) -> None:
    files = [
        RemoteFile(server.url + "/gone", "gone"),
        RemoteFile(server.on("/busy", status(500)), "busy"),
        RemoteFile(server.on("/bad", content(OTHER)), "bad", sha256=SHA256),
    ]
    with pytest.raises(ProviderError) as caught:
        fetch(files, tmp_path, attempts=2, wait=AT_ONCE)
    for part in ("/gone: the server answered 404", "/busy: the server answered 500", "/bad: is not the file"):
        assert part in str(caught.value)
    assert "more" not in str(caught.value)


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../a", "a/../../b", "a/..", ".", "a//b", "a/", "C:/a", "c:a", "a\\..\\b", "a\0b"],
)
def test_a_path_that_leaves_the_folder_is_refused(path: str) -> None:
    with pytest.raises(InputError, match="does not stay inside") as caught:
        RemoteFile("https://example.org/x", path)
    assert caught.value.where == "https://example.org/x"


@pytest.mark.parametrize("path", ["a", "a/b.pdf", "..a", "a..b/c", ".hidden", "ü/ß", "AB:c", "a b"])
def test_a_path_inside_the_folder_is_taken(path: str) -> None:
    assert RemoteFile("https://example.org/x", path).path == path


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "ftp://example.org/x", "example.org/x"])
def test_only_web_addresses_are_taken(url: str) -> None:
    with pytest.raises(InputError, match=r"http\(s\)"):
        RemoteFile(url, "a")


def test_an_address_that_cannot_be_used_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be used"):
        fetch([RemoteFile("http://127.0.0.1:port/", "a")], tmp_path)


@pytest.mark.parametrize("paths", [("a", "a"), ("a", "a.part"), (".fetch.lock", "b")])
def test_files_must_not_share_a_path(tmp_path: Path, paths: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="same path"):
        fetch([RemoteFile("https://example.org/x", path) for path in paths], tmp_path)


def test_a_folder_that_cannot_be_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written") as caught:
        fetch([RemoteFile(server.url + "/a", "a")], tmp_path / "file" / "folder")
    assert caught.value.where == str(tmp_path / "file" / "folder")


def test_a_folder_in_the_way_of_a_file_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match="cannot be written") as caught:
        fetch([RemoteFile(server.on("/a", content(BODY)), "a")], tmp_path)
    assert caught.value.where == str(tmp_path / "a")


def test_so_many_downloads_at_a_time(server: Server, tmp_path: Path) -> None:
    together = threading.Barrier(3)
    active, peak, counting = 0, 0, threading.Lock()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        nonlocal active, peak
        with counting:
            active += 1
            peak = max(peak, active)
        together.wait(timeout=10)  # passes only if three are asked for at once
        with counting:
            active -= 1
        content(BODY)(handler)

    files = [RemoteFile(server.on(f"/{n}", answer), f"{n}") for n in range(9)]
    fetch(files, tmp_path, concurrency=3)
    assert peak == 3


def test_each_byte_received_is_counted(server: Server, tmp_path: Path) -> None:
    counts: list[int] = []
    files = [
        RemoteFile(server.on("/a", content(OTHER), content(BODY)), "a", sha256=SHA256),
        RemoteFile(server.on("/b", content(BODY, drop_at=1000), content(BODY)), "b", sha256=SHA256),
    ]
    result = fetch(files, tmp_path, on_bytes=counts.append, wait=AT_ONCE)
    assert result.bytes == sum(counts) == 3 * len(BODY)


def test_a_fault_of_the_caller_is_not_hidden(server: Server, tmp_path: Path) -> None:
    def broken(count: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fetch([RemoteFile(server.on("/a", content(BODY)), "a")], tmp_path, on_bytes=broken, wait=AT_ONCE)


class _Interrupting(wait_fixed):
    """Ctrl-C comes when the first attempt has failed, and ends the long wait before the second."""

    def __call__(self, retry_state: RetryCallState) -> float:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return super().__call__(retry_state)


def test_an_interrupted_download_is_resumed(
    server: Server, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a library may have taken it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    url = server.on("/a", content(BODY, etag='"v1"', drop_at=1000), content(BODY, etag='"v1"'))
    with pytest.raises(KeyboardInterrupt):
        fetch([RemoteFile(url, "a")], tmp_path, wait=_Interrupting(60))
    part = (tmp_path / "a.part").read_bytes()
    assert part  # a connection that breaks off may lose what was on its way
    assert BODY[:1000].startswith(part)
    assert len(server.asked) == 1

    fetch([RemoteFile(url, "a")], tmp_path)
    assert (tmp_path / "a").read_bytes() == BODY
    assert server.asked[1].range == f"bytes={len(part)}-"


OTHER_PROCESS = """
import sys
from pathlib import Path
from dibs.data.fetch import RemoteFile, fetch
url, folder, sha256 = sys.argv[1:]
result = fetch([RemoteFile(f"{url}/{n}", f"{n}", sha256=sha256) for n in range(4)], Path(folder))
print(result.fetched, result.reused)
"""


def test_two_processes_share_a_folder(server: Server, tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        begun.set()
        go_on.wait(timeout=20)
        content(BODY)(handler)

    files = [RemoteFile(server.on(f"/{n}", slow), f"{n}", sha256=SHA256) for n in range(4)]
    command = [sys.executable, "-c", OTHER_PROCESS, server.url, str(tmp_path), SHA256]
    root = Path(__file__).resolve().parents[2]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as other,
        ThreadPoolExecutor(1) as thread,
    ):
        assert begun.wait(timeout=20)
        mine = thread.submit(fetch, files, tmp_path)
        go_on.set()
        assert mine.result(timeout=20) == Fetched(fetched=0, reused=4, bytes=0)
        assert other.communicate(timeout=20)[0].split() == ["4", "0"]
    assert len(server.asked) == 4
    assert [(tmp_path / f"{n}").read_bytes() for n in range(4)] == [BODY] * 4
