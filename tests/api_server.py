"""What the providers' APIs on this machine share: how they answer, and how they fail when told so."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Protocol, TypeVar

Payload = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """What the server does instead of a good reply."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    drop: bool = False
    """Close the connection without a word."""
    truncate: bool = False
    """Promise more bytes than are sent."""
    hang: bool = False
    """Say nothing until the server closes."""
    change: Callable[[Payload], Any] | None = None
    """What becomes of a good reply's content."""
    paid: bool = False
    """Whether the reply is good all the same."""


def status(code: int, message: str = "scripted", **headers: str) -> Fault:
    """An error in OpenAI's form; headers with `_` for `-`."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Fault(code, json.dumps({"error": {"message": message, "code": None}}).encode(), named)


DROPPED = Fault(drop=True)
TRUNCATED = Fault(truncate=True)
PAGE = Fault(body=b"<html>Welcome to the hotel's network</html>")
"""What a network sends, with status 200, that wants one to log in."""


class Api(Protocol):
    """An API that a server answers for."""

    closing: threading.Event
    """Set when the server closes: nobody waits any longer."""


class ApiHandler(BaseHTTPRequestHandler):
    """One request; `api` is what the server answers for."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    api: ClassVar[Any]

    def received(self) -> bytes:
        """The request's body."""
        return self.rfile.read(int(self.headers["Content-Length"] or 0))

    def answer(self, fault: Fault | None, content: Callable[[], Any]) -> None:
        """Fail as `fault` says, or send the JSON value, or the bytes, that `content` makes."""
        if fault is not None and fault.hang:
            self.api.closing.wait(30)
        if fault is not None and (fault.hang or fault.drop):
            self.close_connection = True
        elif fault is None or fault.change or fault.truncate:
            said = content()
            said = fault.change(said) if fault is not None and fault.change else said
            body = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send(200, body, truncate=bool(fault and fault.truncate))
        else:
            self.send(fault.status, fault.body, fault.headers)

    def send(
        self, code: int, body: bytes, headers: Sequence[tuple[str, str]] = (), *, truncate: bool = False
    ) -> None:
        """Send a reply; of a truncated one the first half."""
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if truncate else body)
        self.close_connection = self.close_connection or truncate

    def log_message(self, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = False  # joined at the end, so that no socket is left open

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that has gone is part of these tests


_A = TypeVar("_A", bound=Api)


@contextmanager
def serving(handler: type[ApiHandler], make: Callable[[str], _A]) -> Iterator[_A]:
    """The API that `make` makes for an address, on 127.0.0.1 while the block runs."""
    own = type("Handler", (handler,), {})
    with _Server(("127.0.0.1", 0), own) as server:
        api = make(f"http://127.0.0.1:{server.server_port}")
        own.api = api  # type: ignore[attr-defined]
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield api
        finally:
            api.closing.set()
            server.shutdown()
            thread.join()
