from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.retrieval.rerankers.server import KEY, RerankServer, serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RerankServer]:
    """A good server; the environment has a key of each provider, and no other address."""
    for variable in ("RERANK_API_KEY", "VOYAGE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(variable, KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with serving() as api:
        yield api
