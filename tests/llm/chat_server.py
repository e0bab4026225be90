"""A server on this machine that speaks OpenAI's `/chat/completions`, badly if told so."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tenacity import wait_none

from dibs.cards import LLMCard
from dibs.llm.calls import Patience
from dibs.llm.chat import Message, Request
from dibs.llm.limiter import Limiter
from dibs.llm.openai_chat import OpenAIChat
from tests.encoders.api_server import DROPPED, TRUNCATED, Fault, Payload, status

KEY = "sk-a-key-that-nobody-may-see"
QUICK = Patience(attempts=3, wait=wait_none(), timeout=10)


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    path: str
    authorization: str | None
    body: Payload

    @property
    def question(self) -> str:
        return str(self.body["messages"][-1]["content"])


def completion(body: Payload) -> Payload:
    """A good reply: the last message in capitals."""
    text = body["messages"][-1]["content"].upper()
    choice: Payload = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    if body.get("logprobs"):
        top = [{"token": text, "logprob": -0.5}, {"token": "no", "logprob": -1.0}][: body["top_logprobs"]]
        choice["logprobs"] = {"content": [{"token": text, "logprob": -0.5, "top_logprobs": top}]}
    return {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}


def _choice(**fields: Any) -> Fault:
    return Fault(change=lambda content: content | {"choices": [content["choices"][0] | fields]})


def _message(content: Any) -> Fault:
    return _choice(message={"role": "assistant", "content": content})


def _likely(value: Any) -> Fault:
    return _choice(logprobs={"content": [{"token": "a", "logprob": value}]})


MALFORMED = {
    "not JSON": Fault(body=b"<html>Welcome to the hotel's network</html>"),
    "empty": Fault(body=b""),
    "a list": Fault(body=b"[]"),
    "a number": Fault(body=b"3"),
    "not UTF-8": Fault(body=b'{"choices": "\xff\xfe"}'),
    "deeply nested": Fault(body=b"[" * 100_000),
    "an error": Fault(body=b'{"error": {"message": "overloaded"}}'),
    "no choices": Fault(change=lambda content: content | {"choices": []}),
    "choices are null": Fault(change=lambda content: content | {"choices": None}),
    "no message": _choice(message=None),
    "null": _message(None),
    "a word too few": Fault(change=lambda content: {"choices": [{"message": {"role": "assistant"}}]}),
    "a number for text": _message(3),
    "parts without text": _message([{"type": "text"}]),
    "half a surrogate pair": _message("\ud83d"),
    "a number for finish": _choice(finish_reason=3),
    "NaN": _likely(float("nan")),
    "infinite": Fault(
        body=b'{"choices": [{"message": {"content": "a"},'
        b' "logprobs": {"content": [{"token": "a", "logprob": -1e999}]}}]}'
    ),
    "a word for a number": _likely("much"),
    "logprobs of nothing": _choice(logprobs={"content": [{}]}),
    "usage is a list": Fault(change=lambda content: content | {"usage": [1]}),
}
RANDOM = (status(500), status(429), status(503), DROPPED, TRUNCATED, MALFORMED["not JSON"])


@dataclass
class ChatServer:
    """What it was asked, what it answered, and what it shall do."""

    url: str
    reply: Callable[[Payload], Any] = completion
    faults: list[Fault | None] = field(default_factory=list)
    """For each request to come, in the order they come; None is a good reply, as are all after these."""
    refuses: dict[str, Fault] = field(default_factory=dict)
    """What becomes of requests that have a field."""
    broken: dict[str, Fault] = field(default_factory=dict)
    """What becomes of every request whose question has a text."""
    chance: float = 0.0
    """The share of further requests that fail in one of the ways of RANDOM."""
    latency: float = 0.0
    asked: list[Asked] = field(default_factory=list)
    paid: Counter[str] = field(default_factory=Counter)
    """How often a question was answered."""
    most_at_once: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    _at_once: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(13))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, asked: Asked) -> Fault | None:
        with self._lock:
            self.asked.append(asked)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            if asked.path != "/v1/chat/completions":
                return status(404, f"no such path: {asked.path}")
            refused = [fault for name, fault in self.refuses.items() if name in asked.body]
            refused += [fault for text, fault in self.broken.items() if text in asked.question]
            if refused:
                return refused[0]
            if self.faults:
                return self.faults.pop(0)
            return self._random.choice(RANDOM) if self._random.random() < self.chance else None

    def leave(self, paid: str | None) -> None:
        with self._lock:
            self._at_once -= 1
            if paid is not None:
                self.paid[paid] += 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    api: ChatServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = Asked(self.path, self.headers["Authorization"], body)
        fault = self.api.enter(asked)
        try:
            self._answer(fault, body)
        finally:
            self.api.leave(asked.question if fault is None else None)

    def _answer(self, fault: Fault | None, body: Payload) -> None:
        self.api.closing.wait(30 if fault is not None and fault.hang else self.api.latency)
        if fault is not None and (fault.hang or fault.drop):
            self.close_connection = True
        elif fault is None or fault.change or fault.truncate:
            content = self.api.reply(body)
            content = fault.change(content) if fault is not None and fault.change else content
            self._send(200, json.dumps(content).encode(), (), bool(fault and fault.truncate))
        else:
            self._send(fault.status, fault.body, fault.headers, False)

    def _send(self, code: int, body: bytes, headers: Sequence[tuple[str, str]], truncate: bool) -> None:
        self.send_response(code)
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


@contextmanager
def serving(**settings: Any) -> Iterator[ChatServer]:
    """A server on 127.0.0.1 while the block runs."""
    handler = type("Handler", (_Handler,), {})
    with _Server(("127.0.0.1", 0), handler) as server:
        api = ChatServer(f"http://127.0.0.1:{server.server_port}/v1", **settings)
        handler.api = api  # type: ignore[attr-defined]
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield api
        finally:
            api.closing.set()
            server.shutdown()
            thread.join()


def card(server: ChatServer | None = None, **fields: Any) -> LLMCard:
    """A chat model's card, with prices."""
    prices = {"usd_per_million_tokens": 1.0, "usd_per_million_output_tokens": 10.0}
    url = {"base_url": server.url} if server else {}
    return LLMCard.model_validate(
        {"name": "toy", "adapter": "openai", "model": "toy-1"} | prices | url | fields
    )


def chat(server: ChatServer, cache: Path, patience: Patience = QUICK, **fields: Any) -> OpenAIChat:
    """A client of the server that does not wait between attempts."""
    return OpenAIChat(card(server, **fields), cache, limiter=Limiter(most=8), patience=patience)


def question(text: str, **fields: Any) -> Request:
    """A request of one message."""
    return Request((Message("user", text),), **{"max_tokens": 20} | fields)
