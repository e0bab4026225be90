"""A pipeline of two stages: a retriever's stored run, and a reranker over its candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dibs.errors import InputError
from dibs.retrieval.base import Cost, Retrieved, Retriever, Search
from dibs.retrieval.rerank import Movement, movement, rerank
from dibs.retrieval.rerankers.base import Reranker

MOVED_AT = 10
"""The cut-off at which gold documents are said to be pulled in or pushed out."""


@dataclass(frozen=True)
class RerankingRetriever:
    """Reorders the first `candidates` documents of `search.runs[0]`, the first stage's run."""

    first: Retriever
    reranker: Reranker
    candidates: int
    top_k: int | None = None
    """Documents it gives for each query; None keeps the first stage's order below the candidates."""

    @property
    def name(self) -> str:
        kept = "" if self.top_k is None else f", top {self.top_k}"
        return f"{self.first.name} > {self.reranker.name} ({self.candidates}{kept})"

    def settings(self) -> dict[str, Any]:
        return {
            "retriever": "reranking",
            "first": self.first.settings(),
            "reranker": self.reranker.settings(),
            "candidates": self.candidates,
            "top_k": self.top_k,
        }

    def search(self, search: Search, k: int) -> Retrieved:
        (before,) = search.runs
        if self.candidates > k:
            raise InputError(
                f"{self.candidates} candidates are more than the {k} documents of a run",
                where=self.reranker.name,
                todo=f"Give {k} or fewer.",
            )
        done = rerank(self.reranker, before, search.dataset, search.template, self.candidates, search.cache)
        run = done.run.top(min(k, self.top_k or k))
        cost = Cost(search=done.seconds, billed_tokens=done.billed_tokens, usd=done.usd)
        about: dict[str, Any] = {
            "pairs_scored": done.scored,
            "documents_scored": done.documents,
            "failed": done.failed,
            "reasons": done.reasons[:10],
        }
        qrels = search.dataset.qrels
        if {name for grades in qrels.values() for name in grades}.issubset(search.dataset.document_ids):
            about["gold"] = _told(movement(before, run, qrels, self.candidates, MOVED_AT))
        # Else gold is of pages, and what was reranked their chunks: these are not told of one by one.
        return Retrieved(run, cost, about)


def _told(moved: Movement) -> dict[str, dict[str, Any]]:
    """For each movement how many gold documents made it, and of which queries."""
    kinds = {
        "missing from the candidates": moved.missing,
        "pulled in": moved.pulled_in,
        "pushed out": moved.pushed_out,
    }
    return {
        kind: {"documents": len(pairs), "queries": list(dict.fromkeys(query for query, _ in pairs))}
        for kind, pairs in kinds.items()
    }
