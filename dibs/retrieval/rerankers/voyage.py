"""Voyage's rerankers, by HTTP."""

from __future__ import annotations

from dibs.encoders.voyage import OWN_URL, url_for
from dibs.llm.http import Payload
from dibs.retrieval.rerankers.api import ApiReranker


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
    own_url = OWN_URL
    key_variable = "VOYAGE_API_KEY"

    def _address(self, key: str | None) -> str:
        return f"{url_for(self._url, self.own_url, key)}/rerank"

    def _body(self, query: str, documents: list[str]) -> Payload:
        return {"model": self._model, "query": query, "documents": documents, "truncation": True}
