"""Voyage's rerankers, by HTTP."""

from __future__ import annotations

from dibs.llm.http import Payload
from dibs.retrieval.rerankers.api import ApiReranker

_ATLAS_KEY, _ATLAS_URL = "al-", "https://ai.mongodb.com/v1"


class VoyageReranker(ApiReranker):
    """A model behind Voyage's `/v1/rerank`, which is asked once for each query.

    A request may hold 1,000 documents, and 600,000 tokens (rerank-2 and later; before, 300,000), where
    the query counts once for each document: the card's `batch_size` and `batch_tokens`. What is
    longer than the model takes, Voyage cuts. Keys of MongoDB Atlas (they begin with `al-`) are sent to
    its address for the same models. The card's options:

        request.NAME  a further field of every request
    """

    adapter = "voyage"
    provider = "Voyage"
    own_url = "https://api.voyageai.com/v1"
    key_variable = "VOYAGE_API_KEY"

    def _address(self, key: str | None) -> str:
        atlas = (key or "").startswith(_ATLAS_KEY) and self._url == self.own_url
        return f"{_ATLAS_URL if atlas else self._url}/rerank"

    def _body(self, query: str, documents: list[str]) -> Payload:
        return {"model": self._model, "query": query, "documents": documents, "truncation": True}
