"""What there is, and what it lacks to run here: the rows of the lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dibs.cards.model import AdapterCard
from dibs.cards.task import TaskCard
from dibs.errors import DibsError
from dibs.ready import model_lacks, task_lacks
from dibs.workspace import Workspace

_TOLD = (
    "adapter",
    "dimension",
    "max_tokens",
    "context_tokens",
    "usd_per_million_tokens",
    "usd_per_million_output_tokens",
    "description",
)


def task_rows(place: Workspace) -> Iterator[dict[str, Any] | DibsError]:
    """A row a task; a malformed card is its error."""
    for card in place.cards(TaskCard):
        if isinstance(card, DibsError):
            yield card
            continue
        lacks = task_lacks(card, place)
        yield {
            "task": card.name,
            "ready": lacks is None,
            "queries": card.expect.queries,
            "documents": card.expect.documents,
            "stand_in_for": card.stand_in_for,
            "description": card.description,
            "get": lacks,
        }


def model_rows(kind: str, cards: Iterable[AdapterCard | DibsError]) -> Iterator[dict[str, Any] | DibsError]:
    """A row a model, reranker or LLM, its name under `kind`; a malformed card is its error."""
    for card in cards:
        if isinstance(card, DibsError):
            yield card
            continue
        lacks = model_lacks(card)
        told = {field: getattr(card, field) for field in _TOLD if hasattr(card, field)}
        yield {kind: card.name, "ready": lacks is None, **told, "get": lacks}
