"""Small stand-ins for what is slow or far away: an encoder, a retriever, a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dibs.data.dataset import QRELS_SCHEMA, Dataset, Qrels
from dibs.data.write import write_dataset
from dibs.encoders.base import EncodedBatch, Encoder, FloatArray, Role, unit_length
from dibs.retrieval.base import Cost, Retrieved, Search
from dibs.retrieval.run import Run

ROOT = Path(__file__).resolve().parents[1]
"""The checkout: where `tests` and `dibs` can be imported from."""


class HashEncoder(Encoder):
    """Each word is a direction of its own, drawn from the word's hash: texts that share words are near."""

    def __init__(
        self,
        name: str = "hash",
        dimension: int = 16,
        *,
        query_prompt: str = "",
        max_tokens: int | None = None,
        batch_size: int = 3,
        counts: bool = True,
    ) -> None:
        self.name = name
        self.dimension = dimension
        self.max_tokens = max_tokens
        self.asked: list[str] = []
        """Every text that was encoded, in order."""
        self._query_prompt = query_prompt
        self._batch_size = batch_size
        self._counts = counts

    def settings(self, role: Role) -> dict[str, Any]:
        prompt = self._query_prompt if role == "query" else ""
        return {"adapter": "hash", "role": role, "prompt": prompt, "dimension": self.dimension}

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[EncodedBatch]:
        last_first = np.arange(len(texts))[::-1]
        for start in range(0, len(texts), self._batch_size):
            places = last_first[start : start + self._batch_size]
            chosen = [texts[place] for place in places]
            self.asked += chosen
            tokens = np.array([len(text.split()) for text in chosen]) if self._counts else None
            yield EncodedBatch(places, self.vectors(chosen, role), tokens)

    def vectors(self, texts: Sequence[str], role: Role = "document") -> FloatArray:
        """What `texts` are encoded as, (n, dimension); nothing is noted in `asked`."""
        prompt = self._query_prompt if role == "query" else ""
        return unit_length(
            np.array(
                [
                    sum((self._direction(word) for word in (prompt + text).split()), np.zeros(self.dimension))
                    for text in texts
                ]
            )
        )

    def _direction(self, word: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
        return np.random.default_rng(seed).standard_normal(self.dimension)


@dataclass
class FixedRetriever:
    """Gives the run it is told, and counts how often it was asked."""

    scores: Mapping[str, Mapping[str, float]]
    name: str = "fixed"
    option: str = "a"
    caches: list[Path] = field(default_factory=list, init=False)
    """Where vectors would have been kept, each time."""

    @property
    def searches(self) -> int:
        return len(self.caches)

    def settings(self) -> dict[str, Any]:
        return {"retriever": "fixed", "option": self.option}

    def search(self, search: Search, k: int) -> Retrieved:
        self.caches.append(search.cache)
        return Retrieved(Run.of(self.scores, search.dataset.query_ids).top(k), Cost(search=0.25))


def make_dataset(
    folder: Path,
    documents: Mapping[str, str],
    queries: Mapping[str, str | dict[str, str]],
    qrels: Qrels | None = None,
    *,
    task: str = "Tiny",
) -> Dataset:
    """A data set from literals; a query may be a dict of its `text` and further fields.

    Without `qrels`, the first document is relevant to every query.
    """
    fields = {name: row if isinstance(row, dict) else {"text": row} for name, row in queries.items()}
    columns = list(next(iter(fields.values())))
    judged = qrels or {name: {next(iter(documents)): 1} for name in queries}
    rows = [(query, doc, grade) for query, grades in judged.items() for doc, grade in grades.items()]
    return write_dataset(
        folder,
        task,
        pa.table(
            {
                "id": list(documents),
                "title": pa.array([""] * len(documents), pa.string()),
                "text": list(documents.values()),
            }
        ),
        pa.table({"id": list(fields)} | {name: [row[name] for row in fields.values()] for name in columns}),
        pa.table([list(column) for column in zip(*rows, strict=True)], schema=QRELS_SCHEMA),
    )
