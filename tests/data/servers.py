"""A web server on this machine that answers as told, badly if need be, and notes what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    path: str
    headers: Message

    @property
    def range(self) -> str | None:
        return self.headers["Range"]


Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Server:
    """The answers of each path, used one after the other; the last one stays."""

    url: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def on(self, path: str, *answers: Answer) -> str:
        """Sets the answers of `path`; returns its address."""
        self.answers[path] = list(answers)
        return self.url + path

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        with self._turn:
            self.asked.append(Asked(handler.path, handler.headers))
            left = self.answers.get(handler.path, [status(404)])
            chosen = left.pop(0) if len(left) > 1 else left[0]
        chosen(handler)

    def hang(self) -> Answer:
        """Nothing at all, until the server closes."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.close_connection = True
            self.closing.wait(timeout=20)

        return answer


def content(body: bytes, *, etag: str | None = None, drop_at: int | None = None) -> Answer:
    """`body` or the range asked for; the connection drops once `drop_at` bytes of it were sent."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        start = 0
        asked, condition = handler.headers["Range"], handler.headers["If-Range"]
        if asked and condition in (None, etag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start and start >= len(body):
            _head(handler, 416, {"Content-Range": f"bytes */{len(body)}", "Content-Length": "0"})
            return
        headers = {"Content-Length": str(len(body) - start)} | ({"ETag": etag} if etag else {})
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        _head(handler, 206 if start else 200, headers)
        handler.wfile.write(body[start:drop_at])
        handler.close_connection = drop_at is not None

    return answer


def whole(body: bytes, *, etag: str | None = None) -> Answer:
    """`body`, whatever range was asked for."""
    return status(200, body, {"ETag": etag} if etag else {})


def unsized(body: bytes) -> Answer:
    """`body` without its length: it ends where the connection does."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        _head(handler, 200, {"Connection": "close"})
        handler.wfile.write(body)
        handler.close_connection = True

    return answer


def status(code: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    """That status, with those headers."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        _head(handler, code, {"Content-Length": str(len(body))} | (headers or {}))
        handler.wfile.write(body)

    return answer


@contextmanager
def serving() -> Iterator[Server]:
    """A server on 127.0.0.1 for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def do_GET(self) -> None:
            try:
                server.answer(self)
            except ConnectionError:  # the client left; that is its right
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Keeps the test output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = False  # so that leaving the block waits for the handlers
        server = Server(f"http://127.0.0.1:{listener.server_address[1]}")
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            listener.shutdown()
            thread.join()


def _head(handler: BaseHTTPRequestHandler, code: int, headers: dict[str, str]) -> None:
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
