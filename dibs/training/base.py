"""What a generator of queries is: documents in, queries for each of them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from dibs.training.documents import Document

KINDS = ("lookup", "calculation", "comparison", "how-to", "troubleshooting")
"""Kinds of questions."""
DOMAINS = ("documentation", "financial", "forum", "general")
"""Each has a prompt and a file of forms."""


@dataclass(frozen=True)
class Query:
    """A query for a document."""

    text: str
    kind: str
    """One of KINDS, or `cloze`."""
    document: str | None = None
    """The document's text where it is not the whole: without the sentence that a cloze was made of."""


@dataclass(frozen=True)
class Made:
    """What was made of one document."""

    document: Document
    queries: list[Query] = field(default_factory=list)
    error: str | None = None
    """Why there are none; None too where there was nothing to ask about."""


class Generator(Protocol):
    """Makes queries of documents."""

    name: str

    def settings(self) -> dict[str, Any]:
        """Everything that changes a query besides the documents and the seed, as JSON values."""

    def make(self, documents: Sequence[Document], each: int, seed: int) -> list[Made]:
        """At most `each` queries for each document, in the documents' order.

        Raises:
            ProviderError: every request failed; MissingError: no request can succeed.
        """


def domain_of(prompt: str) -> str:
    """The domain of a task whose answers are asked for with that prompt: `financial.v1` is financial."""
    name = prompt.partition(".")[0]
    return name if name in DOMAINS else "general"
