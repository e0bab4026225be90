"""What a retriever is: it gives a run for some queries over a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dibs.data.dataset import Dataset
from dibs.retrieval.run import Run


@dataclass(frozen=True)
class Search:
    """What a retriever searches: the queries and documents of a task, and where to keep its work."""

    dataset: Dataset
    template: str
    """How a document's columns become its text."""
    cache: Path
    runs: Sequence[Run] = ()
    """The stored runs of the pipelines that this one is made of."""

    def document_texts(self) -> list[str]:
        return list(self.dataset.document_texts(self.template))


@dataclass(frozen=True)
class Cost:
    """What a search took. Times in seconds; None is not known."""

    encode_documents: float = 0.0
    encode_queries: float = 0.0
    index: float = 0.0
    search: float = 0.0
    documents_encoded: int = 0
    """Documents whose vectors were not in the store yet."""
    queries_encoded: int = 0
    documents_cut: int | None = 0
    """Documents longer than the model takes."""
    queries_cut: int | None = 0
    billed_tokens: int | None = None
    usd: float | None = None


@dataclass(frozen=True)
class Retrieved:
    """A run and what it cost."""

    run: Run
    cost: Cost
    about: dict[str, Any] = field(default_factory=dict)
    """What else a reader of the record has to know."""


class Retriever(Protocol):
    """Queries to ranked documents."""

    @property
    def name(self) -> str:
        """As tables and folders show it."""

    def settings(self) -> dict[str, Any]:
        """Everything that changes a run on the same data, as JSON values."""

    def search(self, search: Search, k: int) -> Retrieved:
        """The k best documents of every query."""
