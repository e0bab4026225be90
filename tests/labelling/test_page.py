"""The page's server: who is answered, and what is written."""

from __future__ import annotations

import errno
import http.client
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest

from dibs.labelling.journal import Journal, read_journal
from dibs.labelling.page import LabelServer
from dibs.labelling.session import Session
from dibs.labelling.source import labelled
from dibs.workspace import Workspace
from tests.labelling.made import PAIRS, POOL, make_task

JSON = {"Content-Type": "application/json"}


@contextmanager
def serving(session: Session, said: list[str] | None = None) -> Iterator[LabelServer]:
    """A server of that session, which answers until the block ends."""
    with LabelServer(session, "Works", 0, (said if said is not None else []).append) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def journal(workspace: Workspace) -> Iterator[Journal]:
    make_task(workspace)
    with Journal(labelled("Works", workspace).journal("ann"), "ann") as journal:
        yield journal


@pytest.fixture
def server(workspace: Workspace, journal: Journal) -> Iterator[LabelServer]:
    with serving(Session(labelled("Works", workspace), PAIRS, journal, POOL)) as server:
        yield server


class Reply:
    """What the server says to one request."""

    def __init__(
        self,
        server: LabelServer,
        path: str = "state",
        method: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        token: str | None = None,
    ) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        at = f"/{server.token if token is None else token}/{path}"
        connection.request(method, at, body, headers or {})
        reply = connection.getresponse()
        self.status, self.headers, self.body = reply.status, reply.headers, reply.read()
        connection.close()

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


def act(server: LabelServer, act: str, place: int | None, **more: Any) -> Reply:
    return Reply(server, "act", "POST", json.dumps({"act": act, "place": place, **more}).encode(), JSON)


def test_documents_are_shown_and_judged_to_the_end(server: LabelServer, journal: Journal) -> None:
    first = Reply(server).json
    assert (first["task"], first["grades"], first["problem"]) == ("Works", ["not relevant", "relevant"], "")
    assert first["item"]["query"] == "When is the filter changed?"
    assert ["filter", True] in first["item"]["text"]
    assert act(server, "judge", 0, grade=1).json["item"]["document"] == "valve"
    assert act(server, "skip", 1).json["item"]["document"] == "oil"
    assert act(server, "back", 2).json["item"]["document"] == "valve"
    assert act(server, "judge", 1, grade=0).json["item"]["document"] == "oil"
    assert act(server, "judge", 2, grade=1).json["judged"] == 3
    end = act(server, "judge", 3, grade=0)
    assert (end.status, end.json["item"], end.json["judged"]) == (200, None, 4)
    assert act(server, "judge", None, grade=0).status == 400
    assert act(server, "skip", None).status == 400
    assert act(server, "back", None).json["item"]["grade"] == 0
    assert [one.grade for one in read_journal(journal.path).labels] == [1, 0, 1, 0]


def test_pressed_twice_is_judged_once(server: LabelServer, journal: Journal) -> None:
    assert act(server, "judge", 0, grade=1).status == 200
    again = act(server, "judge", 0, grade=1)
    assert (again.status, again.json["item"]["place"]) == (409, 1)
    assert len(journal.labels) == 1


def test_nobody_is_answered_without_the_token(server: LabelServer, journal: Journal) -> None:
    for token in ("", "x", server.token[:-1], f"{server.token}x", server.token.swapcase(), "%E4"):
        for path, method in (("", "GET"), ("state", "GET"), ("label.js", "GET"), ("act", "POST")):
            refused = Reply(server, path, method, b'{"act": "skip", "place": 0}', JSON, token=token)
            assert (refused.status, refused.body) == (403, b"Forbidden\n")
    assert len(server.token) >= 40
    assert journal.labels == []


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", ""]
)
def test_a_rebound_name_is_refused_though_it_has_the_token(server: LabelServer, host: str) -> None:
    refused = Reply(server, headers={"Host": host.format(port=server.server_port)})
    assert (refused.status, b"filter" in refused.body) == (421, False)


def test_localhost_is_a_name_of_ours(server: LabelServer) -> None:
    assert Reply(server, headers={"Host": f"localhost:{server.server_port}"}).status == 200


def test_two_hosts_and_none_are_refused(server: LabelServer) -> None:
    good = f"Host: 127.0.0.1:{server.server_port}\r\n"
    for hosts in ("", f"{good}Host: evil.example\r\n"):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as raw:
            raw.sendall(f"GET /{server.token}/state HTTP/1.1\r\n{hosts}\r\n".encode())
            assert raw.recv(100).startswith(b"HTTP/1.1 421")


def test_other_origins_cannot_judge(server: LabelServer, journal: Journal) -> None:
    body = b'{"act": "judge", "place": 0, "grade": 1}'
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{server.server_port}"):
        assert Reply(server, "act", "POST", body, {**JSON, "Origin": origin}).status == 403
    own = f"http://127.0.0.1:{server.server_port}"
    assert Reply(server, "act", "POST", body, {**JSON, "Origin": own}).status == 200
    assert len(journal.labels) == 1


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", JSON, 400),
        (b"not JSON", JSON, 400),
        (b"[]", JSON, 400),
        (b"\xff", JSON, 400),
        (b"[" * 900, JSON, 400),
        (b'{"act": "judge", "place": 0}', JSON, 400),
        (b'{"act": "judge", "place": 0, "grade": 2}', JSON, 400),
        (b'{"act": "judge", "place": 0, "grade": true}', JSON, 400),
        (b'{"act": "judge", "place": 0, "grade": "1"}', JSON, 400),
        (b'{"act": "erase", "place": 0}', JSON, 400),
        (b'{"act": [], "place": {}}', JSON, 409),
        (b"x" * 1_001, JSON, 413),
        (b'{"act": "skip", "place": 0}', {"Content-Type": "text/plain"}, 415),
        (b'{"act": "skip", "place": 0}', {}, 415),
        (b"", {**JSON, "Content-Length": "-1"}, 411),
        (b"", {**JSON, "Content-Length": "1e3"}, 411),
    ],
)
def test_what_is_no_judgement_is_refused(
    server: LabelServer, journal: Journal, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert Reply(server, "act", "POST", body, headers).status == status
    assert journal.labels == []
    assert Reply(server).json["item"]["place"] == 0


def test_nothing_else_is_there(server: LabelServer) -> None:
    for path in ("page.py", "../journal.py", "%2e%2e/journal.py", "label.html", "state?x=1", "/state"):
        assert Reply(server, path).status == 404
    assert Reply(server, "state", "POST", b"{}", JSON).status == 404
    assert Reply(server, "state", "PUT", b"{}", JSON).status == 501


def test_the_page_runs_its_own_script_alone_and_is_not_kept(server: LabelServer) -> None:
    for path, kind in (("", "text/html"), ("label.js", "text/javascript"), ("label.css", "text/css")):
        page = Reply(server, path)
        assert (page.status, page.headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'" in policy
        assert "unsafe" not in policy
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in page.headers
        assert b"innerHTML" not in page.body
    assert (
        "Access-Control-Allow-Origin"
        not in Reply(server, headers={"Origin": f"http://localhost:{1}"}).headers
    )


def test_it_listens_on_loopback_alone(server: LabelServer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"


def test_a_full_disk_is_said_and_the_document_stays(
    server: LabelServer, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        refused = act(server, "judge", 0, grade=1)
    assert refused.status == 507
    assert "No space left" in refused.json["problem"]
    assert refused.json["item"]["place"] == 0
    assert act(server, "judge", 0, grade=1).json["problem"] == ""
    assert len(read_journal(journal.path).labels) == 1


def test_stop_ends_the_server(workspace: Workspace, journal: Journal) -> None:
    session = Session(labelled("Works", workspace), PAIRS, journal, POOL)
    with LabelServer(session, "Works", 0, print) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        assert act(server, "stop", 0).status == 200
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_a_connection_that_breaks_is_told_without_its_address(
    workspace: Workspace, journal: Journal, capfd: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    with serving(Session(labelled("Works", workspace), PAIRS, journal, POOL), said) as server:
        server.handle_error(None, None)
        Reply(server)
        Reply(server, "no")
        token = server.token
    assert said == ["a connection failed"]
    assert capfd.readouterr() == ("", "")
    for path in (*workspace.root.rglob("*"), *workspace.cache.rglob("*")):
        assert path.is_dir() or token.encode() not in path.read_bytes()
