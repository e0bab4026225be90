from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from dibs.llm.limiter import Limiter
from dibs.retrieval.rerankers.voyage import VoyageReranker
from tests.api_server import status
from tests.retrieval.rerankers.server import (
    DOCUMENTS,
    KEY,
    PAIRS,
    QUERIES,
    QUICK,
    RerankServer,
    card,
    context,
    expected,
    scored,
)


def voyage(tmp_path: Path, **fields: Any) -> VoyageReranker:
    made = card("voyage", **{"model": "rerank-2.5", "usd_per_million_tokens": 0.05} | fields)
    return VoyageReranker(made, context(tmp_path), limiter=Limiter(most=4), patience=QUICK)


def test_each_query_is_one_request_in_voyages_words(server: RerankServer, tmp_path: Path) -> None:
    reranker = voyage(tmp_path, base_url=f"{server.url}/v1")
    assert scored(reranker, PAIRS) == expected(PAIRS)
    assert server.queries() == sorted(QUERIES)
    for asked in server.asked:
        body = {"model": "rerank-2.5", "query": asked.query, "documents": DOCUMENTS, "truncation": True}
        assert (asked.path, asked.authorization, asked.body) == ("/v1/rerank", f"Bearer {KEY}", body)
    assert reranker.billed_tokens == 300
    assert reranker.usd == pytest.approx(300 * 0.05 / 1e6)


def test_failures_are_each_querys_own(server: RerankServer, tmp_path: Path) -> None:
    server.faults[QUERIES[0]] = iter([status(400, "too many tokens")])
    server.faults[QUERIES[1]] = iter([status(429), status(503)])
    reranker = voyage(tmp_path, base_url=f"{server.url}/v1")
    assert scored(reranker, PAIRS) == expected(PAIRS[4:])
    assert ["too many tokens" in line for line in reranker.failures] == [True]


@pytest.mark.parametrize(
    ("key", "base_url", "address", "sent_key"),
    [
        ("pa-1", None, "https://api.voyageai.com/v1/rerank", "Bearer pa-1"),
        ("al-1", None, "https://ai.mongodb.com/v1/rerank", "Bearer al-1"),
        ("al-1", "https://proxy.example/v1", "https://proxy.example/v1/rerank", None),
    ],
)
def test_keys_of_atlas_go_to_its_address(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    base_url: str | None,
    address: str,
    sent_key: str | None,
) -> None:
    monkeypatch.setenv("VOYAGE_API_KEY", key)
    sent = []

    def send(self: httpx.Client, request: httpx.Request, **more: Any) -> httpx.Response:
        sent.append((str(request.url), request.headers.get("Authorization")))
        rows = [{"index": place, "relevance_score": 0.5} for place in range(4)]
        return httpx.Response(200, json={"data": rows}, request=request)

    monkeypatch.setattr(httpx.Client, "send", send)
    assert len(scored(voyage(tmp_path, base_url=base_url), PAIRS[:4])) == 4
    assert sent == [(address, sent_key)]


def test_settings_have_the_address_only_where_it_is_not_voyages(tmp_path: Path) -> None:
    own = voyage(tmp_path).settings()
    assert own == {"adapter": "voyage", "model": "rerank-2.5", "max_tokens": 2048, "request": {}}
    elsewhere = voyage(tmp_path, base_url="http://localhost:1/v1").settings()
    assert elsewhere == own | {"base_url": "http://localhost:1/v1"}
