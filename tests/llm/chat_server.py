"""A server on this machine that speaks OpenAI's `/chat/completions`, badly if told so."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tenacity import wait_none

from dibs.cards.model import LLMCard
from dibs.llm.calls import Patience
from dibs.llm.chat import Message, Request
from dibs.llm.limiter import Limiter
from dibs.llm.openai_chat import OpenAIChat
from tests import api_server
from tests.api_server import DROPPED, PAGE, TRUNCATED, ApiHandler, Fault, Payload, status

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
    "not JSON": PAGE,
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


class _Handler(ApiHandler):
    def do_POST(self) -> None:
        body = json.loads(self.received())
        asked = Asked(self.path, self.headers["Authorization"], body)
        fault = self.api.enter(asked)
        try:
            if fault is None or not fault.hang:
                self.api.closing.wait(self.api.latency)
            self.answer(fault, lambda: self.api.reply(body))
        finally:
            self.api.leave(asked.question if fault is None else None)


@contextmanager
def serving(**settings: Any) -> Iterator[ChatServer]:
    """A server on 127.0.0.1 while the block runs."""
    with api_server.serving(_Handler, lambda url: ChatServer(f"{url}/v1", **settings)) as api:
        yield api


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
