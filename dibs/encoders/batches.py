"""Texts to batches of tokens: like lengths together, no batch beyond a budget, made ahead in a thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from dibs.encoders.base import IntArray

WINDOW = 2048
"""Texts whose tokens are held and sorted at a time. MiniLM tokenises so many pages in 1 to 2 seconds."""

_TOGETHER = 256
"""Texts tokenised in one call: a tokenizer holds some 150 bytes for each token of whole texts."""

Tokenise = Callable[[Sequence[str]], list[list[int]]]
"""Texts to the tokens of each, whole, with the model's marks at both ends."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Padded(NamedTuple):
    """What a model is fed."""

    ids: IntArray
    """(n, tokens), each text's own first."""
    mask: IntArray
    """(n, tokens), 1 for a text's own tokens and 0 for padding."""


@dataclass(frozen=True)
class Batch:
    """Texts that are encoded together, the longest first."""

    positions: IntArray
    """(n,) where in the request they stand."""
    texts: list[str]
    """Without the prompt."""
    ids: list[npt.NDArray[np.int32]]
    """The tokens of each, cut."""
    tokens: IntArray
    """(n,) tokens before they were cut."""

    def only(self, places: IntArray) -> Batch:
        """The texts at `places` of this batch."""
        return Batch(
            self.positions[places],
            [self.texts[place] for place in places],
            [self.ids[place] for place in places],
            self.tokens[places],
        )

    def padded(self, pad: int) -> Padded:
        """All tokens in one table, filled up with the token `pad`."""
        lengths = np.array([len(ids) for ids in self.ids])
        mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
        table = np.full(mask.shape, pad, dtype=np.int64)
        table[mask == 1] = np.concatenate(self.ids)
        return Padded(table, mask)


class Tokeniser:
    """A tokenizer that says how long texts are and cuts them, in one pass over each."""

    def __init__(self, tokenise: Tokenise, limit: int, pad: int) -> None:
        """Wrap `tokenise`; texts are cut after `limit` tokens, and `pad` fills up the shorter ones."""
        self.pad = pad
        self._tokenise = tokenise
        self._limit = limit
        empty, short = tokenise(["", "a"])
        same = [one == other for one, other in zip(reversed(empty), reversed(short), strict=False)]
        self._marks = [*same, False].index(False)
        """Tokens at the end of every text; they stay when it is cut."""

    def count(self, texts: Sequence[str]) -> IntArray:
        """(n,) tokens of whole texts, marks included."""
        return np.array([len(ids) for ids in self._whole(texts)], dtype=np.int64)

    def windows(self, texts: Sequence[str], prompt: str, budget: int) -> Iterator[list[Batch]]:
        """`texts` in batches, sorted by length within each window of them."""
        for start in range(0, len(texts), WINDOW):
            window = texts[start : start + WINDOW]
            ids, counts = [], []
            for whole in self._whole([prompt + text for text in window]):
                counts.append(len(whole))
                ids.append(np.array(self._cut(whole), dtype=np.int32))
            tokens = np.array(counts, dtype=np.int64)
            whole_window = Batch(np.arange(start, start + len(window)), list(window), ids, tokens)
            lengths = np.minimum(tokens, self._limit)
            yield [whole_window.only(places) for places in by_budget(lengths, budget)]

    def _whole(self, texts: Sequence[str]) -> Iterator[list[int]]:
        for start in range(0, len(texts), _TOGETHER):
            yield from self._tokenise(texts[start : start + _TOGETHER])

    def _cut(self, ids: list[int]) -> list[int]:
        if len(ids) <= self._limit:
            return ids
        return ids[: self._limit - self._marks] + ids[len(ids) - self._marks :]


def by_budget(lengths: IntArray, budget: int) -> Iterator[IntArray]:
    """Places of texts in batches, the longest first; none has more than `budget` tokens with its padding.

    A text that alone is longer is a batch of its own.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, budget // max(1, int(lengths[order[start]])))
        yield order[start : start + count]
        start += count


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, the next one being made in a thread while the caller works on one.

    What is raised in the thread is raised here, after the items before it.
    """
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1, "ahead") as thread:
        coming: Future[Item | object] = thread.submit(next, iterator, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, iterator, end)
            yield item  # type: ignore[misc]  # only `end` is not an Item


def concurrently(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """`work` done on the items, `workers` of them at once; the results in the items' order."""
    if workers == 1:
        yield from map(work, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, "encode") as threads:
        try:
            for item in items:
                waiting.append(threads.submit(work, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for unwanted in waiting:
                unwanted.cancel()
