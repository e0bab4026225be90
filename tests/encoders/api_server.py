"""An embeddings API on this machine that speaks OpenAI's and Voyage's protocol, badly if told so."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dibs.encoders.base import FloatArray
from tests import api_server
from tests.api_server import DROPPED, PAGE, TRUNCATED, ApiHandler, Fault, Payload, status


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    path: str
    authorization: str
    body: Payload
    at: float

    @property
    def texts(self) -> list[str]:
        return list(self.body["input"])


def _data(change: Callable[[list[Payload]], Any]) -> Fault:
    return Fault(change=lambda content: content | {"data": change(content["data"])})


def _embedding(value: Callable[[list[float]], Any]) -> Fault:
    def change(rows: list[Payload]) -> list[Payload]:
        return [rows[0] | {"embedding": value(_floats(rows[0]["embedding"]))}, *rows[1:]]

    return _data(change)


def _floats(embedding: Any) -> list[float]:
    if isinstance(embedding, str):
        return [float(x) for x in np.frombuffer(base64.b64decode(embedding), dtype="<f4")]
    return list(embedding)


MALFORMED = {
    "not JSON": PAGE,
    "empty": Fault(body=b""),
    "a list": Fault(body=b"[]"),
    "not UTF-8": Fault(body=b'{"data": "\xff\xfe"}'),
    "deeply nested": Fault(body=b"[" * 100_000),
    "no data": Fault(change=lambda content: {"usage": content["usage"]}),
    "too few": _data(lambda rows: rows[:-1]),
    "too many": _data(lambda rows: [*rows, rows[0] | {"index": len(rows)}]),
    "an index twice": _data(lambda rows: [*rows[:-1], rows[-1] | {"index": 0}]),
    "no index": _data(lambda rows: [{"embedding": row["embedding"]} for row in rows]),
    "index from one": _data(lambda rows: [row | {"index": row["index"] + 1} for row in rows]),
    "null": _embedding(lambda row: None),
    "a null": _embedding(lambda row: [None, *row[1:]]),
    "NaN": _embedding(lambda row: [float("nan"), *row[1:]]),
    "infinite": _embedding(lambda row: [1e300, *row[1:]]),
    "a word": _embedding(lambda row: ["one", *row[1:]]),
    "one too short": _embedding(lambda row: row[:-1]),
    "no numbers": _data(lambda rows: [row | {"embedding": []} for row in rows]),
    "broken base64": _embedding(lambda row: "A?"),
    "half a float": _embedding(lambda row: base64.b64encode(b"12345").decode()),
}
SHUFFLED = Fault(change=lambda content: content | {"data": content["data"][::-1]}, paid=True)
WRONG_DIMENSION = _data(lambda rows: [row | {"embedding": _floats(row["embedding"])[:-1]} for row in rows])


def vector(text: str, dimension: int, input_type: str | None = None) -> FloatArray:
    """(dimension,) what the server gives for a text, length not 1."""
    seed = hashlib.blake2b(f"{input_type} {text}".encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(seed)).standard_normal(dimension).astype(np.float32)


@dataclass
class ApiServer:
    """What it was asked, what it gave, and what it shall do."""

    url: str
    dimension: int = 8
    faults: list[Fault | None] = field(default_factory=list)
    """For each request to come, in the order they come; None is a good reply, as are all after these."""
    chance: float = 0.0
    """The share of further requests that fail, with any of `random_faults`."""
    random_faults: Sequence[Fault] = (status(500), status(429), status(503), DROPPED, TRUNCATED)
    latency: float = 0.0
    together: int = 0
    """Requests that must be under way before any is answered."""
    refuse: Callable[[float], float | None] | None = None
    """At what time which Retry-After is answered; None is no refusal."""
    asked: list[Asked] = field(default_factory=list)
    paid: Counter[str] = field(default_factory=Counter)
    """How often a text was embedded and sent back."""
    tokens: int = 0
    """Billed: four characters each."""
    most_at_once: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    _at_once: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(13))
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def enter(self, asked: Asked) -> Fault | None:
        """Notes a request; what shall be wrong with its reply."""
        with self._changed:
            self.asked.append(asked)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.most_at_once >= self.together, timeout=10)
            if self.refuse is not None and (after := self.refuse(asked.at)) is not None:
                return status(429, **({"Retry_After": f"{after}"} if after else {}))
            if self.faults:
                return self.faults.pop(0)
            return self._random.choice(self.random_faults) if self._random.random() < self.chance else None

    def leave(self, texts: Sequence[str]) -> None:
        """Notes that a request is answered, and the texts that were paid."""
        with self._changed:
            self._at_once -= 1
            self.paid.update(texts)
            self.tokens += _tokens(texts)

    def content(self, body: Payload) -> Payload:
        """A good reply."""
        width = body.get("dimensions") or body.get("output_dimension") or self.dimension
        rows = [vector(text, width, body.get("input_type")) for text in body["input"]]
        packed = body.get("encoding_format") == "base64"
        data = [
            {
                "object": "embedding",
                "index": place,
                "embedding": base64.b64encode(row.tobytes()).decode() if packed else [float(x) for x in row],
            }
            for place, row in enumerate(rows)
        ]
        return {"object": "list", "data": data, "usage": {"total_tokens": _tokens(body["input"])}}


def _tokens(texts: Sequence[str]) -> int:
    return sum(len(text) // 4 for text in texts)


class _Handler(ApiHandler):
    def do_POST(self) -> None:
        body = json.loads(self.received())
        asked = Asked(self.path, self.headers["Authorization"] or "", body, time.monotonic())
        fault = self.api.enter(asked)
        if self.path != "/v1/embeddings":
            fault = status(404, f"no such path: {self.path}")
        good = fault is None or fault.paid

        def content() -> Payload:
            self.api.closing.wait(self.api.latency)
            reply: Payload = self.api.content(body)
            return reply

        try:
            self.answer(fault, content)
        finally:
            self.api.leave(asked.texts if good else ())


@contextmanager
def serving(**settings: Any) -> Iterator[ApiServer]:
    """An API on 127.0.0.1 while the block runs."""
    with api_server.serving(_Handler, lambda url: ApiServer(f"{url}/v1", **settings)) as api:
        yield api
