"""The distinct texts of a corpus: each is scored once, for every document that has it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dibs.encoders.base import FloatArray, IntArray
from dibs.encoders.embed import Embedded
from dibs.encoders.vectors import VectorStore
from dibs.retrieval.run import Ranking
from dibs.retrieval.top import id_order

DOCUMENT_BLOCK = 8192
"""Vectors read from the store at once: 8,192 of 384 dimensions are 12 MB."""


@dataclass(frozen=True)
class Distinct:
    """Texts, numbered as the documents come, and the documents of each.

    Documents of equal text have one vector, so that their tie is exact, and not left to how a matrix
    product rounds at different places. A text's number does not depend on when its vector was stored.
    """

    ids: list[str]
    store: VectorStore
    rows: IntArray
    """(n,) the store's row of each text."""
    _by_id: IntArray
    """(documents,) positions in `ids`, the greatest id first."""
    _sharing: IntArray
    """(documents,) places in `_by_id`, those of one text together and in order."""
    _starts: IntArray
    """(n + 1,) where in `_sharing` the documents of each text begin."""

    @classmethod
    def of(cls, ids: list[str], documents: Embedded) -> Distinct:
        """The texts of documents with these ids, one id for each row of `documents`."""
        by_id = id_order(ids)
        unique, first, which = np.unique(documents.rows[by_id], return_index=True, return_inverse=True)
        order = np.argsort(first)
        number = np.empty(len(unique), np.int64)
        number[order] = np.arange(len(unique))
        texts = number[which]
        sharing = np.argsort(texts, kind="stable")
        starts = np.searchsorted(texts[sharing], np.arange(len(unique) + 1))
        return cls(ids, documents.store, unique[order], by_id, sharing, starts)

    def __len__(self) -> int:
        return len(self.rows)

    def vectors(self, texts: IntArray) -> FloatArray:
        """(n, dimension) the vectors of the texts with these numbers."""
        return self.store.vectors(self.rows[texts])

    def fingerprint(self) -> str:
        """SHA-256 of the checksums of all vectors, in the order of the texts."""
        return hashlib.sha256(self.store.crcs(self.rows).tobytes()).hexdigest()

    def blocks(self) -> Iterator[tuple[int, FloatArray]]:
        """All vectors in blocks, each with the number of its first text."""
        for begin in range(0, len(self), DOCUMENT_BLOCK):
            yield begin, self.store.vectors(self.rows[begin : begin + DOCUMENT_BLOCK])

    def ranking(self, texts: IntArray, scores: FloatArray, k: int) -> Ranking:
        """The k best documents of the texts with these numbers and scores, ties by id descending."""
        if len(scores) > k:  # below the k-th nothing matters, and ties with it do
            good = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
            texts, scores = texts[good], scores[good]
        places = [self._sharing[self._starts[text] : self._starts[text + 1]] for text in texts]
        found = np.concatenate([np.empty(0, np.int64), *places])
        repeated = np.repeat(scores, self._starts[texts + 1] - self._starts[texts])
        ranked = np.lexsort((found, -repeated))[:k]
        return Ranking([self.ids[self._by_id[place]] for place in found[ranked]], repeated[ranked])
