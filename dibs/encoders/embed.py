"""Texts to vectors through the store: only what is not there yet is encoded."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from dibs.encoders.base import EncodedBatch, Encoder, FloatArray, IntArray, Role
from dibs.encoders.vectors import VectorStore, text_keys
from dibs.errors import ProviderError
from dibs.progress import track

WINDOW = 16_384
"""Texts held at a time. Encoders sort a window by length; 16,384 pages are some 40 MB."""


@dataclass(frozen=True)
class Embedded:
    """The vectors of some texts, in the store."""

    store: VectorStore
    rows: IntArray
    """(n,) the store's row of each text; equal texts have equal rows."""
    encoded: int
    """Texts that had to be encoded."""
    cut: int | None
    """Texts longer than the encoder takes; None where nobody counted."""
    seconds: float
    """Spent on encoding."""

    def vectors(self) -> FloatArray:
        """(n, dimension) all vectors, in memory."""
        return self.store.vectors(self.rows)


def embed(encoder: Encoder, role: Role, texts: Iterable[str], total: int, root: Path) -> Embedded:
    """Embed `texts`, taking from the store below `root` what it has.

    Each finished batch is kept at once; a run that is killed loses the batch in flight. A row of
    the store that is damaged is named in a warning and encoded again.

    Args:
        total: How many texts there are.

    Raises:
        ProviderError: the provider failed or sent vectors that cannot be used.
    """
    store = VectorStore(root, encoder.name, encoder.settings(role), encoder.dimension)
    keys, encoded, seconds = [], 0, 0.0
    stream = iter(texts)
    with track(f"Encoding with {encoder.name}: {role}s", total, "texts") as advance:
        while window := list(islice(stream, WINDOW)):
            keys.append(text_keys(window))
            lacking = missing(store, keys[-1])
            advance(len(window) - len(lacking))
            if not len(lacking):
                continue
            started = time.perf_counter()
            for batch in encoder.stream([window[place] for place in lacking], role):
                _check(encoder, batch)
                store.append(keys[-1][lacking[batch.positions]], batch.vectors, batch.tokens)
                advance(len(batch.positions))
            encoded += len(lacking)
            seconds += time.perf_counter() - started
            store.reload()
    store.reload()
    rows = store.find(np.concatenate(keys)) if keys else np.empty(0, np.int64)
    if (rows < 0).any():
        raise ProviderError(f"{encoder.name} left {int((rows < 0).sum())} texts without a vector")
    return Embedded(store, rows, encoded, _count_cut(store, rows, encoder.max_tokens), seconds)


def missing(store: VectorStore, keys: np.ndarray) -> IntArray:
    """Places of the keys to make a vector for: the first of each that has no good row in the store."""
    rows = store.find(keys)
    there = np.flatnonzero(rows >= 0)
    lacking = rows < 0
    for path, places in store.damaged(rows[there]):
        warnings.warn(
            f"{path.with_suffix('.vec')}: {len(places)} vectors are damaged and made anew", stacklevel=2
        )
        lacking[there[places]] = True
    places = np.flatnonzero(lacking)
    _, first = np.unique(keys[places], return_index=True)
    return places[np.sort(first)]


def _check(encoder: Encoder, batch: EncodedBatch) -> None:
    expected = (len(batch.positions), encoder.dimension)
    if batch.vectors.shape != expected:
        raise ProviderError(
            f"gave vectors of shape {batch.vectors.shape}, not {expected}",
            where=encoder.name,
            todo="Correct the dimension in the model's card.",
        )
    if not np.isfinite(batch.vectors).all():
        raise ProviderError(
            "gave a vector that is not finite (NaN or infinity); nothing of that batch is kept",
            where=encoder.name,
            todo="Run again; if it stays, try precision float32.",
        )


def _count_cut(store: VectorStore, rows: IntArray, max_tokens: int | None) -> int | None:
    if max_tokens is None:
        return 0
    tokens = store.tokens(rows)
    return None if (tokens < 0).any() else int((tokens > max_tokens).sum())
