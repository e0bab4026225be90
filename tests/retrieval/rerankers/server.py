"""A server on this machine that reranks and chats, in every protocol, badly if told so."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_none

from dibs.cards.model import RerankerCard
from dibs.encoders.base import EncoderContext
from dibs.llm.calls import Patience
from dibs.retrieval.rerankers.base import Pair, Reranker
from tests import api_server
from tests.api_server import ApiHandler, Fault, Payload

KEY = "sk-a-key-that-nobody-may-see"
QUICK = Patience(attempts=3, wait=wait_none(), timeout=10)
QUERIES = ["how many aeroplanes?", "what were the sales?", "where is the plant?"]
DOCUMENTS = ["480 aeroplanes were delivered.", "Sales rose by 8 percent.", "Nothing of the sort.", "In Ohio."]
PAIRS = [Pair(query, document) for query in QUERIES for document in DOCUMENTS]


def relevance(query: str, document: str) -> float:
    """What the server thinks of a document, between 0 and 1."""
    return int.from_bytes(hashlib.blake2b(f"{query} {document}".encode(), digest_size=4).digest()) / 2**32


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    path: str
    authorization: str | None
    body: Payload

    @property
    def query(self) -> str:
        return str(self.body.get("query", ""))

    @property
    def documents(self) -> list[str]:
        return list(self.body.get("documents") or self.body.get("texts") or ())


def rerank_reply(asked: Asked) -> Any:
    """The scores, best first, as Cohere (`results`), Voyage (`data`) or TEI (a bare list) send them."""
    tei = "texts" in asked.body
    name = "score" if tei else "relevance_score"
    rows = [{"index": n, name: relevance(asked.query, text)} for n, text in enumerate(asked.documents)]
    rows.sort(key=lambda row: -row[name])
    if tei:
        return rows
    return {"data" if "truncation" in asked.body else "results": rows, "usage": {"total_tokens": 100}}


@dataclass
class RerankServer:
    """What it was asked, and what it shall do."""

    url: str
    reply: Callable[[Asked], Any] = rerank_reply
    faults: dict[str, Iterator[Fault | None]] = field(default_factory=dict)
    """For each query what is wrong with the replies to come; None, and the end, is a good one."""
    asked: list[Asked] = field(default_factory=list)
    together: int = 0
    """Requests that must be under way before any is answered."""
    most_at_once: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    _at_once: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def enter(self, asked: Asked) -> Fault | None:
        with self._changed:
            self.asked.append(asked)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.most_at_once >= self.together, timeout=10)
            named = next((name for name in self.faults if name in json.dumps(asked.body)), None)
            return None if named is None else next(self.faults[named], None)

    def leave(self) -> None:
        with self._changed:
            self._at_once -= 1

    def queries(self) -> list[str]:
        """The query of each request, in the order of the alphabet."""
        return sorted(asked.query for asked in self.asked)


class _Handler(ApiHandler):
    def do_POST(self) -> None:
        asked = Asked(self.path, self.headers["Authorization"], json.loads(self.received()))
        fault = self.api.enter(asked)
        try:
            self.answer(fault, lambda: self.api.reply(asked))
        finally:
            self.api.leave()


@contextmanager
def serving() -> Iterator[RerankServer]:
    """A server on 127.0.0.1 while the block runs."""
    with api_server.serving(_Handler, RerankServer) as api:
        yield api


def card(adapter: str, **fields: Any) -> RerankerCard:
    """A reranker's card."""
    return RerankerCard.model_validate({"name": "toy", "adapter": adapter, "model": "toy-1"} | fields)


def context(cache: Path) -> EncoderContext:
    """What a task of 2,048 tokens says."""
    return EncoderContext(cache)


def scored(reranker: Reranker, pairs: Sequence[Pair]) -> dict[Pair, float]:
    """Each pair's score; no pair comes twice."""
    found: dict[Pair, float] = {}
    for batch in reranker.stream(pairs):
        assert batch.scores.dtype == "float32"
        for place, score in zip(batch.positions.tolist(), batch.scores.tolist(), strict=True):
            assert pairs[place] not in found
            found[pairs[place]] = score
    return found


def expected(pairs: Sequence[Pair]) -> dict[Pair, Any]:
    """What the server's scores for `pairs` come to."""
    return {pair: pytest.approx(relevance(*pair), abs=1e-6) for pair in pairs}
