"""A chat server on 127.0.0.1, in the form of OpenAI's API."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dibs.llm.completions import Chat, RefusedError

HOST = "127.0.0.1"
_LONGEST_BODY = 16_000_000
"""Bytes."""
_RETRY_AFTER = 10
"""Seconds."""


class ChatServer(ThreadingHTTPServer):
    """The server of a chat on 127.0.0.1; port 0 is any free one."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, chat: Chat, port: int, log: Callable[[str], None]) -> None:
        super().__init__((HOST, port), _Handler)
        self.chat, self.log = chat, log

    @property
    def url(self) -> str:
        """The address that a card's `base_url` holds."""
        return f"http://{HOST}:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say in one line what went wrong with a connection."""
        self.log(f"a connection failed: {sys.exception()!r}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: ChatServer

    def do_GET(self) -> None:
        self._handle({"/v1/models": lambda: self.server.chat.models()})

    def do_POST(self) -> None:
        self._handle({"/v1/chat/completions": lambda: self.server.chat.reply(self._body(), self._gone)})

    def _handle(self, paths: dict[str, Callable[[], dict[str, Any]]]) -> None:
        started, status, note = time.monotonic(), 200, ""
        try:
            if self.path not in paths:
                self.close_connection = True  # its body is not read
                raise RefusedError(404, f"there is no {self.command} {self.path}")
            content = paths[self.path]()
            if usage := content.get("usage"):
                note = f", {usage['prompt_tokens']:,} + {usage['completion_tokens']:,} tokens"
        except RefusedError as refused:
            status, content, note = refused.status, refused.content(), f", {refused.message}"
        except RuntimeError as error:  # openvino's
            status, content = 500, RefusedError(500, str(error)).content()
        self.server.log(f"{self.path} {status}{note}, {time.monotonic() - started:.1f} s")
        with suppress(ConnectionError):  # whoever asked has gone
            self._send(status, json.dumps(content).encode())

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or int(length) > _LONGEST_BODY:
            self.close_connection = True
            raise RefusedError(413 if length else 411, f"Content-Length is to be 0 to {_LONGEST_BODY:,}")
        return self.rfile.read(int(length))

    def _gone(self) -> bool:
        """Whether the client has hung up; it sends nothing while it waits."""
        try:
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 503:
            self.send_header("Retry-After", str(_RETRY_AFTER))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *args: object) -> None: ...
