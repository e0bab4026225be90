"""Servers with a `/v1/rerank`: Cohere, Jina, vLLM, Infinity, and text-embeddings-inference (TEI)."""

from __future__ import annotations

from typing import Any

from dibs.cards.model import RerankerCard
from dibs.encoders.base import EncoderContext
from dibs.errors import unknown
from dibs.llm.http import Payload
from dibs.retrieval.rerankers.api import ApiReranker

_PATH = "/v1/rerank"
_STYLES = ("cohere", "tei")


class EndpointReranker(ApiReranker):
    """A model behind the card's `base_url`, which is asked once for each query. The card's options:

        path          put after base_url; /v1/rerank if it is not given
        style         `cohere` sends model, query, documents and top_n, and is what most servers speak;
                      `tei` sends query and texts, and asks for raw scores, which do not saturate
        request.NAME  a further field of every request

    A model whose scores depend on the other documents of the request, such as jina-reranker-v3, is not
    for this adapter: scores are kept for each pair and used again among other candidates.
    """

    adapter = "endpoint"
    provider = "the server"
    key_variable = "RERANK_API_KEY"
    known_options = frozenset({"path", "style"})

    def __init__(self, card: RerankerCard, context: EncoderContext, **more: Any) -> None:
        super().__init__(card, context, **more)
        self._path = str(card.options.get("path", _PATH))
        self._style = str(card.options.get("style", _STYLES[0]))
        if self._style not in _STYLES:
            raise unknown("style of the adapter endpoint", self._style, _STYLES)

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"path": self._path, "style": self._style}

    def _address(self, key: str | None) -> str:
        path = "/" + self._path.lstrip("/")
        # A base_url is often given with its /v1, as OpenAI's is.
        return (self._url.removesuffix("/v1") if path.startswith("/v1/") else self._url) + path

    def _body(self, query: str, documents: list[str]) -> Payload:
        if self._style == "tei":
            return {"query": query, "texts": documents, "truncate": True, "raw_scores": True}
        return {"model": self._model, "query": query, "documents": documents, "top_n": len(documents)}
