"""What a model is trained on, as the loss takes it and as batches are drawn from it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from dibs.training.pairs import Pair


@dataclass(frozen=True)
class Examples:
    """What is trained on."""

    pairs: Sequence[Pair]
    negatives: Sequence[tuple[str, ...]] = ()
    """Of each pair, as many for all; empty for none."""
    prompts: tuple[str, str] = ("", "")
    """What is put before queries and before documents."""

    def columns(self) -> dict[str, list[str]]:
        """As the loss takes them: the query, its document, its hard negatives."""
        texts = {"query": [pair.query for pair in self.pairs], "document": [p.document for p in self.pairs]}
        return texts | self._hard()

    def _hard(self) -> dict[str, list[str]]:
        return {f"negative_{n}": list(texts) for n, texts in enumerate(zip(*self.negatives, strict=True), 1)}

    def keys(self) -> dict[str, list[str]]:
        """What no two pairs of a batch may share, whichever the column: the query, and the ids and texts of
        documents, negatives among them (a document may have two texts, one without the query's sentence)."""
        found = {
            name: [hashlib.sha256(text.encode()).hexdigest() for text in texts]
            for name, texts in self.columns().items()
        }
        ids = {pair.document: f"id {pair.document_id}" for pair in self.pairs}
        own = {"document_of": [f"id {pair.document_id}" for pair in self.pairs]}
        hard = {f"{name}_of": [ids.get(text, text) for text in texts] for name, texts in self._hard().items()}
        return found | own | hard

    def prompt(self, column: str) -> str:
        return self.prompts[0] if column == "query" else self.prompts[1]
