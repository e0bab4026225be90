"""What a reranker is: pairs of a query and a document in, a score for each out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from dibs import plugins
from dibs.cards.model import RerankerCard
from dibs.encoders.base import EncoderContext, FloatArray, IntArray


class Pair(NamedTuple):
    """A query and a candidate document, as texts."""

    query: str
    document: str


@dataclass(frozen=True)
class ScoredPairs:
    """Some of the pairs that were asked for, done."""

    positions: IntArray
    """(n,) where in the request they stand."""
    scores: FloatArray
    """(n,) the higher, the more relevant; comparable within one query at least."""


class Reranker(ABC):
    """Pairs to scores. An adapter knows its provider and nothing of tasks.

    A score may depend on nothing but its pair and the settings, since it is kept and used again among
    other candidates.
    """

    name: str
    unit: Literal["pairs", "documents"] = "pairs"
    """What its time goes with: pairs, or documents, each read once for all its queries."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Everything that changes a score, as JSON values."""

    @abstractmethod
    def stream(self, pairs: Sequence[Pair]) -> Iterator[ScoredPairs]:
        """Score `pairs` in whatever order and batches suit; each batch as soon as it is done.

        The pairs of one query stand together, in the first stage's order. A query that fails after
        all retries is passed over: its pairs never come, and `failures` says why.
        """

    def tokens_to_send(self, pairs: Sequence[Pair]) -> int | None:
        """Tokens that a provider would be sent for these pairs, estimated; None for what runs here."""
        return None

    @property
    def failures(self) -> list[str]:
        """What went wrong in the last `stream`, one line a failed request."""
        return []

    @property
    def billed_tokens(self) -> int | None:
        """Tokens that the provider said it bills, of all requests so far; None for a local model."""
        return None

    @property
    def usd(self) -> float | None:
        """What all requests so far cost; None where it is not known."""
        return None


def make_reranker(card: RerankerCard, context: EncoderContext) -> Reranker:
    """The card's adapter, ready to score; weights are loaded when the first pair comes.

    Raises:
        InputError: no such adapter, or the card does not suit it.
        MissingError: a package, key or model is not here.
    """
    made: Reranker = plugins.adapter("reranker", card)(card, context)
    return made
