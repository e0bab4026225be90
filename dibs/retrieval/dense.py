"""Dense retrieval: exact inner-product search over the store's vectors, in blocks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from dibs.encoders.base import Encoder, FloatArray, IntArray
from dibs.encoders.embed import Embedded, embed
from dibs.retrieval.base import Cost, Retrieved, Search
from dibs.retrieval.run import Ranking, Run
from dibs.retrieval.top import id_order

QUERY_BLOCK = 256
DOCUMENT_BLOCK = 8192
"""Scores held at once: 256 x 8,192 float32, 8 MB; of the vectors, one block of documents."""


@dataclass(frozen=True)
class DenseRetriever:
    """An encoder and the store its vectors are kept in."""

    encoder: Encoder

    @property
    def name(self) -> str:
        return self.encoder.name

    def settings(self) -> dict[str, Any]:
        return {
            "retriever": "dense",
            "query": self.encoder.settings("query"),
            "document": self.encoder.settings("document"),
        }

    def search(self, search: Search, k: int) -> Retrieved:
        dataset, vectors = search.dataset, search.cache / "vectors"
        queries = embed(self.encoder, "query", dataset.query_texts(), dataset.info.queries, vectors)
        texts = dataset.document_texts(search.template)
        documents = embed(self.encoder, "document", texts, dataset.info.documents, vectors)
        started = time.perf_counter()
        run = exact_search(dataset.query_ids, queries.vectors(), dataset.document_ids, documents, k)
        cost = Cost(
            encode_documents=documents.seconds,
            encode_queries=queries.seconds,
            search=time.perf_counter() - started,
            documents_encoded=documents.encoded,
            queries_encoded=queries.encoded,
            documents_cut=documents.cut,
            queries_cut=queries.cut,
            billed_tokens=getattr(self.encoder, "billed_tokens", None),
            usd=getattr(self.encoder, "usd", None),
        )
        return Retrieved(run, cost, self.encoder.about)


def exact_search(
    query_ids: list[str], queries: FloatArray, document_ids: list[str], documents: Embedded, k: int
) -> Run:
    """The k documents with the greatest inner product for each query, ties by id descending.

    Documents of equal text have one vector, which is scored once: their tie is exact, and not left
    to how a matrix product rounds at different places.

    Args:
        queries: (n, dimension)
        documents: One row of the store for each of `document_ids`.
    """
    by_id = id_order(document_ids)
    texts, rows = _texts(documents.rows[by_id])
    sharing = np.argsort(texts, kind="stable")  # places in by_id, those of one text together
    starts = np.searchsorted(texts[sharing], np.arange(len(rows) + 1))
    rankings: dict[str, Ranking] = {}
    for begin in range(0, len(query_ids), QUERY_BLOCK):
        block = queries[begin : begin + QUERY_BLOCK]
        for query, (found, scores) in enumerate(_best_rows(block, documents, rows, k), start=begin):
            places = np.concatenate([sharing[starts[text] : starts[text + 1]] for text in found])
            repeated = np.repeat(scores, starts[found + 1] - starts[found])
            ranked = np.lexsort((places, -repeated))[:k]
            names = [document_ids[by_id[place]] for place in places[ranked]]
            rankings[query_ids[query]] = Ranking(names, repeated[ranked])
    return Run(rankings)


def _texts(rows: IntArray) -> tuple[IntArray, IntArray]:
    """A number for the text of each document, and the store's row of each text.

    Texts are numbered as they come, so that a run does not depend on when a vector was stored.
    """
    unique, first, which = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)
    number = np.empty(len(unique), np.int64)
    number[order] = np.arange(len(unique))
    return number[which], unique[order]


def _best_rows(
    queries: FloatArray, documents: Embedded, rows: IntArray, k: int
) -> list[tuple[IntArray, FloatArray]]:
    """For each query the positions in `rows` that score at least as high as its k-th, and the scores."""
    held: list[tuple[IntArray, FloatArray]] = [
        (np.empty(0, np.int64), np.empty(0, np.float32)) for _ in range(len(queries))
    ]
    for begin in range(0, len(rows), DOCUMENT_BLOCK):
        vectors = documents.store.vectors(rows[begin : begin + DOCUMENT_BLOCK])
        scores = queries @ vectors.T
        if scores.shape[1] >= k:
            thresholds = np.partition(scores, scores.shape[1] - k, axis=1)[:, scores.shape[1] - k]
        else:  # fewer documents than k say nothing of the k-th
            thresholds = np.full(len(queries), -np.inf, dtype=np.float32)
        for query, (places, values) in enumerate(held):
            floor = max(
                thresholds[query],
                np.partition(values, len(values) - k)[len(values) - k] if len(values) >= k else -np.inf,
            )
            new = np.flatnonzero(scores[query] >= floor)
            kept = values >= floor
            held[query] = (
                np.concatenate([places[kept], new + begin]),
                np.concatenate([values[kept], scores[query, new]]),
            )
    return held
