"""A provider that repeats whatever it was sent: in its errors, or in its answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class EchoServer(ThreadingHTTPServer):
    """Answers each request with `status`; what it says holds the headers of the request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.seen: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: EchoServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = self._said()
        if self.server.status == 200:
            content = _answer(self.path, body, said)
        else:
            content = {"error": {"message": f"refused {said}", "code": said}, "detail": said}
        self._send(content)

    def do_GET(self) -> None:
        self._send({"message": f"refused {self._said()}"})

    def do_CONNECT(self) -> None:
        said = self._said()
        self.send_response(407, f"who is {said}")
        self.end_headers()

    def _said(self) -> str:
        said = " ".join(
            self.headers[name] for name in ("Authorization", "Proxy-Authorization") if self.headers[name]
        )
        self.server.seen.append(said)
        return said

    def _send(self, content: dict[str, Any]) -> None:
        encoded = json.dumps(content).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(encoded)))
        self.send_header("Retry-After", "1000")  # so that nobody waits to ask again
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, format: str, *args: Any) -> None: ...


def _answer(path: str, body: dict[str, Any], said: str) -> dict[str, Any]:
    if path.endswith("/embeddings"):
        rows = [
            {"index": n, "embedding": [1.0, n + 1.0], "object": "embedding"}
            for n in range(len(body["input"]))
        ]
        return {"data": rows, "model": said, "usage": {"total_tokens": 1, "prompt_tokens": 1}}
    if path.endswith("/rerank"):
        rows = [{"index": n, "relevance_score": 0.5, "document": said} for n in range(len(body["documents"]))]
        return {"data": rows, "results": rows}
    message = {"role": "assistant", "content": f"yes, I was asked with {said}"}
    return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}


@contextmanager
def echoing() -> Iterator[EchoServer]:
    """A server while the block runs."""
    server = EchoServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
