"""Exact search: the inner product of every query with every distinct text, in blocks."""

from __future__ import annotations

import numpy as np

from dibs.encoders.base import FloatArray, IntArray
from dibs.retrieval.distinct import Distinct
from dibs.retrieval.run import Run

QUERY_BLOCK = 256
"""Scores held at once: 256 x 8,192 float32, 8 MB."""


def exact_search(query_ids: list[str], queries: FloatArray, corpus: Distinct, k: int) -> Run:
    """The k documents with the greatest inner product for each query, ties by id descending.

    The vectors are read once, whatever the number of queries.

    Args:
        queries: (n, dimension)
    """
    found = _best(queries, corpus, k)
    return Run(
        {
            query: corpus.ranking(texts, scores, k)
            for query, (texts, scores) in zip(query_ids, found, strict=True)
        }
    )


def _best(queries: FloatArray, corpus: Distinct, k: int) -> list[tuple[IntArray, FloatArray]]:
    """For each query the texts that score at least as high as its k-th, and their scores."""
    held: list[tuple[IntArray, FloatArray]] = [
        (np.empty(0, np.int64), np.empty(0, np.float32)) for _ in range(len(queries))
    ]
    for begin, vectors in corpus.blocks():
        for first in range(0, len(queries), QUERY_BLOCK):
            scores = queries[first : first + QUERY_BLOCK] @ vectors.T
            if scores.shape[1] >= k:
                thresholds = np.partition(scores, scores.shape[1] - k, axis=1)[:, scores.shape[1] - k]
            else:  # fewer texts than k say nothing of the k-th
                thresholds = np.full(len(scores), -np.inf, dtype=np.float32)
            for query, row in enumerate(scores, start=first):
                texts, values = held[query]
                floor = max(
                    thresholds[query - first],
                    np.partition(values, len(values) - k)[len(values) - k] if len(values) >= k else -np.inf,
                )
                new, kept = np.flatnonzero(row >= floor), values >= floor
                held[query] = (
                    np.concatenate([texts[kept], new + begin]),
                    np.concatenate([values[kept], row[new]]),
                )
    return held
