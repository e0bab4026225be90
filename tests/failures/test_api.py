"""What each kind of client does when its API fails: an error or an unscored result that says who failed, how,
and what to do; nothing wrong is kept; and the same work succeeds when the API does.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from itertools import repeat
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from tenacity import wait_none

from dibs.cards.model import ModelCard
from dibs.encoders.base import EncoderContext, unit_length
from dibs.encoders.embed import embed
from dibs.errors import DibsError
from dibs.llm.calls import Patience
from dibs.llm.chat import Reply
from dibs.llm.limiter import Limiter
from dibs.rag.judges.base import Case, Verdict
from dibs.rag.judges.llm import LLMJudge
from dibs.retrieval.rerankers.api import ApiReranker
from dibs.retrieval.rerankers.endpoint import EndpointReranker
from dibs.retrieval.rerankers.voyage import VoyageReranker
from tests.api_server import DROPPED, PAGE, TRUNCATED, Fault, Payload, status
from tests.encoders import api_server as embeddings
from tests.encoders.api_encoders import ENCODERS
from tests.encoders.api_server import vector
from tests.llm import chat_server
from tests.llm.chat_server import completion, question
from tests.retrieval.rerankers import server as reranking
from tests.retrieval.rerankers.server import PAIRS, QUERIES, expected, scored

KEY = "sk-test-Xy7secret0042"
VARIABLE = "DIBS_TEST_API_KEY"
TEXTS = ["one", "two", "three"]


class Client(ABC):
    """One kind of client of a server on this machine."""

    malformed: ClassVar[dict[str, Fault]]
    """Replies of its protocol with something wrong in them."""
    timeout = 10.0
    todo = True
    """Whether its failure is an error, which says what to do; else it is noted, and the work goes on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def patience(self) -> Patience:
        return Patience(attempts=2, malformed=2, wait=wait_none(), timeout=self.timeout)

    @abstractmethod
    def serving(self) -> AbstractContextManager[Any]:
        """Its server while the block runs."""

    @abstractmethod
    def fail(self, fault: Fault | None) -> None:
        """Every reply from now on is that; None is a good one."""

    @abstractmethod
    def work(self) -> list[str]:
        """Do it; gives what is said of failures. What succeeds has to be right."""

    @abstractmethod
    def paid(self) -> set[int]:
        """How often each thing was answered well."""


class Embedding(Client):
    # Of a single vector, one number too few reads as another dimension, which has a test of its own.
    malformed: ClassVar[dict[str, Fault]] = {
        name: fault for name, fault in embeddings.MALFORMED.items() if name != "one too short"
    }
    api: embeddings.ApiServer

    def __init__(self, folder: Path, adapter: str) -> None:
        super().__init__(folder)
        self.adapter = adapter

    def serving(self) -> AbstractContextManager[Any]:
        return embeddings.serving()

    def fail(self, fault: Fault | None) -> None:
        self.api.faults = [] if fault is None else [fault] * 50

    def work(self) -> list[str]:
        fields = {"dimension": 8, "base_url": self.api.url, "key": VARIABLE, "batch_size": 2}
        card = ModelCard.model_validate({"name": "toy", "adapter": self.adapter} | fields)
        place = EncoderContext(self.folder)
        encoder = ENCODERS[self.adapter](card, place, limiter=Limiter(), patience=self.patience)
        found = embed(encoder, "document", TEXTS, len(TEXTS), self.folder / "vectors").vectors()
        kind = "document" if self.adapter == "voyage" else None
        right = unit_length(np.array([vector(text, 8, kind) for text in TEXTS]))
        np.testing.assert_allclose(found, right, rtol=1e-6)
        return []

    def paid(self) -> set[int]:
        return set(self.api.paid.values())


class Chat(Client):
    malformed = chat_server.MALFORMED
    todo = False
    api: chat_server.ChatServer

    def serving(self) -> AbstractContextManager[Any]:
        return chat_server.serving()

    def fail(self, fault: Fault | None) -> None:
        self.api.broken = {} if fault is None else {"": fault}

    def work(self) -> list[str]:
        model = chat_server.chat(self.api, self.folder, self.patience, key=VARIABLE)
        failures = []
        for one in model.ask([question(text) for text in TEXTS]):
            if isinstance(one.reply, Reply):
                assert one.reply.text == TEXTS[one.position].upper()
            else:
                failures.append(str(one.reply))
        return failures

    def paid(self) -> set[int]:
        return set(self.api.paid.values())


class Judging(Chat):
    malformed = chat_server.MALFORMED
    todo = False

    def serving(self) -> AbstractContextManager[Any]:
        def reply(body: Payload) -> Payload:
            said = json.dumps({"reason": "as the gold says", "verdict": "correct"})
            choice = {"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
            return completion(body) | {"choices": [choice]}

        return chat_server.serving(reply=reply)

    def work(self) -> list[str]:
        judge = LLMJudge(chat_server.chat(self.api, self.folder, self.patience, key=VARIABLE))
        told = judge.judge([Case(f"{text}?", text, text) for text in TEXTS])
        assert {one.verdict for one in told} <= {None, Verdict.CORRECT}, "a failure is no verdict"
        return [one.reason for one in told if one.verdict is None]


class Reranking(Client):
    malformed: ClassVar[dict[str, Fault]] = {
        "not JSON": PAGE,
        "empty": Fault(),
        "a number": Fault(body=b"3"),
        "deeply nested": Fault(body=b"[" * 100_000),
        "too few": Fault(change=lambda said: _rows(said, lambda rows: rows[:-1])),
        "an index twice": Fault(change=lambda said: _rows(said, lambda rows: [rows[0], *rows[:-1]])),
        "no index": Fault(change=lambda said: _rows(said, lambda rows: [{"relevance_score": 1.0}] * 4)),
        "null": Fault(change=lambda said: _rows(said, lambda rows: [None, *rows[1:]])),
        "no score": Fault(
            change=lambda said: _rows(said, lambda rows: [rows[0] | {"relevance_score": None}, *rows[1:]])
        ),
        "NaN": Fault(
            change=lambda said: _rows(
                said, lambda rows: [rows[0] | {"relevance_score": float("nan")}, *rows[1:]]
            )
        ),
        "infinite": Fault(
            change=lambda said: _rows(said, lambda rows: [rows[0] | {"relevance_score": 1e300}, *rows[1:]])
        ),
    }
    todo = False
    api: reranking.RerankServer

    def __init__(self, folder: Path, adapter: str) -> None:
        super().__init__(folder)
        self.adapter = adapter

    def serving(self) -> AbstractContextManager[Any]:
        return reranking.serving()

    def fail(self, fault: Fault | None) -> None:
        self.api.faults = {} if fault is None else {"": repeat(fault)}

    def work(self) -> list[str]:
        kinds: dict[str, type[ApiReranker]] = {"endpoint": EndpointReranker, "voyage": VoyageReranker}
        url = self.api.url if self.adapter == "endpoint" else f"{self.api.url}/v1/rerank"
        card = reranking.card(self.adapter, base_url=url, key=VARIABLE)
        reranker = kinds[self.adapter](
            card, EncoderContext(self.folder), limiter=Limiter(), patience=self.patience
        )
        found = scored(reranker, PAIRS)
        assert found.items() <= expected(PAIRS).items()
        assert len(found) == len(PAIRS) - 4 * len(reranker.failures)
        return reranker.failures

    def paid(self) -> set[int]:
        return set(Counter(asked.query for asked in self.api.asked[-len(QUERIES) :]).values())


def _rows(said: Payload, change: Callable[[list[Any]], list[Any]]) -> Payload:
    name = "results" if "results" in said else "data"
    return said | {name: change(said[name])}


CLIENTS: dict[str, Callable[[Path], Client]] = {
    "OpenAI embeddings": lambda folder: Embedding(folder, "openai"),
    "Voyage embeddings": lambda folder: Embedding(folder, "voyage"),
    "chat": Chat,
    "judge": Judging,
    "reranker": lambda folder: Reranking(folder, "endpoint"),
    "Voyage reranker": lambda folder: Reranking(folder, "voyage"),
}
EMBEDDINGS = ["OpenAI embeddings", "Voyage embeddings"]
UNREADABLE = "sent replies that cannot be read"
COMMON = {
    "hangs": (Fault(hang=True), "gave no reply (asked 2 times): "),
    "drops": (DROPPED, "gave no reply (asked 2 times): "),
    "sends less than it promised": (TRUNCATED, "gave no reply (asked 2 times): "),
    "sends nonsense": (Fault(body=b"lorem ipsum dolor"), UNREADABLE),
    "sends a page": (PAGE, UNREADABLE),
    "sends nothing": (Fault(), UNREADABLE),
    "sends half": (Fault(body=b'{"data": [{"index": 0, "emb'), UNREADABLE),
    "refuses the request": (status(404, "no such model"), "answered 404: no such model"),
    "refuses for now": (status(429, "slow down"), "answered 429 (asked 2 times): slow down"),
    "fails": (status(500, "oh no"), "answered 500 (asked 2 times): oh no"),
}


@pytest.fixture(params=CLIENTS)
def client(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    monkeypatch.setenv(VARIABLE, KEY)
    made = CLIENTS[request.param](tmp_path)
    with ExitStack() as stack:
        made.api = stack.enter_context(made.serving())  # type: ignore[attr-defined]
        yield made


def failures(client: Client) -> list[str]:
    if not client.todo:
        return client.work()
    with pytest.raises(DibsError) as caught:
        client.work()
    return [str(caught.value)]


def check(client: Client, fault: Fault, said: str) -> None:
    """It fails so, says so, keeps nothing that is wrong, and goes on when the API is well."""
    client.fail(fault)
    client.timeout = 0.3 if fault.hang else client.timeout
    found = failures(client)
    client.timeout = Client.timeout
    assert found, "nothing was said"
    for line in found:
        assert "127.0.0.1:" in line, "the provider is named"
        assert said in line
        assert KEY not in line
        if client.todo:
            assert "\n  " in line, "what to do is said"
    client.fail(None)
    assert client.work() == []
    assert client.paid() == {1}


@pytest.mark.parametrize("name", COMMON)
def test_an_api_that(client: Client, name: str) -> None:
    check(client, *COMMON[name])


MALFORMED = [(kind, name) for kind in CLIENTS for name in CLIENTS[kind](Path()).malformed]


@pytest.mark.parametrize(("client", "name"), MALFORMED, indirect=["client"])
def test_an_api_whose_reply_has(client: Client, name: str) -> None:
    check(client, client.malformed[name], UNREADABLE)


def test_an_api_that_refuses_the_key_ends_the_work(client: Client) -> None:
    client.fail(status(401, f"incorrect key {KEY}"))
    with pytest.raises(DibsError, match=rf"^toy: 127.* answered 401\n  Set {VARIABLE}") as caught:
        client.work()
    assert KEY not in str(caught.value)
    client.fail(None)
    assert client.work() == []
    assert client.paid() == {1}


@pytest.mark.parametrize("client", EMBEDDINGS, indirect=True)
def test_vectors_of_another_dimension_are_the_cards_fault(client: Client) -> None:
    check(client, embeddings.WRONG_DIMENSION, "gives vectors of dimension 7, the card says 8")


@pytest.mark.parametrize("client", [*EMBEDDINGS, "reranker", "Voyage reranker"], indirect=True)
def test_answers_in_another_order_are_put_right(client: Client) -> None:
    turned = Fault(change=lambda said: _rows(said, lambda rows: rows[::-1]), paid=True)
    client.fail(turned)
    assert client.work() == []


@pytest.mark.parametrize("client", EMBEDDINGS, indirect=True)
def test_what_was_done_before_a_failure_is_not_asked_for_again(client: Client) -> None:
    assert isinstance(client, Embedding)
    client.api.faults = [None, *[status(500, "oh no")] * 9]
    (said,) = failures(client)
    assert "of 3 texts were done\n  Run the same command again" in said
    client.fail(None)
    assert client.work() == []
    assert client.paid() == {1}
