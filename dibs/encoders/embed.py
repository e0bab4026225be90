"""Texts to vectors through the store: only what is not there yet is encoded."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from dibs.encoders.base import EncodedBatch, Encoder, FloatArray, IntArray, Role
from dibs.encoders.derived import derive, sources
from dibs.encoders.pooled import PoolingEncoder
from dibs.encoders.vectors import Keys, VectorStore, text_keys
from dibs.errors import ProviderError
from dibs.llm.pending import PendingError
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
    the store that is damaged is named in a warning and encoded again. What the store has in a
    greater dimension, or not scaled to length 1, is cut or scaled and not encoded.

    Args:
        total: How many texts there are.

    Raises:
        ProviderError: the provider failed or sent vectors that cannot be used.
        PendingError: some are still with a provider; what is there is kept.
    """
    (embedded,) = embed_together([encoder], role, texts, total, root)
    return embedded


def embed_together(
    encoders: Sequence[Encoder], role: Role, texts: Iterable[str], total: int, root: Path
) -> list[Embedded]:
    """As `embed`, with encoders that one pass serves (`pooled.passes`); each has its own vectors.

    A text that one of them lacks is encoded, and kept for those that lack it. `encoded` and `seconds`
    are those of the one pass.
    """
    stores = [_Kept(encoder, role, root) for encoder in encoders]
    keys, encoded, seconds = [], 0, 0.0
    stream, size = iter(texts), max(encoder.window or WINDOW for encoder in encoders)
    pending: list[PendingError] = []
    with track(f"Encoding with {encoders[0].name}: {role}s", total, "texts") as advance:
        while window := list(islice(stream, size)):
            keys.append(text_keys(window))
            lacking = [kept.lacking(keys[-1]) for kept in stores]
            wanted = np.unique(np.concatenate(lacking))
            advance(len(window) - len(wanted))
            if not len(wanted):
                continue
            started = time.perf_counter()
            try:
                for batches in _stream(encoders, [window[place] for place in wanted], role):
                    for kept, places, batch in zip(stores, lacking, batches, strict=True):
                        kept.keep(batch, keys[-1], wanted, places)
                    advance(len(batches[0].positions))
            except PendingError as error:  # the other windows are handed over as well
                pending.append(error)
            encoded += len(wanted)
            seconds += time.perf_counter() - started
    if pending:
        raise PendingError.together(pending)
    every = np.concatenate(keys) if keys else np.empty(0, "S16")
    return [kept.embedded(every, encoded, seconds) for kept in stores]


def _stream(
    encoders: Sequence[Encoder], texts: Sequence[str], role: Role
) -> Iterator[tuple[EncodedBatch, ...]]:
    lead, *others = encoders
    if not others:
        for batch in lead.stream(texts, role):
            yield (batch,)
        return
    pooling = [encoder for encoder in encoders if isinstance(encoder, PoolingEncoder)]
    yield from pooling[0].stream_shapes([encoder.shape for encoder in pooling], texts, role)


class _Kept:
    """One encoder's store while texts are embedded."""

    def __init__(self, encoder: Encoder, role: Role, root: Path) -> None:
        self._encoder = encoder
        self._settings = encoder.settings(role)
        self._root = root
        self._store = VectorStore(root, encoder.name, self._settings, encoder.dimension)

    def lacking(self, keys: Keys) -> IntArray:
        """Places of the keys whose texts have to be encoded."""
        self._store.reload()
        places = missing(self._store, keys)
        if not len(places) or not self._encoder.nests:
            return places
        found_in = sources(self._root, self._settings, self._store.dimension)
        return derive(self._store, found_in, keys, places, normalise=self._settings["normalise"])

    def keep(self, batch: EncodedBatch, keys: Keys, wanted: IntArray, lacking: IntArray) -> None:
        """Add those of the batch's vectors that are lacking.

        Args:
            keys: Of the window's texts.
            wanted: The places in the window that were encoded, which the batch's positions count.
            lacking: Those of them that this store lacks.
        """
        _check(self._encoder, batch)
        places = wanted[batch.positions]
        new = np.isin(places, lacking)
        tokens = None if batch.tokens is None else batch.tokens[new]
        self._store.append(keys[places[new]], batch.vectors[new], tokens)

    def embedded(self, keys: Keys, encoded: int, seconds: float) -> Embedded:
        self._store.reload()
        rows = self._store.find(keys)
        if (rows < 0).any():
            lost = int((rows < 0).sum())
            raise ProviderError(f"{self._encoder.name} left {lost} texts without a vector")
        cut = _count_cut(self._store, rows, self._encoder.max_tokens)
        return Embedded(self._store, rows, encoded, cut, seconds)


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
