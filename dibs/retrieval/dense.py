"""Dense retrieval: encoded queries against encoded documents, exactly or by a measured first pass."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from dibs.encoders.base import Encoder
from dibs.encoders.embed import embed
from dibs.retrieval.approximate import Approximate, overlap
from dibs.retrieval.base import Cost, Retrieved, Search
from dibs.retrieval.distinct import Distinct
from dibs.retrieval.exact import exact_search

LOSS_AT = (10, 100)
"""The depths at which a first pass is compared with the exact search."""


@dataclass(frozen=True)
class DenseRetriever:
    """An encoder and the store its vectors are kept in."""

    encoder: Encoder
    approximate: Approximate | None = None
    """None is the exact search, whose settings are as they were before there was another."""

    @property
    def name(self) -> str:
        return self.encoder.name

    def settings(self) -> dict[str, Any]:
        return {
            "retriever": "dense",
            "query": self.encoder.settings("query"),
            "document": self.encoder.settings("document"),
            **({"search": self.approximate.settings()} if self.approximate else {}),
        }

    def search(self, search: Search, k: int) -> Retrieved:
        dataset, vectors = search.dataset, search.cache / "vectors"
        embedded = embed(self.encoder, "query", dataset.query_texts(), dataset.info.queries, vectors)
        texts = dataset.document_texts(search.template)
        documents = embed(self.encoder, "document", texts, dataset.info.documents, vectors)
        started = time.perf_counter()
        corpus, queries = Distinct.of(dataset.document_ids, documents), embedded.vectors()
        searching = time.perf_counter()
        exact = exact_search(dataset.query_ids, queries, corpus, k)
        done = time.perf_counter()
        cost = Cost(
            encode_documents=documents.seconds,
            encode_queries=embedded.seconds,
            search=done - started,
            documents_encoded=documents.encoded,
            queries_encoded=embedded.encoded,
            documents_cut=documents.cut,
            queries_cut=embedded.cut,
            billed_tokens=getattr(self.encoder, "billed_tokens", None),
            usd=getattr(self.encoder, "usd", None),
        )
        if self.approximate is None:
            return Retrieved(exact, cost, self.encoder.about)
        first = self.approximate.opened(corpus, search.cache)
        opened = time.perf_counter()
        run = first.search(dataset.query_ids, queries, corpus, k)
        seconds = time.perf_counter() - opened
        about = {
            **first.about,
            "seconds": seconds,
            "exact_seconds": done - searching,
            "recall_of_exact": {str(cut): overlap(run, exact, cut) for cut in LOSS_AT if cut <= k},
        }
        cost = replace(cost, index=opened - done, search=seconds)
        return Retrieved(run, cost, {**self.encoder.about, "search": about})
