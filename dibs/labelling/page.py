"""Labelling in a browser: a server on 127.0.0.1 for one labeller, who holds its token.

Every request has to name this server as its host, which a page that rebinds a name to 127.0.0.1 cannot,
and to hold the token in its path. The page loads nothing from elsewhere and runs no script but its own
file; texts come to it as JSON and are shown as text. Nothing is logged.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from threading import Lock, Thread
from typing import Any

from dibs.errors import DibsError
from dibs.labelling.session import Session

HOST = "127.0.0.1"
_LONGEST_BODY = 1_000
"""Bytes; a judgement has some 50."""
_ASSETS = {"": "text/html", "label.js": "text/javascript", "label.css": "text/css"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class _RefusedError(Exception):
    """A request that is not answered, and why in one word of HTTP's."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class LabelServer(ThreadingHTTPServer):
    """The page of a session; port 0 is any free one."""

    daemon_threads = True

    def __init__(self, session: Session, task: str, port: int, say: Callable[[str], None]) -> None:
        super().__init__((HOST, port), _Handler)
        self.session, self.task, self.say = session, task, say
        self.token = secrets.token_urlsafe(32)
        self.lock = Lock()

    @property
    def url(self) -> str:
        """The address that the labeller opens; whoever has it can judge."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say that a connection broke, and not what it asked for, which holds the token."""
        self.say("a connection failed")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: LabelServer

    def do_GET(self) -> None:
        self._handle(self._got)

    def do_POST(self) -> None:
        self._handle(self._posted)

    def _handle(self, answer: Callable[[str], tuple[HTTPStatus, str, bytes]]) -> None:
        try:
            status, kind, body = answer(self._allowed())
        except _RefusedError as refused:
            self.close_connection = True  # its body is not read
            status, kind, body = refused.status, "text/plain", f"{refused}\n".encode()
        with suppress(ConnectionError, TimeoutError):  # whoever asked has gone
            self.send_response(status)
            for name, value in _HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

    def _allowed(self) -> str:
        """What is asked for below the token."""
        port = self.server.server_port
        host = self.headers.get_all("Host", [])
        if len(host) != 1 or host[0] not in (f"{HOST}:{port}", f"localhost:{port}"):
            raise _RefusedError(HTTPStatus.MISDIRECTED_REQUEST)
        if self.headers.get("Origin", f"http://{host[0]}") != f"http://{host[0]}":
            raise _RefusedError(HTTPStatus.FORBIDDEN)
        token, _, name = self.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise _RefusedError(HTTPStatus.FORBIDDEN)
        return name

    def _got(self, name: str) -> tuple[HTTPStatus, str, bytes]:
        if name == "state":
            with self.server.lock:
                return self._state(HTTPStatus.OK)
        if name not in _ASSETS:
            raise _RefusedError(HTTPStatus.NOT_FOUND)
        asset = files("dibs.labelling") / "assets" / (name or "label.html")
        return HTTPStatus.OK, _ASSETS[name], asset.read_bytes()

    def _posted(self, name: str) -> tuple[HTTPStatus, str, bytes]:
        if name != "act":
            raise _RefusedError(HTTPStatus.NOT_FOUND)
        asked = self._body()
        with self.server.lock:
            item = self.server.session.item()
            if asked["act"] == "stop":
                Thread(target=self.server.shutdown).start()  # which waits for this request
            elif asked["place"] != (item.place if item else None):  # pressed twice, or in two windows
                return self._state(HTTPStatus.CONFLICT)
            else:
                try:
                    self._act(asked)
                except DibsError as error:
                    return self._state(HTTPStatus.INSUFFICIENT_STORAGE, str(error))
            return self._state(HTTPStatus.OK)

    def _act(self, asked: dict[str, Any]) -> None:
        session, act, grade = self.server.session, asked["act"], asked.get("grade")
        if act == "back":
            session.back()
        elif act == "skip" and not session.done:
            session.skip()
        elif act == "judge" and type(grade) is int and 0 <= grade < len(session.grades) and not session.done:
            session.judge(grade)
        else:
            raise _RefusedError(HTTPStatus.BAD_REQUEST)

    def _body(self) -> dict[str, Any]:
        if self.headers.get_content_type() != "application/json":
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise _RefusedError(HTTPStatus.LENGTH_REQUIRED)
        if int(length) > _LONGEST_BODY:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            asked = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError, TimeoutError):
            raise _RefusedError(HTTPStatus.BAD_REQUEST) from None
        if not isinstance(asked, dict) or not {"act", "place"} <= asked.keys():
            raise _RefusedError(HTTPStatus.BAD_REQUEST)
        return asked

    def _state(self, status: HTTPStatus, problem: str = "") -> tuple[HTTPStatus, str, bytes]:
        session = self.server.session
        item = session.item()
        state = {
            "task": self.server.task,
            "grades": session.grades,
            "judged": session.judged,
            "item": asdict(item) if item else None,
            "problem": problem,
        }
        return status, "application/json", json.dumps(state).encode()

    def version_string(self) -> str:
        return "dibs"

    def log_message(self, *args: object) -> None: ...
