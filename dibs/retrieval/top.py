"""The best k of many scores, with ties settled the same way everywhere."""

from __future__ import annotations

import numpy as np

from dibs.encoders.base import FloatArray, IntArray


def id_order(ids: list[str]) -> IntArray:
    """(n,) positions of `ids` from the greatest id to the least: the order among equal scores."""
    return np.array(sorted(range(len(ids)), key=ids.__getitem__, reverse=True), dtype=np.int64)


def best(scores: FloatArray, k: int) -> IntArray:
    """Positions of the k best of (n,) scores, best first; of equal ones, the earlier comes first.

    Exact also where ties straddle the k-th place, which argpartition alone settles by chance.
    """
    if k < len(scores):
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        chosen = np.flatnonzero(scores >= threshold)
    else:
        chosen = np.arange(len(scores))
    return chosen[np.argsort(-scores[chosen], kind="stable")][:k]
